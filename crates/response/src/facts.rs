//! What was found out before a response is planned.
//!
//! Here: the facts as plain values, and their extraction from objects. Not here: how they are
//! read (`controller::gather`) and what follows from them (`plan`).
//! Invariant: what could not be found out is a value of its own, never "none" and never "fine";
//! no time of a sensor is a fact.

use crate::breaker::Breaker;
use crate::guard::Paused;
use crate::ledger::{History, RateLimits};
use bailiff_api::{
    BindingReference, Guardrails, Incident, IncidentType, Origin, PausedStatus, ResponseAction,
    WaitingStatus, WorkloadReference, keys,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A live read of an object that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It exists.
    Found(T),
    /// The API server reports that it does not exist.
    NotFound,
    /// It could not be read; why, for people.
    Failed(String),
}

/// What the Incident claims. Nothing of it is trusted before a live read confirms it, except its
/// times, which the API server sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolationFacts {
    /// Whether a validation was false, or an expression could not be evaluated.
    pub type_: IncidentType,
    /// Namespace of the pod.
    pub namespace: String,
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
    /// Generation of the policy that gave the last verdict.
    pub policy_generation: i64,
    /// UIDs of the bindings that matched.
    pub binding_uids: Vec<String>,
    /// Every process of the evidence was started by a probe or a lifecycle hook.
    pub hooks_only: bool,
    /// When the API server last recorded a violation: the Incident's creation, or a later update of
    /// its series.
    pub last_recorded: Timestamp,
}

impl ViolationFacts {
    /// What an Incident claims. It must still have its managed fields.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let spec = &incident.spec;
        let (policy_generation, bindings) = last_verdict(incident);
        Self {
            type_: spec.type_,
            namespace: spec.pod.namespace.clone(),
            pod_uid: spec.pod.uid.clone(),
            node_name: spec.node_name.clone(),
            container: spec.container.name.clone(),
            policy_name: spec.policy_ref.name.clone(),
            policy_uid: spec.policy_ref.uid.clone(),
            policy_generation,
            binding_uids: bindings.iter().map(|b| b.uid.clone()).collect(),
            hooks_only: origins(incident).all(is_hook),
            last_recorded: last_recorded(&incident.metadata),
        }
    }
}

/// The origins of all processes of an Incident's evidence.
pub(crate) fn origins(incident: &Incident) -> impl Iterator<Item = Origin> {
    let series = incident.status.as_ref().and_then(|s| s.series.as_ref());
    let later = series
        .into_iter()
        .flat_map(|s| s.first_processes.iter().chain(&s.last_processes))
        .map(|process| process.origin);
    std::iter::once(incident.spec.process.origin).chain(later)
}

/// Whether a pod starts a process of this origin by itself. Of other processes anybody who may exec
/// can start as many as they want, and nothing may follow from their number.
pub(crate) const fn is_by_itself(origin: Origin) -> bool {
    match origin {
        Origin::Entrypoint | Origin::Probe | Origin::Lifecycle => true,
        Origin::Exec | Origin::Unknown => false,
    }
}

const fn is_hook(origin: Origin) -> bool {
    match origin {
        Origin::Probe | Origin::Lifecycle => true,
        Origin::Entrypoint | Origin::Exec | Origin::Unknown => false,
    }
}

/// When the API server last recorded a violation, by its own clock. An update counts only if the
/// managed fields tell it apart from the controller's own writes.
pub(crate) fn last_recorded(metadata: &ObjectMeta) -> Timestamp {
    let created = created(metadata);
    let fields = metadata.managed_fields.iter().flatten();
    fields
        .filter(|entry| {
            let status = entry.fields_v1.as_ref().and_then(|f| f.0.get("f:status"));
            status.is_some_and(|s| s.get("f:series").is_some() && s.get("f:conditions").is_none())
        })
        .filter_map(|entry| Some(entry.time.as_ref()?.0))
        .fold(created, Timestamp::max)
}

/// When the API server created an object. One without this time counts as old, not as new.
pub(crate) fn created(metadata: &ObjectMeta) -> Timestamp {
    let created = metadata.creation_timestamp.as_ref();
    created.map_or(Timestamp::UNIX_EPOCH, |created| created.0)
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

/// How a terminating pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// When its grace period ends: its `deletionTimestamp`.
    pub ends: Timestamp,
    /// Its `deletionGracePeriodSeconds`.
    pub grace_period_seconds: i64,
}

