//! The entry for workloads.
//!
//! Here: the pod that a workload is going to create, and the warnings about it. Not here: the decision
//! about that pod (`bailiff_policy::image`).
//! Invariant: a workload is never rejected: its controller retries, so it heals once its image or the
//! policy is fixed.

use super::pods::messages;
use crate::response::AdmissionResponse;
use crate::review::{Operation, Review};
use crate::text;
use bailiff_policy::image::{Decision, RegistryRule, Rule, Violation, pod_of_template};
use serde_json::Value as Json;

/// The kind of a workload, and where its pod template is.
fn kind(review: &Review) -> Option<(&'static str, &'static str)> {
    let template = "/spec/template";
    Some(match (review.group.as_str(), review.resource.as_str()) {
        ("apps", "deployments") => ("Deployment", template),
        ("apps", "statefulsets") => ("StatefulSet", template),
        ("apps", "daemonsets") => ("DaemonSet", template),
        ("apps", "replicasets") => ("ReplicaSet", template),
        ("", "replicationcontrollers") => ("ReplicationController", template),
        ("batch", "jobs") => ("Job", template),
        ("batch", "cronjobs") => ("CronJob", "/spec/jobTemplate/spec/template"),
        _ => return None,
    })
}

/// Whether a review is one of a workload.
pub(crate) fn is_workload(review: &Review) -> bool {
    kind(review).is_some()
}

/// The pod that a workload is going to create; none if it has no template, if its template is the one
/// that it had, or if a controller owns it, whose own template was reviewed.
pub(crate) fn pod(review: &Review) -> Option<Json> {
    let (_, template) = kind(review)?;
    let before = match review.operation {
        Operation::Create => None,
        Operation::Update => review.old_object.pointer(template),
        Operation::Delete | Operation::Other => return None,
    };
    let owners = review.object["metadata"]["ownerReferences"].as_array();
    let mut owners = owners.into_iter().flatten();
    if owners.any(|owner| owner["controller"] == true) {
        return None;
    }
    let template = review.object.pointer(template).filter(|t| t.is_object())?;
    if before == Some(template) {
        return None;
    }
    Some(pod_of_template(&review.identity.namespace, template))
}

/// The response: what is going to happen to the pods. An answer that a registry has not given yet is no
/// reason to warn: it will be there for the pods.
pub(crate) fn response(review: &Review, decision: &Decision) -> AdmissionResponse {
    let is_known =
        |violation: &&Violation| violation.rule != Rule::Registry(RegistryRule::Answered);
    let known = |violations: &[Violation]| -> Vec<Violation> {
        violations.iter().filter(is_known).cloned().collect()
    };
    let kind = kind(review).map_or("workload", |(kind, _)| kind);
    let denied = messages(&known(&decision.denied));
    let denied = denied
        .iter()
        .map(|message| format!("Pods of this {kind} will be rejected. {message}"));
    let all: Vec<_> = denied.chain(messages(&known(&decision.warned))).collect();
    AdmissionResponse {
        warnings: text::warnings(&all),
        ..AdmissionResponse::default()
    }
}

#[cfg(test)]
mod tests;
