//! Which pod takes the place of another.

use super::*;
use crate::testing::{DEPLOYMENT, SET, incident, named, owner};
use bailiff_testing::{ApiServer, Call};
use serde_json::json;

#[test]
fn what_a_workload_makes_is_read_from_its_spec_and_status() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let labels = |kind, object| match from_workload(kind, &object) {
        PodSource::Pods(labels, Some(wanted)) => format!("{wanted} of {labels}"),
        PodSource::Pods(labels, None) => labels,
        PodSource::PodsThatNameIt => "pods that name it".to_owned(),
        PodSource::NoMore => "no more".to_owned(),
        PodSource::Unknown => "unknown".to_owned(),
    };
    for (kind, object, want) in [
        (
            "Deployment",
            json!({"spec": {"replicas": 2, "selector": selector}}),
            "2 of app=web",
        ),
        (
            "Deployment",
            json!({"spec": {"replicas": 0, "selector": selector}}),
            "no more",
        ),
        (
            "ReplicationController",
            json!({"spec": {"replicas": 1, "selector": {"app": "web"}}}),
            "1 of app=web",
        ),
        (
            "StatefulSet",
            json!({"spec": {"selector": selector}}),
            "1 of app=web",
        ),
        (
            "Job",
            json!({"spec": {"selector": selector}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}),
            "no more",
        ),
        (
            "Job",
            json!({"spec": {"selector": selector}, "status": {"conditions": [{"type": "Failed", "status": "False"}]}}),
            "app=web",
        ),
        (
            "Job",
            json!({"spec": {"selector": selector}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
            "no more",
        ),
        (
            "Deployment",
            json!({"spec": {"selector": selector}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}),
            "1 of app=web",
        ),
        (
            "DaemonSet",
            json!({"spec": {"selector": selector}}),
            "1 of app=web",
        ),
        ("CronJob", json!({"spec": {}}), "unknown"),
    ] {
        assert_eq!(labels(kind, object.clone()), want, "{kind} {object}");
    }
}

#[test]
fn another_kind_with_the_same_uid_is_another_workload() {
    let reference = |api_version: &str, kind: &str| -> WorkloadReference {
        serde_json::from_value(
            json!({"apiVersion": api_version, "kind": kind, "name": "web", "uid": "web"}),
        )
        .unwrap()
    };
    let web = reference("apps/v1", "Deployment");
    assert!(is_same(&web, &web));
    assert!(!is_same(&web, &reference("x.example/v1", "Deployment")));
    assert!(!is_same(&web, &reference("apps/v1", "Foo")));
}

#[test]
fn a_pod_on_its_way_out_is_not_counted_as_ready() {
    let pod = |ready: &str, going: Option<&str>| -> Pod {
        serde_json::from_value(json!({
            "metadata": {"deletionTimestamp": going},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    };
    let pods = [
        pod("True", None),
        pod("True", None),
        pod("True", Some("2026-01-01T00:00:00Z")),
        pod("False", None),
        Pod::default(),
    ];
    let pods: Vec<_> = pods.iter().collect();
    assert_eq!(ready_pods(&pods), 2);
}

fn since() -> Timestamp {
    "2026-01-01T00:00:22Z".parse().unwrap()
}

/// A pod that is Ready since second 20.
fn ready(uid: &str, created: &str, owner: &Value) -> Value {
    json!({
        "metadata": {"name": uid, "namespace": "shop", "uid": uid,
            "creationTimestamp": format!("2026-01-01T00:00:{created}Z"), "ownerReferences": [owner],
            "labels": {"app": "web"}},
        "spec": {"nodeName": "node-2", "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": "True",
            "lastTransitionTime": "2026-01-01T00:00:20Z"}]},
    })
}

async fn found(
    workload: &Value,
    source: PodSource,
    pods: &[Value],
    rounds: Vec<Vec<Call>>,
    claim: impl FnMut(&str) -> Claim,
) -> Recovery {
    let (server, client) = ApiServer::playing(rounds);
    let incident = incident(&json!({ "workloadRef": workload }));
    let pods: Vec<Pod> = pods
        .iter()
        .map(|pod| serde_json::from_value(pod.clone()).unwrap())
        .collect();
    let pods: Vec<_> = pods.iter().collect();
    let deadline = Duration::from_hours(1_000_000);
    let looking = find_replacement(
        &client,
        &incident,
        (since(), deadline),
        &source,
        &pods,
        claim,
    );
    let recovery = Box::pin(looking).await;
    server.finish();
    recovery
}

fn granted(_: &str) -> Claim {
    Claim::Granted
}

fn of_web(wanted: usize) -> PodSource {
    PodSource::Pods("app=web".to_owned(), Some(wanted))
}

fn name(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Ready(pod) => pod.name.clone(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_replacement_is_led_to_its_workload_by_live_references() {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let set = owner("ReplicaSet", "web-5d8f", "set-uid");
    let pods = [ready("before", "05", &set), ready("after", "15", &set)];
    let rounds = vec![
        vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
        vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
    ];
    let recovery = found(&workload, of_web(1), &pods, rounds, granted).await;
    assert_eq!(name(&recovery), "after");
}

#[tokio::test]
async fn what_replaced_the_replacement_counts_for_both_once_the_workload_is_whole() {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let set = owner("ReplicaSet", "web-5d8f", "set-uid");
    for (replicas, want) in [(1, "after"), (2, "Waiting")] {
        let rounds = vec![
            vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
            vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
        ];
        let pods = [ready("after", "15", &set)];
        let taken = |_: &str| Claim::Taken;
        let recovery = found(&workload, of_web(replicas), &pods, rounds, taken).await;
        assert_eq!(name(&recovery), want, "{replicas} wanted");
    }
}

#[test]
fn the_pods_of_a_cron_job_are_those_of_its_job() {
    let cron: WorkloadReference = serde_json::from_value(
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "cron-uid"}),
    )
    .unwrap();
    let mut incident = incident(&json!({ "workloadRef": cron }));
    let mut creates = |job: &str| {
        let labels = &mut incident.spec.pod.labels;
        labels.insert(JOB_NAME.to_owned(), job.to_owned());
        let (resource, name) = creator(&cron, &incident).unwrap();
        format!("{} {name}", resource.kind)
    };
    assert_eq!(creates("nightly-1"), "Job nightly-1");
    // What is no name leads nowhere.
    assert_eq!(creates("../../other/jobs/x?y"), "CronJob nightly");
}

#[test]
fn a_workload_that_is_gone_or_another_creates_no_pod() {
    let workload: WorkloadReference = serde_json::from_value(
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"}),
    )
    .unwrap();
    let object = |uid: &str| -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "web", "uid": uid},
            "spec": {"selector": {"matchLabels": {"app": "web"}}}}))
        .unwrap()
    };
    let source = |object: Option<&DynamicObject>| pod_source(&workload, "Deployment", object);
    assert_eq!(source(None), PodSource::NoMore);
    assert_eq!(source(Some(&object("other"))), PodSource::NoMore);
    assert_eq!(source(Some(&object("web-uid"))), of_web(1));
}

