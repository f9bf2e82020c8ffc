//! `ImageAdmissionPolicy`: the images that are admitted.
//!
//! Here: the object and its schema. Not here: the grammar of patterns (`oci`), evaluating an image and
//! rendering a policy (`policy`).
//! Invariant: every field is a rule that holds; a rule that no component enforces has no field.

use crate::runtime_policy::TypeChecking;
use crate::shared::MatchResources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The images that are admitted. A policy without a binding has no effect.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bailiff.dev",
    version = "v1alpha1",
    kind = "ImageAdmissionPolicy",
    plural = "imageadmissionpolicies",
    shortname = "iap",
    category = "bailiff",
    status = "ImageAdmissionPolicyStatus",
    derive = "PartialEq",
    doc = "ImageAdmissionPolicy defines the images that the containers and image volumes of a pod can use. A policy has no effect until you create an ImageAdmissionPolicyBinding for it.",
    validation = Rule::new("size(self.metadata.name) <= 239").message("metadata.name must have at most 239 characters, because the rendered object has a longer name"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Status of the condition Ready: every pattern, selector and expression is valid."
    ),
    printcolumn(
        name = "Rendered",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Rendered')].status",
        description = "Status of the condition Rendered: the API server has the current generation of the policy."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        description = "Reason of the condition Ready."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the policy was created."
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.allowedRepositories) || has(self.digest) || has(self.validations)").message("must have allowedRepositories, digest or validations"))]
pub struct ImageAdmissionPolicySpec {
    /// Selects the pods that the policy applies to. If unset, the policy applies to all pods.
    #[serde(default)]
    pub match_constraints: MatchResources,

    /// Selects the images that the policy applies to. If unset, the policy applies to all images. An image
    /// reference that is not valid is always selected.
    #[serde(default)]
    pub match_images: MatchImages,

    /// Patterns of the repositories that are allowed. A selected image that matches none of them is denied.
    /// If unset, every repository is allowed. A pattern is HOST[:PORT]/PATH, and has no tag and no digest.
    /// The host is literal, or "*." and a suffix for exactly one label. In the path, "*" matches any
    /// characters of one component, and "**" as a whole component matches one or more components. Docker Hub
    /// is docker.io, and its official images are in docker.io/library. At most 16 patterns can have a "*"
    /// other than "/**" at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub allowed_repositories: Vec<String>,

    /// Requirements on the digest of an image reference. If unset, tags are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestRule>,

    /// Expressions that must be true for a selected image. All are evaluated for each image of a pod; one
    /// that is false is a violation, and so is one that cannot be evaluated, whatever onError is. The webhook
    /// of Bailiff evaluates them, and the API server alone does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub validations: Vec<ImageValidation>,

    /// What happens while the registry has not answered yet whether it has the image. The answer is still
    /// waited for, so that a controller that retries succeeds. Must be Deny or Allow.
    #[serde(default)]
    pub on_pending: Unchecked,

    /// What happens to an image that could not be checked, because the registry has an error or may not be
    /// asked. Must be Deny or Allow.
    #[serde(default)]
    pub on_error: Unchecked,
}

/// What happens to an image that is not checked.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
pub enum Unchecked {
    /// The image is denied, as one that violates the policy.
    #[default]
    Deny,
    /// The image is allowed, with a warning.
    Allow,
}

/// Selects images by their repository.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MatchImages {
    /// Patterns of the repositories that are selected, as in allowedRepositories. If unset, every
    /// repository is selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub include: Vec<String>,
    /// Patterns of the repositories that are not selected, even if include has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub exclude: Vec<String>,
}

/// Requirements on the digest of an image reference.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.required || self.pin || (has(self.verifyRepository) && self.verifyRepository)").message("must have required, pin or verifyRepository as true; to allow tags, remove spec.digest"))]
#[x_kube(validation = Rule::new("!has(self.pinExclude) || self.required || self.pin").message("pinExclude requires pin or required"))]
pub struct DigestRule {
    /// Denies image references without a digest. A tag beside the digest is allowed: the container runtime
    /// uses the digest alone.
    #[serde(default)]
    pub required: bool,

    /// Replaces the tag in the image references of a pod by the digest that the tag names, before the pod is
    /// stored. Workloads keep their tags. Applies to bindings with the action Deny; with other bindings, the
    /// tag is resolved and the pod is not changed. With it, required has no further effect.
    #[serde(default)]
    pub pin: bool,

    /// Patterns of the repositories, as in allowedRepositories, whose references can have a tag despite
    /// required and pin, for images that no registry has: those that are loaded into the nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub pin_exclude: Vec<String>,

    /// Denies images that the repository of the reference does not have. Without it, a digest can name an
    /// image of another repository, where a node has a mirror or the image already. If unset, true if
    /// required or pin is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_repository: Option<bool>,
}

impl DigestRule {
    /// Whether the repository must have the image.
    #[must_use]
    pub fn verifies_repository(&self) -> bool {
        self.verify_repository.unwrap_or(self.required || self.pin)
    }
}

/// Expression that must be true for an image.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageValidation {
    /// CEL expression. Must evaluate to bool; false is a violation. It can use `image`, `container`, `object`
    /// (the Pod) and `namespaceObject`. `image` has the parts of the reference in normal form: `registry`
    /// (docker.io), `repository` (docker.io/library/nginx), `digest` (absent without one) and `tag` (absent
    /// with a digest; latest if none is written). Expressions that use `image.tag` are evaluated before a tag
    /// is pinned, and cannot be used with digest.pin. `container` is the entry of the pod that uses the
    /// image: of containers, initContainers or ephemeralContainers, or of volumes for an image volume.
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
pub struct ImageAdmissionPolicyStatus {
    /// Generation that the status applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the policy. Ready: every pattern and selector is valid, and every expression compiles; if
    /// not, the message contains each error and its position. Rendered: the API server has a
    /// ValidatingAdmissionPolicy for this generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Result of checking the expressions against the schema of a Pod. If absent, they were not checked: the
    /// policy has none, or one of them does not compile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_checking: Option<TypeChecking>,
}
