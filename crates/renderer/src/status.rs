//! Statuses of image policies and bindings.
//!
//! Here: the sentences and when each is true, the patch. Not here: writing them (`apply`).
//! Invariant: Rendered is True only if the API server has the object of the current generation. `PlatformExempt` is
//! True only if all that the cluster needs was read.

use crate::plan::{BindingState, GENERATION, PolicyState};
use crate::platform::Reading;
use bailiff_api::condition::{self, platform_exempt, ready, rendered, succeeding, types};
use bailiff_api::keys::RENDERED_OWNER;
use bailiff_api::{ImageAdmissionPolicy, TypeChecking};
use bailiff_policy::image::platform::{Lockout, locked_out};
use bailiff_policy::image::{self, rendered_name};
use bailiff_policy::text::{ascii, ascii_lines};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use serde_json::{Value as Json, json};

/// Most characters of a message. The schema of a condition allows 32,768.
const MESSAGE_LIMIT: usize = 2048;
/// Most characters of a cause in it, so that what follows is never cut off.
const CAUSE_LIMIT: usize = 512;

/// What a condition says.
type Said = (bool, &'static str, String);

/// The conditions of a policy. `live` is the rendered policy after all writes; `rejected`, what the API
/// server said to a write of it; `has_owner`, whether the owner of rendered bindings exists.
pub(crate) fn policy(
    name: &str,
    state: &PolicyState,
    generation: Option<i64>,
    live: Option<&ValidatingAdmissionPolicy>,
    rejected: Option<&str>,
    has_owner: bool,
) -> Vec<(&'static str, Said)> {
    let ready: Said = match state {
        PolicyState::Compiled => (
            true,
            ready::COMPILED,
            "All patterns, selectors and expressions are valid.".to_owned(),
        ),
        PolicyState::WithoutWebhook => (
            false,
            ready::WEBHOOK_DISABLED,
            "spec.digest.pin, spec.digest.verifyRepository and spec.validations have no effect, because the webhook of Bailiff is disabled. Set the value webhook.enabled, or set verifyRepository to false and remove pin and validations.".to_owned(),
        ),
        PolicyState::Faulty(faults) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            (false, ready::COMPILE_ERROR, faults.join("\n"))
        }
        PolicyState::Undecodable(undecodable) => (
            false,
            ready::DECODE_ERROR,
            decode_error(&undecodable.error.to_string()),
        ),
    };
    let object = rendered_name(name);
    let enforced = live
        .and_then(|live| live.annotations().get(GENERATION))
        .cloned();
    let rendered: Said = match (state, rejected, enforced) {
        _ if !has_owner => (false, rendered::OWNER_NOT_FOUND, owner_not_found()),
        (_, Some(rejected), _) => (
            false,
            rendered::REQUEST_REJECTED,
            format!(
                "The API server rejected ValidatingAdmissionPolicy {object}: {rejected}. Bailiff retries automatically."
            ),
        ),
        (PolicyState::Compiled | PolicyState::WithoutWebhook, None, Some(enforced))
            if enforced == generation.unwrap_or_default().to_string() =>
        {
            (
                true,
                rendered::RENDERED,
                format!("The API server has ValidatingAdmissionPolicy {object}."),
            )
        }
        (PolicyState::Compiled | PolicyState::WithoutWebhook, None, Some(_)) => (
            false,
            rendered::REQUEST_REJECTED,
            format!(
                "ValidatingAdmissionPolicy {object} changed meanwhile. Bailiff retries automatically."
            ),
        ),
        (PolicyState::Compiled | PolicyState::WithoutWebhook, None, None) => (
            false,
            rendered::REQUEST_REJECTED,
            format!(
                "ValidatingAdmissionPolicy {object} does not exist. Bailiff retries automatically."
            ),
        ),
        (PolicyState::Faulty(_) | PolicyState::Undecodable(_), None, Some(generation)) => (
            false,
            rendered::POLICY_NOT_READY,
            format!(
                "The API server still enforces generation {generation} of the policy. Correct the policy."
            ),
        ),
        (PolicyState::Faulty(_) | PolicyState::Undecodable(_), None, None) => (
            false,
            rendered::POLICY_NOT_READY,
            "The API server does not enforce the policy. Correct the policy.".to_owned(),
        ),
    };
    vec![(types::READY, ready), (types::RENDERED, rendered)]
}

/// The conditions of a binding to a policy of this name, which is rendered or not.
pub(crate) fn binding(
    policy: &str,
    is_rendered: bool,
    state: &BindingState,
    rejected: Option<&str>,
) -> Vec<(&'static str, Said)> {
    let ready: Said = match (state, rejected) {
        (_, Some(rejected)) => (
            false,
            ready::REQUEST_REJECTED,
            format!(
                "The API server rejected the ValidatingAdmissionPolicyBinding: {rejected}. Bailiff retries automatically."
            ),
        ),
        (BindingState::Rendered | BindingState::WithoutWebhook, None) if !is_rendered => (
            false,
            ready::POLICY_NOT_READY,
            format!(
                "ImageAdmissionPolicy {policy} is not Rendered. Its condition Rendered contains the cause."
            ),
        ),
        (BindingState::Rendered, None) => (
            true,
            ready::POLICY_READY,
            format!("The API server enforces ImageAdmissionPolicy {policy} for matching pods."),
        ),
        (BindingState::WithoutWebhook, None) => (
            false,
            ready::WEBHOOK_DISABLED,
            format!(
                "The API server enforces only a part of ImageAdmissionPolicy {policy} for matching pods. The condition Ready of the policy contains the cause."
            ),
        ),
        (BindingState::Applied, None) => (
            true,
            ready::WEBHOOK_APPLIES,
            format!(
                "The webhook of Bailiff applies ImageAdmissionPolicy {policy} to matching pods."
            ),
        ),
        (BindingState::PolicyNotFound, None) => (
            false,
            ready::POLICY_NOT_FOUND,
            format!(
                "ImageAdmissionPolicy {policy} not found. Create it, or create a binding with the correct spec.policyName."
            ),
        ),
        (BindingState::PolicyNotReady, None) => (
            false,
            ready::POLICY_NOT_READY,
            format!(
                "ImageAdmissionPolicy {policy} is not Ready. Its condition Ready contains the errors."
            ),
        ),
        (BindingState::InvalidSelector(fault), None) => (
            false,
            ready::INVALID_SELECTOR,
            format!(
                "spec.matchResources: {fault}. What the API server enforces of an earlier generation stays."
            ),
        ),
        (BindingState::OwnerNotFound, None) => (false, ready::OWNER_NOT_FOUND, owner_not_found()),
        (BindingState::Undecodable(undecodable), None) => (
            false,
            ready::DECODE_ERROR,
            decode_error(&undecodable.error.to_string()),
        ),
    };
    vec![(types::READY, ready)]
}

