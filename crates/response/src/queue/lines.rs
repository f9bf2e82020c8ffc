//! Incidents that wait for the same places.
//!
//! Here: a line and its order, and joining, leaving and changing one in all indexes. Not here: which line
//! goes next (`super`), and where entries are that wait for no limit (`places`).
//! Invariant: a line is never empty; it is timed, or it is ready and its namespace has a turn; the first of
//! each line is among those that wait for its limit. Nothing here goes through the Incidents of a line.

use super::{Entry, Place, Queue, Running, Timed};
use crate::ledger::{Claim, Limit};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The order within a namespace: when the API server created an Incident, and its UID.
pub(super) type Rank = (Timestamp, String);

/// Incidents in order. Of each pod only the first can have a slot.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_pod: BTreeMap<String, BTreeSet<Rank>>,
    /// The first of each pod.
    first: BTreeSet<Rank>,
    count: usize,
}

impl Waiters {
    pub(super) fn insert(&mut self, pod_uid: &str, rank: Rank) {
        let of_pod = self.by_pod.entry(pod_uid.to_owned()).or_default();
        let before = of_pod.first().cloned();
        if before.as_ref().is_none_or(|before| rank < *before) {
            if let Some(before) = before {
                self.first.remove(&before);
            }
            self.first.insert(rank.clone());
        }
        self.count += usize::from(of_pod.insert(rank));
    }

    pub(super) fn remove(&mut self, pod_uid: &str, rank: &Rank) {
        let Some(of_pod) = self.by_pod.get_mut(pod_uid) else {
            return;
        };
        self.count -= usize::from(of_pod.remove(rank));
        if self.first.remove(rank)
            && let Some(next) = of_pod.first()
        {
            self.first.insert(next.clone());
        }
        if of_pod.is_empty() {
            self.by_pod.remove(pod_uid);
        }
    }

    pub(super) fn first(&self) -> Option<&Rank> {
        self.first.first()
    }

    /// The first of a pod that is free, as an Incident of it tells by its UID.
    pub(super) fn first_that(&self, is_free: impl Fn(&str) -> bool) -> Option<&Rank> {
        self.first.iter().find(|(_, uid)| is_free(uid))
    }

    #[cfg(test)]
    pub(super) fn of_pod(&self, pod_uid: &str) -> Option<&BTreeSet<Rank>> {
        self.by_pod.get(pod_uid)
    }

    #[cfg(test)]
    pub(super) fn is_first(&self, rank: &Rank) -> bool {
        self.first.contains(rank)
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Incidents of a namespace that wait for the same places.
#[derive(Debug)]
pub(super) struct Line {
    namespace: String,
    pub(super) claim: Arc<Claim>,
    /// The limit that has no place.
    pub(super) limit: Limit,
    /// When the first is examined. None: now.
    pub(super) due: Option<Timestamp>,
    pub(super) waiters: Waiters,
}

impl Line {
    #[cfg(test)]
    pub(super) const fn namespace(&self) -> &String {
        &self.namespace
    }

    /// The places that it waits for, and the limit that has none.
    pub(super) fn claim(&self) -> (Arc<Claim>, Limit) {
        (Arc::clone(&self.claim), self.limit.clone())
    }
}

/// Who waited for a limit does so no more.
pub(super) fn forget_waiting(waiting: &mut BTreeMap<Limit, BTreeSet<Rank>>, running: &Running) {
    if let Some((_, limit)) = &running.claim {
        remove_waiting(waiting, limit, &running.rank);
    }
}

pub(super) fn remove_waiting(
    waiting: &mut BTreeMap<Limit, BTreeSet<Rank>>,
    limit: &Limit,
    rank: &Rank,
) {
    if let Some(of_limit) = waiting.get_mut(limit) {
        of_limit.remove(rank);
        if of_limit.is_empty() {
            waiting.remove(limit);
        }
    }
}

impl Queue {
    /// An entry waits for places until a limit has room.
    pub(super) fn join_line(&mut self, uid: &str, claim: Claim, limit: Limit, until: Timestamp) {
        let Some(entry) = self.entries.get(uid) else {
            return;
        };
        let name = entry.summary.pod_namespace.clone();
        let Some(namespace) = self.namespaces.get_mut(&name) else {
            return;
        };
        let number = if let Some(number) = namespace.lines.get(&claim) {
            *number
        } else {
            self.last_line += 1;
            let claim = Arc::new(claim);
            namespace.lines.insert(Arc::clone(&claim), self.last_line);
            let line = Line {
                namespace: name,
                claim,
                limit: limit.clone(),
                due: Some(until),
                waiters: Waiters::default(),
            };
            self.lines.insert(self.last_line, line);
            self.last_line
        };
        self.place(uid, Place::InLine(number));
        self.change_line(number, |line| {
            // What was found out last names the limit; the earlier time only examines it sooner.
            if line.due.is_some_and(|due| until >= due) {
                line.limit = limit;
            }
            line.due = line.due.map(|due| due.min(until));
        });
    }

    /// Changes a line, in all indexes; one that is empty then ends.
    pub(super) fn change_line(&mut self, number: u64, change: impl FnOnce(&mut Line)) {
        let Some(mut line) = self.lines.remove(&number) else {
            return;
        };
        if let Some(first) = line.waiters.first() {
            remove_waiting(&mut self.waiting, &line.limit, first);
        }
        let namespace = self.namespaces.get_mut(&line.namespace);
        let Some(namespace) = namespace else {
            return;
        };
        match line.due {
            Some(at) => {
                self.timed.remove(&(at, Timed::Line(number)));
            }
            None => {
                namespace.ready_lines.remove(&number);
            }
        }
        change(&mut line);
        let name = line.namespace.clone();
        match line.waiters.first() {
            None => {
                namespace.lines.remove(&line.claim);
            }
            Some(first) => {
                let waiting = self.waiting.entry(line.limit.clone()).or_default();
                waiting.insert(first.clone());
                match line.due {
                    Some(at) => {
                        self.timed.insert((at, Timed::Line(number)));
                    }
                    None => {
                        namespace.ready_lines.insert(number);
                    }
                }
                self.lines.insert(number, line);
            }
        }
        self.update_turn(&name);
    }

    pub(super) fn stand_in_line(&mut self, number: u64, entry: &Entry) {
        let (pod_uid, rank) = (&entry.summary.pod_uid, entry.rank());
        self.change_line(number, |line| line.waiters.insert(pod_uid, rank));
    }

    pub(super) fn leave_line(&mut self, number: u64, entry: &Entry) {
        let (pod_uid, rank) = (&entry.summary.pod_uid, entry.rank());
        self.change_line(number, |line| line.waiters.remove(pod_uid, &rank));
    }

    /// Makes all lines ready: one may have room before its time.
    pub(super) fn examine_lines(&mut self) {
        let later = self.lines.iter().filter(|(_, line)| line.due.is_some());
        let later: Vec<_> = later.map(|(number, _)| *number).collect();
        for number in later {
            self.change_line(number, |line| line.due = None);
        }
    }
}
