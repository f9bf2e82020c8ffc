//! The CustomResourceDefinitions, generated from the types.
//!
//! Here: the list of kinds and what kube's derive leaves out. Not here: writing files
//! (`examples/crds.rs`, called by `make generate`).
//! Invariant: [`crds`] names every kind of the group once.

use crate::{
    ImageAdmissionPolicy, ImageAdmissionPolicyBinding, Incident, RuntimePolicy,
    RuntimePolicyBinding,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of Bailiff's own kinds.
pub const GROUP: &str = "bailiff.dev";
/// The version that is served.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinitions of all kinds, in alphabetical order.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        ImageAdmissionPolicy::crd(),
        ImageAdmissionPolicyBinding::crd(),
        Incident::crd(),
        RuntimePolicy::crd(),
        RuntimePolicyBinding::crd(),
    ]
}
