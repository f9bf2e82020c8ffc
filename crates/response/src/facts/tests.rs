//! What is read out of a live pod.

use super::*;
use serde_json::{Value, json};

fn facts(pod: Value) -> PodFacts {
    PodFacts::of(&serde_json::from_value(pod).unwrap(), "bailiff-system")
}

#[test]
fn everything_that_matters_of_a_pod_is_read() {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "pod-uid"},
        "spec": {
            "nodeName": "node-1", "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "app"}, {"name": "proxy"}],
            "initContainers": [{"name": "setup"}],
            "ephemeralContainers": [{"name": "debugger"}],
        },
        "status": {"phase": "Running"},
    });
    let read = facts(pod.clone());
    let want = PodFacts {
        uid: "pod-uid".to_owned(),
        node_name: Some("node-1".to_owned()),
        containers: ["app", "proxy", "setup", "debugger"]
            .map(str::to_owned)
            .into(),
        terminating: false,
        evicted: None,
        finished: false,
        mirror: false,
        own: false,
        grace_period_seconds: 5,
    };
    assert_eq!(read, want);
    let with = |path: &str, value: Value| {
        let mut pod = pod.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        facts(pod)
    };
    let ends = json!("2026-01-01T00:00:00Z");
    assert!(with("/metadata/deletionTimestamp", ends).terminating);
    for (phase, finished) in [
        ("Succeeded", true),
        ("Failed", true),
        ("Pending", false),
        ("Unknown", false),
    ] {
        let read = with("/status/phase", json!(phase));
        assert_eq!(read.finished, finished, "{phase}");
    }
    let default = with("/spec/terminationGracePeriodSeconds", Value::Null);
    assert_eq!(default.grace_period_seconds, 30);
}

#[test]
fn a_static_pods_copy_is_known_by_its_annotation() {
    let pod = |annotation: &str| json!({"metadata": {"annotations": {annotation: "1"}}, "spec": {"containers": []}});
    assert!(facts(pod("kubernetes.io/config.mirror")).mirror);
    assert!(!facts(pod("kubernetes.io/config.source")).mirror);
}

#[test]
fn a_pod_is_bailiffs_own_by_label_and_namespace_together() {
    let own = |namespace: &str, name: &str| {
        let labels = json!({"app.kubernetes.io/name": name});
        facts(json!({"metadata": {"namespace": namespace, "labels": labels}})).own
    };
    assert!(own("bailiff-system", "bailiff"));
    assert!(!own("shop", "bailiff"), "everyone may set a label");
    assert!(!own("bailiff-system", "web"));
}

#[test]
fn an_eviction_is_known_by_the_condition_that_it_leaves() {
    let evicted = |type_: &str, status: &str, reason: &str| {
        let at = "2026-01-01T00:00:00Z";
        let condition =
            json!({"type": type_, "status": status, "reason": reason, "lastTransitionTime": at});
        let other = json!({"type": "Ready", "status": "True", "lastTransitionTime": at});
        facts(json!({"status": {"conditions": [other, condition]}})).evicted
    };
    let reason = "EvictionByEvictionAPI";
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(evicted("DisruptionTarget", "True", reason), Some(at));
    for (type_, status, reason) in [
        ("Ready", "True", reason),
        ("DisruptionTarget", "False", reason),
        ("DisruptionTarget", "True", "PreemptionByScheduler"),
    ] {
        let found = evicted(type_, status, reason);
        assert_eq!(found, None, "{type_} {status} {reason}");
    }
}
