//! What is written, and what an answer to a write means.

use super::*;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

#[test]
fn an_optional_field_within_a_field_does_not_stay_when_it_is_absent() {
    let time = "2026-01-01T00:00:00.000000Z";
    let status = json!({
        "dryRunResponse": {"reason": "AlreadyTerminating", "message": "x"},
        "response": {"action": "Evict", "bindingName": "a", "time": time},
        "waiting": {"reason": "RateLimited", "startTime": time},
    });
    let status: IncidentStatus = serde_json::from_value(status).unwrap();
    let patch = patch(&status);
    let crd = serde_json::to_value(Incident::crd()).unwrap();
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let mut optional = Vec::new();
    for part in [
        "dryRunResponse",
        "response",
        "waiting",
        "workloadRef",
        "replacement",
    ] {
        let schema = crd.pointer(&format!("{schema}/{part}")).unwrap();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let names = schema["properties"].as_object().unwrap().keys();
        let absent = names.filter(|name| !required.contains(&json!(name)));
        optional.extend(absent.map(|name| format!("/{part}/{name}")));
    }
    assert_eq!(
        optional,
        [
            "/dryRunResponse/action",
            "/response/gracePeriodSeconds",
            "/waiting/deadline",
            "/waiting/enforced",
            "/waiting/pauseReason"
        ]
    );
    for field in optional {
        let sent = patch["status"].pointer(&field);
        assert_eq!(sent, Some(&Value::Null), "{field}");
    }
}

#[test]
fn a_refusal_is_told_by_who_refuses() {
    let webhook = "admission webhook \"deny.example.com\" denied the request: no";
    let policy = "incidents \"a\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no";
    let called = "Internal error occurred: failed calling webhook \"deny.example.com\": timeout";
    for (code, message, want) in [
        (404, webhook, Refusal::Rejected),
        (429, webhook, Refusal::Rejected),
        (422, policy, Refusal::Rejected),
        (500, called, Refusal::Rejected),
        (403, "no", Refusal::Rejected),
        (404, "not found", Refusal::NotFound),
        (422, "too long", Refusal::Invalid),
        (409, "was changed", Refusal::Busy),
        (429, "too many requests", Refusal::Busy),
        (503, "etcd is away", Refusal::Busy),
    ] {
        let answer = json!({"status": "Failure", "code": code, "message": message});
        let answer = serde_json::from_value(answer).unwrap();
        assert_eq!(Refusal::of(&answer), want, "{code} {message}");
    }
}