#[tokio::test]
async fn a_workload_that_creates_no_pod_has_no_replacement() {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let recovery = found(&workload, PodSource::NoMore, &[], vec![], granted).await;
    let kind = Some("Deployment".to_owned());
    assert_eq!(recovery, Recovery::NoReplacementExpected(kind));
}

#[tokio::test]
async fn a_controller_that_is_not_read_is_known_by_the_pods_that_name_it() {
    let reference = |uid: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "PodSet", "name": "web", "uid": uid,
            "controller": true})
    };
    let pods = [
        ready("of-another", "15", &reference("other")),
        ready("its-own", "15", &reference("set")),
    ];
    let source = PodSource::PodsThatNameIt;
    let recovery = found(&reference("set"), source, &pods, vec![], granted).await;
    assert_eq!(name(&recovery), "its-own");
}

#[tokio::test]
async fn a_pod_that_is_left_to_another_incident_is_passed_over() {
    let reference = json!({"apiVersion": "example.com/v1", "kind": "PodSet", "name": "web",
        "uid": "set", "controller": true});
    let pods = [
        ready("of-the-earlier", "15", &reference),
        ready("its-own", "16", &reference),
    ];
    let left = |uid: &str| match uid {
        "of-the-earlier" => Claim::Reserved,
        _ => Claim::Granted,
    };
    for (count, want) in [(2, "its-own"), (1, "Waiting")] {
        let pods = pods.iter().take(count).cloned().collect::<Vec<_>>();
        let recovery = found(&reference, PodSource::PodsThatNameIt, &pods, vec![], left).await;
        assert_eq!(name(&recovery), want);
    }
}

