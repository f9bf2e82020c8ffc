//! The chart over its life, as for any other application: upgrade, rollback, uninstall that keeps the
//! kinds and that deletes them, and install again.
//!
//! Here: one version of it. Not here: its namespace deleted (`namespace`), its webhook down (`outage`), a newer
//! version and the way back (`versions`).
//! Invariant: a story that changes the installation leaves it as `ensure_installed` makes it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::token::{controller_token, sensor_token};
use bailiff_e2e::workload::{BUSYBOX, deployment};
use bailiff_e2e::{NAMESPACE, Output, Story, helm, install_arguments, upgrade};
use serde_json::Value;
use std::time::Duration;

mod namespace;
mod outage;
mod versions;

fn must(output: &Output) -> String {
    assert!(output.success, "{}{}", output.stdout, output.stderr);
    format!("{}{}", output.stdout, output.stderr)
}

/// `helm uninstall`, until what it deletes is gone.
fn uninstall(story: &Story) -> String {
    let said = must(&helm(
        &story.cluster,
        &[
            "uninstall",
            "bailiff",
            "-n",
            NAMESPACE,
            "--wait",
            "--cascade=foreground",
        ],
    ));
    // Helm 4.3's wait takes a status that it has not yet seen for a deletion that is done
    // (pkg/kube/statuswait.go), so it may return while everything is still being deleted. What
    // was never deleted fails here at the deadline.
    // Rendered policies stay for as long as the image policies that they are of.
    let stays = |name: &String| name.contains("bailiff.dev") || name.contains("/bailiff-image.");
    let going: Vec<_> = left(story)
        .into_iter()
        .filter(|name| !stays(name))
        .collect();
    if !going.is_empty() {
        let mut arguments = vec!["-n", NAMESPACE];
        arguments.extend(going.iter().map(String::as_str));
        story.cluster.wait("delete", &arguments);
    }
    said
}

/// Changes the switch of all responses, as an operator does.
fn switch(story: &Story, patch: &str) {
    let switch = ["patch", "configmap", "bailiff-response", "-n", NAMESPACE];
    let _patched = story
        .cluster
        .kubectl(&[&switch[..], &["--type=merge", "-p", patch]].concat());
}

/// Fails unless the switch is as an operator set it in an emergency.
fn is_switched_off(story: &Story) {
    let found = story
        .cluster
        .get(&["configmap", "bailiff-response", "-n", NAMESPACE]);
    let data = serde_json::json!({"defaultMode": "Enforce", "mode": "Audit"});
    assert_eq!(found["data"], data, "a switch was turned");
}

/// An upgrade that replaces objects drops what the chart does not render: the operator's key.
fn replacing_does_not_switch_on(story: &Story) {
    let mut arguments = install_arguments();
    arguments.extend(["--force-replace", "--server-side=false"].map(str::to_owned));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = helm(&story.cluster, &arguments);
    let words = "responses are switched off; set the key mode to Enforce before you remove it or replace the ConfigMap";
    assert!(
        !output.success && output.stderr.contains(words),
        "{}{}",
        output.stdout,
        output.stderr
    );
    is_switched_off(story);
}

/// A violation in the one pod of `web`, answered to its end.
fn is_answered(story: &Story) {
    let pod = running(story);
    let _cut_off = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _incident = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
}

/// The pod of `web` that is not on its way out.
fn running(story: &Story) -> Value {
    story.wait("jsonpath={.status.readyReplicas}=1", &["deployment/web"]);
    let pods = story.get(&["pods", "-l", "app=web"]);
    let items = pods["items"].as_array().unwrap();
    items
        .iter()
        .find(|p| p["metadata"]["deletionTimestamp"].is_null())
        .unwrap()
        .clone()
}

/// Every object of any kind whose name or group says Bailiff, but for Events and the namespace.
fn left(story: &Story) -> Vec<String> {
    eventually(|| try_left(story)).unwrap_or_else(|error| panic!("{error}"))
}

