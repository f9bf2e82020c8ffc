//! What the webhook counts.
//!
//! Here: metrics and their names. Not here: serving them (`bailiff_kube::serve`).
//! Invariant: labels are closed sets, but for names of policies, which are bounded.

use crate::entries::Entry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most policies that have a value of their own; those beyond it count together.
const POLICIES_LIMIT: usize = 100;
/// The name that stands for the policies beyond the limit. No object can have it.
const OTHERS: &str = "_others";

/// By entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct EntryLabel {
    pub(crate) entry: &'static str,
}

/// By entry and result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReviewLabels {
    pub(crate) entry: &'static str,
    pub(crate) result: &'static str,
}

/// By reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RejectedLabel {
    pub(crate) reason: &'static str,
}

/// By policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PolicyLabel {
    pub(crate) policy: String,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) reviews: Family<ReviewLabels, Counter>,
    pub(crate) review_duration: Family<EntryLabel, Histogram, fn() -> Histogram>,
    pub(crate) connections: Gauge,
    pub(crate) rejected_connections: Family<RejectedLabel, Counter>,
    pub(crate) evaluating: Gauge,
    pub(crate) denied: Family<PolicyLabel, Counter>,
    pub(crate) violations_allowed: Family<PolicyLabel, Counter>,
    pub(crate) uncovered_images: Counter,
    pub(crate) faulty: Gauge,
    pub(crate) certificate_errors: Counter,
    policies: Arc<Mutex<BTreeSet<String>>>,
}

fn durations() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0, 10.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reviews: Family::default(),
            review_duration: Family::new_with_constructor(durations),
            connections: Gauge::default(),
            rejected_connections: Family::default(),
            evaluating: Gauge::default(),
            denied: Family::default(),
            violations_allowed: Family::default(),
            uncovered_images: Counter::default(),
            faulty: Gauge::default(),
            certificate_errors: Counter::default(),
            policies: Arc::default(),
        }
    }
}

impl Metrics {
    /// A review has its response.
    pub(crate) fn reviewed(&self, entry: Entry, result: &'static str, took: Duration) {
        let entry = entry.label();
        self.reviews
            .get_or_create(&ReviewLabels { entry, result })
            .inc();
        self.review_duration
            .get_or_create(&EntryLabel { entry })
            .observe(took.as_secs_f64());
    }

    /// The label of a policy.
    pub(crate) fn policy(&self, name: &str) -> PolicyLabel {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        let known = policies.contains(name);
        if !known && policies.len() < POLICIES_LIMIT {
            policies.insert(name.to_owned());
        }
        let policy = if policies.contains(name) {
            name
        } else {
            OTHERS
        };
        PolicyLabel {
            policy: policy.to_owned(),
        }
    }

    /// Names the metrics in the webhook's part of a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "reviews",
            "Reviews, by entry and result",
            self.reviews.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from the headers of a review to its response, by entry",
            Unit::Seconds,
            self.review_duration.clone(),
        );
        registry.register(
            "connections",
            "Open connections of API servers and others",
            self.connections.clone(),
        );
        registry.register(
            "rejected_connections",
            "Connections that were closed before their first request, by reason",
            self.rejected_connections.clone(),
        );
        registry.register(
            "reviews_in_progress",
            "Reviews that are being evaluated",
            self.evaluating.clone(),
        );
        registry.register(
            "denied",
            "Pods that were rejected, by the API server with what is rendered or by the webhook, by policy",
            self.denied.clone(),
        );
        registry.register(
            "violations_allowed",
            "Pods that violate a policy and were admitted, because its binding warns or audits, by policy",
            self.violations_allowed.clone(),
        );
        registry.register(
            "uncovered_images",
            "Images of admitted pods that no policy selects",
            self.uncovered_images.clone(),
        );
        registry.register(
            "faulty_objects",
            "Image policies and bindings that cannot be compiled or decoded",
            self.faulty.clone(),
        );
        registry.register(
            "certificate_errors",
            "Times at which the Secret of the certificate had none that can be used",
            self.certificate_errors.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_beyond_the_limit_count_together() {
        let metrics = Metrics::default();
        for n in 0..POLICIES_LIMIT {
            assert_eq!(metrics.policy(&n.to_string()).policy, n.to_string());
        }
        assert_eq!(metrics.policy("one-more").policy, "_others");
        assert_eq!(metrics.policy("7").policy, "7");
    }
}
