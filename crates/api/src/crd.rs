//! The CustomResourceDefinitions, generated from the types.
//!
//! Here: the list of kinds and what kube's derive leaves out. Not here: writing files
//! (`examples/crds.rs`, called by `make generate`).
//! Invariant: [`crds`] names every kind of the group once.

use crate::{
    ImageAdmissionPolicy, ImageAdmissionPolicyBinding, Incident, RuntimePolicy,
    RuntimePolicyBinding,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

/// API group of Bailiff's own kinds.
pub const GROUP: &str = "bailiff.dev";
/// The version that is served.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinitions of all kinds, in alphabetical order.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        ImageAdmissionPolicy::crd(),
        ImageAdmissionPolicyBinding::crd(),
        Incident::crd(),
        RuntimePolicy::crd(),
        RuntimePolicyBinding::crd(),
    ];
    let versions = crds.iter_mut().flat_map(|crd| &mut crd.spec.versions);
    for schema in versions.filter_map(|version| version.schema.as_mut()) {
        if let Some(schema) = &mut schema.open_api_v3_schema {
            make_selectors_atomic(schema);
        }
    }
    crds
}

/// Makes each label selector a field that one manager owns as a whole, as in the kinds of Kubernetes: merged from
/// two managers, it would select less than either of them said.
fn make_selectors_atomic(schema: &mut JSONSchemaProps) {
    if let Some(properties) = &mut schema.properties {
        if ["matchLabels", "matchExpressions"]
            .iter()
            .all(|&name| properties.contains_key(name))
        {
            schema.x_kubernetes_map_type = Some("atomic".to_owned());
        }
        properties.values_mut().for_each(make_selectors_atomic);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => make_selectors_atomic(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(make_selectors_atomic);
        }
        None => {}
    }
}
