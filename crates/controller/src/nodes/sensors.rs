//! Which nodes have no Ready sensor, and since when.
//!
//! Here: a function of what the watches bring and the time. Not here: the watches and the Events (`super`).
//! Invariant: a node is down if no sensor on it is Ready; it is reported after [`DOWN`], and again each
//! [`NODE_NOT_MONITORED_INTERVAL`] as long as it lasts; nothing is known before both lists were complete,
//! and what was known stays until a new list is.

use bailiff_api::event::NODE_NOT_MONITORED_INTERVAL;
use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::ObjectEvent;
use k8s_openapi::api::core::v1::{self as core, Node};
use kube::Resource;
use kube::core::{ObjectMeta, PartialObjectMeta};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A sensor that restarts is Ready again sooner.
pub(super) const DOWN: Duration = Duration::from_mins(1);
/// Pause before an Event is written again that the API server did not accept.
const RETRY: Duration = Duration::from_secs(10);

/// The nodes with a Ready sensor. None: the sensors were not listed yet.
pub(crate) type Monitored = watch::Sender<Option<BTreeSet<String>>>;

/// The parts of a sensor's pod that matter. Text only, so that no other field can prevent decoding.
#[derive(Deserialize)]
struct Pod {
    metadata: Named,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

impl Pod {
    fn is_ready(&self) -> bool {
        let ready = |c: &Condition| c.type_ == "Ready" && c.status == "True";
        self.status.conditions.iter().any(ready)
    }
}

/// Sensors by node and by name of the pod, and whether each is Ready.
type ByNode = BTreeMap<String, BTreeMap<String, bool>>;

/// A node that is reported now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) node: String,
    pub(super) cause: Cause,
}

/// Why a node is not monitored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It has a sensor pod, which is not Ready.
    NotReady,
    /// It has no sensor pod.
    NoPod,
    /// The same, as Fargate runs no `DaemonSets`.
    Fargate,
    /// The same, as virtual-kubelet runs none.
    VirtualKubelet,
}

/// What runs the pods of a node, by its labels. They decide what is said of a node without a sensor, and
/// nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeKind {
    /// A kubelet.
    Kubelet,
    Fargate,
    VirtualKubelet,
}

impl NodeKind {
    /// By the labels that these nodes always have.
    fn of(metadata: &ObjectMeta) -> Self {
        let labels = metadata.labels.as_ref();
        let is = |label: &str, value: &str| {
            labels.is_some_and(|labels| labels.get(label).is_some_and(|have| have == value))
        };
        if is("eks.amazonaws.com/compute-type", "fargate") {
            Self::Fargate
        } else if is("type", "virtual-kubelet") {
            Self::VirtualKubelet
        } else {
            Self::Kubelet
        }
    }
}

/// What a list and the watch after it know.
#[derive(Debug)]
struct Listed<T> {
    /// Absent before a list was complete.
    known: Option<T>,
    coming: Option<T>,
}

impl<T: Default> Listed<T> {
    const fn new() -> Self {
        Self {
            known: None,
            coming: None,
        }
    }

    /// What the next object belongs to.
    fn current(&mut self) -> &mut T {
        match &mut self.coming {
            Some(coming) => coming,
            None => self.known.get_or_insert_default(),
        }
    }

    fn complete(&mut self) {
        self.known = Some(self.coming.take().unwrap_or_default());
    }
}

/// Nodes and sensors.
#[derive(Debug)]
pub(super) struct Sensors {
    nodes: Listed<BTreeMap<String, NodeKind>>,
    pods: Listed<ByNode>,
    /// Nodes without a Ready sensor, and when each is reported next.
    down: BTreeMap<String, Instant>,
    monitored: Monitored,
}

impl Sensors {
    pub(super) const fn new(monitored: Monitored) -> Self {
        Self {
            nodes: Listed::new(),
            pods: Listed::new(),
            down: BTreeMap::new(),
            monitored,
        }
    }

    /// Learns of a Node, of which only the name and the kind matter.
    pub(super) fn node(&mut self, event: ObjectEvent, now: Instant) {
        match event {
            ObjectEvent::Listing => self.nodes.coming = Some(BTreeMap::new()),
            ObjectEvent::Listed(json) => self.nodes.current().extend(node_of(&json)),
            ObjectEvent::Complete => {
                self.nodes.complete();
                self.compare_all(now);
            }
            ObjectEvent::Applied(json) => {
                if let Some((name, kind)) = node_of(&json) {
                    self.nodes.current().insert(name.clone(), kind);
                    self.compare(&name, now);
                }
            }
            ObjectEvent::Deleted(json) => {
                if let Some(name) = name_of::<Node>(&json) {
                    self.nodes.current().remove(&name);
                    self.compare(&name, now);
                }
            }
            ObjectEvent::TooLarge => tracing::warn!("The metadata of a Node has more than 10 MiB"),
        }
    }

    /// Learns of a sensor's pod.
    pub(super) fn pod(&mut self, event: ObjectEvent, now: Instant) {
        let changed = match event {
            ObjectEvent::Listing => {
                self.pods.coming = Some(ByNode::new());
                None
            }
            ObjectEvent::Listed(json) => {
                self.apply(&json);
                None
            }
            ObjectEvent::Complete => {
                self.pods.complete();
                self.compare_all(now);
                None
            }
            ObjectEvent::Applied(json) => self.apply(&json),
            ObjectEvent::Deleted(json) => self.delete(&json),
            ObjectEvent::TooLarge => {
                tracing::warn!("A sensor pod has more than 10 MiB");
                None
            }
        };
        if let Some(node) = changed {
            self.compare(&node, now);
        }
    }

