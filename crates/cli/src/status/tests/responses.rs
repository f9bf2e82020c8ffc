//! The rows of responses and the report, word for word.

use super::{lines, now, objects, working};
use crate::status::responses::IncidentSummary;
use crate::status::{period, report};
use bailiff_api::Incident;
use bailiff_response::{NoActionKind, WaitKind};
use jiff::SignedDuration;
use serde_json::{from_value, json};

/// An Incident of the namespace `shop` with a condition `Responded`.
fn incident(name: &str, status: &str, reason: &str, since: &str) -> IncidentSummary {
    let incident: Incident = from_value(json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "type": "Violation",
            "severity": "High",
            "policyRef": {"name": "p", "uid": "p", "generation": 1},
            "bindingRefs": [{"name": "b", "uid": "b"}],
            "nodeName": "node-1",
            "pod": {"name": "web-1", "namespace": "shop", "uid": "u"},
            "container": {},
            "process": {
                "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 42,
                "startTime": "2026-01-01T00:00:00.000000Z",
            },
            "violations": [{"expressionIndex": 0, "message": "m"}],
            // A node's clock, which never counts.
            "execTime": "2030-01-01T00:00:00.000000Z",
        },
        "status": {
            "conditions": [{"type": "Responded", "status": status, "reason": reason,
                "message": "", "lastTransitionTime": since}],
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d"},
        },
    }))
    .unwrap();
    IncidentSummary::of(&incident)
}

#[test]
fn responses_that_wait_have_a_row_for_each_reason() {
    let mut state = working();
    let mut fallback = incident("inc-9", "True", "Evicted", "2026-01-01T23:00:00Z");
    fallback.namespace = "bailiff-system".to_owned();
    state.incidents = Ok(objects(vec![
        incident("inc-1", "Unknown", "Cooldown", "2026-01-01T23:50:00Z"),
        incident("inc-2", "Unknown", "Cooldown", "2026-01-01T23:48:00Z"),
        incident(
            "inc-3",
            "Unknown",
            "FromAnotherVersion",
            "2026-01-01T23:59:00Z",
        ),
        incident("inc-4", "False", "Unmanaged", "2026-01-01T12:00:00Z"),
        incident(
            "inc-7",
            "False",
            "EvictionDeadlineExceeded",
            "2026-01-01T12:00:00Z",
        ),
        // More than a day ago.
        incident("inc-5", "False", "MirrorPod", "2025-12-31T23:00:00Z"),
        fallback,
    ]));
    assert_eq!(
        lines(&state)[7..13],
        [
            "incidents | OK | 7 Incidents exist, 3 without a final response.",
            "waiting/Cooldown | Warning | 2 Incidents wait for a response, the oldest (shop/inc-2, Deployment web) for 12m. Another pod of the workload was removed within the cooldown period. Bailiff retries automatically.",
            "waiting/FromAnotherVersion | Warning | 1 Incident waits for a response, the oldest (shop/inc-3, Deployment web) for 60s. The condition Responded has the cause.",
            "no-action/EvictionDeadlineExceeded | Warning | Bailiff took no action for 1 Incident in the last 24 hours, most recently shop/inc-7. The eviction was blocked, or got no response, until the deadline. The condition Responded names what blocked it. Fix that, then evict the pod manually.",
            "no-action/Unmanaged | Warning | Bailiff took no action for 1 Incident in the last 24 hours, most recently shop/inc-4. The pod has no controller that creates a replacement. Delete the pod manually, or set guardrails.unmanagedPodPolicy to Respond.",
            "fallback-incidents | Warning | 1 Incident is in namespace bailiff-system, because the API server rejected them in the pod's namespace (shop). Check quotas and admission webhooks there.",
        ]
    );
}

