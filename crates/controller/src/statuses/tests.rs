//! What is read of the cluster, and when a status is written.

use super::*;
use crate::testing::World;
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicybindings";
const SWITCH: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-response";

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
async fn every_page_is_read_and_a_node_is_monitored_by_its_ready_sensor() {
    let sensor =
        json!({"app.kubernetes.io/name": "bailiff", "app.kubernetes.io/component": "sensor"});
    let list = |items: Value, token: &str| json!({"metadata": {"continue": token}, "items": items});
    let running = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    let first_pods = json!([
        pod("bailiff-system", &sensor, "node-1", "True"),
        pod("bailiff-system", &sensor, "node-2", "False"),
        // Whoever labels their own pod monitors nothing.
        pod("shop", &sensor, "node-3", "True"),
        // One that cannot be decoded stops no other.
        json!({"metadata": {"name": "bad"}, "spec": {"nodeName": 7}}),
    ]);
    let (server, client) = ApiServer::playing([
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
    assert_eq!(cluster.pods.len(), 4);
    let sensors: Vec<_> = cluster.sensors.into_iter().collect();
    assert_eq!(
        sensors,
        [("node-1".to_owned(), true), ("node-2".to_owned(), false)]
    );
}

#[test]
fn reading_every_pod_takes_a_small_part_of_the_time() {
    let (s, ms) = (Duration::from_secs, Duration::from_millis);
    for (took, want) in [(ms(100), s(30)), (ms(1500), s(30)), (s(3), s(60))] {
        assert_eq!(pause(s(30), took), want, "{took:?}");
    }
}

/// Plays a scenario while statuses are kept, for a few seconds.
async fn kept(world: &World, bad: &[(&str, Value)], rounds: Vec<Vec<Call>>) {
    let (server, client) = ApiServer::playing(rounds);
    let (responder, _recovering) = world.controller(client, Config::default());
    let cache = world.cache();
    for (kind, object) in bad {
        let decoded = Decoded::<RuntimePolicyBinding>::from_text(&object.to_string());
        assert!(cache.undecodable.observe(kind, decoded));
    }
    let keeping = run(responder, cache, Metrics::default(), pulse());
    let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    assert!(ended.is_err());
    server.finish();
}

fn empty() -> Value {
    json!({"metadata": {}, "items": []})
}

fn reads() -> Vec<Vec<Call>> {
    vec![
        vec![Call::get("/api/v1/pods").gives(empty())],
        vec![Call::get("/api/v1/nodes").gives(empty())],
        vec![Call::get(SWITCH).is_missing()],
    ]
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_over_the_version_that_it_was_made_from() {
    let world = World::new().with(|w| {
        w.policy["metadata"]["resourceVersion"] = json!("5");
        w.bindings.clear();
    });
    let ready = json!({"metadata": {"resourceVersion": "5"},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}});
    let write = || Call::patch(&format!("{POLICIES}/no-shells/status")).with(ready.clone());
    let mut rounds = reads();
    rounds.push(vec![write().fails(
        409,
        "Conflict",
        "the object has been modified",
    )]);
    // It is computed again, from what the watch has brought by then.
    rounds.extend((0..4).map(|_| vec![write().fails(409, "Conflict", "modified")]));
    kept(&world, &[], rounds).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_the_pods_were_read() {
    let refused = Call::get("/api/v1/pods").fails(500, "InternalError", "etcd is away");
    let rounds = vec![vec![refused], vec![Call::get(SWITCH).is_missing()]];
    kept(&World::new(), &[], rounds).await;
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_cannot_be_decoded_is_told_on_the_binding_and_stops_no_other() {
    let world = World::new().with(|w| w.policy = Value::Null);
    let bad = json!({
        "metadata": {"name": "bad", "uid": "bad", "generation": 3, "resourceVersion": "5"},
        "spec": {"policyName": "none", "responseActions": ["Isolate"]},
    });
    let told = json!({"metadata": {"uid": "bad"}, "status": {"observedGeneration": 3, "conditions": [{
        "type": "Ready", "status": "False", "reason": "DecodeError", "observedGeneration": 3,
        "message": "This version of Bailiff cannot decode the object, so it never enforces. spec.responseActions[0]: unknown variant `Isolate`, expected one of `Audit`, `Evict`, `Delete`. Correct the field, or upgrade Bailiff."}]}});
    let not_found = json!({"status": {"conditions": [{"reason": "PolicyNotFound"}]}});
    let mut rounds = reads();
    rounds.push(vec![
        Call::patch(&format!("{BINDINGS}/bad/status"))
            .with(told)
            .gives(bad.clone()),
    ]);
    rounds.push(vec![
        Call::patch(&format!("{BINDINGS}/a/status"))
            .with(not_found)
            .gives(crate::testing::binding("a", "Evict")),
    ]);
    kept(&world, &[("RuntimePolicyBinding", bad)], rounds).await;
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
