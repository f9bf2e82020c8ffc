//! What the kubelet itself runs: probes and lifecycle hooks, which are no exec of a person, the
//! sandbox of a pod, and static pods, which no controller brings back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_e2e::Story;
use bailiff_e2e::workload::BUSYBOX;
use bailiff_testbed::Cluster;
use serde_json::Value;

/// A Deployment whose probes run shells, as a command and by a script's first line, and with a hook.
const PROBED: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: scripts, namespace: NAMESPACE}
data:
  ready.sh: |
    #!/bin/sh
    exec true
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      volumes:
      - {name: scripts, configMap: {name: scripts, defaultMode: 0755}}
      containers:
      - name: app
        image: bailiff.dev/testbed/busybox:1
        imagePullPolicy: Never
        command: [sleep, '100000']
        env:
        - {name: FILE, value: /etc/hostname}
        volumeMounts:
        - {name: scripts, mountPath: /scripts}
        livenessProbe:
          exec: {command: [sh, -c, 'exec cat $(FILE)']}
          periodSeconds: 1
          timeoutSeconds: 60
        readinessProbe:
          exec: {command: [/scripts/ready.sh]}
          periodSeconds: 1
          timeoutSeconds: 60
        lifecycle:
          postStart:
            exec: {command: [touch, /started]}
";

#[test]
fn probes_and_hooks_are_told_from_an_exec() {
    let story = Story::begin("probes");
    story.policy(
        "no-shells",
        "process.origin != 'Exec' || !process.names.exists(n, n == 'sh')",
    );
    story.bind("no-shells", "[Evict]", "");
    for (name, expression) in [
        (
            "no-probed-cat",
            "process.origin != 'Probe' || !('cat' in process.names)",
        ),
        (
            "no-probe-script",
            "process.origin != 'Probe' || !has(process.script)",
        ),
        (
            "no-hook",
            "process.origin != 'Lifecycle' || !('touch' in process.names)",
        ),
    ] {
        story.policy(name, expression);
        story.bind(name, "[Audit]", "");
    }
    story.apply(PROBED);
    let pod = story.ready_pod("app=web");
    for (policy, origin) in [
        ("no-probed-cat", "Probe"),
        ("no-probe-script", "Probe"),
        ("no-hook", "Lifecycle"),
    ] {
        let incident = story.incident(&pod, policy, "Responded", "AuditOnly");
        assert_eq!(incident["spec"]["process"]["origin"], origin, "{policy}");
    }
    // Both probes ran several times by now, and none of their shells was taken for an exec.
    let probed = format!("incident/{}", story.incident_name(&pod, "no-probed-cat"));
    story.wait("jsonpath={.status.series.count}", &[&probed]);
    let name = story.incident_name(&pod, "no-shells");
    let listed = story.kubectl(&["get", "incidents", "-o", "name"]);
    assert!(!listed.contains(&name), "{listed}");
    // A person's exec in the same pod is one.
    let _cut_off = story.exec(&pod, &["sh", "-c", "sleep 5"]);
    let _incident = story.incident(&pod, "no-shells", "Responded", "Evicted");
    story.end();
}

/// An application that starts something else than itself when the sandbox's time is over: the pod's
/// status never names the sandbox, and the sensor waits 30 s for it (`podLookupTimeout`).
const LATE: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: app
        image: bailiff.dev/testbed/debian:1
        imagePullPolicy: Never
        command: [bash, -c, 'sleep 35; cat /etc/hostname; sleep 100000']
";

#[test]
fn a_policy_about_containers_says_nothing_of_the_sandbox() {
    let story = Story::begin("sandbox");
    story.policy(
        "only-bash",
        "container.type != 'App' || process.origin != 'Entrypoint' \
         || process.names.exists(n, n in ['bash', 'sleep'])",
    );
    story.bind("only-bash", "[Audit]", "");
    story.apply(LATE);
    let pod = story.ready_pod("app=web");
    let incident = story.incident(&pod, "only-bash", "Responded", "AuditOnly");
    assert_eq!(incident["spec"]["container"]["name"], "app");
    assert_eq!(incident["spec"]["process"]["names"][0], "cat");
    let incidents = story.get(&["incidents"]);
    let count = incidents["items"].as_array().unwrap().len();
    assert_eq!(count, 1, "no evaluation error: {incidents:#}");
    story.end();
}

#[test]
fn a_static_pod_is_seen_and_left_to_its_node() {
    let story = Story::begin("static");
    story.policy("no-cat", "!('cat' in process.names)");
    story.bind(
        "no-cat",
        "[Evict]",
        "guardrails: {unmanagedPodPolicy: Respond}",
    );
    let cluster = Cluster::running().unwrap();
    let manifest = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "fixed", "namespace": story.namespace, "labels": {"app": "fixed"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sleep", "100000"]}],
        },
    });
    cluster
        .write_static_pod("node1", &story.namespace, &manifest.to_string())
        .unwrap();
    let pod: Value = story.ready_pod("app=fixed");
    let _ran = story.exec(&pod, &["cat", "/etc/hostname"]);
    let _incident = story.incident(&pod, "no-cat", "Responded", "MirrorPod");
    let still = story.get(&["pod", "fixed-node1"]);
    assert_eq!(still["metadata"]["uid"], pod["metadata"]["uid"]);
    cluster
        .remove_static_pod("node1", &story.namespace)
        .unwrap();
    story.wait("delete", &["pod/fixed-node1"]);
    story.end();
}
