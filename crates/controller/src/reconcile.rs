//! Responds to one Incident: read, plan, act, report.
//!
//! Here: one pass over an Incident, from the facts to how its slot in the queue ends. Not here: which
//! Incident is next and what a plan, a request or its result comes to (`bailiff_response`), the requests
//! (`remove`), status and Events (`report`), a pass over an Incident that waits like another one (`remembered`).
//! Invariant: what `bailiff_response` decides is reserved in the limits in the same step; an earlier
//! removal of the pod whose result is unknown is settled before anything else is done about the pod.

mod events;
mod remembered;
mod remove;
mod report;
mod unwritten;

use crate::cache::Cache;
use crate::config::Config;
use crate::gather::{Gathered, gather, settings};
use crate::metrics::Metrics;
use crate::policy_status::Failures;
use crate::recovery::ReplacementClaims;
use crate::remembered_owners::RememberedOwners;
use bailiff_api::{Incident, IncidentType, RuntimePolicy, condition::types, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::events::Recorder;
use bailiff_response::{
    Controls, Facts, Finished, Job, Key, Lookup, Queue, QueueSettings, RemovalRequest, Step,
    Verified, is_final, needs_reevaluation,
};
use events::Events;
use jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};
pub(crate) use report::Timings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unwritten::Unwritten;

/// How long it is remembered that a termination was shortened: longer than any termination is
/// expected to last.
const SHORTENED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Why a pass ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The Incident no longer exists.
    NotFound,
    /// This replica no longer leads; nothing that was begun was left half done.
    Stopping,
    /// The status could not be written; the least pause that the API server asked for. What was done is
    /// remembered.
    Unwritten(Option<SignedDuration>),
}

/// The queue and the limits, which every decision reads and writes in one step.
pub(crate) struct Work {
    pub(crate) queue: Queue,
    pub(crate) controls: Controls,
}

/// An Incident that reports an evaluation error.
struct FailedEvaluation {
    policy_uid: String,
    generation: i64,
    node: String,
}

/// Responds to Incidents.
pub(crate) struct Controller {
    client: Client,
    config: Config,
    events: Events,
    metrics: Metrics,
    cache: Cache,
    work: Mutex<Work>,
    unwritten: Mutex<Unwritten>,
    shortened: Mutex<BTreeMap<String, Timestamp>>,
    owners: Mutex<RememberedOwners>,
    claims: Mutex<ReplacementClaims>,
    failures: Mutex<BTreeMap<String, FailedEvaluation>>,
    /// Takes Incidents whose pod was removed, to wait for the replacement.
    recovering: mpsc::UnboundedSender<Box<Incident>>,
    stopping: CancellationToken,
}

