//! The one ordered queue of Incidents that need a response.
//!
//! Here: which Incident is reconciled next, and when to look again. Not here: what a reconciliation
//! does (`controls`, `controller`), the limits themselves (`ledger`), and the indexes (`places`, `lines`).
//! Invariant: never more than the slots at once, of one namespace never more than its part of them, never
//! two Incidents of one pod; namespaces take
//! turns, and within one the oldest goes first, by the API server's time; a place in a limit that
//! becomes free goes to who waits for it, never to a newcomer; every Incident that is due is
//! reconciled; the queue can be rebuilt from Incidents. No step goes through all Incidents except for a
//! change that may concern all: those that wait for the same places are one line, of which the first is
//! examined.

mod input;
mod lines;
mod places;
mod settings;

use crate::ledger::{Claim, Ledger, Limit, later};
use crate::workload::WorkloadKey;
use bailiff_api::condition::responded;
pub use input::{Demand, Finished, Key, Summary, Wake};
use jiff::{SignedDuration, Timestamp};
use lines::{Line, Rank, Waiters, forget_waiting};
pub use settings::QueueSettings;
use settings::backoff;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The least time between two looks at an Incident whose violations continue while it waits for
/// the next one.
const NEXT_EXEC_INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// An Incident to reconcile. It has a slot until `Queue::finished`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The Incident.
    pub key: Key,
    /// This queue has never given it out: what the watch brought is the newest that there can be.
    /// Else it is read first.
    pub fresh: bool,
}

/// What the queue holds, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Incidents that are reconciled now.
    pub running: usize,
    /// Incidents that are due and have no slot.
    pub due: usize,
    /// Incidents that wait, by the reason of the condition `Responded`.
    pub waiting: BTreeMap<String, Waiting>,
    /// Pairs of a workload and a policy for whose circuit breaker Incidents wait.
    pub open_breakers: usize,
}

/// Incidents that wait with one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many there are; at least 1.
    pub incidents: usize,
    /// When the one began to wait that waits longest, also if it had other reasons since.
    pub oldest: Option<Timestamp>,
}

/// Responses that wait for a limit when a new one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// They wait for the cooldown period of the same workload, and go first.
    pub of_workload: usize,
    /// They wait for a limit of removals a minute in the same namespace, and go first.
    pub in_namespace: usize,
    /// They wait for such a limit in other namespaces, which take turns with this one.
    pub elsewhere: usize,
}

/// Where an Incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing is due; it is forgotten at this time.
    Idle(Timestamp),
    /// It is due.
    Ready,
    /// It is due at this time.
    Later(Timestamp),
    /// It waits for the places that a line of this number waits for.
    InLine(u64),
    /// It has a slot.
    Running,
}

/// What is due at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timed {
    /// An entry, by UID.
    Entry(String),
    /// A line, by number.
    Line(u64),
}

#[derive(Debug)]
struct Entry {
    summary: Summary,
    place: Place,
    /// When a slot of it ended last.
    finished: Option<Timestamp>,
    /// The last slot ended with a final response.
    closed: bool,
    /// What it is planned from changed while it had a slot.
    changed: bool,
    /// The count of its series when it got its last slot.
    count: i64,
    reason: Option<String>,
    since: Option<Timestamp>,
    failures: u32,
    /// The workload for whose cooldown period it waits, as its status alone tells until its first slot.
    cooling: Option<WorkloadKey>,
}

impl Entry {
    fn rank(&self) -> Rank {
        (self.summary.created, self.summary.key.uid.clone())
    }
}

#[derive(Debug, Default)]
struct Namespace {
    /// Its place in the turns: a namespace that was served goes to the end.
    turn: u64,
    entries: usize,
    /// What is due and waits for no limit.
    ready: Waiters,
    /// The lines, by the places that they wait for.
    lines: BTreeMap<Arc<Claim>, u64>,
    /// The lines that are due.
    ready_lines: BTreeSet<u64>,
}

