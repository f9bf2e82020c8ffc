//! The statuses of policies and bindings.
//!
//! Here: statuses as functions of what was read. Not here: reading and writing (`statuses`), which pods
//! match (`pods`).
//! Invariant: `lastTransitionTime` changes only with the condition's status, so that a status that reports
//! nothing new is equal to the one before; every condition comes from the controller; what pods decide
//! stays as it was reported for the same generation until pods were counted.

use crate::config::Config;
use crate::policy_cache::Checked;
use crate::reconcile::Controller;
use bailiff_api::condition::{self, evaluation_failed, paused, ready, succeeding, types};
use bailiff_api::{
    Coverage, FailurePolicy, PausedStatus, ResponseAction, RuntimePolicy, RuntimePolicyBinding,
    RuntimePolicyBindingStatus, RuntimePolicyStatus,
};
use bailiff_policy::MatchResources;
use bailiff_response::{BindingFacts, Paused, PolicyFacts, guard, messages};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most bytes of a condition's message, by the API.
const MESSAGE_LIMIT: usize = 32 * 1024;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;
/// The labels of namespaces, by name.
pub(crate) type Namespaces = BTreeMap<String, Labels>;

/// The pods that match selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matching {
    pub(crate) pods: usize,
    /// Workloads, as the guard counts them.
    pub(crate) workloads: usize,
    pub(crate) coverage: Coverage,
}

/// Evaluation errors of a policy's current generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    /// Nodes that reported errors, in order.
    pub(crate) nodes: BTreeSet<String>,
}

/// The status of a policy, which was compiled. Without a coverage, pods were not counted yet.
pub(crate) fn of_policy(
    policy: &RuntimePolicy,
    checked: &Checked,
    failures: &Failures,
    coverage: Option<Coverage>,
    now: Timestamp,
) -> RuntimePolicyStatus {
    let generation = policy.metadata.generation;
    let before = policy.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let new = Conditions {
        before,
        generation,
        now,
    };
    let ready = match &checked.compiled {
        Ok(_) => new.of(
            types::READY,
            true,
            ready::COMPILED,
            "Every expression compiles.".to_owned(),
        ),
        Err(errors) => new.of(types::READY, false, ready::COMPILE_ERROR, errors.clone()),
    };
    // That no expression failed anywhere cannot be known, so once it is True it stays for the
    // generation.
    let earlier = before
        .iter()
        .find(|c| c.type_ == types::EVALUATION_FAILED && c.observed_generation == generation);
    let failed = match failures.nodes.first() {
        Some(node) => {
            let others = failures.nodes.len() - 1;
            let reason = match policy.spec.failure_policy {
                FailurePolicy::Fail => evaluation_failed::FAILURE_REPORTED,
                FailurePolicy::Ignore => evaluation_failed::FAILURE_IGNORED,
            };
            let others = if others == 0 {
                String::new()
            } else {
                format!(" and {others} other nodes")
            };
            let message = format!(
                "The policy could not be evaluated for a process on node {node}{others}, and Bailiff took no action. See the Incidents of type EvaluationFailed for the error, and fix the expression."
            );
            Some(new.of(types::EVALUATION_FAILED, true, reason, message))
        }
        None => earlier.cloned(),
    };
    let status = policy.status.as_ref();
    let status = status.filter(|status| status.observed_generation == generation);
    let coverage = coverage.or_else(|| status?.coverage);
    RuntimePolicyStatus {
        observed_generation: generation,
        conditions: std::iter::once(ready).chain(failed).collect(),
        coverage: coverage.filter(|_| checked.compiled.is_ok()),
        type_checking: checked.type_checking.clone(),
    }
}

/// What tells whether a binding is paused.
pub(crate) struct Guarded<'a> {
    pub(crate) responder: &'a Controller,
    pub(crate) config: &'a Config,
}

impl Guarded<'_> {
    /// The pause of a binding and its condition Paused; none: it was never paused. Without `workloads`,
    /// pods were not counted yet.
    fn pause(
        &self,
        binding: &RuntimePolicyBinding,
        policy: &RuntimePolicy,
        workloads: Option<usize>,
        new: &Conditions<'_>,
    ) -> (Option<PausedStatus>, Option<Condition>) {
        let allowed = self.config.allow_pod_deletion;
        let facts = BindingFacts::of(binding, true, workloads, allowed);
        let policy = PolicyFacts::of(policy, true);
        let mut work = self.responder.work();
        let assessed = work.controls.guards.assess(&policy, &facts);
        if let Some(pause) = assessed {
            let condition = new.paused(&pause);
            let recorded = pause.record(&policy, facts.paused.as_ref(), new.now);
            return (Some(recorded), Some(condition));
        }
        let was_resumed = new.before.iter().any(|c| c.type_ == types::PAUSED);
        let was_paused = was_resumed || guard::was_paused(&policy, &facts).is_some();
        // Of other generations nothing is left to report.
        let resumed = was_paused && guard::is_resumed(&policy, &facts);
        let resumed = resumed.then(|| {
            let message = messages::resumed(policy.generation, facts.generation);
            new.of(types::PAUSED, false, paused::RESUMED, message)
        });
        (None, resumed)
    }

    /// The same while the policy cannot be used: it can come back as it was, after a rollback for example.
    fn pause_without_policy(
        &self,
        binding: &RuntimePolicyBinding,
        new: &Conditions<'_>,
    ) -> (Option<PausedStatus>, Option<Condition>) {
        let facts = BindingFacts::of(binding, true, None, self.config.allow_pod_deletion);
        let recorded = facts.paused;
        let recorded = recorded.filter(|r| r.binding_generation == facts.generation);
        let paused = recorded.as_ref().map(|r| Paused::recorded(&facts.name, r));
        match paused.filter(|paused| facts.resume != Some(paused.resume())) {
            Some(paused) => (recorded, Some(new.paused(&paused))),
            None => (None, None),
        }
    }
}

