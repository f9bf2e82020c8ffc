//! Watches of workloads that recover, and what is reported.

use super::*;
use crate::config::Config;
use crate::testing::{
    DEPLOYMENT, EVENTS, SET, STATUS, World, incident, incident_json, named, owner,
};
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

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
    controller.finish_events().await;
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
    let mut waiting = Waiting::begin(controller, ApiServer::silent(), |limits| {
        // Every place is taken.
        limits.watches = Arc::new(Semaphore::new(0));
    });
    assert!(waiting.recovering.run().await.is_empty());
    assert_eq!(waiting.reports.recv().await.as_deref(), Some("inc-uid"));
    server.finish();
}

/// One workload that recovers, and its surroundings.
struct Waiting {
    recovering: Recovering,
    reports: mpsc::UnboundedReceiver<String>,
    _send: mpsc::UnboundedSender<Box<Incident>>,
}

impl Waiting {
    fn begin(
        controller: Arc<Controller>,
        watches: Client,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let (send, incoming) = mpsc::unbounded_channel();
        let (reported, reports) = mpsc::unbounded_channel();
        let incident = Box::new(removed());
        let recovering =
            Recovering::begin(controller, watches, limits, incident, incoming, reported);
        Self {
            recovering,
            reports,
            _send: send,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_without_memory_for_its_pods_is_followed_when_there_is_some() {
    // More than each workload can always keep.
    let mut pods: Vec<_> = (0..40).map(old_pod).collect();
    pods.push(pod("True"));
    let all = json!(pods);
    let lists = || {
        let listed = Call::get(DEPLOYMENTS).gives(list(&json!([deployment(1)])));
        let pods = Call::get(PODS).gives(list(&all));
        vec![vec![listed], vec![Call::get(DEPLOYMENTS).is_silent(), pods]]
    };
    let by_watches = [lists(), lists(), vec![vec![Call::get(PODS).is_silent()]]];
    let (watch_server, watches) = ApiServer::playing(by_watches.concat());
    let written = json!({"status": {"replacement": {"name": "web-new"}}});
    let (server, client) = ApiServer::playing([
        vec![Call::get(SET).gives(named("set-uid", &owner("Deployment", "web", "web-uid")))],
        vec![Call::get(DEPLOYMENT).gives(named("web-uid", &Value::Null))],
        vec![
            Call::patch(STATUS)
                .with(written)
                .gives(incident_json(&Value::Null)),
        ],
        vec![Call::post(EVENTS)],
    ]);
    let config = Config {
        replacement_deadline: LONG,
        ..Config::default()
    };
    let (controller, _recovering) = World::new().controller(client, config);
    let shared = Arc::new(Semaphore::new(memory::WORKLOAD_LIMIT >> 10));
    // Other workloads have all of it.
    let others = Arc::clone(&shared).try_acquire_many_owned(8 << 10).unwrap();
    let mut waiting = Waiting::begin(Arc::clone(&controller), watches, |limits| {
        limits.shared = Arc::clone(&shared);
    });
    let run = waiting.recovering.run();
    tokio::pin!(run);
    let early = tokio::time::timeout(Duration::from_mins(5), &mut run).await;
    assert!(early.is_err(), "nothing is followed without memory");
    drop(others);
    assert!(run.await.is_empty());
    assert_eq!(waiting.reports.recv().await.as_deref(), Some("inc-uid"));
    assert_eq!(shared.available_permits(), 8 << 10, "all is given back");
    controller.finish_events().await;
    server.finish();
    watch_server.finish();
}

/// A pod from before the removal, of which much is kept.
fn old_pod(number: usize) -> Value {
    let mut old = pod("True");
    old["metadata"]["uid"] = json!(format!("old-{number}"));
    old["metadata"]["creationTimestamp"] = json!("2025-12-31T00:00:00Z");
    for label in 0..30 {
        old["metadata"]["labels"][format!("label-{label}")] = json!("x".repeat(63));
    }
    old
}
