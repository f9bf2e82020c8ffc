//! What a stolen token cannot do: who can write and delete Incidents and remove pods, and what becomes
//! of the response while Incidents are not protected.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_api::incident_name;
use bailiff_e2e::token::{administrator, controller_token, sensor_on, sensor_token, webhook_token};
use bailiff_e2e::workload::{BUSYBOX, deployment};
use bailiff_e2e::{NAMESPACE, Output, Story, upgrade};
use serde_json::{Value, json};

/// An Incident as the sensor of a pod's node writes it about the pod.
fn forged(pod: &Value) -> Value {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let node = pod["spec"]["nodeName"].as_str().unwrap();
    // Of the last minutes, by the clock of the API server.
    let time = &pod["metadata"]["creationTimestamp"];
    json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {
            "name": incident_name(uid, "forged", node),
            "namespace": pod["metadata"]["namespace"],
            "labels": {"bailiff.dev/policy": "forged", "bailiff.dev/node": node, "bailiff.dev/pod-uid": uid},
        },
        "spec": {
            "type": "Violation",
            "severity": "High",
            "policyRef": {"name": "forged", "uid": "forged", "generation": 1},
            "bindingRefs": [{"name": "forged", "uid": "forged"}],
            "nodeName": node,
            "pod": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "uid": uid},
            "container": {},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 1,
                "startTime": time,
            },
            "violations": [{"expressionIndex": 0, "message": "forged"}],
            "execTime": time,
        },
    })
}

/// The object with the value at a path changed.
fn with(object: &Value, path: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value;
    object
}

/// Fails unless the API server denied a request with these words.
fn is_denied(output: &Output, words: &str) {
    assert!(
        !output.success && output.stderr.contains(words),
        "{words}: {}{}",
        output.stdout,
        output.stderr
    );
}

const ITS_SENSOR: &str = "only the sensor of the node in spec.nodeName can create an Incident";
const NAME: &str =
    "metadata.name must be inc-, 16 hexadecimal digits, a hyphen and the name of the sensor's node";
const ONLY_BAILIFF: &str = "Incidents are evidence: only Bailiff can create or update them";

#[test]
fn incidents_are_created_only_by_the_sensor_of_their_node() {
    let story = Story::begin("protected");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let node = &pod["spec"]["nodeName"];
    let object = forged(&pod);
    let own = sensor_token(&story, Some(&sensor_on(&story, node, true)));
    let other = sensor_on(&story, node, false);
    let elsewhere = sensor_token(&story, Some(&other));
    let unbound = sensor_token(&story, None);
    let create =
        |token: &str, object: &Value| story.cluster.try_create_as(token, &object.to_string());
    for token in [&elsewhere, &unbound] {
        is_denied(&create(token, &object), ITS_SENSOR);
    }
    // Its own Incident, under a name that belongs to the first node.
    let squatted = with(&object, "/spec/nodeName", other["spec"]["nodeName"].clone());
    is_denied(&create(&elsewhere, &squatted), NAME);

    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "web"}]);
    let metadata =
        "an Incident must not have finalizers, ownerReferences or annotations, and only the labels";
    let time = "spec.execTime must be at most 24 hours before and at most 1 minute after metadata.creationTimestamp";
    for (path, value, words) in [
        (
            "/metadata/finalizers",
            json!(["example.com/never"]),
            metadata,
        ),
        ("/metadata/ownerReferences", owner, metadata),
        ("/metadata/annotations", json!({"a": "b"}), metadata),
        (
            "/metadata/labels",
            json!({"bailiff.dev/node": "other"}),
            metadata,
        ),
        ("/metadata/labels", json!({"app": "web"}), metadata),
        ("/spec/execTime", json!("2020-01-01T00:00:00.000000Z"), time),
        ("/spec/execTime", json!("2100-01-01T00:00:00.000000Z"), time),
        (
            "/spec/pod/namespace",
            json!("default"),
            "metadata.namespace must be spec.pod.namespace or the namespace that Bailiff runs in",
        ),
    ] {
        is_denied(&create(&own, &with(&object, path, value)), words);
    }
    // The same request by the sensor of that node is accepted, so each difference was the reason.
    let output = create(&own, &object);
    assert!(output.success, "{}", output.stderr);
    // And in Bailiff's namespace, where it goes if the pod's own rejects it.
    let fallback = with(&object, "/metadata/namespace", NAMESPACE.into());
    let output = create(&own, &fallback);
    assert!(output.success, "{}", output.stderr);

    // What it claims is not believed: there is no such policy.
    let name = format!("incident/{}", object["metadata"]["name"].as_str().unwrap());
    story.wait(
        "jsonpath={.status.conditions[?(@.type==\"Responded\")].reason}=PolicyChanged",
        &[&name],
    );
    let still = story.get(&["pod", pod["metadata"]["name"].as_str().unwrap()]);
    assert!(still["metadata"]["deletionTimestamp"].is_null());

    nobody_changes(&story, &name);
    let _deleted = story.cluster.kubectl(&["delete", &name, "-n", NAMESPACE]);
    story.end();
}

