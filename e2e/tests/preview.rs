//! `bailiff preview` compared with what happens then.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::{BUSYBOX, deployment, disruption_budget, pod};
use serde_json::Value;

fn begin(name: &str, actions: &str, more: &str) -> Story {
    let story = Story::begin(name);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", actions, more);
    story
}

/// What the preview of a workload or pod reports for the only policy that applies to a pod.
fn preview(story: &Story, target: &str, pod: &Value) -> Value {
    let preview = ["preview", target, "-n", &story.namespace, "-o", "json"];
    let output = story.cluster.bailiff(&preview);
    assert!(output.success, "{}", output.stderr);
    let previews: Value = serde_json::from_str(&output.stdout).unwrap();
    let pods = previews["pods"].as_array().unwrap();
    let found = pods
        .iter()
        .find(|found| found["name"] == pod["metadata"]["name"])
        .unwrap_or_else(|| panic!("the pod is missing in {previews}"));
    assert_eq!(found["policies"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["policies"][0]["notChecked"], Value::Null, "{found}");
    found["policies"][0].clone()
}

/// The preview has the reason that the Incident of a violation gets then.
fn compare(story: &Story, target: &str, pod: &Value, reason: &str) -> (Value, Value) {
    let previewed = preview(story, target, pod);
    assert_eq!(previewed["reason"], reason, "{previewed}");
    // The exec is interrupted if the pod is evicted.
    let _output = story.exec(pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(pod, "no-cat", "Responded", reason);
    (previewed, incident)
}

#[test]
fn an_eviction_has_the_grace_period_of_the_preview() {
    let story = begin("preview-evict", "[Evict]", "gracePeriodSeconds: 1");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let (previewed, incident) = compare(&story, "deployment/web", &pod, "Evicted");
    assert_eq!(previewed["action"], "Evict");
    assert_eq!(
        previewed["replacement"],
        "Deployment web creates a replacement."
    );
    assert_eq!(
        previewed["gracePeriodSeconds"],
        incident["status"]["response"]["gracePeriodSeconds"]
    );
    story.end();
}

#[test]
fn a_budget_blocks_as_previewed() {
    let story = begin("preview-budget", "[Evict]", "");
    story.apply(&disruption_budget("web", 0));
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    story.budget_counts("web");
    let reason = "WaitingForDisruptionBudget";
    let (previewed, _incident) = compare(&story, "deployment/web", &pod, reason);
    assert_eq!(previewed["action"], "Wait");
    story.end();
}

#[test]
fn two_budgets_block_as_previewed() {
    let story = begin("preview-budgets", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    for name in ["one", "two"] {
        story.apply(&disruption_budget(name, 1).replace(&format!("app: {name}"), "app: web"));
        story.budget_counts(name);
    }
    compare(&story, "deployment/web", &pod, "MultipleDisruptionBudgets");
    story.end();
}

#[test]
fn a_cooldown_delays_as_previewed() {
    let more = "guardrails: {cooldownPeriodSeconds: 600}";
    let story = begin("preview-cooldown", "[Evict]", more);
    story.apply(&deployment("web", BUSYBOX));
    let first = story.ready_pod("app=web");
    compare(&story, "deployment/web", &first, "Evicted");
    let incident = story.incident(&first, "no-cat", "Recovered", "ReplacementReady");
    let name = incident["status"]["replacement"]["name"].as_str().unwrap();
    let second = story.get(&["pod", name]);
    compare(&story, "deployment/web", &second, "Cooldown");
    story.end();
}

#[test]
fn a_rate_limit_delays_as_previewed() {
    let more = "guardrails: {cooldownPeriodSeconds: 0, maxEvictionsPerMinute: 1}";
    let story = begin("preview-rate", "[Evict]", more);
    story.apply(&deployment("web", BUSYBOX));
    story.apply(&deployment("other", BUSYBOX));
    let (web, other) = (story.ready_pod("app=web"), story.ready_pod("app=other"));
    compare(&story, "deployment/web", &web, "Evicted");
    compare(&story, "deployment/other", &other, "RateLimited");
    story.end();
}

#[test]
fn a_pod_without_a_controller_is_kept_as_previewed() {
    let story = begin("preview-unmanaged", "[Evict]", "");
    story.apply(&pod("alone", BUSYBOX, None));
    let alone = story.ready_pod("app=alone");
    let (previewed, _incident) = compare(&story, "pod/alone", &alone, "Unmanaged");
    assert_eq!(previewed["action"], "None");
    story.end();
}

#[test]
fn an_audit_has_the_dry_run_of_the_preview() {
    let story = begin("preview-audit", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let (previewed, incident) = compare(&story, "deployment/web", &pod, "AuditOnly");
    assert_eq!(
        previewed["dryRunResponse"],
        incident["status"]["dryRunResponse"]
    );
    story.end();
}

#[test]
fn an_audit_reports_the_budget_that_would_block_as_previewed() {
    let story = begin("preview-audit-budget", "[Audit]", "");
    story.apply(&disruption_budget("web", 0));
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    story.budget_counts("web");
    let (previewed, incident) = compare(&story, "deployment/web", &pod, "AuditOnly");
    let dry_run = &incident["status"]["dryRunResponse"];
    assert_eq!(dry_run["reason"], "WaitingForDisruptionBudget");
    assert_eq!(&previewed["dryRunResponse"], dry_run);
    story.end();
}
