//! Reports what was done: the Incident's status first, then Events.
//!
//! Here: the writes. Not here: the sentences (`bailiff_response::messages`).
//! Invariant: a status is written until the API server accepts it or rejects it for good, which is
//! logged and counted, and which nothing waits for; an Event that fails holds nothing up.

use super::{Controller, Stop};
use crate::metrics::Reason;
use bailiff_api::{
    Incident, IncidentStatus, RuntimePolicyBinding, WorkloadReference, condition::types,
};
use bailiff_kube::events::Notice;
use bailiff_response::messages::{self, Regarding};
use bailiff_response::{Outcome, Recovery, Verified, apply_outcome, recovered};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use std::time::Duration;
use tokio::time::Instant;

/// First and longest pause before a status is written again.
const WRITE_RETRY: Duration = Duration::from_millis(250);
const WRITE_RETRY_MAX: Duration = Duration::from_secs(30);
/// So often a status is written that the API server forbids: a permission or an admission policy
/// can be restored meanwhile, as during an upgrade.
const FORBIDDEN_TRIES: u32 = 8;
/// Field manager of the statuses that the controller writes. A sensor's writes have another, so that
/// the API server records when each wrote last.
const FIELD_MANAGER: &str = "bailiff-controller";

/// How long the steps of a response took, for the log: whoever finds responses slow sees which.
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

    /// The API server answered to the request.
    pub(super) fn requested(&mut self) {
        self.request = self.lap();
    }
}

impl Controller {
    /// Status first, then Events.
    ///
    /// # Errors
    /// When the Incident no longer exists.
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
        let first = before.is_none();
        // A wait that goes on for the same reason is reported once, but its status stays true. That
        // it ended is news, also where the reason is the same.
        let same = |c: &Condition| (&*c.status, &*c.reason) == (outcome.status(), outcome.reason());
        let reported = before.is_some_and(same);
        if incident.status.as_ref() != Some(&status) {
            self.write(incident, &status).await?;
        }
        incident.status = Some(status);
        if let Outcome::Removed { .. } = outcome {
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
        self.publish(incident, outcome, Regarding::Pod, &pod, None, now)
            .await;
        if let Some(w) = &verified.workload {
            let about = Regarding::Workload(&w.kind);
            let workload = workload_reference(w, incident);
            self.publish(incident, outcome, about, &workload, Some(pod), now)
                .await;
        }
        Ok(())
    }

    /// Reports what became of the workload.
    ///
    /// # Errors
    /// When the Incident no longer exists.
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
            self.send(incident, note, "Replacing", workload, None, now)
                .await;
        }
        Ok(())
    }

    /// Reports on a binding that the bad-policy guard paused it.
    pub(crate) async fn report_paused(&self, binding: &RuntimePolicyBinding, now: Timestamp) {
        let metadata = &binding.metadata;
        let generation = self
            .cache
            .rules()
            .policies
            .get(&binding.spec.policy_name)
            .and_then(|p| p.metadata.generation);
        let paused = bailiff_response::Paused {
            binding: metadata.name.clone().unwrap_or_default(),
            workloads: None,
            matched_workloads: 0,
            policy_generation: generation.unwrap_or_default(),
            binding_generation: metadata.generation.unwrap_or_default(),
        };
        let note = messages::paused_note(&paused);
        let notice = Notice {
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
        if let Err(error) = self.publisher.publish(&notice, now).await {
            self.metrics.event_failures.inc();
            tracing::warn!(%error, binding = metadata.name, "Cannot write an Event");
        }
    }

    async fn publish(
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
            self.send(incident, note, action, regarding, related, now)
                .await;
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

    async fn send(
        &self,
        incident: &Incident,
        note: messages::Note,
        action: &'static str,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        now: Timestamp,
    ) {
        let notice = Notice {
            reason: note.reason,
            action,
            warning: note.warning,
            note: note.text,
            regarding,
            related,
        };
        if let Err(error) = self.publisher.publish(&notice, now).await {
            self.metrics.event_failures.inc();
            tracing::warn!(%error, incident = incident.metadata.name, "Cannot write an Event");
        }
    }

    /// A merge patch without `series`, which the sensor owns. It is retried until the API server
    /// accepts it, as what was done must not be lost, or rejects it for good.
    async fn write(&self, incident: &Incident, status: &IncidentStatus) -> Result<(), Stop> {
        let name = incident.metadata.name.as_deref().unwrap_or_default();
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        let patch = Patch::Merge(patch(status));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = Api::<Incident>::namespaced(self.client.clone(), namespace);
        let mut pause = WRITE_RETRY;
        let mut forbidden = 0;
        loop {
            match api.patch_status(name, &params, &patch).await {
                // The answer is the Incident, whose series may be one that cannot be decoded.
                Ok(_) | Err(kube::Error::SerdeError(_)) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(Stop::NotFound),
                Err(error) => {
                    if let kube::Error::Api(status) = &error {
                        forbidden += u32::from(status.code == 403);
                        if is_permanent(status.code) || forbidden >= FORBIDDEN_TRIES {
                            self.metrics.status_writes_rejected.inc();
                            tracing::error!(%error, incident = name, namespace, "The API server rejected the status of an Incident");
                            return Ok(());
                        }
                    }
                    tracing::warn!(%error, incident = name, namespace, "Cannot write the status of an Incident; it is retried");
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(WRITE_RETRY_MAX);
        }
    }
}

/// Whether a request with this answer is useless to repeat.
const fn is_permanent(code: u16) -> bool {
    matches!(code, 400 | 405 | 406 | 410 | 411..=428 | 431..=499)
}

/// What of a status the controller writes; what is absent does not stay.
fn patch(status: &IncidentStatus) -> serde_json::Value {
    let ours = IncidentStatus {
        series: None,
        ..status.clone()
    };
    let mut patch = serde_json::json!({ "status": ours });
    for field in ["waiting", "dryRunResponse"] {
        let status = &mut patch["status"];
        if status.get(field).is_none() {
            status[field] = serde_json::Value::Null;
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