/// What matters of a live pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent fact, named by its field"
)]
pub struct PodFacts {
    /// Its UID.
    pub uid: String,
    /// The node that it is bound to.
    pub node_name: Option<String>,
    /// Names of all its containers, init and ephemeral ones too.
    pub containers: Vec<String>,
    /// Present: it is terminating.
    pub terminating: Option<Termination>,
    /// When the Eviction API evicted it; the API server does not record for which client. Absent:
    /// it was not evicted, or it was deleted in another way.
    pub evicted: Option<Timestamp>,
    /// It succeeded or failed: nothing runs in it any more.
    pub finished: bool,
    /// It is the API's copy of a static pod.
    pub mirror: bool,
    /// It is one of Bailiff's own.
    pub own: bool,
    /// It has the priority class system-cluster-critical or system-node-critical.
    pub critical: bool,
    /// Its own `terminationGracePeriodSeconds`.
    pub grace_period_seconds: i64,
    /// When its first container started, not before it was scheduled. Absent: not known.
    pub started: Option<Timestamp>,
    /// The controller has already asked to shorten its termination. `of` cannot know it.
    pub shortened: bool,
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
            terminating: meta.deletion_timestamp.as_ref().map(|ends| Termination {
                ends: ends.0,
                grace_period_seconds: meta.deletion_grace_period_seconds.unwrap_or_default(),
            }),
            evicted: evicted(pod),
            finished: matches!(phase, Some("Succeeded" | "Failed")),
            mirror: is_mirror(pod),
            // The label alone is not enough: everyone can set it on their own pods.
            own: meta.namespace.as_deref() == Some(own_namespace)
                && label(keys::LABEL_APP_NAME).is_some_and(|v| v == keys::APP_NAME),
            critical: matches!(
                spec.and_then(|s| s.priority_class_name.as_deref()),
                Some("system-cluster-critical" | "system-node-critical")
            ),
            // 30 is the API's default.
            grace_period_seconds: spec
                .and_then(|s| s.termination_grace_period_seconds)
                .unwrap_or(30),
            started: started(pod),
            shortened: false,
        }
    }
}

/// When the Eviction API evicted a pod: it leaves a condition
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

/// When the first container of a pod started, by the kubelet's report, which only its node can
/// forge; the scheduler's time bounds it from below. A container that restarted no longer tells
/// when it started first: then the time of scheduling counts.
fn started(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let scheduled = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    let scheduled = scheduled.last_transition_time.as_ref()?.0;
    let init = status.init_container_statuses.iter().flatten();
    let all = || {
        init.clone()
            .chain(status.container_statuses.iter().flatten())
    };
    if all().any(|c| c.restart_count > 0) {
        return Some(scheduled);
    }
    let starts = all().filter_map(|c| {
        let state = c.state.as_ref()?;
        let running = state.running.as_ref().and_then(|r| r.started_at.as_ref());
        let ended = state.terminated.as_ref();
        let ended = ended.and_then(|t| t.started_at.as_ref());
        Some(running.or(ended)?.0)
    });
    let first = starts.min();
    Some(first.map_or(scheduled, |first| first.max(scheduled)))
}

/// What was found out about a pod's controller. `Unknown` is not `None`: it plans no removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The topmost controller of the pod, as far as its owners are of kinds that are read.
    Workload(WorkloadReference),
    /// Its controller when a response was first planned, as the Incident's status records it: the pod was
    /// released from it since, so that it has made another pod and replaces this one no more.
    Released(WorkloadReference),
    /// The pod has no controller: nothing would replace it.
    None,
    /// An owner could not be read.
    Unknown(String),
}

impl Owner {
    /// The workload whose limits a removal counts in.
    #[must_use]
    pub const fn workload(&self) -> Option<&WorkloadReference> {
        match self {
            Self::Workload(workload) | Self::Released(workload) => Some(workload),
            Self::None | Self::Unknown(_) => None,
        }
    }
}

/// What the expressions of a changed policy give for the Incident's evidence and the live pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reevaluation {
    /// The process violates the current policy, too.
    StillViolates,
    /// The process does not violate the current policy.
    NoLongerViolates,
    /// The expressions read what the Incident lacks: truncated or absent fields.
    NeedsNextExec,
    /// The expressions could not be evaluated; why. It never leads to a removal.
    Failed(String),
}

