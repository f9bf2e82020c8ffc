//! Pods that a policy denies, for their owners.
//!
//! Here: what is reported. Not here: writing it as an Event.
//! Invariant: a report never delays a review.

use prometheus_client::registry::Registry;
use serde_json::Value as Json;

/// Takes reports.
pub trait Reports: Send + Sync + 'static {
    /// Reports that a pod of a namespace is going to be rejected with a message, at once or later. The pod
    /// has its metadata and the names of its images; it has no UID yet. Never called for a dry run.
    fn denied(&self, namespace: &str, pod: &Json, message: &str);

    /// Names its metrics in the webhook's part of a registry of metrics.
    fn register(&self, _: &mut Registry) {}
}

/// Reports in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl Reports for Logged {
    fn denied(&self, namespace: &str, _: &Json, message: &str) {
        tracing::info!(namespace, message, "Denied a pod");
    }
}
