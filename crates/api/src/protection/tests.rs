//! The rules, evaluated with the engine of `bailiff-cel` in the oldest and the newest release of
//! Kubernetes; and what counts as a modification of them.
//!
//! Here: a request and its denials. Not here: the tests (a module for each subject).
//! Invariant: both releases agree about each request.

mod changes;
mod creation;
mod modifications;

use super::*;
use crate::Incident;
use crate::incident::incident_name;
use bailiff_cel::admission::{BUDGET, Bindings, Optional, environment};
use bailiff_cel::{Evaluation, NEWEST_RELEASE, OLDEST_RELEASE, Value};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value as Json, json};

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

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn the_incident_of_the_tests_is_one() {
    let _incident: Incident = serde_json::from_value(incident("node-1")).unwrap();
}
