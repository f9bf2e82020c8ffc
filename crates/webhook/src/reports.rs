//! Pods that a policy denies, for their owners.
//!
//! Here: what is reported, and what confirms a report. Not here: writing it as an Event.
//! Invariant: a report never delays a review.

use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use serde_json::Value as Json;
use std::sync::Weak;

/// Takes reports.
pub trait Reports: Send + Sync + 'static {
    /// Reports that a pod of a namespace is going to be rejected with a message, at once or later. The pod
    /// has its metadata and the names of its images; it has no UID yet. Never called for a dry run.
    fn denied(&self, namespace: &str, pod: &Json, message: &str);

    /// What reports of callers that are not verified are confirmed with.
    fn confirm_with(&self, _: Weak<dyn Templates>) {}

    /// Names its metrics in the webhook's part of a registry of metrics.
    fn register(&self, _: &mut Registry) {}
}

/// Decides about pods that nobody sends.
pub trait Templates: Send + Sync + 'static {
    /// Why a pod of a namespace that is created from a pod template would be rejected now, from what is known
    /// about its images; none: it would be admitted, or this cannot be told.
    fn denial<'a>(
        &'a self,
        namespace: &'a str,
        template: &'a Json,
    ) -> BoxFuture<'a, Option<String>>;
}

/// Reports in the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logged;

impl Reports for Logged {
    fn denied(&self, namespace: &str, _: &Json, message: &str) {
        tracing::info!(namespace, message, "Denied a pod");
    }
}
