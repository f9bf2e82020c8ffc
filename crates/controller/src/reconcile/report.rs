//! Reports what was done: the Incident's status first, then Events.
//!
//! Here: the writes. Not here: the sentences (`bailiff_response::messages`).
//! Invariant: no status holds a slot for more than seconds, and no Event for any time; what was done is
//! reported until the API server accepts the status or rejects it for good, which is logged and counted.

use super::remove::{Answer, send};
use super::unwritten::Done;
use super::{Controller, Stop};
use crate::metrics::Reason;
use bailiff_api::{
    Incident, IncidentStatus, PausedStatus, RuntimePolicyBinding, WorkloadReference,
    condition::types,
};
use bailiff_kube::events::EventSpec;
use bailiff_response::messages::{self, Regarding};
use bailiff_response::{
    Key, Outcome, Paused, Recovery, Verified, apply_outcome, is_final, is_of_admission, recovered,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Status};
use kube::Resource as _;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use std::time::Duration;
use tokio::time::Instant;

/// The pause before a status is written once more in the same slot.
const WRITE_RETRY: Duration = Duration::from_millis(250);
/// Timeout of a write in a slot.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
/// Field manager of the statuses that the controller writes. A sensor's writes have another, so that
/// the API server records when each wrote last.
const FIELD_MANAGER: &str = "bailiff-controller";

/// How long the steps of a response took, for the log: it shows which one was slow.
pub(crate) struct Timings {
    last: Instant,
    read: Duration,
    request: Duration,
}

impl Timings {
    pub(crate) fn begin() -> Self {
        Self {
            last: Instant::now(),
            read: Duration::ZERO,
            request: Duration::ZERO,
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.last, now))
    }

    /// Everything that the plan depends on was read.
    pub(super) fn read(&mut self) {
        self.read = self.lap();
    }

    /// The API server responded to the request.
    pub(super) fn requested(&mut self) {
        self.request = self.lap();
    }
}

impl Controller {
    /// Status first, then Events.
    ///
    /// # Errors
    /// When the Incident no longer exists, or the status could not be written.
    pub(super) async fn report(
        &self,
        incident: &mut Incident,
        verified: &Verified,
        outcome: &Outcome,
        timings: &Timings,
    ) -> Result<(), Stop> {
        let now = Timestamp::now();
        let status = apply_outcome(incident, verified, outcome, now);
        let before = responded(incident.status.as_ref());
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        // One that was not written before: it is news, also if the API server has it.
        let again = self.unwritten().done(uid).map(|done| done.first);
        let first = again.unwrap_or(before.is_none());
        // A wait that goes on for the same reason is reported once, but its status stays true. That
        // it ended is news, also where the reason is the same.
        let same = |c: &Condition| (&*c.status, &*c.reason) == (outcome.status(), outcome.reason());
        let reported = again.is_none() && before.is_some_and(same);
        if incident.status.as_ref() != Some(&status)
            && let Err(stop) = self.write(incident, &status).await
        {
            if let (Stop::Unwritten(_), Some(key)) = (stop, Key::of(incident)) {
                self.unwritten().keep(Done {
                    key,
                    verified: verified.clone(),
                    outcome: outcome.clone(),
                    first,
                });
            }
            return Err(stop);
        }
        incident.status = Some(status);
        if matches!(outcome, Outcome::Removed { .. }) && !is_final(incident, types::RECOVERED) {
            self.await_replacement(incident);
        }
        if reported {
            return Ok(());
        }
        self.measure(incident, outcome, first);
        tracing::info!(
            incident = incident.metadata.name,
            namespace = incident.metadata.namespace,
            pod = incident.spec.pod.name,
            uid = incident.spec.pod.uid,
            policy = incident.spec.policy_ref.name,
            outcome = outcome.reason(),
            read_ms = timings.read.as_secs_f64() * 1000.0,
            request_ms = timings.request.as_secs_f64() * 1000.0,
            "Responded to Incident",
        );
        let pod = &incident.spec.pod;
        let pod = reference("v1", "Pod", &pod.name, &pod.uid, incident);
        self.publish(incident, outcome, Regarding::Pod, &pod, None, now);
        if let Some(w) = &verified.workload {
            let about = Regarding::Workload(&w.kind);
            let workload = workload_reference(w, incident);
            self.publish(incident, outcome, about, &workload, Some(pod), now);
        }
        Ok(())
    }

