use super::*;
use bailiff_api::{Incident, RuntimePolicy, RuntimePolicyBinding};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// A time that the schema's `date-time` allows, and that cannot be read.
const BAD_TIME: &str = "2026-01-01T00:00:00+99:99";

fn policy(status: &Value) -> Value {
    json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
        "metadata": {"name": "no-shells", "uid": "u", "resourceVersion": "7", "generation": 2},
        "spec": {"validations": [{"expression": "true"}]},
        "status": status,
    })
}

fn condition(type_: &str, time: &str) -> Value {
    json!({"type": type_, "status": "True", "reason": "R", "message": "", "lastTransitionTime": time})
}

fn decode<K: DeserializeOwned + Resource>(object: &Value) -> Decoded<K> {
    Decoded::from_text(&object.to_string())
}

#[test]
fn a_status_that_cannot_be_decoded_leaves_the_spec_and_the_rest_of_the_status() {
    let good = "2026-01-01T00:00:00Z";
    let decoded = decode::<RuntimePolicy>(&policy(&json!({
        "observedGeneration": 2,
        "conditions": [condition("EvaluationFailed", BAD_TIME), condition("Ready", good)],
        "coverage": {"matchingNodes": "many"},
    })));
    let ignored: Vec<_> = decoded.ignored().iter().map(|e| e.path.as_str()).collect();
    // In the order in which the text is read.
    assert_eq!(
        ignored,
        [
            "status.conditions[0].lastTransitionTime",
            "status.coverage.matchingNodes"
        ]
    );
    let policy = decoded.into_result().unwrap();
    assert_eq!(policy.spec.validations.len(), 1);
    let status = policy.status.unwrap();
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.coverage, None);
}

#[test]
fn a_status_with_too_many_faults_is_left_out_as_a_whole() {
    let bad: Vec<_> = (0..100).map(|_| condition("X", BAD_TIME)).collect();
    let decoded = decode::<RuntimePolicy>(&policy(&json!({"conditions": bad})));
    assert_eq!(decoded.ignored().len(), IGNORED_LIMIT + 1);
    assert_eq!(decoded.into_result().unwrap().status, None);
}

#[test]
fn a_spec_that_cannot_be_decoded_is_told_with_its_field() {
    let decoded = decode::<RuntimePolicyBinding>(&json!({
        "metadata": {"name": "b", "uid": "u", "resourceVersion": "7", "generation": 2, "labels": {"a": 1}},
        "spec": {"policyName": "p", "responseActions": ["Audit", "Isolate"]},
    }));
    let mut undecodable = decoded.into_result().unwrap_err();
    // Labels that are no texts: what comes first is told, and the identity is there all the same.
    assert_eq!(undecodable.error.path, "metadata.labels.a");
    assert_eq!(undecodable.metadata.name.as_deref(), Some("b"));
    assert_eq!(undecodable.metadata.resource_version.as_deref(), Some("7"));
    let decoded = decode::<RuntimePolicyBinding>(&json!({
        "metadata": {"name": "b"},
        "spec": {"policyName": "p", "responseActions": ["Audit", "Isolate"]},
    }));
    undecodable = decoded.into_result().unwrap_err();
    assert_eq!(
        undecodable.to_string(),
        "spec.responseActions[1]: unknown variant `Isolate`, expected one of `Audit`, `Evict`, `Delete`"
    );
}

#[test]
fn an_incident_keeps_its_conditions_when_its_series_or_phase_cannot_be_decoded() {
    let time = "2026-01-01T00:00:00.000000Z";
    let incident = |origin: &str, phase: &str, observed: &str| {
        json!({
            "metadata": {"name": "i", "namespace": "shop", "uid": "u"},
            "spec": {
                "type": "Violation", "severity": "High", "nodeName": "n",
                "policyRef": {"name": "p", "uid": "u", "generation": 1},
                "bindingRefs": [{"name": "b", "uid": "u"}],
                "pod": {"name": "web", "namespace": "shop", "uid": "u"},
                "container": {"type": "FromTheFuture"},
                "process": {
                    "executable": "/bin/sh", "invokedPath": "sh", "names": ["sh"], "uid": 0, "gid": 0,
                    "executableSource": "FromTheFuture", "origin": origin, "pid": 7, "startTime": time,
                    "scriptSource": "FromTheFuture", "stdio": ["FromTheFuture", "Pipe", "Closed"],
                },
                "violations": [{"message": "m"}], "execTime": time,
            },
            "status": {
                "phase": phase,
                "conditions": [condition("Responded", "2026-01-01T00:00:00Z")],
                "series": {"count": 2, "lastObservedTime": observed, "policyGeneration": 1,
                    "bindingRefs": [{"name": "b", "uid": "u"}]},
            },
        })
    };
    for (what, object, ignored) in [
        ("as known", incident("Exec", "Waiting", time), 0),
        (
            "values of a newer version",
            incident("FromTheFuture", "FromTheFuture", time),
            1,
        ),
        (
            "a time that cannot be read",
            incident("Exec", "Waiting", BAD_TIME),
            1,
        ),
    ] {
        let decoded = decode::<Incident>(&object);
        assert_eq!(
            decoded.ignored().len(),
            ignored,
            "{what}: {:?}",
            decoded.ignored()
        );
        let incident = decoded
            .into_result()
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(incident.status.unwrap().conditions.len(), 1, "{what}");
    }
}

#[test]
fn what_a_tenant_writes_about_managed_fields_does_not_hide_a_pod() {
    let mut nested = json!({});
    for _ in 0..300 {
        nested = json!({ "f:a": nested });
    }
    for (what, field) in [
        (
            "a year of five digits",
            json!({"manager": "m", "time": "10000-01-01T00:00:00Z"}),
        ),
        (
            "too deep for a parser",
            json!({"manager": "m", "fieldsV1": nested}),
        ),
    ] {
        let pod = json!({"metadata": {"name": "web", "uid": "u", "managedFields": [field]}, "spec": {"containers": []}});
        let decoded = decode::<Pod>(&pod);
        assert_eq!(decoded.ignored().len(), 1, "{what}");
        let decoded = decoded.into_result().unwrap();
        assert_eq!(decoded.metadata.name.as_deref(), Some("web"), "{what}");
        assert_eq!(decoded.metadata.managed_fields, None, "{what}");
    }
}

#[test]
fn a_message_is_bounded() {
    let word = "x".repeat(10_000);
    let binding =
        json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "responseActions": [word]}});
    let undecodable = decode::<RuntimePolicyBinding>(&binding)
        .into_result()
        .unwrap_err();
    assert_eq!(undecodable.error.message.len(), MESSAGE_LIMIT_BYTES);
}
