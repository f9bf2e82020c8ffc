//! What goes wrong around Bailiff, and that nothing is lost by it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::{BUSYBOX, daemon_set, deployment_that_runs};
use bailiff_testbed::Cluster;
use jiff::Timestamp;
use serde_json::Value;
use std::time::{Duration, Instant};

fn begin(name: &str) -> (Story, Cluster) {
    let story = Story::begin_alone(name);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", "guardrails: {cooldownSeconds: 0}");
    (story, Cluster::running().unwrap())
}

/// A pod on the last node whose application will run `cat` 15 seconds after its start.
fn restless_pod(story: &Story) -> (Value, String) {
    let nodes = story.cluster.kubectl(&["get", "nodes", "-o", "name"]);
    let node = nodes.lines().last().unwrap().replace("node/", "");
    story.apply(&deployment_that_runs("web", &node, "cat /etc/hostname"));
    (story.ready_pod("app=web"), node)
}

/// How long after an outage a new policy may take to hold on every node.
const CAUGHT_UP: Duration = Duration::from_secs(15);

/// A policy that is made now holds on every node soon.
fn sensors_catch_up(story: &Story) {
    let since = Instant::now();
    story.policy("no-id", "!('id' in process.names)");
    story.bind("no-id", "[Audit]", "");
    story.apply(&daemon_set("everywhere", BUSYBOX));
    story.wait(
        "jsonpath={.status.numberReady}=2",
        &["daemonset/everywhere"],
    );
    let pods = story.get(&["pods", "-l", "app=everywhere"]);
    for pod in pods["items"].as_array().unwrap() {
        let incident = format!("incident/{}", story.incident_name(pod, "no-id"));
        loop {
            let _ran = story.exec(pod, &["id"]);
            let found = story.kubectl(&["get", &incident, "-o", "name", "--ignore-not-found"]);
            if !found.is_empty() {
                break;
            }
            let taken = since.elapsed();
            assert!(
                taken < CAUGHT_UP,
                "after {taken:?} the policy does not hold on {}",
                pod["spec"]["nodeName"]
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn detected(incident: &Value) -> Timestamp {
    let time = incident["spec"]["detectedTime"].as_str().unwrap();
    time.parse().unwrap()
}

#[test]
fn a_violation_while_the_api_server_is_away_is_answered_when_it_is_back() {
    let (story, faults) = begin("outage");
    let (pod, _node) = restless_pod(&story);
    let from = Timestamp::now();
    faults.freeze_api_server().unwrap();
    std::thread::sleep(Duration::from_secs(20));
    let to = Timestamp::now();
    faults.thaw_api_server().unwrap();
    let incident = story.incident(&pod, "no-cat", "Answered", "Evicted");
    let seen = detected(&incident);
    assert!(from < seen && seen < to, "{from} {seen} {to}");
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    sensors_catch_up(&story);
    story.end();
}

#[test]
fn an_api_server_that_was_started_anew_is_found_again() {
    let (story, faults) = begin("restart");
    let (pod, _node) = restless_pod(&story);
    faults.stop_api_server().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    faults.start_api_server().unwrap();
    let _incident = story.incident(&pod, "no-cat", "Answered", "Evicted");
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    sensors_catch_up(&story);
    story.end();
}

#[test]
fn a_pod_of_a_stopped_kubelet_is_evicted_and_whole_when_the_kubelet_is_back() {
    let (story, faults) = begin("kubelet");
    let (pod, node) = restless_pod(&story);
    faults.stop_kubelet(&node).unwrap();
    let incident = story.incident(&pod, "no-cat", "Answered", "Evicted");
    assert_eq!(incident["status"]["phase"], "Answered", "{incident}");
    faults.start_kubelet(&node).unwrap();
    let incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    assert_eq!(incident["status"]["replacement"]["nodeName"], node.as_str());
    story.end();
}
