//! What opens, keeps open and closes a breaker. Times are minutes after a first removal.

use super::*;
use crate::tests::{incident_of, key, minutes, now, seconds};
use serde_json::{Value, json};

mod anew;

fn at(minute: i64) -> Timestamp {
    now() + minutes(minute)
}

/// One Incident: its pod started at a minute, violated the policy after so many seconds, and was
/// removed one minute after its start, if it was.
#[derive(Clone)]
struct Case {
    pod: &'static str,
    node: &'static str,
    started: i64,
    violated_after: i64,
    origin: &'static str,
    removed: bool,
    generation: i64,
    replacement: Option<(&'static str, i64)>,
}

const CASE: Case = Case {
    pod: "p0",
    node: "node-1",
    started: 0,
    violated_after: 5,
    origin: "Entrypoint",
    removed: true,
    generation: 1,
    replacement: None,
};

fn record(case: &Case) -> Incident {
    let started = at(case.started);
    let created = started + seconds(case.violated_after);
    let created = created.to_string();
    let removed = (started + minutes(1)).to_string();
    let response = json!({"action": "Evict", "bindingName": "a", "time": removed});
    let replacement = case.replacement.map(|(uid, minute)| {
        json!({"name": uid, "uid": uid, "nodeName": case.node, "readyTime": at(minute).to_string()})
    });
    incident_of(&json!({
        "metadata": {"uid": format!("inc-{}", case.pod), "creationTimestamp": created},
        "spec": {"pod": {"uid": case.pod}, "nodeName": case.node, "process": {"origin": case.origin},
            "policyRef": {"generation": case.generation}},
        "status": {
            "podStartTime": started.to_string(),
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web"},
            "response": if case.removed { response } else { Value::Null },
            "replacement": replacement,
        },
    }))
}

#[test]
fn what_a_new_list_does_not_name_is_forgotten() {
    let other = Case { pod: "p1", ..CASE };
    let mut breakers = breakers(&[CASE, other]);
    breakers.relisted(&["inc-p1".to_owned()].into());
    assert_eq!(breakers.records.len(), 1);
    assert_eq!((breakers.by_key.len(), breakers.by_pod.len()), (1, 1));
}

fn breakers(cases: &[Case]) -> Breakers {
    let mut breakers = Breakers::default();
    for case in cases {
        breakers.observe(&record(case));
    }
    breakers
}

fn state(breakers: &Breakers, last: Option<Timestamp>, minute: i64) -> Option<i64> {
    on(breakers, "node-1", last, minute)
}

/// Minutes after which the breaker is asked for a pod of a node.
fn on(breakers: &Breakers, node: &str, last: Option<Timestamp>, minute: i64) -> Option<i64> {
    let requested = || last.map(|at| ("p0", at)).into_iter();
    let mut breakers = breakers.clone();
    match breakers.state(&key("web"), ("policy-uid", 1), node, requested, at(minute)) {
        Breaker::Closed => None,
        Breaker::Open { until } => Some(until.duration_since(now()).as_secs()),
    }
}

/// The pod that was removed first, and replacements that failed one after the other, at these
/// minutes.
fn failing(starts: &[i64]) -> Vec<Case> {
    const NAMES: [&str; 9] = ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"];
    let first = Case {
        started: -1,
        violated_after: -9999,
        ..CASE
    };
    let replacements = starts.iter().zip(NAMES).map(|(started, pod)| Case {
        pod,
        started: *started,
        ..CASE
    });
    std::iter::once(first).chain(replacements).collect()
}

#[test]
fn the_third_replacement_that_fails_opens_it() {
    assert_eq!(state(&breakers(&failing(&[1, 3])), None, 4), None);
    let mut cases = failing(&[1, 3, 5]);
    // The third is not removed any more.
    cases[3].removed = false;
    let opened = 5 * 60 + 5;
    assert_eq!(state(&breakers(&cases), None, 6), Some(opened + 600));
    let never = |change: fn(&mut Case)| {
        let mut cases = cases.clone();
        change(&mut cases[3]);
        state(&breakers(&cases), None, 6)
    };
    for (name, change) in [
        ("an exec", (|c| c.origin = "Exec") as fn(&mut Case)),
        ("an unknown origin", |c| c.origin = "Unknown"),
        ("later than two minutes", |c| c.violated_after = 121),
        ("another generation", |c| c.generation = 2),
        ("the same pod", |c| c.pod = "p2"),
        ("a pod from before the first removal", |c| c.started = -3),
    ] {
        assert_eq!(never(change), None, "{name}");
    }
    for origin in ["Probe", "Lifecycle"] {
        let mut cases = cases.clone();
        cases[3].origin = origin;
        assert!(state(&breakers(&cases), None, 6).is_some(), "{origin}");
    }
    // One that lived longer than two minutes ended the row.
    cases[1].replacement = Some(("p2b", 2));
    assert_eq!(state(&breakers(&cases), None, 6), None);
}

#[test]
fn one_node_opens_it_for_no_other() {
    let all_of_one = breakers(&failing(&[1, 3, 5]));
    assert!(on(&all_of_one, "node-1", None, 6).is_some());
    assert_eq!(on(&all_of_one, "node-2", None, 6), None);
    let mut cases = failing(&[1, 3, 5]);
    cases[2].node = "node-2";
    let of_two = breakers(&cases);
    for node in ["node-1", "node-2", "node-3"] {
        assert!(on(&of_two, node, None, 6).is_some(), "{node}");
    }
    // However often one node says so.
    let more = breakers(&failing(&[1, 3, 5, 7, 9]));
    assert_eq!(on(&more, "node-2", None, 10), None);
    // A replacement that lives on another node closes it there alone.
    let mut cases = failing(&[1, 3, 5]);
    cases.push(Case {
        pod: "p9",
        node: "node-2",
        started: 3,
        violated_after: 200,
        replacement: Some(("p9b", 6)),
        ..CASE
    });
    assert!(on(&breakers(&cases), "node-1", None, 9).is_some());
}

#[test]
fn one_response_is_tried_after_a_pause_and_the_pauses_double_up_to_an_hour() {
    let mut cases = failing(&[1, 3, 5]);
    cases[3].removed = false;
    assert!(state(&breakers(&cases), None, 15).is_some());
    assert_eq!(state(&breakers(&cases), None, 16), None, "one is tried");
    // It is requested: the others wait for what becomes of it.
    assert_eq!(state(&breakers(&cases), Some(at(16)), 16), Some(26 * 60));
    // Without news another one is tried.
    assert_eq!(state(&breakers(&cases), Some(at(16)), 26), None);
    let mut pauses = Vec::new();
    let mut until = 15 * 60 + 5;
    for (removed, failed) in [("p4", "p5"), ("p6", "p7"), ("p8", "p9"), ("p10", "p11")] {
        let minute = until / 60 + 1;
        cases.push(Case {
            pod: removed,
            started: minute - 1,
            violated_after: 9999,
            ..CASE
        });
        cases.push(Case {
            pod: failed,
            started: minute,
            removed: false,
            ..CASE
        });
        let since = minute * 60 + 5;
        until = state(&breakers(&cases), None, minute + 1).unwrap();
        pauses.push((until - since) / 60);
    }
    assert_eq!(pauses, [20, 40, 60, 60]);
}

/// A breaker that two nodes opened, and tries on node-2 at these minutes.
fn opened_by_two(tries: &[i64]) -> Vec<Case> {
    const NAMES: [&str; 3] = ["t1", "t2", "t3"];
    let mut cases = failing(&[1, 3, 5]);
    cases[2].node = "node-2";
    cases[3].removed = false;
    cases.extend(tries.iter().zip(NAMES).map(|(minute, pod)| Case {
        pod,
        node: "node-2",
        started: minute - 1,
        violated_after: 9999,
        ..CASE
    }));
    cases
}

#[test]
fn one_node_prolongs_it_for_no_other() {
    let failed = |pod, node, started| Case {
        pod,
        node,
        started,
        removed: false,
        ..CASE
    };
    let mut cases = opened_by_two(&[16]);
    assert_eq!(on(&breakers(&cases), "node-2", None, 18), Some(26 * 60));
    // A sensor of node-1 reports what it likes: the next try comes as without it.
    cases.extend(["p5", "p6", "p7"].map(|pod| failed(pod, "node-1", 17)));
    assert_eq!(on(&breakers(&cases), "node-2", None, 18), Some(26 * 60));
    assert_eq!(on(&breakers(&cases), "node-2", None, 26), None);
    // Its own node waits for longer, as soon as it has a breaker of its own.
    let own = on(&breakers(&cases), "node-1", None, 18).unwrap();
    assert!(own > 26 * 60, "{own}");
    // A second node reports it, too, and the pause doubles.
    cases.push(failed("p8", "node-2", 17));
    let doubled = 17 * 60 + 5 + 20 * 60;
    assert_eq!(on(&breakers(&cases), "node-3", None, 18), Some(doubled));
    // The reports of two tries count together.
    let mut cases = opened_by_two(&[16, 27]);
    cases.push(failed("p5", "node-1", 17));
    cases.push(failed("p6", "node-2", 28));
    let doubled = 28 * 60 + 5 + 20 * 60;
    assert_eq!(on(&breakers(&cases), "node-3", None, 29), Some(doubled));
}

#[test]
fn a_pod_from_before_the_try_says_nothing_about_it() {
    let mut cases = opened_by_two(&[16]);
    for (pod, node) in [("p5", "node-1"), ("p6", "node-2")] {
        cases.push(Case {
            pod,
            node,
            started: 15,
            violated_after: 90,
            removed: false,
            ..CASE
        });
    }
    assert_eq!(on(&breakers(&cases), "node-3", None, 18), Some(26 * 60));
}

#[test]
fn a_node_cannot_report_that_the_replacement_on_another_one_failed() {
    let mut cases = failing(&[1, 3, 5]);
    cases[3].replacement = Some(("p4", 7));
    for (node, want) in [("node-2", None), ("node-1", Some(5 * 60 + 5 + 600))] {
        let mut incident = record(&Case {
            pod: "p4",
            node,
            started: 7,
            removed: false,
            ..CASE
        });
        incident.status = None;
        let mut breakers = breakers(&cases);
        breakers.observe(&incident);
        assert_eq!(state(&breakers, None, 9), want, "{node}");
    }
}

#[test]
fn a_replacement_that_lives_closes_it() {
    let mut cases = failing(&[1, 3, 5]);
    cases[3].replacement = Some(("p4", 7));
    assert_eq!(
        state(&breakers(&cases), None, 8),
        Some(9 * 60),
        "not before two minutes"
    );
    assert_eq!(state(&breakers(&cases), None, 9), None);
    // Not one that violated the policy, too, even if it is not verified yet.
    let unverified = Case {
        pod: "p4",
        started: 7,
        removed: false,
        ..CASE
    };
    let mut incident = record(&unverified);
    incident.status = None;
    let mut breakers = breakers(&cases);
    breakers.observe(&incident);
    assert_eq!(state(&breakers, None, 9), Some(5 * 60 + 5 + 600));
    breakers.deleted("inc-p4");
    assert_eq!(state(&breakers, None, 9), None);
}

#[test]
fn what_was_verified_counts_before_the_status_records_it() {
    let mut breakers = breakers(&failing(&[1, 3]));
    let third = Case {
        pod: "p3",
        started: 5,
        removed: false,
        ..CASE
    };
    let mut incident = record(&third);
    incident.status = None;
    breakers.observe(&incident);
    assert_eq!(state(&breakers, None, 6), None);
    breakers.verified(&incident, &key("web"), Some(at(5)));
    assert!(state(&breakers, None, 6).is_some());
    // A watch that is behind changes nothing.
    breakers.observe(&incident);
    assert!(state(&breakers, None, 6).is_some());
}

#[test]
fn old_records_are_forgotten() {
    let mut breakers = breakers(&failing(&[1, 3, 5]));
    breakers.prune(at(5 + 24 * 60));
    assert!(!breakers.records.is_empty());
    breakers.prune(at(6 + 24 * 60));
    assert!(
        breakers.records.is_empty() && breakers.by_key.is_empty() && breakers.by_pod.is_empty()
    );
}
