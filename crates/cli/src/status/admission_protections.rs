//! The admission policies that hold accounts of Bailiff to what they need, as checks.
//!
//! Here: whether they are in force. Not here: requests (`super`), and their text, which the chart has.
//! Invariant: OK needs the policy and a binding that denies everywhere. The text of the policy is not compared: who can
//! change it can change the account's roles as well.

use super::checks::{Check, CheckStatus, Lookup, check, unknown};
use bailiff_api::keys;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

const WEBHOOK: &str = "webhook/protection";
const EVENTS: &str = "event-protection";

/// A policy and its binding.
pub(super) type Protection = (
    Lookup<ValidatingAdmissionPolicy>,
    Lookup<ValidatingAdmissionPolicyBinding>,
);

/// A row for each policy that is not in force. `protections` has those of [`keys::WEBHOOK_PROTECTIONS`], in their order.
pub(super) fn protections(protections: &[Protection]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (name, protection) in keys::WEBHOOK_PROTECTIONS.iter().zip(protections) {
        let (policy, binding) = match protection {
            (Ok(policy), Ok(binding)) => (policy, binding),
            // The others have the same cause.
            (Err(cause), _) | (_, Err(cause)) => return vec![unknown(WEBHOOK, cause)],
        };
        if let Some(fault) = fault(policy.as_ref(), binding.as_ref()) {
            let message = format!(
                "{} {name} {}, so a stolen token of the webhook can write more than the webhook needs. Restore it with `helm upgrade`.",
                fault.kind, fault.what
            );
            checks.push(check(WEBHOOK, CheckStatus::Failed, &message));
        }
    }
    checks
}

/// A row if [`keys::EVENT_PROTECTION`] is not in force.
pub(super) fn event_protection((policy, binding): &Protection) -> Option<Check> {
    let (policy, binding) = match (policy, binding) {
        (Ok(policy), Ok(binding)) => (policy, binding),
        (Err(cause), _) | (_, Err(cause)) => return Some(unknown(EVENTS, cause)),
    };
    let fault = fault(policy.as_ref(), binding.as_ref())?;
    let message = format!(
        "{} {} {}, so a stolen token of a sensor can report that other nodes are monitored. Restore it with `helm upgrade`.",
        fault.kind,
        keys::EVENT_PROTECTION,
        fault.what
    );
    Some(check(EVENTS, CheckStatus::Failed, &message))
}

/// What is wrong with an object.
struct Fault {
    kind: &'static str,
    what: &'static str,
}

fn fault(
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Option<Fault> {
    let of_policy = |what| {
        Some(Fault {
            kind: "ValidatingAdmissionPolicy",
            what,
        })
    };
    let of_binding = |what| {
        Some(Fault {
            kind: "ValidatingAdmissionPolicyBinding",
            what,
        })
    };
    let Some(policy) = policy else {
        return of_policy("not found");
    };
    // Without a value, the API server sets Fail.
    let policy = policy.spec.as_ref();
    let on_failure = policy.and_then(|spec| spec.failure_policy.as_deref());
    if on_failure == Some("Ignore") {
        return of_policy("has failurePolicy Ignore");
    }
    let Some(binding) = binding else {
        return of_binding("not found");
    };
    let mut actions = binding.spec.validation_actions.iter();
    if !actions.any(|action| action == "Deny") {
        return of_binding("does not deny");
    }
    let everywhere = binding.spec.match_resources.as_ref().is_none_or(|of| {
        let selectors = [&of.namespace_selector, &of.object_selector];
        let selects = selectors.into_iter().flatten().any(|selector| {
            selector
                .match_labels
                .as_ref()
                .is_some_and(|l| !l.is_empty())
                || selector
                    .match_expressions
                    .as_ref()
                    .is_some_and(|e| !e.is_empty())
        });
        let rules = [&of.resource_rules, &of.exclude_resource_rules];
        !selects && rules.into_iter().flatten().all(Vec::is_empty)
    });
    if everywhere {
        None
    } else {
        of_binding("is restricted by matchResources")
    }
}
