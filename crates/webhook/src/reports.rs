//! Pods that a policy denies, for their owners.
//!
//! Here: what is reported. Not here: writing it as an Event.
//! Invariant: a report never delays a review.

use prometheus_client::registry::Registry;
use serde_json::Value as Json;

/// A pod that is going to be rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct DeniedPod {
    /// Namespace of the pod.
    pub namespace: String,
    /// The metadata of the pod. It has no UID yet; its controller is in its owner references.
    pub metadata: Json,
    /// The message of the rejection.
    pub message: String,
}

/// Takes reports.
pub trait Reports: Send + Sync + 'static {
    /// Reports a pod, at once or later. Never called for a dry run.
    fn denied(&self, pod: DeniedPod);

    /// Names its metrics in the webhook's part of a registry of metrics.
    fn register(&self, _: &mut Registry) {}
}

/// Reports in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl Reports for Logged {
    fn denied(
        &self,
        DeniedPod {
            namespace, message, ..
        }: DeniedPod,
    ) {
        tracing::info!(namespace, message, "Denied a pod");
    }
}
