//! Checks and the report, word for word.

mod namespaces;
mod nodes;
mod responses;
mod webhook;

use super::admission_protections::Protection;
use super::checks::{CheckStatus, ClusterState, checks};
use super::image_policies::ImagePolicies;
use crate::objects::{Objects, Problem};
use bailiff_api::protection;
use jiff::Timestamp;
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
        event_protection: webhook::protection(),
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
        not_recorded: Ok(Vec::new()),
        webhook: webhook::working(),
        images: ImagePolicies {
            owner: Ok(Some(from_value(json!({"metadata": {}})).unwrap())),
            renderer: Ok(Some(
                from_value(json!({"metadata": {}, "status": {"readyReplicas": 1},
                "spec": {"selector": {}, "template": {}}}))
                .unwrap(),
            )),
            policies: Ok(objects(Vec::new())),
            bindings: Ok(objects(Vec::new())),
        },
        missing_namespaces: Ok(Vec::new()),
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
fn events_of_sensors_that_are_not_restricted_fail() {
    let row = |change: fn(&mut Protection)| {
        let mut state = working();
        change(&mut state.event_protection);
        lines(&state)[4].clone()
    };
    assert_eq!(
        row(|(policy, _)| *policy = Ok(None)),
        "event-protection | Failed | ValidatingAdmissionPolicy bailiff-event-protection not found, so a stolen token of a sensor can report that other nodes are monitored. Restore it with `helm upgrade`."
    );
    assert_eq!(
        row(|(_, binding)| *binding = Ok(None)),
        "event-protection | Failed | ValidatingAdmissionPolicyBinding bailiff-event-protection not found, so a stolen token of a sensor can report that other nodes are monitored. Restore it with `helm upgrade`."
    );
    assert_eq!(
        row(|(_, binding)| *binding = Err("timeout".to_owned())),
        "event-protection | Unknown | The check cannot run. timeout"
    );
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
