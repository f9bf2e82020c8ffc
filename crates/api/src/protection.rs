//! Incident protection: the ValidatingAdmissionPolicy that the chart ships for Incidents.
//!
//! Here: policy and binding as shipped for a namespace, and their comparison with the live ones. Not
//! here: the rules themselves (`rules`), reading the live objects, and what a difference leads to
//! (`controller`).
//! Invariant: all defaults of the API are written out, so that the live objects equal the shipped ones
//! unless somebody modified them.

mod rules;
#[cfg(test)]
mod tests;

pub use rules::CONTROLLER_STATUS_FIELDS;

use crate::{GROUP, keys};
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// The policy as shipped for the namespace that Bailiff runs in.
#[must_use]
pub fn policy(namespace: &str) -> ValidatingAdmissionPolicy {
    let variables = rules::variables(namespace)
        .into_iter()
        .map(|(name, expression)| Variable {
            name: name.to_owned(),
            expression,
        });
    let validations = rules::validations(namespace)
        .into_iter()
        .map(|(expression, message)| Validation {
            expression,
            message: Some(message),
            reason: Some("Forbidden".to_owned()),
            ..Validation::default()
        });
    let strings = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    ValidatingAdmissionPolicy {
        metadata: name(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(LabelSelector::default()),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(vec![NamedRuleWithOperations {
                    api_groups: strings(&[GROUP]),
                    api_versions: strings(&["*"]),
                    operations: strings(&["CREATE", "UPDATE", "DELETE"]),
                    resources: strings(&["incidents", "incidents/status"]),
                    scope: Some("*".to_owned()),
                    ..NamedRuleWithOperations::default()
                }]),
                ..MatchResources::default()
            }),
            variables: Some(variables.collect()),
            validations: Some(validations.collect()),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        ..ValidatingAdmissionPolicy::default()
    }
}

/// The binding as shipped. It denies what the policy does not allow.
#[must_use]
pub fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: name(),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: keys::INCIDENT_PROTECTION.to_owned(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

fn name() -> ObjectMeta {
    ObjectMeta {
        name: Some(keys::INCIDENT_PROTECTION.to_owned()),
        ..ObjectMeta::default()
    }
}

/// How the live protection differs from the shipped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The policy or its binding does not exist, or is terminating.
    Missing,
    /// The policy or its binding is modified; which.
    Changed(&'static str),
}

/// Compares the live policy and binding with those shipped for a namespace.
///
/// # Errors
/// The first difference.
pub fn compare(
    namespace: &str,
    live_policy: Option<&ValidatingAdmissionPolicy>,
    live_binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Result<(), Difference> {
    let (Some(live_policy), Some(live_binding)) = (live_policy, live_binding) else {
        return Err(Difference::Missing);
    };
    let terminating = |meta: &ObjectMeta| meta.deletion_timestamp.is_some();
    if terminating(&live_policy.metadata) || terminating(&live_binding.metadata) {
        return Err(Difference::Missing);
    }
    if live_policy.spec != policy(namespace).spec {
        return Err(Difference::Changed(
            "ValidatingAdmissionPolicy bailiff-incident-protection is modified",
        ));
    }
    if live_binding.spec != binding().spec {
        return Err(Difference::Changed(
            "ValidatingAdmissionPolicyBinding bailiff-incident-protection is modified",
        ));
    }
    Ok(())
}
