//! Of how many workloads a binding removes pods at most at once.
//!
//! Here: counting, in the order of time. Not here: which removals count (`super`).
//! Invariant: what is known is the same as if all removals were counted anew; a removal that is the latest
//! is counted without looking at the others.

use super::{WINDOW, YOUNG};
use crate::workload::WorkloadKey;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What was counted of a binding under a generation of a policy.
#[derive(Clone, Debug)]
pub(super) struct Workloads {
    /// When the generations began.
    since: Timestamp,
    /// The latest removal that was counted.
    latest: Timestamp,
    /// The last removal of each workload within the window before the latest one.
    last: BTreeMap<WorkloadKey, Timestamp>,
    by_last: BTreeSet<(Timestamp, WorkloadKey)>,
    most: usize,
}

impl Workloads {
    /// Counts removals while the generations are young that began at a time.
    pub(super) fn count(
        since: Timestamp,
        removals: impl Iterator<Item = (Timestamp, WorkloadKey)>,
    ) -> Self {
        let mut counted = Self {
            since,
            latest: Timestamp::MIN,
            last: BTreeMap::new(),
            by_last: BTreeSet::new(),
            most: 0,
        };
        let mut removals: Vec<_> = removals.filter(|(at, _)| counted.counts(*at)).collect();
        removals.sort_unstable();
        for (at, workload) in removals {
            counted.add(at, &workload);
        }
        counted
    }

    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Of how many workloads pods were or would be removed at most within the window.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Whether a removal at a time counts, as the generations are young.
    pub(super) fn counts(&self, at: Timestamp) -> bool {
        at >= self.since && at.duration_since(self.since) <= YOUNG
    }

    /// Counts another removal. False: one that was counted is later, so all must be counted anew.
    pub(super) fn add(&mut self, at: Timestamp, workload: &WorkloadKey) -> bool {
        if !self.counts(at) {
            return true;
        }
        if at < self.latest {
            return false;
        }
        self.latest = at;
        if let Some(before) = self.last.insert(workload.clone(), at) {
            self.by_last.remove(&(before, workload.clone()));
        }
        self.by_last.insert((at, workload.clone()));
        while let Some((earliest, _)) = self.by_last.first()
            && at.duration_since(*earliest) > WINDOW
            && let Some((_, leaves)) = self.by_last.pop_first()
        {
            self.last.remove(&leaves);
        }
        self.most = self.most.max(self.by_last.len());
        true
    }
}
