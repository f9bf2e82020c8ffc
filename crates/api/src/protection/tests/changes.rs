//! Who changes and deletes which part of an Incident.

use super::*;
use crate::crds;
use crate::protection::rules::IMMUTABLE_PROCESS_FIELDS;
use std::collections::BTreeSet;

const SERIES_ALONE: &str =
    "a sensor can change only status.series, and only of Incidents of its own node";
const FIRST: &str = "status.series.firstProcesses must keep its entries; only their count and lastObservedTime can change";
const STATUS_ALONE: &str = "the controller can change only the status, except status.series";
const OPEN: &str = "the Incident is open; it can be deleted when Bailiff has responded to it and the workload has recovered";

/// An Incident with a series and what the controller wrote.
fn under_way() -> Json {
    let process = |name: &str| {
        json!({
            "executable": name, "args": [name], "origin": "Exec", "count": 1,
            "firstObservedTime": "2026-01-02T00:00:01.000000Z",
            "lastObservedTime": "2026-01-02T00:00:01.000000Z",
        })
    };
    let mut object = incident("node-1");
    object["status"] = json!({
        "phase": "Waiting",
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": "Cooldown"}],
        "waiting": {"reason": "Cooldown", "startTime": "2026-01-02T00:00:01.000000Z"},
        "series": {
            "count": 3, "lastObservedTime": "2026-01-02T00:00:02.000000Z", "policyGeneration": 1,
            "bindingRefs": [{"name": "no-cat", "uid": "b"}],
            "firstProcesses": [process("/bin/cat"), process("/bin/tac")],
        },
    });
    object
}

#[test]
fn a_sensor_changes_only_the_series_of_its_own_node() {
    let old = under_way();
    let longer = with(&old, "/status/series/count", 4.into());
    assert_eq!(
        updates(SENSOR, true, &old, longer.clone()).denials(),
        none()
    );
    assert_eq!(updates(SENSOR, true, &old, old.clone()).denials(), none());
    // By another sensor, even where nothing changes; and not by the main resource.
    let elsewhere = Request {
        node: Some("node-2".to_owned()),
        ..updates(SENSOR, true, &old, old.clone())
    };
    assert_eq!(elsewhere.denials(), [SERIES_ALONE]);
    assert_eq!(
        updates(SENSOR, false, &old, longer).denials(),
        [SERIES_ALONE]
    );
    for field in CONTROLLER_STATUS_FIELDS {
        let path = format!("/status/{field}");
        let object = with(&old, &path, json!({"other": "value"}));
        assert_eq!(
            updates(SENSOR, true, &old, object).denials(),
            [SERIES_ALONE],
            "{field}"
        );
    }
    let object = with(&old, "/status/waiting", Json::Null);
    assert_eq!(
        updates(SENSOR, true, &old, object).denials(),
        [SERIES_ALONE]
    );
}

#[test]
fn the_first_processes_of_a_series_stay() {
    let old = under_way();
    let first = "/status/series/firstProcesses";
    let entries = old.pointer(first).unwrap().clone();
    let mut more = entries.clone();
    let mut third = entries[0].clone();
    third["executable"] = "/bin/sh".into();
    more.as_array_mut().unwrap().push(third);
    for (path, value) in [
        (first.to_owned(), more),
        (format!("{first}/0/count"), 9.into()),
        (
            format!("{first}/1/lastObservedTime"),
            "2026-01-03T00:00:00.000000Z".into(),
        ),
    ] {
        let object = with(&old, &path, value);
        assert_eq!(
            updates(SENSOR, true, &old, object).denials(),
            none(),
            "{path}"
        );
    }
    let swapped = json!([entries[1], entries[0]]);
    let mut changes = vec![
        ("/status/series".to_owned(), Json::Null),
        (first.to_owned(), Json::Null),
        (first.to_owned(), json!([entries[0]])),
        (first.to_owned(), swapped),
    ];
    for field in IMMUTABLE_PROCESS_FIELDS {
        changes.push((format!("{first}/1/{field}"), "other".into()));
    }
    for (path, value) in changes {
        let object = with(&old, &path, value);
        assert_eq!(
            updates(SENSOR, true, &old, object.clone()).denials(),
            [FIRST],
            "{object}"
        );
    }
}

#[test]
fn the_controller_changes_the_rest_of_the_status() {
    let old = under_way();
    for field in CONTROLLER_STATUS_FIELDS {
        let object = with(&old, &format!("/status/{field}"), json!("other"));
        assert_eq!(
            updates(CONTROLLER, true, &old, object).denials(),
            none(),
            "{field}"
        );
    }
    let object = with(&old, "/status/series/count", 9.into());
    assert_eq!(
        updates(CONTROLLER, true, &old, object).denials(),
        [STATUS_ALONE]
    );
    let labeled = with(&old, "/metadata/labels/app", "web".into());
    assert_eq!(
        updates(CONTROLLER, false, &old, labeled).denials(),
        [STATUS_ALONE]
    );
}

