//! What a stolen token can't do: who may write Incidents, and what becomes of the answer when
//! that is no longer held.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::token::{administrator, sensor_on, sensor_token};
use bailiff_e2e::workload::{BUSYBOX, deployment};
use bailiff_e2e::{NAMESPACE, Story, helm, install_arguments};
use serde_json::{Value, json};

/// An Incident as a sensor writes it, about a pod.
fn forged(pod: &Value, name: &str) -> String {
    json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": name, "namespace": pod["metadata"]["namespace"]},
        "spec": {
            "type": "Violation",
            "severity": "High",
            "policyRef": {"name": "forged", "uid": "forged", "generation": 1},
            "bindingRefs": [{"name": "forged", "uid": "forged"}],
            "nodeName": pod["spec"]["nodeName"],
            "pod": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "uid": pod["metadata"]["uid"]},
            "container": {},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 1,
                "startTime": "2026-01-01T00:00:00.000000Z",
            },
            "violations": [{"expressionIndex": 0, "message": "forged"}],
            "execTime": "2026-01-01T00:00:00.000000Z",
        },
    })
    .to_string()
}

#[test]
fn incidents_are_created_only_by_the_sensor_of_their_node() {
    let story = Story::begin("confined");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let node = &pod["spec"]["nodeName"];
    let object = forged(&pod, "inc-0000000000000001");
    let elsewhere = sensor_token(&story, Some(&sensor_on(&story, node, false)));
    let unbound = sensor_token(&story, None);
    let refusal = "an Incident is created only by the sensor of the node that it names";
    for (who, token) in [("the other node", &elsewhere), ("no node", &unbound)] {
        let output = story.cluster.try_create_as(token, &object);
        assert!(
            !output.success && output.stderr.contains(refusal),
            "{who}: {}{}",
            output.stdout,
            output.stderr
        );
    }
    // The same request by the sensor of that node is taken, so it was the node that was refused.
    let own = sensor_token(&story, Some(&sensor_on(&story, node, true)));
    let output = story.cluster.try_create_as(&own, &object);
    assert!(output.success, "{}", output.stderr);
    // And what it claims is not believed: no such policy is there.
    let name = "incident/inc-0000000000000001";
    story.wait(
        "jsonpath={.status.conditions[?(@.type==\"Responded\")].reason}=PolicyChanged",
        &[name],
    );
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());

    // Afterwards the evidence can't be touched, not even by a cluster's administrator.
    for (patch, refusal) in [
        (
            r#"{"metadata": {"labels": {"bailiff.dev/node": "other"}}}"#,
            "only Bailiff writes them",
        ),
        (
            r#"{"spec": {"nodeName": "other"}}"#,
            "the evidence of an Incident can't be changed",
        ),
    ] {
        let output = story.cluster.try_kubectl(&[
            "patch",
            name,
            "-n",
            &story.namespace,
            "--type=merge",
            "-p",
            patch,
        ]);
        assert!(
            !output.success && output.stderr.contains(refusal),
            "{}{}",
            output.stdout,
            output.stderr
        );
    }
    story.end();
}

