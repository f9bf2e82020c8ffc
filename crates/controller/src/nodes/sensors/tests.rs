//! Nodes and sensors that come, go and fail.

use super::*;
use serde_json::{Value, json};

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn node(name: &str) -> Vec<u8> {
    bytes(&json!({"metadata": {"name": name}}))
}

fn pod(name: &str, node: &str, ready: &str) -> Vec<u8> {
    bytes(&json!({
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "sensor"}]},
        "status": {"conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]},
    }))
}

fn listed(objects: Vec<Vec<u8>>) -> Vec<ObjectEvent> {
    let objects = objects.into_iter().map(ObjectEvent::Listed);
    let begin = std::iter::once(ObjectEvent::Listing);
    begin
        .chain(objects)
        .chain([ObjectEvent::Complete])
        .collect()
}

/// No node is monitored.
const NONE: [&str; 0] = [];

/// Sensors, and the start of time.
struct Test {
    sensors: Sensors,
    start: Instant,
}

impl Test {
    fn new() -> Self {
        Self {
            sensors: Sensors::new(Monitored::new(None)),
            start: Instant::now(),
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn nodes(&mut self, events: Vec<ObjectEvent>, seconds: u64) {
        let now = self.at(seconds);
        for event in events {
            self.sensors.node(event, now);
        }
    }

    fn pods(&mut self, events: Vec<ObjectEvent>, seconds: u64) {
        let now = self.at(seconds);
        for event in events {
            self.sensors.pod(event, now);
        }
    }

    /// Nodes that are reported at a time, and whether each has a sensor.
    fn due(&mut self, seconds: u64) -> Vec<(String, bool)> {
        let now = self.at(seconds);
        let due = self.sensors.due(now, 100).into_iter();
        due.map(|due| (due.node, due.cause == Cause::NotReady))
            .collect()
    }

    /// The nodes with a Ready sensor, once these were listed.
    fn monitored(&self) -> Vec<String> {
        let monitored = self.sensors.monitored.borrow();
        monitored.iter().flatten().cloned().collect()
    }
}

#[tokio::test]
async fn nothing_is_down_before_both_lists_are_complete() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a"), node("b")]), 0);
    test.pods(
        vec![
            ObjectEvent::Listing,
            ObjectEvent::Listed(pod("s-b", "b", "True")),
        ],
        0,
    );
    assert_eq!((test.sensors.down(), test.sensors.next()), (0, None));
    assert_eq!(*test.sensors.monitored.borrow(), None);
    test.pods(vec![ObjectEvent::Complete], 5);
    assert_eq!(test.sensors.down(), 1);
    assert_eq!(test.sensors.next(), Some(test.at(65)));
    assert_eq!(test.monitored(), ["b"]);

    let mut test = Test::new();
    test.pods(listed(vec![pod("s-b", "b", "True")]), 0);
    assert_eq!(test.monitored(), ["b"]);
    test.pods(vec![ObjectEvent::Applied(pod("s-b", "b", "False"))], 1);
    assert_eq!(test.monitored(), NONE, "without a list of Nodes, too");
    assert_eq!(test.sensors.down(), 0);
}

#[tokio::test]
async fn a_node_is_reported_after_a_minute_and_again_as_long_as_it_lasts() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a"), node("b"), node("c")]), 0);
    test.pods(
        listed(vec![pod("s-a", "a", "True"), pod("s-b", "b", "False")]),
        0,
    );
    assert_eq!(test.due(59), []);
    let both = [("b".to_owned(), true), ("c".to_owned(), false)];
    assert_eq!(test.due(60), both);
    let interval = NODE_NOT_MONITORED_INTERVAL.as_secs();
    assert_eq!(test.due(60 + interval - 1), []);
    assert_eq!(test.due(60 + interval), both);
    // What is Ready, and what is no Node any more, is not reported.
    test.pods(vec![ObjectEvent::Applied(pod("s-b", "b", "True"))], 700);
    test.nodes(vec![ObjectEvent::Deleted(node("c"))], 700);
    assert_eq!((test.sensors.down(), test.sensors.next()), (0, None));
    assert_eq!(test.monitored(), ["a", "b"]);
}

#[tokio::test]
async fn a_sensor_that_restarts_within_a_minute_is_not_reported() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a")]), 0);
    test.pods(listed(vec![pod("old", "a", "True")]), 0);
    test.pods(vec![ObjectEvent::Applied(pod("old", "a", "False"))], 10);
    assert_eq!(test.sensors.next(), Some(test.at(70)));
    test.pods(vec![ObjectEvent::Applied(pod("new", "a", "True"))], 69);
    assert_eq!(test.sensors.next(), None);
    // The old pod goes, and the new one after it.
    test.pods(vec![ObjectEvent::Deleted(pod("old", "a", "False"))], 80);
    assert_eq!(test.sensors.next(), None);
    test.pods(vec![ObjectEvent::Deleted(pod("new", "a", "True"))], 90);
    assert_eq!(test.monitored(), NONE);
    assert_eq!(test.due(150), [("a".to_owned(), false)]);
}

