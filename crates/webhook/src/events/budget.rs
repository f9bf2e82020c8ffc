//! How many Events a namespace can have written.
//!
//! Here: counting over time. Not here: the clock.
//! Invariant: a namespace gets at most [`BURST`] at once and then one each [`INTERVAL`], and what is
//! remembered is bounded: a namespace that none was written for in a while is forgotten, and beyond
//! [`NAMESPACES_LIMIT`] none gets a first one.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Most Events of a namespace at once.
const BURST: u32 = 16;
/// Time until there is room for another one.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most namespaces that are remembered.
const NAMESPACES_LIMIT: usize = 4096;

/// What each namespace has used.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When all that a namespace used is available again.
    full: BTreeMap<String, Instant>,
    /// When the last was forgotten.
    pruned: Option<Instant>,
}

impl Budget {
    /// Takes one; false: there is none.
    pub(super) fn take(&mut self, namespace: &str, now: Instant) -> bool {
        if self.pruned.is_none_or(|at| now - at >= INTERVAL) {
            self.full.retain(|_, full| *full > now);
            self.pruned = Some(now);
        }
        let has_room = self.full.len() < NAMESPACES_LIMIT;
        let Some(full) = self.full.get_mut(namespace) else {
            if has_room {
                self.full.insert(namespace.to_owned(), now + INTERVAL);
            }
            return has_room;
        };
        let next = now.max(*full) + INTERVAL;
        let has_budget = next - now <= INTERVAL * BURST;
        if has_budget {
            *full = next;
        }
        has_budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_a_burst_and_then_one_each_interval() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let mut taken = |namespace: &str, after: Duration| {
            (0..100)
                .filter(|_| budget.take(namespace, start + after))
                .count()
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
        let (mut budget, start) = (Budget::default(), Instant::now());
        let taken = (0..2 * NAMESPACES_LIMIT).filter(|n| budget.take(&n.to_string(), start));
        assert_eq!(taken.count(), NAMESPACES_LIMIT);
        assert!(budget.take("another", start + INTERVAL));
        assert_eq!(budget.full.len(), 1);
    }
}
