//! An `ImageAdmissionPolicy` as a `ValidatingAdmissionPolicy`, which the API server enforces by itself.
//!
//! Here: both objects, with all defaults of the API written out. Not here: the expressions
//! (`expressions`), writing the objects (`renderer`).
//! Invariant: what is rendered is a function of the policy, the binding and the exemptions, so a
//! difference from the live object is a modification by others.

mod expressions;

use super::bind::Mode;
use super::compile::CompiledImagePolicy;
use super::evaluate::WrittenRule;
use super::messages;
use bailiff_api::{ImageAdmissionPolicyBinding, ValidationAction};
pub use expressions::NOT_A_MIRROR_POD;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};

/// The start of the name of each rendered object.
pub const RENDERED_PREFIX: &str = "bailiff-image.";

/// The label of a namespace that the API server sets to its name, regardless of who writes it.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The name of what an object is rendered into.
#[must_use]
pub fn rendered_name(name: &str) -> String {
    format!("{RENDERED_PREFIX}{name}")
}

/// The namespaces that no rendered policy applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    /// Their names. Labels that tenants can set exempt nothing.
    pub namespaces: Vec<String>,
}

/// The policy for the API server. Without a binding it has no effect.
#[must_use]
pub fn policy(policy: &CompiledImagePolicy, exempt: &Exemptions) -> ValidatingAdmissionPolicy {
    let strings = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    let constraints = &policy.spec_constraints;
    let mut namespaces = stored(constraints.namespace_selector.as_ref());
    if !exempt.namespaces.is_empty() {
        namespaces
            .match_expressions
            .get_or_insert_default()
            .push(LabelSelectorRequirement {
                key: NAMESPACE_NAME.to_owned(),
                operator: "NotIn".to_owned(),
                values: Some(exempt.namespaces.clone()),
            });
    }
    let validations = WrittenRule::ALL
        .into_iter()
        .filter(|rule| applies(policy, *rule))
        .map(|rule| {
            let list = expressions::list_of(rule);
            let sentence = messages::written(policy, rule);
            Validation {
                expression: format!("size(variables.{list}) == 0"),
                message: Some(expressions::message_without_image(&sentence)),
                message_expression: Some(expressions::message(list, &sentence)),
                reason: Some("Forbidden".to_owned()),
            }
        });
    ValidatingAdmissionPolicy {
        metadata: metadata(&policy.name),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions: Some(vec![MatchCondition {
                name: "not-a-mirror-pod".to_owned(),
                expression: NOT_A_MIRROR_POD.to_owned(),
            }]),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(namespaces),
                object_selector: Some(stored(constraints.object_selector.as_ref())),
                resource_rules: Some(vec![NamedRuleWithOperations {
                    api_groups: strings(&[""]),
                    api_versions: strings(&["v1"]),
                    operations: strings(&["CREATE", "UPDATE"]),
                    resources: strings(&["pods", "pods/ephemeralcontainers"]),
                    scope: Some("*".to_owned()),
                    ..NamedRuleWithOperations::default()
                }]),
                ..MatchResources::default()
            }),
            variables: Some(
                expressions::variables(policy)
                    .into_iter()
                    .map(|(name, expression)| Variable {
                        name: name.to_owned(),
                        expression,
                    })
                    .collect(),
            ),
            validations: Some(validations.collect()),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        ..ValidatingAdmissionPolicy::default()
    }
}

/// The binding for the API server.
#[must_use]
pub fn binding(
    binding: &ImageAdmissionPolicyBinding,
    mode: Mode,
) -> ValidatingAdmissionPolicyBinding {
    let spec = &binding.spec;
    let mut actions: Vec<_> = match mode {
        Mode::Enforce => spec
            .validation_actions
            .iter()
            .map(|action| action.as_str().to_owned())
            .collect(),
        Mode::Audit => vec![ValidationAction::Audit.as_str().to_owned()],
    };
    actions.sort();
    ValidatingAdmissionPolicyBinding {
        metadata: metadata(binding.metadata.name.as_deref().unwrap_or_default()),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: rendered_name(&spec.policy_name),
            match_resources: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(stored(spec.match_resources.namespace_selector.as_ref())),
                object_selector: Some(stored(spec.match_resources.object_selector.as_ref())),
                ..MatchResources::default()
            }),
            validation_actions: actions,
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

/// A selector as the API server stores it: without empty maps and lists.
fn stored(selector: Option<&LabelSelector>) -> LabelSelector {
    let mut selector = selector.cloned().unwrap_or_default();
    selector.match_labels.take_if(|labels| labels.is_empty());
    selector.match_expressions.take_if(|all| all.is_empty());
    for requirement in selector.match_expressions.iter_mut().flatten() {
        requirement.values.take_if(|values| values.is_empty());
    }
    selector
}

/// Whether a policy has a rule.
fn applies(policy: &CompiledImagePolicy, rule: WrittenRule) -> bool {
    match rule {
        WrittenRule::ValidReference => true,
        WrittenRule::AllowedRepositories => policy.allowed.is_some(),
        WrittenRule::DigestRequired => policy.requires_written_digest(),
    }
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(rendered_name(name)),
        ..ObjectMeta::default()
    }
}