    /// Reports what became of the workload.
    ///
    /// # Errors
    /// When the Incident no longer exists, or the status could not be written.
    pub(crate) async fn report_recovery(
        &self,
        incident: &Incident,
        recovery: &Recovery,
    ) -> Result<(), Stop> {
        let now = Timestamp::now();
        let after = recovered(incident, recovery, now);
        self.write(incident, &after).await?;
        let reason = recovery.reason();
        tracing::info!(
            incident = incident.metadata.name,
            namespace = incident.metadata.namespace,
            pod = incident.spec.pod.name,
            outcome = reason,
            "Recovered from an Incident",
        );
        self.metrics
            .recoveries
            .get_or_create(&Reason { reason })
            .inc();
        let note = messages::recovered_note(incident, recovery);
        if let (Some(note), Some(w)) = (note, &after.workload_ref) {
            let workload = workload_reference(w, incident);
            self.send(note, "Replacing", workload, None, now);
        }
        Ok(())
    }

    /// Reports on a binding that the bad-policy guard paused it.
    pub(crate) fn report_paused(
        &self,
        binding: &RuntimePolicyBinding,
        paused: &PausedStatus,
        now: Timestamp,
    ) {
        let metadata = &binding.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let paused = Paused::recorded(name, paused);
        let note = messages::paused_note(&paused);
        let notice = EventSpec {
            reason: note.reason,
            action: "Pausing",
            warning: note.warning,
            note: note.text,
            regarding: ObjectReference {
                api_version: Some(format!("{}/{}", bailiff_api::GROUP, bailiff_api::VERSION)),
                kind: Some("RuntimePolicyBinding".to_owned()),
                name: metadata.name.clone(),
                uid: metadata.uid.clone(),
                ..ObjectReference::default()
            },
            related: None,
        };
        self.events.write(notice, now);
    }

    fn publish(
        &self,
        incident: &Incident,
        outcome: &Outcome,
        about: Regarding<'_>,
        regarding: &ObjectReference,
        related: Option<ObjectReference>,
        now: Timestamp,
    ) {
        if let Some(note) = messages::note(incident, outcome, about) {
            let (action, regarding) = (action(outcome), regarding.clone());
            self.send(note, action, regarding, related, now);
        }
    }

    fn measure(&self, incident: &Incident, outcome: &Outcome, first: bool) {
        let reason = outcome.reason();
        self.metrics
            .responses
            .get_or_create(&Reason { reason })
            .inc();
        if let (Outcome::Removed { at, .. }, true) = (outcome, first) {
            let took = at.duration_since(incident.spec.exec_time.0);
            self.metrics.response_duration.observe(took.as_secs_f64());
        }
    }

    fn send(
        &self,
        note: messages::Note,
        action: &'static str,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        now: Timestamp,
    ) {
        let notice = EventSpec {
            reason: note.reason,
            action,
            warning: note.warning,
            note: note.text,
            regarding,
            related,
        };
        self.events.write(notice, now);
    }

