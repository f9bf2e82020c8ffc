//! Watches and Events, as the API server sees them.

use super::*;
use bailiff_kube::serve::Health;
use bailiff_testing::{ApiServer, Call};
use serde_json::{Value, json};
use std::time::Duration;

const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/bailiff-system/pods";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

fn list(items: &Value) -> Value {
    json!({"metadata": {"resourceVersion": "5"}, "items": items})
}

fn sensor(node: &str, ready: &str) -> Value {
    json!({"metadata": {"name": format!("sensor-{node}")}, "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}})
}

/// Both lists, and watches that stay open.
fn lists() -> Vec<Vec<Call>> {
    let labels = "labelSelector=kubernetes.io%2Fos%3Dlinux";
    let sensors =
        "labelSelector=app.kubernetes.io%2Fname%3Dbailiff%2Capp.kubernetes.io%2Fcomponent%3Dsensor";
    let named = |name: &str| json!({"metadata": {"name": name}});
    let nodes = json!([named("good"), named("not-ready"), named("without")]);
    let pods = json!([sensor("good", "True"), sensor("not-ready", "False")]);
    let watch = |path: &str, selector: &str| {
        Call::get(&format!(
            "{path}?&watch=true&timeoutSeconds=290&{selector}&allowWatchBookmarks=true&resourceVersion=5"
        ))
    };
    vec![
        vec![
            Call::get(&format!("{NODES}?&{labels}&resourceVersion=0")).gives(list(&nodes)),
            Call::get(&format!("{PODS}?&{sensors}&resourceVersion=0")).gives(list(&pods)),
        ],
        vec![
            watch(NODES, labels).is_silent(),
            watch(PODS, sensors).is_silent(),
        ],
    ]
}

fn reported(name: &str, cause: &str) -> Call {
    let note = format!(
        "Bailiff does not monitor processes on this node and evaluates no policies here. {cause} Its pods were not counted yet."
    );
    let event = json!({"reason": "NodeNotMonitored", "action": "Monitoring", "type": "Warning",
        "note": note, "regarding": {"apiVersion": "v1", "kind": "Node", "name": name, "uid": name},
        "reportingController": "bailiff.dev/controller", "reportingInstance": "bailiff-controller"});
    Call::post(EVENTS).with(event)
}

fn not_ready() -> Call {
    reported(
        "not-ready",
        "Its sensor has not been Ready for more than a minute. See the sensor pod on this node.",
    )
}

fn without() -> Call {
    reported(
        "without",
        "It has had no sensor pod for more than a minute. Check the tolerations, the node selector and the affinity of DaemonSet bailiff-sensor.",
    )
}

/// Plays a scenario for so long; returns what was counted.
async fn followed(rounds: Vec<Vec<Call>>, time: Duration) -> (Metrics, Monitored) {
    let (server, client) = ApiServer::playing(rounds);
    let (metrics, monitored) = (Metrics::default(), Monitored::new(None));
    let heartbeat = Health::default().register_loop("nodes", Duration::from_mins(1));
    let following = follow(
        client.clone(),
        client,
        Config::default(),
        monitored.clone(),
        Arc::default(),
        metrics.clone(),
        heartbeat,
    );
    let ended = tokio::time::timeout(time, following).await;
    assert!(ended.is_err());
    server.finish();
    (metrics, monitored)
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_is_down_for_a_minute_is_an_event_on_its_node() {
    let mut rounds = lists();
    // At the same time: one that the API server is slow to accept delays no other.
    rounds.push(vec![not_ready(), without().after(Duration::from_mins(2))]);
    rounds.push(vec![not_ready(), without()]);
    let interval = event::NODE_NOT_MONITORED_INTERVAL;
    let time = interval + Duration::from_mins(5);
    let (metrics, monitored) = followed(rounds, time).await;
    assert_eq!(metrics.nodes_not_monitored.get(), 2);
    let monitored = monitored.borrow().clone().unwrap();
    assert_eq!(monitored.into_iter().collect::<Vec<_>>(), ["good"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_api_server_rejects_is_written_again() {
    let mut rounds = lists();
    let rejected = not_ready().fails(500, "InternalError", "etcd is away");
    rounds.push(vec![rejected, without()]);
    rounds.push(vec![not_ready()]);
    let (metrics, _) = followed(rounds, Duration::from_mins(5)).await;
    assert_eq!(metrics.event_failures.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_nodes_that_does_not_come_delays_no_sensor() {
    let mut rounds = lists();
    rounds[0][0] = Call::get(NODES).is_silent();
    let _watch_of_nodes = rounds[1].remove(0);
    let (metrics, monitored) = followed(rounds, Duration::from_mins(5)).await;
    assert_eq!(metrics.nodes_not_monitored.get(), 0);
    let monitored = monitored.borrow().clone().unwrap();
    assert_eq!(monitored.into_iter().collect::<Vec<_>>(), ["good"]);
}

#[test]
fn each_cause_names_what_to_do() {
    let note = |cause| event("node-1", cause, RunningPods::Exactly(1)).note;
    let common = "Bailiff does not monitor processes on this node and evaluates no policies here. ";
    assert_eq!(
        note(Cause::Fargate),
        format!(
            "{common}Fargate runs no DaemonSets, and so no sensor. Run the pods that policies must cover on other nodes. 1 pod runs on it."
        )
    );
    assert_eq!(
        note(Cause::VirtualKubelet),
        format!(
            "{common}A virtual node (virtual-kubelet) runs no DaemonSets, and so no sensor. Run the pods that policies must cover on other nodes. 1 pod runs on it."
        )
    );
    for (pods, says) in [
        (RunningPods::Exactly(0), "No pod runs on it."),
        (RunningPods::Exactly(7), "7 pods run on it."),
        (RunningPods::AtLeast(7), "At least 7 pods run on it."),
        (RunningPods::Unknown, "Its pods were not counted yet."),
    ] {
        let note = event("node-1", Cause::NoPod, pods).note;
        assert!(
            note.ends_with(&format!("DaemonSet bailiff-sensor. {says}")),
            "{note}"
        );
    }
}