fn owner_not_found() -> String {
    format!(
        "ValidatingWebhookConfiguration {RENDERED_OWNER} not found. Kubernetes deletes the ValidatingAdmissionPolicyBindings that it owns, so the API server does not enforce image policies. Restore it with `helm upgrade`."
    )
}

fn decode_error(error: &str) -> String {
    format!(
        "This version of Bailiff cannot decode the object: {error}. What the API server enforces of an earlier generation stays. Correct the field, or upgrade Bailiff."
    )
}

/// What the condition of a binding says about an outage of the webhook; none: the API server does not call it, or the
/// cluster was not read yet and no earlier condition stays. With failurePolicy Fail an outage rejects pods whatever the
/// bindings do, so each has it; otherwise only one that `denies`.
pub(crate) fn platform(
    reading: &Reading,
    denies: bool,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Condition> {
    let mut earlier = before.iter().filter(|c| c.type_ == types::PLATFORM_EXEMPT);
    let earlier = earlier.next();
    let (status, reason, message) = match reading {
        Reading::NotRead => return earlier.cloned(),
        Reading::Failed(_) if !denies && earlier.is_none() => return None,
        Reading::Failed(cause) => (
            "Unknown",
            platform_exempt::API_REQUEST_FAILED,
            format!(
                "Bailiff cannot determine which namespaces the cluster needs to start: {}. Bailiff retries automatically.",
                ascii(cause, CAUSE_LIMIT)
            ),
        ),
        Reading::Read(platform) => match platform.lockout() {
            Lockout::NoWebhook => return None,
            Lockout::Nothing | Lockout::Namespaces { fails: false, .. } if !denies => return None,
            Lockout::Nothing => (
                "True",
                platform_exempt::NOTHING_LOCKED_OUT,
                "Each namespace that Bailiff knows the cluster to need is exempt.".to_owned(),
            ),
            Lockout::Namespaces { fails, listed } => {
                let reason = if fails {
                    platform_exempt::LOCKED_OUT
                } else {
                    platform_exempt::WOULD_BE_LOCKED_OUT
                };
                ("False", reason, locked_out(fails, &listed))
            }
        },
    };
    let message = ascii_lines(&message, MESSAGE_LIMIT);
    let new = condition::new(
        types::PLATFORM_EXEMPT,
        status,
        reason,
        message,
        generation,
        Time(now),
    );
    Some(succeeding(before, new))
}

/// The conditions to write; none: they are there already.
pub(crate) fn changed(
    said: Vec<(&'static str, Said)>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Vec<Condition>> {
    let conditions = conditions(said, before, generation, now);
    (conditions != before).then_some(conditions)
}

/// The conditions, after those before. Their messages have printable ASCII and line breaks, cut at the limit: parts of
/// them can be hostile.
pub(crate) fn conditions(
    said: Vec<(&'static str, Said)>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    said.into_iter()
        .map(|(type_, (value, reason, message))| {
            let status = if value { "True" } else { "False" };
            let message = ascii_lines(&message, MESSAGE_LIMIT);
            let new = condition::new(type_, status, reason, message, generation, Time(now));
            succeeding(before, new)
        })
        .collect()
}

/// The status to write; none: it is there already. The conditions of an object that cannot be decoded are
/// known from `conditions` alone, and it has no type checking.
pub(crate) fn patch(
    conditions: Option<&[Condition]>,
    type_checking: [Option<&TypeChecking>; 2],
    generation: Option<i64>,
) -> Option<Json> {
    let [before, now] = type_checking;
    if conditions.is_none() && before == now {
        return None;
    }
    let mut status = json!({"observedGeneration": generation});
    if let Some(conditions) = conditions {
        status["conditions"] = json!(conditions);
    }
    if before != now {
        // In a merge patch, a list that is left out stays.
        status["typeChecking"] = now.map_or(Json::Null, |checked| {
            let warnings = &checked.expression_warnings;
            json!({"expressionWarnings": (!warnings.is_empty()).then_some(warnings)})
        });
    }
    Some(status)
}

/// The warnings about the expressions of a policy; none: it has none, it does not compile, or the schema of
/// a Pod cannot be read.
pub(crate) fn type_checking(
    policy: &ImageAdmissionPolicy,
    state: &PolicyState,
) -> Option<TypeChecking> {
    match state {
        PolicyState::Compiled | PolicyState::WithoutWebhook
            if !policy.spec.validations.is_empty() =>
        {
            image::type_check(policy).ok()
        }
        PolicyState::Compiled
        | PolicyState::WithoutWebhook
        | PolicyState::Faulty(_)
        | PolicyState::Undecodable(_) => None,
    }
}

#[cfg(test)]
mod tests;
