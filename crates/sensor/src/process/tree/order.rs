//! Which process makes room for others.
//!
//! Here: when something was last heard of each, and how many bytes each pod's processes take. Not here:
//! what is known of them (`tree`).
//! Invariant: the pod that takes most makes room, with what was not heard of for the longest time: no
//! pod makes the sensor forget another's processes.

use crate::kernel::record::ProcessKey;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
struct OfPod {
    bytes: usize,
    /// By when something was last heard of it.
    processes: BTreeMap<u64, (ProcessKey, usize)>,
}

/// Processes by pod and time.
#[derive(Debug, Default)]
pub(super) struct Order {
    by_pod: HashMap<String, OfPod>,
    bytes: usize,
    len: usize,
}

impl Order {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, pod: &str, touched: u64, process: ProcessKey, bytes: usize) {
        if !self.by_pod.contains_key(pod) {
            self.by_pod.insert(pod.to_owned(), OfPod::default());
        }
        let Some(of_pod) = self.by_pod.get_mut(pod) else {
            return;
        };
        of_pod.processes.insert(touched, (process, bytes));
        of_pod.bytes = of_pod.bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        self.len = self.len.saturating_add(1);
    }

    /// Forgets a process; how many bytes it took.
    pub(super) fn remove(&mut self, pod: &str, touched: u64) -> usize {
        let Some(of_pod) = self.by_pod.get_mut(pod) else {
            return 0;
        };
        let Some((_, bytes)) = of_pod.processes.remove(&touched) else {
            return 0;
        };
        of_pod.bytes = of_pod.bytes.saturating_sub(bytes);
        if of_pod.processes.is_empty() {
            self.by_pod.remove(pod);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.len = self.len.saturating_sub(1);
        bytes
    }

    /// The process that makes room; it is forgotten.
    pub(super) fn pop(&mut self) -> Option<ProcessKey> {
        let largest = self.by_pod.iter().max_by_key(|(_, of_pod)| of_pod.bytes);
        let (pod, of_pod) = largest?;
        let (touched, (process, _)) = of_pod.processes.first_key_value()?;
        let (pod, touched, process) = (pod.clone(), *touched, *process);
        self.remove(&pod, touched);
        Some(process)
    }
}