/// Afterwards nobody changes the evidence, not even an administrator of the cluster; a closed Incident
/// can be deleted.
fn nobody_changes(story: &Story, name: &str) {
    for (patch, words) in [
        (
            r#"{"metadata": {"labels": {"bailiff.dev/node": "other"}}}"#,
            ONLY_BAILIFF,
        ),
        (r#"{"metadata": {"annotations": {"a": "b"}}}"#, ONLY_BAILIFF),
        (
            r#"{"metadata": {"finalizers": ["example.com/never"]}}"#,
            ONLY_BAILIFF,
        ),
        (r#"{"spec": {"nodeName": "other"}}"#, "spec is immutable"),
    ] {
        let arguments = [
            "patch",
            name,
            "-n",
            &story.namespace,
            "--type=merge",
            "-p",
            patch,
        ];
        is_denied(&story.cluster.try_kubectl(&arguments), words);
    }
    // A closed one can be deleted, also in the foreground: then the garbage collector has a finalizer to
    // remove, which the rules must not deny.
    let deleted = story.kubectl(&["delete", name, "--cascade=foreground", "--timeout=300s"]);
    assert!(deleted.contains("deleted"), "{deleted}");
}

#[test]
fn an_open_incident_is_deleted_only_with_its_namespace() {
    let story = Story::begin("open");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind("no-cat", "[Evict]", "");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    story.apply("{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web, namespace: NAMESPACE}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}");
    story.budget_counts("web");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let incident = story.incident(&pod, "no-cat", "Responded", "WaitingForDisruptionBudget");
    let name = format!(
        "incident/{}",
        incident["metadata"]["name"].as_str().unwrap()
    );
    let words = "the Incident is open; it can be deleted when Bailiff has responded to it and the workload has recovered";
    let tenant = administrator(&story);
    for arguments in [
        &["delete", &name, "-n", &story.namespace][..],
        &["delete", "incidents", "--all", "-n", &story.namespace],
    ] {
        is_denied(&story.cluster.try_kubectl(arguments), words);
        is_denied(&story.cluster.try_pipe_as(&tenant, arguments, ""), words);
    }
    story.end_of_cluster_objects();
    let namespace = story.namespace.clone();
    let deleted = story
        .cluster
        .kubectl(&["delete", "namespace", &namespace, "--timeout=300s"]);
    assert!(deleted.contains("deleted"), "{deleted}");
}

#[test]
fn the_account_of_the_controller_removes_no_pod_of_an_exempt_namespace() {
    let story = Story::begin("exempt");
    let token = controller_token(&story);
    let words = "Bailiff must not remove pods in the namespaces kube-system, which are exempt";
    for (namespace, denied) in [("kube-system", true), (story.namespace.as_str(), false)] {
        // One for the Eviction, one for the deletion.
        for verb in ["evict", "delete"] {
            let pod = format!("{verb}-{}", story.namespace);
            story.cluster.apply(&format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {pod}, namespace: {namespace}}}, spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: app, image: '{BUSYBOX}', imagePullPolicy: Never, command: [sleep, '100000']}}]}}}}"
            ));
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
            let eviction = json!({
                "apiVersion": "policy/v1", "kind": "Eviction",
                "metadata": {"name": pod, "namespace": namespace},
            });
            let output = if verb == "evict" {
                let path = format!("{path}/eviction");
                story.cluster.try_pipe_as(
                    &token,
                    &["create", "--raw", &path, "-f", "-"],
                    &eviction.to_string(),
                )
            } else {
                story
                    .cluster
                    .try_pipe_as(&token, &["delete", "--raw", &path], "")
            };
            if denied {
                is_denied(&output, words);
                // Others are not concerned.
                let _deleted = story.cluster.kubectl(&[
                    "delete",
                    "pod",
                    &pod,
                    "-n",
                    namespace,
                    "--wait=false",
                ]);
            } else {
                assert!(output.success, "{verb}: {}{}", output.stdout, output.stderr);
            }
        }
    }
    story.end();
}

