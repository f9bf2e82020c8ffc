//! A namespace with as many Incidents as Bailiff keeps.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::workload::{BUSYBOX, deployment, pod};
use bailiff_e2e::{NAMESPACE, Story, upgrade};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Values with the lowest limit.
const LIMITED: [&str; 2] = ["--set", "retention.maxIncidentsPerNamespace=3"];

/// Waits until it is published that the story's namespace is full, or that it is not.
fn wait_until_full(story: &Story, full: bool) -> Value {
    let deadline = Instant::now() + Duration::from_mins(3);
    loop {
        let map = ["configmap", "bailiff-incident-limits", "-n", NAMESPACE];
        let map = story.cluster.get(&map);
        let limits = map["data"]["limits"].as_str().unwrap_or("{}");
        let limits: Value = serde_json::from_str(limits).unwrap();
        let names = limits["namespaces"].as_array().cloned().unwrap_or_default();
        let found = names.into_iter().find(|n| n["name"] == *story.namespace);
        if found.is_some() == full {
            return found.unwrap_or_default();
        }
        assert!(Instant::now() < deadline, "{map}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn sensor_logs(story: &Story) -> String {
    let selector = "app.kubernetes.io/component=sensor";
    story
        .cluster
        .kubectl(&["logs", "-n", NAMESPACE, "-l", selector, "--tail=-1"])
}

/// A pod without a controller, on a node if one is named.
fn ready(story: &Story, name: &str, node: Option<&str>) -> Value {
    story.apply(&pod(name, BUSYBOX, node));
    let pod = format!("pod/{name}");
    story.wait("condition=Ready", &[&pod]);
    story.get(&[&pod])
}

#[test]
fn at_its_limit_a_namespace_has_log_entries_for_what_is_audited_and_incidents_for_the_rest() {
    let story = Story::begin_alone("limits");
    let _said = upgrade(&story.cluster, &LIMITED);
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", "");
    story.policy("no-ls", "!('ls' in process.names)");
    story.bind("no-ls", "[Audit]", "");

    // What is enforced makes no room: Bailiff took no action about pods without a controller.
    let first = ready(&story, "first", None);
    let node = first["spec"]["nodeName"].as_str().unwrap().to_owned();
    let pods = [
        first,
        ready(&story, "second", Some(&node)),
        ready(&story, "third", Some(&node)),
    ];
    let mut names = Vec::new();
    for pod in &pods {
        let _ran = story.exec(pod, &["cat", "/etc/hostname"]);
        let incident = story.incident(pod, "no-cat", "Responded", "Unmanaged");
        names.push(incident["metadata"]["name"].as_str().unwrap().to_owned());
    }
    let full = wait_until_full(&story, true);
    assert_eq!(full["nodes"][0], *node, "{full}");

    // A sensor learns of it within moments; what it recorded before has another name each time.
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut tries = 0;
    let logged = loop {
        tries += 1;
        let pod = ready(&story, &format!("audited-{tries}"), Some(&node));
        let name = pod["metadata"]["name"].as_str().unwrap();
        let _ran = story.exec(&pod, &["ls", "/secret-argument"]);
        std::thread::sleep(Duration::from_secs(3));
        let logs = sensor_logs(&story);
        let is_entry = |line: &&str| line.contains("Logged a violation") && line.contains(name);
        if let Some(entry) = logs.lines().find(is_entry) {
            assert!(entry.contains("/bin/busybox"), "{entry}");
            assert!(!logs.contains("secret-argument"), "arguments in the log");
            break pod;
        }
        assert!(Instant::now() < deadline, "{logs}");
    };
    let incidents = story.get(&["incidents"]);
    let name = story.incident_name(&logged, "no-ls");
    let items = incidents["items"].as_array().unwrap();
    assert!(items.iter().all(|i| i["metadata"]["name"] != *name));

    // People see it, and what is enforced is recorded and responded to.
    let status = story.cluster.bailiff(&["status"]).stdout;
    let row = status
        .lines()
        .find(|line| line.starts_with("incident-limits"));
    let row = row.unwrap_or_else(|| panic!("{status}"));
    assert!(
        row.contains("Warning") && row.contains(&story.namespace),
        "{row}"
    );
    story.apply(&deployment("web", BUSYBOX));
    let web = story.ready_pod("app=web");
    let _cut_off = story.exec(&web, &["cat", "/etc/hostname"]);
    let _evicted = story.incident(&web, "no-cat", "Recovered", "ReplacementReady");

    // Somebody makes room: what is audited is an Incident again.
    for name in &names {
        let _deleted = story.kubectl(&["delete", "incident", name, "--ignore-not-found"]);
    }
    let _free = wait_until_full(&story, false);
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut tries = 0;
    loop {
        tries += 1;
        let pod = ready(&story, &format!("recorded-{tries}"), Some(&node));
        let _ran = story.exec(&pod, &["ls", "/"]);
        std::thread::sleep(Duration::from_secs(3));
        let incidents = story.get(&["incidents"]);
        let name = story.incident_name(&pod, "no-ls");
        let items = incidents["items"].as_array().unwrap();
        if items.iter().any(|i| i["metadata"]["name"] == *name) {
            break;
        }
        assert!(Instant::now() < deadline, "{incidents}");
    }
    let _said = upgrade(&story.cluster, &[]);
    story.end();
}
