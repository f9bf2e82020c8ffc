//! The rows of nodes, word for word.

use super::{lines, now, working};
use crate::status::checks::{NodeEvent, ready_sensor};
use bailiff_api::event::NODE_NOT_MONITORED_INTERVAL;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, from_value, json};

fn node_event(change: impl FnOnce(&mut Json)) -> Option<NodeEvent> {
    let mut event = json!({
        "metadata": {"name": "e", "namespace": "default"},
        "eventTime": "2026-01-01T23:00:00.000000Z",
        "series": {"count": 2, "lastObservedTime": "2026-01-01T23:50:00.000000Z"},
        "type": "Warning",
        "reason": "NodeNotMonitored",
        "note": "The sensor on this node is not ready.",
        "reportingController": "bailiff.dev/controller",
        "regarding": {"kind": "Node", "name": "node-1"},
    });
    change(&mut event);
    NodeEvent::of(&from_value(event).unwrap())
}

#[test]
fn a_node_with_a_recent_warning_of_bailiff_fails() {
    let mut state = working();
    state.node_events = Ok(vec![
        node_event(|_| ()).unwrap(),
        node_event(|_| ()).unwrap(),
    ]);
    assert_eq!(
        lines(&state)[5],
        "node/node-1 | Failed | NodeNotMonitored: The sensor on this node is not ready."
    );
    assert_eq!(lines(&state).len(), 13);
    // It is repeated after the interval, later if the leader changes.
    let late = |event: &mut Json| {
        let last = now() - NODE_NOT_MONITORED_INTERVAL - std::time::Duration::from_mins(4);
        event["series"]["lastObservedTime"] = json!(format!("{last:.6}"));
    };
    state.node_events = Ok(vec![node_event(late).unwrap()]);
    assert_eq!(lines(&state).len(), 13);
    // The cause of an Event that is no longer repeated has ended.
    let ended = |event: &mut Json| {
        event["series"]["lastObservedTime"] = json!("2026-01-01T23:44:59.000000Z");
    };
    state.node_events = Ok(vec![node_event(ended).unwrap()]);
    assert_eq!(lines(&state).len(), 12);
}

#[test]
fn a_node_that_is_monitored_again_does_not_fail() {
    let last: Timestamp = "2026-01-01T23:50:00Z".parse().unwrap();
    let of = |reporter: &'static str, type_: &'static str, second: i64| {
        node_event(|event| {
            event["reportingController"] = json!(format!("bailiff.dev/{reporter}"));
            event["type"] = json!(type_);
            let time = last + SignedDuration::from_secs(second);
            event["series"]["lastObservedTime"] = json!(format!("{time:.6}"));
        })
        .unwrap()
    };
    let ready = |second| Some(last + SignedDuration::from_secs(second));
    let fails = |events: Vec<NodeEvent>, ready: Option<Timestamp>| {
        let mut state = working();
        state.node_events = Ok(events);
        let sensors = ready.map(|since| ("node-1".to_owned(), since));
        state.ready_sensors = Ok(sensors.into_iter().collect());
        let failed = lines(&state).iter().any(|line| line.starts_with("node/"));
        // Sensors that cannot be read end nothing that an Event did not end.
        state.ready_sensors = Err("forbidden".to_owned());
        let unread = lines(&state).iter().any(|line| line.starts_with("node/"));
        assert!(unread || !failed);
        failed
    };
    let (controller, sensor) = ("controller", "sensor");
    let warned = |reporter| vec![of(reporter, "Warning", 0)];
    assert!(fails(warned(controller), None));
    assert!(!fails(warned(controller), ready(-60)), "it is Ready now");
    assert!(fails(warned(sensor), None));
    assert!(fails(warned(sensor), ready(-60)), "it reports a gap");
    assert!(!fails(warned(sensor), ready(60)), "it started again");
    let ended = |reporter, second| vec![of(reporter, "Normal", second), of(sensor, "Warning", 0)];
    assert!(!fails(ended(sensor, 1), ready(-60)));
    assert!(fails(ended(sensor, -1), ready(-60)), "it is there again");
    assert!(fails(ended(controller, 1), ready(-60)));
}

#[test]
fn lost_evidence_fails_for_an_hour_whatever_comes_after() {
    let at = |reason: &'static str, type_: &'static str, time: Timestamp| {
        node_event(|event| {
            event["reportingController"] = json!("bailiff.dev/sensor");
            event["type"] = json!(type_);
            event["reason"] = json!(reason);
            event["note"] = json!("It lost 7 execs.");
            event["eventTime"] = json!(format!("{time:.6}"));
            event["series"] = Json::Null;
        })
        .unwrap()
    };
    let ago = |minutes| now() - SignedDuration::from_mins(minutes);
    let rows = |lost: i64| -> Vec<String> {
        let mut state = working();
        state.node_events = Ok(vec![
            at("EvidenceLost", "Warning", ago(lost)),
            at("NodeMonitored", "Normal", ago(1)),
        ]);
        // The sensor was started again since.
        state.ready_sensors = Ok([("node-1".to_owned(), ago(2))].into());
        let lines = lines(&state).into_iter();
        lines.filter(|line| line.starts_with("node/")).collect()
    };
    let row = "node/node-1 | Failed | EvidenceLost: It lost 7 execs.";
    assert_eq!(rows(5), [row]);
    assert_eq!(rows(60), [row], "the next one comes an hour later");
    assert_eq!(rows(66), [""; 0]);
}

#[test]
fn a_sensor_is_ready_as_its_pod_says() {
    let of = |status: &str| {
        let condition = json!({"type": "Ready", "status": status, "lastTransitionTime": now()});
        let pod = json!({"metadata": {}, "spec": {"nodeName": "node-1", "containers": []},
            "status": {"conditions": [condition]}});
        ready_sensor(&from_value(pod).unwrap())
    };
    assert_eq!(of("True"), Some(("node-1".to_owned(), now())));
    assert_eq!(of("False"), None);
    let pending = json!({"metadata": {}, "spec": {"containers": []}, "status": {}});
    assert_eq!(ready_sensor(&from_value(pending).unwrap()), None);
}

#[test]
fn events_of_others_are_not_bailiffs() {
    for (field, value) in [
        ("/reportingController", "kubelet"),
        ("/regarding/kind", "Pod"),
    ] {
        let change = |event: &mut Json| *event.pointer_mut(field).unwrap() = json!(value);
        assert_eq!(node_event(change), None, "{field}");
    }
}
