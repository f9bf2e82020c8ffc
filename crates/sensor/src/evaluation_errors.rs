//! Expressions that could not be evaluated.
//!
//! Here: counting them by policy, and the log. Not here: the Incident about them (`incident`).
//! Invariant: every error is counted; a policy makes a line of the log at most every
//! [`LOGGED_EVERY`], and no more than [`NAMED_LIMIT`] names become labels.

#[cfg(test)]
mod tests;

use crate::metrics::Metrics;
use bailiff_policy::{CompiledPolicy, EvaluationError};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two lines of the log about a policy: an expression may be evaluated a thousand
/// times a second.
const LOGGED_EVERY: Duration = Duration::from_mins(1);
/// Most policies that are counted by name. Administrators of the cluster name them, but there is
/// no limit on how many they create.
const NAMED_LIMIT: usize = 100;
/// What all others are counted as: no name of an object.
const OTHERS: &str = "_others";

/// What is known of a policy.
#[derive(Debug, Default)]
struct Known {
    logged: Option<Instant>,
    /// It is counted by its name.
    named: bool,
}

/// The evaluation errors, by policy.
#[derive(Debug)]
pub(crate) struct EvaluationErrors {
    known: BTreeMap<String, Known>,
    metrics: Metrics,
}

impl EvaluationErrors {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            known: BTreeMap::new(),
            metrics,
        }
    }

    /// A policy was deleted.
    pub(crate) fn forget(&mut self, name: &str) {
        if self.known.remove(name).is_some_and(|known| known.named) {
            self.metrics.forget_policy(name);
        }
    }

    /// Forgets all but those that a new listing names.
    pub(crate) fn keep(&mut self, listed: &HashSet<String>) {
        let gone = self.known.keys().filter(|name| !listed.contains(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.forget(&name);
        }
    }

    /// Expressions of a policy could not be evaluated.
    pub(crate) fn add(
        &mut self,
        policy: &CompiledPolicy,
        errors: &[EvaluationError],
        now: Instant,
    ) {
        let named = self.known.values().filter(|known| known.named).count();
        let known = self.known.entry(policy.name.clone()).or_default();
        known.named |= named < NAMED_LIMIT;
        let due = |at: Instant| now.duration_since(at) >= LOGGED_EVERY;
        if known.logged.is_none_or(due) {
            known.logged = Some(now);
            tracing::warn!(
                policy = policy.name,
                generation = policy.generation,
                error = errors.first().map(|error| error.message.as_str()),
                "Expression could not be evaluated"
            );
        }
        let label = if known.named { &policy.name } else { OTHERS };
        let count = u64::try_from(errors.len()).unwrap_or(u64::MAX);
        self.metrics.evaluation_failed(label, count);
    }
}
