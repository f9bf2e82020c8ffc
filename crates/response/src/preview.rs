//! What would happen to a pod if one of its processes violated a policy now.
//!
//! Here: a violation that did not happen, and what follows from it. Not here: the decision and its
//! sentences, which are those of enforcement (`controls`, `settle`, `dry_run`, `messages`), and reading the
//! cluster (`cli`).
//! Invariant: nothing is decided here; a preview and an enforcement of the same facts come to the
//! same plan.

use crate::breaker::Breaker;
use crate::controls::Controls;
use crate::dry_run::DryRun;
use crate::facts::{
    BindingFacts, Facts, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    Settings, Switch, ViolationFacts,
};
use crate::guard::Outlook;
use crate::incident_state::{Outcome, Verified, apply_outcome};
use crate::ledger::History;
use crate::messages::{self, Regarding};
use crate::plan::Plan;
use crate::queue::{Ahead, Queue};
use crate::rejection::rejected;
use crate::settle::Step;
use crate::workload::WorkloadKey;
use bailiff_api::{
    BindingReference, DryRunResponse, ExecutableSource, Incident, IncidentContainer, IncidentPod,
    IncidentProcess, IncidentSpec, IncidentType, Origin, PolicyReference, ResponseAction, Severity,
    Violation, incident_name,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

/// A policy that applies to the pod, with its bindings that match.
#[derive(Clone, Debug)]
pub struct PreviewPolicy {
    /// Name of the policy.
    pub name: String,
    /// The policy; its selectors match.
    pub policy: PolicyFacts,
    /// Its bindings whose selectors match.
    pub bindings: Vec<BindingFacts>,
    /// The result of a dry run of the eviction. None: none was requested.
    pub dry_run: Option<DryRun>,
}

/// A pod, and everything that a response to it depends on.
#[derive(Clone, Debug)]
pub struct PreviewInput {
    /// Name of the pod.
    pub pod_name: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: Lookup<PodFacts>,
    /// The pod's controller.
    pub owner: Owner,
    /// The namespace.
    pub namespace_facts: Lookup<NamespaceFacts>,
    /// The protection of Incidents.
    pub protection: Protection,
    /// The switch of all responses.
    pub switch: Switch,
    /// Limits that hold for all responses.
    pub settings: Settings,
    /// The executable that is named in the messages.
    pub executable: String,
    /// Where its process would come from.
    pub origin: Origin,
}

/// What Bailiff would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewAction {
    /// Evict the pod.
    Evict,
    /// Delete the pod.
    Delete,
    /// Shorten the grace period of the terminating pod.
    Shorten,
    /// Wait, and then respond.
    Wait,
    /// Take no action.
    None,
}

/// What would happen to a pod if one of its processes violated a policy now.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Name of the policy.
    pub policy: String,
    /// Names of its bindings that match.
    pub bindings: Vec<String>,
    /// What Bailiff would do at once.
    pub action: PreviewAction,
    /// The binding that it would do it for. None: it would not.
    pub binding: Option<String>,
    /// Grace period of the pod, in seconds. None: it would not be removed now.
    pub grace_period_seconds: Option<u32>,
    /// Reason of the condition `Responded`.
    pub reason: &'static str,
    /// Message of the condition `Responded`: what would delay or prevent the response.
    pub message: String,
    /// When it would be planned again. None: it would not wait.
    pub until: Option<Timestamp>,
    /// When it would stop waiting. None: it would not.
    pub deadline: Option<Timestamp>,
    /// Grace period, in seconds, of the eviction that the API server decides about, also under `Audit`. None:
    /// no eviction would be requested.
    pub eviction_grace_period_seconds: Option<u32>,
    /// Responses that wait and would go before it.
    pub ahead: Ahead,
    /// What the bad-policy guard counts for each binding that matches, this response included.
    pub guards: Vec<Outlook>,
    /// The bindings, by name, for which `BindingFacts::matched_workloads` must be counted before it is known
    /// whether the guard pauses them.
    pub uncounted: Vec<String>,
    /// Under `Audit`: what enforcement would do.
    pub dry_run_response: Option<DryRunResponse>,
    /// Who would create a replacement.
    pub replacement: String,
    /// The note of the Event on the pod. None: there would be no Event.
    pub pod_event: Option<String>,
    /// The note of the Event on the workload. None: there would be no Event.
    pub workload_event: Option<String>,
}

