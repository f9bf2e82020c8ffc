//! Tells the sensors which limits on the number of Incidents are reached.
//!
//! Here: when the `ConfigMap` is written. Not here: what it says (`bailiff_response::limits`).
//! Invariant: it is written when it changes, at most every [`INTERVAL`], because each sensor of the
//! cluster then reads it; a write that failed is repeated.

use bailiff_api::IncidentLimits;
use bailiff_api::keys::{INCIDENT_LIMITS, INCIDENT_LIMITS_KEY};
use bailiff_response::limits::Limits;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Least time between two writes.
const INTERVAL: Duration = Duration::from_secs(10);
/// When it is written although nothing changed: another client may have changed it. The API server reports
/// no update without a change.
const REFRESH: Duration = Duration::from_mins(5);

/// What was written of the limits.
pub(crate) struct PublishedLimits {
    client: Client,
    namespace: String,
    /// None: it is not known what the `ConfigMap` says.
    known: Option<IncidentLimits>,
    /// When it was written last, or the leader began.
    last: Instant,
    writing: Option<(IncidentLimits, JoinHandle<bool>)>,
}

impl PublishedLimits {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        Self {
            client,
            namespace,
            known: None,
            last: Instant::now(),
            writing: None,
        }
    }

    /// Begins to write the limits if the `ConfigMap` may say something else.
    pub(crate) fn tick(&mut self, limits: &Limits, now: Instant) {
        if let Some((written, writing)) = &mut self.writing {
            let Some(ended) = writing.now_or_never() else {
                return;
            };
            self.known = matches!(ended, Ok(true)).then(|| std::mem::take(written));
            self.writing = None;
        }
        let since = now.duration_since(self.last);
        if since < INTERVAL {
            return;
        }
        let wanted = limits.published();
        if since < REFRESH && self.known.as_ref() == Some(&wanted) {
            return;
        }
        self.last = now;
        let write = write(self.client.clone(), self.namespace.clone(), wanted.clone());
        self.writing = Some((wanted, tokio::spawn(write)));
    }
}

impl Drop for PublishedLimits {
    fn drop(&mut self) {
        if let Some((_, writing)) = &self.writing {
            writing.abort();
        }
    }
}

/// Whether the `ConfigMap` says so now.
async fn write(client: Client, namespace: String, limits: IncidentLimits) -> bool {
    let text = match limits.text() {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(error, "Cannot encode the limits on Incidents");
            return false;
        }
    };
    let api = Api::<ConfigMap>::namespaced(client, &namespace);
    let patch = Patch::Merge(json!({"data": {INCIDENT_LIMITS_KEY: text}}));
    match api
        .patch(INCIDENT_LIMITS, &PatchParams::default(), &patch)
        .await
    {
        Ok(_) | Err(kube::Error::SerdeError(_)) => {
            tracing::info!(
                namespaces = limits.namespaces.len(),
                fallback_namespaces = limits.fallback_namespaces.len(),
                cluster_full = limits.cluster_full,
                "Published the limits on Incidents"
            );
            true
        }
        Err(error) => {
            tracing::warn!(
                %error, namespace, config_map = INCIDENT_LIMITS,
                "Cannot publish the limits on Incidents, so sensors create audited Incidents without a limit; it is retried. Restore a missing ConfigMap with helm upgrade"
            );
            false
        }
    }
}