impl Controller {
    /// A controller that has learned nothing yet. Once `stopping` is cancelled it requests nothing
    /// new, and only reports what it has done.
    #[must_use]
    pub(crate) fn new(
        client: Client,
        config: Config,
        cache: Cache,
        metrics: Metrics,
        recovering: mpsc::UnboundedSender<Box<Incident>>,
        stopping: CancellationToken,
    ) -> Self {
        let recorder = Recorder::new(
            client.clone(),
            keys::REPORTING_CONTROLLER,
            config.identity.clone(),
        );
        let duration = |d| SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX);
        let queue = Queue::new(QueueSettings {
            recheck_interval: duration(config.incident_recheck_interval),
            initial_backoff: duration(config.eviction_initial_backoff),
            max_backoff: duration(config.eviction_max_backoff),
            ..QueueSettings::default()
        });
        let controls = Controls::new(settings(&config).rate_limits);
        Self {
            client,
            config,
            events: Events::new(recorder, metrics.clone()),
            metrics,
            cache,
            work: Mutex::new(Work { queue, controls }),
            unwritten: Mutex::default(),
            shortened: Mutex::default(),
            owners: Mutex::default(),
            claims: Mutex::default(),
            failures: Mutex::default(),
            recovering,
            stopping,
        }
    }

    /// The queue and the limits. Hold them for a moment only.
    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Incident as it is now; none: it no longer exists, or can no longer be decoded, which the
    /// watch reports.
    async fn read(&self, key: &Key) -> Result<Option<Incident>, kube::Error> {
        let api = Api::<Decoded<Incident>>::namespaced(self.client.clone(), &key.namespace);
        let now = api.get_opt(&key.name).await?;
        let now = now.and_then(|now| now.into_result().ok());
        Ok(now.filter(|now| now.metadata.uid.as_ref() == Some(&key.uid)))
    }

    /// Reads an Incident, unless the watch has just brought it, and responds to it once.
    ///
    /// # Errors
    /// When it no longer exists, this replica no longer leads, or its status could not be written.
    pub(crate) async fn reconcile_job(
        &self,
        job: &Job,
        brought: Option<Incident>,
    ) -> Result<Finished, Stop> {
        let Job { key, fresh } = job;
        let mut incident = match brought {
            Some(incident) => incident,
            None => match self.read(key).await {
                Ok(Some(incident)) => incident,
                Ok(None) => return Err(Stop::NotFound),
                Err(error) => {
                    tracing::warn!(%error, incident = key.name, "Cannot read an Incident; it is retried");
                    return Ok(Finished::failed());
                }
            },
        };
        let done = self.unwritten().done(&key.uid).cloned();
        if let Some(done) = done {
            let timings = Timings::begin();
            let report = self.report(&mut incident, &done.verified, &done.outcome, &timings);
            report.await?;
            return Ok(Finished::requested(&done.outcome, None));
        }
        if is_final(&incident, types::RESPONDED) && !needs_reevaluation(&incident) {
            return Ok(Finished::Final);
        }
        if self.unwritten().is_full() {
            tracing::warn!(
                incident = key.name,
                namespace = key.namespace,
                "Too many statuses could not be written; no pod is removed until they are"
            );
            return Ok(Finished::failed());
        }
        // One that had a slot may have its turn now.
        if *fresh && let Some(waits) = Box::pin(self.reconcile_remembered(&mut incident)).await? {
            return Ok(waits);
        }
        Box::pin(self.reconcile_once(key, incident)).await
    }

    /// Reads everything, plans and acts once.
    async fn reconcile_once(&self, key: &Key, mut incident: Incident) -> Result<Finished, Stop> {
        let mut timings = Timings::begin();
        let Gathered {
            mut facts,
            switch,
            direct,
        } = self.gather(&incident).await;
        timings.read();
        let settled = self.work().controls.settle(&facts);
        if let Some((verified, outcome)) = settled {
            let report = self.report(&mut incident, &verified, &outcome, &timings);
            report.await?;
            return Ok(Finished::requested(&outcome, None));
        }
        if let Lookup::Found(pod) = &mut facts.pod {
            pod.shortened = self.was_shortened(&incident.spec.pod.uid);
        }
        let verified = verified(&facts);
        let mut step = self.decide(&incident, &mut facts);
        if let Step::Shorten(shortening) = &step {
            let shortened = self.shorten(&incident, &facts, shortening).await?;
            if let Some((outcome, retry_after)) = shortened {
                timings.requested();
                self.report(&mut incident, &verified, &outcome, &timings)
                    .await?;
                return Ok(Finished::requested(&outcome, retry_after));
            }
            // It had no effect, and is not tried again.
            if let Lookup::Found(pod) = &mut facts.pod {
                pod.shortened = true;
            }
            step = self.decide(&incident, &mut facts);
        }
        let (outcome, finished) = match step {
            Step::Shorten(_) => return Ok(Finished::failed()),
            Step::Report(outcome, finished) => (outcome, finished),
            Step::DryRun(removal) => {
                let outcome = self.dry_run(&incident, &facts, &removal).await?;
                timings.requested();
                (outcome, Finished::Final)
            }
            Step::Remove(action, removal) => {
                let request = RemovalRequest {
                    key: key.clone(),
                    action,
                    removal,
                    verified: verified.clone(),
                    at: Timestamp::now(),
                };
                let requested = self.remove_pod(&incident, &facts, request, switch).await?;
                timings.requested();
                let (outcome, retry_after) = requested;
                let finished = Finished::requested(&outcome, retry_after);
                (outcome, finished)
            }
        };
        self.report(&mut incident, &verified, &outcome, &timings)
            .await?;
        self.remember_owner(&facts, direct, &finished);
        Ok(finished)
    }

    /// The facts of an Incident. On the heap only while it lasts.
    async fn gather(&self, incident: &Incident) -> Gathered {
        Box::pin(gather(&self.client, &self.cache, &self.config, incident)).await
    }

    /// Plans, and notes the removal in the same step, so that no two use one place.
    fn decide(&self, incident: &Incident, facts: &mut Facts) -> Step {
        let mut work = self.work();
        let Work { queue, controls } = &mut *work;
        let plan = controls.decide(queue, incident, facts, Timestamp::now());
        plan.into()
    }

    /// Before the end: what was requested without a known result is reported if it was done. Who
    /// leads next would find a terminating pod, and not know why.
    pub(crate) async fn last_look(&self) {
        let all = self.work().controls.unsettled();
        for unsettled in all {
            let request = &unsettled.request;
            let key = &request.key;
            let Ok(Some(mut incident)) = self.read(key).await else {
                continue;
            };
            let mut timings = Timings::begin();
            let gathered = self.gather(&incident).await;
            timings.read();
            if let Some(outcome) = unsettled.last_outcome(&gathered.facts) {
                let reported = self.report(&mut incident, &request.verified, &outcome, &timings);
                if let Err(stop) = reported.await {
                    tracing::warn!(
                        ?stop,
                        incident = key.name,
                        "Cannot report a removal before the end"
                    );
                }
            }
        }
        let all = self.unwritten().all();
        for done in all {
            let job = Job {
                key: done.key,
                fresh: false,
            };
            if let Err(stop) = self.reconcile_job(&job, None).await {
                tracing::warn!(
                    ?stop,
                    incident = job.key.name,
                    "Cannot report what was done before the end"
                );
            }
        }
    }

    /// Waits for seconds until the Events are written that were begun.
    pub(crate) async fn finish_events(&self) {
        self.events.finish().await;
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn shortened(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.shortened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Which Incident each replacement is counted for. Hold it for a moment only.
    pub(crate) fn claims(&self) -> MutexGuard<'_, ReplacementClaims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Learns of an Incident that reports an evaluation error.
    pub(crate) fn observe_failure(&self, incident: &Incident) {
        let (spec, uid) = (&incident.spec, incident.metadata.uid.clone());
        if spec.type_ == IncidentType::EvaluationFailed {
            let failure = FailedEvaluation {
                policy_uid: spec.policy_ref.uid.clone(),
                generation: spec.policy_ref.generation,
                node: spec.node_name.clone(),
            };
            self.failures().insert(uid.unwrap_or_default(), failure);
        }
    }

    /// Forgets an Incident that was deleted, by UID.
    pub(crate) fn forget(&self, incident_uid: &str) {
        self.failures().remove(incident_uid);
        self.claims().deleted(incident_uid);
        self.unwritten().forget(incident_uid);
    }

    /// What the status of an Incident records needs no further write.
    pub(crate) fn observe_response(&self, incident: &Incident) {
        let response = incident.status.as_ref().and_then(|s| s.response.as_ref());
        if let (Some(response), Some(uid)) = (response, incident.metadata.uid.as_deref()) {
            self.unwritten().is_recorded(uid, response.time.0);
        }
    }

    /// All Incidents that exist, by UID: others were deleted while the watch was broken.
    pub(crate) fn relisted(&self, present: &BTreeSet<String>) {
        let mut work = self.work();
        work.queue.relisted(present);
        work.controls.relisted(present);
        drop(work);
        self.claims().relisted(present);
        self.failures().retain(|uid, _| present.contains(uid));
        self.unwritten().retain(present);
    }

    /// The evaluation errors of the current generation of a policy.
    pub(crate) fn evaluation_failures(&self, policy: &RuntimePolicy) -> Failures {
        let metadata = &policy.metadata;
        let failures = self.failures();
        let current = failures.values().filter(|f| {
            Some(&f.policy_uid) == metadata.uid.as_ref()
                && Some(f.generation) == metadata.generation
        });
        Failures {
            nodes: current.map(|f| f.node.clone()).collect(),
        }
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, FailedEvaluation>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an Incident whose pod was removed.
    pub(crate) fn await_replacement(&self, incident: &Incident) {
        if self.recovering.send(Box::new(incident.clone())).is_err() {
            tracing::warn!(
                incident = incident.metadata.name,
                "Cannot wait for a replacement, as the controller stops"
            );
        }
    }

    fn was_shortened(&self, pod_uid: &str) -> bool {
        let now = Timestamp::now();
        let mut shortened = self.shortened();
        shortened.retain(|_, at| now.duration_since(*at) < SHORTENED_FOR);
        shortened.contains_key(pod_uid)
    }
}

fn verified(facts: &Facts) -> Verified {
    Verified {
        workload: facts.owner.workload().cloned(),
        started: match &facts.pod {
            Lookup::Found(pod) if pod.uid == facts.violation.pod_uid => pod.started,
            Lookup::Found(_) | Lookup::NotFound | Lookup::Failed(_) => None,
        },
    }
}

#[cfg(test)]
mod tests;
