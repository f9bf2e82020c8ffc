//! What is read of the cluster, and when a status is written.

use super::*;
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies";

fn pulse() -> Pulse {
    Health::default().watch("statuses", Duration::from_mins(1))
}

fn pod(namespace: &str, labels: &Value, node: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

#[tokio::test]
async fn every_page_is_read_and_a_node_is_covered_by_its_ready_sensor() {
    let sensor =
        json!({"app.kubernetes.io/name": "bailiff", "app.kubernetes.io/component": "sensor"});
    let list = |items: Value, token: &str| json!({"metadata": {"continue": token}, "items": items});
    let running = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    let space = |name: &str| json!({"metadata": {"name": name, "labels": {"team": name}}});
    let first_pods = json!([
        pod("bailiff-system", &sensor, "node-1", "True"),
        pod("bailiff-system", &sensor, "node-2", "False"),
        // Whoever labels their own pod covers nothing.
        pod("shop", &sensor, "node-3", "True"),
    ]);
    let (server, client) = ApiServer::playing([
        vec![Call::get("/api/v1/namespaces?&limit=500").gives(list(json!([space("shop")]), "x"))],
        vec![
            Call::get("/api/v1/namespaces?&limit=500&continue=x")
                .gives(list(json!([space("late")]), "")),
        ],
        vec![Call::get(&format!("/api/v1/pods?&{running}&limit=32")).gives(list(first_pods, "y"))],
        vec![
            Call::get(&format!("/api/v1/pods?&{running}&limit=32&continue=y")).gives(list(
                json!([pod("shop", &json!({"app": "web"}), "node-1", "True")]),
                "",
            )),
        ],
    ]);
    let cluster = read(&client, &Config::default(), &pulse()).await.unwrap();
    server.finish();
    let names: Vec<_> = cluster.namespaces.keys().collect();
    assert_eq!(names, ["late", "shop"]);
    assert_eq!(cluster.pods.len(), 4);
    assert_eq!(cluster.covered.into_iter().collect::<Vec<_>>(), ["node-1"]);
}

#[test]
fn reading_every_pod_takes_a_small_part_of_the_time() {
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    for (took, want) in [(ms(100), s(30)), (ms(1500), s(30)), (s(3), s(60))] {
        assert_eq!(pause(s(30), took), want, "{took:?}");
    }
}

fn policy(generation: i64) -> RuntimePolicy {
    serde_json::from_value(json!({
        "metadata": {"name": "no-shells", "generation": generation},
        "spec": {"validations": [{"expression": "true"}]},
    }))
    .unwrap()
}

#[test]
fn a_change_of_the_spec_is_news_and_one_of_the_status_is_not() {
    let mut known = Known::default();
    assert!(!known.learn(Ok(Event::Init), "policies"));
    assert!(!known.learn(Ok(Event::InitApply(policy(1))), "policies"));
    assert!(!known.listed);
    assert!(known.learn(Ok(Event::InitDone), "policies"));
    assert!(known.listed);
    assert!(!known.learn(Ok(Event::Apply(policy(1))), "policies"));
    assert!(known.learn(Ok(Event::Apply(policy(2))), "policies"));
    assert!(known.learn(Ok(Event::Delete(Box::new(policy(2).metadata))), "policies"));
    assert!(known.objects.is_empty());
    // A list anew, in which it is not any more.
    known.learn(Ok(Event::Apply(policy(3))), "policies");
    known.learn(Ok(Event::Init), "policies");
    assert_eq!(known.objects.len(), 1, "what was known stays until the end");
    known.learn(Ok(Event::InitDone), "policies");
    assert!(known.objects.is_empty());
}

fn listed(kind: &str, item: &Value) -> Value {
    let items: Vec<_> = Some(item)
        .filter(|item| !item.is_null())
        .into_iter()
        .collect();
    json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": kind,
        "metadata": {"resourceVersion": "1"}, "items": items})
}

