//! Checks, word for word.

use super::checks::{Found, State, checks};
use bailiff_api::protection::{self, policy_status};
use jiff::Timestamp;
use serde_json::{from_value, json};

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

/// A cluster where everything works.
fn well() -> Found {
    let condition = json!([{"type": "Ready", "status": "True", "reason": "R", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    Found {
        controller: Ok(Some(
            from_value(json!({"metadata": {}, "status": {"readyReplicas": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}}}))
            .unwrap(),
        )),
        lease: Ok(Some(
            from_value(
                json!({"metadata": {}, "spec": {"holderIdentity": "bailiff-controller-1",
            "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}}),
            )
            .unwrap(),
        )),
        sensor: Ok(Some(
            from_value(json!({"metadata": {}, "status": {"numberReady": 3,
            "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0}}))
            .unwrap(),
        )),
        protection: Ok(Some(protection::policy("bailiff-system"))),
        protection_binding: Ok(Some(protection::binding())),
        status_protection: Ok(Some(policy_status::policy("bailiff-system"))),
        status_protection_binding: Ok(Some(policy_status::binding())),
        policies: Ok(vec![
            from_value(
                json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicy",
            "metadata": {"name": "p"}, "spec": {"validations": [{"expression": "true"}]},
            "status": {"conditions": condition}}),
            )
            .unwrap(),
        ]),
        bindings: Ok(Vec::new()),
    }
}

fn lines(found: &Found) -> Vec<String> {
    checks(found, "bailiff-system", now())
        .into_iter()
        .map(|check| format!("{} | {} | {}", check.what, check.state.word(), check.detail))
        .collect()
}

#[test]
fn where_everything_works_every_line_says_so() {
    assert!(
        checks(&well(), "bailiff-system", now())
            .iter()
            .all(|c| c.state == State::Works)
    );
    assert_eq!(
        lines(&well()),
        [
            "controller | works | 2 of 2 replicas ready",
            "leader | works | bailiff-controller-1 holds the Lease",
            "sensor | works | ready on 3 of 3 nodes",
            "protection | works | incidents are written by sensors and the controller alone",
            "status protection | works | of a policy's status sensors write one condition alone",
            "policies | works | 1, ready",
            "bindings | works | there are none",
        ]
    );
}

#[test]
fn each_fault_is_named_with_its_remedy() {
    type Change = fn(&mut Found);
    let cases: [(&str, usize, Change); 11] = [
        (
            "controller | fails | there is no Deployment bailiff-controller in namespace bailiff-system; is Bailiff installed in another one (--namespace)?",
            0,
            |f| f.controller = Ok(None),
        ),
        ("controller | not checked | forbidden", 0, |f| {
            f.controller = Err("forbidden".to_owned());
        }),
        (
            "leader | fails | nobody holds the Lease: no incident is answered",
            1,
            |f| f.lease = Ok(Some(from_value(json!({"metadata": {}})).unwrap())),
        ),
        (
            "leader | fails | gone last renewed the Lease at 2025-12-31T23:00:00Z: no incident is answered",
            1,
            |f| {
                f.lease = Ok(Some(
                    from_value(json!({"metadata": {}, "spec": {"holderIdentity": "gone",
                    "leaseDurationSeconds": 15, "renewTime": "2025-12-31T23:00:00.000000Z"}}))
                    .unwrap(),
                ));
            },
        ),
        (
            "sensor | fails | ready on 1 of 3 nodes; see: kubectl -n bailiff-system describe pods -l app.kubernetes.io/component=sensor",
            2,
            |f| {
                f.sensor = Ok(Some(from_value(json!({"metadata": {}, "status": {"numberReady": 1,
                    "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0}})).unwrap()));
            },
        ),
        (
            "protection | fails | the admission policy that guards incidents is missing, so none is answered; bring it back with helm upgrade",
            3,
            |f| f.protection_binding = Ok(None),
        ),
        ("protection | not checked | timeout", 3, |f| {
            f.protection = Err("timeout".to_owned());
        }),
        (
            "runtimepolicy/p | not checked | the controller has not looked at it yet",
            5,
            |f| {
                if let Ok(policies) = &mut f.policies {
                    policies[0].status = None;
                }
            },
        ),
        (
            "status protection | fails | the admission policy that guards statuses of policies from sensors is missing; bring it back with helm upgrade",
            4,
            |f| f.status_protection = Ok(None),
        ),
        (
            "status protection | fails | ValidatingAdmissionPolicyBinding bailiff-policy-status-protection is not as shipped; bring it back with helm upgrade",
            4,
            |f| f.status_protection_binding = Ok(Some(protection::binding())),
        ),
        ("bindings | not checked | no such kind", 6, |f| {
            f.bindings = Err("no such kind".to_owned());
        }),
    ];
    for (want, line, change) in cases {
        let mut found = well();
        change(&mut found);
        assert_eq!(lines(&found)[line], want);
    }
}

#[test]
fn a_policy_whose_expressions_fail_is_named_while_that_is_about_its_spec_of_now() {
    for (generation, want) in [
        (2, Some("runtimepolicy/p | fails | on node n: it failed")),
        (3, None),
    ] {
        let mut found = well();
        let policies = found.policies.as_mut().unwrap();
        policies[0].metadata.generation = Some(generation);
        let condition = json!({"type": "EvaluationFailed", "status": "True", "reason": "R",
            "message": "on node n: it failed", "observedGeneration": 2,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let conditions = &mut policies[0].status.as_mut().unwrap().conditions;
        conditions.push(from_value(condition).unwrap());
        assert_eq!(lines(&found).get(7).map(String::as_str), want);
    }
}
