//! Watches of workloads that recover, and what is reported.

use super::*;
use crate::config::Config;
use crate::testing::{
    DEPLOYMENT, EVENTS, SET, STATUS, World, incident, incident_json, named, owner,
};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const PODS: &str = "/api/v1/namespaces/shop/pods";

/// An Incident whose pod was removed at second 10.
fn removed() -> Incident {
    incident(&json!({
        "response": {"action": "Evict", "bindingName": "a", "time": "2026-01-01T00:00:10.000000Z"},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web-uid"},
    }))
}

fn list(items: &Value) -> Value {
    json!({"metadata": {"resourceVersion": "1"}, "items": items})
}

fn deployment(replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "uid": "web-uid", "resourceVersion": "1"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}}})
}

fn pod(ready: &str) -> Value {
    json!({
        "metadata": {"name": "web-new", "namespace": "shop", "uid": "new", "resourceVersion": "2",
            "creationTimestamp": "2026-01-01T00:00:12Z", "labels": {"app": "web"},
            "ownerReferences": [owner("ReplicaSet", "web-5d8f", "set-uid")]},
        "spec": {"nodeName": "node-2", "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready,
            "lastTransitionTime": "2026-01-01T00:00:20Z"}]},
    })
}

/// Plays what the watches ask for, and what other requests do.
async fn followed(
    by_watches: Vec<Vec<Call>>,
    requested: Vec<Vec<Call>>,
    deadline: Duration,
) -> Option<News> {
    let (watch_server, watches) = ApiServer::playing(by_watches);
    let (server, client) = ApiServer::playing(requested);
    let config = Config {
        replacement_deadline: deadline,
        ..Config::default()
    };
    let (controller, _recovering) = World::new().controller(client, config);
    let (send, incidents) = mpsc::unbounded_channel();
    let (send_news, mut news) = mpsc::unbounded_channel();
    // Twice, as the watch of Incidents brings it after the response, too.
    for _ in 0..2 {
        send.send(Box::new(removed())).unwrap();
    }
    let following = tokio::spawn(follow(
        Arc::clone(&controller),
        watches,
        incidents,
        send_news,
    ));
    // A request that was not expected ends the task, and then nothing comes.
    let reported = tokio::time::timeout(Duration::from_secs(30), news.recv()).await;
    let reported = reported.expect("nothing was reported");
    controller.stopping().cancel();
    following.await.unwrap();
    let scope = ClaimScope::of(&removed()).unwrap();
    let earlier = controller.claims().earlier(&scope, Timestamp::MAX, "");
    assert_eq!(earlier, 0, "what is over waits for nothing");
    server.finish();
    watch_server.finish();
    reported
}

const LONG: Duration = Duration::from_hours(1_000_000);

#[tokio::test(start_paused = true)]
async fn a_replacement_is_found_by_watching_and_reported_once() {
    let written = json!({"status": {
        "conditions": [{"type": "Recovered", "status": "True", "reason": "ReplacementReady"}],
        "replacement": {"name": "web-new", "uid": "new", "nodeName": "node-2"},
    }});
    let event = json!({"reason": "ReplacementReady", "action": "Replacing",
        "regarding": {"kind": "Deployment", "uid": "web-uid"}});
    let watched = vec![
        vec![
            Call::get(&format!(
                "{DEPLOYMENTS}?&fieldSelector=metadata.name%3Dweb&limit=100"
            ))
            .gives(list(&json!([deployment(1)]))),
        ],
        vec![
            Call::get(DEPLOYMENTS).is_silent(),
            Call::get(&format!(
                "{PODS}?&labelSelector=app%3Dweb&resourceVersion=0"
            ))
            .gives(list(&json!([pod("False")]))),
        ],
        // Nothing is asked for until the watch brings a change.
        vec![Call::get(PODS).gives(json!({"type": "MODIFIED", "object": pod("True")}))],
        vec![Call::get(PODS).is_silent()],
    ];
    let requested = vec![
        vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
        vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
        vec![
            Call::patch(STATUS)
                .with(written)
                .gives(incident_json(&Value::Null)),
        ],
        vec![Call::post(EVENTS).with(event)],
    ];
    let news = followed(watched, requested, LONG).await;
    assert_eq!(news, Some(News::Reason(responded::CIRCUIT_BREAKER_OPEN)));
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_scaled_to_zero_has_no_replacement() {
    let written = json!({"status": {"conditions": [
        {"type": "Recovered", "status": "False", "reason": "NoReplacementExpected"}]}});
    let watched = vec![
        vec![Call::get(DEPLOYMENTS).gives(list(&json!([deployment(0)])))],
        vec![Call::get(DEPLOYMENTS).is_silent()],
    ];
    // The API server is away for a moment: what was found is written when it is back.
    let away = || vec![Call::patch(STATUS).fails(503, "ServiceUnavailable", "away")];
    let requested = vec![
        away(),
        away(),
        vec![
            Call::patch(STATUS)
                .with(written)
                .gives(incident_json(&Value::Null)),
        ],
    ];
    assert!(followed(watched, requested, LONG).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_still_keeps_its_deadline() {
    let written = json!({"status": {"conditions": [
        {"type": "Recovered", "status": "False", "reason": "ReplacementDeadlineExceeded"}]}});
    let rounds = vec![
        vec![Call::get(DEPLOYMENT).gives(deployment(1))],
        vec![Call::get(PODS).gives(list(&json!([])))],
        vec![
            Call::patch(STATUS)
                .with(written)
                .gives(incident_json(&Value::Null)),
        ],
    ];
    let (server, client) = ApiServer::playing(rounds);
    let (controller, _recovering) = World::new().controller(client, Config::default());
    let (_send, incoming) = mpsc::unbounded_channel();
    let (reported, mut reports) = mpsc::unbounded_channel();
    let waiting = Recovering::begin(
        controller,
        ApiServer::silent(),
        Box::new(removed()),
        incoming,
        reported,
    );
    // Every place is taken.
    let late = waiting.run(&Semaphore::new(0)).await;
    assert!(late.is_empty());
    assert_eq!(reports.recv().await.as_deref(), Some("inc-uid"));
    server.finish();
}
