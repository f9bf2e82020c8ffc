//! The rules, evaluated with the engine of `bailiff-cel` in the oldest and the newest release of
//! Kubernetes; and what counts as a modification of them.

use super::rules::IMMUTABLE_PROCESS_FIELDS;
use super::*;
use crate::Incident;
use crate::incident::{evaluation_error_name, incident_name};
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResourceExt as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const NAMESPACE: &str = "bailiff-system";

/// A request to the API server about an Incident.
struct Request {
    account: &'static str,
    node: Option<String>,
    operation: &'static str,
    status: bool,
    object: Json,
    old: Json,
    terminating: bool,
}

impl Request {
    /// The messages of the validations that are false or fail, in either release; which must agree.
    fn denials(&self) -> Vec<String> {
        let denials = self.denials_in(OLDEST_RELEASE);
        assert_eq!(denials, self.denials_in(NEWEST_RELEASE));
        denials
    }

    fn denials_in(&self, release: u32) -> Vec<String> {
        let spec = policy(NAMESPACE).spec.unwrap();
        let mut env = environment(release, Optional::default());
        for variable in spec.variables.unwrap() {
            env.define(&variable.name, &variable.expression).unwrap();
        }
        let mut request = json!({
            "operation": self.operation,
            "userInfo": {"username": self.account},
        });
        if let Some(node) = &self.node {
            request["userInfo"]["extra"] =
                json!({"authentication.kubernetes.io/node-name": [node]});
        }
        if self.status {
            request["subResource"] = "status".into();
        }
        let mut namespace = json!({"metadata": {"name": "shop"}});
        if self.terminating {
            namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let bindings = Bindings {
            object: (!self.object.is_null()).then_some(&self.object),
            old_object: (!self.old.is_null()).then_some(&self.old),
            namespace_object: Some(&namespace),
            request: Some(&request),
            ..Bindings::default()
        };
        let mut denials = Vec::new();
        for validation in spec.validations.unwrap() {
            let program = env.compile(&validation.expression).unwrap();
            let mut evaluation = Evaluation::new(&env, &bindings, BUDGET);
            match evaluation.run(&program) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => denials.push(validation.message.unwrap()),
                other => denials.push(format!("{other:?}: {}", validation.expression)),
            }
        }
        denials
    }
}

const SENSOR: &str = "system:serviceaccount:bailiff-system:bailiff-sensor";
const CONTROLLER: &str = "system:serviceaccount:bailiff-system:bailiff-controller";
const USER: &str = "admin@example.com";

/// An Incident of a node, as its sensor writes it.
fn incident(node: &str) -> Json {
    json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {
            "name": incident_name("6f1c", "a0b1", node),
            "namespace": "shop",
            "creationTimestamp": "2026-01-02T00:00:00Z",
            "labels": {
                "bailiff.dev/policy": "no-cat", "bailiff.dev/node": node, "bailiff.dev/pod-uid": "6f1c",
            },
        },
        "spec": {
            "type": "Violation",
            "severity": "High",
            "policyRef": {"name": "no-cat", "uid": "a0b1", "generation": 1},
            "bindingRefs": [{"name": "no-cat", "uid": "b"}],
            "nodeName": node,
            "pod": {"name": "web", "namespace": "shop", "uid": "6f1c"},
            "container": {},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"], "args": ["sh"],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 1,
                "startTime": "2026-01-02T00:00:00.000000Z",
            },
            "violations": [{"expressionIndex": 0, "message": "no"}],
            "execTime": "2026-01-02T00:00:00.500000Z",
        },
    })
}

/// The sensor of `node-1` creates this.
fn creates(object: Json) -> Request {
    Request {
        account: SENSOR,
        node: Some("node-1".to_owned()),
        operation: "CREATE",
        status: false,
        object,
        old: Json::Null,
        terminating: false,
    }
}

/// An account changes an Incident.
fn updates(account: &'static str, status: bool, old: &Json, object: Json) -> Request {
    Request {
        account,
        node: (account == SENSOR).then(|| "node-1".to_owned()),
        operation: "UPDATE",
        status,
        object,
        old: old.clone(),
        terminating: false,
    }
}

/// An account deletes an Incident.
fn deletes(account: &'static str, old: &Json) -> Request {
    Request {
        account,
        node: None,
        operation: "DELETE",
        status: false,
        object: Json::Null,
        old: old.clone(),
        terminating: false,
    }
}

