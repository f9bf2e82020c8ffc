//! The labels of namespaces.
//!
//! Here: those that the watch brought. Not here: the watch (`watches`), reading one that it did not bring
//! yet (`admission`).
//! Invariant: a namespace that is not known is not one without labels.

use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListedObjects, ObjectEvent, ObjectsByName};
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource as _;
use kube::core::PartialObjectMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Notify;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// Labels of namespaces, by name.
#[derive(Default)]
pub(crate) struct Namespaces {
    known: RwLock<Known>,
    changed: Notify,
}

#[derive(Default)]
struct Known {
    labels: ByName,
    listed: ListedObjects,
    /// Whether the watch failed and brought nothing since.
    is_behind: bool,
}

#[derive(Default)]
struct ByName(BTreeMap<String, Arc<Labels>>);

impl Namespaces {
    /// The labels of a namespace; none: it is not known.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Labels>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.labels.0.get(name).cloned()
    }

    /// The labels of a namespace, once the watch brings it.
    pub(crate) async fn wait(&self, name: &str) -> Arc<Labels> {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // What comes from here on wakes it.
            changed.as_mut().enable();
            if let Some(labels) = self.get(name) {
                return labels;
            }
            changed.await;
        }
    }

    /// Whether all namespaces were listed once.
    pub(crate) fn are_listed(&self) -> bool {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .listed
            .is_listed()
    }

    /// Whether the watch failed, so that it might not bring a new namespace soon.
    pub(crate) fn are_behind(&self) -> bool {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_behind
    }

    /// The watch failed. What is known stays.
    pub(crate) fn failed(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.is_behind = true;
    }

    /// A namespace changed.
    pub(crate) fn apply(&self, event: &ObjectEvent) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Known {
            labels,
            listed,
            is_behind,
        } = &mut *known;
        // A list can end before it is complete.
        *is_behind &= !listed.apply(event, labels);
        drop(known);
        self.changed.notify_waiters();
    }
}

impl ObjectsByName for ByName {
    // What cannot be decoded is not known.
    fn keep(&mut self, object: &[u8]) -> Option<String> {
        let decoded = decode(object);
        let name = decoded.meta().name.clone()?;
        match decoded.into_result() {
            Ok(namespace) => {
                let labels = namespace.metadata.labels.unwrap_or_default();
                self.0.insert(name.clone(), Arc::new(labels));
            }
            Err(error) => {
                tracing::warn!(namespace = name, %error, "Cannot decode a namespace");
                self.0.remove(&name);
            }
        }
        Some(name)
    }

    fn remove(&mut self, object: &[u8]) {
        let decoded = decode(object);
        let name = decoded.meta().name.as_deref().unwrap_or_default();
        self.0.remove(name);
    }

    fn retain(&mut self, names: &BTreeSet<String>) {
        self.0.retain(|name, _| names.contains(name));
    }
}

fn decode(object: &[u8]) -> Decoded<PartialObjectMeta<Namespace>> {
    Decoded::from_text(&String::from_utf8_lossy(object))
}
