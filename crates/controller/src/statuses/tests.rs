//! What is read of the cluster, and when a status is written.

use super::*;
use crate::testing::World;
use bailiff_kube::decode::Decoded;
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicies";
const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/runtimepolicybindings";
const SWITCH: &str = "/api/v1/namespaces/bailiff-system/configmaps/bailiff-response";

fn heartbeat() -> Heartbeat {
    Health::default().register_loop("statuses", Duration::from_mins(1))
}

fn pod(namespace: &str, labels: &Value, node: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

#[tokio::test]
async fn of_every_pod_so_much_is_kept_as_selectors_need_and_no_more() {
    let sensor =
        json!({"app.kubernetes.io/name": "bailiff", "app.kubernetes.io/component": "sensor"});
    let running = "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed";
    let mut labels = json!({"app": "web", "zone": "x"});
    for number in 0..1_000 {
        labels[format!("a{number}")] = json!("x".repeat(63));
    }
    let mut large = pod("shop", &labels, "node-1", "True");
    large["spec"]["containers"] = json!([{"name": "a", "env": vec![json!({"name": "A"}); 10_000]}]);
    large["metadata"]["annotations"] = json!({"a": "x".repeat(100_000)});
    // Its conditions are more than there is room for, and it stands all the same.
    let mut loud = pod("shop", &labels, "node-4", "True");
    loud["status"]["conditions"][0]["message"] = json!("x".repeat(100_000));
    let pods = json!([
        pod("bailiff-system", &sensor, "node-1", "True"),
        pod("bailiff-system", &sensor, "node-2", "False"),
        // Whoever labels their own pod monitors nothing.
        pod("shop", &sensor, "node-3", "True"),
        // One that cannot be decoded stops no other.
        json!({"metadata": {"name": "bad"}, "spec": {"nodeName": 7}}),
        large,
        loud,
    ]);
    let list = json!({"metadata": {"resourceVersion": "5"}, "items": pods});
    let path = format!("/api/v1/pods?&{running}&resourceVersion=0");
    let (server, client) = ApiServer::playing([vec![Call::get(&path).gives(list)]]);
    let world = World::new().with(|w| {
        w.policy["spec"]["matchConstraints"] =
            json!({"objectSelector": {"matchLabels": {"app": "web"}}});
    });
    let kept = named_labels(&world.cache());
    let all = ListWatch::new("/api/v1/pods", Some(RUNNING.to_owned()));
    let config = Config::default();
    let cluster = read(&client, &all, kept, &config, &heartbeat())
        .await
        .unwrap();
    server.finish();
    assert_eq!((cluster.pods.len(), cluster.unknown), (5, 1));
    for pod in &cluster.pods[3..] {
        let labels: Vec<_> = pod.labels.iter().collect();
        assert_eq!(labels, [(&"app".to_owned(), &"web".to_owned())]);
    }
    assert_eq!(cluster.pods[4].node.as_deref(), Some("node-4"));
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
    let keeping = run(responder, cache, Metrics::default(), heartbeat());
    let ended = tokio::time::timeout(Duration::from_secs(5), keeping).await;
    assert!(ended.is_err());
    server.finish();
}

fn empty() -> Value {
    json!({"metadata": {"resourceVersion": "1"}, "items": []})
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
