//! The circuit breaker: responses to a workload pause when its replacements violate a policy as
//! soon as they start.
//!
//! Here: what Incidents record, and for how long. Not here: which of it are events (`breaker/workload`), what
//! opens and closes a breaker (`breaker/timeline`), and what is planned while it is open (`plan`).
//! Invariant: its state is derived from Incidents alone, so that it survives a change of leader;
//! processes of `kubectl exec` never open it, or every user who may exec could switch responses off; and what
//! one node reports neither opens it for another node nor keeps it open there, or one stolen sensor
//! could. Neither learning of an Incident nor a query goes through the others.

mod timeline;
mod workload;

use crate::facts::{created, is_by_itself};
use crate::ledger::later;
use crate::workload::WorkloadKey;
use bailiff_api::{Incident, IncidentType};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use timeline::Failure;
use workload::{Candidate, Workload};

/// So soon after its start a replacement must violate the policy to count.
const SOON: SignedDuration = SignedDuration::from_mins(2);
/// So many such replacements open the breaker.
const FAILURES: usize = 3;
/// So many nodes must have reported failures for the breaker of all nodes.
const ALL_NODES_LEAST: usize = 2;
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(10);
/// The longest pause.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// A replacement can start this long before the controller knows that the removal was accepted; the
/// times of pods have whole seconds.
const REQUEST_TIME: SignedDuration = SignedDuration::from_secs(2);
/// What is older no longer matters: by then the pauses have their full length.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Whether responses to a workload and policy pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// They do not.
    Closed,
    /// They do.
    Open {
        /// When one response is tried, or the breaker can have closed.
        until: Timestamp,
    },
}

/// A workload and the generation of a policy, by UID.
type Key = (WorkloadKey, String, i64);

/// What one Incident tells the breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    pod_uid: String,
    node: String,
    policy: (String, i64),
    workload: Option<WorkloadKey>,
    /// When the API server recorded the violation.
    violated: Timestamp,
    started: Option<Timestamp>,
    /// A process that the pod started by itself.
    by_itself: bool,
    removed: Option<Timestamp>,
    replacement: Option<Ready>,
}

impl Record {
    fn key(&self) -> Option<Key> {
        let (policy, generation) = self.policy.clone();
        Some((self.workload.clone()?, policy, generation))
    }

    /// The pod, by UID, and its node.
    fn place(&self) -> (&str, &str) {
        (&self.pod_uid, &self.node)
    }

    fn as_violated(&self) -> Violated {
        let (policy, generation) = self.policy.clone();
        (self.pod_uid.clone(), self.node.clone(), policy, generation)
    }

    /// A process that the pod started by itself, soon after its start.
    fn candidate(&self) -> Option<Candidate> {
        let started = self.started?;
        let soon = self.violated.duration_since(started) <= SOON;
        (self.by_itself && soon).then(|| Candidate {
            violated: self.violated,
            failure: Failure {
                pod: self.pod_uid.clone(),
                node: self.node.clone(),
                started,
            },
        })
    }

    /// When it was last heard of.
    fn last(&self) -> Timestamp {
        self.removed.map_or(self.violated, |r| r.max(self.violated))
    }
}

/// A replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ready {
    uid: String,
    node: String,
    /// When it became Ready.
    at: Timestamp,
}

/// A pod on a node, and the generation of a policy that a process in it violated, by UID.
type Violated = (String, String, String, i64);

/// What is known of all breakers.
#[derive(Clone, Debug, Default)]
pub struct Breakers {
    /// By the UID of the Incident.
    records: BTreeMap<String, Record>,
    by_key: BTreeMap<Key, Workload>,
    /// How many Incidents name a node for a pod, by the UID of the pod.
    by_pod: BTreeMap<String, BTreeMap<String, usize>>,
    /// Violations of processes that the pod started by itself, with the UID of the Incident.
    violations: BTreeMap<Violated, BTreeSet<(Timestamp, String)>>,
    /// Incidents, by the UID of the replacement.
    by_replacement: BTreeMap<String, BTreeSet<String>>,
    /// Incidents in the order in which they are forgotten.
    by_age: BTreeSet<(Timestamp, String)>,
}

