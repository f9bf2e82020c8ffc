//! `RuntimePolicyBinding`: where a policy applies and how Bailiff responds to a violation.
//!
//! Here: the object and its schema. Not here: choosing the response (`response`).
//! Invariant: a binding with the action `Audit` alone never causes a request about a pod.

use crate::shared::{Coverage, MatchResources};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a `RuntimePolicy` applies and how Bailiff responds to a violation.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "RuntimePolicyBinding",
    shortname = "rtpb",
    category = "bailiff",
    status = "RuntimePolicyBindingStatus",
    derive = "PartialEq",
    doc = "RuntimePolicyBinding defines the namespaces and pods that a RuntimePolicy applies to, and how Bailiff responds to a violation.",
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyName",
        description = "Policy of the binding."
    ),
    printcolumn(
        name = "Actions",
        type_ = "string",
        json_path = ".spec.responseActions",
        description = "Actions of the response to a violation."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Status of the condition Ready: the policy exists and is Ready."
    ),
    printcolumn(
        name = "Matched",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='PodsMatched')].status",
        description = "Status of the condition PodsMatched: at least one pod matches."
    ),
    printcolumn(
        name = "Paused",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Paused')].status",
        description = "Status of the condition Paused: responses wait until somebody resumes them."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the binding was created."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyBindingSpec {
    /// Name of the RuntimePolicy. Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("policyName is immutable; create a new binding"))]
    pub policy_name: String,

    /// Selects the pods that the binding applies to, among those that the policy applies to. If unset, the
    /// binding applies to all of them.
    #[serde(default)]
    pub match_resources: MatchResources,

    /// Actions of the response to a violation. Must be Audit, Evict or Delete, and must not contain both
    /// Evict and Delete. Audit creates an Incident and is implied. Evict uses the Eviction API, which
    /// respects PodDisruptionBudgets. Delete does not respect them, and requires the chart value
    /// response.allowPodDeletion.
    #[schemars(length(min = 1, max = 2))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!('Evict' in self && 'Delete' in self)").message("must not contain both Evict and Delete"))]
    pub response_actions: Vec<ResponseAction>,

    /// Limits on the responses of this binding.
    #[serde(default)]
    pub guardrails: Guardrails,

    /// Upper limit of the grace period of a removed pod, in seconds. If unset, the grace period is the
    /// pod's terminationGracePeriodSeconds. In either case, it is at most the chart value
    /// response.maxGracePeriodSeconds. The process keeps running during the grace period. The shortest
    /// effective value is 1: with 0, the processes get the same time, but the Pod object is deleted before
    /// they exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i64>,
}

/// Action of a response.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ResponseAction {
    /// Creates an Incident.
    Audit,
    /// Evicts the pod through the Eviction API.
    Evict,
    /// Deletes the pod, regardless of PodDisruptionBudgets.
    Delete,
}

/// Limits on the responses of a binding.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Guardrails {
    /// Cooldown period of a workload, in seconds: the minimum time between two removed pods of the same
    /// workload. Must be between 0 and 86400. Defaults to 60. 0 means no cooldown.
    #[serde(default = "default_cooldown_period_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub cooldown_period_seconds: i32,
    /// Maximum number of pods that responses of this binding remove within a minute. Further responses
    /// wait. Must be between 1 and 6000. Defaults to 10.
    #[serde(default = "default_max_evictions_per_minute")]
    #[schemars(range(min = 1, max = 6000))]
    pub max_evictions_per_minute: i32,
    /// Handling of pods without a controller, for which nothing creates a replacement. Must be Skip or
    /// Respond. Defaults to Skip.
    #[serde(default)]
    pub unmanaged_pod_policy: UnmanagedPodPolicy,
    /// Eviction deadline, in seconds: the maximum time to wait for a PodDisruptionBudget that blocks the
    /// eviction. Must be between 0 and 86400. Defaults to 600.
    #[serde(default = "default_eviction_deadline_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub eviction_deadline_seconds: i32,
}

/// Handling of pods without a controller.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnmanagedPodPolicy {
    /// Bailiff takes no action; the Incident has the reason Unmanaged.
    #[default]
    Skip,
    /// Bailiff responds as for other pods; nothing replaces the pod.
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

/// Status of a binding.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyBindingStatus {
    /// Generation that the status applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the binding. Ready: the policy exists and is Ready. PodsMatched: at least one pod
    /// matches. Paused: responses wait, because the binding would remove pods of too many workloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Pause of the binding. The condition Paused is derived from it. Absent if the binding is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedStatus>,
    /// Coverage: monitored nodes out of matching nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// Pause of a binding. It ends when somebody resumes the binding, or when the binding or its policy changes.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PausedStatus {
    /// UID of the RuntimePolicy.
    #[serde(rename = "policyUID")]
    #[schemars(length(max = 128))]
    pub policy_uid: String,
    /// Generation of the RuntimePolicy whose responses wait.
    pub policy_generation: i64,
    /// Generation of the binding whose responses wait.
    pub binding_generation: i64,
    /// Time at which the controller first recorded the pause, by its clock.
    pub start_time: Time,
    /// Number of workloads that the binding would remove pods of within 10 minutes.
    #[schemars(range(min = 0))]
    pub workloads: i32,
    /// Number of workloads that it can remove pods of within 10 minutes.
    #[schemars(range(min = 0))]
    pub max_workloads: i32,
}
