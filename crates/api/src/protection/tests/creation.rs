//! Who creates which Incidents, with which name, namespace, metadata and time.

use super::*;
use crate::incident::{evaluation_error_name, found_running_name};

const ONLY_ITS_SENSOR: &str = "only the sensor of the node in spec.nodeName can create an Incident";
const NAME: &str =
    "metadata.name must be inc-, 16 hexadecimal digits, a hyphen and the name of the sensor's node";
const ITS_NAMESPACE: &str =
    "metadata.namespace must be spec.pod.namespace or the namespace that Bailiff runs in";
const METADATA: &str = "an Incident must not have finalizers, ownerReferences or annotations, and only the labels bailiff.dev/policy, bailiff.dev/node and bailiff.dev/pod-uid with the values of its spec";
const TIME: &str = "spec.execTime must be at most 24 hours before and at most 1 minute after metadata.creationTimestamp; check the clock of the node";

#[test]
fn a_sensor_creates_incidents_of_the_node_of_its_token() {
    assert_eq!(creates(incident("node-1")).denials(), none());
    let elsewhere = Request {
        node: Some("node-2".to_owned()),
        ..creates(incident("node-1"))
    };
    assert_eq!(elsewhere.denials(), [ONLY_ITS_SENSOR, NAME]);
    let unbound = Request {
        node: None,
        ..creates(incident("node-1"))
    };
    assert_eq!(unbound.denials(), [ONLY_ITS_SENSOR, NAME]);
    // The controller has no node; a user with every permission is no sensor.
    for (account, want) in [
        (CONTROLLER, vec![ONLY_ITS_SENSOR]),
        (USER, vec![ONLY_BAILIFF, ONLY_ITS_SENSOR]),
    ] {
        let request = Request {
            account,
            ..creates(incident("node-1"))
        };
        assert_eq!(request.denials(), want, "{account}");
    }
}

#[test]
fn a_sensor_takes_no_name_of_another_node() {
    let named = |name: &str| {
        let object = with(&incident("node-1"), "/metadata/name", name.into());
        creates(object).denials()
    };
    assert_eq!(
        named(&evaluation_error_name("a0b1", 1, 2, "node-1")),
        none()
    );
    assert_eq!(named(&found_running_name("6f1c", "a0b1", "node-1")), none());
    for name in [
        "inc-0123456789abcdef-node-2",
        // The name of another node that ends as this one does.
        "inc-0123456789abcdef-my-node-1",
        "inc-evaluation-failed-0123456789abcdef-evaluation-failed-node-1",
        "inc-0123456789abcdef-evaluation-failed-node-1",
        "inc-found-running-evaluation-failed-0123456789abcdef-node-1",
        "inc-0123456789abcde-node-1",
        "inc-0123456789ABCDEF-node-1",
        "xinc-0123456789abcdef-node-1",
        "inc-0123456789abcdef",
        "-node-1",
        "node-1",
    ] {
        assert_eq!(named(name), [NAME], "{name}");
    }
}

#[test]
fn the_names_of_nodes_are_cut_as_the_sensor_cuts_them() {
    for length in [1, 63, 199, 200, 201, 202, 252, 253] {
        let node = "n".repeat(length);
        // A label holds 63 characters, so the sensor leaves it out for longer names.
        let object = with(&incident(&node), "/metadata/labels", Json::Null);
        let mut request = Request {
            node: Some(node.clone()),
            ..creates(object)
        };
        assert_eq!(request.denials(), none(), "{length}");
        // The name of the node without its first byte, which the cut may remove.
        request.object["metadata"]["name"] = incident_name("6f1c", "a0b1", &node[1..]).into();
        let want: &[&str] = if length > 201 { &[] } else { &[NAME] };
        assert_eq!(request.denials(), want, "{length}");
    }
}

#[test]
fn an_incident_lies_in_the_namespace_of_its_pod_or_of_bailiff() {
    let namespaced = |namespace: &str| {
        let object = with(&incident("node-1"), "/metadata/namespace", namespace.into());
        creates(object).denials()
    };
    assert_eq!(namespaced("bailiff-system"), none());
    assert_eq!(namespaced("other"), [ITS_NAMESPACE]);
}

#[test]
fn an_incident_has_no_metadata_but_its_labels() {
    let labels = json!({"bailiff.dev/policy": "no-cat"});
    let fewer = with(&incident("node-1"), "/metadata/labels", labels);
    assert_eq!(creates(fewer).denials(), none());
    let without = with(&incident("node-1"), "/metadata/labels", Json::Null);
    assert_eq!(creates(without).denials(), none());
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "6f1c"}]);
    for (path, value) in [
        ("/metadata/finalizers", json!(["example.com/never"])),
        ("/metadata/ownerReferences", owner),
        ("/metadata/annotations", json!({"note": "mine"})),
        ("/metadata/labels", json!({"bailiff.dev/node": "node-2"})),
        ("/metadata/labels", json!({"bailiff.dev/policy": "other"})),
        ("/metadata/labels", json!({"bailiff.dev/pod-uid": "other"})),
        ("/metadata/labels", json!({"app": "web"})),
    ] {
        let object = with(&incident("node-1"), path, value);
        assert_eq!(creates(object.clone()).denials(), [METADATA], "{object}");
    }
}

#[test]
fn an_exec_is_of_the_last_day() {
    for (time, want) in [
        ("2026-01-01T00:00:00.000000Z", vec![]),
        ("2026-01-02T00:01:00.000000Z", vec![]),
        // The same moment in another zone.
        ("2026-01-02T02:01:00.000000+02:00", vec![]),
        ("2025-12-31T23:59:59.999999Z", vec![TIME]),
        ("2026-01-02T00:01:00.000001Z", vec![TIME]),
        ("0001-01-01T00:00:00.000000Z", vec![TIME]),
        ("9999-01-01T00:00:00.000000Z", vec![TIME]),
    ] {
        let object = with(&incident("node-1"), "/spec/execTime", time.into());
        assert_eq!(creates(object).denials(), want, "{time}");
    }
    // What the schema takes for a time and CEL does not is denied, as failurePolicy is Fail.
    let time = "2026-01-02T00:00:00+99:99";
    let object = with(&incident("node-1"), "/spec/execTime", time.into());
    assert_eq!(creates(object).denials().len(), 1);
}