    /// A merge patch without `series`, which the sensor owns. It is tried once more after a moment, and
    /// then again in a later slot: no slot waits until the API server is available.
    ///
    /// # Errors
    /// When the Incident no longer exists, or the status has to be written again.
    async fn write(&self, incident: &Incident, status: &IncidentStatus) -> Result<(), Stop> {
        let name = incident.metadata.name.as_deref().unwrap_or_default();
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        let patch = Patch::Merge(patch(status));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        for pause in [None, Some(WRITE_RETRY)] {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            let request = Request::new(Incident::url_path(&(), Some(namespace)));
            let Ok(request) = request.patch_subresource("status", name, &params, &patch) else {
                break;
            };
            let sent = tokio::time::timeout(WRITE_LIMIT, send(&self.client, request));
            let (answer, retry_after) = match sent.await {
                Ok(Answer::Accepted) => {
                    self.unwritten().forget(uid);
                    return Ok(());
                }
                Ok(Answer::Rejected(answer, retry_after)) => (answer, retry_after),
                Ok(Answer::None) | Err(_) => {
                    tracing::warn!(
                        incident = name,
                        namespace,
                        "Cannot write the status of an Incident, as the API server does not answer; it is retried"
                    );
                    continue;
                }
            };
            let error = answer.message.as_deref().unwrap_or_default();
            let given_up = match Refusal::of(&answer) {
                Refusal::NotFound => return Err(Stop::NotFound),
                Refusal::Rejected => self.unwritten().rejected(uid),
                Refusal::Invalid => true,
                Refusal::Busy => {
                    tracing::warn!(%error, incident = name, namespace, "Cannot write the status of an Incident; it is retried");
                    if retry_after.is_none() {
                        continue;
                    }
                    return Err(Stop::Unwritten(retry_after));
                }
            };
            if given_up {
                self.unwritten().forget(uid);
                self.metrics.status_writes_rejected.inc();
                tracing::error!(%error, incident = name, namespace, "The API server rejected the status of an Incident");
                return Ok(());
            }
            tracing::warn!(%error, incident = name, namespace, "The API server rejected the status of an Incident; it is retried a few times");
            return Err(Stop::Unwritten(retry_after));
        }
        Err(Stop::Unwritten(None))
    }
}

/// What it means that a status was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The Incident does not exist.
    NotFound,
    /// Admission denied it, or a permission is missing.
    Rejected,
    /// It is useless to repeat.
    Invalid,
    /// The API server is unavailable, or its response is unclear.
    Busy,
}

impl Refusal {
    /// A webhook chooses the code of its response, so it is checked first. One that cannot be called
    /// rejects as well: it can stay so for as long as its owner likes.
    fn of(answer: &Status) -> Self {
        if is_of_admission(answer) {
            return Self::Rejected;
        }
        match answer.code.unwrap_or_default() {
            404 => Self::NotFound,
            403 => Self::Rejected,
            400 | 405 | 406 | 410 | 411..=428 | 431..=499 => Self::Invalid,
            _ => Self::Busy,
        }
    }
}

/// Fields that are taken away where they are absent, also those within another field: a merge patch keeps
/// what it does not name, and an old deadline would end a later wait.
const OPTIONAL: [&str; 7] = [
    "/dryRunResponse",
    "/dryRunResponse/action",
    "/response/gracePeriodSeconds",
    "/waiting",
    "/waiting/deadline",
    "/waiting/enforced",
    "/waiting/pauseReason",
];

/// What of a status the controller writes; what is absent does not stay.
fn patch(status: &IncidentStatus) -> serde_json::Value {
    let ours = IncidentStatus {
        series: None,
        ..status.clone()
    };
    let mut patch = serde_json::json!({ "status": ours });
    for field in OPTIONAL {
        let (parent, name) = field.rsplit_once('/').unwrap_or_default();
        let parent = patch["status"].pointer_mut(parent);
        if let Some(parent) = parent.and_then(serde_json::Value::as_object_mut) {
            parent.entry(name).or_insert(serde_json::Value::Null);
        }
    }
    patch
}

/// The condition `Responded`.
fn responded(status: Option<&IncidentStatus>) -> Option<&Condition> {
    let conditions = &status?.conditions;
    conditions.iter().find(|c| c.type_ == types::RESPONDED)
}

/// What was attempted, as the `action` of an Event.
const fn action(outcome: &Outcome) -> &'static str {
    use bailiff_api::ResponseAction;
    match outcome {
        Outcome::Removed {
            action: ResponseAction::Delete,
            ..
        } => "Deleting",
        Outcome::Removed { .. } | Outcome::Shortened { .. } => "Evicting",
        Outcome::Waiting { .. } | Outcome::NoAction { .. } => "Responding",
    }
}

fn workload_reference(w: &WorkloadReference, incident: &Incident) -> ObjectReference {
    reference(&w.api_version, &w.kind, &w.name, &w.uid, incident)
}

/// A reference to an object in the namespace of the pod.
fn reference(
    version: &str,
    kind: &str,
    name: &str,
    uid: &str,
    incident: &Incident,
) -> ObjectReference {
    ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        namespace: Some(incident.spec.pod.namespace.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
