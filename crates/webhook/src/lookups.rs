//! What registries say about images, as reviews ask for it.
//!
//! Here: the question and its answer. Not here: asking registries and remembering what they said.
//! Invariant: what is not known at the deadline is [`Lookup::Pending`] or absent, and never found.

use bailiff_oci::{Failure, Lookup, Reference};
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// An image that is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What names it.
    pub reference: Reference,
    /// Whether a policy that applies to the pod allows the registry by its literal host, so that it can
    /// be asked even if it is not configured.
    pub named_by_policy: bool,
}

/// Looks up images.
pub trait Lookups: Send + Sync + 'static {
    /// What registries say by the deadline about images of a pod in a namespace, which has the labels, by
    /// the normal form of the reference.
    fn lookup<'a>(
        &'a self,
        wanted: Vec<Wanted>,
        namespace: &'a str,
        labels: &'a BTreeMap<String, String>,
        deadline: Instant,
    ) -> BoxFuture<'a, BTreeMap<String, Lookup>>;

    /// Pods with these images, of the namespace and with the answers of [`Self::lookup`], were admitted, and not
    /// in a dry run. Nothing waits for it.
    fn admitted(&self, _wanted: Vec<Wanted>, _namespace: &str, _labels: &BTreeMap<String, String>) {
    }

    /// Names its metrics in the webhook's part of a registry of metrics.
    fn register(&self, _: &mut Registry) {}
}

/// No registry is configured: none is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRegistries;

impl Lookups for NoRegistries {
    fn lookup<'a>(
        &'a self,
        wanted: Vec<Wanted>,
        _: &'a str,
        _: &'a BTreeMap<String, String>,
        _: Instant,
    ) -> BoxFuture<'a, BTreeMap<String, Lookup>> {
        let answers = wanted.into_iter().map(|wanted| {
            let failure = Lookup::Failed(Failure::RegistryNotAllowed);
            (wanted.reference.to_string(), failure)
        });
        Box::pin(std::future::ready(answers.collect()))
    }
}
