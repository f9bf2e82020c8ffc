//! Metrics of the renderer.
//!
//! Here: names and labels. Not here: when they change.
//! Invariant: labels come from closed sets.

use bailiff_kube::decode::UndecodableObjects;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    /// Policies in force.
    pub(crate) policies_rendered: Gauge,
    /// Policies and bindings that are not rendered as they are now.
    pub(crate) not_rendered: Gauge,
    /// Writes that the API server rejected.
    pub(crate) write_errors: Counter,
    /// What the watches could not decode.
    pub(crate) undecodable: UndecodableObjects,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("bailiff_renderer");
        registry.register(
            "policies_rendered",
            "Image policies that the API server enforces in their current generation",
            self.policies_rendered.clone(),
        );
        registry.register(
            "objects_not_rendered",
            "Image policies and bindings that are not Ready or not rendered",
            self.not_rendered.clone(),
        );
        registry.register(
            "write_errors",
            "Writes of rendered objects that failed",
            self.write_errors.clone(),
        );
        registry.register_collector(Box::new(self.undecodable.clone()));
    }
}
