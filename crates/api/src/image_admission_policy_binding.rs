//! `ImageAdmissionPolicyBinding`: where a policy applies and what happens to a pod that violates it.
//!
//! Here: the object and its schema. Not here: what follows from it (`policy`).
//! Invariant: names and meanings are those of a `ValidatingAdmissionPolicyBinding`.

use crate::shared::MatchResources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an `ImageAdmissionPolicy` applies and what happens to a pod that violates it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "ImageAdmissionPolicyBinding",
    shortname = "iapb",
    category = "bailiff",
    status = "ImageAdmissionPolicyBindingStatus",
    derive = "PartialEq",
    doc = "ImageAdmissionPolicyBinding defines the namespaces and pods that an ImageAdmissionPolicy applies to, and what happens to a pod that violates it.",
    validation = Rule::new("size(self.metadata.name) <= 239").message("metadata.name must have at most 239 characters, because the rendered object has a longer name"),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyName",
        description = "Policy of the binding."
    ),
    printcolumn(
        name = "Actions",
        type_ = "string",
        json_path = ".spec.validationActions",
        description = "Actions for a pod that violates the policy."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Status of the condition Ready: the policy exists and is Ready."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the binding was created."
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ImageAdmissionPolicyBindingSpec {
    /// Name of the ImageAdmissionPolicy. Immutable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("policyName is immutable; create a new binding"))]
    pub policy_name: String,

    /// Selects the pods that the binding applies to, among those that the policy applies to. If unset, the
    /// binding applies to all of them.
    #[serde(default)]
    pub match_resources: MatchResources,

    /// Actions for a pod that violates the policy. Must be Audit, Warn or Deny, and must not contain both
    /// Warn and Deny. Audit adds an audit annotation, Warn a warning for the client; Deny rejects the pod.
    #[schemars(length(min = 1, max = 2))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!('Warn' in self && 'Deny' in self)").message("must not contain both Warn and Deny; the message of a rejection is shown anyway"))]
    pub validation_actions: Vec<ValidationAction>,
}

/// Action for a pod that violates a policy.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum ValidationAction {
    /// Adds an audit annotation to the request.
    Audit,
    /// Adds a warning to the response.
    Warn,
    /// Rejects the request.
    Deny,
}

impl ValidationAction {
    /// The action as the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Deny => "Deny",
        }
    }
}

/// Status of a binding.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageAdmissionPolicyBindingStatus {
    /// Generation that the status applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the binding. Ready: the policy exists and is Ready. PlatformExempt: an outage of the
    /// webhook keeps no pods from starting that the cluster is known to need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
