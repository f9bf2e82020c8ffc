//! Each kind of owner: who brings the pod back, and what is said when nobody does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::{BUSYBOX, daemon_set, job, pod, stateful_set};
use serde_json::Value;

/// A story with a policy that a `cat` by exec violates, bound with these actions.
fn begin(name: &str, more: &str) -> Story {
    let story = Story::begin(name);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", more);
    story
}

fn violate(story: &Story, pod: &Value) {
    let _cut_off = story.exec(pod, &["cat", "/etc/hostname"]);
}

#[test]
fn a_stateful_sets_new_pod_of_the_same_name_is_left_alone() {
    let story = begin("stateful", "");
    story.apply(&stateful_set("db", BUSYBOX));
    let old = story.ready_pod("app=db");
    violate(&story, &old);
    let incident = story.incident(&old, "no-cat", "Recovered", "ReplacementReady");
    assert_eq!(incident["status"]["replacement"]["name"], "db-0");
    assert_ne!(
        incident["status"]["replacement"]["uid"],
        old["metadata"]["uid"]
    );
    let new = story.ready_pod("app=db");
    assert_eq!(
        new["metadata"]["uid"],
        incident["status"]["replacement"]["uid"]
    );
    assert!(new["metadata"]["deletionTimestamp"].is_null());
    story.end();
}

#[test]
fn a_daemon_sets_pod_comes_back_on_its_node() {
    let story = begin("daemon", "");
    story.apply(&daemon_set("agent", BUSYBOX));
    let old = story.ready_pod("app=agent");
    violate(&story, &old);
    let incident = story.incident(&old, "no-cat", "Recovered", "ReplacementReady");
    assert_eq!(
        incident["status"]["replacement"]["nodeName"],
        old["spec"]["nodeName"]
    );
    assert_eq!(incident["status"]["workloadRef"]["kind"], "DaemonSet");
    story.end();
}

#[test]
fn a_job_that_retries_brings_its_pod_back() {
    let story = begin("job", "");
    story.apply(&job("work", BUSYBOX, true));
    let old = story.ready_pod("app=work");
    violate(&story, &old);
    let incident = story.incident(&old, "no-cat", "Recovered", "ReplacementReady");
    assert_eq!(incident["status"]["workloadRef"]["kind"], "Job");
    story.end();
}

#[test]
fn a_job_without_retries_is_said_not_to_come_back() {
    let story = begin("job-once", "");
    story.apply(&job("work", BUSYBOX, false));
    let old = story.ready_pod("app=work");
    violate(&story, &old);
    let _incident = story.incident(&old, "no-cat", "Recovered", "NoReplacementExpected");
    story.end();
}

#[test]
fn a_pod_without_a_controller_is_left_unless_the_binding_says_otherwise() {
    let story = begin("bare", "");
    story.apply(&pod("alone", BUSYBOX, None));
    let alone = story.ready_pod("app=alone");
    violate(&story, &alone);
    let _incident = story.incident(&alone, "no-cat", "Responded", "Unmanaged");
    let still = story.get(&["pod", "alone"]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());
    story.event("PolicyViolation", "alone");
    let described = story.kubectl(&["describe", "pod", "alone"]);
    assert!(
        described.contains("PolicyViolation") && described.contains("no controller"),
        "{described}"
    );
    story.end();
}

#[test]
fn a_pod_without_a_controller_is_evicted_when_the_binding_asks_for_it() {
    let story = begin("bare-asked", "guardrails: {unmanagedPodPolicy: Respond}");
    story.apply(&pod("alone", BUSYBOX, None));
    let alone = story.ready_pod("app=alone");
    violate(&story, &alone);
    let _incident = story.incident(&alone, "no-cat", "Recovered", "NoReplacementExpected");
    story.wait("delete", &["pod/alone"]);
    story.end();
}

#[test]
fn a_pod_is_answered_on_either_node() {
    let story = begin("nodes", "guardrails: {unmanagedPodPolicy: Respond}");
    let nodes = story.cluster.get(&["nodes"]);
    let nodes: Vec<_> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(nodes.len(), 2);
    for node in &nodes {
        let name = format!("on-{node}");
        story.apply(&pod(&name, BUSYBOX, Some(node)));
        let on = story.ready_pod(&format!("app={name}"));
        violate(&story, &on);
        let incident = story.incident(&on, "no-cat", "Responded", "Evicted");
        assert_eq!(incident["spec"]["nodeName"], node.as_str());
    }
    story.end();
}
