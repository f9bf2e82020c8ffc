//! What Incidents record of a workload and a generation of a policy.
//!
//! Here: which of it are events, and the events of all nodes and of each. Not here: the Incidents
//! (`super`) and what the events lead to (`timeline`).
//! Invariant: a candidate is an event if and only if it failed after the first removals; these are compared
//! again before a query, and only if they changed.

use super::timeline::{Event, Failure, Timeline};
use super::{ALL_NODES_LEAST, Breaker, REQUEST_TIME};
use crate::ledger::later;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A pod that violated the policy by itself soon after its start: a failure, if it is a replacement.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) violated: Timestamp,
    pub(super) failure: Failure,
}

/// The first removals: a replacement starts after that of another pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FirstRemovals {
    /// The first, and the UID of its pod.
    first: Option<(Timestamp, String)>,
    /// The first of any other pod.
    of_another: Option<Timestamp>,
}

impl FirstRemovals {
    /// Whether a candidate started after the removal of another pod.
    fn precede(&self, candidate: &Candidate) -> bool {
        let failure = &candidate.failure;
        let of_other = match &self.first {
            Some((at, pod)) if *pod != failure.pod => Some(*at),
            Some(_) => self.of_another,
            None => None,
        };
        of_other.is_some_and(|removed| later(failure.started, REQUEST_TIME) >= removed)
    }
}

/// What is known of a workload and a generation of a policy.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    /// How many Incidents there are.
    incidents: usize,
    /// Removals, with the UIDs of the pod and the Incident.
    removals: BTreeSet<(Timestamp, String, String)>,
    /// What candidates were compared with.
    first: FirstRemovals,
    /// By the UID of the Incident.
    candidates: BTreeMap<String, Candidate>,
    /// When and on which node replacements are healthy, by the UID of the Incident.
    healthy: BTreeMap<String, (Timestamp, String)>,
    of_all: Timeline,
    of_node: BTreeMap<String, Timeline>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            incidents: 0,
            removals: BTreeSet::new(),
            first: FirstRemovals::default(),
            candidates: BTreeMap::new(),
            healthy: BTreeMap::new(),
            of_all: Timeline::new(ALL_NODES_LEAST),
            of_node: BTreeMap::new(),
        }
    }
}

impl Workload {
    /// Takes an Incident, by UID.
    pub(super) fn add(
        &mut self,
        uid: &str,
        (pod, node): (&str, &str),
        candidate: Option<Candidate>,
        removed: Option<Timestamp>,
    ) {
        self.incidents += 1;
        if let Some(candidate) = candidate {
            if self.first.precede(&candidate) {
                self.record_failure(&candidate);
            }
            self.candidates.insert(uid.to_owned(), candidate);
        }
        if let Some(at) = removed {
            let removal = (at, pod.to_owned(), uid.to_owned());
            self.removals.insert(removal);
            self.record_on(node, at, Event::Removed);
        }
    }

    /// Forgets an Incident. Whether there is no other.
    pub(super) fn remove(
        &mut self,
        uid: &str,
        (pod, node): (&str, &str),
        removed: Option<Timestamp>,
    ) -> bool {
        self.incidents = self.incidents.saturating_sub(1);
        if let Some(candidate) = self.candidates.remove(uid)
            && self.first.precede(&candidate)
        {
            self.erase_failure(&candidate);
        }
        if let Some(at) = removed {
            self.removals.remove(&(at, pod.to_owned(), uid.to_owned()));
            self.erase_on(node, at, Event::Removed);
        }
        self.set_healthy(uid, None);
        self.incidents == 0
    }

    /// When and on which node the replacement of an Incident's pod is healthy. None: it is not, or is not
    /// known.
    pub(super) fn set_healthy(&mut self, uid: &str, healthy: Option<(Timestamp, &str)>) {
        if let Some((at, node)) = self.healthy.remove(uid) {
            self.erase_on(&node, at, Event::Healthy);
        }
        if let Some((at, node)) = healthy {
            self.healthy.insert(uid.to_owned(), (at, node.to_owned()));
            self.record_on(node, at, Event::Healthy);
        }
    }

    /// The breaker for pods on a node. `requested` gives the UIDs of removed pods of the workload, and when
    /// each removal was requested; `ran_on_node` whether such a pod ran on the node.
    pub(super) fn breaker<'a, R>(
        &mut self,
        node: &str,
        requested: impl Fn() -> R,
        ran_on_node: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Breaker
    where
        R: Iterator<Item = (&'a str, Timestamp)>,
    {
        self.compare();
        let of_all = if self.of_all.can_open() {
            let last = requested().map(|(_, at)| at).max();
            self.of_all.breaker(last, now)
        } else {
            Breaker::Closed
        };
        let of_node = match self.of_node.get_mut(node) {
            Some(of_node) if of_node.can_open() => {
                let there = requested().filter(|(pod, _)| ran_on_node(pod));
                let last = there.map(|(_, at)| at).max();
                of_node.breaker(last, now)
            }
            Some(_) | None => Breaker::Closed,
        };
        match (of_all, of_node) {
            (Breaker::Open { until: a }, Breaker::Open { until: b }) => {
                Breaker::Open { until: a.max(b) }
            }
            (Breaker::Closed, other) | (other, Breaker::Closed) => other,
        }
    }

    /// Compares the candidates with the first removals, if these changed.
    fn compare(&mut self) {
        let first = self.removals.first();
        let first = first.map(|(at, pod, _)| (*at, pod.clone()));
        let another = |(_, pod): &(Timestamp, String)| {
            let mut others = self.removals.iter().filter(|(_, other, _)| other != pod);
            others.next().map(|(at, _, _)| *at)
        };
        let of_another = first.as_ref().and_then(another);
        let first = FirstRemovals { first, of_another };
        if first == self.first {
            return;
        }
        let before = std::mem::replace(&mut self.first, first);
        let candidates = std::mem::take(&mut self.candidates);
        for candidate in candidates.values() {
            match (before.precede(candidate), self.first.precede(candidate)) {
                (false, true) => self.record_failure(candidate),
                (true, false) => self.erase_failure(candidate),
                (false, false) | (true, true) => {}
            }
        }
        self.candidates = candidates;
    }

    fn record_failure(&mut self, candidate: &Candidate) {
        let failure = &candidate.failure;
        let event = Event::Failed(failure.clone());
        self.record_on(&failure.node, candidate.violated, event);
    }

    fn erase_failure(&mut self, candidate: &Candidate) {
        let failure = &candidate.failure;
        let event = Event::Failed(failure.clone());
        self.erase_on(&failure.node, candidate.violated, event);
    }

    fn record_on(&mut self, node: &str, at: Timestamp, event: Event) {
        self.of_all.add(at, event.clone());
        let of_node = self.of_node.entry(node.to_owned());
        let of_node = of_node.or_insert_with(|| Timeline::new(1));
        of_node.add(at, event);
    }

    fn erase_on(&mut self, node: &str, at: Timestamp, event: Event) {
        self.of_all.remove(at, event.clone());
        if let Some(of_node) = self.of_node.get_mut(node) {
            of_node.remove(at, event);
            if of_node.is_empty() {
                self.of_node.remove(node);
            }
        }
    }
}
