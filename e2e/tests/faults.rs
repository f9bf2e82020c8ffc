//! What goes wrong around Bailiff, and that nothing is lost by it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::workload::{BUSYBOX, GO, RESTS, daemon_set, deployment_that_runs};
use bailiff_e2e::{NAMESPACE, Story};
use bailiff_testbed::Cluster;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

fn begin(name: &str) -> (Story, Cluster) {
    let story = Story::begin_alone(name);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind(
        "no-cat",
        "[Evict]",
        "guardrails: {cooldownPeriodSeconds: 0}",
    );
    (story, Cluster::running().unwrap())
}

/// A pod on the last node, the node, and the time after which its application will run `cat` ([`RESTS`]).
fn restless_pod(story: &Story) -> (Value, String, Timestamp) {
    let nodes = story.cluster.kubectl(&["get", "nodes", "-o", "name"]);
    let node = nodes.lines().last().unwrap().replace("node/", "");
    story.apply(&deployment_that_runs("web", &node, "cat /etc/hostname"));
    let pod = story.ready_pod("app=web");
    let told = story.exec(&pod, &["touch", GO]);
    assert!(told.success, "{}", told.stderr);
    (pod, node, Timestamp::now())
}

/// Sleeps until the application that was told at this time has run `cat`, and the sensor has seen it.
fn outlast(told: Timestamp) {
    let seen = told + RESTS + Duration::from_secs(20);
    let left = Timestamp::now().duration_until(seen);
    std::thread::sleep(Duration::try_from(left).unwrap_or_default());
}

/// A policy that is made now holds on every node.
fn sensors_catch_up(story: &Story) {
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
        story.exec_until(pod, &["id"], || exists(story, &incident));
    }
}

/// Whether the API server has such an object, as far as it answers.
fn exists(story: &Story, name: &str) -> bool {
    let arguments = ["get", name, "-n", &story.namespace, "-o", "name"];
    story.cluster.try_kubectl(&arguments).success
}

fn detected(incident: &Value) -> Timestamp {
    let time = incident["spec"]["execTime"].as_str().unwrap();
    time.parse().unwrap()
}

#[test]
fn a_violation_while_the_api_server_is_away_is_answered_when_it_is_back() {
    let (story, faults) = begin("outage");
    let (pod, _node, told) = restless_pod(&story);
    let from = Timestamp::now();
    faults.freeze_api_server().unwrap();
    outlast(told);
    let to = Timestamp::now();
    faults.thaw_api_server().unwrap();
    let incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    let seen = detected(&incident);
    assert!(from < seen && seen < to, "{from} {seen} {to}");
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    sensors_catch_up(&story);
    story.end();
}

#[test]
fn an_api_server_that_was_started_anew_is_found_again() {
    let (story, faults) = begin("restart");
    let (pod, _node, _told) = restless_pod(&story);
    faults.stop_api_server().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    faults.start_api_server().unwrap();
    let _incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    sensors_catch_up(&story);
    story.end();
}

#[test]
fn a_pod_of_a_stopped_kubelet_is_evicted_and_whole_when_the_kubelet_is_back() {
    let (story, faults) = begin("kubelet");
    let (pod, node, _told) = restless_pod(&story);
    faults.stop_kubelet(&node).unwrap();
    let incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    assert_eq!(incident["status"]["phase"], "Recovering", "{incident}");
    faults.start_kubelet(&node).unwrap();
    let incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    assert_eq!(incident["status"]["replacement"]["nodeName"], node.as_str());
    story.end();
}

#[test]
fn a_violation_on_a_node_that_is_cut_off_is_answered_when_it_is_back() {
    let (story, faults) = begin("cut-off");
    let (pod, node, told) = restless_pod(&story);
    let from = Timestamp::now();
    faults.cut_network(&node).unwrap();
    outlast(told);
    let to = Timestamp::now();
    faults.restore_network(&node).unwrap();
    let incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    let seen = detected(&incident);
    assert!(from < seen && seen < to, "{from} {seen} {to}");
    sensors_catch_up(&story);
    story.end();
}

