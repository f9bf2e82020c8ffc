//! Owners by name, by UID, and as tenants write them.

use super::*;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

#[test]
fn a_pod_of_a_deployment_names_its_owners() {
    let hash = |hash: &str| BTreeMap::from([("pod-template-hash".to_owned(), hash.to_owned())]);
    assert_eq!(
        names("web-app-5d8f-x7k2p", &hash("5d8f")),
        Some(("web-app-5d8f", "web-app"))
    );
    // Of a StatefulSet or a DaemonSet, of another's hash, cut, without a Deployment's name.
    assert_eq!(names("db-0", &BTreeMap::new()), None);
    assert_eq!(names("web-5d8f-x7k2p", &hash("77aa")), None);
    assert_eq!(names("web-5d8x7k2p", &hash("5d8f")), None);
    assert_eq!(names("-5d8f-x7k2p", &hash("5d8f")), None);
    assert_eq!(names("5d8f-x7k2p", &hash("5d8f")), None);
    // No name leads elsewhere.
    assert_eq!(names("../web-5d8f-x7k2p", &hash("5d8f")), None);
    assert_eq!(names("web-5d8f/x?y-x7k2p", &hash("5d8f/x?y")), None);
}

#[test]
fn what_was_read_ahead_counts_only_with_the_uid_of_the_reference() {
    let ahead = || {
        let object = serde_json::from_value(json!({"metadata": {"name": "web-5d8f", "uid": "1"}}));
        let object = object.unwrap();
        Prefetch {
            found: vec![("ReplicaSet", "web-5d8f".to_owned(), object)],
        }
    };
    let reference = |kind: &str, uid: &str| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        name: "web-5d8f".to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    };
    assert!(
        ahead()
            .take("apps", &reference("ReplicaSet", "1"))
            .is_some()
    );
    assert!(
        ahead()
            .take("apps", &reference("ReplicaSet", "2"))
            .is_none()
    );
    assert!(
        ahead()
            .take("apps", &reference("Deployment", "1"))
            .is_none()
    );
    assert!(
        ahead()
            .take("batch", &reference("ReplicaSet", "1"))
            .is_none()
    );
}

fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

fn pod(owners: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "pod", "ownerReferences": owners,
            "labels": {"app": "web", "pod-template-hash": "5d8f"}},
    }))
    .unwrap()
}

fn object(uid: &str, owners: &Value) -> Value {
    selecting(uid, &json!({"matchLabels": {"app": "web"}}), owners)
}

fn selecting(uid: &str, selector: &Value, owners: &Value) -> Value {
    json!({
        "metadata": {"name": "x", "uid": uid, "ownerReferences": owners, "labels": {"app": "web"}},
        "spec": {"selector": selector},
    })
}

#[tokio::test]
async fn the_template_is_that_of_the_controller_above_the_pod() {
    let template = |image: &str| json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    let (mut set, mut top) = (
        object("set", &json!([deployment])),
        object("deployment", &json!([])),
    );
    set["spec"]["template"] = template("old");
    top["spec"]["template"] = template("new");
    let (server, client) = ApiServer::playing([
        vec![Call::get(SETS).gives(set)],
        vec![Call::get(DEPLOYMENTS).gives(top)],
    ]);
    let owners = json!([reference("apps/v1", "ReplicaSet", "web-5d8f", "set")]);
    let found = workload_with_template(&client, &pod(&owners), Prefetch::default()).await;
    let found = found.unwrap().unwrap();
    server.finish();
    assert_eq!(found.reference.kind, "Deployment");
    assert_eq!(found.template, Some(template("old")));
    // A controller that is not read has one that is not known.
    let owners = json!([reference("example.com/v1", "WebShop", "web", "uid")]);
    let client = ApiServer::silent();
    let found = workload_with_template(&client, &pod(&owners), Prefetch::default()).await;
    assert_eq!(found.unwrap().unwrap().template, None);
}

async fn followed(owners: &Value, calls: Vec<Vec<Call>>) -> Option<String> {
    let (server, client) = ApiServer::playing(calls);
    let top = workload_of(&client, &pod(owners), Prefetch::default())
        .await
        .unwrap();
    server.finish();
    top.map(|top| format!("{} {} {} {}", top.api_version, top.kind, top.name, top.uid))
}

const SETS: &str = "/apis/apps/v1/namespaces/shop/replicasets/web-5d8f";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

