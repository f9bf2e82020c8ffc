//! An API server that is away, and definitions that are: what sensors saw meanwhile is recorded afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::workload::{BUSYBOX, GO, RESTS, daemon_set, deployment, deployment_that_runs};
use bailiff_e2e::{NAMESPACE, Story};
use bailiff_testbed::Cluster;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

const NO_CAT: &str = "!('cat' in process.names)";
const SENSORS: [&str; 4] = ["-n", NAMESPACE, "-l", "app.kubernetes.io/component=sensor"];

/// The last node.
fn last_node(story: &Story) -> String {
    let nodes = story.cluster.kubectl(&["get", "nodes", "-o", "name"]);
    nodes.lines().last().unwrap().replace("node/", "")
}

/// The sensor of a node.
fn sensor(story: &Story, node: &str) -> Value {
    let of_node = format!("spec.nodeName={node}");
    let select = [&["pods", "--field-selector", &of_node], &SENSORS[..]].concat();
    story.cluster.get(&select)["items"][0].clone()
}

/// The names of the sensors' pods, each with how often its container was started again.
fn restarts(story: &Story) -> Vec<(String, i64)> {
    let pods = story.cluster.get(&[&["pods"], &SENSORS[..]].concat());
    let pods = pods["items"].as_array().unwrap().iter();
    let restarts = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let status = &pod["status"]["containerStatuses"][0];
        (name, status["restartCount"].as_i64().unwrap())
    };
    pods.map(restarts).collect()
}

/// Whether the API server has such an object, as far as it answers.
fn exists(story: &Story, name: &str) -> bool {
    let arguments = ["get", name, "-n", &story.namespace, "-o", "name"];
    story.cluster.try_kubectl(&arguments).success
}

/// Each sensor evaluates a policy that is made now.
fn sensors_catch_up(story: &Story) {
    story.policy("no-id", "!('id' in process.names)");
    story.bind("no-id", "[Audit]", "");
    story.apply(&daemon_set("everywhere", BUSYBOX));
    let everywhere = ["daemonset/everywhere"];
    story.wait("jsonpath={.status.numberReady}=2", &everywhere);
    let pods = story.get(&["pods", "-l", "app=everywhere"]);
    for pod in pods["items"].as_array().unwrap() {
        let incident = format!("incident/{}", story.incident_name(pod, "no-id"));
        story.exec_until(pod, &["id"], || exists(story, &incident));
    }
}

#[test]
fn violations_of_an_outage_are_recorded_with_the_facts_of_their_containers() {
    let story = Story::begin_alone("away");
    let faults = Cluster::running().unwrap();
    for (policy, expression) in [("no-cat", NO_CAT), ("no-tac", "!('tac' in process.names)")] {
        story.policy(policy, expression);
        story.bind(policy, "[Audit]", "");
    }
    let node = last_node(&story);
    let command = "cat /etc/hostname; cat /etc/hostname; cat /etc/hosts; /bin/tac /etc/hosts";
    story.apply(&deployment_that_runs("web", &node, command));
    let pod = story.ready_pod("app=web");
    // Each policy has reached the sensor of the node: another pod there tells.
    story.apply(&bailiff_e2e::workload::pod("other", BUSYBOX, Some(&node)));
    let other = story.ready_pod("app=other");
    for (policy, program) in [("no-cat", "cat"), ("no-tac", "tac")] {
        let name = format!("incident/{}", story.incident_name(&other, policy));
        let command = [program, "/etc/hostname"];
        story.exec_until(&other, &command, || exists(&story, &name));
    }
    let before = restarts(&story);
    let told = story.exec(&pod, &["touch", GO]);
    assert!(told.success, "{}", told.stderr);
    let from = Timestamp::now();
    faults.stop_api_server().unwrap();
    std::thread::sleep(RESTS + Duration::from_secs(30));
    let to = Timestamp::now();
    faults.start_api_server().unwrap();
    for (policy, count) in [("no-cat", "3"), ("no-tac", "1")] {
        let name = format!("incident/{}", story.incident_name(&pod, policy));
        story.wait("create", &[&name]);
        if count != "1" {
            let counted = format!("jsonpath={{.status.series.count}}={count}");
            story.wait(&counted, &[&name]);
        }
        let spec = &story.get(&[&name])["spec"];
        let seen: Timestamp = spec["execTime"].as_str().unwrap().parse().unwrap();
        assert!(from < seen && seen < to, "{from} {seen} {to}");
        assert_eq!(spec["container"]["name"], "app");
        assert_eq!(spec["container"]["image"], BUSYBOX);
        assert_eq!(spec["pod"]["name"], pod["metadata"]["name"]);
        let controller = &spec["pod"]["controllerRef"];
        assert_eq!(controller["kind"], "ReplicaSet");
        let owner = &pod["metadata"]["ownerReferences"][0];
        assert_eq!(controller["name"], owner["name"]);
        let hash = "pod-template-hash";
        assert_eq!(spec["pod"]["labels"][hash], pod["metadata"]["labels"][hash]);
    }
    assert_eq!(restarts(&story), before, "no sensor was started again");
    story.end();
}

