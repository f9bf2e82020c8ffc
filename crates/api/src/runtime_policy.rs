//! `RuntimePolicy`: what a process must be to be left alone.
//!
//! Here: the object and its schema. Not here: compiling and evaluating it (`policy`).
//! Invariant: names and meanings are those of a `ValidatingAdmissionPolicy`; what differs stands
//! in the table of `docs/runtime-policies.md`.

use crate::shared::{Coverage, Severity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a process in a container must be to be left alone. A policy without a binding does
/// nothing.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "RuntimePolicy",
    plural = "runtimepolicies",
    shortname = "rtp",
    category = "bailiff",
    status = "RuntimePolicyStatus",
    derive = "PartialEq",
    doc = "RuntimePolicy says what a process in a container must be to be left alone. As in a ValidatingAdmissionPolicy, an expression that is false is a violation. A policy without a RuntimePolicyBinding does nothing.",
    printcolumn(
        name = "Severity",
        type_ = "string",
        json_path = ".spec.severity",
        description = "How grave a violation is."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether every expression compiles."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Why it is Ready or not."
    ),
    printcolumn(
        name = "Monitored",
        type_ = "integer",
        json_path = ".status.coverage.monitoredNodes",
        description = "Nodes on which processes are seen.",
        priority = "1"
    ),
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.coverage.matchingNodes",
        description = "Nodes that matter.",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicySpec {
    /// Severity of a violation. Must be Low, Medium, High or Critical. Defaults to Medium.
    /// Informational: it does not affect the response.
    #[serde(default)]
    pub severity: Severity,

    /// What happens when an expression fails at run time. Fail: an Incident of type
    /// `EvaluationFailed` that only reports. Ignore: the policy has the condition
    /// `EvaluationFailed`, and the sensor counts it in a metric. Neither ever leads to an eviction.
    #[serde(default)]
    pub failure_policy: FailurePolicy,

    /// Which pods the policy is about. Unset: all pods.
    #[serde(default)]
    pub match_constraints: MatchResources,

    /// Expressions that must all be true for the policy to look at a process. They see the same
    /// variables as validations, except `variables`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub match_conditions: Vec<MatchCondition>,

    /// Named expressions, computed when first used and at most once for each process. Later
    /// ones may use earlier ones, as `variables.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Variable>,

    /// What must be true of a process. All are evaluated; each that is false is a violation.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub validations: Vec<Validation>,
}

/// What happens when an expression fails at run time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// An Incident of type `EvaluationFailed` is written; it only reports.
    #[default]
    Fail,
    /// The policy's condition `EvaluationFailed` says so, a metric of the sensor counts it, and its
    /// log has the error.
    Ignore,
}

/// Which pods are meant. Both selectors must match.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MatchResources {
    /// Labels of the pod's namespace. Unset or empty: every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the pod. Unset or empty: every pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
}

/// A named expression that decides whether the policy looks at a process.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MatchCondition {
    /// Name of the condition, for error messages; a qualified name as for labels.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// A CEL expression that gives a bool.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
}

/// A named expression for use in later ones.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name of the variable, a CEL identifier; used as `variables.NAME`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$")
    )]
    pub name: String,
    /// A CEL expression of any type.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
}

/// One thing that must be true of a process.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// A CEL expression that gives a bool; false is a violation. It may use `process`,
    /// `container`, `object` (the Pod), `namespaceObject` and `variables`.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
    /// What is said about a violation, in one line. Unset: the expression itself is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\n]*$"))]
    pub message: Option<String>,
    /// A CEL expression that gives the message. When it fails or gives an empty text, `message`
    /// is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10240))]
    pub message_expression: Option<String>,
}

/// Whether a policy works, and where.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: every expression compiles. When not, the message has the position.
    /// `EvaluationFailed`, written by a sensor: an expression failed at run time, which
    /// `failurePolicy` ignores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// On how many nodes processes are seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// What was found by checking the expressions against the schema of a Pod. Unset: they were
    /// not checked, as when one of them does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_checking: Option<TypeChecking>,
}

/// What was found by checking expressions against a schema. It never keeps a policy from running.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TypeChecking {
    /// The expressions that do not fit the schema. None: all do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub expression_warnings: Vec<ExpressionWarning>,
}

/// An expression that does not fit the schema.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionWarning {
    /// The field of the expression, as `spec.validations[0].expression`.
    pub field_ref: String,
    /// What is wrong, with the kind that it is wrong for, line, column and caret.
    pub warning: String,
}
