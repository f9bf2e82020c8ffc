//! What lookups are counted by.
//!
//! Here: metrics and their names. Not here: serving them (`bailiff_kube::serve`).
//! Invariant: labels are closed sets; no registry, image or namespace is a label.

use super::persisted::PersistedSize;
use bailiff_oci::{Lookup, Source};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// By the answer: `Found`, `LastKnown`, `NotFound`, `Pending`, or the reason of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LookupResult {
    result: &'static str,
}

/// Counters of lookups.
#[derive(Clone, Debug, Default)]
pub(super) struct FactsMetrics {
    pub(super) lookups: Family<LookupResult, Counter>,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) write_errors: Counter,
}

impl FactsMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "lookups",
            "Images that reviews asked for, by result",
            self.lookups.clone(),
        );
        registry.register(
            "lookup_hits",
            "Images whose answer was known",
            self.hits.clone(),
        );
        registry.register(
            "lookup_misses",
            "Images whose registry had to be asked",
            self.misses.clone(),
        );
        registry.register(
            "persisted_facts_write_errors",
            "Times at which a ConfigMap with answers of registries could not be written",
            self.write_errors.clone(),
        );
    }

    pub(super) fn count(&self, lookup: &Lookup) {
        let result = match lookup {
            Lookup::Found { source, .. } => match source {
                Source::Registry => "Found",
                Source::LastKnown { .. } => "LastKnown",
            },
            Lookup::NotFound(_) => "NotFound",
            Lookup::Pending => "Pending",
            Lookup::Failed(failure) => failure.reason(),
        };
        self.lookups.get_or_create(&LookupResult { result }).inc();
    }
}

/// What memory and queue hold now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) running: usize,
    pub(super) waiting: usize,
    pub(super) oldest_waiting: Option<Duration>,
    pub(super) answers: usize,
    pub(super) bytes: usize,
    pub(super) persisted: PersistedSize,
}

/// Reads the load when metrics are served, so that ages are those of that time.
pub(super) struct LoadCollector<F>(F);

impl<F> LoadCollector<F> {
    pub(super) const fn new(load: F) -> Self {
        Self(load)
    }
}

impl<F> fmt::Debug for LoadCollector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoadCollector")
    }
}

impl<F: Fn() -> Load + Send + Sync + 'static> Collector for LoadCollector<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let load = (self.0)();
        let oldest = load.oldest_waiting.map_or(0, |age| age.as_secs());
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (name, help, value) in [
            (
                "registry_requests_running",
                "Requests for images that run; at most 64",
                count(load.running),
            ),
            (
                "registry_requests_waiting",
                "Images that wait for a request; one counts for each namespace that waits for it",
                count(load.waiting),
            ),
            (
                "oldest_registry_request_waiting_seconds",
                "Seconds since the start of the longest wait for a request",
                i64::try_from(oldest).unwrap_or(i64::MAX),
            ),
            (
                "remembered_answers",
                "Answers of registries that are remembered; at most 16,384",
                count(load.answers),
            ),
            (
                "remembered_answers_bytes",
                "Bytes of the remembered answers; at most 16 MiB",
                count(load.bytes),
            ),
            (
                "persisted_facts",
                "Answers of registries that the ConfigMaps have; at most 4,096",
                count(load.persisted.facts),
            ),
            (
                "persisted_facts_bytes",
                "Bytes of the data of these ConfigMaps; at most 4 MiB",
                count(load.persisted.bytes),
            ),
            (
                "persisted_facts_unusable",
                "Answers in these ConfigMaps that cannot be used",
                count(load.persisted.faults),
            ),
            (
                "persisted_facts_unusable_config_maps",
                "Of these 8 ConfigMaps those that are missing, corrupt or not read",
                count(load.persisted.unusable),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        Ok(())
    }
}
