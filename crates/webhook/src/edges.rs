//! The edges of the webhook to registries and to the API server.
//!
//! Here: what they need. Not here: the edges themselves (`registries`, `persistence`, `events`).
//! Invariant: all run beside the server, which does not depend on them.

use crate::callers::Callers;
use crate::events::WorkloadEvents;
use crate::registries::RegistryLookups;
use crate::run::Edges;
use bailiff_oci::registry::{InvalidClient, Limits, Registries, RegistryClient};
use std::sync::Arc;
use std::time::Duration;

/// What the edges need.
#[derive(Debug)]
pub struct EdgesConfig {
    /// Namespace that Bailiff runs in, with the Secrets of registries.
    pub namespace: String,
    /// Name of this replica.
    pub pod_name: String,
    /// The registries that are asked.
    pub registries: Registries,
    /// Who can send reviews.
    pub callers: Callers,
    /// How old the last answer about a tag can be that is used if its registry does not answer.
    pub tag_stale_if_error: Duration,
}

impl Edges {
    /// Asks registries, and writes Events on the workloads of denied pods.
    ///
    /// # Errors
    /// TLS is not available.
    pub fn new(client: kube::Client, config: EdgesConfig) -> Result<Self, InvalidClient> {
        let registries = RegistryClient::new(config.registries, Limits::default())?;
        let lookups = RegistryLookups::new(registries, config.callers, config.tag_stale_if_error);
        let replica = config.pod_name.clone();
        let (reports, writer) =
            WorkloadEvents::new(client.clone(), config.pod_name, config.callers);
        let (credentials, namespace) = (lookups.clone(), config.namespace);
        let persistence = lookups.persistence(client.clone(), &namespace, &replica);
        let (loading, saving) = (persistence.clone(), persistence.clone());
        let background = async move {
            let watching = credentials.watch_credentials(client, &namespace);
            futures::join!(watching, writer.run(), persistence.run());
        };
        Ok(Self {
            lookups: Arc::new(lookups),
            reports: Arc::new(reports),
            background: Box::pin(background),
            loaded: Box::pin(async move { loading.loaded().await }),
            save: Box::pin(async move { saving.save().await }),
        })
    }
}
