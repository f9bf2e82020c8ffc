//! `ImageAdmissionPolicy`: the images that are admitted.
//!
//! Here: the object and its schema. Not here: the grammar of patterns (`oci`), evaluating an image and
//! rendering a policy (`policy`).
//! Invariant: every field is a rule that holds; a rule that no component enforces has no field.

use crate::shared::MatchResources;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
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
        description = "Status of the condition Ready: every pattern and selector is valid."
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
#[x_kube(validation = Rule::new("has(self.allowedRepositories) || has(self.digest)").message("must have allowedRepositories, digest or both"))]
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
pub struct DigestRule {
    /// Denies image references without a digest. A tag beside the digest is allowed: the container runtime
    /// uses the digest alone. Must be true; a policy without this rule has no digest.
    #[x_kube(validation = Rule::new("self").message("must be true; to allow tags, remove spec.digest"))]
    pub required: bool,
}

/// Status of a policy.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImageAdmissionPolicyStatus {
    /// Generation that the status applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions of the policy. Ready: every pattern and selector is valid. Rendered: the API server has a
    /// ValidatingAdmissionPolicy for this generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
