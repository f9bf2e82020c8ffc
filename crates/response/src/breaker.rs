//! The circuit breaker: responses to a workload pause when its replacements violate a policy as
//! soon as they start.
//!
//! Here: which Incidents open it, for how long, and what closes it. Not here: what is planned while
//! it is open (`plan`).
//! Invariant: its state is derived from Incidents alone, so that it survives a change of leader;
//! processes of `kubectl exec` never open it, or every user who may exec could switch responses off; and what
//! one node reports neither opens it for another node nor keeps it open there, or one stolen sensor
//! could.

use crate::facts::{created, is_by_itself};
use crate::ledger::later;
use crate::workload::WorkloadKey;
use bailiff_api::{Incident, IncidentType};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// So soon after its start a replacement must violate the policy to count.
const SOON: SignedDuration = SignedDuration::from_mins(2);
/// So many such replacements open the breaker.
const FAILURES: usize = 3;
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
#[derive(Clone, Debug)]
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

/// A replacement.
#[derive(Clone, Debug)]
struct Ready {
    uid: String,
    node: String,
    /// When it became Ready.
    at: Timestamp,
}

/// Which nodes a breaker is about.
#[derive(Clone, Copy, Debug)]
enum Scope<'a> {
    /// All, of which at least two must have reported failures.
    AllNodes,
    /// One alone.
    Node(&'a str),
}

impl Scope<'_> {
    fn contains(self, node: &str) -> bool {
        match self {
            Self::AllNodes => true,
            Self::Node(name) => name == node,
        }
    }

    const fn least_nodes(self) -> usize {
        match self {
            Self::AllNodes => 2,
            Self::Node(_) => 1,
        }
    }
}

/// What is known of all breakers.
#[derive(Clone, Debug, Default)]
pub struct Breakers {
    records: BTreeMap<String, Record>,
    by_key: BTreeMap<Key, Vec<String>>,
    by_pod: BTreeMap<String, Vec<String>>,
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
            IncidentType::EvaluationFailed => return,
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
        self.deleted(uid);
        if let Some(workload) = &record.workload {
            let (policy, generation) = record.policy.clone();
            let key = (workload.clone(), policy, generation);
            self.by_key.entry(key).or_default().push(uid.clone());
        }
        let of_pod = self.by_pod.entry(record.pod_uid.clone()).or_default();
        of_pod.push(uid.clone());
        self.records.insert(uid.clone(), record);
    }

    /// Forgets an Incident that was deleted, by UID.
    pub fn deleted(&mut self, incident_uid: &str) {
        let Some(record) = self.records.remove(incident_uid) else {
            return;
        };
        let remove = |uids: &mut Vec<String>| {
            uids.retain(|uid| uid != incident_uid);
            uids.is_empty()
        };
        if let Some(workload) = record.workload {
            let key = (workload, record.policy.0, record.policy.1);
            if self.by_key.get_mut(&key).is_some_and(remove) {
                self.by_key.remove(&key);
            }
        }
        if self.by_pod.get_mut(&record.pod_uid).is_some_and(remove) {
            self.by_pod.remove(&record.pod_uid);
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
        let old = |record: &Record| {
            let last = record
                .removed
                .map_or(record.violated, |r| r.max(record.violated));
            now.duration_since(last) >= REMEMBERED
        };
        let old: Vec<_> = self
            .records
            .iter()
            .filter(|(_, record)| old(record))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in old {
            self.deleted(&uid);
        }
    }

    /// The breaker of a workload and a generation of a policy, for pods on a node. `requested` are the
    /// UIDs of removed pods of the workload, and when each removal was requested.
    #[must_use]
    pub(crate) fn state(
        &self,
        workload: &WorkloadKey,
        policy: (&str, i64),
        node: &str,
        requested: &[(String, Timestamp)],
        now: Timestamp,
    ) -> Breaker {
        let key = (workload.clone(), policy.0.to_owned(), policy.1);
        let uids = self.by_key.get(&key).into_iter().flatten();
        let records: Vec<_> = uids.filter_map(|uid| self.records.get(uid)).collect();
        let of = |scope| self.state_in(scope, &records, requested, now);
        match (of(Scope::AllNodes), of(Scope::Node(node))) {
            (Breaker::Open { until: a }, Breaker::Open { until: b }) => {
                Breaker::Open { until: a.max(b) }
            }
            (Breaker::Closed, other) | (other, Breaker::Closed) => other,
        }
    }

    /// The breaker by what happened on these nodes.
    fn state_in(
        &self,
        scope: Scope<'_>,
        all: &[&Record],
        requested: &[(String, Timestamp)],
        now: Timestamp,
    ) -> Breaker {
        let records = || all.iter().filter(|r| scope.contains(&r.node));
        let failures = records()
            .filter(|r| is_failure(r, all))
            .map(|r| (r.violated, Event::Failed(Failure::of(r))));
        let removals = records().filter_map(|r| r.removed);
        let last_requested = requested
            .iter()
            .filter(|(pod, _)| self.ran_in(scope, pod))
            .map(|(_, at)| *at)
            .max();
        let removals = removals.chain(last_requested);
        let mut events: Vec<_> = failures
            .chain(removals.map(|at| (at, Event::Removed)))
            .collect();
        let healthy: Vec<_> = all.iter().filter_map(|r| self.healthy(scope, r)).collect();
        events.extend(
            healthy
                .iter()
                .filter(|at| **at <= now)
                .map(|at| (*at, Event::Healthy)),
        );
        events.sort();
        let state = events
            .into_iter()
            .fold(State::Closed(Failed::default()), |state, event| {
                state.after(event, scope)
            });
        let next_healthy = healthy.into_iter().filter(|at| *at > now).min();
        state.breaker(next_healthy, now)
    }

    /// Whether a pod, by UID, ran on one of these nodes.
    fn ran_in(&self, scope: Scope<'_>, pod_uid: &str) -> bool {
        match scope {
            Scope::AllNodes => true,
            Scope::Node(_) => {
                let of_pod = self.by_pod.get(pod_uid).into_iter().flatten();
                let mut of_pod = of_pod.filter_map(|uid| self.records.get(uid));
                of_pod.any(|r| scope.contains(&r.node))
            }
        }
    }

    /// When the replacement of an Incident's pod has lived long enough on one of these nodes without a
    /// violation.
    fn healthy(&self, scope: Scope<'_>, record: &Record) -> Option<Timestamp> {
        let ready = record.replacement.as_ref()?;
        if !scope.contains(&ready.node) {
            return None;
        }
        let at = later(ready.at, SOON);
        let of_pod = self.by_pod.get(&ready.uid).into_iter().flatten();
        let of_pod = of_pod.filter_map(|uid| self.records.get(uid));
        // A sensor can name a pod of another node.
        let mut of_pod = of_pod.filter(|r| r.node == ready.node);
        let failed = of_pod.any(|r| r.by_itself && r.policy == record.policy && r.violated <= at);
        (!failed).then_some(at)
    }
}

