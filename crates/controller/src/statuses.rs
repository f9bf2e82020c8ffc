//! Keeps the statuses of policies and bindings true.
//!
//! Here: when statuses are computed, and writing those that changed. Not here: what they report
//! (`policy_status`), the pods and nodes that they count (`pods`, `nodes`).
//! Invariant: a status is written only if it reports something new, and never over what another client wrote
//! since; every change of a policy or a binding is processed at once, whether pods were counted or not, and
//! changes of pods and nodes from time to time.

use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::nodes::Monitored;
use crate::pods::Pods;
use crate::policy_cache::Checked;
use crate::policy_status::{Guarded, Matching, Namespaces, of_binding, of_policy};
use crate::reconcile::Controller;
use crate::switch;
use crate::undecodable::Reported;
use crate::waits::{HEARTBEAT_INTERVAL, until};
use bailiff_api::{
    RuntimePolicy, RuntimePolicyBinding, RuntimePolicyBindingStatus, RuntimePolicyStatus,
};
use bailiff_kube::serve::Heartbeat;
use bailiff_policy::MatchResources;
use bailiff_response::Switch;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Changes that follow each other are processed together.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// When a status is computed again that could not be written because its object was changed
/// meanwhile: by then the watch has brought the change.
const CONFLICT_RETRY: Duration = Duration::from_secs(1);
/// Counting pods takes at most one part in so many of the time.
const COUNTING_SHARE: u32 = 20;

/// What statuses count.
#[derive(Clone)]
pub(crate) struct Counted {
    pub(crate) pods: Arc<Pods>,
    pub(crate) monitored: Monitored,
}

/// Keeps statuses true, until it is dropped.
pub(crate) async fn run(
    responder: Arc<Controller>,
    cache: Cache,
    counted: Counted,
    metrics: Metrics,
    heartbeat: Heartbeat,
) {
    let (client, config) = (responder.client().clone(), responder.config().clone());
    let mut reported = Reported::default();
    let (mut news, mut lists) = (cache.changes(), counted.pods.lists());
    let mut resync = Instant::now();
    let mut due: Option<Instant> = None;
    let mut took = Duration::ZERO;
    cache.complete_with(&heartbeat).await;
    loop {
        heartbeat.beat();
        let changed = tokio::select! {
            biased;
            Ok(()) = news.changed() => true,
            Ok(()) = lists.changed() => true,
            () = until(due) => {
                due = None;
                reported.report::<RuntimePolicy>(&client, &cache.undecodable).await;
                reported.report::<RuntimePolicyBinding>(&client, &cache.undecodable).await;
                let writer = Writer { responder: &responder, cache: &cache, counted: &counted, heartbeat: &heartbeat };
                let begun = Instant::now();
                let statuses = writer.compute(&metrics).await;
                took = begun.elapsed();
                if !writer.write_all(statuses).await {
                    due = Some(Instant::now() + CONFLICT_RETRY);
                }
                false
            }
            () = tokio::time::sleep_until(resync) => {
                let switch = switch::read(&client, &config.namespace).await.switch;
                metrics.responses_enabled.set(i64::from(switch == Switch::Enforce));
                resync = Instant::now() + config.status_resync_interval;
                true
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => false,
        };
        if changed && due.is_none() {
            due = Some(Instant::now() + pause(took));
        }
    }
}

/// The time until changes are processed, after counting pods took so long.
fn pause(took: Duration) -> Duration {
    DEBOUNCE.max(took.saturating_mul(COUNTING_SHARE))
}

/// A policy with what was compiled of it.
type Policy = (Arc<RuntimePolicy>, Arc<Checked>);

/// The statuses that changed.
#[derive(Default)]
struct Statuses {
    policies: Vec<(Arc<RuntimePolicy>, RuntimePolicyStatus)>,
    bindings: Vec<(Arc<RuntimePolicyBinding>, RuntimePolicyBindingStatus)>,
}

/// Computes and writes the statuses of one moment.
struct Writer<'a> {
    responder: &'a Controller,
    cache: &'a Cache,
    counted: &'a Counted,
    heartbeat: &'a Heartbeat,
}