#[test]
fn the_account_of_the_webhook_writes_only_its_events_and_config_maps() {
    let story = Story::begin("webhook-token");
    let token = webhook_token(&story);
    let event = |name: &str, reason: &str, controller: &str| {
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": story.namespace},
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Warning", "action": "Admitting",
            "reason": reason, "reportingController": controller, "reportingInstance": "stolen",
            "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": story.namespace},
        })
        .to_string()
    };
    let events = "the webhook of Bailiff can create and update only Events with the reason ImageDenied and the reportingController bailiff.dev/webhook";
    let (reason, controller) = ("ImageDenied", "bailiff.dev/webhook");
    for (reason, controller) in [("Evicted", controller), (reason, "bailiff.dev/controller")] {
        let forged = event("forged", reason, controller);
        is_denied(&story.cluster.try_create_as(&token, &forged), events);
    }
    let output = story
        .cluster
        .try_create_as(&token, &event("own", reason, controller));
    assert!(output.success, "{}", output.stderr);
    // Nor does it change that of another one. Server-side, so that kubectl requests nothing that the account
    // cannot read.
    let (other, scheduler) = ("Scheduled", "default-scheduler");
    story.cluster.create(&event("others", other, scheduler));
    let repeat = |event: &str| {
        let mut event: Value = serde_json::from_str(event).unwrap();
        event["series"] = json!({"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"});
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=stolen",
            "-f",
            "-",
        ];
        let event = event.to_string();
        story.cluster.try_pipe_as(&token, &arguments, &event)
    };
    is_denied(&repeat(&event("others", other, scheduler)), events);
    let output = repeat(&event("own", reason, controller));
    assert!(output.success, "{}", output.stderr);
    story.end();
}

#[test]
fn the_account_of_the_webhook_writes_only_the_data_of_its_config_maps() {
    let story = Story::begin("webhook-maps");
    // Of its own ConfigMaps only the data.
    let map = |metadata: Value, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data,
        })
        .to_string()
    };
    let named = json!({"name": "bailiff-facts-0", "namespace": NAMESPACE});
    let finalizer = json!({"name": "bailiff-facts-0", "namespace": NAMESPACE, "finalizers": ["example.com/never"]});
    for (metadata, data) in [
        (named, json!({"more": ""})),
        (finalizer, json!({"facts": ""})),
    ] {
        let account = format!("system:serviceaccount:{NAMESPACE}:bailiff-webhook");
        // It has no verb for a patch, so an administrator of the cluster acts as the account with a group that has.
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--as",
            &account,
            "--as-group",
            "system:masters",
            "-f",
            "-",
        ];
        let output = story
            .cluster
            .try_kubectl_with(&arguments, &map(metadata, data));
        is_denied(
            &output,
            "the webhook of Bailiff can write only the keys facts and sha256",
        );
    }
    let elsewhere = json!({"name": "other", "namespace": story.namespace});
    let account = format!("system:serviceaccount:{NAMESPACE}:bailiff-webhook");
    let arguments = [
        "create",
        "--as",
        &account,
        "--as-group",
        "system:masters",
        "-f",
        "-",
    ];
    let output = story
        .cluster
        .try_kubectl_with(&arguments, &map(elsewhere, json!({})));
    is_denied(
        &output,
        "the webhook of Bailiff can update only the ConfigMaps bailiff-facts-0 to bailiff-facts-7 of its namespace",
    );
    story.end();
}

