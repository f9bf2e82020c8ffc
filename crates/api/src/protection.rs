//! Who may write Incidents: the ValidatingAdmissionPolicy that the chart ships.
//!
//! Here: policy and binding as shipped for a namespace, and their comparison with what is live.
//! Not here: what a sensor may say of a RuntimePolicy (`policy_status`), reading any of it, and what
//! a difference leads to (`controller`).
//! Invariant: all defaults of the API are written out, so that what is live is equal to what is
//! shipped, or somebody changed it.

pub mod policy_status;

use crate::{GROUP, keys};
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Fields of an Incident's status that only the controller writes: all but `series`.
pub const CONTROLLER_STATUS_FIELDS: &[&str] = &[
    "phase",
    "conditions",
    "response",
    "waiting",
    "dryRunResponse",
    "workloadRef",
    "replacement",
    "observedCount",
    "podStartTime",
];

/// The policy as shipped for the namespace that Bailiff runs in.
#[must_use]
pub fn policy(namespace: &str) -> ValidatingAdmissionPolicy {
    let account = |name: &str| format!("system:serviceaccount:{namespace}:{name}");
    let [new, old] = statuses();
    let variables = [
        (
            "sensor",
            format!(
                "request.userInfo.username == '{}'",
                account(keys::SENSOR_SERVICE_ACCOUNT)
            ),
        ),
        (
            "controller",
            format!(
                "request.userInfo.username == '{}'",
                account(keys::CONTROLLER_SERVICE_ACCOUNT)
            ),
        ),
        (
            // A token that is bound to no node names none, and that means no.
            "ownNode",
            "has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra && request.userInfo.extra['authentication.kubernetes.io/node-name'] == [object.spec.nodeName]".to_owned(),
        ),
        (
            "status",
            "has(request.subResource) && request.subResource == 'status'".to_owned(),
        ),
        new,
        old,
        (
            "seriesUnchanged",
            "('series' in variables.new) == ('series' in variables.old) && (!('series' in variables.new) || variables.new['series'] == variables.old['series'])".to_owned(),
        ),
        ("controllerFieldsUnchanged", are_same(CONTROLLER_STATUS_FIELDS)),
        (
            // The garbage collector takes its finalizers away, a storage migration writes the
            // same again.
            "unchanged",
            "request.operation == 'UPDATE' && object.spec == oldObject.spec && variables.seriesUnchanged && variables.controllerFieldsUnchanged && (has(oldObject.metadata.deletionTimestamp) || object.metadata == oldObject.metadata)".to_owned(),
        ),
    ];
    let validations = [
        (
            "variables.sensor || variables.controller || variables.unchanged",
            "Incidents are evidence: only Bailiff writes them; they can be deleted",
        ),
        (
            "request.operation != 'CREATE' || (variables.sensor && variables.ownNode)",
            "an Incident is created only by the sensor of the node that it names",
        ),
        (
            // Also what says nothing new: the answer to a write is the whole object, and a sensor
            // reads none of another node's.
            "request.operation != 'UPDATE' || !variables.sensor || (variables.status && variables.ownNode && variables.controllerFieldsUnchanged)",
            "a sensor changes only status.series, and only of Incidents of its own node",
        ),
        (
            "request.operation != 'UPDATE' || !variables.controller || variables.unchanged || (variables.status && variables.seriesUnchanged)",
            "the controller changes only the status, and not status.series",
        ),
    ];
    shipped(
        keys::INCIDENT_PROTECTION,
        None,
        &["incidents", "incidents/status"],
        variables,
        validations.map(|(expression, message)| (expression.to_owned(), message)),
    )
}

