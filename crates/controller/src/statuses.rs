//! Keeps the statuses of policies and bindings true.
//!
//! Here: reading the pods, and writing the statuses that changed. Not here: what they say
//! (`policy_status`), nodes without a sensor (`nodes`).
//! Invariant: a status is written only if it says something new, nothing before the pods were read,
//! and never over what somebody else wrote since; every change of a policy or a binding is looked at,
//! and the rest of the cluster from time to time, for a small part of the time.

use crate::cache::Cache;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::policy_status::{Cluster, Guarded, PodSeen, of_binding, of_policy};
use crate::ready::ready;
use crate::reconcile::Controller;
use crate::switch;
use crate::undecodable::Reported;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::owner::controller;
use bailiff_kube::serve::Pulse;
use bailiff_response::Switch;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pods of a list request; a tenant can give each more than a megabyte.
const PODS_PAGE: u32 = 32;
/// Changes that follow one another are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// When a status is computed again that could not be written because its object was changed
/// meanwhile: by then the watch has brought the change.
const CONFLICT_RETRY: Duration = Duration::from_secs(1);
/// Reading every pod takes at most one part in so many of the time: in a large cluster, or while
/// the API server is slow, it is done less often.
const READING_SHARE: u32 = 20;
/// Nobody monitors pods that ran to their end, and Jobs leave many.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// How long the loop sleeps at most, so that it shows that it makes progress.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps statuses true, until it is dropped.
pub(crate) async fn run(responder: Arc<Controller>, cache: Cache, metrics: Metrics, pulse: Pulse) {
    let (client, config) = (responder.client().clone(), responder.config().clone());
    let mut reported = Reported::default();
    let mut nodes = Nodes::new(client.clone(), &config);
    let mut news = cache.changes();
    let mut cluster: Option<Cluster> = None;
    let mut next_read = Instant::now();
    let mut due: Option<Instant> = None;
    cache.complete().await;
    loop {
        pulse.beat();
        let changed = tokio::select! {
            biased;
            Ok(()) = news.changed() => true,
            () = tokio::time::sleep_until(next_read) => {
                let begun = Instant::now();
                match read(&client, &config, &pulse).await {
                    Ok(read) => {
                        nodes.check(&read.sensors, &metrics, &pulse).await;
                        cluster = Some(read);
                    }
                    Err(error) => tracing::warn!(%error, "Cannot read the pods for the coverage of policies"),
                }
                let switch = switch::read(&client, &config.namespace).await.switch;
                metrics.responses_enabled.set(i64::from(switch == Switch::Enforce));
                next_read = Instant::now() + pause(config.status_resync_interval, begun.elapsed());
                true
            }
            () = until(due) => {
                due = None;
                reported.report::<RuntimePolicy>(&client, &cache.undecodable).await;
                reported.report::<RuntimePolicyBinding>(&client, &cache.undecodable).await;
                if let Some(cluster) = &cluster {
                    let writer = Writer { responder: &responder, cache: &cache, cluster, pulse: &pulse };
                    if !writer.write_all(&metrics).await {
                        due = Some(Instant::now() + CONFLICT_RETRY);
                    }
                }
                false
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => false,
        };
        if changed && due.is_none() && cluster.is_some() {
            due = Some(Instant::now() + DEBOUNCE);
        }
    }
}

/// How long the pods are not read again after it took so long.
fn pause(interval: Duration, took: Duration) -> Duration {
    interval.max(took.saturating_mul(READING_SHARE))
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn read(client: &Client, config: &Config, pulse: &Pulse) -> Result<Cluster, kube::Error> {
    let mut cluster = Cluster::default();
    let pods = Api::<Decoded<Pod>>::all(client.clone());
    let mut page = ListParams::default().limit(PODS_PAGE).fields(RUNNING);
    loop {
        pulse.beat();
        let listed = pods.list(&page).await?;
        for pod in listed.items {
            match pod.into_result() {
                Ok(pod) => see(&mut cluster, config, pod),
                Err(undecodable) => tracing::warn!(
                    namespace = undecodable.metadata.namespace,
                    pod = undecodable.metadata.name,
                    error = %undecodable,
                    "Cannot decode a pod, which no coverage counts",
                ),
            }
        }
        match next(page, listed.metadata.continue_) {
            Some(next) => page = next,
            None => return Ok(cluster),
        }
    }
}

/// The page after one; none: that was the last.
fn next(page: ListParams, token: Option<String>) -> Option<ListParams> {
    let token = token.filter(|token| !token.is_empty())?;
    Some(page.continue_token(&token))
}

fn see(cluster: &mut Cluster, config: &Config, pod: Pod) {
    let is_ready = ready(&pod).is_some();
    let namespace = pod.metadata.namespace.unwrap_or_default();
    let labels = pod.metadata.labels.unwrap_or_default();
    let owner = controller(pod.metadata.owner_references.as_deref());
    let owner = owner.map(|owner| owner.uid).or(pod.metadata.uid);
    let node = pod.spec.and_then(|s| s.node_name);
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|v| v == value);
    let sensor = namespace == config.namespace
        && is(keys::LABEL_APP_NAME, keys::APP_NAME)
        && is(keys::LABEL_APP_COMPONENT, keys::COMPONENT_SENSOR);
    if let (true, Some(node)) = (sensor, &node) {
        let ready = cluster.sensors.entry(node.clone()).or_default();
        *ready |= is_ready;
    }
    cluster.pods.push(PodSeen {
        namespace,
        labels,
        node,
        workload: owner.unwrap_or_default(),
    });
}

/// Writes the statuses of one moment.
struct Writer<'a> {
    responder: &'a Controller,
    cache: &'a Cache,
    cluster: &'a Cluster,
    pulse: &'a Pulse,
}

