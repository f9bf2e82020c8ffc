//! Sees a workload whole again after its pod was taken away.
//!
//! Here: looking until it is known, and telling it. Not here: what counts as a replacement
//! (`recovery`).
//! Invariant: one pod is counted for one Incident; what was found is told once.

use super::tell::reference;
use super::{Controller, End};
use crate::metrics::Reason;
use crate::recovery::{Claim, Counted, Queue, look};
use bailiff_api::{Incident, condition::types};
use bailiff_response::{Recovery, is_final, messages, recovered};
use jiff::Timestamp;
use std::sync::{MutexGuard, PoisonError};

impl Controller {
    /// Waits for the replacement of a pod that was taken away.
    pub(super) async fn recover(&self, incident: Incident) -> Result<(), End> {
        let status = incident.status.clone().unwrap_or_default();
        let Some(since) = status.response.map(|r| r.time.0) else {
            return Ok(());
        };
        if is_final(&incident, types::RECOVERED) {
            return Ok(());
        }
        let timeout = self.config.replacement_deadline;
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        let waiting = Waiting::begin(self, &incident, since);
        let recovery = loop {
            let looking = async {
                let _place = self.later.enter(namespace).await;
                let claim = waiting.claim();
                Box::pin(look(&self.client, &incident, since, timeout, claim)).await
            };
            let looked = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Err(End::Stopping),
                looked = looking => looked,
            };
            match looked {
                Ok(Recovery::Waiting) => {}
                Ok(recovery) => break recovery,
                Err(error) => {
                    tracing::warn!(%error, incident = incident.metadata.name, "cannot look for the replacement");
                }
            }
            self.pause(self.config.replacement_poll_interval).await?;
        };
        drop(waiting);
        let now = Timestamp::now();
        let after = recovered(&incident, &recovery, now);
        self.write(&incident, &after).await?;
        let reason = recovery.reason();
        tracing::info!(
            incident = incident.metadata.name,
            namespace = incident.metadata.namespace,
            pod = incident.spec.pod.name,
            outcome = reason,
            "recovery",
        );
        self.metrics
            .recoveries
            .get_or_create(&Reason { reason })
            .inc();
        if let (Some(note), Some(w)) = (
            messages::recovered_note(&incident, &recovery),
            &after.workload_ref,
        ) {
            let owner = reference(&w.api_version, &w.kind, &w.name, &w.uid, &incident);
            self.send(&incident, note, reason, owner, None, now).await;
        }
        Ok(())
    }

    pub(super) fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An Incident that waits for its replacement, as long as this lives.
struct Waiting<'a> {
    controller: &'a Controller,
    incident_uid: String,
    /// None: nothing else can want its replacement.
    queue: Option<Queue>,
    answered: Timestamp,
}

impl<'a> Waiting<'a> {
    fn begin(controller: &'a Controller, incident: &Incident, answered: Timestamp) -> Self {
        let incident_uid = incident.metadata.uid.clone().unwrap_or_default();
        let queue = Queue::of(incident);
        if let Some(queue) = &queue {
            controller.counted().wait(queue, answered, &incident_uid);
        }
        Self {
            controller,
            incident_uid,
            queue,
            answered,
        }
    }

    /// What is asked about pods in one look.
    fn claim(&self) -> impl FnMut(&str) -> Claim {
        let mut earlier = self.queue.as_ref().map_or(0, |queue| {
            let counted = self.controller.counted();
            counted.earlier(queue, self.answered, &self.incident_uid)
        });
        move |pod| {
            let mut counted = self.controller.counted();
            counted.claim(pod, &self.incident_uid, &mut earlier, Timestamp::now())
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            let mut counted = self.controller.counted();
            counted.leave(queue, self.answered, &self.incident_uid);
        }
    }
}
