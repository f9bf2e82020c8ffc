//! What is kept of earlier queries changes no later one.
//!
//! Here: any order of Incidents, changes and queries, against Incidents that are all learned anew. Not here:
//! what a breaker is (`super`).
//! Invariant: the same sequences are tried every time.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

#[derive(Clone, Debug)]
enum Step {
    /// An Incident of a pod is written: when the pod started, how many seconds later it violated the policy,
    /// when it was removed, its replacement and when that was Ready.
    Learn {
        number: usize,
        pod: usize,
        node: usize,
        started: i64,
        after: i64,
        removed: Option<i64>,
        replacement: Option<(usize, i64)>,
        is_verified: bool,
    },
    Delete(usize),
    Prune(i64),
    /// At a minute, after the removal of a pod was requested.
    Ask(i64, Option<(usize, i64)>),
}

fn steps() -> impl Strategy<Value = Step> {
    let minute = || -10..90_i64;
    let learned = (
        0..24_usize,
        0..12_usize,
        0..3_usize,
        minute(),
        0..150_i64,
        proptest::option::of(minute()),
        proptest::option::weighted(0.2, (0..12_usize, minute())),
        any::<bool>(),
    );
    prop_oneof![
        12 => learned.prop_map(
            |(number, pod, node, started, after, removed, replacement, is_verified)| Step::Learn {
                number, pod, node, started, after, removed, replacement, is_verified,
            }
        ),
        2 => (0..24_usize).prop_map(Step::Delete),
        1 => (24 * 60..26 * 60_i64).prop_map(Step::Prune),
        6 => (minute(), proptest::option::of((0..12_usize, minute())))
            .prop_map(|(minute, requested)| Step::Ask(minute, requested)),
    ]
}

fn written(step: &Step) -> Option<Incident> {
    let Step::Learn {
        number,
        pod,
        node,
        started,
        after,
        removed,
        replacement,
        is_verified,
    } = step
    else {
        return None;
    };
    let started = at(*started);
    let response =
        removed.map(|m| json!({"action": "Evict", "bindingName": "a", "time": at(m).to_string()}));
    let replacement = replacement.map(|(pod, minute)| {
        let name = format!("p{pod}");
        json!({"name": name, "uid": name, "nodeName": NODES[(pod + 1) % 3],
            "readyTime": at(minute).to_string()})
    });
    let workload =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web"});
    let status = json!({
        "podStartTime": started.to_string(),
        "workloadRef": workload,
        "response": response,
        "replacement": replacement,
    });
    Some(incident_of(&json!({
        "metadata": {"uid": format!("inc-{number}"),
            "creationTimestamp": (started + seconds(*after)).to_string()},
        "spec": {"pod": {"uid": format!("p{pod}")}, "nodeName": NODES[*node],
            "process": {"origin": if number % 5 == 0 { "Exec" } else { "Entrypoint" }}},
        "status": if *is_verified { status } else { Value::Null },
    })))
}

/// The same, as if every Incident had been learned just now.
fn anew(breakers: &Breakers) -> Breakers {
    let mut anew = Breakers::default();
    for (uid, record) in breakers.records.iter().rev() {
        anew.add(uid, record.clone());
    }
    anew
}

proptest! {
    #![proptest_config(Config {
        cases: 256,
        rng_seed: RngSeed::Fixed(13),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn a_breaker_is_as_if_all_incidents_were_learned_anew(
        steps in proptest::collection::vec(steps(), 1..120),
    ) {
        let mut breakers = Breakers::default();
        for step in &steps {
            match step {
                Step::Learn { .. } => {
                    if let Some(incident) = written(step) {
                        breakers.observe(&incident);
                    }
                }
                Step::Delete(number) => breakers.deleted(&format!("inc-{number}")),
                Step::Prune(minute) => breakers.prune(at(*minute)),
                Step::Ask(minute, requested) => {
                    let pod = requested.map(|(pod, _)| format!("p{pod}")).unwrap_or_default();
                    let requested = || requested.map(|(_, minute)| (pod.as_str(), at(minute))).into_iter();
                    for node in NODES {
                        let ask = |breakers: &mut Breakers| {
                            breakers.state(&key("web"), ("policy-uid", 1), node, requested, at(*minute))
                        };
                        let mut anew = anew(&breakers);
                        prop_assert_eq!(ask(&mut breakers), ask(&mut anew));
                    }
                }
            }
        }
        let uids: Vec<_> = breakers.records.keys().cloned().collect();
        for uid in uids {
            breakers.deleted(&uid);
        }
        prop_assert!(breakers.by_key.is_empty() && breakers.by_pod.is_empty());
        prop_assert!(breakers.violations.is_empty() && breakers.by_replacement.is_empty());
        prop_assert!(breakers.by_age.is_empty());
    }
}