/// What would happen to a pod for a policy that applies to it.
#[must_use]
pub fn preview(
    input: &PreviewInput,
    policy: &PreviewPolicy,
    controls: &Controls,
    queue: &Queue,
    now: Timestamp,
) -> Preview {
    let incident = incident(input, policy, now);
    let mut facts = facts(input, policy, &incident);
    let mut controls = controls.clone();
    let plan = controls.decide(queue, &incident, &mut facts, now);
    let until = match &plan {
        Plan::Requeue { until, .. } => Some(*until),
        Plan::Evict(_) | Plan::Delete(_) | Plan::Shorten(_) | Plan::NoAction { .. } => None,
    };
    let result = |accepted, deadline_seconds| match &policy.dry_run {
        Some(DryRun::Rejected(rejection)) => {
            rejected(rejection.clone(), deadline_seconds, None, now)
        }
        Some(DryRun::Accepted | DryRun::NotChecked(_)) | None => accepted,
    };
    let (outcome, requested, eviction) = match Step::from(plan) {
        Step::Report(outcome, _) => (outcome, None, None),
        Step::DryRun(removal) => {
            let not_checked = || DryRun::NotChecked("there was no dry run".to_owned());
            let dry_run = policy.dry_run.clone().unwrap_or_else(not_checked);
            let grace = removal.grace_period_seconds;
            (dry_run.outcome(&removal, now), None, Some(grace))
        }
        Step::Remove(action, removal) => {
            let accepted = removal.removed(action, now);
            let outcome = result(accepted, removal.eviction_deadline_seconds);
            let grace = removal.grace_period_seconds;
            let evicts = action != ResponseAction::Delete;
            (
                outcome,
                Some((removal.binding, grace)),
                evicts.then_some(grace),
            )
        }
        Step::Shorten(shortening) => {
            let accepted = shortening.shortened(now);
            let outcome = result(accepted, shortening.eviction_deadline_seconds);
            let grace = shortening.grace_period_seconds;
            (outcome, Some((shortening.binding, grace)), None)
        }
    };
    let (binding, grace) = requested.unzip();
    let (action, deadline) = action_of(&outcome);
    let workload = input.owner.workload();
    let workload = workload.map(|workload| WorkloadKey::of(&input.namespace, workload));
    let status = apply_outcome(&incident, &Verified::default(), &outcome, now);
    let note = |regarding| messages::note(&incident, &outcome, regarding).map(|note| note.text);
    Preview {
        policy: policy.name.clone(),
        bindings: policy.bindings.iter().map(|b| b.name.clone()).collect(),
        action,
        binding,
        grace_period_seconds: grace,
        reason: outcome.reason(),
        message: messages::responded(&incident, &outcome),
        until,
        deadline,
        eviction_grace_period_seconds: eviction,
        ahead: queue.ahead(&input.namespace, workload.as_ref()),
        guards: policy
            .bindings
            .iter()
            .map(|b| controls.guards.outlook(&policy.policy, b, now))
            .collect(),
        uncounted: facts.undecided,
        dry_run_response: status.dry_run_response,
        replacement: messages::replacement(&input.owner),
        pod_event: note(Regarding::Pod),
        workload_event: match &input.owner {
            Owner::Workload(workload) | Owner::Released(workload) => {
                note(Regarding::Workload(&workload.kind))
            }
            Owner::None | Owner::Unknown(_) => None,
        },
    }
}

/// What Bailiff would do, and when it would stop waiting.
const fn action_of(outcome: &Outcome) -> (PreviewAction, Option<Timestamp>) {
    match outcome {
        Outcome::Removed {
            action: ResponseAction::Delete,
            ..
        } => (PreviewAction::Delete, None),
        Outcome::Removed {
            action: ResponseAction::Evict | ResponseAction::Audit,
            ..
        } => (PreviewAction::Evict, None),
        Outcome::Shortened { .. } => (PreviewAction::Shorten, None),
        Outcome::Waiting { deadline, .. } => (PreviewAction::Wait, *deadline),
        Outcome::NoAction { .. } => (PreviewAction::None, None),
    }
}

fn facts(input: &PreviewInput, policy: &PreviewPolicy, incident: &Incident) -> Facts {
    Facts {
        violation: ViolationFacts::of(incident),
        waiting: None,
        pod: input.pod.clone(),
        owner: input.owner.clone(),
        policy: Lookup::Found(policy.policy.clone()),
        bindings: Lookup::Found(policy.bindings.clone()),
        namespace: input.namespace_facts.clone(),
        protection: input.protection.clone(),
        switch: input.switch.clone(),
        breaker: Breaker::Closed,
        paused: Vec::new(),
        undecided: Vec::new(),
        history: History::default(),
        settings: input.settings,
    }
}

/// The Incident that a violation would lead to.
fn incident(input: &PreviewInput, policy: &PreviewPolicy, now: Timestamp) -> Incident {
    let (uid, node) = match &input.pod {
        Lookup::Found(pod) => (pod.uid.clone(), pod.node_name.clone().unwrap_or_default()),
        Lookup::NotFound | Lookup::Failed(_) => (String::new(), String::new()),
    };
    let name = incident_name(&uid, &policy.policy.uid, &node);
    let spec = IncidentSpec {
        type_: IncidentType::Violation,
        severity: Severity::default(),
        policy_ref: PolicyReference {
            name: policy.name.clone(),
            uid: policy.policy.uid.clone(),
            generation: policy.policy.generation,
        },
        binding_refs: policy
            .bindings
            .iter()
            .map(|b| BindingReference {
                name: b.name.clone(),
                uid: b.uid.clone(),
            })
            .collect(),
        node_name: node,
        pod: IncidentPod {
            name: input.pod_name.clone(),
            namespace: input.namespace.clone(),
            uid,
            labels: std::collections::BTreeMap::new(),
            service_account_name: None,
            controller_ref: None,
        },
        container: IncidentContainer::default(),
        process: process(input, now),
        violations: vec![Violation {
            expression_index: Some(0),
            message: String::new(),
        }],
        exec_time: MicroTime(now),
    };
    let mut incident = Incident::new(&name, spec);
    incident.metadata.namespace = Some(input.namespace.clone());
    // No Incident has it, so none is taken for it.
    incident.metadata.uid = Some("preview".to_owned());
    incident.metadata.generation = Some(1);
    incident.metadata.creation_timestamp = Some(Time(now));
    incident
}

fn process(input: &PreviewInput, now: Timestamp) -> IncidentProcess {
    IncidentProcess {
        executable: input.executable.clone(),
        invoked_path: input.executable.clone(),
        names: Vec::new(),
        args: Vec::new(),
        args_base64: Vec::new(),
        args_truncated: false,
        working_directory: None,
        executable_source: ExecutableSource::Unknown,
        executable_deleted: false,
        script_path: None,
        script_source: None,
        stdio: Vec::new(),
        secure_exec: false,
        origin: input.origin,
        left_pod_cgroup: false,
        uid: 0,
        gid: 0,
        capabilities: Vec::new(),
        pid: 0,
        start_time: MicroTime(now),
        ancestors: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
