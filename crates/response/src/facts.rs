//! What was found out before an answer is planned.
//!
//! Here: the facts as plain values, and their extraction from objects. Not here: how they are
//! read (`controller::gather`) and what follows from them (`plan`).
//! Invariant: what could not be found out is a value of its own, never "none" and never "fine".

use bailiff_api::{
    BindingReference, Guardrails, Incident, IncidentType, ResponseAction, WorkloadReference, keys,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

/// A live read of an object that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// The API server says that it is not there.
    NotFound,
    /// It could not be read; why, for people.
    Failed(String),
}

/// What the Incident claims. Nothing of it is trusted before a live read says the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolationFacts {
    /// Whether a validation was false, or an expression failed.
    pub type_: IncidentType,
    /// UID of the pod.
    pub pod_uid: String,
    /// Node that the process ran on.
    pub node_name: String,
    /// Container that the process ran in, where it was known.
    pub container: Option<String>,
    /// Name of the policy.
    pub policy_name: String,
    /// UID of the policy.
    pub policy_uid: String,
    /// Generation of the policy that gave the verdict.
    pub policy_generation: i64,
    /// UIDs of the bindings that matched.
    pub binding_uids: Vec<String>,
}

impl ViolationFacts {
    /// What an Incident claims.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let spec = &incident.spec;
        let (policy_generation, bindings) = last_verdict(incident);
        Self {
            type_: spec.type_,
            pod_uid: spec.pod.uid.clone(),
            node_name: spec.node_name.clone(),
            container: spec.container.name.clone(),
            policy_name: spec.policy_ref.name.clone(),
            policy_uid: spec.policy_ref.uid.clone(),
            policy_generation,
            binding_uids: bindings.iter().map(|b| b.uid.clone()).collect(),
        }
    }
}

/// The policy's generation and the bindings of the last verdict of a series: both may have
/// changed since the first.
#[must_use]
pub fn last_verdict(incident: &Incident) -> (i64, &[BindingReference]) {
    let series = incident.status.as_ref().and_then(|s| s.series.as_ref());
    series.map_or(
        (
            incident.spec.policy_ref.generation,
            &incident.spec.binding_refs,
        ),
        |series| (series.policy_generation, &series.binding_refs),
    )
}

/// What matters of a live pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent thing that was looked up, named by its field"
)]
pub struct PodFacts {
    /// Its UID.
    pub uid: String,
    /// The node that it is bound to.
    pub node_name: Option<String>,
    /// Names of all its containers, init and ephemeral ones too.
    pub containers: Vec<String>,
    /// It is being deleted.
    pub terminating: bool,
    /// When the Eviction API was asked to take it away, by whomever: the API server does not keep
    /// that. Unset: it was not, or the deletion came another way.
    pub evicted: Option<Timestamp>,
    /// It ran to its end: nothing runs in it any more.
    pub finished: bool,
    /// It is the API's copy of a static pod.
    pub mirror: bool,
    /// It is one of Bailiff's own.
    pub own: bool,
    /// Its own grace period, in seconds.
    pub grace_period_seconds: i64,
}

/// Whether a pod is the API's copy of a static pod.
#[must_use]
pub fn is_mirror(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|a| a.contains_key(keys::ANNOTATION_MIRROR_POD))
}

