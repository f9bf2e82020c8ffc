//! Keeps the statuses of policies and bindings true.
//!
//! Here: reading the cluster, and writing the statuses that changed. Not here: what they say
//! (`policy_status`).
//! Invariant: a status is written only when it says something new, nothing before the pods were
//! read, and never over what somebody else wrote since; every change of a policy or a binding is
//! looked at, and the rest of the cluster from time to time, for a small part of the time.

use crate::checked::Policies;
use crate::config::Config;
use crate::policy_status::{Cluster, PodSeen, of_binding, of_policy};
use crate::ready::ready;
use crate::undecodable::Reported;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::decode::{Decoded, UndecodableObjects};
use bailiff_kube::serve::Pulse;
use bailiff_kube::watch::{Event, objects};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Namespaces of a list request: bounds what one answer of the API server takes.
const NAMESPACES_PAGE: u32 = 500;
/// Pods of a list request; a tenant can give each more than a megabyte.
const PODS_PAGE: u32 = 32;
/// Changes that come one after the other are looked at together.
const SETTLE: Duration = Duration::from_millis(50);
/// When a status is made anew that could not be written because its object was changed meanwhile:
/// by then the watch has brought the change.
const OVERTAKEN: Duration = Duration::from_secs(1);
/// Reading every pod takes at most one part in so many of the time: in a large cluster, or while
/// the API server is slow, it is done less often.
const READING_SHARE: u32 = 20;
/// Pods that ran to their end are nobody's to watch, and Jobs leave many.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// How long the loop sleeps at most, so that it shows that it turns.
const TURN: Duration = Duration::from_secs(10);

/// Keeps statuses true, until it is dropped.
pub(crate) async fn keep(
    client: Client,
    config: Config,
    undecodable: UndecodableObjects,
    pulse: Pulse,
) {
    let mut policies = Known::default();
    let mut bindings = Known::default();
    let everything = watcher::Config::default;
    let mut policy_watch =
        objects::<RuntimePolicy>(Api::all(client.clone()), everything(), &undecodable);
    let mut binding_watch =
        objects::<RuntimePolicyBinding>(Api::all(client.clone()), everything(), &undecodable);
    let mut reported = Reported::default();
    let mut checked = Policies::default();
    let mut cluster: Option<Cluster> = None;
    let mut next_read = Instant::now();
    let mut due: Option<Instant> = None;
    loop {
        pulse.beat();
        let changed = tokio::select! {
            biased;
            Some(event) = policy_watch.next() => policies.learn(event, "policies"),
            Some(event) = binding_watch.next() => bindings.learn(event, "bindings"),
            () = tokio::time::sleep_until(next_read) => {
                let begun = Instant::now();
                match read(&client, &config, &pulse).await {
                    Ok(read) => cluster = Some(read),
                    Err(error) => tracing::warn!(%error, "cannot read the pods for the coverage of policies"),
                }
                next_read = Instant::now() + pause(config.status_resync_interval, begun.elapsed());
                true
            }
            () = until(due) => {
                due = None;
                checked.learn(&policies.objects);
                reported.report::<RuntimePolicy>(&client, &undecodable).await;
                reported.report::<RuntimePolicyBinding>(&client, &undecodable).await;
                if let Some(cluster) = &cluster
                    && !write_all(&client, &policies, &checked, &bindings, cluster, &pulse).await
                {
                    due = Some(Instant::now() + OVERTAKEN);
                }
                false
            }
            () = tokio::time::sleep(TURN) => false,
        };
        let known = policies.listed && bindings.listed && cluster.is_some();
        if changed && due.is_none() && known {
            due = Some(Instant::now() + SETTLE);
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

/// All objects of a kind, by name.
struct Known<K> {
    objects: BTreeMap<String, K>,
    coming: BTreeMap<String, K>,
    listed: bool,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            coming: BTreeMap::new(),
            listed: false,
        }
    }
}

impl<K: kube::ResourceExt> Known<K> {
    /// Whether something changed.
    fn learn(&mut self, event: watcher::Result<Event<K>>, what: &str) -> bool {
        match event {
            Ok(Event::Init) => self.coming.clear(),
            Ok(Event::InitApply(object)) => {
                self.coming.insert(object.name_any(), object);
            }
            Ok(Event::InitDone) => {
                self.objects = std::mem::take(&mut self.coming);
                self.listed = true;
                return true;
            }
            Ok(Event::Apply(object)) => {
                let generation = object.meta().generation;
                let old = self.objects.insert(object.name_any(), object);
                // A change of the status alone is most often our own.
                return old.is_none_or(|old| old.meta().generation != generation);
            }
            Ok(Event::Delete(object)) => {
                self.objects
                    .remove(object.name.as_deref().unwrap_or_default());
                return true;
            }
            Err(error) => {
                tracing::warn!(what, %error, "a watch failed and is tried again; what was known stays");
            }
        }
        false
    }
}

async fn read(client: &Client, config: &Config, pulse: &Pulse) -> Result<Cluster, kube::Error> {
    let mut cluster = Cluster::default();
    let spaces = Api::<Namespace>::all(client.clone());
    let mut page = ListParams::default().limit(NAMESPACES_PAGE);
    loop {
        pulse.beat();
        let listed = spaces.list_metadata(&page).await?;
        for space in listed.items {
            let labels = space.metadata.labels.unwrap_or_default();
            cluster
                .namespaces
                .insert(space.metadata.name.unwrap_or_default(), labels);
        }
        match next(page, listed.metadata.continue_) {
            Some(next) => page = next,
            None => break,
        }
    }
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
    let node = pod.spec.and_then(|s| s.node_name);
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|v| v == value);
    let sensor = namespace == config.namespace
        && is(keys::LABEL_APP_NAME, keys::APP_NAME)
        && is(keys::LABEL_APP_COMPONENT, keys::COMPONENT_SENSOR);
    if let (true, true, Some(node)) = (sensor, is_ready, &node) {
        cluster.covered.insert(node.clone());
    }
    cluster.pods.push(PodSeen {
        namespace,
        labels,
        node,
    });
}

/// Whether no object was changed since it was known.
async fn write_all(
    client: &Client,
    policies: &Known<RuntimePolicy>,
    checked: &Policies,
    bindings: &Known<RuntimePolicyBinding>,
    cluster: &Cluster,
    pulse: &Pulse,
) -> bool {
    let now = Timestamp::now();
    let mut all = true;
    for (name, policy) in &policies.objects {
        let Some(compiled) = checked.get(name) else {
            continue;
        };
        let status = of_policy(policy, compiled, cluster, now);
        if policy.status.as_ref() != Some(&status) {
            pulse.beat();
            all &= write(client, policy, &policy.status, &status).await;
        }
    }
    for binding in bindings.objects.values() {
        let status = of_binding(binding, checked, cluster, now);
        if binding.status.as_ref() != Some(&status) {
            pulse.beat();
            all &= write(client, binding, &binding.status, &status).await;
        }
    }
    all
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
        Ok(_) => true,
        // Deleted since: its watch tells.
        Err(kube::Error::Api(status)) if status.code == 404 => true,
        Err(kube::Error::Api(status)) if status.code == 409 => false,
        Err(error) => {
            tracing::warn!(%error, name, "cannot write a status; it is tried again");
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
