//! Which object gets which Event, and how often.

use super::*;
use crate::reports::Templates;
use bailiff_testing::{ApiServer, Call};
use futures::future::BoxFuture;
use serde_json::json;

const MESSAGE: &str = "container web uses repository docker.io/acme/web, which is not allowed. ImageAdmissionPolicy allowed-registries allows ghcr.io/acme/**. Use an image from an allowed repository.";
const NOTE: &str = "Cannot create a pod: container web uses repository docker.io/acme/web, which is not allowed. ImageAdmissionPolicy allowed-registries allows ghcr.io/acme/**. Use an image from an allowed repository. The ReplicaSet retries automatically, at the latest after 16 min 40 s.";
const SETS: &str = "/apis/apps/v1/namespaces/shop/replicasets/web-5d8f";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

/// A pod as a controller sends it: without name and UID, and here without a namespace.
fn pod(owner: &Value) -> Value {
    json!({"metadata": {"generateName": "web-5d8f-", "ownerReferences": [owner],
        "labels": {"app": "web", "pod-template-hash": "5d8f"}}})
}

fn object(uid: &str, owners: &Value) -> Value {
    json!({"metadata": {"name": "x", "uid": uid, "ownerReferences": owners, "labels": {"app": "web"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}}})
}

fn set() -> Value {
    reference("apps/v1", "ReplicaSet", "web-5d8f", "set")
}

/// The reads that lead to the Deployment.
fn chain() -> Vec<Vec<Call>> {
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    vec![
        vec![Call::get(SETS).gives(object("set", &json!([deployment])))],
        vec![Call::get(DEPLOYMENTS).gives(object("deployment", &json!([])))],
    ]
}

fn created(kind: &str, uid: &str, note: &str) -> Vec<Call> {
    vec![Call::post(EVENTS).with(json!({
        "reason": "ImageDenied", "action": "Admitting", "type": "Warning", "note": note,
        "regarding": {"kind": kind, "uid": uid, "namespace": "shop"},
        "reportingController": "bailiff.dev/webhook", "reportingInstance": "bailiff-webhook-0",
    }))]
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Denies the templates with the image `bad`.
struct Decisions;

impl Templates for Decisions {
    fn denial<'a>(
        &'a self,
        namespace: &'a str,
        template: &'a Value,
    ) -> BoxFuture<'a, Option<String>> {
        assert_eq!(namespace, "shop");
        let is_bad = template["spec"]["containers"][0]["image"] == "bad";
        let denial = is_bad.then(|| MESSAGE.to_owned());
        Box::pin(std::future::ready(denial))
    }
}

/// What is counted of denials that meet the calls.
async fn counted(denials: &[(Value, &str)], calls: Vec<Vec<Call>>) -> Vec<&'static str> {
    counted_for(Callers::Verified, denials, calls).await
}

/// The same for callers.
async fn counted_for(
    callers: Callers,
    denials: &[(Value, &str)],
    calls: Vec<Vec<Call>>,
) -> Vec<&'static str> {
    let (server, client) = ApiServer::playing(calls);
    let (events, mut writer) = WorkloadEvents::new(client, "bailiff-webhook-0".to_owned(), callers);
    let decisions: Arc<dyn Templates> = Arc::new(Decisions);
    events.confirm_with(Arc::downgrade(&decisions));
    writer.clock = now;
    for (pod, message) in denials {
        events.denied("shop", pod, message);
    }
    let results = events.events.clone();
    drop(events);
    writer.run().await;
    server.finish();
    results_of(&results)
}

fn results_of(events: &Family<ResultLabel, Counter>) -> Vec<&'static str> {
    let all = [
        EventResult::Created,
        EventResult::Repeated,
        EventResult::NoWorkload,
        EventResult::Unconfirmed,
        EventResult::Limited,
        EventResult::Failed,
    ];
    let times = |result: &EventResult| {
        let label = ResultLabel {
            result: result.label(),
        };
        events.get_or_create(&label).get()
    };
    let labels = all.iter().map(|result| (times(result), result.label()));
    labels
        .flat_map(|(times, label)| (0..times).map(move |_| label))
        .collect()
}

#[tokio::test]
async fn the_deployment_of_a_denied_pod_has_the_reason() {
    let mut calls = chain();
    calls.push(created("Deployment", "deployment", NOTE));
    assert_eq!(counted(&[(pod(&set()), MESSAGE)], calls).await, ["created"]);
}

/// Counts the Event with [`NOTE`] on the Deployment.
fn repeated(count: i32) -> Call {
    let series = json!({"count": count, "lastObservedTime": "2026-01-01T00:00:00.000000Z"});
    Call::patch(&format!("{EVENTS}/web.6322303e2325687c")).with(json!({"series": series}))
}

