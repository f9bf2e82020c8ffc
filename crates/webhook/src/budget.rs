//! How many writes a namespace can cause.
//!
//! Here: counting over time. Not here: the clock, and what is written (`events`, `facts`).
//! Invariant: a namespace gets at most a burst at once and then one each interval, and what is
//! remembered is bounded: a namespace that none was written for in a while is forgotten, and beyond
//! [`NAMESPACES_LIMIT`] none gets a first one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most namespaces that are remembered.
const NAMESPACES_LIMIT: usize = 4096;

/// What each namespace has used.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Most writes at once.
    burst: u32,
    /// Time until there is room for another one.
    interval: Duration,
    /// When all that a namespace used is available again.
    full: BTreeMap<String, Instant>,
    /// When the last was forgotten.
    pruned: Option<Instant>,
}

impl Budget {
    /// Nothing is used yet.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst,
            interval,
            full: BTreeMap::new(),
            pruned: None,
        }
    }

    /// Whether there is one.
    pub(crate) fn has(&self, namespace: &str, now: Instant) -> bool {
        match self.full.get(namespace) {
            Some(full) => self.is_within(self.next(*full, now), now),
            None => self.full.len() < NAMESPACES_LIMIT,
        }
    }

    /// Takes one; false: there is none.
    pub(crate) fn take(&mut self, namespace: &str, now: Instant) -> bool {
        let is_due = |at: Instant| now.saturating_duration_since(at) >= self.interval;
        if self.pruned.is_none_or(is_due) {
            self.full.retain(|_, full| *full > now);
            self.pruned = Some(now);
        }
        if !self.has(namespace, now) {
            return false;
        }
        let full = self.full.get(namespace).copied();
        let next = self.next(full.unwrap_or(now), now);
        self.full.insert(namespace.to_owned(), next);
        true
    }

    /// When all is available again after another one.
    fn next(&self, full: Instant, now: Instant) -> Instant {
        now.max(full) + self.interval
    }

    fn is_within(&self, next: Instant, now: Instant) -> bool {
        next.saturating_duration_since(now) <= self.interval * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    #[test]
    fn a_namespace_has_a_burst_and_then_one_each_interval() {
        let (mut budget, start) = (Budget::new(16, INTERVAL), Instant::now());
        let mut taken = |namespace: &str, after: Duration| {
            let now = start + after;
            let taken = |_: &i32| {
                let has = budget.has(namespace, now);
                assert_eq!(budget.take(namespace, now), has);
                has
            };
            (0..100).filter(taken).count()
        };
        assert_eq!(taken("hostile", Duration::ZERO), 16);
        assert_eq!(taken("shop", Duration::ZERO), 16, "another namespace");
        assert_eq!(taken("hostile", INTERVAL / 2), 0);
        assert_eq!(taken("hostile", INTERVAL), 1);
        assert_eq!(taken("hostile", INTERVAL * 4), 3);
        assert_eq!(taken("hostile", INTERVAL * 100), 16);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgotten() {
        let (mut budget, start) = (Budget::new(16, INTERVAL), Instant::now());
        let taken = (0..2 * NAMESPACES_LIMIT).filter(|n| budget.take(&n.to_string(), start));
        assert_eq!(taken.count(), NAMESPACES_LIMIT);
        assert!(budget.take("another", start + INTERVAL));
        assert_eq!(budget.full.len(), 1);
    }
}
