//! The registries of the cluster, as reviews ask for them.
//!
//! Here: each image with the credential of its namespace. Not here: which that is (`credentials`), and
//! remembering answers (`facts`).
//! Invariant: an image whose credential is not known is not asked for.

use crate::callers::Callers;
use crate::credentials::{Choice, Credentials};
use crate::facts::{self, Facts};
use crate::lookups::{Lookups, Wanted};
use crate::persistence::Persistence;
use bailiff_oci::registry::{Credential, RegistryClient};
use bailiff_oci::{Failure, Lookup, Reference};
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

impl facts::Registry for RegistryClient {
    type Credential = Credential;

    fn endpoint(&self, registry: &str) -> Arc<str> {
        self.endpoint_key(registry)
    }

    async fn lookup(
        &self,
        reference: &Reference,
        named_by_policy: bool,
        credential: Option<&Credential>,
    ) -> Lookup {
        Self::lookup(self, reference, named_by_policy, credential).await
    }
}

/// Looks up images at registries. Clones share what is known.
#[derive(Clone, Debug)]
pub struct RegistryLookups {
    client: RegistryClient,
    facts: Facts<RegistryClient>,
    credentials: Arc<Credentials>,
    callers: Callers,
}

impl RegistryLookups {
    /// Knows nothing yet, and no credential until [`Self::watch_credentials`] runs. The last answer about a
    /// tag is used for at most `stale_if_error` if its registry does not answer.
    #[must_use]
    pub fn new(client: RegistryClient, callers: Callers, stale_if_error: Duration) -> Self {
        for (registry, source) in client.registries().all_credentials() {
            if callers == Callers::Unverified && source.namespace_selector.is_some() {
                tracing::warn!(
                    registry,
                    secret = source.secret,
                    "The credential is not used: it has a namespaceSelector, and callers are not verified. Set webhook.clientCA or webhook.apiServerCIDRs"
                );
            }
        }
        Self {
            facts: Facts::new(client.clone(), stale_if_error),
            client,
            credentials: Arc::default(),
            callers,
        }
    }

    /// Keeps the credentials of the registries current, from Secrets of Bailiff's namespace, until it is
    /// dropped.
    pub async fn watch_credentials(&self, client: kube::Client, namespace: &str) {
        let registries = self.client.registries();
        self.credentials.watch(registries, client, namespace).await;
    }

    /// What keeps the answers about admitted images in `ConfigMaps` of Bailiff's namespace, for this replica.
    pub(crate) fn persistence(
        &self,
        client: kube::Client,
        namespace: &str,
        replica: &str,
    ) -> Persistence<RegistryClient> {
        Persistence::new(self.facts.clone(), client, namespace, replica)
    }

    /// An image with the credential of a namespace. An error says why its registry is not asked.
    fn with_credential(
        &self,
        wanted: Wanted,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<facts::Wanted<Credential>, (Reference, Failure)> {
        let Wanted {
            reference,
            named_by_policy,
        } = wanted;
        let registries = self.client.registries();
        let choice = self
            .credentials
            .choose(registries, &reference, labels, self.callers);
        let (credential, credential_key) = match choice {
            Choice::Anonymous => (None, String::new()),
            Choice::With(credential, key) => (Some(credential), key),
            Choice::NotRead => return Err((reference, Failure::CredentialNotRead)),
            Choice::Unusable => return Err((reference, Failure::CredentialUnusable)),
        };
        Ok(facts::Wanted {
            reference,
            namespace: namespace.to_owned(),
            named_by_policy,
            credential,
            credential_key,
        })
    }
}

impl Lookups for RegistryLookups {
    fn lookup<'a>(
        &'a self,
        wanted: Vec<Wanted>,
        namespace: &'a str,
        labels: &'a BTreeMap<String, String>,
        deadline: Instant,
    ) -> BoxFuture<'a, BTreeMap<String, Lookup>> {
        let mut answers = BTreeMap::new();
        let mut asked = Vec::new();
        for wanted in wanted {
            match self.with_credential(wanted, namespace, labels) {
                Ok(wanted) => asked.push(wanted),
                Err((reference, failure)) => {
                    let failure = Lookup::Failed(failure);
                    self.facts.count(&failure);
                    answers.insert(reference.to_string(), failure);
                }
            }
        }
        Box::pin(async move {
            answers.extend(self.facts.lookup(asked, deadline).await);
            answers
        })
    }

    fn admitted(&self, wanted: Vec<Wanted>, namespace: &str, labels: &BTreeMap<String, String>) {
        // A credential that changed meanwhile makes another key, about which nothing is known yet.
        let wanted = wanted.into_iter();
        let asked =
            wanted.filter_map(|wanted| self.with_credential(wanted, namespace, labels).ok());
        self.facts.admitted(&asked.collect::<Vec<_>>());
    }

    fn register(&self, metrics: &mut Registry) {
        self.facts.register(metrics);
    }
}

#[cfg(test)]
mod tests;
