//! `Incident`: one violation at run time, its evidence, and what was done about it.
//!
//! Here: the object, its schema and its name. Not here: filling the evidence (`sensor`) and
//! moving its conditions (`response`).
//! Invariant: `spec` never changes once written; an Incident stays under 16 KiB; it has no
//! owner reference to the pod, with which it would be collected.

use crate::runtime_policy_binding::ResponseAction;
use crate::shared::{ContainerType, ExecutableSource, Origin, Severity, known};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most bytes of arguments that are kept of the process that violated a policy.
pub const ARGS_LIMIT_BYTES: usize = 4096;
/// Most bytes of arguments that are kept of each ancestor.
pub const ANCESTOR_ARGS_LIMIT_BYTES: usize = 256;
/// Most ancestors that are kept, nearest first.
pub const ANCESTORS_LIMIT: usize = 16;
/// Distinct processes of a series that are kept from its beginning.
pub const FIRST_PROCESSES_LIMIT: usize = 3;
/// Distinct processes of a series that are kept from its end.
pub const LAST_PROCESSES_LIMIT: usize = 7;
/// Most labels of the pod that are kept.
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
    doc = "Incident is one violation of a RuntimePolicy by a process of a pod: the evidence, and what was done about it. It lives in the pod's namespace, so that its owners can read it.",
    printcolumn(
        name = "Severity",
        type_ = "string",
        json_path = ".spec.severity",
        description = "How grave the policy says it is."
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyRef.name",
        description = "The policy that was violated."
    ),
    printcolumn(
        name = "Pod",
        type_ = "string",
        json_path = ".spec.pod.name",
        description = "The pod that the process ran in."
    ),
    printcolumn(
        name = "Executable",
        type_ = "string",
        json_path = ".spec.process.executable",
        description = "The file that was executed."
    ),
    printcolumn(
        name = "Phase",
        type_ = "string",
        json_path = ".status.phase",
        description = "Where the answer stands."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Responded')].reason",
        description = "What was done, or why nothing was."
    ),
    printcolumn(
        name = "Count",
        type_ = "integer",
        json_path = ".status.series.count",
        description = "How often it happened in this pod.",
        priority = "1"
    ),
    printcolumn(
        name = "Node",
        type_ = "string",
        json_path = ".spec.nodeName",
        description = "The node that it ran on.",
        priority = "1"
    ),
    printcolumn(
        name = "Replacement",
        type_ = "string",
        json_path = ".status.replacement.name",
        description = "The pod that took its place.",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message("spec is immutable"))]
pub struct IncidentSpec {
    /// Violation: a validation was false. EvaluationFailed: an expression failed at run time,
    /// which is reported and never answered.
    #[serde(rename = "type")]
    pub type_: IncidentType,
    /// How grave the policy says it is.
    pub severity: Severity,
    /// The policy that was violated.
    pub policy_ref: PolicyReference,
    /// The bindings of the policy that matched the pod when the process started.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub binding_refs: Vec<BindingReference>,
    /// The node that the process ran on.
    #[schemars(length(min = 1, max = 253))]
    pub node_name: String,
    /// The pod that the process ran in.
    pub pod: IncidentPod,
    /// The container that the process ran in.
    pub container: IncidentContainer,
    /// The process itself.
    pub process: IncidentProcess,
    /// Every validation that was false, or that failed.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub violations: Vec<Violation>,
    /// When the kernel started the program, by the node's clock.
    pub exec_time: MicroTime,
}

/// Why an Incident was written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentType {
    /// A validation was false.
    Violation,
    /// An expression failed at run time.
    EvaluationFailed,
}

/// The policy that was violated, as it was then.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReference {
    /// Name of the RuntimePolicy.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// UID of the RuntimePolicy.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Generation of its spec that gave the verdict.
    pub generation: i64,
}

/// A binding that matched, as it was then.
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

/// The pod that a process ran in, as it was seen then.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentPod {
    /// Name of the pod.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the pod. It is the Incident's own namespace, unless the API server rejected the
    /// Incident there; then the Incident is in the namespace that Bailiff runs in.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// UID of the pod.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Labels of the pod when the process started; at most 32 of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub labels: BTreeMap<String, String>,
    /// Service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// The container that a process ran in. What was not known in time is absent.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentContainer {
    /// ID that the container runtime gave it, without the runtime's prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub id: Option<String>,
    /// Name of the container in the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Image as the pod asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image: Option<String>,
    /// Image as the kubelet reports it, with its digest.
    #[serde(default, rename = "imageID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,
    /// What role the container has in its pod.
    #[serde(
        default,
        deserialize_with = "known",
        rename = "type",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ContainerType>,
}

