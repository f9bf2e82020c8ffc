//! Tells what was done: the Incident's status first, then Events.
//!
//! Here: the writes. Not here: the words (`bailiff_response::messages`).
//! Invariant: a status is written until it is taken; an Event that fails holds nothing up.

use super::{Controller, End, Took, condition};
use crate::metrics::Reason;
use bailiff_api::{Incident, IncidentStatus, WorkloadReference, condition::types};
use bailiff_kube::events::Notice;
use bailiff_response::messages::{self, Regarding};
use bailiff_response::{Outcome, apply_outcome};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use std::time::Duration;

/// First and longest pause before a status is written again.
const WRITE_RETRY: Duration = Duration::from_millis(250);
const WRITE_RETRY_MAX: Duration = Duration::from_secs(30);

impl Controller {
    /// Status first, then Events; an Event that fails is logged and holds nothing up.
    pub(super) async fn tell(
        &self,
        incident: &mut Incident,
        workload: Option<&WorkloadReference>,
        outcome: &Outcome,
        took: &Took,
    ) -> Result<(), End> {
        let now = Timestamp::now();
        let status = apply_outcome(incident, workload, outcome, now);
        let before = condition(incident.status.as_ref(), types::RESPONDED);
        let first = before.is_none();
        // A wait that goes on for the same reason is told once, but its status stays true. That it
        // was given up is news, also where the reason is the same.
        let same = |c: &Condition| (&*c.status, &*c.reason) == (outcome.status(), outcome.reason());
        let told = before.is_some_and(same);
        if !told || incident.status.as_ref() != Some(&status) {
            self.write(incident, &status).await?;
        }
        if !told {
            self.measure(incident, outcome, first);
            tracing::info!(
                incident = incident.metadata.name,
                namespace = incident.metadata.namespace,
                pod = incident.spec.pod.name,
                uid = incident.spec.pod.uid,
                policy = incident.spec.policy_ref.name,
                outcome = outcome.reason(),
                read_ms = took.read.as_secs_f64() * 1000.0,
                request_ms = took.request.as_secs_f64() * 1000.0,
                "incident",
            );
            let pod = reference(
                "v1",
                "Pod",
                &incident.spec.pod.name,
                &incident.spec.pod.uid,
                incident,
            );
            self.publish(incident, outcome, Regarding::Pod, &pod, None, now)
                .await;
            if let Some(w) = workload {
                let owner = reference(&w.api_version, &w.kind, &w.name, &w.uid, incident);
                self.publish(
                    incident,
                    outcome,
                    Regarding::Workload(&w.kind),
                    &owner,
                    Some(pod),
                    now,
                )
                .await;
            }
        }
        incident.status = Some(status);
        Ok(())
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
            self.send(
                incident,
                note,
                outcome.reason(),
                regarding.clone(),
                related,
                now,
            )
            .await;
        }
    }

    fn measure(&self, incident: &Incident, outcome: &Outcome, first: bool) {
        let reason = outcome.reason();
        self.metrics.answers.get_or_create(&Reason { reason }).inc();
        if let (Outcome::Removed { at, .. }, true) = (outcome, first) {
            let took = at.duration_since(incident.spec.exec_time.0);
            self.metrics.answer_seconds.observe(took.as_secs_f64());
        }
    }

    pub(super) async fn send(
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
            tracing::warn!(error = %error, incident = incident.metadata.name, "cannot write an event");
        }
    }

    /// A merge patch without `series`, which the sensor owns. It is tried until it is taken: what
    /// was done must not be lost because the API server was away for a moment.
    pub(super) async fn write(
        &self,
        incident: &Incident,
        status: &IncidentStatus,
    ) -> Result<(), End> {
        let name = incident.metadata.name.as_deref().unwrap_or_default();
        let ours = IncidentStatus {
            series: None,
            ..status.clone()
        };
        let mut patch = serde_json::json!({ "status": ours });
        if ours.dry_run_response.is_none() {
            // What an audit said before an enforcement does not stay beside its answer.
            patch["status"]["dryRunResponse"] = serde_json::Value::Null;
        }
        let patch = Patch::Merge(patch);
        let mut pause = WRITE_RETRY;
        loop {
            let written = self
                .incidents(incident)
                .patch_status(name, &PatchParams::default(), &patch)
                .await;
            match written {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Err(End::Gone),
                Err(error) => {
                    tracing::warn!(%error, incident = name, "cannot write a status; it is tried again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(WRITE_RETRY_MAX);
        }
    }
}

pub(super) fn reference(
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
        namespace: incident.metadata.namespace.clone(),
        ..ObjectReference::default()
    }
}
