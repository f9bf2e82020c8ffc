//! The labels of namespaces.
//!
//! Here: those that the watch brought. Not here: the watch (`watches`), reading one that it did not bring
//! yet (`admission`).
//! Invariant: a namespace that is not known is not one without labels.

use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::ObjectEvent;
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
    labels: BTreeMap<String, Arc<Labels>>,
    /// The names that the current list brought, and whether it lacks one.
    listing: Option<(BTreeSet<String>, bool)>,
    is_listed: bool,
    /// Whether the watch failed and brought nothing since.
    is_behind: bool,
}

impl Namespaces {
    /// The labels of a namespace; none: it is not known.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Labels>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.labels.get(name).cloned()
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
            .is_listed
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
    pub(crate) fn apply(&self, event: ObjectEvent) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            // A list can end before it is complete.
            ObjectEvent::Listing | ObjectEvent::Listed(_) | ObjectEvent::TooLarge => {}
            ObjectEvent::Complete | ObjectEvent::Applied(_) | ObjectEvent::Deleted(_) => {
                known.is_behind = false;
            }
        }
        match event {
            ObjectEvent::Listing => known.listing = Some((BTreeSet::new(), false)),
            ObjectEvent::Listed(object) => {
                let name = known.keep(&object);
                if let (Some((names, _)), Some(name)) = (&mut known.listing, name) {
                    names.insert(name);
                }
            }
            ObjectEvent::Complete => {
                if let Some((names, false)) = known.listing.take() {
                    known.labels.retain(|name, _| names.contains(name));
                }
                known.is_listed = true;
            }
            ObjectEvent::Applied(object) => drop(known.keep(&object)),
            ObjectEvent::Deleted(object) => {
                let decoded = decode(&object);
                let name = decoded.meta().name.as_deref().unwrap_or_default();
                known.labels.remove(name);
            }
            ObjectEvent::TooLarge => {
                if let Some((_, is_partial)) = &mut known.listing {
                    *is_partial = true;
                }
            }
        }
        drop(known);
        self.changed.notify_waiters();
    }
}

impl Known {
    /// Keeps the labels; the name of the namespace, if it has one. What cannot be decoded is not known.
    fn keep(&mut self, object: &[u8]) -> Option<String> {
        let decoded = decode(object);
        let name = decoded.meta().name.clone()?;
        match decoded.into_result() {
            Ok(namespace) => {
                let labels = namespace.metadata.labels.unwrap_or_default();
                self.labels.insert(name.clone(), Arc::new(labels));
            }
            Err(error) => {
                tracing::warn!(namespace = name, %error, "Cannot decode a namespace");
                self.labels.remove(&name);
            }
        }
        Some(name)
    }
}

fn decode(object: &[u8]) -> Decoded<PartialObjectMeta<Namespace>> {
    Decoded::from_text(&String::from_utf8_lossy(object))
}