impl Writer<'_> {
    /// The statuses that report something new.
    async fn compute(&self, metrics: &Metrics) -> Statuses {
        let now = Timestamp::now();
        let config = self.responder.config();
        let (policies, bindings, namespaces) = self.rules();
        let mut changed = Statuses::default();
        for (policy, checked) in &policies {
            // Counting pods takes time, in which responses are due.
            tokio::task::yield_now().await;
            let failures = self.responder.evaluation_failures(policy);
            let constraints = checked.compiled.as_ref().ok().map(|p| &p.constraints);
            let matching = constraints.and_then(|of| self.matching(&namespaces, &[of]));
            let coverage = matching.map(|matching| matching.coverage);
            let status = of_policy(policy, checked, &failures, coverage, now);
            if policy.status.as_ref() != Some(&status) {
                changed.policies.push((Arc::clone(policy), status));
            }
        }
        let guarded = Guarded {
            responder: self.responder,
            config,
        };
        let mut paused = 0;
        for binding in bindings {
            tokio::task::yield_now().await;
            let policy = policies.iter().find(|(p, _)| {
                p.metadata.name.as_deref() == Some(binding.spec.policy_name.as_str())
            });
            let matching = self.matching_both(&namespaces, &binding, policy);
            let status = of_binding(&binding, policy, &guarded, matching, now);
            self.keep_matched_workloads(&binding, matching.map(|matching| matching.workloads));
            paused += i64::from(status.paused.is_some());
            if binding.status.as_ref() != Some(&status) {
                changed.bindings.push((binding, status));
            }
        }
        metrics.bindings_paused.set(paused);
        let protected = crate::gather::is_protected(config, &self.cache.rules());
        metrics.incidents_protected.set(i64::from(protected));
        changed
    }

    fn rules(&self) -> (Vec<Policy>, Vec<Arc<RuntimePolicyBinding>>, Namespaces) {
        let rules = self.cache.rules();
        let names = rules.policies.all().keys();
        let namespaces = rules.namespaces.all().iter();
        (
            names.filter_map(|name| rules.policy(name)).collect(),
            rules.bindings.all().values().cloned().collect(),
            namespaces
                .map(|(name, n)| (name.clone(), n.metadata.labels.clone().unwrap_or_default()))
                .collect(),
        )
    }

    /// The pods that match, and on how many of their nodes processes are monitored. None: they were not
    /// counted yet.
    fn matching(&self, namespaces: &Namespaces, of: &[&MatchResources]) -> Option<Matching> {
        let monitored = self.counted.monitored.borrow();
        self.counted
            .pods
            .matching(namespaces, of, monitored.as_ref()?)
    }

    /// The same of a binding and its policy, which compiles.
    fn matching_both(
        &self,
        namespaces: &Namespaces,
        binding: &RuntimePolicyBinding,
        policy: Option<&Policy>,
    ) -> Option<Matching> {
        let compiled = policy?.1.compiled.as_ref().ok()?;
        let selectors = MatchResources::compile(&binding.spec.match_resources).ok()?;
        self.matching(namespaces, &[&compiled.constraints, &selectors])
    }

    /// Keeps the number that the guard of bad policies needs.
    fn keep_matched_workloads(&self, binding: &RuntimePolicyBinding, workloads: Option<usize>) {
        let name = binding.metadata.name.clone().unwrap_or_default();
        let matched = &mut self.cache.rules().matched_workloads;
        match workloads {
            Some(workloads) => matched.insert(name, workloads),
            None => matched.remove(&name),
        };
    }

    /// Whether no object was changed since it was known.
    async fn write_all(&self, statuses: Statuses) -> bool {
        let client = self.responder.client();
        let mut all = true;
        for (policy, status) in statuses.policies {
            self.heartbeat.beat();
            all &= write(client, &*policy, &policy.status, &status).await;
        }
        for (binding, status) in statuses.bindings {
            self.heartbeat.beat();
            let written = write(client, &*binding, &binding.status, &status).await;
            all &= written;
            let before = binding.status.as_ref().and_then(|s| s.paused.as_ref());
            if let (true, Some(paused)) = (written, &status.paused)
                && before.is_none_or(|before| before.start_time != paused.start_time)
            {
                self.responder
                    .report_paused(&binding, paused, Timestamp::now());
            }
        }
        all
    }
}

/// Whether the object was not changed since it was known. The patch has the version that the status was
/// computed from: a merge patch replaces the whole list of conditions, with what others wrote meanwhile.
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
        // The response is the object, which can have a part that cannot be decoded.
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

/// The merge patch (RFC 7386) from one value to the other: what is absent in the other is null.
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