#[test]
fn nobody_else_changes_anything() {
    let old = under_way();
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "6f1c"}]);
    for (path, value) in [
        ("/metadata/labels/app", json!("web")),
        ("/metadata/labels", Json::Null),
        ("/metadata/annotations", json!({"note": "mine"})),
        ("/metadata/finalizers", json!(["example.com/never"])),
        ("/metadata/ownerReferences", owner),
        ("/spec/nodeName", json!("node-2")),
        ("/status/phase", json!("Resolved")),
        ("/status/series/count", json!(9)),
    ] {
        let object = with(&old, path, value);
        for status in [false, true] {
            let request = updates(USER, status, &old, object.clone());
            assert_eq!(request.denials(), [ONLY_BAILIFF], "{path}");
        }
    }
    // A storage migration writes what is there.
    assert_eq!(updates(USER, false, &old, old.clone()).denials(), none());
}

#[test]
fn of_a_terminating_incident_finalizers_can_be_removed_and_nothing_else_changed() {
    let old = with(
        &with(
            &under_way(),
            "/metadata/finalizers",
            json!(["foregroundDeletion", "orphan"]),
        ),
        "/metadata/deletionTimestamp",
        "2026-01-02T01:00:00Z".into(),
    );
    for left in [json!(["orphan"]), Json::Null] {
        let object = with(&old, "/metadata/finalizers", left);
        assert_eq!(updates(USER, false, &old, object).denials(), none());
    }
    for (path, value) in [
        ("/metadata/finalizers", json!(["example.com/never"])),
        ("/metadata/labels/app", json!("web")),
        ("/metadata/annotations", json!({"note": "mine"})),
        ("/status/phase", json!("Resolved")),
    ] {
        let object = with(&old, path, value);
        assert_eq!(updates(USER, false, &old, object).denials(), [ONLY_BAILIFF]);
    }
}

#[test]
fn an_open_incident_is_deleted_by_the_controller_or_with_its_namespace() {
    let responded = |status: &str| json!([{"type": "Responded", "status": status, "reason": "R"}]);
    let both = |recovered: &str| {
        json!([
            {"type": "Responded", "status": "True", "reason": "Evicted"},
            {"type": "Recovered", "status": recovered, "reason": "R"},
        ])
    };
    let response =
        json!({"action": "Evict", "bindingName": "b", "time": "2026-01-02T00:00:00.000000Z"});
    for (open, status) in [
        (true, Json::Null),
        (true, json!({"series": {"count": 2}})),
        (true, json!({"conditions": responded("Unknown")})),
        (
            true,
            json!({"conditions": responded("True"), "response": response}),
        ),
        (
            true,
            json!({"conditions": both("Unknown"), "response": response}),
        ),
        (
            false,
            json!({"conditions": both("True"), "response": response}),
        ),
        (
            false,
            json!({"conditions": both("False"), "response": response}),
        ),
        (false, json!({"conditions": responded("True")})),
        (false, json!({"conditions": responded("False")})),
    ] {
        let mut object = incident("node-1");
        if !status.is_null() {
            object["status"] = status;
        }
        let want: &[&str] = if open { &[OPEN] } else { &[] };
        for account in [USER, SENSOR] {
            assert_eq!(deletes(account, &object).denials(), want, "{object}");
        }
        assert_eq!(deletes(CONTROLLER, &object).denials(), none());
        let terminating = Request {
            terminating: true,
            ..deletes(USER, &object)
        };
        assert_eq!(terminating.denials(), none());
    }
}

#[test]
fn every_field_of_an_incidents_status_is_the_controllers_or_the_series() {
    let incidents = serde_json::to_value(&crds()[0]).unwrap();
    let status =
        &incidents["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let fields: BTreeSet<_> = status["properties"].as_object().unwrap().keys().collect();
    let mut known: BTreeSet<_> = CONTROLLER_STATUS_FIELDS
        .iter()
        .map(|&field| field.to_owned())
        .collect();
    assert!(known.insert("series".to_owned()));
    assert_eq!(fields, known.iter().collect());
    // And of a process of a series, what may change is named; the rest stays.
    let process = &status["properties"]["series"]["properties"]["firstProcesses"]["items"];
    let fields: BTreeSet<_> = process["properties"].as_object().unwrap().keys().collect();
    let mut known: BTreeSet<_> = IMMUTABLE_PROCESS_FIELDS
        .iter()
        .map(|&field| field.to_owned())
        .collect();
    known.extend(["count", "lastObservedTime"].map(str::to_owned));
    assert_eq!(fields, known.iter().collect());
}
