//! `RuntimePolicy`: the processes that are allowed in containers.
//!
//! Here: the object and its schema. Not here: compiling and evaluating it (`policy`).
//! Invariant: names and meanings are those of a `ValidatingAdmissionPolicy`; the differences are in the
//! table of `docs/runtime-policies.md`.

use crate::shared::{Coverage, MatchResources, Severity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The processes that are allowed in containers. A policy without a binding has no effect.
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
    doc = "RuntimePolicy defines the processes that are allowed in containers. As in a ValidatingAdmissionPolicy, an expression that is false is a violation. A policy has no effect until you create a RuntimePolicyBinding for it.",
    printcolumn(
        name = "Severity",
        type_ = "string",
        json_path = ".spec.severity",
        description = "Severity of a violation. Informational."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Status of the condition Ready: every expression compiles."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready."
    ),
    printcolumn(
        name = "Monitored",
        type_ = "integer",
        json_path = ".status.coverage.monitoredNodes",
        description = "Matching nodes that are monitored.",
        priority = "1"
    ),
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.coverage.matchingNodes",
        description = "Nodes that run matching pods.",
        priority = "1"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the policy was created."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicySpec {
    /// Severity of a violation. Must be Low, Medium, High or Critical. Defaults to Medium.
    /// Informational: it does not affect the response.
    #[serde(default)]
    pub severity: Severity,

    /// Handling of expressions that cannot be evaluated. Must be Fail or Ignore. Defaults to Fail. With
    /// either, Bailiff takes no action. An Incident of type EvaluationFailed reports the error, at most one
    /// per node, generation and hour. The policy has the condition EvaluationFailed, with the reason
    /// FailureReported for Fail, and FailureIgnored for Ignore.
    #[serde(default)]
    pub failure_policy: FailurePolicy,

    /// Evaluation of the policy for processes that already run when the policy or a binding of it is created or
    /// changed. Must be Ignore or Evaluate. Defaults to Ignore. With Evaluate, a violation is recorded in an
    /// Incident of type FoundRunning; there is no response.
    #[serde(default)]
    pub running_processes: RunningProcesses,

    /// Selects the pods that the policy applies to. If unset, the policy applies to all pods.
    #[serde(default)]
    pub match_constraints: MatchResources,

    /// Conditions that must all be true for the policy to be evaluated for a process. They can use the
    /// same variables as validations, except `variables`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub match_conditions: Vec<MatchCondition>,

    /// Named expressions, evaluated when first used and at most once per process. An expression can use
    /// earlier ones as `variables.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Variable>,

    /// Expressions that must be true for a process. All are evaluated; each one that is false is a
    /// violation.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub validations: Vec<Validation>,
}

/// Evaluation for processes that already run.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunningProcesses {
    /// The policy takes effect at the next exec.
    #[default]
    Ignore,
    /// The policy is also evaluated once for each process that already runs.
    Evaluate,
}

/// Handling of expressions that cannot be evaluated.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The reason of the condition EvaluationFailed is FailureReported.
    #[default]
    Fail,
    /// The reason of the condition EvaluationFailed is FailureIgnored.
    Ignore,
}

/// Named expression that must be true for the policy to be evaluated.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MatchCondition {
    /// Name of the condition, for error messages. Must be a qualified name, as the name of a label.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// CEL expression. Must evaluate to bool.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
}

/// Named expression that later expressions can use.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name of the variable. Must be a CEL identifier. Other expressions use it as `variables.NAME`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$")
    )]
    pub name: String,
    /// CEL expression of any type.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
}

/// Expression that must be true for a process.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// CEL expression. Must evaluate to bool; false is a violation. It can use `process`, `container`,
    /// `object` (the Pod), `namespaceObject` and `variables`.
    #[schemars(length(min = 1, max = 10240))]
    pub expression: String,
    /// Message of a violation. Must be one line. If unset, the message contains the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^\n]*$"))]
    pub message: Option<String>,
    /// CEL expression for the message. Must evaluate to string. If it cannot be evaluated or is empty,
    /// `message` is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10240))]
    pub message_expression: Option<String>,
}

/// Status of a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuntimePolicyStatus {
    /// Generation that the status applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the policy. Ready: every expression compiles; if not, the message contains each error
    /// and its position. EvaluationFailed: an expression of the current generation could not be evaluated
    /// on at least one node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Coverage: monitored nodes out of matching nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Result of checking the expressions against the schema of a Pod. If absent, they were not checked,
    /// for example because one of them does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_checking: Option<TypeChecking>,
}

/// Result of type checking. Warnings do not affect whether a policy is Ready.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TypeChecking {
    /// Expressions that do not match the schema. If empty, type checking found no problems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub expression_warnings: Vec<ExpressionWarning>,
}

/// Expression that does not match the schema.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExpressionWarning {
    /// Path of the expression, for example spec.validations[0].expression.
    pub field_ref: String,
    /// Problem, with the kind that it applies to and its position.
    pub warning: String,
}