#[test]
fn a_violation_under_a_slow_api_server_is_answered() {
    let (story, faults) = begin("slow");
    story.apply(&bailiff_e2e::workload::deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let incident = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    let slow = faults
        .slow_down_api_server(Duration::from_millis(50), Duration::from_millis(200))
        .unwrap();
    // A person whose exec fails tries again.
    story.exec_until(&pod, &["cat", "/etc/hostname"], || {
        exists(&story, &incident)
    });
    let _incident = story.incident(&pod, "no-cat", "Responded", "Evicted");
    drop(slow);
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    story.end();
}

#[test]
fn the_other_replica_answers_when_the_leader_is_gone() {
    let (story, _faults) = begin("leader");
    story.apply(&bailiff_e2e::workload::deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    // Between two leaders there is none.
    let lease = || {
        let lease = ["lease/bailiff-controller", "-n", NAMESPACE];
        story
            .cluster
            .wait("jsonpath={.spec.holderIdentity}", &lease);
        let lease = story.cluster.get(&lease);
        lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    };
    let leader = lease();
    let _deleted = story.cluster.kubectl(&[
        "delete",
        "pod",
        &leader,
        "-n",
        NAMESPACE,
        "--grace-period=0",
        "--force",
    ]);
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    assert_ne!(lease(), leader);
    story.end();
}

#[test]
fn a_sensor_that_starts_again_goes_on_with_the_incident_that_is_there() {
    let story = Story::begin_alone("sensor");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&bailiff_e2e::workload::deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    let node = format!(
        "spec.nodeName={}",
        pod["spec"]["nodeName"].as_str().unwrap()
    );
    let sensor = "app.kubernetes.io/component=sensor";
    let select = ["-n", NAMESPACE, "-l", sensor, "--field-selector", &node];
    let _deleted = story
        .cluster
        .kubectl(&[&["delete", "pod", "--wait=true"], &select[..]].concat());
    story
        .cluster
        .wait("create", &[&["pod"], &select[..]].concat());
    story
        .cluster
        .wait("condition=Ready", &[&["pod"], &select[..]].concat());
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let name = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    story.wait("jsonpath={.status.series.count}=2", &[&name]);
    let incidents = story.get(&["incidents"]);
    assert_eq!(incidents["items"].as_array().unwrap().len(), 1);
    let now = story.get(&[&name]);
    assert_eq!(now["metadata"]["uid"], incident["metadata"]["uid"]);
    story.end();
}

/// Adds to the node selector of the sensors, and waits until so many are Ready.
fn sensors_on(story: &Story, selector: &str, ready: &str) {
    let patch = format!(r#"{{"spec":{{"template":{{"spec":{{"nodeSelector":{selector}}}}}}}}}"#);
    let of = ["daemonset/bailiff-sensor", "-n", NAMESPACE];
    let patched = [&["patch", "--type=merge", "-p", &patch], &of[..]].concat();
    let _patched = story.cluster.kubectl(&patched);
    let ready = format!("jsonpath={{.status.numberReady}}={ready}");
    story.cluster.wait(&ready, &of);
}

#[test]
fn a_node_whose_sensor_is_gone_has_an_event_and_counts_as_not_monitored() {
    let story = Story::begin_alone("sensor-gone");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&daemon_set("everywhere", BUSYBOX));
    let everywhere = ["daemonset/everywhere"];
    story.wait("jsonpath={.status.numberReady}=2", &everywhere);
    let binding = format!("runtimepolicybinding/no-cat-{}", story.namespace);
    let monitored = |number: &str| {
        for (field, number) in [("matchingNodes", "2"), ("monitoredNodes", number)] {
            let counted = format!("jsonpath={{.status.coverage.{field}}}={number}");
            story.cluster.wait(&counted, &[&binding]);
        }
    };
    monitored("2");
    let nodes = story.cluster.kubectl(&["get", "nodes", "-o", "name"]);
    let node = |node: Option<&str>| node.unwrap().replace("node/", "");
    let (first, last) = (node(nodes.lines().next()), node(nodes.lines().last()));
    sensors_on(
        &story,
        &format!(r#"{{"kubernetes.io/hostname":"{first}"}}"#),
        "1",
    );
    monitored("1");
    let of_node = format!("involvedObject.name={last},reason=NodeNotMonitored");
    let select = ["events", "-n", "default", "--field-selector", &of_node];
    story.cluster.wait("create", &select);
    let events = story.cluster.get(&select);
    let events = events["items"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    let message = events[0]["message"].as_str().unwrap();
    let cause = "Bailiff does not monitor processes on this node and evaluates no policies here. It has had no sensor pod for more than a minute. Check the tolerations, the node selector and the affinity of DaemonSet bailiff-sensor. ";
    // The pod of the story is one of them.
    let counted = message
        .strip_prefix(cause)
        .and_then(|rest| rest.strip_suffix(" on it."))
        .and_then(|rest| rest.split_once(" pod")?.0.parse::<u32>().ok());
    assert!(counted.is_some_and(|pods| pods > 0), "{message}");
    sensors_on(&story, r#"{"kubernetes.io/hostname":null}"#, "2");
    monitored("2");
    // `bailiff status` counts it for a quarter of an hour, and other stories ask whether all is well.
    let mut delete = vec!["delete"];
    delete.extend(select);
    let _deleted = story.cluster.kubectl(&delete);
    story.end();
}