/// What a question answers at last. The API server forgets a kind some time after its definition is
/// gone; until then it names the kind and does not list its objects.
fn eventually<T>(mut ask: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    for _ in 1..90 {
        let answer = ask();
        if answer.is_ok() {
            return answer;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    ask()
}

fn try_left(story: &Story) -> Result<Vec<String>, String> {
    let ask = |arguments: &[&str]| {
        let output = story.cluster.try_kubectl(arguments);
        let said = output.stdout;
        output.success.then_some(said).ok_or(output.stderr)
    };
    let kinds = ask(&["api-resources", "--verbs=list", "-o", "name"])?;
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && *kind != "namespaces")
        .collect();
    let kinds = kinds.join(",");
    let found = ask(&["get", &kinds, "-A", "-o", "name", "--ignore-not-found"])?;
    let names = found.lines().filter(|name| name.contains("bailiff"));
    Ok(names.map(str::to_owned).collect())
}

/// The kinds of the chart.
const CRDS: [&str; 5] = [
    "runtimepolicies.bailiff.dev",
    "runtimepolicybindings.bailiff.dev",
    "imageadmissionpolicies.bailiff.dev",
    "imageadmissionpolicybindings.bailiff.dev",
    "incidents.bailiff.dev",
];

#[test]
fn the_chart_is_upgraded_rolled_back_removed_and_installed_again() {
    let story = Story::begin_alone("life");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind(
        "no-cat",
        "[Evict]",
        "guardrails: {cooldownPeriodSeconds: 0}",
    );
    story.apply(&deployment("web", BUSYBOX));
    let _first = story.ready_pod("app=web");
    is_answered(&story);

    // In an emergency, an operator switches responses off, and then upgrades and rolls back.
    switch(&story, r#"{"data": {"mode": "Audit"}}"#);
    let said = upgrade(
        &story.cluster,
        &[
            "--set",
            "controller.podAnnotations.turn=second",
            "--set",
            "sensor.podAnnotations.turn=second",
        ],
    );
    assert!(said.contains("was upgraded"), "{said}");
    let _back = must(&helm(
        &story.cluster,
        &[
            "rollback",
            "bailiff",
            "-n",
            NAMESPACE,
            "--wait",
            "--timeout",
            "600s",
        ],
    ));
    is_switched_off(&story);
    replacing_does_not_switch_on(&story);
    // What violates a policy meanwhile waits.
    let pod = running(&story);
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _waits = story.incident(&pod, "no-cat", "Responded", "ResponsesSwitchedOff");
    assert_eq!(running(&story)["metadata"]["uid"], pod["metadata"]["uid"]);
    // Without a mode, the default of the chart applies.
    switch(&story, r#"{"data": {"mode": "Enforce"}}"#);
    switch(&story, r#"{"data": {"mode": null}}"#);
    let _answered = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    // And by an upgrade alone.
    let third = ["--set", "controller.podAnnotations.turn=third"];
    let _said = upgrade(
        &story.cluster,
        &[&third[..], &["--server-side=true"]].concat(),
    );
    is_answered(&story);

    // What people wrote stays, and is named with the way to remove it.
    assert_eq!(namespace::webhook_configurations(&story).len(), 3);
    let said = uninstall(&story);
    for crd in CRDS {
        assert!(said.contains(crd), "{said}");
    }
    let left_over: Vec<_> = left(&story)
        .into_iter()
        // The kinds, the group that they are served under, and the objects of these kinds.
        .filter(|name| !name.contains("bailiff.dev"))
        .collect();
    assert_eq!(left_over, Vec::<String>::new());
    let incidents = story.get(&["incidents"]);
    assert_eq!(incidents["items"].as_array().unwrap().len(), 3);

    let said = upgrade(&story.cluster, &[]);
    assert!(said.contains("is installed"), "{said}");
    is_answered(&story);

    // Without what stays: nothing is left at all.
    let _said = upgrade(&story.cluster, &["--set", "crds.keep=false"]);
    let _said = uninstall(&story);
    for crd in CRDS {
        story.cluster.wait("delete", &[&format!("crd/{crd}")]);
    }
    let nothing = eventually(|| {
        let left = left(&story);
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
    assert_eq!(nothing, Ok(()));
    let _said = upgrade(&story.cluster, &[]);
    let namespace = story.namespace.clone();
    let _deleted = story
        .cluster
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
}

#[test]
fn only_a_namespace_that_rejects_the_sensor_is_refused() {
    let story = Story::begin("labels");
    // Objects of the installation would be in the way of a second one.
    let install = || {
        helm(
            &story.cluster,
            &[
                "install",
                "bailiff-again",
                "../charts/bailiff",
                "-n",
                &story.namespace,
                "--dry-run=server",
                "--take-ownership",
            ],
        )
    };
    let label = |level: &str| {
        let level = format!("pod-security.kubernetes.io/enforce={level}");
        let namespace = story.namespace.as_str();
        let _labeled =
            story
                .cluster
                .kubectl(&["label", "--overwrite", "namespace", namespace, &level]);
    };
    let warning = "does not have the label pod-security.kubernetes.io/enforce=privileged";
    // Kubernetes enforces nothing by default, so this works.
    let said = must(&install());
    assert!(said.contains(warning), "{said}");
    for level in ["baseline", "restricted"] {
        label(level);
        let output = install();
        let command = format!(
            "kubectl label --overwrite namespace {} pod-security.kubernetes.io/enforce=privileged",
            story.namespace
        );
        let reason = format!("and namespace {} enforces {level};", story.namespace);
        assert!(
            !output.success && output.stderr.contains(&command) && output.stderr.contains(&reason),
            "{}{}",
            output.stdout,
            output.stderr
        );
    }
    label("privileged");
    let said = must(&install());
    assert!(!said.contains(warning), "{said}");
    story.end();
}

#[test]
fn the_api_server_keeps_every_field_that_the_chart_renders() {
    // As a GitOps tool compares. Upgrades of other stories would differ.
    let story = Story::begin_alone("drift");
    let manifest = must(&helm(
        &story.cluster,
        &["get", "manifest", "bailiff", "-n", NAMESPACE],
    ));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = ["diff", "--server-side", "--force-conflicts", "-f", path];
    // What changes between kubectl's two requests, as the Lease does, differs for once; drift differs
    // each time.
    let mut output = story.cluster.try_kubectl(&arguments);
    for _ in 1..20 {
        if output.success {
            break;
        }
        output = story.cluster.try_kubectl(&arguments);
    }
    assert!(
        output.success && output.stdout.is_empty(),
        "{}{}",
        output.stdout,
        output.stderr
    );
    story.end();
}

#[test]
fn the_api_server_gives_each_component_its_priority_level() {
    let story = Story::begin("flow");
    let schema = |name: &str| {
        let schema = story.cluster.get(&["flowschema", name]);
        let conditions = schema["status"]["conditions"].as_array().unwrap();
        let dangling = conditions.iter().find(|c| c["type"] == "Dangling").unwrap();
        assert_eq!(dangling["status"], "False", "{name}");
        schema["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let uid = schema("bailiff-sensor");
    let _uid = schema("bailiff-leader-election");
    let controller = schema("bailiff-controller");
    for (token, uid) in [
        (sensor_token(&story, None), uid),
        (controller_token(&story), controller),
    ] {
        let arguments = ["get", "--raw", "/api/v1/namespaces", "-v=8"];
        let output = story.cluster.try_pipe_as(&token, &arguments, "");
        assert!(output.success, "{}", output.stderr);
        assert!(output.stderr.contains(&uid), "{uid}: {}", output.stderr);
    }
    story.end();
}

#[test]
fn every_pod_but_the_sensors_is_restricted() {
    let story = Story::begin("restricted");
    let pod = story
        .cluster
        .get(&["deployment", "bailiff-controller", "-n", NAMESPACE]);
    let mut pod = pod["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "controller".into();
    pod["metadata"]["namespace"] = story.namespace.clone().into();
    let _labelled = story.cluster.kubectl(&[
        "label",
        "namespace",
        &story.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    let spec = pod["spec"].as_object_mut().unwrap();
    let _account = spec.remove("serviceAccountName");
    let _account = spec.remove("serviceAccount");
    let created = story.cluster.try_apply(&pod.to_string());
    assert!(created.success, "{}", created.stderr);
    // And the pod of `helm test`, in a namespace that refuses what is not restricted.
    let rendered = must(&helm(
        &story.cluster,
        &[
            "template",
            "bailiff",
            "../charts/bailiff",
            "-n",
            &story.namespace,
            "--show-only",
            "templates/tests/status.yaml",
        ],
    ));
    let test = rendered
        .split("\n---")
        .find(|document| document.contains("\nkind: Pod\n"))
        .unwrap();
    let _account = story.kubectl(&["create", "serviceaccount", "bailiff-status"]);
    let created = story.cluster.try_apply(test);
    assert!(created.success, "{}", created.stderr);
    assert!(
        !created.stderr.contains("would violate"),
        "{}",
        created.stderr
    );
    story.end();
}

#[test]
fn helm_test_says_whether_it_works() {
    let story = Story::begin_alone("helm-test");
    // Stories before this one lose evidence on purpose, as with static pods that have no Pod. Sensors that start anew
    // have lost nothing, and an Event is acknowledged by deleting it.
    let sensors = ["daemonset/bailiff-sensor", "-n", NAMESPACE];
    for rollout in [&["restart"][..], &["status", "--timeout=300s"]] {
        let arguments = [&["rollout"], rollout, &sensors].concat();
        let _rolled_out = story.cluster.kubectl(&arguments);
    }
    let lost = [
        "delete",
        "events",
        "-n",
        "default",
        "--field-selector",
        "reason=EvidenceLost",
    ];
    let _acknowledged = story.cluster.kubectl(&lost);
    let said = must(&helm(
        &story.cluster,
        &[
            "test",
            "bailiff",
            "-n",
            NAMESPACE,
            "--logs",
            "--timeout",
            "300s",
        ],
    ));
    for line in [
        "2 of 2 replicas are ready.",
        "holds the Lease",
        "The sensor is ready on 2 of 2 nodes.",
    ] {
        assert!(said.contains(line), "{line} is missing in: {said}");
    }
    story.end();
}