    /// The node of a sensor that was created or changed; none: it is not scheduled. A pod that cannot be
    /// decoded counts as deleted.
    fn apply(&mut self, json: &[u8]) -> Option<String> {
        let pod: Pod = match serde_json::from_slice(json) {
            Ok(pod) => pod,
            Err(error) => {
                tracing::warn!(%error, "Cannot decode a sensor pod; its node does not count as monitored");
                return self.delete(json);
            }
        };
        let ready = pod.is_ready();
        let node = pod.spec.node_name?;
        let sensors = self.pods.current().entry(node.clone()).or_default();
        sensors.insert(pod.metadata.name, ready);
        Some(node)
    }

    /// The node of a sensor that does not exist any more.
    fn delete(&mut self, json: &[u8]) -> Option<String> {
        let name = name_of::<core::Pod>(json)?;
        let by_node = self.pods.current();
        let of = |(_, sensors): &(&String, &BTreeMap<String, bool>)| sensors.contains_key(&name);
        let node = by_node.iter().find(of).map(|(node, _)| node.clone())?;
        if let Some(sensors) = by_node.get_mut(&node) {
            sensors.remove(&name);
            if sensors.is_empty() {
                by_node.remove(&node);
            }
        }
        Some(node)
    }

    /// Compares every node with its sensors.
    fn compare_all(&mut self, now: Instant) {
        if let Some(pods) = &self.pods.known {
            let ready = pods.iter().filter(|(_, sensors)| is_any_ready(sensors));
            let ready = ready.map(|(node, _)| node.clone()).collect();
            self.monitored.send_replace(Some(ready));
        }
        let known = self.nodes.known.iter().flat_map(BTreeMap::keys).cloned();
        let all: BTreeSet<_> = known.chain(self.down.keys().cloned()).collect();
        for node in all {
            self.compare(&node, now);
        }
    }

    /// Compares a node with its sensors.
    fn compare(&mut self, node: &str, now: Instant) {
        let Some(pods) = &self.pods.known else {
            return;
        };
        let ready = pods.get(node).is_some_and(is_any_ready);
        self.monitored.send_if_modified(|monitored| {
            let monitored = monitored.get_or_insert_default();
            if ready {
                monitored.insert(node.to_owned())
            } else {
                monitored.remove(node)
            }
        });
        let Some(nodes) = &self.nodes.known else {
            return;
        };
        if ready || !nodes.contains_key(node) {
            self.down.remove(node);
        } else {
            self.down.entry(node.to_owned()).or_insert(now + DOWN);
        }
    }

    /// When a node is to be reported.
    pub(super) fn next(&self) -> Option<Instant> {
        self.down.values().min().copied()
    }

    /// The nodes that are reported now, at most so many; each is due again after the interval.
    pub(super) fn due(&mut self, now: Instant, limit: usize) -> Vec<Due> {
        let due = self.down.iter_mut().filter(|(_, next)| **next <= now);
        let due = due.take(limit).map(|(node, next)| {
            *next = now + NODE_NOT_MONITORED_INTERVAL;
            let pods = self.pods.known.as_ref().and_then(|pods| pods.get(node));
            let kind = self.nodes.known.as_ref().and_then(|nodes| nodes.get(node));
            let cause = match (pods, kind) {
                (Some(_), _) => Cause::NotReady,
                (None, Some(NodeKind::Kubelet) | None) => Cause::NoPod,
                (None, Some(NodeKind::Fargate)) => Cause::Fargate,
                (None, Some(NodeKind::VirtualKubelet)) => Cause::VirtualKubelet,
            };
            Due {
                node: node.clone(),
                cause,
            }
        });
        due.collect()
    }

    /// The API server did not accept the Event about a node.
    pub(super) fn failed(&mut self, node: &str, now: Instant) {
        if let Some(next) = self.down.get_mut(node) {
            *next = now + RETRY;
        }
    }

    /// The number of nodes without a Ready sensor.
    pub(super) fn down(&self) -> i64 {
        i64::try_from(self.down.len()).unwrap_or(i64::MAX)
    }
}

fn is_any_ready(sensors: &BTreeMap<String, bool>) -> bool {
    sensors.values().any(|ready| *ready)
}

/// The name of a Node and what runs its pods.
fn node_of(json: &[u8]) -> Option<(String, NodeKind)> {
    let metadata = metadata_of::<Node>(json);
    let kind = NodeKind::of(&metadata);
    Some((metadata.name?, kind))
}

/// The name of an object, without the rest of it.
fn name_of<K>(json: &[u8]) -> Option<String>
where
    K: Resource<DynamicType = ()>,
{
    metadata_of::<K>(json).name
}

/// The metadata of an object, as far as it can be decoded.
fn metadata_of<K>(json: &[u8]) -> ObjectMeta
where
    K: Resource<DynamicType = ()>,
{
    let text = std::str::from_utf8(json).unwrap_or_default();
    let object = Decoded::<PartialObjectMeta<K>>::from_text(text);
    object.meta().clone()
}

#[cfg(test)]
mod tests;
