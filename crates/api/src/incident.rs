//! `Incident`: one violation at run time, its evidence, and the response.
//!
//! Here: the object, its schema and its name. Not here: collecting the evidence (`sensor`) and
//! setting its conditions (`response`).
//! Invariant: `spec` is immutable; an Incident is smaller than 16 KiB; it has no owner reference to the
//! pod, with which the garbage collector would delete it.

use crate::runtime_policy_binding::ResponseAction;
use crate::shared::{ContainerType, ExecutableSource, Origin, Severity, known};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Limit of the arguments of the process that violated a policy, in bytes.
pub const ARGS_LIMIT_BYTES: usize = 4096;
/// Limit of the arguments of each ancestor, in bytes.
pub const ANCESTOR_ARGS_LIMIT_BYTES: usize = 256;
/// Limit of the number of ancestors, nearest first.
pub const ANCESTORS_LIMIT: usize = 16;
/// Number of distinct processes that a series keeps from its beginning.
pub const FIRST_PROCESSES_LIMIT: usize = 3;
/// Number of distinct processes that a series keeps from its end.
pub const LAST_PROCESSES_LIMIT: usize = 7;
/// Limit of the number of labels of the pod.
pub const LABELS_LIMIT: usize = 32;

/// One violation at run time.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "Incident",
    namespaced,
    shortname = "inc",
    category = "bailiff",
    status = "IncidentStatus",
    derive = "PartialEq",
    doc = "Incident is one violation of a RuntimePolicy by a process of a pod: the evidence and the response. It is in the namespace of the pod, so that the owners of the pod can read it.",
    printcolumn(
        name = "Severity",
        type_ = "string",
        json_path = ".spec.severity",
        description = "Severity that the policy assigns. Informational."
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyRef.name",
        description = "Policy that the process violates."
    ),
    printcolumn(
        name = "Pod",
        type_ = "string",
        json_path = ".spec.pod.name",
        description = "Pod of the process."
    ),
    printcolumn(
        name = "Executable",
        type_ = "string",
        json_path = ".spec.process.executable",
        description = "File that the process executed."
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Summary of the response."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Responded')].reason",
        description = "Reason of the condition Responded."
    ),
    printcolumn(
        name = "Count",
        type_ = "integer",
        json_path = ".status.series.count",
        description = "Number of violations of this policy in this pod.",
        priority = "1"
    ),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".spec.nodeName",
        description = "Node of the process.",
        priority = "1"
    ),
    printcolumn(
        name = "Replacement",
        type_ = "string",
        json_path = ".status.replacement.name",
        description = "Pod that replaces the removed pod.",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the Incident was created."
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable"))]
pub struct IncidentSpec {
    /// Type of the Incident. Must be Violation or EvaluationFailed. Violation: a validation was false.
    /// EvaluationFailed: an expression could not be evaluated; there is no response.
    #[serde(rename = "type")]
    pub type_: IncidentType,
    /// Severity that the policy assigns. Informational: it does not affect the response.
    pub severity: Severity,
    /// Policy that the process violates.
    pub policy_ref: PolicyReference,
    /// Bindings of the policy that matched the pod at the exec.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub binding_refs: Vec<BindingReference>,
    /// Node of the process.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// Pod of the process.
    pub pod: IncidentPod,
    /// Container of the process.
    pub container: IncidentContainer,
    /// Process that violates the policy.
    pub process: IncidentProcess,
    /// Validations that were false or could not be evaluated.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub violations: Vec<Violation>,
    /// Time of the exec, by the clock of the node.
    pub exec_time: MicroTime,
}

/// Type of an Incident.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentType {
    /// A validation was false.
    Violation,
    /// An expression could not be evaluated.
    EvaluationFailed,
}

/// Reference to a policy at the time of the exec.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReference {
    /// Name of the RuntimePolicy.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID of the RuntimePolicy.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Generation of the RuntimePolicy that the sensor evaluated.
    pub generation: i64,
}

/// Reference to a binding at the time of the exec.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BindingReference {
    /// Name of the RuntimePolicyBinding.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID of the RuntimePolicyBinding.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// Pod of a process at the time of the exec.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentPod {
    /// Name of the pod.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the pod. It is the namespace of the Incident, unless the API server rejected the
    /// Incident there; then the Incident is in the namespace that Bailiff runs in.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// UID of the pod.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Labels of the pod. At most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub labels: BTreeMap<String, String>,
    /// Service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// Container of a process. A field is absent if its value was unknown at the time of the evaluation.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentContainer {
    /// ID of the container, without the prefix of the container runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// Name of the container in the pod spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Image as in the pod spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image: Option<String>,
    /// Image that the kubelet reports, with its digest.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,
    /// Type of the container in its pod. Must be App, Init, Sidecar or Ephemeral.
    #[serde(
        default,
        deserialize_with = "known",
        rename = "type",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ContainerType>,
}