#[test]
fn nobody_else_writes_the_answers_of_registries() {
    let story = Story::begin("facts");
    let words = "only the webhook of Bailiff can write the data of this ConfigMap";
    let patch = |arguments: &[&str], patch: &str| {
        let all = [
            "patch",
            "configmap",
            "bailiff-facts-0",
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            patch,
        ];
        story.cluster.try_kubectl(&[&all[..], arguments].concat())
    };
    let data = r#"{"data": {"facts": "", "sha256": "0"}}"#;
    // An administrator of the cluster, and Bailiff's own controller.
    is_denied(&patch(&["--dry-run=server"], data), words);
    let binary = r#"{"binaryData": {"facts": "YQ=="}}"#;
    is_denied(&patch(&["--dry-run=server"], binary), words);
    for allowed in [
        r#"{"metadata": {"labels": {"a": "b"}}}"#,
        r#"{"data": null}"#,
    ] {
        let output = patch(&["--dry-run=server"], allowed);
        assert!(output.success, "{allowed}: {}", output.stderr);
    }
    // One that is created again has none, for example that of a backup.
    let object = |name: &str| {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        let data = json!({"facts": ""});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
            .to_string()
    };
    let create = ["create", "--dry-run=server", "-f", "-"];
    let output = story
        .cluster
        .try_kubectl_with(&create, &object("bailiff-facts-8"));
    assert!(output.success, "another name: {}", output.stderr);
    let replace = ["replace", "--dry-run=server", "-f", "-"];
    let output = story
        .cluster
        .try_kubectl_with(&replace, &object("bailiff-facts-0"));
    is_denied(&output, words);
    story.end();
}

#[test]
fn a_sensor_changes_only_the_series_of_its_own_node() {
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
    let time = "2026-01-01T00:00:00.000000Z";
    let series = |names: &[&str]| {
        let processes: Vec<_> = names
            .iter()
            .map(|name| {
                json!({
                    "executable": name, "args": [name], "origin": "Exec", "count": 1,
                    "firstObservedTime": time, "lastObservedTime": time,
                })
            })
            .collect();
        json!({"series": {
            "count": 7, "lastObservedTime": time, "policyGeneration": 1,
            "bindingRefs": incident["spec"]["bindingRefs"], "firstProcesses": processes,
        }})
    };
    let alone = "a sensor can change only status.series, and only of Incidents of its own node";
    let apply = |token: &str, status: &Value| {
        let object = json!({
            "apiVersion": "bailiff.dev/v1alpha1",
            "kind": "Incident",
            "metadata": {
                "name": incident["metadata"]["name"], "namespace": incident["metadata"]["namespace"],
            },
            "status": status,
        });
        // Server-side, so that kubectl requests nothing that the sensor cannot read.
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
        (&elsewhere, series(&["/bin/tac"])),
        // The response to a write that changes nothing would be the whole Incident.
        (&elsewhere, json!({})),
        (&own, json!({"phase": "Resolved"})),
        (
            &own,
            json!({"workloadRef": {"apiVersion": "v1", "kind": "A", "name": "b", "uid": "c"}}),
        ),
    ] {
        is_denied(&apply(token, &status), alone);
    }
    let output = apply(&own, &series(&["/bin/tac"]));
    assert!(output.success, "{}", output.stderr);
    let output = apply(&own, &series(&["/bin/tac", "/bin/nl"]));
    assert!(output.success, "{}", output.stderr);
    // What a series began with stays.
    let first = "status.series.firstProcesses must keep its entries; only their count and lastObservedTime can change";
    for names in [&["/bin/nl", "/bin/tac"][..], &["/bin/tac"], &[]] {
        is_denied(&apply(&own, &series(names)), first);
    }
    story.end();
}