#[tokio::test]
async fn a_pod_that_is_not_scheduled_monitors_nothing() {
    let mut test = Test::new();
    let pending = bytes(&json!({"metadata": {"name": "s"}, "spec": {}}));
    test.nodes(listed(vec![node("a")]), 0);
    test.pods(listed(vec![pending]), 0);
    assert_eq!(test.due(60), [("a".to_owned(), false)]);
}

#[tokio::test]
async fn what_was_known_stays_until_a_new_list_is_complete() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a"), node("b")]), 0);
    test.pods(listed(vec![pod("s-a", "a", "True")]), 0);
    test.nodes(vec![ObjectEvent::Listing], 10);
    test.pods(vec![ObjectEvent::Listing], 10);
    assert_eq!(test.sensors.down(), 1);
    assert_eq!(test.monitored(), ["a"]);
    test.pods(vec![ObjectEvent::Complete], 20);
    assert_eq!(test.sensors.down(), 2, "the list has no sensor");
    assert_eq!(test.monitored(), NONE);
    test.nodes(
        vec![ObjectEvent::Listed(node("b")), ObjectEvent::Complete],
        30,
    );
    // That of b goes on from the beginning.
    assert_eq!(test.due(60), [("b".to_owned(), false)]);
    assert_eq!(test.due(80), [], "no Node a exists any more");
}

#[tokio::test]
async fn a_node_that_cannot_be_decoded_is_one_all_the_same() {
    let mut test = Test::new();
    let time = "10000-01-01T00:00:00Z";
    let bad = [
        json!({"metadata": {"name": "fields", "managedFields": [{"manager": "m", "time": time}]}}),
        json!({"metadata": {"name": "labels", "labels": {"a": 7}}}),
    ];
    let nodes = bad.iter().map(bytes).chain([node("good")]).collect();
    test.nodes(listed(nodes), 0);
    test.pods(listed(Vec::new()), 0);
    let due: Vec<_> = test.due(60).into_iter().map(|(node, _)| node).collect();
    assert_eq!(due, ["fields", "good", "labels"]);
    test.nodes(vec![ObjectEvent::Deleted(bytes(&bad[0]))], 70);
    test.nodes(vec![ObjectEvent::Applied(bytes(&bad[1]))], 70);
    assert_eq!(test.sensors.down(), 2);
}

#[tokio::test]
async fn a_sensor_that_cannot_be_decoded_monitors_nothing() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a")]), 0);
    test.pods(listed(vec![pod("s-a", "a", "True")]), 0);
    let bad = json!({"metadata": {"name": "s-a"}, "status": {"conditions": 7}});
    test.pods(vec![ObjectEvent::Applied(bytes(&bad))], 0);
    assert_eq!(test.monitored(), NONE);
    assert_eq!(test.due(60), [("a".to_owned(), false)]);
}

#[tokio::test]
async fn an_event_that_was_not_written_is_due_again_soon() {
    let mut test = Test::new();
    test.nodes(listed(vec![node("a"), node("b")]), 0);
    test.pods(listed(Vec::new()), 0);
    let now = test.at(60);
    let first = test.sensors.due(now, 1);
    assert_eq!((first.len(), first[0].node.as_str()), (1, "a"));
    assert_eq!(test.sensors.next(), Some(now), "the other one is due");
    assert_eq!(test.due(60), [("b".to_owned(), false)]);
    test.sensors.failed("a", now);
    assert_eq!(test.sensors.next(), Some(now + RETRY));
    // One that recovered meanwhile is not.
    test.pods(vec![ObjectEvent::Applied(pod("s-b", "b", "True"))], 61);
    test.sensors.failed("b", now);
    assert_eq!(test.sensors.down(), 1);
}

#[tokio::test]
async fn a_node_that_runs_no_daemon_sets_says_so() {
    let labeled = |name: &str, label: &str, value: &str| {
        bytes(&json!({"metadata": {"name": name, "labels": {label: value}}}))
    };
    let (compute, kind) = ("eks.amazonaws.com/compute-type", "type");
    let nodes = vec![
        labeled("a", compute, "fargate"),
        labeled("b", kind, "virtual-kubelet"),
        labeled("c", compute, "ec2"),
        labeled("d", compute, "fargate"),
    ];
    let mut test = Test::new();
    test.nodes(listed(nodes), 0);
    test.pods(listed(vec![pod("s-d", "d", "False")]), 0);
    let due = test.sensors.due(test.at(60), 100);
    let causes: Vec<_> = due.iter().map(|d| (d.node.as_str(), d.cause)).collect();
    let want = [
        ("a", Cause::Fargate),
        ("b", Cause::VirtualKubelet),
        ("c", Cause::NoPod),
        ("d", Cause::NotReady),
    ];
    assert_eq!(causes, want);
    assert_eq!(test.sensors.down(), 4, "none of them is monitored");
}
