//! What policies and bindings read of pods and namespaces.
//!
//! Here: the labels that selectors name, the parts that expressions read. Not here: reading them
//! (`pods`, `namespaces`), finding them out (`policy_index`).
//! Invariant: what is kept for some needs answers every policy whose needs these cover.

use bailiff_policy::Reads;
use std::collections::BTreeSet;

/// What has to be kept of each pod and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Labels of pods that selectors name.
    pub(crate) pod_labels: BTreeSet<String>,
    /// Labels of namespaces that selectors name.
    pub(crate) namespace_labels: BTreeSet<String>,
    /// Parts of the Pod that expressions read. Absent: none reads it.
    pub(crate) object: Option<Reads>,
    /// An expression reads the Namespace.
    pub(crate) namespace_object: bool,
}

impl Needs {
    /// Adds what others need.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.pod_labels.extend(other.pod_labels.iter().cloned());
        self.namespace_labels
            .extend(other.namespace_labels.iter().cloned());
        if let Some(reads) = &other.object {
            self.object.get_or_insert_default().merge(reads);
        }
        self.namespace_object |= other.namespace_object;
    }

    /// Whether everything that the others need is kept for these, too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.pod_labels.is_superset(&other.pod_labels)
            && self.namespace_labels.is_superset(&other.namespace_labels)
            && (self.namespace_object || !other.namespace_object)
            && match (&self.object, &other.object) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(mine), Some(theirs)) => mine.covers(theirs),
            }
    }
}