impl Writer<'_> {
    /// Whether no object was changed since it was known.
    async fn write_all(&self, metrics: &Metrics) -> bool {
        let now = Timestamp::now();
        let (client, config) = (self.responder.client(), self.responder.config());
        let (policies, bindings) = {
            let rules = self.cache.rules();
            let policies: Vec<_> = rules
                .policies
                .all()
                .keys()
                .filter_map(|n| rules.policy(n))
                .collect();
            let bindings: Vec<_> = rules.bindings.all().values().cloned().collect();
            (policies, bindings)
        };
        let namespaces: std::collections::BTreeMap<_, _> = {
            let rules = self.cache.rules();
            let labels = |n: &Arc<k8s_openapi::api::core::v1::Namespace>| n.metadata.labels.clone();
            let all = rules.namespaces.all().iter();
            all.map(|(name, n)| (name.clone(), labels(n).unwrap_or_default()))
                .collect()
        };
        let mut all = true;
        for (policy, checked) in &policies {
            let failures = self.responder.evaluation_failures(policy);
            let status = of_policy(policy, checked, &failures, (self.cluster, &namespaces), now);
            if policy.status.as_ref() != Some(&status) {
                self.pulse.beat();
                all &= write(client, &**policy, &policy.status, &status).await;
            }
        }
        let mut paused = 0;
        for binding in &bindings {
            let policy = policies.iter().find(|(p, _)| {
                p.metadata.name.as_deref() == Some(binding.spec.policy_name.as_str())
            });
            let (status, workloads) = {
                let guarded = Guarded {
                    responder: self.responder,
                    config,
                };
                of_binding(binding, policy, &guarded, (self.cluster, &namespaces), now)
            };
            let name = binding.metadata.name.clone().unwrap_or_default();
            self.cache.rules().matched_workloads.insert(name, workloads);
            let is_paused = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
                c.type_ == bailiff_api::condition::types::PAUSED && c.status == "True"
            };
            let now_paused = status.conditions.iter().find(is_paused);
            paused += i64::from(now_paused.is_some());
            if binding.status.as_ref() != Some(&status) {
                self.pulse.beat();
                all &= write(client, &**binding, &binding.status, &status).await;
                let before = binding.status.iter().flat_map(|s| &s.conditions);
                if now_paused.is_some() && !before.into_iter().any(|c| is_paused(&c)) {
                    self.responder.report_paused(binding, now).await;
                }
            }
        }
        metrics.bindings_paused.set(paused);
        let protected = crate::gather::is_protected(config, &self.cache.rules());
        metrics.incidents_protected.set(i64::from(protected));
        all
    }
}

/// Whether the object is not another than was known. The version that the status was made from goes
/// with it: a merge patch replaces the whole list of conditions, also one that a sensor has added
/// meanwhile.
async fn write<K>(
    client: &Client,
    object: &K,
    before: &impl serde::Serialize,
    status: &impl serde::Serialize,
) -> bool
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let name = object.meta().name.as_deref().unwrap_or_default();
    let mut patch = merged(&json!({ "status": before }), &json!({ "status": status }));
    if let Some(version) = &object.meta().resource_version {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    let patch = Patch::Merge(patch);
    let written = api
        .patch_status(name, &PatchParams::default(), &patch)
        .await;
    match written {
        // The answer is the object, of which a part may be one that cannot be decoded.
        Ok(_) | Err(kube::Error::SerdeError(_)) => true,
        // Deleted since: the watch reports it.
        Err(kube::Error::Api(status)) if status.code == 404 => true,
        Err(kube::Error::Api(status)) if status.code == 409 => false,
        Err(error) => {
            tracing::warn!(%error, name, "Cannot write a status; it is retried");
            true
        }
    }
}

/// The merge patch (RFC 7386) that leaves nothing of the one in the other: what is gone is null.
fn merged(before: &Json, now: &Json) -> Json {
    let (Json::Object(before), Json::Object(now)) = (before, now) else {
        return now.clone();
    };
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), Json::Null));
    let stays = now.iter().map(|(name, value)| {
        let value = match before.get(name) {
            Some(before) => merged(before, value),
            None => value.clone(),
        };
        (name.clone(), value)
    });
    gone.chain(stays).collect()
}

#[cfg(test)]
mod tests;