/// The process that violated a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentProcess {
    /// The file that was executed, links resolved, as the container sees it.
    #[schemars(length(max = 4096))]
    pub executable: String,
    /// The file as it was asked for.
    #[schemars(length(max = 4096))]
    pub invoked_path: String,
    /// The distinct names that it goes by: of the executable, of the path asked for, of its
    /// first argument; for busybox and toybox also the applet.
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
    /// Arguments, the program's name first. Bytes that are no UTF-8 are shown as U+FFFD.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// The same arguments in base64, only where `args` could not show them as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args_base64: Vec<String>,
    /// Whether arguments were cut: at 4096 bytes, or sooner where the Incident would become too large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_truncated: bool,
    /// The directory that it was started in, where relative paths among its arguments begin: links
    /// resolved, as the container sees it. Begins with `…/` where its beginning is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub working_directory: Option<String>,
    /// Where the executable comes from.
    pub executable_source: ExecutableSource,
    /// The script that an interpreter was started for by `#!`: its path from the root, links as they
    /// were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub script_path: Option<String>,
    /// Where the process comes from.
    pub origin: Origin,
    /// The process left the cgroups of its pod. It can outlive the pod, on the node that
    /// `spec.nodeName` names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_pod_cgroup: bool,
    /// Effective user, as the node sees it.
    pub uid: i64,
    /// Effective group, as the node sees it.
    pub gid: i64,
    /// Effective capabilities, without the prefix `CAP_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub capabilities: Vec<String>,
    /// Process ID, as the node sees it.
    pub pid: i64,
    /// When the process was started, by the node's clock.
    pub start_time: MicroTime,
    /// Its ancestors within the pod, nearest first, as far as they were seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub ancestors: Vec<Ancestor>,
}

/// An ancestor of the process that violated a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ancestor {
    /// The file that it executed.
    #[schemars(length(max = 4096))]
    pub executable: String,
    /// Its arguments, cut at 256 bytes.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Process ID, as the node sees it.
    pub pid: i64,
    /// When it was started, by the node's clock.
    pub start_time: MicroTime,
}

/// A validation that was false, or that failed.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Index of the expression in the policy's `validations`, from 0. Absent if a match condition
    /// could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub expression_index: Option<i32>,
    /// What the policy says about it, or the error.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What became of an Incident.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// A word for people, derived from the conditions, which are the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// `Responded`: what was done, or why nothing was. `Recovered`: whether the workload has its
    /// replacement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How often the same policy was violated in the same pod. Written by the sensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// The response that the API server accepted. Absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseStatus>,
    /// What the response waits for. Absent if it does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingStatus>,
    /// Under `Audit`: what enforcement would have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_response: Option<DryRunResponse>,
    /// The topmost controller of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadReference>,
    /// The pod that took the place of the one that was taken away.
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

/// Where the answer stands, for people; derived from the conditions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was decided yet.
    Pending,
    /// The answer waits; the condition `Responded` says for what.
    Waiting,
    /// Only reported.
    Audited,
    /// The pod was removed; its replacement is awaited.
    Recovering,
    /// The replacement is Ready, or nothing had to be replaced.
    Resolved,
    /// Nothing was done, or no replacement came; the conditions say why.
    Unresolved,
}

/// How often something happened.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// How often, the first time included.
    #[schemars(range(min = 1))]
    pub count: i64,
    /// When last, by the node's clock.
    pub last_observed_time: MicroTime,
    /// Generation of the policy that gave the last verdict.
    pub policy_generation: i64,
    /// The bindings that matched the last time.
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub binding_refs: Vec<BindingReference>,
    /// The first 3 distinct processes that violated the policy after the one in `spec.process`. An
    /// entry keeps its executable, arguments and origin; only its count and last time change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub first_processes: Vec<ObservedProcess>,
    /// The last 7 distinct processes that violated the policy and are not among the first, oldest
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub last_processes: Vec<ObservedProcess>,
}

/// A process that violated the policy after the first one. Processes with the same executable,
/// arguments and origin are one entry.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObservedProcess {
    /// The file that was executed, symbolic links resolved, as the container sees it.
    #[schemars(length(max = 1024))]
    pub executable: String,
    /// Its arguments, cut at 256 bytes.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// Arguments were cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_truncated: bool,
    /// Where the process comes from.
    pub origin: Origin,
    /// How often.
    #[schemars(range(min = 1))]
    pub count: i64,
    /// When first, by the node's clock.
    pub first_observed_time: MicroTime,
    /// When last, by the node's clock.
    pub last_observed_time: MicroTime,
}

/// What was done about an Incident.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResponseStatus {
    /// Evict or Delete.
    pub action: ResponseAction,
    /// The binding that asked for it.
    #[schemars(length(max = 253))]
    pub binding_name: String,
    /// When the API server accepted it.
    pub time: MicroTime,
    /// Grace period that the response asked for, in seconds. Absent: the pod's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i64>,
}

/// What a response waits for. It is written when it changes, so that a new leader continues.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// The reason of the condition `Responded`.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// Since when the response waits, for whatever reason, by the controller's clock.
    pub start_time: MicroTime,
    /// When Bailiff stops waiting. Absent: it waits without a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<MicroTime>,
}

/// What enforcement would have done about an Incident under `Audit`.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DryRunResponse {
    /// Evict or Delete. Absent if a guardrail would have blocked the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ResponseAction>,
    /// The reason that the condition `Responded` would have had.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// The same for people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The object at the top of a pod's owners.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// Its API version.
    #[schemars(length(max = 317))]
    pub api_version: String,
    /// Its kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// The pod that took the place of another.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its UID.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The node that it runs on.
    #[schemars(length(max = 253))]
    pub node_name: String,
    /// When it became Ready.
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
/// It differs from [`incident_name`]: else whoever makes an expression fail first would have every
/// later violation counted as an evaluation error, for which there is no response.
#[must_use]
pub fn evaluation_error_name(
    policy_uid: &str,
    generation: i64,
    hour: i64,
    node_name: &str,
) -> String {
    let digest = digest(&[policy_uid, &generation.to_string(), &hour.to_string()]);
    let suffix = name_suffix(node_name);
    format!("inc-{digest}-evaluation-failed{suffix}")
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
