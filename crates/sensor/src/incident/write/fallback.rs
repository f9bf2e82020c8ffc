//! How many Incidents of a namespace go to Bailiff's.
//!
//! Here: a limit within a time. Not here: when one goes there (`write`).
//! Invariant: at most [`LIMIT`] Incidents of a namespace within [`PERIOD`], so that a tenant who has the
//! API server reject them does not fill Bailiff's namespace.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Most Incidents of a namespace within the period.
pub(super) const LIMIT: usize = 100;
/// The period.
pub(super) const PERIOD: Duration = Duration::from_hours(1);
/// Most namespaces that are remembered; the node has pods of at most as many.
const NAMESPACES_LIMIT: usize = 4096;

/// When Incidents went there, by the namespace of the pod.
#[derive(Debug, Default)]
pub(super) struct Fallback {
    taken: HashMap<String, VecDeque<Instant>>,
}

impl Fallback {
    /// Whether one more may go there; it counts then.
    pub(super) fn take(&mut self, namespace: &str, now: Instant) -> bool {
        self.taken.retain(|_, times| {
            while times
                .front()
                .is_some_and(|at| now.duration_since(*at) >= PERIOD)
            {
                times.pop_front();
            }
            !times.is_empty()
        });
        if self.taken.len() >= NAMESPACES_LIMIT && !self.taken.contains_key(namespace) {
            return false;
        }
        let times = self.taken.entry(namespace.to_owned()).or_default();
        if times.len() >= LIMIT {
            return false;
        }
        times.push_back(now);
        true
    }
}
