//! Sees a workload whole again after its pod was taken away.
//!
//! Here: looking until it is known, and telling it. Not here: what counts as a replacement
//! (`recovery`).
//! Invariant: one pod is counted for one Incident; what was found is told once.

use super::tell::reference;
use super::{Controller, End};
use crate::metrics::Reason;
use crate::recovery::look;
use bailiff_api::{Incident, condition::types};
use bailiff_response::{Recovery, is_settled, messages, recovered};
use jiff::Timestamp;
use std::sync::PoisonError;

impl Controller {
    /// Waits for the replacement of a pod that was taken away.
    pub(super) async fn recover(&self, incident: Incident) -> Result<(), End> {
        let status = incident.status.clone().unwrap_or_default();
        let Some(since) = status.response.map(|r| r.time.0) else {
            return Ok(());
        };
        if is_settled(&incident, types::RECOVERED) {
            return Ok(());
        }
        let timeout = self.config.replacement_timeout;
        let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
        let recovery = loop {
            let count = |uid: &str| self.count(&incident, uid);
            let looking = async {
                let _place = self.later.enter(namespace).await;
                Box::pin(look(&self.client, &incident, since, timeout, count)).await
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
            self.pause(self.config.replacement_poll).await?;
        };
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
            &after.workload,
        ) {
            let owner = reference(&w.api_version, &w.kind, &w.name, &w.uid, &incident);
            self.send(&incident, note, reason, owner, None, now).await;
        }
        Ok(())
    }

    /// Counts a pod for an Incident, unless another has it.
    pub(super) fn count(&self, incident: &Incident, pod_uid: &str) -> bool {
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.count(pod_uid, uid, Timestamp::now())
    }
}
