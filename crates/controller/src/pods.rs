//! The running pods of the cluster, as far as statuses count them.
//!
//! Here: what is kept of each pod, and counting those that selectors match. Not here: the watch
//! (`pods/follow`), what statuses report (`policy_status`), nodes and sensors (`nodes`).
//! Invariant: all pods take at most [`LIMIT_BYTES`], however many there are; a pod of which nothing is
//! kept is unknown and never counts as monitored; nothing is counted before a list was complete.

mod follow;
mod interned;

pub(crate) use follow::follow;

use crate::policy_status::{Labels, Matching, Namespaces};
use bailiff_api::Coverage;
use bailiff_kube::owner::counted;
use bailiff_policy::{MatchResources, Reads, project};
use bailiff_response::guard::matched_workloads;
use interned::{Interned, Weight, index};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Most bytes of memory of all pods. 100,000 pods with 20,000 workloads and 5,000 nodes take
/// 144 bytes × 100,000 + about 250 bytes × 25,000 = 21 MB; 100,000 pods with a workload each take 144 + 250
/// bytes each. The rest of the controller's 128 MiB is for Incidents.
const LIMIT_BYTES: usize = 40 << 20;
/// Bytes of a pod: an entry of the map, whose nodes are half full, and the allocation of the UID.
const POD_BYTES: usize = 2 * size_of::<(Box<str>, Kept)>() + UID_LIMIT + 16;
/// Most bytes of a UID. The API server creates UIDs of 36; tenants write those of owners.
const UID_LIMIT: usize = 64;
/// Most bytes of memory while a pod is read.
const READ_LIMIT_BYTES: usize = 16 << 10;
/// What is read of a pod beside its labels.
const PARTS: &[&[&str]] = &[
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "ownerReferences"],
    &["spec", "nodeName"],
];
/// The same if the owners are too large: the pod has no workload.
const LEAST_PARTS: &[&[&str]] = &[
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["spec", "nodeName"],
];

/// The parts of a pod that are kept. Text only, so that no other field can prevent decoding.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Pod {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

/// What selectors match: a namespace, and the labels that a selector names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Selectable {
    namespace: String,
    labels: Labels,
}

impl Weight for Selectable {
    fn bytes(&self) -> usize {
        // A map with few entries has one node for 11.
        let node = 12 * (size_of::<(String, String)>() + 2);
        let nodes = self.labels.len().div_ceil(5).saturating_mul(node);
        let text = |(key, value): (&String, &String)| key.len() + value.len() + 32;
        size_of::<Self>()
            + self.namespace.len()
            + nodes
            + self.labels.iter().map(text).sum::<usize>()
    }
}

/// A workload that the guard of bad policies counts. Owners of pods can claim equal UIDs in different
/// namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Workload {
    namespace: String,
    /// UID of the pod's controller; empty: the guard does not count the pod.
    uid: String,
}

impl Weight for Workload {
    fn bytes(&self) -> usize {
        self.namespace.bytes() + self.uid.bytes()
    }
}

/// What is kept of a pod, by number.
#[derive(Clone, Copy, Debug)]
struct Kept {
    selectable: u32,
    node: u32,
    workload: u32,
    /// The last list or watch that named it.
    list: u32,
}

#[derive(Debug, Default)]
struct Known {
    limit_bytes: usize,
    pods: BTreeMap<Box<str>, Kept>,
    selectable: Interned<Selectable>,
    /// Names; empty: the pod is not scheduled.
    nodes: Interned<String>,
    workloads: Interned<Workload>,
    /// The labels that are kept of every pod.
    label_keys: BTreeSet<String>,
    /// Number of the list.
    list: u32,
    is_listed: bool,
    /// A pod is unknown: each selector might match it, and its node is not monitored.
    has_unknown: bool,
    /// The same, in the list that is not complete yet.
    listing_unknown: bool,
}

/// How many running pods a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunningPods {
    Exactly(usize),
    /// A pod is unknown, and can be one of this node.
    AtLeast(usize),
    /// Pods were not listed yet.
    Unknown,
}

/// The running pods.
#[derive(Debug)]
pub(crate) struct Pods {
    known: Mutex<Known>,
    /// Counts the complete lists.
    lists: watch::Sender<u64>,
}

impl Default for Pods {
    fn default() -> Self {
        Self::with_limit(LIMIT_BYTES)
    }
}

