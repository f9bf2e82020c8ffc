//! What policies that are due say about a process.
//!
//! Here: evaluating them over the pod that each is sorted to, counting errors, telling observers. Not here: which are
//! due, and what waits (`state`), the facts (`judge`).
//! Invariant: each verdict is counted and told to observers once.

use super::fetched::Sorted;
use crate::cluster::namespaces::NamespaceFacts;
use crate::cluster::pods::PodFacts;
use crate::cluster::policy_index::MatchedPolicy;
use crate::evaluation_errors::EvaluationErrors;
use crate::judge::{EvaluatedProcess, Finding, evaluate_policies};
use crate::metrics::Metrics;
use crate::observe::{ObservedProcess, Observers, Verdicts};
use bailiff_policy::{CompiledPolicy, Verdict};
use std::sync::Arc;
use tokio::time::Instant;

/// A process whose pod is known.
pub(super) struct Known<'a> {
    pub(super) process: &'a EvaluatedProcess<'a>,
    /// As it is kept.
    pub(super) kept: &'a Arc<PodFacts>,
    /// As policies see it.
    pub(super) pod: &'a Arc<PodFacts>,
    pub(super) namespace: &'a NamespaceFacts,
}

/// What the policies find that are evaluated now.
pub(super) fn found(
    known: &Known<'_>,
    sorted: &Sorted<'_>,
    errors: &mut EvaluationErrors,
    metrics: &Metrics,
    observers: &mut Observers,
) -> Vec<Finding> {
    let Known {
        process,
        kept,
        pod,
        namespace,
    } = known;
    let mut verdicts = observers.observe(kept).then(Verdicts::default);
    let mut judged = |policy: &CompiledPolicy, verdict: &Verdict| {
        match verdict {
            Verdict::NotMatched | Verdict::Allowed => {}
            Verdict::Unknown(_) => {
                metrics.unknown_evaluations.inc();
            }
            Verdict::Violated(_, failed) | Verdict::EvaluationFailed(failed) => {
                if !failed.is_empty() {
                    errors.add(policy, failed, Instant::now());
                }
            }
        }
        if let Some(verdicts) = &mut verdicts {
            verdicts.add(policy, verdict);
        }
    };
    let mut evaluate = |pod: &Arc<PodFacts>, rules: &[&MatchedPolicy]| {
        evaluate_policies(process, pod, namespace, rules, &mut judged)
    };
    let mut found = evaluate(pod, &sorted.now_ones);
    for (rule, pod) in &sorted.on_fetched {
        found.extend(evaluate(pod, &[*rule]));
    }
    if let Some(verdicts) = verdicts {
        let later = sorted.later.iter().map(|rule| rule.policy.name.clone());
        let observed = ObservedProcess {
            started: process.started,
            origin: process.origin,
            pod: kept,
        };
        observers.evaluated(&observed, verdicts, later.collect());
    }
    found
}
