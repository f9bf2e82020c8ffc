//! `RuntimePolicyBinding`: where a policy applies and how a violation is answered.
//!
//! Here: the object and its schema. Not here: choosing the answer (`response`).
//! Invariant: a binding that asks for nothing but `Audit` never leads to a write on a pod.

use crate::runtime_policy::MatchResources;
use crate::shared::Coverage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a `RuntimePolicy` applies and how a violation is answered.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "RuntimePolicyBinding",
    shortname = "rtpb",
    category = "bailiff",
    status = "RuntimePolicyBindingStatus",
    derive = "PartialEq",
    doc = "RuntimePolicyBinding says in which namespaces and for which pods a RuntimePolicy applies, and how a violation is answered.",
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyName",
        description = "The policy that applies."
    ),
    printcolumn(
        name = "Actions",
        type_ = "string",
        json_path = ".spec.responseActions",
        description = "How a violation is answered."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the policy is there and works."
    ),
    printcolumn(
        name = "Matched",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='PodsMatched')].status",
        description = "Whether any pod matches now."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyBindingSpec {
    /// Name of the RuntimePolicy.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("policyName is immutable; create a new binding"))]
    pub policy_name: String,

    /// Which pods the binding is about, within those that the policy is about. Unset: all.
    #[serde(default)]
    pub match_resources: MatchResources,

    /// How a violation is answered: Audit, Evict, Delete. At most one of Evict and Delete; Audit
    /// is implied. Evict asks the Eviction API, which respects PodDisruptionBudgets; Delete does
    /// not.
    #[schemars(length(min = 1, max = 2))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!('Evict' in self && 'Delete' in self)").message("must not contain both Evict and Delete"))]
    pub response_actions: Vec<ResponseAction>,

    /// What holds an answer back.
    #[serde(default)]
    pub guardrails: Guardrails,

    /// Seconds that a pod is given to end, when that is less than its own
    /// `terminationGracePeriodSeconds`. Unset: the pod's own. An attacker's code runs on
    /// through it. 1 is the soonest: a kubelet gives no less; with 0 the pod's object goes
    /// before its processes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i64>,
}

/// One way to answer a violation.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ResponseAction {
    /// Write an Incident.
    Audit,
    /// Evict the pod by the Eviction API.
    Evict,
    /// Delete the pod, without regard to PodDisruptionBudgets.
    Delete,
}

/// What holds an answer back.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Guardrails {
    /// Least time, in seconds, between two answers to the same workload. 0: none.
    #[serde(default = "default_cooldown_period_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub cooldown_period_seconds: i32,
    /// Most evictions in a minute by this binding. What is above it waits.
    #[serde(default = "default_max_evictions_per_minute")]
    #[schemars(range(min = 1, max = 6000))]
    pub max_evictions_per_minute: i32,
    /// What happens to a pod without a controller, for which no controller creates a replacement.
    /// Must be Skip or Respond. Defaults to Skip.
    #[serde(default)]
    pub unmanaged_pod_policy: UnmanagedPodPolicy,
    /// How long, in seconds, a PodDisruptionBudget that allows no disruption is waited for.
    #[serde(default = "default_eviction_deadline_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub eviction_deadline_seconds: i32,
}

/// What happens to a pod without a controller.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmanagedPodPolicy {
    /// Bailiff does not respond; the Incident says so.
    #[default]
    Skip,
    /// Bailiff responds as it does for other pods; nothing replaces the pod.
    Respond,
}

const fn default_cooldown_period_seconds() -> i32 {
    60
}
const fn default_max_evictions_per_minute() -> i32 {
    10
}
const fn default_eviction_deadline_seconds() -> i32 {
    600
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            cooldown_period_seconds: default_cooldown_period_seconds(),
            max_evictions_per_minute: default_max_evictions_per_minute(),
            unmanaged_pod_policy: UnmanagedPodPolicy::default(),
            eviction_deadline_seconds: default_eviction_deadline_seconds(),
        }
    }
}

/// Whether a binding works, and where.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyBindingStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the policy exists and compiles. `PodsMatched`: at least one pod matches now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// On how many of the nodes that run matching pods processes are seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}