#[test]
fn a_sensor_that_starts_during_an_outage_waits_and_says_for_what() {
    let story = Story::begin_alone("starts-away");
    let faults = Cluster::running().unwrap();
    let node = last_node(&story);
    let pod = sensor(&story, &node);
    let name = pod["metadata"]["name"].as_str().unwrap();
    let status = &pod["status"]["containerStatuses"][0];
    let id = status["containerID"].as_str().unwrap();
    let id = id.split_once("://").unwrap().1;
    let before = status["restartCount"].as_i64().unwrap();
    faults.stop_api_server().unwrap();
    faults.kill_container(&node, id).unwrap();
    // Longer than the kubelet and the container take together, and than a crash loop would be quiet.
    std::thread::sleep(Duration::from_secs(90));
    faults.start_api_server().unwrap();
    let sensor_pod = format!("pod/{name}");
    let started = format!(
        "jsonpath={{.status.containerStatuses[0].restartCount}}={}",
        before + 1
    );
    story
        .cluster
        .wait(&started, &[&sensor_pod, "-n", NAMESPACE]);
    let ready = ["daemonset/bailiff-sensor", "-n", NAMESPACE];
    story
        .cluster
        .wait("jsonpath={.status.numberReady}=2", &ready);
    let log = story.cluster.kubectl(&["logs", name, "-n", NAMESPACE]);
    let waits = "The sensor is not ready and evaluates nothing yet; it waits for the list of RuntimePolicies (cannot list: ";
    assert!(log.contains(waits), "{log}");
    let now = restarts(&story);
    assert!(now.contains(&(name.to_owned(), before + 1)), "{now:?}");
    sensors_catch_up(&story);
    story.end();
}

/// A definition as it can be created again.
fn definition(story: &Story, name: &str) -> String {
    let mut definition = story.cluster.get(&["crd", name]);
    let object = definition.as_object_mut().unwrap();
    object.remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    definition.to_string()
}

fn delete_definitions(story: &Story, names: &[&str]) -> Vec<String> {
    let definitions = names.iter().map(|name| definition(story, name)).collect();
    let delete = [&["delete", "crd", "--timeout=120s"], names].concat();
    let _deleted = story.cluster.kubectl(&delete);
    definitions
}

fn create_definitions(story: &Story, names: &[&str], definitions: &[String]) {
    for definition in definitions {
        story.cluster.create(definition);
    }
    for name in names {
        story.cluster.wait("condition=Established", &["crd", name]);
    }
}

#[test]
fn violations_are_recorded_when_the_definition_of_incidents_is_back() {
    let story = Story::begin_alone("no-incidents");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let name = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    story.exec_until(&pod, &["cat", "/etc/hostname"], || exists(&story, &name));
    let before = restarts(&story);
    let names = ["incidents.bailiff.dev"];
    let definitions = delete_definitions(&story, &names);
    let from = Timestamp::now();
    // One is counted for the Incident that is gone, the other would be an Incident of its own.
    story.apply(&deployment("new", BUSYBOX));
    let new = story.ready_pod("app=new");
    for pod in [&pod, &new] {
        let ran = story.exec(pod, &["cat", "/etc/hostname"]);
        assert!(ran.success, "{}", ran.stderr);
    }
    std::thread::sleep(Duration::from_secs(30));
    let to = Timestamp::now();
    create_definitions(&story, &names, &definitions);
    for pod in [&pod, &new] {
        let name = format!("incident/{}", story.incident_name(pod, "no-cat"));
        story.wait("create", &[&name]);
    }
    let name = format!("incident/{}", story.incident_name(&new, "no-cat"));
    let incident = story.get(&[&name]);
    let seen = incident["spec"]["execTime"].as_str().unwrap();
    let seen: Timestamp = seen.parse().unwrap();
    assert!(from < seen && seen < to, "{from} {seen} {to}");
    assert_eq!(restarts(&story), before, "no sensor was started again");
    story.end();
}

#[test]
fn policies_count_again_when_their_definitions_are_back() {
    let story = Story::begin_alone("no-policies");
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Audit]", "");
    story.policy("no-tac", "!('tac' in process.names)");
    story.bind("no-tac", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let name = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    story.exec_until(&pod, &["cat", "/etc/hostname"], || exists(&story, &name));
    let before = restarts(&story);
    let names = [
        "runtimepolicies.bailiff.dev",
        "runtimepolicybindings.bailiff.dev",
    ];
    // All policies are deleted with them.
    let definitions = delete_definitions(&story, &names);
    create_definitions(&story, &names, &definitions);
    // One is made again; the other one is not there, and its Incident would be older than the new one's.
    story.policy("no-cat", NO_CAT);
    story.bind("no-cat", "[Audit]", "");
    let _ran = story.exec(&pod, &["tac", "/etc/hostname"]);
    let name = format!("incident/{}", story.incident_name(&pod, "no-cat"));
    story.exec_until(&pod, &["cat", "/etc/hostname"], || exists(&story, &name));
    let of_policy = format!("bailiff.dev/policy=no-tac-{}", story.namespace);
    let incidents = story.get(&["incidents", "-l", &of_policy]);
    assert_eq!(incidents["items"], serde_json::json!([]));
    sensors_catch_up(&story);
    assert_eq!(restarts(&story), before, "no sensor was started again");
    story.end();
}
