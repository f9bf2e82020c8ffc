//! Which pod takes the place of another.

use super::*;
use crate::testing::{DEPLOYMENT, SET, incident, named, owner};
use bailiff_testing::{ApiServer, Call};
use serde_json::json;

#[test]
fn what_a_workload_makes_is_read_from_its_spec_and_status() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let labels = |kind, object| match from_workload(kind, &object) {
        Makes::Pods(labels, Some(wanted)) => format!("{wanted} of {labels}"),
        Makes::Pods(labels, None) => labels,
        Makes::PodsThatNameIt => "pods that name it".to_owned(),
        Makes::NoMore => "no more".to_owned(),
        Makes::Unknown => "unknown".to_owned(),
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
    assert_eq!(ready_pods(&pods), 2);
}

const PODS: &str = "/api/v1/namespaces/shop/pods";

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

async fn found(workload: &Value, rounds: Vec<Vec<Call>>) -> Recovery {
    let (server, client) = ApiServer::playing(rounds);
    let incident = incident(&json!({ "workloadRef": workload }));
    let timeout = Duration::from_hours(1_000_000);
    let recovery = Box::pin(look(&client, &incident, since(), timeout, |_| {
        Claim::Counted
    }))
    .await;
    server.finish();
    recovery.unwrap()
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
    let listed = json!({"items": [
        ready("before", "05", &set),
        ready("after", "15", &set),
    ]});
    let recovery = found(
        &workload,
        vec![
            vec![Call::get(DEPLOYMENT).gives(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "uid": "web-uid"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}},
            }))],
            vec![Call::get(&format!("{PODS}?&labelSelector=app%3Dweb")).gives(listed)],
            vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
            vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
        ],
    )
    .await;
    assert_eq!(name(&recovery), "after");
}

#[tokio::test]
async fn what_replaced_the_replacement_counts_for_both_once_the_workload_is_whole() {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let set = owner("ReplicaSet", "web-5d8f", "set-uid");
    for (replicas, want) in [(1, "after"), (2, "Waiting")] {
        let (server, client) = ApiServer::playing([
            vec![Call::get(DEPLOYMENT).gives(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "uid": "web-uid"},
                "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}},
            }))],
            vec![
                Call::get(&format!("{PODS}?&labelSelector=app%3Dweb"))
                    .gives(json!({"items": [ready("after", "15", &set)]})),
            ],
            vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
            vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
        ]);
        let incident = incident(&json!({ "workloadRef": workload }));
        let timeout = Duration::from_hours(1_000_000);
        let elsewhere = |_: &str| Claim::Elsewhere;
        let recovery = Box::pin(look(&client, &incident, since(), timeout, elsewhere)).await;
        server.finish();
        assert_eq!(name(&recovery.unwrap()), want, "{replicas} wanted");
    }
}

#[tokio::test]
async fn the_pods_of_a_cron_job_are_those_of_its_job() {
    let cron =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "cron-uid"});
    let path = "/apis/batch/v1/namespaces/shop/jobs/nightly-1";
    let job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "nightly-1", "uid": "job-uid"},
        "spec": {"selector": {"matchLabels": {"job": "1"}}}});
    let of_cron = owner("CronJob", "nightly", "cron-uid");
    let mut of_cron = named("job-uid", &of_cron);
    of_cron["metadata"]["ownerReferences"][0]["apiVersion"] = json!("batch/v1");
    let mut of_job = owner("Job", "nightly-1", "job-uid");
    of_job["apiVersion"] = json!("batch/v1");
    let (server, client) = ApiServer::playing([
        vec![Call::get(path).gives(job)],
        vec![
            Call::get(&format!("{PODS}?&labelSelector=job%3D1"))
                .gives(json!({"items": [ready("after", "15", &of_job)]})),
        ],
        vec![Call::get(path).gives(of_cron)],
        vec![
            Call::get("/apis/batch/v1/namespaces/shop/cronjobs/nightly")
                .gives(json!({"metadata": {"uid": "cron-uid"}, "status": {"active": [{"uid": "job-uid"}]}})),
        ],
    ]);
    let mut incident = incident(&json!({ "workloadRef": cron }));
    let labels = &mut incident.spec.pod.labels;
    labels.insert(JOB_NAME.to_owned(), "nightly-1".to_owned());
    let timeout = Duration::from_hours(1_000_000);
    let claim = |_: &str| Claim::Counted;
    let recovery = Box::pin(look(&client, &incident, since(), timeout, claim)).await;
    server.finish();
    assert_eq!(name(&recovery.unwrap()), "after");
}

#[tokio::test]
async fn a_workload_that_is_gone_makes_no_new_pod() {
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"});
    let gone = Call::get(DEPLOYMENT).is_missing();
    let recovery = found(&workload, vec![vec![gone]]).await;
    assert_eq!(
        recovery,
        Recovery::NoReplacementExpected(Some("Deployment".to_owned()))
    );
}

#[tokio::test]
async fn a_job_that_is_no_name_is_asked_for_nowhere() {
    let workload =
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "cron-uid"});
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "nightly", "uid": "cron-uid"}, "spec": {}});
    let read = Call::get("/apis/batch/v1/namespaces/shop/cronjobs/nightly").gives(cron);
    let (server, client) = ApiServer::playing([vec![read]]);
    let mut incident = incident(&json!({ "workloadRef": workload }));
    let labels = &mut incident.spec.pod.labels;
    labels.insert(JOB_NAME.to_owned(), "../../other/jobs/x?y".to_owned());
    let timeout = Duration::from_hours(1_000_000);
    let recovery = Box::pin(look(&client, &incident, since(), timeout, |_| {
        Claim::Counted
    }))
    .await;
    server.finish();
    assert_eq!(recovery.unwrap(), Recovery::Waiting);
}

#[tokio::test]
async fn a_controller_that_is_not_read_is_known_by_the_pods_that_name_it() {
    let reference = |uid: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "PodSet", "name": "web", "uid": uid,
            "controller": true})
    };
    let listed = json!({"items": [
        ready("of-another", "15", &reference("other")),
        ready("its-own", "15", &reference("set")),
    ]});
    let every_pod = Call::get(&format!("{PODS}?")).gives(listed);
    let recovery = found(&reference("set"), vec![vec![every_pod]]).await;
    assert_eq!(name(&recovery), "its-own");
}

#[tokio::test]
async fn a_pod_that_is_left_to_another_incident_is_passed_over() {
    let reference = json!({"apiVersion": "example.com/v1", "kind": "PodSet", "name": "web",
        "uid": "set", "controller": true});
    let listed = json!({"items": [
        ready("of-the-earlier", "15", &reference),
        ready("its-own", "16", &reference),
    ]});
    let left = |uid: &str| match uid {
        "of-the-earlier" => Claim::Earlier,
        _ => Claim::Counted,
    };
    for (items, want) in [(2, "its-own"), (1, "Waiting")] {
        let mut listed = listed.clone();
        listed["items"].as_array_mut().unwrap().truncate(items);
        let every_pod = Call::get(&format!("{PODS}?")).gives(listed);
        let (server, client) = ApiServer::playing([vec![every_pod]]);
        let incident = incident(&json!({ "workloadRef": reference }));
        let timeout = Duration::from_hours(1_000_000);
        let recovery = Box::pin(look(&client, &incident, since(), timeout, left)).await;
        server.finish();
        assert_eq!(name(&recovery.unwrap()), want);
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
