//! `Incident`: one violation at run time, its evidence, and the response.
//!
//! Here: the object and the schema of its evidence. Not here: its status (`status`) and name (`name`),
//! collecting the evidence (`sensor`) and setting its conditions (`response`).
//! Invariant: `spec` is immutable; an Incident is smaller than 16 KiB; it has no owner reference to the
//! pod, with which the garbage collector would delete it.

#![expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of the API of its own; the schema's derive repeats the structure"
)]

mod name;
mod status;

use crate::shared::{ContainerType, DescriptorType, ExecutableSource, Origin, Severity, known};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use name::{
    NAME_SUFFIX_LIMIT_BYTES, evaluation_error_name, found_running_name, incident_name, name_suffix,
};
pub use status::{
    DryRunResponse, IncidentStatus, ObservedProcess, PauseReason, Phase, Replacement,
    ResponseStatus, Series, WaitingStatus, WorkloadReference,
};

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
    /// Type of the Incident. Must be Violation, FoundRunning or EvaluationFailed. Violation: a validation was
    /// false. FoundRunning: a validation was false for a process that already ran when the policy was
    /// evaluated; there is no response. EvaluationFailed: an expression could not be evaluated; there is no
    /// response.
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
    /// Time of the exec, by the clock of the node. With the type FoundRunning, the time when the process
    /// was found.
    pub exec_time: MicroTime,
}

/// Type of an Incident.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentType {
    /// A validation was false.
    Violation,
    /// A validation was false for a process that already ran when the policy was evaluated.
    FoundRunning,
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
    /// Controller of the pod, such as its ReplicaSet, as the owner references of the pod name it. Bailiff
    /// does not verify it, unlike `status.workloadRef`, which is absent if the pod no longer existed when
    /// the controller read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_ref: Option<WorkloadReference>,
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
    /// Path that was passed to exec. Empty if it is unknown.
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
    /// Arguments are missing: they are longer than what is kept, or could not be read. `args` then
    /// contains their beginning and their end, with `…` in one element for the missing part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_truncated: bool,
    /// Working directory at the exec: its path in the container, with symbolic links resolved. Starts
    /// with `…/` if the first path components are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub working_directory: Option<String>,
    /// Source of the executable. Must be Image, ImageModified, WritableLayer, Volume, Memory or Unknown.
    pub executable_source: ExecutableSource,
    /// The executable was deleted or replaced before the exec: its path no longer leads to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable_deleted: bool,
    /// Path of the script if an interpreter was started through `#!`. Starts with `…/` if the first path
    /// components are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub script_path: Option<String>,
    /// Source of the script. Must be Image, ImageModified, WritableLayer, Volume, Memory or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_source: Option<ExecutableSource>,
    /// What the descriptors 0, 1 and 2 (standard input, output and error) refer to. Each must be Terminal,
    /// Pipe, Socket, File, Null, Other, Closed or Unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub stdio: Vec<DescriptorType>,
    /// The process gained privileges with the exec, through a set-user-ID or set-group-ID bit or file
    /// capabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secure_exec: bool,
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
