//! What the controller counts.
//!
//! Here: metrics and their names. Not here: serving them (`bailiff_kube::serve`).
//! Invariant: labels are closed sets; no name that a tenant chooses is a label.

use crate::reconcile::Work;
use bailiff_kube::decode::UndecodableObjects;
use bailiff_response::Stats;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// By the reason of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

/// By the reason of the condition `Responded`, as an Incident records it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WaitingReason {
    pub(crate) reason: String,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) leader: Gauge,
    pub(crate) responses: Family<Reason, Counter>,
    pub(crate) recoveries: Family<Reason, Counter>,
    pub(crate) response_duration: Histogram,
    pub(crate) event_failures: Counter,
    pub(crate) status_writes_rejected: Counter,
    pub(crate) open: Gauge,
    pub(crate) waiting: Family<WaitingReason, Gauge>,
    pub(crate) oldest_waiting: Gauge,
    pub(crate) breakers_open: Gauge,
    pub(crate) bindings_paused: Gauge,
    pub(crate) incidents_protected: Gauge,
    pub(crate) responses_enabled: Gauge,
    pub(crate) nodes_not_monitored: Gauge,
    pub(crate) fallback_incidents: Gauge,
    pub(crate) namespaces_at_limit: Gauge,
    pub(crate) incidents_deleted: Counter,
    /// Objects that cannot be decoded, by the watches.
    pub(crate) undecodable: UndecodableObjects,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            leader: Gauge::default(),
            responses: Family::default(),
            recoveries: Family::default(),
            response_duration: Histogram::new([
                0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0, 600.0,
            ]),
            event_failures: Counter::default(),
            status_writes_rejected: Counter::default(),
            open: Gauge::default(),
            waiting: Family::default(),
            oldest_waiting: Gauge::default(),
            breakers_open: Gauge::default(),
            bindings_paused: Gauge::default(),
            incidents_protected: Gauge::default(),
            responses_enabled: Gauge::default(),
            nodes_not_monitored: Gauge::default(),
            fallback_incidents: Gauge::default(),
            namespaces_at_limit: Gauge::default(),
            incidents_deleted: Counter::default(),
            undecodable: UndecodableObjects::default(),
        }
    }
}

impl Metrics {
    /// Names them in a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("bailiff_controller");
        registry.register(
            "responses",
            "Outcomes of responses, by the reason of the condition Responded",
            self.responses.clone(),
        );
        registry.register(
            "recoveries",
            "Workloads whose pod was removed, by the reason of the condition Recovered",
            self.recoveries.clone(),
        );
        registry.register_with_unit(
            "response_duration",
            "From the exec, by the node's clock, to the accepted removal",
            Unit::Seconds,
            self.response_duration.clone(),
        );
        registry.register(
            "event_failures",
            "Events that the API server did not accept",
            self.event_failures.clone(),
        );
        registry.register(
            "status_writes_rejected",
            "Statuses of Incidents that the API server rejected for good",
            self.status_writes_rejected.clone(),
        );
        registry.register(
            "incidents_deleted",
            "Closed Incidents that were deleted by age and number",
            self.incidents_deleted.clone(),
        );
        registry.register(
            "incidents_waiting",
            "Incidents whose response waits, by the reason of the condition Responded",
            self.waiting.clone(),
        );
        for (name, help, gauge) in self.gauges() {
            registry.register(name, help, gauge.clone());
        }
        registry.register_collector(Box::new(self.undecodable.clone()));
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 10] {
        [
            (
                "leader",
                "1 while this replica responds to Incidents",
                &self.leader,
            ),
            (
                "incidents_open",
                "Incidents whose response is in progress, due or waiting",
                &self.open,
            ),
            (
                "oldest_waiting_seconds",
                "Seconds since the start of the longest wait of a response; 0 if none waits",
                &self.oldest_waiting,
            ),
            (
                "circuit_breakers_open",
                "Pairs of workload and policy whose circuit breaker is open, as waiting Incidents record it",
                &self.breakers_open,
            ),
            (
                "bindings_paused",
                "Bindings whose responses only audit, because they would remove pods of too many workloads",
                &self.bindings_paused,
            ),
            (
                "incidents_protected",
                "1 while the admission policy that protects Incidents is present and unmodified",
                &self.incidents_protected,
            ),
            (
                "responses_enabled",
                "1 while the switch of all responses is set to Enforce",
                &self.responses_enabled,
            ),
            (
                "nodes_not_monitored",
                "Nodes that should have a Ready sensor and have none",
                &self.nodes_not_monitored,
            ),
            (
                "fallback_incidents",
                "Incidents in Bailiff's namespace, because the namespace of their pod rejected them",
                &self.fallback_incidents,
            ),
            (
                "namespaces_at_limit",
                "Namespaces whose pods have as many Incidents as are kept, so that new audited ones are only logged",
                &self.namespaces_at_limit,
            ),
        ]
    }

    /// Measures the queue.
    pub(crate) fn measure(&self, work: &Work) {
        let stats: Stats = work.queue.stats();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let waiting = stats.waiting.values().sum::<usize>();
        self.open.set(number(stats.running + stats.due + waiting));
        self.waiting.clear();
        for (reason, count) in &stats.waiting {
            let reason = WaitingReason {
                reason: reason.clone(),
            };
            self.waiting.get_or_create(&reason).set(number(*count));
        }
        let age = stats
            .oldest_waiting
            .map(|since| Timestamp::now().duration_since(since).as_secs());
        self.oldest_waiting.set(age.unwrap_or(0).max(0));
        let breaker = bailiff_api::condition::responded::CIRCUIT_BREAKER_OPEN;
        let open = stats.waiting.get(breaker).copied().unwrap_or(0);
        self.breakers_open.set(number(open));
    }

    /// This replica no longer leads, and knows nothing.
    pub(crate) fn forget(&self) {
        for (_, _, gauge) in self.gauges() {
            gauge.set(0);
        }
        self.waiting.clear();
    }
}
