//! The entries for pods.
//!
//! Here: from the decision about a pod to the response. Not here: the decision (`bailiff_policy::image`),
//! which policies apply (`admission`).
//! Invariant: the mutating entry never rejects, because the rules that the API server enforces follow it,
//! and after them the validating entry, which judges the pod as it is stored.

use crate::response::AdmissionResponse;
use crate::review::{Operation, Review};
use crate::text;
use bailiff_api::keys::ANNOTATION_MIRROR_POD;
use bailiff_policy::image::{Decision, Pin, Rule, Stage, Violation};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Group of the kubelets.
const NODES: &str = "system:nodes";
/// Key of the audit annotation with violations of policies that are bound with Audit.
const AUDIT: &str = "violations";
/// Most characters of the audit annotation.
const AUDIT_LIMIT: usize = 4096;

/// Whether a review of pods is one of a pod whose images can be new.
pub(crate) fn is_reviewed(review: &Review) -> bool {
    match review.operation {
        Operation::Create | Operation::Update => !is_mirror_pod(review),
        Operation::Delete | Operation::Other => false,
    }
}

/// Whether a kubelet reports a pod that it runs from a file: to reject it stops nothing. The annotation
/// alone is no exemption, because tenants can set it.
fn is_mirror_pod(review: &Review) -> bool {
    let annotation = &review.object["metadata"]["annotations"][ANNOTATION_MIRROR_POD];
    !annotation.is_null() && review.groups.iter().any(|group| group == NODES)
}

/// The response of the mutating entry.
pub(crate) fn mutated(pod: &Json, decision: &Decision) -> AdmissionResponse {
    let (warned, audited) = admitted(Stage::Mutating, decision);
    AdmissionResponse {
        patch: patch(pod, &decision.pins),
        // A digest of before is one of the stored pod, about which nothing is left to say later. The API
        // server shows equal warnings once.
        warnings: warnings(warned, &decision.notes),
        audit: audit(audited),
        ..AdmissionResponse::default()
    }
}

/// The violations of policies that are bound with Warn and with Audit, of which this step of admission speaks:
/// the validating one of all that it sees, the mutating one of those that the pins hide from it.
pub(crate) fn admitted(stage: Stage, decision: &Decision) -> (&[Violation], &[Violation]) {
    match stage {
        Stage::Mutating => (&decision.replaced.warned, &decision.replaced.audited),
        Stage::Validating => (&decision.warned, &decision.audited),
    }
}

fn warnings(violations: &[Violation], notes: &[String]) -> Vec<String> {
    let warned = violations.iter().map(|violation| &violation.message);
    let all: Vec<_> = warned.chain(notes).cloned().collect();
    text::warnings(&all)
}

/// The response of the validating entry.
pub(crate) fn validated(decision: &Decision) -> AdmissionResponse {
    let (warned, audited) = admitted(Stage::Validating, decision);
    let denied = denial(decision);
    AdmissionResponse {
        // A rejection has the reasons.
        warnings: match denied {
            Some(_) => Vec::new(),
            None => warnings(warned, &decision.notes),
        },
        audit: audit(audited),
        denied,
        ..AdmissionResponse::default()
    }
}

/// Whether a denial is reported at this step of admission, each at one. A pod that violates a rendered rule
/// does not reach the validating entry; every other denial is decided there.
pub(crate) fn is_reported(stage: Stage, decision: &Decision) -> bool {
    let is_rendered = |violation: &Violation| matches!(violation.rule, Rule::Written(_));
    let is_early = decision.denied.iter().any(is_rendered);
    match stage {
        Stage::Mutating => is_early,
        Stage::Validating => !is_early,
    }
}

/// The message of the rejection; none: no policy that is bound with Deny is violated.
pub(crate) fn denial(decision: &Decision) -> Option<String> {
    let messages = messages(&decision.denied);
    (!messages.is_empty()).then(|| text::denial(&messages))
}

pub(super) fn messages(violations: &[Violation]) -> Vec<String> {
    let messages = violations.iter();
    messages
        .map(|violation| violation.message.clone())
        .collect()
}

fn audit(violations: &[Violation]) -> BTreeMap<String, String> {
    if violations.is_empty() {
        return BTreeMap::new();
    }
    let all = messages(violations).join(" ");
    [(AUDIT.to_owned(), text::ascii(&all, AUDIT_LIMIT))].into()
}

/// The operations that pin references and record the original ones.
fn patch(pod: &Json, pins: &[Pin]) -> Vec<Json> {
    let mut operations: Vec<_> = pins
        .iter()
        .map(|pin| json!({"op": "replace", "path": pin.pointer, "value": pin.pinned}))
        .collect();
    let mut annotations = pins
        .iter()
        .filter_map(|pin| Some((pin.annotation.as_ref()?, &pin.original)))
        .peekable();
    if annotations.peek().is_some() && !pod["metadata"]["annotations"].is_object() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    operations.extend(annotations.map(|(annotation, original)| {
        let key = annotation.replace('~', "~0").replace('/', "~1");
        json!({"op": "add", "path": format!("/metadata/annotations/{key}"), "value": original})
    }));
    operations
}

#[cfg(test)]
mod tests;
