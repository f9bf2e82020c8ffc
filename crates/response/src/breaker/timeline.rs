//! What happened to a workload, in order, and the state of the breaker that follows from it.
//!
//! Here: the events and the state machine. Not here: which Incidents are events (`super`, `workload`).
//! Invariant: the state depends on the events, not on the order in which they became known; a query takes
//! a bounded number of steps after an event that is among the last ones, however many there are.

use super::{Breaker, FAILURES, REQUEST_TIME, pause};
use crate::ledger::later;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;

/// After so many events their state is kept; in tests, short sequences are to have kept states.
const INTERVAL: usize = if cfg!(test) { 2 } else { 64 };
/// So many states are kept, those of the latest events: new events are among them.
const KEPT_LIMIT: usize = 4;

/// A replacement that violated the policy as soon as it started.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failure {
    /// UID.
    pub(super) pod: String,
    pub(super) node: String,
    pub(super) started: Timestamp,
}

impl Failure {
    /// Whether the pod can have replaced one whose removal was requested at a time.
    pub(super) fn is_after(&self, requested: Timestamp) -> bool {
        later(self.started, REQUEST_TIME) >= requested
    }
}

/// What happened to a workload, in the order in which things of one time are taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A replacement lived long enough without a violation.
    Healthy,
    Failed(Failure),
    Removed,
}

/// The events of all nodes or of one. Equal events of one time count as one, as they change nothing more.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// So many nodes must have reported failures for the breaker to open.
    least_nodes: usize,
    /// How many Incidents record each event.
    events: BTreeMap<(Timestamp, Event), usize>,
    /// How many events Incidents record, each as often as they do.
    recorded: usize,
    /// How many different failures there are.
    failures: usize,
    /// The last removal that was requested, which is an event as well.
    requested: Option<Timestamp>,
    /// States after events, in order.
    kept: Vec<((Timestamp, Event), State)>,
}

impl Timeline {
    pub(super) const fn new(least_nodes: usize) -> Self {
        Self {
            least_nodes,
            events: BTreeMap::new(),
            recorded: 0,
            failures: 0,
            requested: None,
            kept: Vec::new(),
        }
    }

    /// An Incident records an event.
    pub(super) fn add(&mut self, at: Timestamp, event: Event) {
        self.recorded += 1;
        self.insert(&(at, event));
    }

    /// An Incident that recorded an event does so no more.
    pub(super) fn remove(&mut self, at: Timestamp, event: Event) {
        self.recorded = self.recorded.saturating_sub(1);
        self.take(&(at, event));
    }

    /// Whether no Incident records an event.
    pub(super) const fn is_empty(&self) -> bool {
        self.recorded == 0
    }

    /// Whether there are enough failures to open the breaker.
    pub(super) const fn can_open(&self) -> bool {
        self.failures >= FAILURES
    }

    fn insert(&mut self, event: &(Timestamp, Event)) {
        let is_failure = matches!(event.1, Event::Failed(_));
        let count = self.events.entry(event.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.failures += usize::from(is_failure);
            self.forget_after(event);
        }
    }

    fn take(&mut self, event: &(Timestamp, Event)) {
        let Some(count) = self.events.get_mut(event) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.events.remove(event);
            self.failures -= usize::from(matches!(event.1, Event::Failed(_)));
            self.forget_after(event);
        }
    }

    /// Forgets the states that an event changes.
    fn forget_after(&mut self, event: &(Timestamp, Event)) {
        while self.kept.last().is_some_and(|(last, _)| last >= event) {
            self.kept.pop();
        }
    }

    /// The state at a time. `requested`: when the last removal was requested.
    pub(super) fn breaker(&mut self, requested: Option<Timestamp>, now: Timestamp) -> Breaker {
        if self.requested != requested {
            if let Some(before) = self.requested {
                self.take(&(before, Event::Removed));
            }
            if let Some(at) = requested {
                self.insert(&(at, Event::Removed));
            }
            self.requested = requested;
        }
        while self.kept.last().is_some_and(|((at, _), _)| *at > now) {
            self.kept.pop();
        }
        let (from, mut state) = match self.kept.last() {
            Some((last, state)) => (Bound::Excluded(last.clone()), state.clone()),
            None => (Bound::Unbounded, State::Closed(Failed::default())),
        };
        let mut next_healthy = None;
        let mut steps = 0;
        for (event, _) in self.events.range((from, Bound::Unbounded)) {
            let (at, what) = event;
            if *at > now && *what == Event::Healthy {
                next_healthy.get_or_insert(*at);
                continue;
            }
            state = state.after(*at, what, self.least_nodes);
            steps += 1;
            if steps % INTERVAL == 0 && *at <= now {
                if self.kept.len() >= KEPT_LIMIT {
                    self.kept.remove(0);
                }
                self.kept.push((event.clone(), state.clone()));
            }
        }
        state.breaker(next_healthy, now)
    }
}

/// Replacements that failed one after the other. While they are of one node, no more are kept than open a
/// breaker: with one of another node it opens, however many there are.
#[derive(Clone, Debug, Default)]
struct Failed {
    /// The node that reported each last, by the UID of the pod.
    pods: BTreeMap<String, String>,
    /// How many each node reported last.
    nodes: BTreeMap<String, usize>,
}

impl Failed {
    fn add(&mut self, failure: &Failure) {
        let node = failure.node.clone();
        *self.nodes.entry(node.clone()).or_default() += 1;
        if let Some(before) = self.pods.insert(failure.pod.clone(), node) {
            self.leave(&before);
        }
        if self.nodes.len() == 1
            && self.pods.len() > FAILURES
            && let Some((_, node)) = self.pods.pop_first()
        {
            self.leave(&node);
        }
    }

    fn leave(&mut self, node: &str) {
        if let Some(count) = self.nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                self.nodes.remove(node);
            }
        }
    }

    /// Whether so many failed, as enough nodes reported.
    fn are(&self, least: usize, least_nodes: usize) -> bool {
        self.pods.len() >= least && self.nodes.len() >= least_nodes
    }
}

#[derive(Clone, Debug)]
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
    fn after(self, at: Timestamp, event: &Event, least_nodes: usize) -> Self {
        match (self, event) {
            (_, Event::Healthy) => Self::Closed(Failed::default()),
            (Self::Closed(mut failed), Event::Failed(failure)) => {
                failed.add(failure);
                if failed.are(FAILURES, least_nodes) {
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
                if failed.are(1, least_nodes) {
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