/// What matters of a live policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts {
    /// Its UID.
    pub uid: String,
    /// Its generation now.
    pub generation: i64,
    /// When its spec was last changed, by the API server's clock, as `guard::changed` tells.
    pub changed: Timestamp,
    /// Whether its selectors match the pod, as seen at the violation, and its live namespace.
    pub matches: bool,
    /// If its generation differs from that of the verdict: what its expressions give now.
    pub reevaluation: Option<Reevaluation>,
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
    /// Its limits.
    pub guardrails: Guardrails,
    /// Its grace period, in seconds.
    pub grace_period_seconds: Option<i64>,
    /// Its generation now.
    pub generation: i64,
    /// When its spec was last changed, by the API server's clock, as `guard::changed` tells.
    pub changed: Timestamp,
    /// How many workloads have pods that it and its policy match, as `guard::matched_workloads` counts
    /// them. Absent: not known yet.
    pub matched_workloads: Option<usize>,
    /// Its annotation `bailiff.dev/resume`.
    pub resume: Option<String>,
    /// The pause that its status records, of whichever generations.
    pub paused: Option<PausedStatus>,
}

/// What matters of the pod's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Its pods are never removed.
    pub exempt: bool,
    /// Critical priority classes protect pods in it.
    pub critical: bool,
}

/// Whether the shipped protection of Incidents is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Policy and binding are as shipped.
    Unmodified,
    /// Policy or binding does not exist.
    Missing,
    /// Policy or binding is not as shipped; the first difference.
    Modified(String),
    /// It could not be read.
    Unknown(String),
}

/// The switch of all responses, as read before a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Responses are on.
    Enforce,
    /// An operator switched responses to audit.
    Audit,
    /// It is missing, unreadable or has another value; why.
    Unavailable(String),
}

/// Limits that hold for all responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest grace period, in seconds, that a response gives a pod.
    pub max_grace_period_seconds: u32,
    /// Oldest violation that is still responded to after the response waited for a person.
    pub max_age: SignedDuration,
    /// Most removals in a minute.
    pub rate_limits: RateLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_grace_period_seconds: 300,
            max_age: SignedDuration::from_hours(1),
            rate_limits: RateLimits::default(),
        }
    }
}

/// Everything that a plan depends on, apart from the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the Incident claims.
    pub violation: ViolationFacts,
    /// What the response waits for already, as the Incident's status records it.
    pub waiting: Option<WaitingStatus>,
    /// The pod of that name.
    pub pod: Lookup<PodFacts>,
    /// The pod's controller.
    pub owner: Owner,
    /// The policy of that name.
    pub policy: Lookup<PolicyFacts>,
    /// The bindings of those names that exist. `NotFound` is no different from none.
    pub bindings: Lookup<Vec<BindingFacts>>,
    /// The pod's namespace.
    pub namespace: Lookup<NamespaceFacts>,
    /// The protection of Incidents.
    pub protection: Protection,
    /// The switch of all responses.
    pub switch: Switch,
    /// The circuit breaker of the workload and policy. `Controls::decide` fills it in.
    pub breaker: Breaker,
    /// The bindings that the bad-policy guard pauses. `Controls::decide` fills it in.
    pub paused: Vec<Paused>,
    /// The bindings, by name, of which the guard does not know yet whether it pauses them.
    /// `Controls::decide` fills it in.
    pub undecided: Vec<String>,
    /// Past removals, and who else waits for their limits. `Controls::decide` fills it in.
    pub history: History,
    /// Limits that hold for all responses.
    pub settings: Settings,
}

/// Whether the violation's pod is terminating or no longer exists, as far as that is known.
#[must_use]
pub(crate) fn pod_removed(facts: &Facts) -> Lookup<bool> {
    removed(facts, |pod| pod.terminating.is_some())
}

/// Whether a removal that was requested without a clear response was done, as far as that is known:
/// an eviction leaves a mark on a terminating pod; of a pod that no longer exists it is assumed.
#[must_use]
pub(crate) fn request_done(facts: &Facts, action: ResponseAction) -> Lookup<bool> {
    removed(facts, |pod| match action {
        ResponseAction::Evict | ResponseAction::Audit => pod.evicted.is_some(),
        ResponseAction::Delete => pod.terminating.is_some(),
    })
}

fn removed(facts: &Facts, live: impl Fn(&PodFacts) -> bool) -> Lookup<bool> {
    match &facts.pod {
        Lookup::Found(pod) => Lookup::Found(pod.uid != facts.violation.pod_uid || live(pod)),
        Lookup::NotFound => Lookup::NotFound,
        Lookup::Failed(why) => Lookup::Failed(why.clone()),
    }
}

#[cfg(test)]
mod tests;
