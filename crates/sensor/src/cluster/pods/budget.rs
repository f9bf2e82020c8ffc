//! A bound on what all pods of a node take together.
//!
//! Here: how many bytes each namespace has, and whose pods are reduced. Not here: the bound on one pod
//! (`read`).
//! Invariant: all pods together take at most [`TOTAL_LIMIT_BYTES`], but for what identifies each; the
//! namespace that has most gives way, so that no tenant takes the room of another.

use super::PodFacts;
use crate::process::commands::KubeletCommands;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most bytes of memory of all pods: 250 with 64 KiB each.
pub(super) const TOTAL_LIMIT_BYTES: usize = 16 << 20;

/// Bytes by namespace.
#[derive(Debug, Default)]
pub(super) struct Budget {
    by_namespace: BTreeMap<String, usize>,
    total: usize,
    reduced: Vec<String>,
}

fn size(facts: &PodFacts) -> usize {
    facts.bytes.saturating_add(facts.object_bytes)
}

impl Budget {
    pub(super) fn add(&mut self, facts: &PodFacts) {
        let size = size(facts);
        self.total = self.total.saturating_add(size);
        let namespace = self.by_namespace.entry(facts.namespace.clone());
        let bytes = namespace.or_default();
        *bytes = bytes.saturating_add(size);
    }

    pub(super) fn remove(&mut self, facts: &PodFacts) {
        let size = size(facts);
        self.total = self.total.saturating_sub(size);
        if let Some(bytes) = self.by_namespace.get_mut(&facts.namespace) {
            *bytes = bytes.saturating_sub(size);
            if *bytes == 0 {
                self.by_namespace.remove(&facts.namespace);
            }
        }
    }

    /// Reduces pods until all fit: first those that ended, then the largest.
    pub(super) fn enforce(&mut self, pods: &mut HashMap<String, Arc<PodFacts>>) {
        while self.total > TOTAL_LIMIT_BYTES {
            let most = self.by_namespace.iter().max_by_key(|(_, bytes)| **bytes);
            let Some(namespace) = most.map(|(namespace, _)| namespace.clone()) else {
                return;
            };
            let of_namespace = pods
                .values_mut()
                .filter(|pod| pod.namespace == namespace && size(pod) > 0);
            let largest = of_namespace.max_by_key(|pod| (pod.finished, size(pod), pod.uid.clone()));
            let Some(pod) = largest else {
                return;
            };
            self.remove(pod);
            let facts = Arc::make_mut(pod);
            if facts.object_bytes > 0 {
                facts.object = None;
                facts.object_bytes = 0;
            } else {
                facts.commands = KubeletCommands::default();
                facts.containers = BTreeMap::new();
                facts.replaced = BTreeMap::new();
                facts.containers_left_out = true;
                facts.commands_left_out = true;
                facts.bytes = 0;
            }
            self.add(pod);
            self.reduced.push(pod.uid.clone());
        }
    }

    pub(super) fn take_reduced(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reduced)
    }
}