impl Breakers {
    /// Learns what an Incident's status records.
    pub fn observe(&mut self, incident: &Incident) {
        let status = incident.status.as_ref();
        let workload = WorkloadKey::of_incident(incident);
        let started = status.and_then(|s| s.pod_start_time.as_ref());
        self.learn(incident, workload, started.map(|s| s.0));
    }

    /// Learns that the live pod of an Incident belongs to a workload, and when it started, before
    /// the status records it.
    pub(crate) fn verified(
        &mut self,
        incident: &Incident,
        workload: &WorkloadKey,
        started: Option<Timestamp>,
    ) {
        self.learn(incident, Some(workload.clone()), started);
    }

    fn learn(
        &mut self,
        incident: &Incident,
        workload: Option<WorkloadKey>,
        started: Option<Timestamp>,
    ) {
        let Some(uid) = &incident.metadata.uid else {
            return;
        };
        match incident.spec.type_ {
            IncidentType::Violation => {}
            IncidentType::FoundRunning | IncidentType::EvaluationFailed => return,
        }
        let spec = &incident.spec;
        let status = incident.status.as_ref();
        let response = status.and_then(|s| s.response.as_ref());
        let replacement = status.and_then(|s| s.replacement.as_ref());
        let known = self.records.get(uid);
        let record = Record {
            pod_uid: spec.pod.uid.clone(),
            node: spec.node_name.clone(),
            policy: (spec.policy_ref.uid.clone(), spec.policy_ref.generation),
            // What was verified once stays so, also where the watch is behind.
            workload: workload.or_else(|| known.and_then(|k| k.workload.clone())),
            violated: created(&incident.metadata),
            started: started.or_else(|| known.and_then(|k| k.started)),
            by_itself: is_by_itself(spec.process.origin),
            removed: response
                .map(|r| r.time.0)
                .or_else(|| known.and_then(|k| k.removed)),
            replacement: replacement.map(|r| Ready {
                uid: r.uid.clone(),
                node: r.node_name.clone(),
                at: r.ready_time.0,
            }),
        };
        if known != Some(&record) {
            self.deleted(uid);
            self.add(uid, record);
        }
    }

    fn add(&mut self, uid: &str, record: Record) {
        if let Some(key) = record.key() {
            let of_key = self.by_key.entry(key).or_default();
            of_key.add(uid, record.place(), record.candidate(), record.removed);
        }
        let nodes = self.by_pod.entry(record.pod_uid.clone()).or_default();
        *nodes.entry(record.node.clone()).or_default() += 1;
        if let Some(ready) = &record.replacement {
            let of_replacement = self.by_replacement.entry(ready.uid.clone()).or_default();
            of_replacement.insert(uid.to_owned());
        }
        self.by_age.insert((record.last(), uid.to_owned()));
        let (pod, violated) = (record.pod_uid.clone(), record.violated);
        let by_itself = record.by_itself.then(|| record.as_violated());
        self.records.insert(uid.to_owned(), record);
        self.find_healthy(uid);
        if let Some(of) = by_itself {
            let violations = self.violations.entry(of).or_default();
            let is_first = violations.first().is_none_or(|(at, _)| violated < *at);
            violations.insert((violated, uid.to_owned()));
            if is_first {
                self.find_healthy_by(&pod);
            }
        }
    }

