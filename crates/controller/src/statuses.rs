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
use crate::reconcile::Controller;
use crate::switch;
use crate::undecodable::Reported;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::list_watch::{ListWatch, ListWatchError, ObjectEvent};
use bailiff_kube::owner::controller;
use bailiff_kube::serve::Heartbeat;
use bailiff_policy::{MatchResources, Reads, project};
use bailiff_response::Switch;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Most bytes of memory that are kept of a pod.
const POD_LIMIT_BYTES: usize = 16 << 10;
/// What is kept of a pod beside its labels.
const OF_A_POD: &[&[&str]] = &[
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "ownerReferences"],
    &["spec", "nodeName"],
    &["status", "conditions"],
];
/// The same of one whose owners or conditions are too large: it is not Ready, and a workload of its own.
const LEAST_OF_A_POD: &[&[&str]] = &[
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["spec", "nodeName"],
];
/// Changes that follow one another are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// When a status is computed again that could not be written because its object was changed
/// meanwhile: by then the watch has brought the change.
const CONFLICT_RETRY: Duration = Duration::from_secs(1);
/// The least time between two reads because a selector names a new label.
const LABELS_RETRY: Duration = Duration::from_secs(1);
/// Reading every pod takes at most one part in so many of the time: in a large cluster, or while
/// the API server is slow, it is done less often.
const READING_SHARE: u32 = 20;
/// Nobody monitors pods that ran to their end, and Jobs leave many.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// How long the loop sleeps at most, so that it shows that it makes progress.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps statuses true, until it is dropped.
pub(crate) async fn run(
    responder: Arc<Controller>,
    cache: Cache,
    metrics: Metrics,
    heartbeat: Heartbeat,
) {
    let (client, config) = (responder.client().clone(), responder.config().clone());
    let mut reported = Reported::default();
    let mut nodes = Nodes::new(client.clone(), &config);
    let mut news = cache.changes();
    let mut cluster: Option<Cluster> = None;
    let mut next_read = Instant::now();
    let mut due: Option<Instant> = None;
    let pods = ListWatch::new("/api/v1/pods", Some(RUNNING.to_owned()));
    let mut read_last = Instant::now();
    cache.complete().await;
    loop {
        heartbeat.beat();
        let changed = tokio::select! {
            biased;
            Ok(()) = news.changed() => true,
            () = tokio::time::sleep_until(next_read) => {
                let begun = Instant::now();
                read_last = begun;
                match read(&client, &pods, named_labels(&cache), &config, &heartbeat).await {
                    Ok(read) => {
                        nodes.check(&read.sensors, &metrics, &heartbeat).await;
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
                let wanted = named_labels(&cache);
                if let Some(cluster) = &cluster {
                    // Labels that were not kept are read first.
                    if !wanted.is_subset(&cluster.label_keys) {
                        next_read = next_read.min(read_last + LABELS_RETRY);
                        continue;
                    }
                    let writer = Writer { responder: &responder, cache: &cache, cluster, heartbeat: &heartbeat };
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

/// Reads every pod, one at a time: a tenant can give each more than a megabyte.
async fn read(
    client: &Client,
    pods: &ListWatch,
    labels: BTreeSet<String>,
    config: &Config,
    heartbeat: &Heartbeat,
) -> Result<Cluster, ListWatchError> {
    let (all, least) = (reads(&labels, OF_A_POD), reads(&labels, LEAST_OF_A_POD));
    let mut cluster = Cluster {
        label_keys: labels,
        ..Cluster::default()
    };
    let mut events = pods.stream(client.clone());
    while let Some(event) = events.next().await {
        heartbeat.beat();
        match event? {
            ObjectEvent::Listing => {}
            ObjectEvent::Listed(json) => match projected(&json, &[&all, &least]) {
                Ok(pod) => see(&mut cluster, config, pod),
                Err(error) => {
                    tracing::warn!(%error, "Cannot decode a pod; it counts as one that is not monitored");
                    cluster.unknown += 1;
                }
            },
            ObjectEvent::TooLarge => {
                tracing::warn!(
                    "A pod has more than 10 MiB; it counts as one that is not monitored"
                );
                cluster.unknown += 1;
            }
            ObjectEvent::Complete | ObjectEvent::Applied(_) | ObjectEvent::Deleted(_) => break,
        }
    }
    Ok(cluster)
}

/// The labels that selectors of policies and bindings name: no others are kept.
fn named_labels(cache: &Cache) -> BTreeSet<String> {
    let rules = cache.rules();
    let policies = rules.policies.all().values();
    let policies = policies.map(|policy| &policy.spec.match_constraints);
    let bindings = rules.bindings.all().values();
    let bindings = bindings.map(|binding| &binding.spec.match_resources);
    let compiled = policies
        .chain(bindings)
        .filter_map(|of| MatchResources::compile(of).ok());
    let mut keys: BTreeSet<String> = compiled
        .flat_map(|of| of.object_labels().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    keys.extend([keys::LABEL_APP_NAME, keys::LABEL_APP_COMPONENT].map(str::to_owned));
    keys
}

/// What is read of a pod, with these labels.
fn reads(labels: &BTreeSet<String>, parts: &[&[&str]]) -> Reads {
    let mut reads = Reads::path(&["metadata", "name"]);
    for part in parts {
        reads.merge(&Reads::path(part));
    }
    for label in labels {
        reads.merge(&Reads::path(&["metadata", "labels", label]));
    }
    reads
}

/// The first of these parts of a pod that is not too large.
fn projected(json: &[u8], parts: &[&Reads]) -> Result<Pod, String> {
    let mut failed = String::new();
    for part in parts {
        match project(json, part, POD_LIMIT_BYTES) {
            Ok((pod, _)) => return serde_json::from_value(pod).map_err(|error| error.to_string()),
            Err(error) => failed = error.to_string(),
        }
    }
    Err(failed)
}

/// Of a pod what matters here. Strings alone, so that nothing else of it can stand in the way.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    conditions: Vec<PodCondition>,
}

#[derive(Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

fn see(cluster: &mut Cluster, config: &Config, pod: Pod) {
    let ready = |c: &PodCondition| c.type_ == "Ready" && c.status == "True";
    let is_ready = pod.status.conditions.iter().any(ready);
    let namespace = pod.metadata.namespace.unwrap_or_default();
    let labels = pod.metadata.labels.unwrap_or_default();
    let owner = controller(pod.metadata.owner_references.as_deref());
    let owner = owner.map(|owner| owner.uid).or(pod.metadata.uid);
    let node = pod.spec.node_name;
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
    heartbeat: &'a Heartbeat,
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
                self.heartbeat.beat();
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
                self.heartbeat.beat();
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