#[test]
fn every_reason_of_a_wait_has_a_remedy_of_its_own() {
    let mut messages = std::collections::BTreeSet::new();
    let known = WaitKind::ALL.iter().map(|kind| kind.as_str());
    for reason in known.chain(["", "FromAnotherVersion"]) {
        let mut state = working();
        let since = "2026-01-01T23:50:00Z";
        state.incidents = Ok(objects(vec![incident("inc-1", "Unknown", reason, since)]));
        let line = lines(&state)[8].clone();
        assert!(line.len() < 450, "{line}");
        let (_, remedy) = line.split_once("10m. ").unwrap();
        assert!(messages.insert(remedy.to_owned()), "{reason}: {remedy}");
    }
}

#[test]
fn every_reason_of_no_action_has_a_remedy_of_its_own() {
    let mut messages = std::collections::BTreeSet::new();
    let done = [
        "AuditOnly",
        "EvaluationFailed",
        "FoundRunning",
        "PodNotFound",
        "AlreadyTerminating",
    ];
    let known = NoActionKind::ALL.iter().map(|kind| kind.as_str());
    let known = known.filter(|reason| !done.contains(reason));
    for reason in known.chain(["FromAnotherVersion"]) {
        let mut state = working();
        let since = "2026-01-01T23:50:00Z";
        state.incidents = Ok(objects(vec![incident("inc-1", "False", reason, since)]));
        let line = lines(&state)[8].clone();
        let (_, remedy) = line.split_once("shop/inc-1. ").unwrap();
        assert!(messages.insert(remedy.to_owned()), "{reason}: {remedy}");
    }
}

#[test]
fn the_report_groups_responses_of_the_period() {
    let mut waiting = incident("inc-1", "Unknown", "Cooldown", "2025-12-01T00:00:00Z");
    waiting.name = "\u{1b}[31minc-1".to_owned();
    let incidents = objects(vec![
        waiting,
        incident("inc-2", "True", "Evicted", "2026-01-01T22:00:00Z"),
        incident("inc-3", "True", "Evicted", "2026-01-01T23:00:00Z"),
        incident(
            "inc-4",
            "Unknown",
            "CircuitBreakerOpen",
            "2026-01-01T23:00:00Z",
        ),
        incident("inc-5", "False", "RequestRejected", "2026-01-01T23:30:00Z"),
        incident(
            "inc-6",
            "Unknown",
            "BlockedByWebhook",
            "2026-01-01T23:30:00Z",
        ),
        incident("inc-7", "False", "Unmanaged", "2026-01-01T23:30:00Z"),
        incident("inc-8", "True", "AuditOnly", "2026-01-01T23:30:00Z"),
        // Before the period.
        incident("inc-9", "True", "Deleted", "2026-01-01T11:59:59Z"),
    ]);
    let hours = SignedDuration::from_hours;
    assert_eq!(
        report::lines(&incidents, hours(12), now()),
        [
            "RESPONSE    REASON               COUNT   LATEST                 AGE",
            "Removed     Evicted              2       shop/inc-3             60m",
            "Waiting     Cooldown             1       shop/\\u{1b}[31minc-1   32d",
            "Paused      CircuitBreakerOpen   1       shop/inc-4             60m",
            "Rejected    BlockedByWebhook     1       shop/inc-6             30m",
            "Rejected    RequestRejected      1       shop/inc-5             30m",
            "No action   Unmanaged            1       shop/inc-7             30m",
            "Audited     AuditOnly            1       shop/inc-8             30m",
        ]
    );
    assert_eq!(
        report::lines(&objects(Vec::new()), hours(12), now()),
        ["No responses in this period."]
    );
}

#[test]
fn a_period_is_a_positive_duration() {
    assert_eq!(period("12h"), Ok(SignedDuration::from_hours(12)));
    assert_eq!(period("7d"), Ok(SignedDuration::from_hours(168)));
    for bad in ["", "12", "-1h", "0s", "9223372036854775807d", "yesterday"] {
        let want = Err("must be a duration such as 30m, 12h or 7d".to_owned());
        assert_eq!(period(bad), want, "{bad}");
    }
}
