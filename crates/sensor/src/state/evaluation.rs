//! Evaluating the policies for a process, once what they read is known.
//!
//! Here: what is known of pod, namespace and container, which policies are due, and what is told to observers. Not here:
//! any verdict (`judge`), waiting (`state/waiting`), pods that are fetched (`state/fetched`).
//! Invariant: a policy is evaluated once for a process, and never on less of an object than it reads.

use super::descent::is_listed;
use super::fetched::{Fetched, Ready, Sorted};
use super::waiting::PendingExec;
use super::{State, verdicts};
use crate::cluster::namespaces::NamespaceFacts;
use crate::cluster::needs::Needs;
use crate::cluster::pods::PodFacts;
use crate::cluster::policy_index::{MatchedPolicy, needs_of};
use crate::judge::{EvaluatedProcess, StartedProcess};
use crate::metrics::Skipped;
use crate::observe::{NoVerdict, ObservedProcess};
use jiff::Timestamp;
use std::sync::Arc;

impl State {
    /// Evaluates the policies for a process, or lets it wait on; with the pod as it was fetched for that,
    /// where it was.
    pub(super) async fn try_evaluate(
        &mut self,
        mut waiting: PendingExec,
        now: Timestamp,
        fetched: Option<&mut Fetched>,
    ) {
        let Some(kept) = self.pods.get(&waiting.started.pod_uid).cloned() else {
            return self.wait(waiting, now);
        };
        let pod = Fetched::pod_or(fetched.as_deref(), &kept);
        let Some(namespace) = self.namespaces.get(&pod.namespace) else {
            return self.wait(waiting, now);
        };
        if !self.synced() {
            return self.wait(waiting, now);
        }
        let known = is_listed(&mut waiting.started, &pod);
        if !known && !waiting.started.place.application {
            // It may be the pod's sandbox, which no status names.
            if now < waiting.until {
                if pod.containers_left_out() {
                    self.ask_for(&waiting, &kept);
                }
                return self.wait(waiting, now);
            }
            // Where no container is known, nothing tells it from the application: a pod that is made
            // so large is not left alone for it.
            if !pod.containers_left_out() {
                self.observe_without_verdict(&waiting.started, &pod, NoVerdict::Sandbox);
                return self.metrics.skipped(Skipped::Sandbox);
            }
        }
        if !is_complete(&pod, namespace, &self.needs) {
            return self.wait(waiting, now);
        }
        let started = &waiting.started;
        // Asked here also where no policy is about the pod, for what descends from the process.
        let origin = started.origin(&pod);
        let matching = self.index.matching(&namespace.labels, &pod.labels);
        let is_due = |rule: &&MatchedPolicy| {
            let uid = &rule.policy.uid;
            let asked = waiting.only.as_ref().is_none_or(|only| only.contains(uid));
            asked && !waiting.evaluated.contains(uid)
        };
        let due: Vec<_> = matching.iter().filter(is_due).collect();
        if due.is_empty() {
            if waiting.evaluated.is_empty() && waiting.only.is_none() {
                self.observe_without_verdict(&waiting.started, &pod, NoVerdict::NoPolicy);
            }
            return;
        }
        let ready = Ready::of(&kept, known, now < waiting.until);
        let sorted = ready.sort(&due, fetched, |rule| {
            is_complete_for(&pod, namespace, &self.needs, rule)
        });
        // Not built where it only waits on.
        let found = sorted.parts().map(|parts| {
            let process = EvaluatedProcess::new(&waiting.started, origin, parts);
            let known = verdicts::Known {
                process: &process,
                kept: &kept,
                pod: &pod,
                namespace,
            };
            let (errors, observers) = (&mut self.errors, &mut self.observers);
            verdicts::found(&known, &sorted, errors, &self.metrics, observers)
        });
        let Sorted {
            mut now_ones,
            on_fetched,
            later,
        } = sorted;
        let lacking = later.iter().any(|rule| ready.is_lacking(rule));
        now_ones.extend(on_fetched.iter().map(|(rule, _)| *rule));
        for mut finding in found.into_iter().flatten() {
            // Nothing stays of what was fetched.
            finding.pod = Arc::clone(&kept);
            self.metrics.found(finding.type_, finding.severity);
            if self.violations.send(finding).await.is_err() {
                return;
            }
        }
        if !later.is_empty() {
            let done = now_ones.iter().map(|rule| rule.policy.uid.clone());
            waiting.evaluated.extend(done);
            if lacking {
                self.ask_for(&waiting, &kept);
            }
            self.wait(waiting, now);
        }
    }

    /// Tells who observes the pod of a process that no policy was evaluated for.
    fn observe_without_verdict(
        &mut self,
        started: &StartedProcess,
        pod: &PodFacts,
        reason: NoVerdict,
    ) {
        if self.observers.observe(pod) {
            let origin = started.origin(pod);
            let process = ObservedProcess {
                started,
                origin,
                pod,
            };
            self.observers.without_verdict(&process, reason);
        }
    }
}

/// Whether selectors can be matched: what is kept of pod and namespace has all labels that they name.
fn is_complete(pod: &PodFacts, namespace: &NamespaceFacts, needs: &Arc<Needs>) -> bool {
    let has = |complete_for: &Arc<Needs>| {
        Arc::ptr_eq(complete_for, needs)
            || complete_for.pod_labels.is_superset(&needs.pod_labels)
                && complete_for
                    .namespace_labels
                    .is_superset(&needs.namespace_labels)
    };
    has(&pod.complete_for) && has(&namespace.complete_for)
}

/// Whether what is kept of pod and namespace has all that a policy reads.
fn is_complete_for(
    pod: &PodFacts,
    namespace: &NamespaceFacts,
    needs: &Arc<Needs>,
    rule: &MatchedPolicy,
) -> bool {
    let has = |complete_for: &Arc<Needs>| {
        Arc::ptr_eq(complete_for, needs) || complete_for.covers(&needs_of(&rule.policy))
    };
    has(&pod.complete_for) && has(&namespace.complete_for)
}
