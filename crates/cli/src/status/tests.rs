//! Checks, word for word.

use super::checks::{Found, State, checks};
use bailiff_api::confinement;
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
        confinement: Ok(Some(confinement::policy("bailiff-system"))),
        confinement_binding: Ok(Some(confinement::binding())),
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
            "confinement | works | incidents are written by sensors and the controller alone",
            "policies | works | 1, ready",
            "bindings | works | there are none",
        ]
    );
}

#[test]
fn each_fault_is_named_with_its_remedy() {
    type Change = fn(&mut Found);
    let cases: [(&str, usize, Change); 9] = [
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
            "confinement | fails | the admission policy that guards incidents is missing, so none is answered; bring it back with helm upgrade",
            3,
            |f| f.confinement_binding = Ok(None),
        ),
        ("confinement | not checked | timeout", 3, |f| {
            f.confinement = Err("timeout".to_owned());
        }),
        (
            "runtimepolicy/p | not checked | the controller has not looked at it yet",
            4,
            |f| {
                if let Ok(policies) = &mut f.policies {
                    policies[0].status = None;
                }
            },
        ),
        ("bindings | not checked | no such kind", 5, |f| {
            f.bindings = Err("no such kind".to_owned());
        }),
    ];
    for (want, line, change) in cases {
        let mut found = well();
        change(&mut found);
        assert_eq!(lines(&found)[line], want);
    }
}
