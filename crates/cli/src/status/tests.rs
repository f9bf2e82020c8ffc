//! Checks and the report, word for word.

mod webhook;

use super::checks::{CheckStatus, ClusterState, NodeEvent, checks, ready_sensor};
use super::image_policies::ImagePolicies;
use super::responses::IncidentSummary;
use super::{period, report};
use crate::objects::{Objects, Problem};
use bailiff_api::event::NODE_NOT_MONITORED_INTERVAL;
use bailiff_api::{Incident, protection};
use bailiff_response::{NoActionKind, WaitKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, from_value, json};

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn objects<K>(items: Vec<K>) -> Objects<K> {
    Objects {
        items,
        problems: Vec::new(),
    }
}

fn ready() -> Json {
    json!({"type": "Ready", "status": "True", "reason": "R", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

/// A cluster where every check is OK.
fn working() -> ClusterState {
    ClusterState {
        controller: Ok(Some(
            from_value(json!({"metadata": {}, "status": {"readyReplicas": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}}}))
            .unwrap(),
        )),
        lease: Ok(Some(
            from_value(
                json!({"metadata": {}, "spec": {"holderIdentity": "bailiff-controller-1",
            "leaseDurationSeconds": 15, "renewTime": "2026-01-01T23:59:55.000000Z"}}),
            )
            .unwrap(),
        )),
        sensor: Ok(Some(
            from_value(json!({"metadata": {}, "status": {"numberReady": 3,
            "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0}}))
            .unwrap(),
        )),
        switch: Ok(Some(switch("Enforce"))),
        limits: Ok(Some(from_value(json!({"metadata": {}})).unwrap())),
        protection: Ok(Some(protection::policy("bailiff-system"))),
        protection_binding: Ok(Some(protection::binding())),
        policies: Ok(objects(vec![
            from_value(
                json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
            "metadata": {"name": "p"}, "spec": {"validations": [{"expression": "true"}]},
            "status": {"conditions": [ready()]}}),
            )
            .unwrap(),
        ])),
        bindings: Ok(objects(vec![
            from_value(
                json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicyBinding",
            "metadata": {"name": "b"}, "spec": {"policyName": "p", "responseActions": ["Evict"]},
            "status": {"conditions": [ready()]}}),
            )
            .unwrap(),
        ])),
        incidents: Ok(objects(Vec::new())),
        node_events: Ok(Vec::new()),
        webhook: webhook::working(),
        images: ImagePolicies {
            renderer: Ok(Some(
                from_value(json!({"metadata": {}, "status": {"readyReplicas": 1},
                "spec": {"selector": {}, "template": {}}}))
                .unwrap(),
            )),
            policies: Ok(objects(Vec::new())),
            bindings: Ok(objects(Vec::new())),
        },
        ready_sensors: Ok([].into()),
    }
}

fn switch(mode: &str) -> k8s_openapi::api::core::v1::ConfigMap {
    from_value(json!({"metadata": {}, "data": {"mode": mode}})).unwrap()
}

fn lines(state: &ClusterState) -> Vec<String> {
    checks(state, "bailiff-system", now())
        .into_iter()
        .map(|check| {
            format!(
                "{} | {} | {}",
                check.name,
                check.status.as_str(),
                check.message
            )
        })
        .collect()
}

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
fn every_check_of_a_working_cluster_is_ok() {
    assert!(
        checks(&working(), "bailiff-system", now())
            .iter()
            .all(|c| c.status == CheckStatus::Ok)
    );
    assert_eq!(
        lines(&working()),
        [
            "controller | OK | 2 of 2 replicas are ready.",
            "leader-election | OK | Replica bailiff-controller-1 holds the Lease.",
            "sensor | OK | The sensor is ready on 3 of 3 nodes.",
            "incident-protection | OK | Only sensors and the controller can write Incidents.",
            "response-switch | OK | Mode Enforce: Bailiff responds as the bindings specify.",
            "policies | OK | 1 exists and is Ready.",
            "bindings | OK | 1 exists and is Ready.",
            "incidents | OK | 0 Incidents exist, 0 without a final response.",
            "webhook | OK | 2 of 2 replicas are ready. The certificate is valid until 2026-01-31T00:00:00Z.",
            "renderer | OK | 1 of 1 replica is ready.",
            "image-policies | OK | None exist.",
            "image-bindings | OK | None exist.",
        ]
    );
}

type Change = fn(&mut ClusterState);

fn assert_lines(cases: &[(&str, usize, Change)]) {
    for (want, line, change) in cases {
        let mut state = working();
        change(&mut state);
        assert_eq!(lines(&state)[*line], *want);
    }
}

#[test]
fn each_failure_of_the_installation_has_its_remedy() {
    assert_lines(&[
        (
            "controller | Failed | Deployment bailiff-controller not found in namespace bailiff-system. If Bailiff is installed in another namespace, set --namespace.",
            0,
            |s| s.controller = Ok(None),
        ),
        (
            "controller | Unknown | The check cannot run. forbidden",
            0,
            |s| s.controller = Err("forbidden".to_owned()),
        ),
        (
            "leader-election | Failed | No replica holds the Lease, so Bailiff does not respond to Incidents. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            1,
            |s| s.lease = Ok(Some(from_value(json!({"metadata": {}})).unwrap())),
        ),
        (
            "leader-election | Failed | Lease bailiff-controller not found, so Bailiff does not respond to Incidents. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            1,
            |s| s.lease = Ok(None),
        ),
        (
            "leader-election | Failed | Replica gone last renewed the Lease at 2025-12-31T23:00:00Z, so Bailiff does not respond to Incidents. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            1,
            |s| {
                s.lease = Ok(Some(
                    from_value(json!({"metadata": {}, "spec": {"holderIdentity": "gone",
                    "leaseDurationSeconds": 15, "renewTime": "2025-12-31T23:00:00.000000Z"}}))
                    .unwrap(),
                ));
            },
        ),
        (
            "sensor | Failed | The sensor is ready on 1 of 3 nodes. The others are not monitored. Check the pods with `kubectl -n bailiff-system describe pods -l app.kubernetes.io/component=sensor`.",
            2,
            |s| {
                s.sensor = Ok(Some(from_value(json!({"metadata": {}, "status": {"numberReady": 1,
                    "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0}})).unwrap()));
            },
        ),
        (
            "incident-protection | Failed | ValidatingAdmissionPolicy bailiff-incident-protection not found, so Bailiff does not respond to Incidents. Restore it with `helm upgrade`.",
            3,
            |s| s.protection = Ok(None),
        ),
        (
            "incident-protection | Failed | ValidatingAdmissionPolicyBinding bailiff-incident-protection not found, so Bailiff does not respond to Incidents. Restore it with `helm upgrade`.",
            3,
            |s| s.protection_binding = Ok(None),
        ),
        (
            "incident-protection | Unknown | The check cannot run. timeout",
            3,
            |s| s.protection = Err("timeout".to_owned()),
        ),
        (
            "runtimepolicy/p | Unknown | The controller has not processed it yet.",
            5,
            |s| {
                if let Ok(policies) = &mut s.policies {
                    policies.items[0].status = None;
                }
            },
        ),
        (
            "bindings | Unknown | The check cannot run. no such kind",
            6,
            |s| s.bindings = Err("no such kind".to_owned()),
        ),
        (
            "incidents | Unknown | The check cannot run. forbidden",
            7,
            |s| s.incidents = Err("forbidden".to_owned()),
        ),
        (
            "nodes | Unknown | The check cannot run. forbidden",
            5,
            |s| s.node_events = Err("forbidden".to_owned()),
        ),
    ]);
}

#[test]
fn the_switch_is_ok_only_if_it_is_set_to_enforce() {
    assert_lines(&[
        (
            "response-switch | Warning | Mode Audit: Bailiff removes no pods. Resume with `kubectl -n bailiff-system patch configmap bailiff-response --type merge -p '{\"data\":{\"mode\":\"Enforce\"}}'`.",
            4,
            |s| s.switch = Ok(Some(switch("Audit"))),
        ),
        (
            "response-switch | Failed | ConfigMap bailiff-system/bailiff-response has a mode that is neither Enforce nor Audit, so Bailiff removes no pods. Fix it with `kubectl -n bailiff-system patch configmap bailiff-response --type merge -p '{\"data\":{\"mode\":\"Enforce\"}}'`.",
            4,
            |s| s.switch = Ok(Some(switch("enforce"))),
        ),
        (
            "response-switch | Failed | ConfigMap bailiff-system/bailiff-response does not exist, so Bailiff removes no pods. Restore it with `helm upgrade`.",
            4,
            |s| s.switch = Ok(None),
        ),
        (
            "response-switch | Unknown | The check cannot run. forbidden",
            4,
            |s| s.switch = Err("forbidden".to_owned()),
        ),
    ]);
}

fn undecodable(namespace: &str, name: &str) -> Problem {
    Problem {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        cause: "spec.severity: unknown variant `Extreme`".to_owned(),
        is_partial: false,
    }
}

#[test]
fn an_object_that_cannot_be_decoded_has_a_row_beside_the_others() {
    assert_lines(&[
        (
            "runtimepolicy/bad | Failed | The object cannot be decoded, so Bailiff ignores it. spec.severity: unknown variant `Extreme`. Fix or delete the object.",
            5,
            |s| {
                if let Ok(policies) = &mut s.policies {
                    policies.problems.push(undecodable("", "bad"));
                }
            },
        ),
        (
            "runtimepolicy/bad | Failed | A part of the status of the object cannot be decoded, so Bailiff ignores it. status.x: unknown. Fix or delete the object.",
            5,
            |s| {
                if let Ok(policies) = &mut s.policies {
                    policies.problems.push(Problem {
                        cause: "status.x: unknown".to_owned(),
                        is_partial: true,
                        ..undecodable("", "bad")
                    });
                }
            },
        ),
        (
            "incident/bad | Failed | The object in namespace shop cannot be decoded, so Bailiff ignores it. spec.severity: unknown variant `Extreme`. Fix or delete the object.",
            8,
            |s| {
                if let Ok(incidents) = &mut s.incidents {
                    incidents.problems.push(undecodable("shop", "bad"));
                }
            },
        ),
    ]);
    let mut state = working();
    if let Ok(incidents) = &mut state.incidents {
        incidents
            .problems
            .extend((0..12).map(|i| undecodable("shop", &format!("bad-{i}"))));
    }
    assert_eq!(lines(&state).len(), 12 + 11);
    assert_eq!(
        lines(&state)[18],
        "incident | Failed | 2 more objects have the same status."
    );
    // A long error does not hide the remedy.
    let mut state = working();
    if let Ok(incidents) = &mut state.incidents {
        incidents.problems.push(Problem {
            cause: "x".repeat(1000),
            ..undecodable(&"n".repeat(63), "bad")
        });
    }
    let line = lines(&state)[8].clone();
    assert!(line.ends_with("x…. Fix or delete the object."), "{line}");
}

#[test]
fn a_policy_with_evaluation_errors_is_named_for_its_current_generation_only() {
    for (generation, want) in [
        (2, Some("runtimepolicy/p | Failed | On node n it failed.")),
        (3, None),
    ] {
        let mut state = working();
        let policies = state.policies.as_mut().unwrap();
        policies.items[0].metadata.generation = Some(generation);
        let condition = json!({"type": "EvaluationFailed", "status": "True", "reason": "R",
            "message": "On node n it failed.", "observedGeneration": 2,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions = &mut policies.items[0].status.as_mut().unwrap().conditions;
        conditions.push(from_value(condition).unwrap());
        let found = lines(&state);
        let named = found.iter().find(|line| line.starts_with("runtimepolicy/"));
        assert_eq!(named.map(String::as_str), want);
    }
}

#[test]
fn a_paused_binding_is_a_warning_with_the_command_that_resumes_it() {
    let mut state = working();
    let rows = |state: &ClusterState| {
        let mut found = lines(state);
        found.retain(|line| line.starts_with("runtimepolicybinding/"));
        found
    };
    assert_eq!(rows(&state), [""; 0]);
    let paused = json!({"policyUID": "u", "policyGeneration": 3, "bindingGeneration": 2,
        "startTime": "2026-01-01T00:00:00Z", "workloads": 12, "maxWorkloads": 10});
    let bindings = state.bindings.as_mut().unwrap();
    let status = bindings.items[0].status.as_mut().unwrap();
    status.paused = Some(from_value(paused).unwrap());
    assert_eq!(
        rows(&state),
        [
            "runtimepolicybinding/b | Warning | This binding would remove pods of 12 workloads instead of at most 10 within 10 minutes, so its responses wait. Check the policy and the Incidents. To resume, run: kubectl annotate runtimepolicybinding b bailiff.dev/resume=3/2 --overwrite"
        ]
    );
}

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
