//! What the controller counts.
//!
//! Here: metrics and their names. Not here: serving them (`bailiff_kube::serve`).
//! Invariant: labels are closed sets; no name that a tenant chooses is a label.

use bailiff_kube::decode::UndecodableObjects;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// An outcome, by the reason of the condition `Responded`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) leader: Gauge,
    pub(crate) answers: Family<Reason, Counter>,
    pub(crate) recoveries: Family<Reason, Counter>,
    pub(crate) answer_seconds: Histogram,
    pub(crate) event_failures: Counter,
    pub(crate) under_way: Gauge,
    /// Objects that cannot be decoded, by the watches.
    pub(crate) undecodable: UndecodableObjects,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            leader: Gauge::default(),
            answers: Family::default(),
            recoveries: Family::default(),
            answer_seconds: Histogram::new([
                0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0, 600.0,
            ]),
            event_failures: Counter::default(),
            under_way: Gauge::default(),
            undecodable: UndecodableObjects::default(),
        }
    }
}

impl Metrics {
    /// Names them in a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("bailiff_controller");
        registry.register(
            "leader",
            "1 while this replica answers Incidents",
            self.leader.clone(),
        );
        registry.register(
            "answers",
            "Outcomes of answers, by the reason of the condition Responded",
            self.answers.clone(),
        );
        registry.register(
            "recoveries",
            "Workloads whose pod was taken away, by the reason of the condition Recovered",
            self.recoveries.clone(),
        );
        registry.register_with_unit(
            "answer",
            "From the start of the program, by the node's clock, to the accepted eviction",
            Unit::Seconds,
            self.answer_seconds.clone(),
        );
        registry.register(
            "event_failures",
            "Events that the API server did not take",
            self.event_failures.clone(),
        );
        registry.register(
            "incidents_under_way",
            "Incidents that wait for an answer or for a replacement",
            self.under_way.clone(),
        );
        registry.register_collector(Box::new(self.undecodable.clone()));
    }
}
