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
    pub(crate) oldest_waiting: Family<WaitingReason, Gauge>,
    pub(crate) breakers_open: Gauge,
    pub(crate) bindings_paused: Gauge,
    pub(crate) incidents_protected: Gauge,
    pub(crate) responses_enabled: Gauge,
    pub(crate) nodes_not_monitored: Gauge,
    pub(crate) fallback_incidents: Gauge,
    pub(crate) namespaces_at_limit: Gauge,
    pub(crate) incidents_deleted: Counter,
    pub(crate) webhook_certificate_expiry: Gauge,
    pub(crate) webhook_ca_expiry: Gauge,
    pub(crate) webhook_certificate_failures: Counter,
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
            oldest_waiting: Family::default(),
            breakers_open: Gauge::default(),
            bindings_paused: Gauge::default(),
            incidents_protected: Gauge::default(),
            responses_enabled: Gauge::default(),
            nodes_not_monitored: Gauge::default(),
            fallback_incidents: Gauge::default(),
            namespaces_at_limit: Gauge::default(),
            incidents_deleted: Counter::default(),
            webhook_certificate_expiry: Gauge::default(),
            webhook_ca_expiry: Gauge::default(),
            webhook_certificate_failures: Counter::default(),
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
            "webhook_certificate_failures",
            "Attempts to keep the certificates of the webhook current that failed",
            self.webhook_certificate_failures.clone(),
        );
        registry.register(
            "incidents_waiting",
            "Incidents whose response waits, by the reason of the condition Responded",
            self.waiting.clone(),
        );
        registry.register(
            "oldest_waiting_seconds",
            "Seconds since the start of the longest wait of a response, by the reason of the condition Responded",
            self.oldest_waiting.clone(),
        );
        for (name, help, gauge) in self.gauges() {
            registry.register(name, help, gauge.clone());
        }
        registry.register_collector(Box::new(self.undecodable.clone()));
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 11] {
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
                "circuit_breakers_open",
                "Pairs of workload and policy for whose circuit breaker Incidents wait",
                &self.breakers_open,
            ),
            (
                "bindings_paused",
                "Bindings whose responses wait, because they would remove pods of too many workloads",
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
                "Namespaces whose pods have as many Incidents as are kept, so that new violations are only logged",
                &self.namespaces_at_limit,
            ),
            (
                "webhook_certificate_expiry_timestamp_seconds",
                "When the certificate ends that the webhook serves; 0 if it has none that the API server trusts",
                &self.webhook_certificate_expiry,
            ),
            (
                "webhook_ca_expiry_timestamp_seconds",
                "When the authority ends that issues the certificates of the webhook; 0 if there is none",
                &self.webhook_ca_expiry,
            ),
        ]
    }

    /// Measures the queue.
    pub(crate) fn measure(&self, work: &Work) {
        let stats: Stats = work.queue.stats();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let waiting: usize = stats.waiting.values().map(|w| w.incidents).sum();
        self.open.set(number(stats.running + stats.due + waiting));
        self.waiting.clear();
        self.oldest_waiting.clear();
        let now = Timestamp::now();
        for (reason, waiting) in stats.waiting {
            let reason = WaitingReason { reason };
            let age = waiting.oldest.map(|since| now.duration_since(since));
            let age = age.map_or(0, |age| age.as_secs().max(0));
            self.oldest_waiting.get_or_create(&reason).set(age);
            let incidents = number(waiting.incidents);
            self.waiting.get_or_create(&reason).set(incidents);
        }
        self.breakers_open.set(number(stats.open_breakers));
    }

    /// This replica no longer leads, and knows nothing.
    pub(crate) fn forget(&self) {
        for (_, _, gauge) in self.gauges() {
            gauge.set(0);
        }
        self.waiting.clear();
        self.oldest_waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::incident;
    use bailiff_response::{Controls, Queue, QueueSettings, RateLimits, Summary};
    use prometheus_client::encoding::text::encode;
    use serde_json::json;

    #[test]
    fn waits_are_measured_by_reason_and_breakers_by_workload_and_policy() {
        let now = Timestamp::now();
        let mut queue = Queue::new(QueueSettings::default());
        for (uid, reason, seconds) in [
            ("a", "Cooldown", 30),
            ("b", "CircuitBreakerOpen", 3_000),
            ("c", "CircuitBreakerOpen", 300),
        ] {
            let since = now - jiff::SignedDuration::from_secs(seconds);
            let mut waits = incident(&json!({
                "conditions": [{"type": "Responded", "status": "Unknown", "reason": reason,
                    "message": "", "lastTransitionTime": since.to_string()}],
                "waiting": {"reason": reason, "startTime": since.to_string()},
                "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                    "uid": "web-uid"},
            }));
            waits.metadata.uid = Some(uid.to_owned());
            queue.observe(Summary::of(&waits).unwrap(), now);
        }
        let controls = Controls::new(RateLimits::default());
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let measured = |name: &str| {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            let name = format!("bailiff_controller_{name}");
            let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
            let mut lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        metrics.measure(&Work { queue, controls });
        let ages: Vec<_> = measured("oldest_waiting_seconds")
            .iter()
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap() / 10)
            .collect();
        assert_eq!(ages, [300, 3], "of the breaker, and of the cooldown period");
        let waiting = [
            "{reason=\"CircuitBreakerOpen\"} 2",
            "{reason=\"Cooldown\"} 1",
        ];
        assert_eq!(measured("incidents_waiting"), waiting);
        assert_eq!(measured("circuit_breakers_open"), [" 1"]);
        metrics.forget();
        assert!(measured("oldest_waiting_seconds").is_empty());
    }
}