/// The object with the value at a path changed.
fn with(object: &Json, path: &str, value: Json) -> Json {
    let mut object = object.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    if value.is_null() {
        let _removed = parent.as_object_mut().unwrap().remove(field);
    } else {
        parent[field] = value;
    }
    object
}

const ONLY_BAILIFF: &str = "Incidents are evidence: only Bailiff can create or update them";
const ONLY_ITS_SENSOR: &str = "only the sensor of the node in spec.nodeName can create an Incident";
const NAME: &str =
    "metadata.name must be inc-, 16 hexadecimal digits, a hyphen and the name of the sensor's node";
const ITS_NAMESPACE: &str =
    "metadata.namespace must be spec.pod.namespace or the namespace that Bailiff runs in";
const METADATA: &str = "an Incident must not have finalizers, ownerReferences or annotations, and only the labels bailiff.dev/policy, bailiff.dev/node and bailiff.dev/pod-uid with the values of its spec";
const TIME: &str = "spec.execTime must be at most 24 hours before and at most 1 minute after metadata.creationTimestamp; check the clock of the node";
const SERIES_ALONE: &str =
    "a sensor can change only status.series, and only of Incidents of its own node";
const FIRST: &str = "status.series.firstProcesses must keep its entries; only their count and lastObservedTime can change";
const STATUS_ALONE: &str = "the controller can change only the status, except status.series";
const OPEN: &str = "the Incident is open; it can be deleted when Bailiff has responded to it and the workload has recovered";

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn the_incident_of_the_tests_is_one() {
    let _incident: Incident = serde_json::from_value(incident("node-1")).unwrap();
}

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
    for name in [
        "inc-0123456789abcdef-node-2",
        // The name of another node that ends as this one does.
        "inc-0123456789abcdef-my-node-1",
        "inc-evaluation-failed-0123456789abcdef-evaluation-failed-node-1",
        "inc-0123456789abcdef-evaluation-failed-node-1",
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
    let incidents = serde_json::to_value(&Incident::crd()).unwrap();
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

fn compared(change: impl Fn(&mut ValidatingAdmissionPolicy)) -> Result<(), Difference> {
    let mut live = policy("bailiff-system");
    change(&mut live);
    compare("bailiff-system", Some(&live), Some(&binding()))
}

#[test]
fn the_shipped_policy_and_binding_are_unmodified() {
    assert_eq!(compared(|_| {}), Ok(()));
    // Metadata and status do not count.
    let generation = compared(|live| live.metadata.generation = Some(7));
    assert_eq!(generation, Ok(()));
}

#[test]
fn a_missing_or_terminating_object_is_missing() {
    let (live, bound) = (policy("bailiff-system"), binding());
    for (policy, binding) in [(None, Some(&bound)), (Some(&live), None), (None, None)] {
        assert_eq!(
            compare("bailiff-system", policy, binding),
            Err(Difference::Missing)
        );
    }
    let terminating = compared(|live| {
        live.metadata.deletion_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
    });
    assert_eq!(terminating, Err(Difference::Missing));
}

#[test]
fn every_modification_of_a_rule_is_noticed() {
    type Change = fn(&mut ValidatingAdmissionPolicySpec);
    let changes: [Change; 6] = [
        |spec| spec.failure_policy = Some("Ignore".to_owned()),
        |spec| spec.validations.as_mut().unwrap().truncate(3),
        |spec| spec.validations.as_mut().unwrap()[0].expression = "true".to_owned(),
        |spec| spec.variables.as_mut().unwrap()[0].expression = "true".to_owned(),
        |spec| {
            let constraints = spec.match_constraints.as_mut().unwrap();
            constraints.object_selector = Some(LabelSelector {
                match_labels: Some([("a".to_owned(), "b".to_owned())].into()),
                ..LabelSelector::default()
            });
        },
        |spec| spec.match_conditions = Some(Vec::new()),
    ];
    for change in changes {
        let noticed = compared(|live| change(live.spec.as_mut().unwrap()));
        assert!(
            matches!(noticed, Err(Difference::Changed(_))),
            "{noticed:?}"
        );
    }
    // Shipped for another namespace: other accounts.
    let elsewhere = compare("other", Some(&policy("bailiff-system")), Some(&binding()));
    assert!(matches!(elsewhere, Err(Difference::Changed(_))));
    let mut audits = binding();
    audits.spec.validation_actions = vec!["Audit".to_owned()];
    let audited = compare(
        "bailiff-system",
        Some(&policy("bailiff-system")),
        Some(&audits),
    );
    assert!(matches!(audited, Err(Difference::Changed(_))));
}