#[tokio::test]
async fn an_equal_denial_is_counted_and_another_one_is_reported() {
    let denial = (pod(&set()), MESSAGE);
    let other = "container web uses an image of ghcr.io/acme/web without a digest.";
    let note = format!(
        "Cannot create a pod: {other} The ReplicaSet retries automatically, at the latest after 16 min 40 s."
    );
    let denials = [denial.clone(), denial.clone(), (pod(&set()), other), denial];
    // The owners are read once.
    let mut calls = chain();
    calls.extend([
        created("Deployment", "deployment", NOTE),
        vec![repeated(2)],
        created("Deployment", "deployment", &note),
        vec![repeated(3)],
    ]);
    let results = counted(&denials, calls).await;
    assert_eq!(results, ["created", "created", "repeated", "repeated"]);
}

#[tokio::test]
async fn an_event_that_expired_is_written_again() {
    let denial = (pod(&set()), MESSAGE);
    let mut calls = chain();
    calls.extend([
        created("Deployment", "deployment", NOTE),
        vec![repeated(2).is_missing()],
        created("Deployment", "deployment", NOTE),
        vec![repeated(2)],
    ]);
    let results = counted(&[denial.clone(), denial.clone(), denial], calls).await;
    assert_eq!(results, ["created", "created", "repeated"]);
}

fn resources(kind: &str, namespaced: bool) -> Value {
    json!({"kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": [
        {"name": "webshops", "singularName": "webshop", "namespaced": namespaced, "kind": kind,
            "verbs": ["get"]}]})
}

#[tokio::test]
async fn an_owner_that_is_not_read_has_the_event_only_in_the_namespace_of_the_pod() {
    let shop = reference("example.com/v1", "WebShop", "mine", "uid");
    let note = "Cannot create a pod: no. The WebShop decides whether to retry.";
    let discovery = "/apis/example.com/v1";
    let core = |kind: &str| reference("v1", kind, "victim", "victim");
    let core_kinds = json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "nodes", "singularName": "node", "namespaced": false, "kind": "Node", "verbs": []}]});
    let cases = [
        (
            "an operator's own",
            shop.clone(),
            vec![
                vec![Call::get(discovery).gives(resources("WebShop", true))],
                created("WebShop", "uid", note),
            ],
            "created",
        ),
        (
            "without a namespace",
            shop.clone(),
            vec![vec![
                Call::get(discovery).gives(resources("WebShop", false)),
            ]],
            "no_workload",
        ),
        (
            "not served",
            shop.clone(),
            vec![vec![Call::get(discovery).is_missing()]],
            "no_workload",
        ),
        (
            "another kind",
            shop.clone(),
            vec![vec![Call::get(discovery).gives(resources("Other", true))]],
            "no_workload",
        ),
        (
            "not known",
            shop,
            vec![vec![Call::get(discovery).fails(
                503,
                "ServiceUnavailable",
                "later",
            )]],
            "error",
        ),
        (
            "a Node",
            core("Node"),
            vec![vec![Call::get("/api/v1").gives(core_kinds)]],
            "no_workload",
        ),
    ];
    for (name, owner, calls, result) in cases {
        assert_eq!(
            counted(&[(pod(&owner), "no.")], calls).await,
            [result],
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_owner_that_is_not_verified_has_no_event() {
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    let cases = [
        (
            "another ReplicaSet of this name",
            pod(&set()),
            vec![vec![
                Call::get(SETS).gives(object("other", &json!([deployment]))),
            ]],
            "no_workload",
        ),
        (
            "no ReplicaSet",
            pod(&set()),
            vec![vec![Call::get(SETS).is_missing()]],
            "no_workload",
        ),
        (
            "not known",
            pod(&set()),
            vec![vec![Call::get(SETS).fails(
                503,
                "ServiceUnavailable",
                "later",
            )]],
            "error",
        ),
        (
            "no owner",
            json!({"metadata": {"name": "web"}}),
            vec![],
            "no_workload",
        ),
        ("no metadata", json!(null), vec![], "no_workload"),
        (
            "an owner that is no controller",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet",
                "name": "web-5d8f", "uid": "set"}]}}),
            vec![],
            "no_workload",
        ),
        (
            "a path for a name",
            pod(&reference(
                "apps/v1",
                "ReplicaSet",
                "../../secrets/x",
                "set",
            )),
            vec![],
            "no_workload",
        ),
        (
            "a path for a version",
            pod(&reference("../v1/v2", "WebShop", "web", "set")),
            vec![],
            "no_workload",
        ),
        (
            "a path for a group",
            pod(&reference("..%2f/v1", "WebShop", "web", "set")),
            vec![],
            "no_workload",
        ),
        (
            "more labels than a pod needs",
            {
                let labels: serde_json::Map<_, _> =
                    (0..65).map(|n| (n.to_string(), json!("x"))).collect();
                let mut pod = pod(&set());
                pod["metadata"]["labels"] = Value::Object(labels);
                pod
            },
            vec![],
            "no_workload",
        ),
    ];
    for (name, pod, calls, result) in cases {
        assert_eq!(counted(&[(pod, MESSAGE)], calls).await, [result], "{name}");
    }
}