#[test]
fn a_sensor_writes_events_only_about_its_node_and_its_pod() {
    let story = Story::begin("sensor-events");
    let nodes = story.cluster.kubectl(&["get", "nodes", "-o", "name"]);
    let first = json!(nodes.lines().next().unwrap().replace("node/", ""));
    let (own, other) = (
        sensor_on(&story, &first, true),
        sensor_on(&story, &first, false),
    );
    let node_of = |sensor: &Value| {
        let name = &sensor["spec"]["nodeName"];
        json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": name})
    };
    let pod_of = |sensor: &Value| {
        let metadata = &sensor["metadata"];
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": NAMESPACE, "name": metadata["name"], "uid": metadata["uid"]})
    };
    let write = |token: &str, regarding: &Value, controller: &str| {
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": "stolen", "namespace": regarding["namespace"].as_str().unwrap_or("default")},
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "action": "Monitoring",
            "reason": "NodeMonitored", "reportingController": controller, "reportingInstance": "stolen",
            "regarding": regarding,
        });
        let create = ["create", "--dry-run=server", "-f", "-"];
        story
            .cluster
            .try_pipe_as(token, &create, &event.to_string())
    };
    let (sensor, controller) = ("bailiff.dev/sensor", "bailiff.dev/controller");
    let token = sensor_token(&story, Some(&own));
    for regarding in [node_of(&own), pod_of(&own)] {
        let output = write(&token, &regarding, sensor);
        assert!(output.success, "{}", output.stderr);
    }
    let object = "a sensor of Bailiff can write only Events about its own Node and its own Pod";
    for regarding in [node_of(&other), pod_of(&other)] {
        is_denied(&write(&token, &regarding, sensor), object);
    }
    let unbound = sensor_token(&story, None);
    is_denied(&write(&unbound, &node_of(&own), sensor), object);
    let name = "the sensor and the controller of Bailiff can create and update only Events with their own reportingController";
    is_denied(&write(&token, &node_of(&own), controller), name);
    let token = controller_token(&story);
    is_denied(&write(&token, &node_of(&own), sensor), name);
    let output = write(&token, &node_of(&other), controller);
    assert!(output.success, "{}", output.stderr);
    story.end();
}

#[test]
fn the_permissions_of_a_sensor_end_at_incidents_and_events() {
    let story = Story::begin("sensor-rbac");
    let account = format!("system:serviceaccount:{NAMESPACE}:bailiff-sensor");
    for (verb, resource) in [
        ("create", "pods/eviction"),
        ("delete", "pods"),
        ("patch", "pods"),
        ("get", "secrets"),
        ("patch", "runtimepolicies.bailiff.dev"),
        ("patch", "runtimepolicies.bailiff.dev/status"),
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
fn an_administrator_of_a_namespace_writes_no_incidents_and_reads_the_policy_that_one_names() {
    let story = Story::begin("tenant");
    story.policy("no-cat", "!('cat' in process.names)");
    story.apply(&deployment("web", BUSYBOX));
    let pod = story.ready_pod("app=web");
    let token = administrator(&story);
    let output = story
        .cluster
        .try_create_as(&token, &forged(&pod).to_string());
    is_denied(&output, ONLY_BAILIFF);

    let policy = format!("runtimepolicy/no-cat-{}", story.namespace);
    let output = story
        .cluster
        .try_pipe_as(&token, &["get", &policy, "-o", "name"], "");
    assert!(output.success, "{}", output.stderr);
    let output = story
        .cluster
        .try_pipe_as(&token, &["get", "runtimepolicies"], "");
    is_denied(&output, "cannot list resource");
    story.end();
}

#[test]
fn responses_wait_while_incidents_are_not_protected() {
    // It removes what every story depends on, so no other story runs at the same time.
    let story = Story::begin_alone("unprotected");
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
    // It waits without end: during an upgrade, the policy is missing for a moment.
    assert_eq!(incident["status"]["phase"], "Waiting");

    // `helm upgrade` restores it, and Bailiff retries.
    let _said = upgrade(&story.cluster, &[]);
    let _evicted = story.incident(&pod, "no-cat", "Responded", "Evicted");

    // A modified policy protects nothing.
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
            .contains("is modified"),
        "{incident}"
    );
    // Helm overwrites what somebody else wrote only if it is told to.
    let _said = upgrade(&story.cluster, &["--force-conflicts"]);
    story.end();
}