#[tokio::test]
async fn an_owner_that_is_not_read_ends_the_chain_and_is_no_immunity() {
    let set = reference("apps/v1", "ReplicaSet", "web-5d8f", "set");
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    let operator = reference("example.com/v1", "WebShop", "mine", "shop");
    let set_of = |owner: &Value| vec![Call::get(SETS).gives(object("set", &json!([owner])))];
    let cases = [
        ("no owner", json!([]), vec![], None),
        (
            "a Deployment of an operator's own object",
            json!([set]),
            vec![
                set_of(&deployment),
                vec![Call::get(DEPLOYMENTS).gives(object("deployment", &json!([operator])))],
            ],
            Some("apps/v1 Deployment web deployment"),
        ),
        (
            "a ReplicaSet of another kind",
            json!([set]),
            vec![set_of(&operator)],
            Some("apps/v1 ReplicaSet web-5d8f set"),
        ),
        (
            "a kind that is not read",
            json!([operator]),
            vec![],
            Some("example.com/v1 WebShop mine shop"),
        ),
        (
            "a ConfigMap as controller",
            json!([reference("v1", "ConfigMap", "cm", "cm")]),
            vec![],
            Some("v1 ConfigMap cm cm"),
        ),
        (
            "an owner that is not there",
            json!([set]),
            vec![vec![Call::get(SETS).is_missing()]],
            None,
        ),
        (
            "another of the owner's name",
            json!([set]),
            vec![vec![
                Call::get(SETS).gives(object("other", &json!([deployment]))),
            ]],
            None,
        ),
        (
            "an owner's owner that is gone",
            json!([set]),
            vec![
                set_of(&deployment),
                vec![Call::get(DEPLOYMENTS).is_missing()],
            ],
            Some("apps/v1 ReplicaSet web-5d8f set"),
        ),
        (
            "a version and a name that would lead elsewhere",
            json!([reference("apps/v1/x", "ReplicaSet", "../secrets/x", "set")]),
            vec![],
            None,
        ),
    ];
    for (name, owners, calls, want) in cases {
        assert_eq!(followed(&owners, calls).await.as_deref(), want, "{name}");
    }
}

/// A decoy that shared the cooldown of another's workload would keep it from being responded to, and
/// would write its Events.
#[tokio::test]
async fn a_decoy_belongs_to_no_workload_whose_uid_it_names() {
    let set = reference("apps/v1", "ReplicaSet", "web-5d8f", "set");
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    let other = json!({"matchLabels": {"app": "other"}});
    let none = json!([]);
    let cases = [
        (
            "a pod that a ReplicaSet does not select",
            json!([set]),
            vec![vec![Call::get(SETS).gives(selecting(
                "set",
                &other,
                &json!([deployment]),
            ))]],
            None,
        ),
        (
            "a pod that names the Deployment itself",
            json!([deployment]),
            vec![vec![
                Call::get(DEPLOYMENTS).gives(object("deployment", &none)),
            ]],
            None,
        ),
        (
            "a ReplicaSet of its own that names another's Deployment",
            json!([set]),
            vec![
                vec![Call::get(SETS).gives(object("set", &json!([deployment])))],
                vec![Call::get(DEPLOYMENTS).gives(selecting("deployment", &other, &none))],
            ],
            Some("apps/v1 ReplicaSet web-5d8f set"),
        ),
        (
            "an owner without a selector",
            json!([set]),
            vec![vec![Call::get(SETS).gives(selecting(
                "set",
                &json!({}),
                &none,
            ))]],
            None,
        ),
    ];
    for (name, owners, calls, want) in cases {
        assert_eq!(followed(&owners, calls).await.as_deref(), want, "{name}");
    }
}

#[tokio::test]
async fn a_cron_job_has_the_jobs_that_it_lists() {
    const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/nightly-1";
    const CRON_JOB: &str = "/apis/batch/v1/namespaces/shop/cronjobs/nightly";
    let job = reference("batch/v1", "Job", "nightly-1", "job");
    let cron_job = reference("batch/v1", "CronJob", "nightly", "cron");
    for (active, want) in [
        ("job", "batch/v1 CronJob nightly cron"),
        ("another", "batch/v1 Job nightly-1 job"),
    ] {
        let lists = json!({"metadata": {"uid": "cron"}, "status": {"active": [{"uid": active}]}});
        let calls = vec![
            vec![Call::get(JOB).gives(object("job", &json!([cron_job])))],
            vec![Call::get(CRON_JOB).gives(lists)],
        ];
        let found = followed(&json!([job]), calls).await;
        assert_eq!(found.as_deref(), Some(want));
    }
}

#[tokio::test]
async fn a_reference_is_cut_to_what_a_status_can_hold() {
    let long = "K".repeat(70);
    let owner = reference("example.com/v1", &long, &"n".repeat(300), "u");
    let (server, client) = ApiServer::playing([]);
    let found = workload_of(&client, &pod(&json!([owner])), Prefetch::default()).await;
    let found = found.unwrap().unwrap();
    assert_eq!((found.kind.len(), found.name.len()), (63, 253));
    // No object has such a UID, so nothing is known by it.
    let owner = reference("example.com/v1", "K", "n", &"u".repeat(65));
    let found = workload_of(&client, &pod(&json!([owner])), Prefetch::default()).await;
    assert_eq!(found.unwrap(), None);
    server.finish();
}

#[tokio::test]
async fn a_circle_of_owners_is_followed_to_its_end() {
    let set = reference("apps/v1", "ReplicaSet", "web-5d8f", "set");
    let circle = vec![
        vec![Call::get(SETS).gives(object("set", &json!([set])))],
        vec![Call::get(SETS).gives(object("set", &json!([set])))],
    ];
    let top = followed(&json!([set]), circle).await;
    assert_eq!(top.as_deref(), Some("apps/v1 ReplicaSet web-5d8f set"));
}

#[tokio::test]
async fn an_owner_that_can_not_be_read_is_not_known() {
    let set = json!([reference("apps/v1", "ReplicaSet", "web-5d8f", "set")]);
    let refused = Call::get(SETS).fails(500, "InternalError", "etcd is away");
    let (server, client) = ApiServer::playing([vec![refused]]);
    let error = workload_of(&client, &pod(&set), Prefetch::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read owner ReplicaSet \"web-5d8f\""
    );
    server.finish();
}
