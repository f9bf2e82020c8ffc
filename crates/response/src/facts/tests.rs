//! What is read out of a live pod.

use super::*;
use crate::tests::{incident, incident_of};
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
            "priorityClassName": "high",
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
        terminating: None,
        evicted: None,
        finished: false,
        mirror: false,
        own: false,
        critical: false,
        grace_period_seconds: 5,
        started: None,
        shortened: false,
    };
    assert_eq!(read, want);
    let with = |path: &str, value: Value| {
        let mut pod = pod.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[key] = value;
        facts(pod)
    };
    let mut ends = pod.clone();
    ends["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    ends["metadata"]["deletionGracePeriodSeconds"] = json!(40);
    let termination = Termination {
        ends: "2026-01-01T00:00:00Z".parse().unwrap(),
        grace_period_seconds: 40,
    };
    assert_eq!(facts(ends).terminating, Some(termination));
    for (class, critical) in [
        ("system-cluster-critical", true),
        ("system-node-critical", true),
        ("system-node-critical-x", false),
    ] {
        let read = with("/spec/priorityClassName", json!(class));
        assert_eq!(read.critical, critical, "{class}");
    }
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

#[test]
fn a_pod_started_with_its_first_container_but_not_before_it_was_scheduled() {
    let at = |second: u8| format!("2026-01-01T00:00:{second:02}Z");
    let time = |second: u8| Some(at(second).parse::<Timestamp>().unwrap());
    let running = |second, restarts| {
        json!({"name": "app", "image": "", "imageID": "", "ready": true,
        "restartCount": restarts, "state": {"running": {"startedAt": at(second)}}})
    };
    let ended = |second| {
        json!({"name": "setup", "image": "", "imageID": "", "ready": true,
        "restartCount": 0, "state": {"terminated": {"exitCode": 0, "startedAt": at(second)}}})
    };
    let started = |scheduled: bool, init: Vec<Value>, apps: Vec<Value>| {
        let scheduled = json!({"type": "PodScheduled", "lastTransitionTime": at(10),
            "status": if scheduled { "True" } else { "False" }});
        facts(
            json!({"status": {"conditions": [scheduled], "initContainerStatuses": init,
            "containerStatuses": apps}}),
        )
        .started
    };
    assert_eq!(
        started(true, vec![], vec![running(20, 0), running(30, 0)]),
        time(20)
    );
    assert_eq!(
        started(true, vec![ended(15)], vec![running(20, 0)]),
        time(15)
    );
    assert_eq!(started(true, vec![], vec![]), time(10));
    // A node cannot make it earlier, and after a restart nothing tells.
    assert_eq!(started(true, vec![], vec![running(5, 0)]), time(10));
    assert_eq!(started(true, vec![], vec![running(40, 1)]), time(10));
    assert_eq!(started(false, vec![], vec![running(20, 0)]), None);
}

#[test]
fn the_last_verdict_of_a_series_counts() {
    let of = |incident: &Incident| {
        let facts = ViolationFacts::of(incident);
        (facts.policy_generation, facts.binding_uids)
    };
    assert_eq!(of(&incident()), (1, vec!["a-uid".to_owned()]));
    let incident = incident_of(&json!({"status": {"series": {
        "count": 2, "lastObservedTime": "2026-01-01T00:00:09.000000Z", "policyGeneration": 3,
        "bindingRefs": [{"name": "a", "uid": "new-uid"}, {"name": "b", "uid": "b-uid"}],
    }}}));
    let uids = vec!["new-uid".to_owned(), "b-uid".to_owned()];
    assert_eq!(of(&incident), (3, uids));
    let names: Vec<_> = last_verdict(&incident).1.iter().map(|b| &b.name).collect();
    assert_eq!(names, ["a", "b"], "they are read by these names");
}

#[test]
fn only_an_evidence_of_hooks_alone_is_one_of_hooks() {
    let of = |first: &str, later: Option<&str>| {
        let at = "2026-01-02T00:00:00.000000Z";
        let later = later.map(|origin| {
            json!([{"executable": "/bin/sh", "origin": origin, "count": 1,
            "firstObservedTime": at, "lastObservedTime": at}])
        });
        let series = json!({"count": 2, "lastObservedTime": at, "policyGeneration": 1,
            "bindingRefs": [], "lastProcesses": later.unwrap_or_else(|| json!([]))});
        let patch = json!({"spec": {"process": {"origin": first}}, "status": {"series": series}});
        ViolationFacts::of(&incident_of(&patch)).hooks_only
    };
    for (first, later, want) in [
        ("Probe", None, true),
        ("Lifecycle", Some("Probe"), true),
        ("Probe", Some("Exec"), false),
        ("Exec", Some("Probe"), false),
        ("Unknown", None, false),
        ("Entrypoint", None, false),
    ] {
        assert_eq!(of(first, later), want, "{first} {later:?}");
    }
}

#[test]
fn a_violation_is_as_recent_as_the_api_server_recorded_it() {
    let of = |fields: Value| {
        let later = "2026-01-02T05:00:00Z";
        let entry = json!({"manager": "m", "operation": "Update", "time": later,
            "subresource": "status", "fieldsV1": {"f:status": fields}});
        let incident = incident_of(&json!({"metadata": {"managedFields": [entry]}}));
        ViolationFacts::of(&incident).last_recorded.to_string()
    };
    let created = "2026-01-02T00:00:00Z";
    assert_eq!(of(json!({"f:series": {}})), "2026-01-02T05:00:00Z");
    assert_eq!(of(json!({"f:conditions": {}})), created);
    assert_eq!(of(json!({"f:conditions": {}, "f:series": {}})), created);
    assert_eq!(
        ViolationFacts::of(&incident()).last_recorded.to_string(),
        created
    );
}