#[tokio::test]
async fn a_namespace_in_the_pod_does_not_count() {
    let mut pod = pod(&set());
    pod["metadata"]["namespace"] = json!("bank");
    let mut calls = chain();
    calls.push(created("Deployment", "deployment", NOTE));
    assert_eq!(counted(&[(pod, MESSAGE)], calls).await, ["created"]);
}

#[tokio::test]
async fn denials_beyond_the_budget_are_counted() {
    let denials = vec![(pod(&set()), MESSAGE); 20];
    let mut calls = chain();
    calls.push(created("Deployment", "deployment", NOTE));
    calls.extend((2..=16).map(|count| vec![repeated(count)]));
    let mut expected = vec!["created"];
    expected.extend([&["repeated"; 15][..], &["limited"; 4]].concat());
    assert_eq!(counted(&denials, calls).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_delays_no_review() {
    let (events, writer) =
        WorkloadEvents::new(ApiServer::silent(), String::new(), Callers::Verified);
    let begun = Instant::now();
    for number in 0..400 {
        events.denied(&format!("ns-{number}"), &pod(&set()), MESSAGE);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(
        results_of(&events.events),
        vec!["limited"; 400 - WAITING_LIMIT]
    );
    let results = events.events.clone();
    drop(events);
    writer.run().await;
    let failed = results_of(&results);
    let failed = failed.iter().filter(|result| **result == "error");
    assert_eq!(failed.count(), WAITING_LIMIT);
}

#[test]
fn a_note_is_short_and_printable() {
    let end = " The Job retries automatically, at the latest after 16 min 40 s.";
    assert_eq!(
        note::note("No.", "Job"),
        format!("Cannot create a pod: No.{end}")
    );
    let long = note::note(&"long ".repeat(1000), "Job");
    assert!(
        long.ends_with(&format!("...{end}")) && long.len() <= 1024,
        "{long}"
    );
    assert!(long.len() > 1015, "{}", long.len());
    let hostile = note::note("a\u{1b}[31m\n\u{202e}b", "Job");
    assert_eq!(
        hostile,
        format!("Cannot create a pod: a\\u{{1b}}[31m\\n\\u{{202e}}b{end}")
    );
    let whole = note::note(&"x".repeat(1024 - 21 - end.len() - 3), "Job");
    assert!(!whole.contains("..."), "{whole}");
}

/// The reads that lead to the Deployment, whose ReplicaSet has a template with an image.
fn chain_with(image: &str) -> Vec<Vec<Call>> {
    let deployment = reference("apps/v1", "Deployment", "web", "deployment");
    let mut set = object("set", &json!([deployment]));
    set["spec"]["template"] = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    let mut calls = chain();
    calls[0] = vec![Call::get(SETS).gives(set)];
    calls
}

#[tokio::test]
async fn a_caller_that_is_not_verified_can_say_nothing_about_a_workload_of_others() {
    let lie = "container web uses an image with a virus.";
    let forged = (pod(&set()), lie);
    // Pods of the live template would be admitted. Nothing is remembered of it.
    let mut calls = chain_with("good");
    calls.extend(chain_with("good"));
    let denials = [forged.clone(), forged.clone()];
    let results = counted_for(Callers::Unverified, &denials, calls).await;
    assert_eq!(results, ["unconfirmed", "unconfirmed"]);
    // Pods of the live template are rejected, and the Event says why, whatever the review was about.
    let mut calls = chain_with("bad");
    calls.push(created("Deployment", "deployment", NOTE));
    calls.push(vec![repeated(2)]);
    let results = counted_for(Callers::Unverified, &denials, calls).await;
    assert_eq!(results, ["created", "repeated"]);
    // The API server's word is enough.
    let mut calls = chain_with("good");
    let note = format!(
        "Cannot create a pod: {lie} The ReplicaSet retries automatically, at the latest after 16 min 40 s."
    );
    calls.push(created("Deployment", "deployment", &note));
    assert_eq!(counted(&[forged], calls).await, ["created"]);
}

#[tokio::test]
async fn a_caller_that_is_not_verified_has_nothing_asked_about_kinds_that_it_can_invent() {
    let shop = reference("example.com/v1", "WebShop", "mine", "uid");
    let results = counted_for(Callers::Unverified, &[(pod(&shop), MESSAGE)], Vec::new()).await;
    assert_eq!(results, ["unconfirmed"]);
    // A controller without a template.
    let results = counted_for(Callers::Unverified, &[(pod(&set()), MESSAGE)], chain()).await;
    assert_eq!(results, ["unconfirmed"]);
}
