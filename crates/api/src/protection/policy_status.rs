//! What a sensor may say in the status of a RuntimePolicy: the ValidatingAdmissionPolicy that the
//! chart ships for it.
//!
//! Here: policy and binding as shipped, and the words that both sides must agree on. Not here:
//! who writes Incidents (`super`), on which alone answers depend.
//! Invariant: with a sensor's token one condition can be added, once for each generation of a
//! policy, in words that name the token's own node; nothing else of a status changes.

use super::{Difference, are_same, compare_with, shipped, statuses};
use crate::condition::{evaluation_failed, types};
use crate::keys;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

/// Fields of a RuntimePolicy's status that only the controller writes: all but `conditions`.
pub const CONTROLLER_STATUS_FIELDS: &[&str] = &["observedGeneration", "coverage", "typeChecking"];

/// Most bytes of the condition's message.
pub const MESSAGE_LIMIT_BYTES: usize = 512;

/// What the API server says to the second sensor that wants to say it.
pub const ALREADY_REPORTED: &str =
    "that expressions of a RuntimePolicy fail is said once for each generation of it";

/// What it says to a condition that is not as it must be; what an honest sensor wrote is about a
/// generation of before then.
pub const INVALID_CONDITION: &str = "a sensor says that expressions failed in one line that names its own node, and of the policy as it is now";

/// How the condition's message begins: with the node whose sensor wrote it.
#[must_use]
pub fn message_start(node: &str) -> String {
    format!("on node {node}: ")
}

/// The policy as shipped for the namespace that Bailiff runs in.
#[must_use]
pub fn policy(namespace: &str) -> ValidatingAdmissionPolicy {
    let type_ = types::EVALUATION_FAILED;
    // Whoever else may write a status is not held up by this.
    let sensor = MatchCondition {
        name: "sensor".to_owned(),
        expression: format!(
            "request.userInfo.username == 'system:serviceaccount:{namespace}:{}'",
            keys::SENSOR_SERVICE_ACCOUNT
        ),
    };
    shipped(
        keys::POLICY_STATUS_PROTECTION,
        Some(vec![sensor]),
        &["runtimepolicies", "runtimepolicies/status"],
        variables(type_),
        validations(type_),
    )
}

fn variables(type_: &str) -> [(&'static str, String); 7] {
    let [new, old] = statuses();
    let rest = are_same(CONTROLLER_STATUS_FIELDS);
    let key = "authentication.kubernetes.io/node-name";
    let conditions = |status: &str| {
        format!("'conditions' in variables.{status} ? variables.{status}['conditions'] : dyn([])")
    };
    [
        (
            // A token that is bound to no node names none.
            "node",
            format!(
                "has(request.userInfo.extra) && '{key}' in request.userInfo.extra ? request.userInfo.extra['{key}'].join(' ') : ''"
            ),
        ),
        new,
        old,
        ("newConditions", conditions("new")),
        ("oldConditions", conditions("old")),
        (
            "otherFieldsUnchanged",
            format!(
                "{rest} && variables.newConditions.filter(c, c.type != '{type_}') == variables.oldConditions.filter(c, c.type != '{type_}')"
            ),
        ),
        (
            "alreadyReported",
            format!(
                "variables.oldConditions.exists(c, c.type == '{type_}' && has(c.observedGeneration) && c.observedGeneration == object.metadata.generation)"
            ),
        ),
    ]
}

fn validations(type_: &str) -> [(String, &'static str); 3] {
    let reason = evaluation_failed::FAILURE_IGNORED;
    let start = message_start("' + variables.node + '");
    [
        (
            "has(request.subResource) && request.subResource == 'status' && variables.otherFieldsUnchanged"
                .to_owned(),
            "a sensor changes nothing of a RuntimePolicy but the condition EvaluationFailed in its status",
        ),
        (
            // The lengths first: what is refused costs nothing.
            format!(
                "variables.node != '' && variables.newConditions.exists_one(c, c.type == '{type_}') && variables.newConditions.all(c, c.type != '{type_}' || (c.status == 'True' && c.reason == '{reason}' && has(c.observedGeneration) && c.observedGeneration == object.metadata.generation && size(c.message) <= {MESSAGE_LIMIT_BYTES} && c.message.matches('^[ -~]*$') && c.message.startsWith('{start}')))"
            ),
            INVALID_CONDITION,
        ),
        ("!variables.alreadyReported".to_owned(), ALREADY_REPORTED),
    ]
}

/// The binding as shipped.
#[must_use]
pub fn binding() -> ValidatingAdmissionPolicyBinding {
    super::deny(keys::POLICY_STATUS_PROTECTION)
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
            "ValidatingAdmissionPolicy bailiff-policy-status-protection is not as shipped",
        ),
        (
            &binding(),
            live_binding,
            "ValidatingAdmissionPolicyBinding bailiff-policy-status-protection is not as shipped",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crds;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_of_a_policys_status_is_confined() {
        let policies = serde_json::to_value(&crds()[1]).unwrap();
        let status =
            &policies["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        let fields: BTreeSet<_> = status["properties"].as_object().unwrap().keys().collect();
        let confined: BTreeSet<_> = CONTROLLER_STATUS_FIELDS.iter().copied().collect();
        let mut known: BTreeSet<_> = confined.into_iter().map(str::to_owned).collect();
        known.insert("conditions".to_owned());
        assert_eq!(fields, known.iter().collect());
    }

    #[test]
    fn what_is_changed_or_missing_is_noticed_by_its_name() {
        let (live, bound) = (policy("bailiff-system"), binding());
        let compared = |live, bound| compare("bailiff-system", live, bound);
        assert_eq!(compared(Some(&live), Some(&bound)), Ok(()));
        assert_eq!(compared(Some(&live), None), Err(Difference::Missing));
        let mut weaker = policy("bailiff-system");
        let spec = weaker.spec.as_mut().unwrap();
        spec.validations.as_mut().unwrap().truncate(2);
        let want = "ValidatingAdmissionPolicy bailiff-policy-status-protection is not as shipped";
        assert_eq!(
            compared(Some(&weaker), Some(&bound)),
            Err(Difference::Changed(want))
        );
    }
}
