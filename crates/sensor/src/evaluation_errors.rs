//! Expressions that failed at run time, of policies that ignore it.
//!
//! Here: counting them, and what is said of them when. Not here: writing it (`say`), and
//! policies that do not ignore it, whose failures are Incidents (`judge`).
//! Invariant: every failure is counted; of each generation of a policy a report is made once, or
//! again when it could not be written or somebody took it away; a policy makes a line of the log
//! at most every [`LOGGED_EVERY`], and no more than [`NAMED_LIMIT`] names become labels.

mod say;
#[cfg(test)]
mod tests;

use crate::metrics::Metrics;
use bailiff_api::{RuntimePolicy, condition::types};
use bailiff_policy::{CompiledPolicy, Failure};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most reports that wait to be written; what comes then is reported at its next failure.
const REPORTS_LIMIT: usize = 64;
/// Least time between two lines of the log about a policy: a failing expression may run a thousand
/// times a second.
const LOGGED_EVERY: Duration = Duration::from_mins(1);
/// Most policies that are counted by name. Administrators of the cluster name them, but nobody
/// bounds how many they make.
const NAMED_LIMIT: usize = 100;
/// What all others are counted as: no name of an object.
const OTHERS: &str = "_others";

/// An expression of a policy failed.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    policy: String,
    generation: i64,
    /// The place of the validation; none: a match condition.
    validation: Option<usize>,
    /// Cleared when this is given up, so that the next failure reports again.
    said: Arc<AtomicBool>,
}

/// What is known of a policy, as the watch brought it last.
#[derive(Debug, Default)]
struct Known {
    /// Its condition says it of this generation, or a report is on its way.
    said: Arc<AtomicBool>,
    logged: Option<Instant>,
    /// It is counted by its name.
    named: bool,
}

/// The failures that are ignored, by policy.
#[derive(Debug)]
pub(crate) struct Ignored {
    known: BTreeMap<String, Known>,
    metrics: Metrics,
    reports: mpsc::Sender<Report>,
}

impl Ignored {
    /// Counts and reports, and writes the reports in a task that ends with this.
    pub(crate) fn start(client: kube::Client, node: String, metrics: Metrics) -> Self {
        let (ignored, reports) = Self::new(metrics);
        tokio::spawn(say::say(client, node, reports));
        ignored
    }

    /// The same, with the reports for whoever writes them.
    pub(crate) fn new(metrics: Metrics) -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS_LIMIT);
        let ignored = Self {
            known: BTreeMap::new(),
            metrics,
            reports,
        };
        (ignored, receiver)
    }

    /// A policy is as the watch brings it: its condition stands there, or has to be written anew.
    pub(crate) fn learn(&mut self, policy: &RuntimePolicy) {
        let generation = policy.metadata.generation;
        let conditions = policy.status.iter().flat_map(|s| &s.conditions);
        let said = conditions
            .into_iter()
            .any(|c| c.type_ == types::EVALUATION_FAILED && c.observed_generation == generation);
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        if said || self.known.contains_key(name) {
            let known = self.known.entry(name.to_owned()).or_default();
            known.said.store(said, Ordering::Relaxed);
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

    /// Expressions of a policy failed, and it ignores that.
    pub(crate) fn failed(&mut self, policy: &CompiledPolicy, failures: &[Failure], now: Instant) {
        let named = self.known.values().filter(|known| known.named).count();
        let reports = self.reports.clone();
        let known = self.known.entry(policy.name.clone()).or_default();
        known.named |= named < NAMED_LIMIT;
        let first = failures.first();
        let due = |at: Instant| now.duration_since(at) >= LOGGED_EVERY;
        if known.logged.is_none_or(due) {
            known.logged = Some(now);
            tracing::warn!(
                policy = policy.name,
                error = first.map(|failure| failure.message.as_str()),
                "an expression failed; the policy ignores it"
            );
        }
        if !known.said.swap(true, Ordering::Relaxed) {
            let report = Report {
                policy: policy.name.clone(),
                generation: policy.generation,
                validation: first.and_then(|failure| failure.validation),
                said: Arc::clone(&known.said),
            };
            if reports.try_send(report).is_err() {
                known.said.store(false, Ordering::Relaxed);
            }
        }
        let label = if known.named { &policy.name } else { OTHERS };
        let count = u64::try_from(failures.len()).unwrap_or(u64::MAX);
        self.metrics.evaluation_failed(label, count);
    }
}