/// Process that violates a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentProcess {
    /// Executable of the process: its path in the container, with symbolic links resolved.
    #[schemars(length(max = 4096))]
    pub executable: String,
    /// Path that was passed to exec.
    #[schemars(length(max = 4096))]
    pub invoked_path: String,
    /// Distinct names of the process: the base names of the executable, of the invoked path and of the
    /// first argument; for BusyBox and Toybox, also the applet.
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
    /// Arguments, starting with the name of the process. Bytes that are not valid UTF-8 are replaced by
    /// U+FFFD.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Arguments in base64. Set only if `args` contains replaced bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args_base64: Vec<String>,
    /// Arguments were truncated, at 4096 bytes or at the size limit of an Incident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_truncated: bool,
    /// Working directory at the exec: its path in the container, with symbolic links resolved. Starts
    /// with `…/` if the first path components are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub working_directory: Option<String>,
    /// Source of the executable. Must be Image, ImageModified, WritableLayer, Volume, Memory or Unknown.
    pub executable_source: ExecutableSource,
    /// Path of the script if an interpreter was started through `#!`. Symbolic links are not resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub script_path: Option<String>,
    /// Origin of the process. Must be Entrypoint, Exec, Probe, Lifecycle or Unknown.
    pub origin: Origin,
    /// The process left the cgroups of its pod. It can outlive the pod, on the node that
    /// `spec.nodeName` names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_pod_cgroup: bool,
    /// Effective user ID in the host user namespace.
    pub uid: i64,
    /// Effective group ID in the host user namespace.
    pub gid: i64,
    /// Effective capabilities, without the prefix CAP_.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub capabilities: Vec<String>,
    /// Process ID in the host PID namespace.
    pub pid: i64,
    /// Start time of the process, by the clock of the node.
    pub start_time: MicroTime,
    /// Ancestors in the pod, nearest first, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub ancestors: Vec<Ancestor>,
}

/// Ancestor of a process that violates a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ancestor {
    /// Executable of the ancestor.
    #[schemars(length(max = 4096))]
    pub executable: String,
    /// Arguments, truncated at 256 bytes.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Process ID in the host PID namespace.
    pub pid: i64,
    /// Start time, by the clock of the node.
    pub start_time: MicroTime,
}

/// Validation that was false or could not be evaluated.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Index of the expression in `spec.validations` of the policy, from 0. Absent if a match condition
    /// could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub expression_index: Option<i32>,
    /// Message of the policy, or the error.
    #[schemars(length(max = 1024))]
    pub message: String,
}

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
    /// Action of the response. Absent if Bailiff would have taken no action, or not yet.
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

/// Most bytes of a node's name at the end of an Incident's name. A longer name is cut at its
/// beginning; Kubernetes allows 253 bytes for both.
pub const NAME_SUFFIX_LIMIT_BYTES: usize = 200;

/// The end of the name of every Incident of a node: a hyphen and the node's name, so that a sensor
/// cannot take a name that belongs to another. The admission policy of `protection` enforces it.
#[must_use]
pub fn name_suffix(node_name: &str) -> String {
    let excess = node_name.len().saturating_sub(NAME_SUFFIX_LIMIT_BYTES);
    // Names of nodes are ASCII; of what is not, nothing is left to compare.
    match node_name.get(excess..) {
        // A label must not begin with the point or the hyphen that a cut may leave first.
        Some(end) if excess > 0 => format!("-x{end}"),
        Some(whole) => format!("-{whole}"),
        None => "-".to_owned(),
    }
}

/// The name of the Incident of a policy in a pod of a node: 64 bits of the SHA-256 over both UIDs,
/// and the node's name.
///
/// It depends on nothing else, so that a sensor that restarts writes nothing twice.
#[must_use]
pub fn incident_name(pod_uid: &str, policy_uid: &str, node_name: &str) -> String {
    let digest = digest(&[pod_uid, policy_uid]);
    format!("inc-{digest}{}", name_suffix(node_name))
}

/// The name of the Incident of the evaluation errors of a policy's generation on a node within one
/// hour, which is the number of hours since 1970.
///
/// It differs from [`incident_name`]: otherwise, a process that makes an expression fail first would
/// have every later violation counted as an evaluation error, which has no response. It differs before
/// the node's name, so that no two nodes share a name, whatever they are called.
#[must_use]
pub fn evaluation_error_name(
    policy_uid: &str,
    generation: i64,
    hour: i64,
    node_name: &str,
) -> String {
    let digest = digest(&[policy_uid, &generation.to_string(), &hour.to_string()]);
    let suffix = name_suffix(node_name);
    format!("inc-evaluation-failed-{digest}{suffix}")
}

/// 64 bits of the SHA-256 over parts, in hexadecimal.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(8) {
        // Writing to a String does not fail.
        if write!(text, "{byte:02x}").is_err() {
            break;
        }
    }
    text
}