impl Pods {
    fn with_limit(limit_bytes: usize) -> Self {
        let known = Known {
            limit_bytes,
            ..Known::default()
        };
        Self {
            known: Mutex::new(known),
            lists: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the number of complete lists.
    pub(crate) fn lists(&self) -> watch::Receiver<u64> {
        self.lists.subscribe()
    }

    /// The pods that match all of these selectors, and how many of their nodes are monitored. None: no
    /// list was complete, or a selector names a label that was not listed.
    pub(crate) fn matching(
        &self,
        namespaces: &Namespaces,
        of: &[&MatchResources],
        monitored: &BTreeSet<String>,
    ) -> Option<Matching> {
        self.lock().matching(namespaces, of, monitored)
    }

    /// How many run on each of these nodes, in their order.
    pub(crate) fn on_nodes(&self, nodes: &[&str]) -> Vec<RunningPods> {
        self.lock().on_nodes(nodes)
    }

    /// A list begins that keeps these labels.
    fn begin(&self, label_keys: &BTreeSet<String>) {
        let mut known = self.lock();
        known.list = known.list.wrapping_add(1);
        known.listing_unknown = false;
        known.label_keys.retain(|key| label_keys.contains(key));
    }

    /// A list is complete: pods that it did not name do not exist.
    fn complete(&self, label_keys: &BTreeSet<String>) {
        let mut known = self.lock();
        known.retain_listed();
        known.label_keys.clone_from(label_keys);
        known.is_listed = true;
        known.has_unknown = known.listing_unknown;
        drop(known);
        self.lists
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A pod exists; false: there is no memory for it, and it is unknown.
    fn apply(&self, pod: Pod) -> bool {
        self.lock().apply(pod)
    }

    /// Nothing is known of a pod. True: it is the first one of the list.
    fn unknown(&self) -> bool {
        let mut known = self.lock();
        known.has_unknown = true;
        !std::mem::replace(&mut known.listing_unknown, true)
    }

    fn delete(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn has_unknown(&self) -> bool {
        self.lock().has_unknown
    }
}

impl Known {
    fn apply(&mut self, pod: Pod) -> bool {
        let workload = workload(&pod).unwrap_or_default();
        let Some(uid) = pod.metadata.uid.filter(|uid| uid.len() <= UID_LIMIT) else {
            return false;
        };
        self.remove(&uid);
        let selectable = Selectable {
            namespace: pod.metadata.namespace.unwrap_or_default(),
            labels: pod.metadata.labels.unwrap_or_default(),
        };
        let node = pod.spec.node_name.unwrap_or_default();
        let added = [
            self.selectable.added_bytes(&selectable),
            self.nodes.added_bytes(&node),
            self.workloads.added_bytes(&workload),
        ];
        let added = added.into_iter().fold(POD_BYTES, usize::saturating_add);
        if self.bytes().saturating_add(added) > self.limit_bytes {
            return false;
        }
        let kept = Kept {
            selectable: self.selectable.acquire(selectable),
            node: self.nodes.acquire(node),
            workload: self.workloads.acquire(workload),
            list: self.list,
        };
        self.pods.insert(uid.into_boxed_str(), kept);
        true
    }

    fn remove(&mut self, uid: &str) {
        if let Some(kept) = self.pods.remove(uid) {
            self.release(kept);
        }
    }

    fn release(&mut self, kept: Kept) {
        self.selectable.release(kept.selectable);
        self.nodes.release(kept.node);
        self.workloads.release(kept.workload);
    }

    fn retain_listed(&mut self) {
        let list = self.list;
        let gone = self.pods.extract_if(.., |_, kept| kept.list != list);
        let gone: Vec<_> = gone.map(|(_, kept)| kept).collect();
        for kept in gone {
            self.release(kept);
        }
    }

    /// Upper limit of the memory that is taken.
    fn bytes(&self) -> usize {
        let pods = self.pods.len().saturating_mul(POD_BYTES);
        pods.saturating_add(self.selectable.bytes())
            .saturating_add(self.nodes.bytes())
            .saturating_add(self.workloads.bytes())
    }

    fn on_nodes(&self, nodes: &[&str]) -> Vec<RunningPods> {
        let mut counts = vec![0_usize; self.nodes.values().count()];
        for kept in self.pods.values() {
            if let Some(count) = counts.get_mut(index(kept.node)) {
                *count += 1;
            }
        }
        let named = self.nodes.values().zip(counts);
        let named = named.filter_map(|(name, count)| Some((name?.as_str(), count)));
        let by_name: BTreeMap<_, _> = named.collect();
        let count = |node: &&str| match by_name.get(node).copied().unwrap_or_default() {
            _ if !self.is_listed => RunningPods::Unknown,
            count if self.has_unknown => RunningPods::AtLeast(count),
            count => RunningPods::Exactly(count),
        };
        nodes.iter().map(count).collect()
    }

    fn matching(
        &self,
        namespaces: &Namespaces,
        of: &[&MatchResources],
        monitored: &BTreeSet<String>,
    ) -> Option<Matching> {
        let mut labels = of.iter().flat_map(|of| of.object_labels());
        if !self.is_listed || labels.any(|label| !self.label_keys.contains(label)) {
            return None;
        }
        let none = Labels::new();
        let matches = |selectable: &Selectable| {
            let namespace = namespaces.get(&selectable.namespace).unwrap_or(&none);
            of.iter().all(|m| m.matches(namespace, &selectable.labels))
        };
        let selected: Vec<bool> = self
            .selectable
            .values()
            .map(|selectable| selectable.is_some_and(matches))
            .collect();
        let mut on_node = vec![false; self.nodes.values().count()];
        let mut of_workload = vec![false; self.workloads.values().count()];
        let mark = |marks: &mut Vec<bool>, number| {
            if let Some(mark) = marks.get_mut(index(number)) {
                *mark = true;
            }
        };
        let mut pods = 0;
        for kept in self.pods.values() {
            if selected.get(index(kept.selectable)) == Some(&true) {
                pods += 1;
                mark(&mut on_node, kept.node);
                mark(&mut of_workload, kept.workload);
            }
        }
        let nodes = self.nodes.values().zip(&on_node).filter(|(_, on)| **on);
        let nodes = nodes.filter_map(|(node, _)| node.filter(|node| !node.is_empty()));
        let (mut matching, mut monitored_nodes) = (usize::from(self.has_unknown), 0);
        for node in nodes {
            matching += 1;
            monitored_nodes += usize::from(monitored.contains(node));
        }
        let workloads = self.workloads.values().zip(&of_workload);
        let workloads = workloads.filter_map(|(workload, of)| workload.filter(|_| *of));
        let workloads = workloads.map(|workload| {
            let uid = Some(&*workload.uid).filter(|uid| !uid.is_empty());
            (&*workload.namespace, uid)
        });
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Some(Matching {
            pods,
            workloads: matched_workloads(workloads),
            coverage: Coverage {
                matching_nodes: number(matching),
                monitored_nodes: number(monitored_nodes),
            },
        })
    }
}

/// The workload of a pod. None: it is not counted.
fn workload(pod: &Pod) -> Option<Workload> {
    let references = pod.metadata.owner_references.as_deref();
    let owner = counted(pod.spec.node_name.as_deref(), references)?;
    Some(Workload {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        uid: owner.uid,
    })
}

/// Reads the parts of pods that are kept.
struct Reader {
    label_keys: BTreeSet<String>,
    parts: [Reads; 2],
}

impl Reader {
    /// With these labels.
    fn new(label_keys: BTreeSet<String>) -> Self {
        let reads = |parts: &[&[&str]]| {
            let mut reads = Reads::path(&["metadata", "name"]);
            for part in parts {
                reads.merge(&Reads::path(part));
            }
            for label in &label_keys {
                reads.merge(&Reads::path(&["metadata", "labels", label]));
            }
            reads
        };
        let parts = [reads(PARTS), reads(LEAST_PARTS)];
        Self { label_keys, parts }
    }

    /// The parts of a pod, without its owners if these are too large.
    fn read(&self, json: &[u8]) -> Result<Pod, String> {
        let mut failed = String::new();
        for parts in &self.parts {
            match project(json, parts, READ_LIMIT_BYTES) {
                Ok((pod, _)) => {
                    return serde_json::from_value(pod).map_err(|error| error.to_string());
                }
                Err(error) => failed = error.to_string(),
            }
        }
        Err(failed)
    }
}

#[cfg(test)]
mod tests;
