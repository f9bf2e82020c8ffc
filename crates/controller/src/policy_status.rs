//! What the statuses of policies and bindings say.
//!
//! Here: statuses as functions of what was read. Not here: reading and writing (`statuses`).
//! Invariant: `lastTransitionTime` moves only with the condition's status, so that a status that says
//! nothing new is equal to the one before; every condition comes from the controller.

use crate::config::Config;
use crate::policy_cache::Checked;
use crate::reconcile::Controller;
use bailiff_api::condition::{evaluation_failed, paused, ready, types};
use bailiff_api::{
    Coverage, FailurePolicy, ResponseAction, RuntimePolicy, RuntimePolicyBinding,
    RuntimePolicyBindingStatus, RuntimePolicyStatus,
};
use bailiff_policy::MatchResources;
use bailiff_response::guard::matched_workloads;
use bailiff_response::{BindingFacts, PolicyFacts, messages};
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

/// What matters of a pod here.
#[derive(Clone, Debug)]
pub(crate) struct PodSeen {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) node: Option<String>,
    /// UID of its controller. None: it has none, or one of a kind that Bailiff does not verify.
    pub(crate) workload: Option<String>,
}

/// The cluster as statuses see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) pods: Vec<PodSeen>,
    /// Nodes that have a sensor, and whether it is Ready: it monitors processes.
    pub(crate) sensors: BTreeMap<String, bool>,
    /// The labels that are kept of pods.
    pub(crate) label_keys: BTreeSet<String>,
    /// Pods of which nothing is known. Each selector may select one, and no node of one is monitored.
    pub(crate) unknown: usize,
}

/// What matches selectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Matching {
    pods: usize,
    workloads: usize,
    coverage: Coverage,
}

impl Cluster {
    /// Pods that every one of these selects, and on how many of their nodes processes are monitored.
    fn matching(&self, namespaces: &Namespaces, of: &[&MatchResources]) -> Matching {
        let none = Labels::new();
        let (mut nodes, mut workloads) = (BTreeSet::new(), Vec::new());
        let mut pods = 0;
        for pod in &self.pods {
            let namespace = namespaces.get(&pod.namespace).unwrap_or(&none);
            if of.iter().all(|m| m.matches(namespace, &pod.labels)) {
                pods += 1;
                nodes.extend(pod.node.as_deref());
                // A pod without a node runs nothing, and costs whoever creates it nothing.
                let workload = pod.node.as_ref().and(pod.workload.as_deref());
                workloads.push((pod.namespace.as_str(), workload));
            }
        }
        let monitored = nodes
            .iter()
            .filter(|n| self.sensors.get(**n) == Some(&true));
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Matching {
            pods,
            workloads: matched_workloads(workloads),
            coverage: Coverage {
                matching_nodes: number(nodes.len() + usize::from(self.unknown > 0)),
                monitored_nodes: number(monitored.count()),
            },
        }
    }
}

/// Evaluation errors of a policy's current generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    /// Nodes that reported errors, in order.
    pub(crate) nodes: BTreeSet<String>,
}

/// The status of a policy, which was compiled.
pub(crate) fn of_policy(
    policy: &RuntimePolicy,
    checked: &Checked,
    failures: &Failures,
    (cluster, namespaces): (&Cluster, &Namespaces),
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
    let compiled = checked.compiled.as_ref().ok();
    RuntimePolicyStatus {
        observed_generation: generation,
        conditions: std::iter::once(ready).chain(failed).collect(),
        coverage: compiled.map(|p| cluster.matching(namespaces, &[&p.constraints]).coverage),
        type_checking: checked.type_checking.clone(),
    }
}

/// What tells whether a binding is paused.
pub(crate) struct Guarded<'a> {
    pub(crate) responder: &'a Controller,
    pub(crate) config: &'a Config,
}

impl Guarded<'_> {
    /// The condition Paused; none: it was never paused.
    fn condition(
        &self,
        binding: &RuntimePolicyBinding,
        policy: &RuntimePolicy,
        workloads: usize,
        new: &Conditions<'_>,
    ) -> Option<Condition> {
        let generation = policy.metadata.generation.unwrap_or_default();
        let allowed = self.config.allow_pod_deletion;
        let facts = BindingFacts::of(binding, generation, true, Some(workloads), allowed);
        let policy = PolicyFacts::of(policy, true);
        let assessed = self
            .responder
            .work()
            .controls
            .guards
            .assess(&policy, &facts);
        let was = new.before.iter().find(|c| c.type_ == types::PAUSED);
        if let Some(pause) = assessed {
            let message = messages::paused(&pause);
            return Some(new.of(types::PAUSED, true, paused::TOO_MANY_WORKLOADS, message));
        }
        let pause = bailiff_response::Paused {
            binding: facts.name,
            workloads: None,
            matched_workloads: workloads,
            policy_generation: generation,
            binding_generation: facts.generation,
        };
        // Of other generations nothing is left to report.
        let resumed = facts.resume.as_deref() == Some(&pause.resume());
        was.filter(|_| resumed).map(|_| {
            let message = messages::resumed(&pause);
            new.of(types::PAUSED, false, paused::RESUMED, message)
        })
    }
}

/// The status of a binding to a policy, and how many workloads it matches for the guard.
pub(crate) fn of_binding(
    binding: &RuntimePolicyBinding,
    policy: Option<&(Arc<RuntimePolicy>, Arc<Checked>)>,
    guarded: &Guarded<'_>,
    (cluster, namespaces): (&Cluster, &Namespaces),
    now: Timestamp,
) -> (RuntimePolicyBindingStatus, usize) {
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
    let mut status = RuntimePolicyBindingStatus {
        observed_generation: generation,
        conditions: vec![new.of(types::READY, value, reason, message)],
        coverage: None,
    };
    let compiled = policy.and_then(|(p, checked)| Some((p, checked.compiled.as_ref().ok()?)));
    let (Ok(selectors), Some((policy, compiled))) = (&selectors, compiled) else {
        return (status, 0);
    };
    let matching = cluster.matching(namespaces, &[&compiled.constraints, selectors]);
    let (reason, message) = if matching.pods == 0 {
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
    let found = matching.pods > 0;
    status
        .conditions
        .push(new.of(types::PODS_MATCHED, found, reason, message.to_owned()));
    let paused = guarded.condition(binding, policy, matching.workloads, &new);
    status.conditions.extend(paused);
    status.coverage = Some(matching.coverage);
    (status, matching.workloads)
}

/// The conditions of a status, from those before.
struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    fn of(&self, type_: &str, value: bool, reason: &str, message: String) -> Condition {
        condition(
            self.before,
            type_,
            value,
            reason,
            message,
            self.generation,
            self.now,
        )
    }
}

fn condition(
    before: &[Condition],
    type_: &str,
    value: bool,
    reason: &str,
    mut message: String,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let status = if value { "True" } else { "False" };
    let old = before.iter().find(|c| c.type_ == type_);
    while message.len() > MESSAGE_LIMIT {
        message.pop();
    }
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: old
            .filter(|old| old.status == status)
            .map_or(Time(now), |old| old.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests;