    /// Forgets an Incident that was deleted, by UID.
    pub fn deleted(&mut self, incident_uid: &str) {
        let Some(record) = self.records.remove(incident_uid) else {
            return;
        };
        if let Some(key) = record.key()
            && let Some(of_key) = self.by_key.get_mut(&key)
            && of_key.remove(incident_uid, record.place(), record.removed)
        {
            self.by_key.remove(&key);
        }
        if let Some(nodes) = self.by_pod.get_mut(&record.pod_uid) {
            if let Some(count) = nodes.get_mut(&record.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&record.node);
                }
            }
            if nodes.is_empty() {
                self.by_pod.remove(&record.pod_uid);
            }
        }
        if let Some(ready) = &record.replacement
            && let Some(incidents) = self.by_replacement.get_mut(&ready.uid)
        {
            incidents.remove(incident_uid);
            if incidents.is_empty() {
                self.by_replacement.remove(&ready.uid);
            }
        }
        let uid = incident_uid.to_owned();
        self.by_age.remove(&(record.last(), uid.clone()));
        let of = record.as_violated();
        if let Some(violations) = self.violations.get_mut(&of) {
            let was_first = violations.first().is_some_and(|(_, first)| *first == uid);
            violations.remove(&(record.violated, uid));
            if violations.is_empty() {
                self.violations.remove(&of);
            }
            if was_first {
                self.find_healthy_by(&record.pod_uid);
            }
        }
    }

    /// All Incidents that exist, by UID: the others are forgotten.
    pub fn relisted(&mut self, present: &BTreeSet<String>) {
        let gone = self.records.keys().filter(|uid| !present.contains(*uid));
        let gone: Vec<_> = gone.cloned().collect();
        for uid in gone {
            self.deleted(&uid);
        }
    }

    /// Forgets what is too old to matter.
    pub fn prune(&mut self, now: Timestamp) {
        while let Some((last, uid)) = self.by_age.first()
            && now.duration_since(*last) >= REMEMBERED
        {
            let uid = uid.clone();
            self.deleted(&uid);
        }
    }

    /// The breaker of a workload and a generation of a policy, for pods on a node. `requested` gives the
    /// UIDs of removed pods of the workload, and when each removal was requested.
    pub(crate) fn state<'a, R>(
        &mut self,
        workload: &WorkloadKey,
        policy: (&str, i64),
        node: &str,
        requested: impl Fn() -> R,
        now: Timestamp,
    ) -> Breaker
    where
        R: Iterator<Item = (&'a str, Timestamp)>,
    {
        let key = (workload.clone(), policy.0.to_owned(), policy.1);
        let by_pod = &self.by_pod;
        let ran_on_node = |pod: &str| by_pod.get(pod).is_some_and(|n| n.contains_key(node));
        match self.by_key.get_mut(&key) {
            Some(of_key) => of_key.breaker(node, requested, ran_on_node, now),
            None => Breaker::Closed,
        }
    }

    /// Finds out anew whether the replacements of Incidents are healthy whose replacement this pod is.
    fn find_healthy_by(&mut self, replacement: &str) {
        let incidents = self.by_replacement.get(replacement);
        for uid in incidents.cloned().unwrap_or_default() {
            self.find_healthy(&uid);
        }
    }

    /// Finds out whether the replacement of an Incident's pod is healthy: it lives long enough without a
    /// violation.
    fn find_healthy(&mut self, uid: &str) {
        let Some(record) = self.records.get(uid) else {
            return;
        };
        let Some(ready) = &record.replacement else {
            return;
        };
        let at = later(ready.at, SOON);
        // A sensor can name a pod of another node.
        let (policy, generation) = record.policy.clone();
        let of = (ready.uid.clone(), ready.node.clone(), policy, generation);
        let violations = self.violations.get(&of);
        let first = violations.and_then(|violations| violations.first());
        let failed = first.is_some_and(|(violated, _)| *violated <= at);
        let healthy = (!failed).then_some((at, ready.node.as_str()));
        if let Some(key) = record.key()
            && let Some(of_key) = self.by_key.get_mut(&key)
        {
            of_key.set_healthy(uid, healthy);
        }
    }
}

/// The pause after so many earlier ones.
fn pause(earlier: u32) -> SignedDuration {
    let longer = 2_i32.saturating_pow(earlier);
    FIRST_PAUSE.saturating_mul(longer).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
