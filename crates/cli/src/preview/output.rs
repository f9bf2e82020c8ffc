//! Previews as a table with details, and as JSON.
//!
//! Here: the text. Not here: the decision.
//! Invariant: text from tenants is escaped before it reaches a terminal.

use super::{PodPreview, PolicyPreview};
use crate::table;
use bailiff_response::messages::{self, escaped};
use bailiff_response::preview::PreviewAction;
use bailiff_response::{Outlook, Watch};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// Width of the column of labels.
const LABEL: usize = 13;
/// Characters of a text.
const TEXT_LIMIT: usize = 1024;

const fn action(action: PreviewAction) -> &'static str {
    match action {
        PreviewAction::Evict => "Evict",
        PreviewAction::Delete => "Delete",
        PreviewAction::Shorten => "Shorten",
        PreviewAction::Wait => "Wait",
        PreviewAction::None => "None",
    }
}

/// The lines of the table, and the details of each distinct result.
pub(super) fn lines(pods: &[PodPreview], now: Timestamp) -> Vec<String> {
    if pods.is_empty() {
        return vec!["The workload has no pods.".to_owned()];
    }
    let mut rows = Vec::new();
    for pod in pods {
        let name = escaped(&pod.name, TEXT_LIMIT);
        if pod.results.is_empty() {
            rows.push(vec![name.clone(), "-".to_owned()]);
        }
        for result in &pod.results {
            let preview = &result.preview;
            let grace = preview.grace_period_seconds;
            rows.push(vec![
                name.clone(),
                escaped(&preview.policy, TEXT_LIMIT),
                action(preview.action).to_owned(),
                preview.reason.to_owned(),
                grace.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s")),
                escaped(&preview.bindings.join(","), TEXT_LIMIT),
            ]);
        }
    }
    let headers = [
        "POD",
        "POLICY",
        "ACTION",
        "REASON",
        "GRACE PERIOD",
        "BINDINGS",
    ];
    let mut lines = table::lines(Some(&headers), &rows);
    if pods.iter().any(|pod| pod.results.is_empty()) {
        lines.push(String::new());
        lines.push(
            "Pods without a policy (-): no policy applies to them, so Bailiff would not respond."
                .to_owned(),
        );
    }
    let mut described: Vec<(&str, &str, &str)> = Vec::new();
    for pod in pods {
        for result in &pod.results {
            let preview = &result.preview;
            let key = (
                preview.policy.as_str(),
                preview.reason,
                preview.replacement.as_str(),
            );
            if !described.contains(&key) {
                described.push(key);
                lines.push(String::new());
                lines.extend(details(pod, result, now));
            }
        }
    }
    lines
}

fn details(pod: &PodPreview, result: &PolicyPreview, now: Timestamp) -> Vec<String> {
    let preview = &result.preview;
    let mut lines = vec![format!(
        "At a violation of policy {} ({}), for example in pod {}, you would see:",
        escaped(&preview.policy, TEXT_LIMIT),
        preview.reason,
        escaped(&pod.name, TEXT_LIMIT)
    )];
    let mut field = |name: &str, value: &str| {
        lines.push(format!("  {name:LABEL$}{}", escaped(value, TEXT_LIMIT)));
    };
    field("Responded", &preview.message);
    if let Some(binding) = &preview.binding {
        field("Binding", binding);
    }
    let after = |time: Timestamp| table::age(time.duration_since(now).as_secs());
    if let Some(until) = preview.until {
        field(
            "Retry",
            &format!("in {}, or when the cause ends", after(until)),
        );
    }
    if let Some(deadline) = preview.deadline {
        field("Deadline", &format!("in {}", after(deadline)));
    }
    if let Some(dry_run) = &preview.dry_run_response {
        field("Dry run", &dry_run.message);
    }
    field("Replacement", &preview.replacement);
    field("Queue", &messages::ahead(preview.ahead, &pod.namespace));
    for guard in &preview.guards {
        field("Guard", &messages::outlook(guard));
    }
    if let Some(why) = &result.unchecked_guard {
        field("Not checked", &format!("Bad-policy guard: {why}"));
    }
    if let Some(why) = &result.unchecked {
        field(
            "Not checked",
            &format!("PodDisruptionBudgets and admission webhooks: {why}"),
        );
    }
    if let Some(note) = &preview.pod_event {
        field("Event", note);
    }
    lines
}

/// The previews for programs.
pub(super) fn json(namespace: &str, pods: &[PodPreview]) -> Json {
    let pods: Vec<_> = pods
        .iter()
        .map(|pod| {
            let results: Vec<_> = pod.results.iter().map(result_json).collect();
            json!({
                "name": pod.name,
                "workload": pod.workload.as_ref().map(|(kind, name)| json!({"kind": kind, "name": name})),
                "policies": results,
            })
        })
        .collect();
    json!({"namespace": namespace, "pods": pods})
}

fn result_json(result: &PolicyPreview) -> Json {
    let preview = &result.preview;
    json!({
        "policyName": preview.policy,
        "bindingNames": preview.bindings,
        "action": action(preview.action),
        "bindingName": preview.binding,
        "gracePeriodSeconds": preview.grace_period_seconds,
        "reason": preview.reason,
        "message": preview.message,
        "retryTime": preview.until.map(|time| time.to_string()),
        "deadline": preview.deadline.map(|time| time.to_string()),
        "dryRunResponse": preview.dry_run_response,
        "replacement": preview.replacement,
        "podEvent": preview.pod_event,
        "workloadEvent": preview.workload_event,
        "ahead": {
            "workload": preview.ahead.of_workload,
            "namespace": preview.ahead.in_namespace,
            "otherNamespaces": preview.ahead.elsewhere,
        },
        "guards": preview.guards.iter().map(guard_json).collect::<Vec<_>>(),
        "notChecked": result.unchecked,
        "guardNotChecked": result.unchecked_guard,
    })
}

fn guard_json(guard: &Outlook) -> Json {
    let (state, until, workloads, max_workloads) = match &guard.watch {
        Watch::Resumed => ("Resumed", None, None, None),
        Watch::Paused(paused) => (
            "Paused",
            None,
            Some(paused.workloads),
            Some(paused.max_workloads),
        ),
        Watch::Watched {
            until,
            workloads,
            max_workloads,
        } => ("Watched", Some(until), Some(*workloads), *max_workloads),
        Watch::Ended => ("Ended", None, None, None),
    };
    json!({
        "bindingName": guard.binding,
        "state": state,
        "until": until.map(ToString::to_string),
        "workloads": workloads,
        "maxWorkloads": max_workloads,
        "message": messages::outlook(guard),
    })
}