#[test]
fn a_sensor_changes_only_the_series_of_its_own_node_and_evicts_nobody() {
    let story = Story::begin("series");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Audit]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "AuditOnly");
    let node = &pod["spec"]["nodeName"];
    let own = sensor_token(&story, Some(&sensor_on(&story, node, true)));
    let elsewhere = sensor_token(&story, Some(&sensor_on(&story, node, false)));
    let series = json!({"series": {
        "count": 7, "lastObservedTime": "2026-01-01T00:00:00.000000Z",
        "policyGeneration": 1, "bindings": incident["spec"]["bindings"],
    }});
    let refusal = "a sensor changes only status.series, and only of Incidents of its own node";
    let apply = |token: &str, status: &Value| {
        let object = json!({
            "apiVersion": "bailiff.dev/v1alpha1",
            "kind": "Incident",
            "metadata": {
                "name": incident["metadata"]["name"], "namespace": incident["metadata"]["namespace"],
            },
            "status": status,
        });
        // Server-side, so that kubectl asks for nothing that the sensor may not read.
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--subresource=status",
        ];
        let manager = ["--field-manager=stolen", "-f", "-"];
        story.cluster.try_pipe_as(
            token,
            &[&arguments[..], &manager[..]].concat(),
            &object.to_string(),
        )
    };
    for (token, status) in [
        (&elsewhere, series.clone()),
        // The answer to a write that says nothing would be the whole Incident.
        (&elsewhere, json!({})),
        (&own, json!({"phase": "Resolved"})),
        (
            &own,
            json!({"workloadRef": {"apiVersion": "v1", "kind": "A", "name": "b", "uid": "c"}}),
        ),
    ] {
        let output = apply(token, &status);
        assert!(
            !output.success && output.stderr.contains(refusal),
            "{status}: {}{}",
            output.stdout,
            output.stderr
        );
    }
    let output = apply(&own, &series);
    assert!(output.success, "{}", output.stderr);

    // RBAC: reading pods is all that it may do with them.
    let account = format!("system:serviceaccount:{NAMESPACE}:bailiff-sensor");
    for (verb, resource) in [
        ("create", "pods/eviction"),
        ("delete", "pods"),
        ("patch", "pods"),
        ("get", "secrets"),
        ("patch", "runtimepolicies.bailiff.dev"),
        ("delete", "incidents.bailiff.dev"),
        ("get", "incidents.bailiff.dev"),
        ("list", "incidents.bailiff.dev"),
    ] {
        let output = story.cluster.try_kubectl(&[
            "auth",
            "can-i",
            verb,
            resource,
            "-n",
            &story.namespace,
            "--as",
            &account,
        ]);
        assert_eq!(output.stdout.trim(), "no", "{verb} {resource}");
    }
    story.end();
}

#[test]
fn an_administrator_of_a_namespace_writes_no_incidents() {
    let story = Story::begin("tenant");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let token = administrator(&story);
    let output = story
        .cluster
        .try_create_as(&token, &forged(&pod, "inc-0000000000000002"));
    assert!(
        !output.success && output.stderr.contains("only Bailiff writes them"),
        "{}{}",
        output.stdout,
        output.stderr
    );
    story.end();
}

#[test]
fn nothing_is_answered_while_incidents_are_not_confined() {
    // It takes away what every story relies on, so it has the cluster for itself.
    let story = Story::begin_alone("unconfined");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind(
        "no-cat",
        "[Evict]",
        "guardrails: {cooldownPeriodSeconds: 0}",
    );
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let _deleted = story.cluster.kubectl(&[
        "delete",
        "validatingadmissionpolicybinding",
        "bailiff-incident-protection",
    ]);
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "IncidentsNotProtected");
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());
    // It is not given up yet: an upgrade, too, takes it away for a moment.
    assert_eq!(incident["status"]["phase"], "Waiting");

    // `helm upgrade` restores it, and the answer goes on by itself.
    let arguments = install_arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = helm(&story.cluster, &arguments);
    assert!(output.success, "{}{}", output.stdout, output.stderr);
    let _answered = story.incident(&pod, "no-cat", "Responded", "Evicted");

    // A policy that is there but says something else is as good as none.
    let second = story.incident(&pod, "no-cat", "Recovered", "ReplacementReady");
    let second = story.get(&[
        "pod",
        second["status"]["replacement"]["name"].as_str().unwrap(),
    ]);
    let _changed = story.cluster.kubectl(&[
        "patch",
        "validatingadmissionpolicy",
        "bailiff-incident-protection",
        "--type=merge",
        "-p",
        r#"{"spec": {"failurePolicy": "Ignore"}}"#,
    ]);
    let _ran = story.exec(&second, &["cat", "/etc/hostname"]);
    let incident = story.incident(&second, "no-cat", "Responded", "IncidentsNotProtected");
    assert!(
        incident["status"]["conditions"]
            .to_string()
            .contains("is not as shipped"),
        "{incident}"
    );
    // Helm asks to be told so before it takes back what somebody else wrote.
    let forced = [&arguments[..], &["--force-conflicts"]].concat();
    let output = helm(&story.cluster, &forced);
    assert!(output.success, "{}{}", output.stdout, output.stderr);
    story.end();
}
