//! The status of an Incident: its series and the response.
//!
//! Here: the schema. Not here: the evidence (`super`), and what is written to a status (`sensor`: the
//! series; `response`: the rest).
//! Invariant: what only a person reads can be absent; what a new leader needs to continue is here.

use super::BindingReference;
use crate::runtime_policy_binding::ResponseAction;
use crate::shared::{Origin, known};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Status of an Incident.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Summary of the conditions for people. Must be Pending, Waiting, Audited, Recovering, Resolved or
    /// Unresolved. Clients must read the conditions instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Conditions of the Incident. Responded: the response; its reason names the outcome, and its status
    /// is Unknown while the response is due. Recovered: the workload has a Ready replacement, or needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Further violations of the policy in the same pod. Only the sensor writes this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Response that the API server accepted. Absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseStatus>,
    /// Reason and time of the wait. Absent if the response does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStatus>,
    /// Response that Evict would have caused. Set if the binding only audits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_response: Option<DryRunResponse>,
    /// Workload of the pod: its topmost controller. Absent if the pod has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadReference>,
    /// Replacement of the removed pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// `series.count` when the controller last decided about the response. Violations since then are
    /// those that it has not taken into account. Absent if there was no series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub observed_count: Option<i64>,
    /// When the first container of the pod started, not before the pod was scheduled and not after
    /// the controller read it. Absent if it is not known. The circuit breaker reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_start_time: Option<Time>,
}

/// Summary of the conditions for people.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The controller has not processed the Incident yet.
    Pending,
    /// The response waits; the reason of the condition Responded names the cause.
    Waiting,
    /// The binding only audits, or an expression could not be evaluated.
    Audited,
    /// The pod was removed, and its replacement is not Ready yet.
    Recovering,
    /// The replacement is Ready, or there is nothing to replace.
    Resolved,
    /// Bailiff took no action, or there is no Ready replacement; the conditions contain the reason.
    Unresolved,
}

/// Violations of one policy in one pod.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Number of violations, including the first one.
    #[schemars(range(min = 1))]
    pub count: i64,
    /// Time of the last violation, by the clock of the node.
    pub last_observed_time: MicroTime,
    /// Generation of the policy at the last violation.
    pub policy_generation: i64,
    /// Bindings of the policy that matched the pod at the last violation.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub binding_refs: Vec<BindingReference>,
    /// First 3 distinct processes that violate the policy, after the one in `spec.process`. Entries are
    /// immutable, except for their count and lastObservedTime.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub first_processes: Vec<ObservedProcess>,
    /// Last 7 distinct processes that violate the policy and are not in `firstProcesses`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub last_processes: Vec<ObservedProcess>,
}

/// Processes with the same executable, arguments and origin.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObservedProcess {
    /// Executable: its path in the container, with symbolic links resolved.
    #[schemars(length(max = 1024))]
    pub executable: String,
    /// Arguments, truncated at 256 bytes.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Arguments were truncated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_truncated: bool,
    /// Origin of the processes. Must be Entrypoint, Exec, Probe, Lifecycle or Unknown.
    pub origin: Origin,
    /// Number of processes.
    #[schemars(range(min = 1))]
    pub count: i64,
    /// Time of the first exec, by the clock of the node.
    pub first_observed_time: MicroTime,
    /// Time of the last exec, by the clock of the node.
    pub last_observed_time: MicroTime,
}

/// Response to an Incident.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResponseStatus {
    /// Action of the response. Must be Evict or Delete.
    pub action: ResponseAction,
    /// Name of the RuntimePolicyBinding that caused the response.
    #[schemars(length(max = 253))]
    pub binding_name: String,
    /// Time at which the API server accepted the request, by the clock of the controller.
    pub time: MicroTime,
    /// Grace period of the request, in seconds. Absent if it is that of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i64>,
}

/// Wait of a response. It is updated when it changes, so that a new leader continues.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// Reason of the condition Responded.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Time at which the response started to wait, for any reason, by the clock of the controller.
    pub start_time: MicroTime,
    /// Time at which Bailiff stops waiting. Absent if there is no deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<MicroTime>,
    /// The response waited for something that only Evict and Delete wait for. Stays true until the wait
    /// ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enforced: bool,
    /// Reason for which the response was paused until a person acts. Stays until a guardrail after it
    /// delays the response, or the wait ends. Must be ResponsesSwitchedOff or PolicyPaused. Absent if it
    /// was not paused.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub pause_reason: Option<PauseReason>,
}

/// Reason for which a response is paused until a person acts.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum PauseReason {
    /// The switch of all responses is not set to Enforce.
    ResponsesSwitchedOff,
    /// The bad-policy guard paused the binding.
    PolicyPaused,
}

/// Response that Evict would have caused.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DryRunResponse {
    /// Action of the response. Set only if the API server accepted a dry run of it. Absent if Bailiff would
    /// have taken no action, or not yet, or if that is not known (reason APIRequestFailed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ResponseAction>,
    /// Reason that the condition Responded would have had.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Message that the condition Responded would have had.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Reference to the workload of a pod.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// API version of the workload.
    #[schemars(length(max = 317))]
    pub api_version: String,
    /// Kind of the workload.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name of the workload.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the workload.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// Pod that replaces a removed pod.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// Name of the pod.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the pod.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Node of the pod.
    #[schemars(length(max = 253))]
    pub node_name: String,
    /// Time at which the pod became Ready.
    pub ready_time: Time,
}
