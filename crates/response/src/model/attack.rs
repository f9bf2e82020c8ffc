//! What one node or one namespace can do to the controls of all.
//!
//! Here: the breaker under reports of one node, and the guard under decoys of one namespace. Not here:
//! the queue and the limits (`model`).
//! Invariant: what is generated is the attack; what it must not change is fixed.

use super::config;
use crate::breaker::{Breaker, Breakers};
use crate::guard::{limit, matched_workloads};
use crate::tests::{incident_of, key, minutes, now, seconds};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const VICTIM: &str = "node-2";
const ATTACKER: &str = "node-1";

/// A pod that a process violates the policy in.
#[derive(Clone, Debug)]
struct Pod {
    uid: String,
    node: &'static str,
    started: Timestamp,
    violated: Timestamp,
    removed: Option<Timestamp>,
    /// UID of its replacement on the victim's node, and when that was Ready.
    replacement: Option<(String, Timestamp)>,
    /// The controller verified its workload.
    verified: bool,
}

fn learn(breakers: &mut Breakers, pod: &Pod) {
    let response = pod
        .removed
        .map(|at| json!({"action": "Evict", "bindingName": "a", "time": at.to_string()}));
    let replacement = pod.replacement.as_ref().map(|(uid, ready)| {
        json!({"name": uid, "uid": uid, "nodeName": VICTIM, "readyTime": ready.to_string()})
    });
    let status = json!({
        "podStartTime": pod.started.to_string(),
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web"},
        "response": response,
        "replacement": replacement,
    });
    breakers.observe(&incident_of(&json!({
        "metadata": {"uid": format!("inc-{}-{}", pod.node, pod.uid),
            "creationTimestamp": pod.violated.to_string()},
        "spec": {"pod": {"uid": pod.uid}, "nodeName": pod.node, "process": {"origin": "Entrypoint"}},
        "status": if pod.verified { status } else { Value::Null },
    })));
}

fn at(minute: i64) -> Timestamp {
    now() + minutes(minute)
}

/// What opens the breaker for all nodes at minute 5, and pods that were tried on the victim's node
/// after pauses of so many minutes. The replacement of the last is Ready, if it is.
fn honest(pauses: &[i64], recovers: bool) -> Vec<Pod> {
    let pod = |uid: String, node, minute: i64| Pod {
        uid,
        node,
        started: at(minute),
        violated: at(minute) + seconds(5),
        removed: Some(at(minute) + minutes(1)),
        replacement: None,
        verified: true,
    };
    let mut pods = vec![
        pod("p0".to_owned(), ATTACKER, -10),
        pod("p1".to_owned(), ATTACKER, 1),
        pod("p2".to_owned(), VICTIM, 3),
        pod("p3".to_owned(), VICTIM, 5),
    ];
    let mut minute = 6;
    for (number, pause) in pauses.iter().enumerate() {
        minute += pause;
        // It ran for long before it violated the policy.
        let tried = Pod {
            started: at(-20),
            violated: at(minute) - seconds(5),
            removed: Some(at(minute)),
            ..pod(format!("t{number}"), VICTIM, minute)
        };
        pods.push(tried);
    }
    if let (true, Some(last)) = (recovers, pods.last_mut()) {
        last.replacement = Some(("new".to_owned(), at(minute) + minutes(1)));
    }
    pods
}

proptest! {
    #![proptest_config(config(256))]

    /// No matter what a sensor of one node reports once a breaker is open, of its own pods or of those of
    /// others: for other nodes the breaker is open for exactly as long as without it.
    #[test]
    fn one_node_does_not_keep_a_breaker_open_for_another(
        pauses in proptest::collection::vec(5..40_i64, 0..5),
        recovers in any::<bool>(),
        reports in proptest::collection::vec((6..240_i64, 0..120_i64, any::<bool>()), 0..12),
        asked in 6..260_i64,
    ) {
        let mut without = Breakers::default();
        for pod in honest(&pauses, recovers) {
            learn(&mut without, &pod);
        }
        let mut with = without.clone();
        for (number, (minute, after, of_replacement)) in reports.into_iter().enumerate() {
            // Of a pod that runs elsewhere nothing is verified.
            let uid = if of_replacement { "new".to_owned() } else { format!("r{number}") };
            learn(&mut with, &Pod {
                uid,
                node: ATTACKER,
                started: at(minute),
                violated: at(minute) + seconds(after),
                removed: None,
                replacement: None,
                verified: !of_replacement,
            });
        }
        let state = |breakers: &mut Breakers| -> Breaker {
            let none = std::iter::empty::<(&str, Timestamp)>;
            breakers.state(&key("web"), ("policy-uid", 1), VICTIM, none, at(asked))
        };
        prop_assert_eq!(state(&mut with), state(&mut without));
    }

    /// However many pods one namespace creates, the limit of the guard grows by at most what is
    /// always allowed.
    #[test]
    fn one_namespace_does_not_switch_the_guard_off(
        honest in proptest::collection::vec((0..20_u8, 0..200_u16), 0..400),
        decoys in 0..5_000_u16,
    ) {
        let name = |(namespace, workload): &(u8, u16)| (format!("ns-{namespace}"), format!("w{workload}"));
        let names: Vec<_> = honest.iter().map(name).collect();
        let decoys: Vec<_> = (0..decoys).map(|decoy| format!("decoy-{decoy}")).collect();
        let pods = || names.iter().map(|(namespace, w)| (namespace.as_str(), Some(w.as_str())));
        let decoys = decoys.iter().map(|decoy| ("ns-0", Some(decoy.as_str())));
        let before = limit(matched_workloads(pods()));
        let after = limit(matched_workloads(pods().chain(decoys)));
        prop_assert!(after >= before && after <= before + 10, "{before} {after}");
    }
}