#[derive(Debug)]
struct Running {
    pod_uid: String,
    pod_namespace: String,
    /// The places that it is about to take and the limit that it waited for, if it waited for one.
    claim: Option<(Arc<Claim>, Limit)>,
    rank: Rank,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    settings: QueueSettings,
    entries: BTreeMap<String, Entry>,
    by_pod: BTreeMap<String, BTreeSet<String>>,
    namespaces: BTreeMap<String, Namespace>,
    /// Namespaces that have something ready, in the order of their turns.
    turns: BTreeSet<(u64, String)>,
    last_turn: u64,
    lines: BTreeMap<u64, Line>,
    last_line: u64,
    /// The first of each line, who waited and has a slot, and who has a status that says so, by the limit.
    waiting: BTreeMap<Limit, BTreeSet<Rank>>,
    timed: BTreeSet<(Timestamp, Timed)>,
    running: BTreeMap<String, Running>,
    releases: u64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(settings: QueueSettings) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            by_pod: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            turns: BTreeSet::new(),
            last_turn: 0,
            lines: BTreeMap::new(),
            last_line: 0,
            waiting: BTreeMap::new(),
            timed: BTreeSet::new(),
            running: BTreeMap::new(),
            releases: 0,
        }
    }

    /// Learns of an Incident as the watch brings it.
    pub fn observe(&mut self, summary: Summary, now: Timestamp) {
        let uid = summary.key.uid.clone();
        let Some(entry) = self.entries.get_mut(&uid) else {
            if summary.demand != Demand::None {
                self.insert(summary);
                self.place(&uid, Place::Ready);
            }
            return;
        };
        let moved = summary.count != entry.count;
        let demand = summary.demand;
        if summary.workload.is_some() {
            entry.summary.workload = summary.workload;
        }
        entry.summary.count = summary.count;
        entry.summary.demand = demand;
        let recheck = |entry: &Entry| {
            let finished = entry.finished.unwrap_or(now);
            later(finished, self.settings.recheck_interval)
        };
        match entry.place {
            Place::Running => entry.changed |= moved,
            Place::Ready => {
                if demand == Demand::None {
                    let until = recheck(entry);
                    self.place(&uid, Place::Idle(until));
                }
            }
            Place::Idle(_) | Place::Later(_) | Place::InLine(_) => {
                let next_exec = entry.reason.as_deref() == Some(responded::WAITING_FOR_NEXT_EXEC);
                let place = match demand {
                    Demand::None => Place::Idle(recheck(entry)),
                    // The watch can be behind what was written; that shows before then.
                    Demand::Respond | Demand::Reevaluate if entry.closed => {
                        Place::Later(recheck(entry))
                    }
                    Demand::Respond | Demand::Reevaluate if moved && next_exec => {
                        let finished = entry.finished.unwrap_or(now);
                        Place::Later(later(finished, NEXT_EXEC_INTERVAL))
                    }
                    Demand::Respond | Demand::Reevaluate => return,
                };
                self.place(&uid, place);
            }
        }
    }

    /// An Incident was deleted, by UID.
    pub fn deleted(&mut self, uid: &str) {
        let Some(entry) = self.entries.remove(uid) else {
            return;
        };
        self.leave(uid, &entry);
        if let Some(running) = self.running.get(uid) {
            forget_waiting(&mut self.waiting, running);
        }
        let pod = &entry.summary.pod_uid;
        if let Some(of_pod) = self.by_pod.get_mut(pod) {
            of_pod.remove(uid);
            if of_pod.is_empty() {
                self.by_pod.remove(pod);
            }
        }
        let name = &entry.summary.pod_namespace;
        if let Some(namespace) = self.namespaces.get_mut(name) {
            namespace.entries -= 1;
            if namespace.entries == 0 {
                self.namespaces.remove(name);
            }
        }
    }

    /// All Incidents that exist, by UID: others were deleted while the watch was broken.
    pub fn relisted(&mut self, present: &BTreeSet<String>) {
        let gone = self.entries.keys().filter(|uid| !present.contains(*uid));
        let gone: Vec<_> = gone.cloned().collect();
        for uid in gone {
            self.deleted(&uid);
        }
    }

    /// A pod, by UID, no longer exists or is terminating: its Incidents are due at once.
    pub fn pod_gone(&mut self, pod_uid: &str) {
        let of_pod = self.by_pod.get(pod_uid).cloned().unwrap_or_default();
        for uid in of_pod {
            self.make_due(&uid);
        }
    }

    /// The other Incidents of a pod are due at once.
    fn siblings_due(&mut self, uid: &str, pod_uid: &str) {
        let of_pod = self.by_pod.get(pod_uid).cloned().unwrap_or_default();
        for sibling in of_pod.iter().filter(|sibling| *sibling != uid) {
            self.make_due(sibling);
        }
    }

    /// What Incidents wait for changed: they are due at once.
    pub fn wake(&mut self, wake: Wake<'_>) {
        let concerned = self.entries.iter().filter(|(_, entry)| match wake {
            Wake::Reason(reason) => entry.reason.as_deref() == Some(reason),
            Wake::Policy(uid) => entry.summary.policy_uid == uid,
            Wake::All => true,
        });
        let concerned: Vec<_> = concerned.map(|(uid, _)| uid.clone()).collect();
        for uid in concerned {
            self.make_due(&uid);
        }
    }

    /// What waits is due now; what is closed is not.
    fn make_due(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        match entry.place {
            // What it waited for may be another limit now.
            Place::Later(_) | Place::InLine(_) if !entry.closed => self.place(uid, Place::Ready),
            // What it was planned from may be older than the change.
            Place::Running => entry.changed = true,
            Place::Later(_) | Place::InLine(_) | Place::Idle(_) | Place::Ready => {}
        }
    }

    /// The Incident to reconcile next; it has a slot from now on. None: no slot is free, or nothing
    /// is due.
    pub fn next(&mut self, ledger: &Ledger, now: Timestamp) -> Option<Job> {
        if self.running.len() >= self.settings.slots.max(1) {
            return None;
        }
        if ledger.releases() != self.releases {
            self.releases = ledger.releases();
            self.examine_lines();
        }
        self.pop_due(now);
        let (found, blocked) = self.search(ledger, now);
        for (line, limit, until) in blocked {
            self.change_line(line, |line| {
                line.limit = limit;
                line.due = Some(until);
            });
        }
        let uid = found?;
        let claim = match self.entries.get(&uid)?.place {
            Place::InLine(line) => self.lines.get(&line).map(Line::claim),
            Place::Idle(_) | Place::Ready | Place::Later(_) | Place::Running => None,
        };
        self.place(&uid, Place::Running);
        let entry = self.entries.get_mut(&uid)?;
        entry.changed = false;
        entry.count = entry.summary.count;
        let job = Job {
            key: entry.summary.key.clone(),
            fresh: entry.finished.is_none(),
        };
        let running = Running {
            pod_uid: entry.summary.pod_uid.clone(),
            pod_namespace: entry.summary.pod_namespace.clone(),
            claim,
            rank: entry.rank(),
        };
        if let Some((_, limit)) = &running.claim {
            let waiting = self.waiting.entry(limit.clone()).or_default();
            waiting.insert(running.rank.clone());
        }
        let namespace = entry.summary.pod_namespace.clone();
        self.running.insert(uid, running);
        self.serve(&namespace);
        Some(job)
    }

    /// The first in order that can go, and the lines before it whose limits have no place.
    fn search(
        &self,
        ledger: &Ledger,
        now: Timestamp,
    ) -> (Option<String>, Vec<(u64, Limit, Timestamp)>) {
        let mut held: BTreeMap<Limit, usize> = BTreeMap::new();
        // What is noted in the ledger already counts there.
        let about_to = self.running.values();
        for running in about_to.filter(|r| !ledger.contains(&r.pod_uid)) {
            let claim = running.claim.iter();
            for limit in claim.flat_map(|(claim, _)| claim.limits()) {
                *held.entry(limit).or_default() += 1;
            }
        }
        let busy: BTreeSet<&str> = self.running.values().map(|r| r.pod_uid.as_str()).collect();
        let mut blocked = Vec::new();
        // Limits whose last places are about to be taken: who waits for them stays where it is,
        // because those places can become free at any moment.
        let mut full = BTreeSet::new();
        // A namespace in which every answer is late, as by its webhooks, leaves the others their slots.
        let mut slots_of: BTreeMap<&str, usize> = BTreeMap::new();
        for running in self.running.values() {
            *slots_of.entry(&running.pod_namespace).or_default() += 1;
        }
        let most = self.settings.namespace_slots();
        let has_slots = |name: &str| slots_of.get(name).is_none_or(|slots| *slots < most);
        let in_turn = self
            .turns
            .iter()
            .filter(|(_, name)| has_slots(name))
            .filter_map(|(_, n)| self.namespaces.get(n));
        let is_free = |uid: &str| {
            let entry = self.entries.get(uid);
            entry.is_some_and(|entry| !busy.contains(entry.summary.pod_uid.as_str()))
        };
        for namespace in in_turn {
            let unlimited = namespace.ready.first_that(is_free);
            let ready = namespace.ready_lines.iter();
            let lines = ready.filter_map(|number| Some((*number, self.lines.get(number)?)));
            let mut first: Vec<_> = lines
                .filter_map(|(number, line)| {
                    Some((line.waiters.first_that(is_free)?, number, line))
                })
                .filter(|(first, ..)| unlimited.is_none_or(|unlimited| *first < unlimited))
                .collect();
            first.sort_unstable_by_key(|(first, ..)| *first);
            for ((_, uid), number, Line { claim, .. }) in first {
                if !full.is_empty() && claim.limits().any(|l| full.contains(&l)) {
                    continue;
                }
                if let Some((limit, until)) = ledger.blocked(claim, &BTreeMap::new(), now) {
                    blocked.push((number, limit, until));
                } else if let Some((limit, _)) = ledger.blocked(claim, &held, now) {
                    full.insert(limit);
                } else {
                    return (Some(uid.clone()), blocked);
                }
            }
            if let Some((_, uid)) = unlimited {
                return (Some(uid.clone()), blocked);
            }
        }
        (None, blocked)
    }

    /// The limits that a newcomer in a namespace must not take a place in, because others wait for them.
    #[must_use]
    pub fn contended(
        &self,
        uid: &str,
        workload: Option<&WorkloadKey>,
        namespace: &str,
    ) -> Vec<Limit> {
        let me = self.entries.get(uid);
        let waited = me.is_some_and(|me| match me.place {
            Place::InLine(_) => true,
            // Who waited and has a slot now has its place.
            Place::Running => self.running.get(uid).is_some_and(|r| r.claim.is_some()),
            Place::Idle(_) | Place::Ready | Place::Later(_) => false,
        });
        if waited {
            return Vec::new();
        }
        let mine = me.map(Entry::rank);
        let is_older = |limit: &Limit| {
            let first = self.waiting.get(limit).and_then(BTreeSet::first);
            first.is_some_and(|first| mine.as_ref().is_none_or(|mine| first < mine))
        };
        let own = [
            workload.map(|key| Limit::Workload(key.clone())),
            Some(Limit::Namespace(namespace.to_owned())),
        ];
        let own = own.into_iter().flatten().filter(is_older);
        let bindings = self.waiting.range(Limit::Binding(String::new())..);
        let bindings = bindings.take_while(|(limit, _)| matches!(limit, Limit::Binding(_)));
        let bindings = bindings.map(|(limit, _)| limit.clone());
        let cluster = self.waiting.contains_key(&Limit::Cluster);
        let cluster = cluster.then_some(Limit::Cluster);
        own.chain(bindings).chain(cluster).collect()
    }

    /// The responses that wait for a limit, as a new one for a workload of a namespace meets them.
    #[must_use]
    pub fn ahead(&self, namespace: &str, workload: Option<&WorkloadKey>) -> Ahead {
        let mut ahead = Ahead::default();
        for entry in self.entries.values() {
            match entry.reason.as_deref() {
                Some(responded::COOLDOWN) if entry.summary.workload.as_ref() == workload => {
                    ahead.of_workload += usize::from(workload.is_some());
                }
                Some(responded::RATE_LIMITED) if entry.summary.pod_namespace == namespace => {
                    ahead.in_namespace += 1;
                }
                Some(responded::RATE_LIMITED) => ahead.elsewhere += 1,
                Some(_) | None => {}
            }
        }
        ahead
    }

    /// A slot ended, by the Incident's UID.
    pub fn finished(&mut self, uid: &str, finished: Finished, now: Timestamp) {
        let Some(running) = self.running.remove(uid) else {
            return;
        };
        forget_waiting(&mut self.waiting, &running);
        if finished == Finished::Removed {
            self.siblings_due(uid, &running.pod_uid);
        }
        let settings = self.settings;
        let Some(entry) = self.entries.get_mut(uid) else {
            return;
        };
        entry.finished = Some(now);
        entry.closed = matches!(finished, Finished::Removed | Finished::Final);
        let failures = std::mem::take(&mut entry.failures);
        let (reason, until) = match finished {
            Finished::Removed | Finished::Final => {
                let until = later(now, settings.recheck_interval);
                entry.reason = None;
                entry.since = None;
                let again = entry.changed && entry.summary.demand != Demand::None;
                let place = if again {
                    Place::Later(until)
                } else {
                    Place::Idle(until)
                };
                self.place(uid, place);
                return;
            }
            Finished::Limited {
                claim,
                limit,
                until,
            } => {
                let reason = match limit {
                    Limit::Workload(_) => responded::COOLDOWN,
                    Limit::Binding(_) | Limit::Namespace(_) | Limit::Cluster => {
                        responded::RATE_LIMITED
                    }
                };
                if let Some(workload) = &claim.workload {
                    entry.summary.workload = Some(workload.key.clone());
                }
                entry.reason = Some(reason.to_owned());
                entry.since.get_or_insert(now);
                self.join_line(uid, *claim, limit, until);
                return;
            }
            Finished::Wait { reason, until } => {
                (reason, until.max(later(now, settings.initial_backoff)))
            }
            Finished::Backoff {
                reason,
                at_least,
                not_after,
            } => {
                entry.failures = failures.saturating_add(1);
                let until = later(now, backoff(settings, failures, at_least));
                let until = not_after.map_or(until, |deadline| until.min(deadline));
                (reason, until.max(later(now, settings.initial_backoff)))
            }
        };
        entry.reason = Some(reason.to_owned());
        entry.since.get_or_insert(now);
        // It was planned from what may be older than the change.
        let until = if entry.changed {
            until.min(later(now, settings.initial_backoff))
        } else {
            until
        };
        self.place(uid, Place::Later(until));
    }

    /// When to call `next` again if nothing else happens; none: never.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timed.first().map(|(at, _)| *at)
    }

    /// What the queue holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut breakers = BTreeSet::new();
        let mut waiting_for: BTreeMap<&str, Waiting> = BTreeMap::new();
        for entry in self.entries.values() {
            let Some(reason) = &entry.reason else {
                continue;
            };
            let waiting = waiting_for.entry(reason).or_default();
            waiting.incidents += 1;
            waiting.oldest = waiting.oldest.into_iter().chain(entry.since).min();
            if reason == responded::CIRCUIT_BREAKER_OPEN {
                breakers.insert((&entry.summary.workload, &entry.summary.policy_uid));
            }
        }
        let unlimited = self.namespaces.values().map(|n| n.ready.len());
        let in_lines = self.lines.values().filter(|line| line.due.is_none());
        let in_lines = in_lines.map(|line| line.waiters.len());
        let waiting = waiting_for.into_iter();
        Stats {
            running: self.running.len(),
            due: unlimited.chain(in_lines).sum(),
            waiting: waiting.map(|(r, w)| (r.to_owned(), w)).collect(),
            open_breakers: breakers.len(),
        }
    }
}

#[cfg(test)]
mod tests;