/// The status of a binding to a policy. Without `matching`, pods were not counted yet.
pub(crate) fn of_binding(
    binding: &RuntimePolicyBinding,
    policy: Option<&(Arc<RuntimePolicy>, Arc<Checked>)>,
    guarded: &Guarded<'_>,
    matching: Option<Matching>,
    now: Timestamp,
) -> RuntimePolicyBindingStatus {
    let generation = binding.metadata.generation;
    let before = binding.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let new = Conditions {
        before,
        generation,
        now,
    };
    let name = &binding.spec.policy_name;
    let selectors = MatchResources::compile(&binding.spec.match_resources);
    let not_allowed = !guarded.config.allow_pod_deletion
        && binding
            .spec
            .response_actions
            .contains(&ResponseAction::Delete);
    let (value, reason, message) = match (&selectors, policy) {
        (Err(error), _) => (false, ready::INVALID_SELECTOR, format!("spec.matchResources.{error}")),
        (Ok(_), None) => (
            false,
            ready::POLICY_NOT_FOUND,
            format!("RuntimePolicy {name} not found. Create it, or correct spec.policyName."),
        ),
        (Ok(_), Some((_, checked))) if checked.compiled.is_err() => (
            false,
            ready::POLICY_NOT_READY,
            format!("RuntimePolicy {name} does not compile. See its condition Ready for the position."),
        ),
        (Ok(_), Some(_)) if not_allowed => (
            false,
            ready::POD_DELETION_NOT_ALLOWED,
            "The action Delete is not allowed. Set the chart value response.allowPodDeletion to true, or use Evict."
                .to_owned(),
        ),
        (Ok(_), Some(_)) => (
            true,
            ready::POLICY_READY,
            format!("RuntimePolicy {name} exists and compiles."),
        ),
    };
    let compiled = policy.filter(|(_, checked)| selectors.is_ok() && checked.compiled.is_ok());
    let compiled = compiled.map(|(policy, _)| &**policy);
    let before = binding.status.as_ref();
    let before = before.filter(|status| status.observed_generation == generation);
    let (matched, coverage) = match (compiled, matching) {
        (None, _) => (None, None),
        (Some(_), Some(matching)) => (
            Some(new.pods_matched(matching.pods)),
            Some(matching.coverage),
        ),
        (Some(_), None) => {
            let mut conditions = before.iter().flat_map(|status| &status.conditions);
            let matched = conditions.find(|c| c.type_ == types::PODS_MATCHED);
            (matched.cloned(), before.and_then(|status| status.coverage))
        }
    };
    let workloads = matching.map(|matching| matching.workloads);
    let (paused, condition) = match compiled {
        Some(policy) => guarded.pause(binding, policy, workloads, &new),
        None => guarded.pause_without_policy(binding, &new),
    };
    let ready = new.of(types::READY, value, reason, message);
    RuntimePolicyBindingStatus {
        observed_generation: generation,
        conditions: std::iter::once(ready)
            .chain(matched)
            .chain(condition)
            .collect(),
        paused,
        coverage,
    }
}

/// The conditions of a status, from those before.
struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    /// The condition `PodsMatched` of a binding that matches so many pods.
    fn pods_matched(&self, pods: usize) -> Condition {
        let (reason, message) = if pods == 0 {
            (
                ready::NO_MATCHING_PODS,
                "No pod matches now. Check the selectors of the binding and of its policy.",
            )
        } else {
            (
                ready::MATCHING_PODS_FOUND,
                "The selectors match at least one pod.",
            )
        };
        self.of(types::PODS_MATCHED, pods > 0, reason, message.to_owned())
    }

    /// The condition Paused of a binding that is paused.
    fn paused(&self, paused: &Paused) -> Condition {
        let message = messages::paused(paused);
        self.of(types::PAUSED, true, paused::TOO_MANY_WORKLOADS, message)
    }

    fn of(&self, type_: &str, value: bool, reason: &str, mut message: String) -> Condition {
        let status = if value { "True" } else { "False" };
        while message.len() > MESSAGE_LIMIT {
            message.pop();
        }
        let now = Time(self.now);
        let new = condition::new(type_, status, reason, message, self.generation, now);
        succeeding(self.before, new)
    }
}

#[cfg(test)]
mod tests;