/// Whether a pod that replaced another violated the policy as soon as it started.
fn is_failure(record: &Record, all: &[&Record]) -> bool {
    let others = all.iter().filter(|other| other.pod_uid != record.pod_uid);
    let first_removal = others.filter_map(|other| other.removed).min();
    let (Some(started), Some(first_removal)) = (record.started, first_removal) else {
        return false;
    };
    record.by_itself
        && later(started, REQUEST_TIME) >= first_removal
        && record.violated.duration_since(started) <= SOON
}

/// A replacement that violated the policy as soon as it started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    /// UID.
    pod: String,
    node: String,
    /// Unknown for a record that is no failure.
    started: Option<Timestamp>,
}

impl Failure {
    fn of(record: &Record) -> Self {
        Self {
            pod: record.pod_uid.clone(),
            node: record.node.clone(),
            started: record.started,
        }
    }

    /// Whether the pod can have replaced one whose removal was requested at a time.
    fn is_after(&self, requested: Timestamp) -> bool {
        let started = self.started.map(|started| later(started, REQUEST_TIME));
        started.is_some_and(|started| started >= requested)
    }
}

/// What happened to a workload, in the order in which things of one time are taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Healthy,
    Failed(Failure),
    Removed,
}

/// Replacements that failed one after the other, by UID, and their nodes.
#[derive(Clone, Debug, Default)]
struct Failed(BTreeMap<String, String>);

impl Failed {
    fn add(&mut self, failure: Failure) {
        self.0.insert(failure.pod, failure.node);
    }

    /// Whether so many failed, as enough nodes reported.
    fn are(&self, least: usize, scope: Scope<'_>) -> bool {
        let nodes: BTreeSet<_> = self.0.values().collect();
        self.0.len() >= least && nodes.len() >= scope.least_nodes()
    }
}

enum State {
    Closed(Failed),
    Open {
        since: Timestamp,
        pauses: u32,
    },
    /// One response was tried.
    Tried {
        at: Timestamp,
        pauses: u32,
        /// Of the tries since the breaker opened last.
        failed: Failed,
    },
}

impl State {
    fn after(self, (at, event): (Timestamp, Event), scope: Scope<'_>) -> Self {
        match (self, event) {
            (_, Event::Healthy) => Self::Closed(Failed::default()),
            (Self::Closed(mut failed), Event::Failed(failure)) => {
                failed.add(failure);
                if failed.are(FAILURES, scope) {
                    Self::Open {
                        since: at,
                        pauses: 0,
                    }
                } else {
                    Self::Closed(failed)
                }
            }
            (Self::Open { since, pauses }, Event::Removed) if at >= later(since, pause(pauses)) => {
                Self::Tried {
                    at,
                    pauses,
                    failed: Failed::default(),
                }
            }
            (
                Self::Tried {
                    at: tried,
                    pauses,
                    failed,
                },
                Event::Removed,
            ) if at >= later(tried, pause(pauses)) => Self::Tried { at, pauses, failed },
            // What became of the try decides. One node alone decides for itself; for all nodes the next
            // try comes after the same pause, as without any report.
            (
                Self::Tried {
                    at: tried,
                    pauses,
                    mut failed,
                },
                Event::Failed(failure),
            ) if failure.is_after(tried) => {
                failed.add(failure);
                if failed.are(1, scope) {
                    Self::Open {
                        since: at,
                        pauses: pauses.saturating_add(1),
                    }
                } else {
                    Self::Tried {
                        at: tried,
                        pauses,
                        failed,
                    }
                }
            }
            (state, Event::Failed(_) | Event::Removed) => state,
        }
    }

    fn breaker(&self, next_healthy: Option<Timestamp>, now: Timestamp) -> Breaker {
        let (since, pauses) = match self {
            Self::Closed(_) => return Breaker::Closed,
            Self::Open { since, pauses } => (*since, *pauses),
            Self::Tried { at, pauses, .. } => (*at, *pauses),
        };
        let until = later(since, pause(pauses));
        if until <= now {
            return Breaker::Closed;
        }
        Breaker::Open {
            until: next_healthy.map_or(until, |healthy| healthy.min(until)),
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