impl PodFacts {
    /// The facts of a pod; `own_namespace` is the one that Bailiff runs in.
    #[must_use]
    pub fn of(pod: &Pod, own_namespace: &str) -> Self {
        let meta = &pod.metadata;
        let spec = pod.spec.as_ref();
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        let label = |key: &str| meta.labels.as_ref().and_then(|l| l.get(key));
        let containers = spec.map_or_else(Vec::new, |spec| {
            let apps = spec.containers.iter().map(|c| c.name.clone());
            let inits = spec.init_containers.iter().flatten();
            let ephemeral = spec.ephemeral_containers.iter().flatten();
            apps.chain(inits.map(|c| c.name.clone()))
                .chain(ephemeral.map(|c| c.name.clone()))
                .collect()
        });
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            node_name: spec.and_then(|s| s.node_name.clone()),
            containers,
            terminating: meta.deletion_timestamp.is_some(),
            evicted: evicted(pod),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
            mirror: is_mirror(pod),
            // The label alone is not enough: everyone may set it on their own pods.
            own: meta.namespace.as_deref() == Some(own_namespace)
                && label(keys::LABEL_APP_NAME).is_some_and(|v| v == keys::APP_NAME),
            // 30 is the API's default.
            grace_period_seconds: spec
                .and_then(|s| s.termination_grace_period_seconds)
                .unwrap_or(30),
        }
    }
}

/// When the Eviction API took a pod away: it leaves a condition
/// (k8s.io/kubernetes v1.37, `pkg/registry/core/pod/storage/eviction.go`).
fn evicted(pod: &Pod) -> Option<Timestamp> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let by_eviction = conditions.find(|c| {
        c.type_ == "DisruptionTarget"
            && c.status == "True"
            && c.reason.as_deref() == Some("EvictionByEvictionAPI")
    })?;
    Some(by_eviction.last_transition_time.as_ref()?.0)
}

/// What was found out about a pod's controller. `Unknown` is not `None`: it plans no eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The object at the top of the pod's owners, as far as they are of kinds that are read.
    Workload(WorkloadReference),
    /// The pod has no controller: nothing would bring it back.
    None,
    /// An owner could not be read.
    Unknown(String),
}

/// What matters of a live policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts {
    /// Its UID.
    pub uid: String,
    /// Its generation now.
    pub generation: i64,
    /// Whether its selectors match the pod, as seen at the violation, and its live namespace.
    pub matches: bool,
}

/// What matters of a live binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingFacts {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The policy that it binds.
    pub policy_name: String,
    /// Whether its selectors match the pod, as seen at the violation, and its live namespace.
    pub matches: bool,
    /// What it asks for.
    pub actions: Vec<ResponseAction>,
    /// What holds it back.
    pub guardrails: Guardrails,
    /// Its grace period, in seconds.
    pub grace_period_seconds: Option<i64>,
}

/// What matters of the pod's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// It is exempt by configuration.
    pub exempt: bool,
}

/// Whether the shipped protection of Incidents is in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Policy and binding are as shipped.
    Unmodified,
    /// Policy or binding is not there.
    Missing,
    /// Policy or binding is not as shipped; the first difference.
    Modified(String),
    /// It could not be read.
    Unknown(String),
}

/// Past answers that limit the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When the workload was last answered.
    pub last_of_workload: Option<Timestamp>,
    /// Names of bindings with the times of their answers, oldest first.
    pub by_binding: Vec<(String, Vec<Timestamp>)>,
}

/// Everything that a plan depends on, apart from the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the Incident claims.
    pub violation: ViolationFacts,
    /// The pod of that name.
    pub pod: Lookup<PodFacts>,
    /// The pod's controller.
    pub owner: Owner,
    /// The policy of that name.
    pub policy: Lookup<PolicyFacts>,
    /// The bindings of those names that are there. `Gone` is no different from none.
    pub bindings: Lookup<Vec<BindingFacts>>,
    /// The pod's namespace.
    pub namespace: Lookup<NamespaceFacts>,
    /// The protection of Incidents.
    pub protection: Protection,
    /// Past answers.
    pub history: History,
}

/// Whether the violation's pod is on its way out, or is gone, as far as that is known.
#[must_use]
pub fn pod_removed(facts: &Facts) -> Lookup<bool> {
    match &facts.pod {
        Lookup::Found(pod) => Lookup::Found(pod.uid != facts.violation.pod_uid || pod.terminating),
        Lookup::NotFound => Lookup::NotFound,
        Lookup::Failed(why) => Lookup::Failed(why.clone()),
    }
}

#[cfg(test)]
mod tests;