#[tokio::test(start_paused = true)]
async fn what_a_sensor_wrote_meanwhile_is_not_written_over() {
    let empty = json!({"metadata": {}, "items": []});
    let mut known = serde_json::to_value(policy(1)).unwrap();
    known["metadata"]["resourceVersion"] = json!("5");
    let mut newer = known.clone();
    newer["metadata"]["resourceVersion"] = json!("6");
    let by_sensor = json!({"type": "EvaluationFailed", "status": "True", "reason": "FailureIgnored",
        "message": "on node n: …", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    newer["status"] = json!({"conditions": [by_sensor]});
    let ready = json!({"type": "Ready", "status": "True"});
    let of_version = |version: &str, conditions: Value| {
        Call::patch(&format!("{POLICIES}/no-shells/status")).with(json!({
            "metadata": {"resourceVersion": version}, "status": {"conditions": conditions}}))
    };
    let policies = listed("RuntimePolicyList", &known);
    let bindings = listed("RuntimePolicyBindingList", &Value::Null);
    let (server, client) = ApiServer::playing([
        vec![Call::get("/api/v1/namespaces").gives(empty.clone())],
        vec![Call::get("/api/v1/pods").gives(empty)],
        vec![
            Call::get(POLICIES).gives(policies),
            Call::get("/apis/bailiff.dev/v1alpha1/runtimepolicybindings").gives(bindings),
        ],
        vec![
            Call::get(POLICIES).gives(json!({"type": "MODIFIED", "object": newer})),
            Call::get("/apis/bailiff.dev/v1alpha1/runtimepolicybindings").is_silent(),
            of_version("5", json!([ready])).fails(409, "Conflict", "the object has been modified"),
        ],
        vec![
            Call::get(POLICIES).is_silent(),
            of_version("6", json!([ready, by_sensor])).gives(newer),
        ],
    ]);
    let keeping = keep(
        client,
        Config::default(),
        UndecodableObjects::default(),
        pulse(),
    );
    assert!(
        tokio::time::timeout(Duration::from_secs(5), keeping)
            .await
            .is_err()
    );
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_cannot_be_decoded_is_told_on_the_binding_and_stops_no_other() {
    const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicybindings";
    let empty = json!({"metadata": {}, "items": []});
    let binding = |name: &str, action: &str| {
        json!({"metadata": {"name": name, "uid": name, "generation": 3, "resourceVersion": "5"},
            "spec": {"policyName": "none", "responseActions": [action]}})
    };
    let bindings = json!({"metadata": {"resourceVersion": "1"},
        "items": [binding("bad", "Isolate"), binding("good", "Evict")]});
    let told = json!({"metadata": {"uid": "bad"}, "status": {"observedGeneration": 3, "conditions": [{
        "type": "Ready", "status": "False", "reason": "DecodeError", "observedGeneration": 3,
        "message": "This version of Bailiff cannot decode the object, so it never enforces. spec.responseActions[0]: unknown variant `Isolate`, expected one of `Audit`, `Evict`, `Delete`. Correct the field, or upgrade Bailiff."}]}});
    let not_found = json!({"status": {"conditions": [{"reason": "PolicyNotFound"}]}});
    let (server, client) = ApiServer::playing([
        vec![Call::get("/api/v1/namespaces").gives(empty.clone())],
        vec![Call::get("/api/v1/pods").gives(empty.clone())],
        vec![
            Call::get(POLICIES).gives(listed("RuntimePolicyList", &Value::Null)),
            Call::get(BINDINGS).gives(bindings),
        ],
        vec![
            Call::get(POLICIES).is_silent(),
            Call::get(BINDINGS).is_silent(),
            Call::patch(&format!("{BINDINGS}/bad/status"))
                .with(told)
                .gives(binding("bad", "Isolate")),
        ],
        vec![
            Call::patch(&format!("{BINDINGS}/good/status"))
                .with(not_found)
                .gives(binding("good", "Evict")),
        ],
    ]);
    let keeping = keep(
        client,
        Config::default(),
        UndecodableObjects::default(),
        pulse(),
    );
    let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    assert!(ended.is_err());
    server.finish();
}

#[tokio::test]
async fn a_status_is_written_once() {
    let path = format!("{POLICIES}/no-shells/status");
    let written = json!({"status": {"observedGeneration": 1, "conditions": [
        {"type": "Ready", "status": "True", "reason": "Compiled"}], "coverage": {"matchingNodes": 0}}});
    let reply = serde_json::to_value(policy(1)).unwrap();
    let (server, client) =
        ApiServer::playing([vec![Call::patch(&path).with(written).gives(reply)]]);
    let mut policies = Known::default();
    policies.learn(Ok(Event::Apply(policy(1))), "policies");
    let mut checked = Policies::default();
    checked.learn(&policies.objects);
    let (bindings, cluster) = (Known::default(), Cluster::default());
    write_all(&client, &policies, &checked, &bindings, &cluster, &pulse()).await;
    let policy = policies.objects.get_mut("no-shells").unwrap();
    let now = Timestamp::now();
    policy.status = Some(of_policy(
        policy,
        checked.get("no-shells").unwrap(),
        &cluster,
        now,
    ));
    write_all(&client, &policies, &checked, &bindings, &cluster, &pulse()).await;
    server.finish();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_the_pods_were_read() {
    let policies = listed(
        "RuntimePolicyList",
        &serde_json::to_value(policy(1)).unwrap(),
    );
    let bindings = listed("RuntimePolicyBindingList", &Value::Null);
    let refused = Call::get("/api/v1/namespaces").fails(500, "InternalError", "etcd is away");
    let (server, client) = ApiServer::playing([
        vec![refused],
        vec![
            Call::get(POLICIES).gives(policies),
            Call::get("/apis/bailiff.dev/v1alpha1/runtimepolicybindings").gives(bindings),
        ],
        vec![
            Call::get(POLICIES).is_silent(),
            Call::get("/apis/bailiff.dev/v1alpha1/runtimepolicybindings").is_silent(),
        ],
    ]);
    let keeping = keep(
        client,
        Config::default(),
        UndecodableObjects::default(),
        pulse(),
    );
    assert!(
        tokio::time::timeout(Duration::from_secs(5), keeping)
            .await
            .is_err()
    );
    server.finish();
}

#[test]
fn what_is_gone_from_a_status_is_taken_away() {
    let warned = json!({
        "typeChecking": {"expressionWarnings": [{"fieldRef": "a"}]},
        "coverage": {"matchingNodes": 1},
    });
    for (before, now, patch) in [
        (json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
        (
            warned.clone(),
            json!({"typeChecking": {}}),
            json!({"typeChecking": {"expressionWarnings": null}, "coverage": null}),
        ),
        (
            warned.clone(),
            json!({}),
            json!({"typeChecking": null, "coverage": null}),
        ),
        (Value::Null, warned.clone(), warned),
    ] {
        assert_eq!(merged(&before, &now), patch);
    }
}