#[test]
fn a_replacement_takes_the_place_of_the_pod_where_a_workload_has_places() {
    let incident = incident(&json!({}));
    let is = |kind: &str, name: &str, node: &str| {
        let workload = WorkloadReference {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: "web".to_owned(),
            uid: "w".to_owned(),
        };
        let mut pod: Pod =
            serde_json::from_value(ready("new", "15", &owner("ReplicaSet", "web", "w"))).unwrap();
        pod.metadata.name = Some(name.to_owned());
        pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        replacement(&pod, &incident, &workload, since()).is_some()
    };
    let (same, node) = (
        incident.spec.pod.name.as_str(),
        incident.spec.node_name.as_str(),
    );
    assert!(is("Deployment", "another", "node-2"));
    assert!(is("DaemonSet", "another", node));
    assert!(!is("DaemonSet", "another", "node-2"));
    assert!(is("StatefulSet", same, "node-2"));
    assert!(!is("StatefulSet", "another", node));
}

#[test]
fn a_replacement_may_be_made_before_the_answer_to_the_eviction_arrives() {
    let incident: Incident = serde_json::from_value(json!({
        "metadata": {"name": "inc-1", "namespace": "shop", "uid": "i"},
        "spec": {
            "type": "Violation", "severity": "High", "nodeName": "node-1",
            "policyRef": {"name": "p", "uid": "p", "generation": 1}, "bindingRefs": [],
            "pod": {"name": "web-1", "namespace": "shop", "uid": "old", "labels": {}}, "container": {},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"], "args": [],
                "argsTruncated": false, "executableSource": "Image", "origin": "Exec",
                "uid": 0, "gid": 0, "capabilities": [], "pid": 1,
                "startTime": "2026-01-01T00:00:28.000000Z", "ancestors": [],
            },
            "violations": [], "execTime": "2026-01-01T00:00:28.899000Z",
        },
    }))
    .unwrap();
    let workload = WorkloadReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: "w".to_owned(),
    };
    let made = |created: &str| -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-2", "uid": "new", "creationTimestamp": created},
            "spec": {"nodeName": "node-2", "containers": []},
            "status": {"conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"},
            ]},
        }))
        .unwrap()
    };
    let is = |created: &str, answered: &str| {
        let answered = answered.parse().unwrap();
        replacement(&made(created), &incident, &workload, answered).is_some()
    };
    assert!(is("2026-01-01T00:00:28Z", "2026-01-01T00:00:29.030Z"));
    assert!(is("2026-01-01T00:00:29Z", "2026-01-01T00:00:29.030Z"));
    assert!(
        !is("2026-01-01T00:00:27Z", "2026-01-01T00:00:29.030Z"),
        "it was there before the violation"
    );
    // An answer that was held back for an hour has nothing to do with pods made meanwhile.
    assert!(!is("2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"));
    assert!(is("2026-01-01T00:59:55Z", "2026-01-01T01:00:00Z"));
}