/// A policy about objects of Bailiff as it is shipped, with all defaults of the API.
fn shipped(
    name: &str,
    match_conditions: Option<Vec<MatchCondition>>,
    resources: &[&str],
    variables: impl IntoIterator<Item = (&'static str, String)>,
    validations: impl IntoIterator<Item = (String, &'static str)>,
) -> ValidatingAdmissionPolicy {
    let variables = variables.into_iter().map(|(name, expression)| Variable {
        name: name.to_owned(),
        expression,
    });
    let validations = validations
        .into_iter()
        .map(|(expression, message)| Validation {
            expression,
            message: Some(message.to_owned()),
            reason: Some("Forbidden".to_owned()),
            ..Validation::default()
        });
    ValidatingAdmissionPolicy {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions,
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(LabelSelector::default()),
                object_selector: Some(LabelSelector::default()),
                resource_rules: Some(vec![NamedRuleWithOperations {
                    api_groups: Some(vec![GROUP.to_owned()]),
                    api_versions: Some(vec!["*".to_owned()]),
                    operations: Some(vec!["CREATE".to_owned(), "UPDATE".to_owned()]),
                    resources: Some(resources.iter().map(|&name| name.to_owned()).collect()),
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

/// The status as it would be, and as it was, as variables of a policy.
fn statuses() -> [(&'static str, String); 2] {
    [
        (
            "new",
            "has(object.status) ? dyn(object.status) : dyn({})".to_owned(),
        ),
        (
            "old",
            "oldObject != null && has(oldObject.status) ? dyn(oldObject.status) : dyn({})"
                .to_owned(),
        ),
    ]
}

/// That these fields of a status are in both as they were.
fn are_same(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("'{field}'")).collect();
    format!(
        "[{}].all(f, (f in variables.new) == (f in variables.old) && (!(f in variables.new) || variables.new[f] == variables.old[f]))",
        fields.join(", ")
    )
}

/// The binding as shipped.
#[must_use]
pub fn binding() -> ValidatingAdmissionPolicyBinding {
    deny(keys::INCIDENT_PROTECTION)
}

/// A binding that denies what the policy of the same name does not allow.
fn deny(name: &str) -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: name.to_owned(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
    }
}

/// How the live protection differs from the shipped one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Policy or binding is not there, or is being deleted.
    Missing,
    /// Policy or binding is not as shipped; which.
    Changed(&'static str),
}

/// Compares what is live with what is shipped for a namespace.
///
/// # Errors
/// The first difference.
pub fn compare(
    namespace: &str,
    live_policy: Option<&ValidatingAdmissionPolicy>,
    live_binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Result<(), Difference> {
    compare_with(
        (
            &policy(namespace),
            live_policy,
            "ValidatingAdmissionPolicy bailiff-incident-protection is not as shipped",
        ),
        (
            &binding(),
            live_binding,
            "ValidatingAdmissionPolicyBinding bailiff-incident-protection is not as shipped",
        ),
    )
}

/// Compares two pairs of shipped and live, each with the words for a change of it.
fn compare_with(
    (policy, live_policy, policy_changed): (
        &ValidatingAdmissionPolicy,
        Option<&ValidatingAdmissionPolicy>,
        &'static str,
    ),
    (binding, live_binding, binding_changed): (
        &ValidatingAdmissionPolicyBinding,
        Option<&ValidatingAdmissionPolicyBinding>,
        &'static str,
    ),
) -> Result<(), Difference> {
    let (Some(live_policy), Some(live_binding)) = (live_policy, live_binding) else {
        return Err(Difference::Missing);
    };
    let ending = |meta: &ObjectMeta| meta.deletion_timestamp.is_some();
    if ending(&live_policy.metadata) || ending(&live_binding.metadata) {
        return Err(Difference::Missing);
    }
    if live_policy.spec != policy.spec {
        return Err(Difference::Changed(policy_changed));
    }
    if live_binding.spec != binding.spec {
        return Err(Difference::Changed(binding_changed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn compared(change: impl Fn(&mut ValidatingAdmissionPolicy)) -> Result<(), Difference> {
        let mut live = policy("bailiff-system");
        change(&mut live);
        compare("bailiff-system", Some(&live), Some(&binding()))
    }

    #[test]
    fn what_is_as_shipped_is_in_place() {
        assert_eq!(compared(|_| {}), Ok(()));
        // Labels, managed fields and status are nobody's rule.
        let labelled = compared(|live| live.metadata.generation = Some(7));
        assert_eq!(labelled, Ok(()));
    }

    #[test]
    fn what_is_missing_or_on_its_way_out_is_missing() {
        let (live, bound) = (policy("bailiff-system"), binding());
        for (policy, binding) in [(None, Some(&bound)), (Some(&live), None), (None, None)] {
            assert_eq!(
                compare("bailiff-system", policy, binding),
                Err(Difference::Missing)
            );
        }
        let ending = compared(|live| {
            live.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        });
        assert_eq!(ending, Err(Difference::Missing));
    }

    #[test]
    fn every_change_of_a_rule_is_noticed() {
        type Change = fn(&mut ValidatingAdmissionPolicySpec);
        let changes: [Change; 6] = [
            |spec| spec.failure_policy = Some("Ignore".to_owned()),
            |spec| spec.validations.as_mut().unwrap().truncate(3),
            |spec| spec.validations.as_mut().unwrap()[0].expression = "true".to_owned(),
            |spec| spec.variables.as_mut().unwrap()[0].expression = "true".to_owned(),
            |spec| {
                let constraints = spec.match_constraints.as_mut().unwrap();
                constraints.object_selector = Some(LabelSelector {
                    match_labels: Some([("a".to_owned(), "b".to_owned())].into()),
                    ..LabelSelector::default()
                });
            },
            |spec| spec.match_conditions = Some(Vec::new()),
        ];
        for change in changes {
            let noticed = compared(|live| change(live.spec.as_mut().unwrap()));
            assert!(
                matches!(noticed, Err(Difference::Changed(_))),
                "{noticed:?}"
            );
        }
        // Shipped for another namespace: other accounts.
        let elsewhere = compare("other", Some(&policy("bailiff-system")), Some(&binding()));
        assert!(matches!(elsewhere, Err(Difference::Changed(_))));
        let mut audits = binding();
        audits.spec.validation_actions = vec!["Audit".to_owned()];
        let audited = compare(
            "bailiff-system",
            Some(&policy("bailiff-system")),
            Some(&audits),
        );
        assert!(matches!(audited, Err(Difference::Changed(_))));
    }
}
