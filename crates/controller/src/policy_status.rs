//! What the statuses of policies and bindings say.
//!
//! Here: statuses as functions of what was read. Not here: reading and writing (`statuses`).
//! Invariant: `lastTransitionTime` moves only with the condition's status, so that a status that
//! says nothing new is equal to the one before; what a sensor said stays as it is for as long as
//! it is about the spec of now.

use crate::checked::{Checked, Policies};
use bailiff_api::condition::{ready, types};
use bailiff_api::{
    Coverage, RuntimePolicy, RuntimePolicyBinding, RuntimePolicyBindingStatus, RuntimePolicyStatus,
};
use bailiff_policy::MatchResources;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a condition's message, by the API.
const MESSAGE_LIMIT: usize = 32 * 1024;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// What matters of a pod here.
#[derive(Clone, Debug)]
pub(crate) struct PodSeen {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) node: Option<String>,
}

/// The cluster as statuses see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) namespaces: BTreeMap<String, Labels>,
    pub(crate) pods: Vec<PodSeen>,
    /// Nodes whose sensor is Ready: it sees processes.
    pub(crate) covered: BTreeSet<String>,
}

impl Cluster {
    /// Pods that every one of these selects, and on how many of their nodes processes are seen.
    fn matching(&self, of: &[&MatchResources]) -> (usize, Coverage) {
        let none = Labels::new();
        let mut nodes = BTreeSet::new();
        let mut pods = 0;
        for pod in &self.pods {
            let namespace = self.namespaces.get(&pod.namespace).unwrap_or(&none);
            if of.iter().all(|m| m.matches(namespace, &pod.labels)) {
                pods += 1;
                nodes.extend(pod.node.as_deref());
            }
        }
        let covered = nodes.iter().filter(|n| self.covered.contains(**n)).count();
        let coverage = Coverage {
            matching_nodes: i32::try_from(nodes.len()).unwrap_or(i32::MAX),
            monitored_nodes: i32::try_from(covered).unwrap_or(i32::MAX),
        };
        (pods, coverage)
    }
}

/// The status of a policy, which was compiled.
pub(crate) fn of_policy(
    policy: &RuntimePolicy,
    checked: &Checked,
    cluster: &Cluster,
    now: Timestamp,
) -> RuntimePolicyStatus {
    let generation = policy.metadata.generation;
    let before = policy.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let (value, reason, message) = match &checked.compiled {
        Ok(_) => (
            true,
            ready::COMPILED,
            "every expression compiles".to_owned(),
        ),
        Err(faults) => (false, ready::COMPILE_ERROR, faults.clone()),
    };
    let ready = condition(
        before,
        types::READY,
        value,
        reason,
        message,
        generation,
        now,
    );
    let by_sensor = before
        .iter()
        .filter(|c| c.type_ == types::EVALUATION_FAILED && c.observed_generation == generation);
    RuntimePolicyStatus {
        observed_generation: generation,
        conditions: std::iter::once(ready).chain(by_sensor.cloned()).collect(),
        coverage: checked
            .compiled
            .as_ref()
            .ok()
            .map(|constraints| cluster.matching(&[constraints]).1),
        type_checking: checked.type_checking.clone(),
    }
}

/// The status of a binding to one of these policies.
pub(crate) fn of_binding(
    binding: &RuntimePolicyBinding,
    policies: &Policies,
    cluster: &Cluster,
    now: Timestamp,
) -> RuntimePolicyBindingStatus {
    let generation = binding.metadata.generation;
    let before = binding.status.as_ref().map_or(&[][..], |s| &s.conditions);
    let name = &binding.spec.policy_name;
    let selectors = MatchResources::compile(&binding.spec.match_resources);
    let policy = policies.get(name).map(|checked| &checked.compiled);
    let (value, reason, message) = match (&selectors, policy) {
        (Err(error), _) => (
            false,
            ready::INVALID_SELECTOR,
            format!("spec.matchResources.{error}"),
        ),
        (Ok(_), None) => (
            false,
            ready::POLICY_NOT_FOUND,
            format!("no RuntimePolicy is called {name}; make one, or correct spec.policyName"),
        ),
        (Ok(_), Some(Err(_))) => (
            false,
            ready::POLICY_NOT_READY,
            format!("RuntimePolicy {name} does not compile; its condition Ready says where"),
        ),
        (Ok(_), Some(Ok(_))) => (
            true,
            ready::POLICY_READY,
            format!("RuntimePolicy {name} is there and compiles"),
        ),
    };
    let mut status = RuntimePolicyBindingStatus {
        observed_generation: generation,
        conditions: vec![condition(
            before,
            types::READY,
            value,
            reason,
            message,
            generation,
            now,
        )],
        coverage: None,
    };
    if let (Ok(selectors), Some(Ok(constraints))) = (&selectors, policy) {
        let (pods, coverage) = cluster.matching(&[constraints, selectors]);
        let (reason, message) = if pods == 0 {
            (
                ready::NO_MATCHING_PODS,
                "no pod matches now; check the selectors of the binding and of its policy",
            )
        } else {
            (ready::MATCHING_PODS_FOUND, "pods match")
        };
        status.conditions.push(condition(
            before,
            types::PODS_MATCHED,
            pods > 0,
            reason,
            message.to_owned(),
            generation,
            now,
        ));
        status.coverage = Some(coverage);
    }
    status
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
