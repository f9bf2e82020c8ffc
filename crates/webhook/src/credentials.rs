//! The credentials of registries, and which namespace can use which.
//!
//! Here: reading them from their Secrets, and the choice for an image. Not here: asking with one
//! (`bailiff_oci`).
//! Invariant: a namespace asks with a credential only if the configuration gives it to that namespace. If
//! the credential cannot be used, the image is not asked for anonymously instead, because a registry can
//! say to others that a private image does not exist. A deleted credential is not used any more.

use crate::callers::Callers;
use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListWatch, Named, NamedObject, ObjectEvent};
use bailiff_oci::Reference;
use bailiff_oci::registry::{Credential, CredentialSource, Registries};
use futures::stream::{SelectAll, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, Resource as _};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Key of a Secret of the type `kubernetes.io/dockerconfigjson`.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// What an image is asked for with.
#[derive(Debug)]
pub(crate) enum Choice {
    /// No credential is for the image and the namespace.
    Anonymous,
    /// A credential, and its name with its version.
    With(Arc<Credential>, String),
    /// The Secret was not read yet.
    NotRead,
    /// The Secret does not exist, or has no credential for the registry.
    Unusable,
}

/// The credentials as their Secrets have them.
#[derive(Debug, Default)]
pub(crate) struct Credentials(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By Secret.
    read: BTreeMap<String, Read>,
    /// What the watches said so far, by Secret.
    objects: BTreeMap<String, NamedObject>,
}

/// What was read of a Secret.
#[derive(Debug, Default)]
struct Read {
    /// UID and resource version that the Secret had when it first had this content. It is the same in each
    /// replica and after a restart, and says nothing about the content.
    version: String,
    /// By this a change of metadata alone is no new version: what is known would be forgotten. It has a key
    /// of this process.
    content: u64,
    /// By registry.
    credentials: BTreeMap<String, Arc<Credential>>,
    /// Why it lacks credentials.
    faults: Vec<String>,
}

impl Read {
    fn faulty(fault: &str) -> Self {
        Self {
            faults: vec![fault.to_owned()],
            ..Self::default()
        }
    }

    /// The same with the version of before, if the content is.
    fn after(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before
            && before.content == self.content
            && !before.version.is_empty()
            && !self.version.is_empty()
        {
            self.version.clone_from(&before.version);
        }
        self
    }

    /// What to log about it: nothing that was logged before about the same version.
    fn news(&self, before: Option<&Self>) -> &[String] {
        match before {
            Some(before) if before.version == self.version && before.faults == self.faults => &[],
            Some(_) | None => &self.faults,
        }
    }
}

impl Credentials {
    /// The credential for an image, for a namespace with these labels.
    pub(crate) fn choose(
        &self,
        registries: &Registries,
        reference: &Reference,
        labels: &BTreeMap<String, String>,
        callers: Callers,
    ) -> Choice {
        let is_for = |source: &&CredentialSource| {
            let is_for_namespace = match (&source.namespace_selector, callers) {
                (None, _) => true,
                (Some(selector), Callers::Verified) => selector.matches(labels),
                (Some(_), Callers::Unverified) => false,
            };
            is_for_namespace && source.covers(reference)
        };
        let registry = reference.registry();
        let Some(source) = registries.credentials(registry).iter().find(is_for) else {
            return Choice::Anonymous;
        };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(read) = known.read.get(&source.secret) else {
            return Choice::NotRead;
        };
        match read.credentials.get(registry) {
            Some(credential) => {
                let key = format!("{}@{}", source.secret, read.version);
                Choice::With(Arc::clone(credential), key)
            }
            None => Choice::Unusable,
        }
    }

    /// Keeps the credentials current, from Secrets of Bailiff's namespace, until it is dropped. Without
    /// credentials it waits.
    pub(crate) async fn watch(&self, registries: &Registries, client: Client, namespace: &str) {
        let names: BTreeSet<_> = registries
            .all_credentials()
            .map(|(_, source)| source.secret.clone())
            .collect();
        let path = Secret::url_path(&(), Some(namespace));
        let mut events: SelectAll<_> = names
            .into_iter()
            .map(|name| {
                let selector = Some(format!("metadata.name={name}"));
                let events = ListWatch::new(&path, selector).stream(client.clone());
                Box::pin(events.map(move |event| (name.clone(), event)))
            })
            .collect();
        while let Some((name, event)) = events.next().await {
            match event {
                Ok(event) => self.apply(registries, &name, &event),
                Err(error) => {
                    tracing::warn!(secret = name, %error, "A watch failed and is retried; what was known stays");
                }
            }
        }
        std::future::pending::<()>().await;
    }

    pub(crate) fn apply(&self, registries: &Registries, name: &str, event: &ObjectEvent) {
        let known = || self.0.write().unwrap_or_else(PoisonError::into_inner);
        let object = known()
            .objects
            .entry(name.to_owned())
            .or_default()
            .apply(event);
        // Reviews do not wait for the decoder.
        let secret = match object {
            Some(Named::Found(object)) => read(registries, name, object),
            Some(Named::TooLarge) => Read::faulty("the Secret is too large"),
            Some(Named::Missing) => Read::faulty("the Secret does not exist"),
            None => return,
        };
        let mut known = known();
        let secret = secret.after(known.read.get(name));
        for fault in secret.news(known.read.get(name)) {
            tracing::warn!(
                secret = name,
                fault,
                "Cannot use the Secret of a registry, so its images cannot be checked"
            );
        }
        known.read.insert(name.to_owned(), secret);
    }
}

/// The credentials that a Secret has for the registries that name it.
fn read(registries: &Registries, name: &str, object: &[u8]) -> Read {
    let decoded = Decoded::<Secret>::from_text(&String::from_utf8_lossy(object));
    // The error of the decoder quotes what it read.
    let Ok(secret) = decoded.into_result() else {
        return Read::faulty("the Secret cannot be decoded");
    };
    let mut credentials = BTreeMap::new();
    let mut faults = Vec::new();
    let config = secret
        .data
        .as_ref()
        .and_then(|data| data.get(DOCKER_CONFIG));
    for (registry, _) in registries
        .all_credentials()
        .filter(|(_, source)| source.secret == name)
    {
        let found = config.map(|config| Credential::from_docker_config(&config.0, registry));
        match found {
            Some(Ok(credential)) => {
                credentials.insert(registry.to_owned(), Arc::new(credential));
            }
            Some(Err(error)) => faults.push(format!("{registry}: {error}")),
            None => faults.push(format!("{registry}: it has no {DOCKER_CONFIG}")),
        }
    }
    let metadata = &secret.metadata;
    let (uid, version) = (&metadata.uid, &metadata.resource_version);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Read {
        version: format!("{}.{}", text(uid), text(version)),
        content: content(config.map_or(&[], |config| &config.0)),
        credentials,
        faults,
    }
}

/// A hash of what a Secret has, with a key of this process.
fn content(content: &[u8]) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(content)
}

#[cfg(test)]
mod tests;
