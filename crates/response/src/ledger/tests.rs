//! What is remembered of removals, and for how long.

use super::*;
use crate::tests::{incident, incident_of, key};
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn claim(workload: Option<&str>, binding: &str, namespace: &str) -> Claim {
    Claim {
        workload: workload.map(|uid| WorkloadClaim {
            key: key(uid),
            cooldown: SignedDuration::from_secs(60),
        }),
        binding: binding.to_owned(),
        binding_per_minute: 2,
        namespace: namespace.to_owned(),
    }
}

fn ledger(removals: &[(&str, Option<&str>, &str, &str, i64)]) -> Ledger {
    let mut ledger = Ledger::new(RateLimits::default());
    for (pod, workload, binding, namespace, second) in removals {
        ledger.reserve(pod, &claim(*workload, binding, namespace), at(*second));
        ledger.confirm(pod, at(*second));
    }
    ledger
}

#[test]
fn removals_are_found_by_what_they_limit_oldest_first() {
    let ledger = ledger(&[
        ("p1", Some("web"), "a", "shop", 20),
        ("p2", Some("web"), "b", "shop", 10),
        ("p3", Some("api"), "a", "bank", 15),
        ("p4", None, "a", "shop", 5),
    ]);
    let history = ledger.history(Some(&key("web")), "shop", &["a", "unused"], at(30));
    assert_eq!(history.last_of_workload, Some(at(20)));
    assert_eq!(history.last_of_workload, Some(at(20)));
    let of_a = vec![at(5), at(15), at(20)];
    assert_eq!(history.by_binding, [("a".to_owned(), of_a)]);
    assert_eq!(history.in_namespace, [5, 10, 20].map(at));
    assert_eq!(history.in_cluster, [5, 10, 15, 20].map(at));
    assert_eq!(
        ledger.history(None, "x", &[], at(30)).last_of_workload,
        None
    );
}

#[test]
fn each_limit_blocks_what_it_limits_until_it_has_room() {
    let none = BTreeMap::new();
    let full = |limit, most| {
        let mut ledger = Ledger::new(RateLimits {
            namespace_per_minute: 3,
            cluster_per_minute: 4,
        });
        for i in 0..most {
            let pod = format!("p{i}");
            // Each limit by itself.
            let own = format!("own-{i}");
            let place = match limit {
                "workload" => claim(Some("web"), &own, &own),
                "binding" => claim(Some(&own), "a", &own),
                "namespace" => claim(Some(&own), &own, "shop"),
                _ => claim(Some(&own), &own, &own),
            };
            ledger.reserve(&pod, &place, at(i));
            ledger.confirm(&pod, at(i));
        }
        ledger.blocked(&claim(Some("web"), "a", "shop"), &none, at(9))
    };
    for (name, limit, most) in [
        ("workload", Limit::Workload(key("web")), 1),
        ("binding", Limit::Binding("a".to_owned()), 2),
        ("namespace", Limit::Namespace("shop".to_owned()), 3),
        ("cluster", Limit::Cluster, 4),
    ] {
        assert_eq!(full(name, most), Some((limit, at(60))), "{name}");
        assert_eq!(full(name, most - 1), None, "{name}");
    }
}

#[test]
fn places_that_others_are_about_to_take_are_taken() {
    let ledger = ledger(&[("p1", Some("api"), "a", "shop", 0)]);
    let mine = claim(Some("web"), "a", "shop");
    for (limit, blocks) in [
        (Limit::Workload(key("web")), true),
        (Limit::Workload(key("api")), false),
        (Limit::Binding("a".to_owned()), true),
        (Limit::Binding("b".to_owned()), false),
        (Limit::Namespace("shop".to_owned()), false),
    ] {
        let held = BTreeMap::from([(limit.clone(), 1)]);
        assert_eq!(
            ledger.blocked(&mine, &held, at(1)).is_some(),
            blocks,
            "{limit:?}"
        );
    }
    let held = BTreeMap::from([(Limit::Cluster, 59)]);
    assert_eq!(
        ledger.blocked(&mine, &held, at(1)).unwrap().0,
        Limit::Cluster
    );
}

#[test]
fn what_is_taken_back_limits_nothing_and_nothing_else_goes_with_it() {
    let mut ledger = ledger(&[("p1", Some("web"), "a", "shop", 1)]);
    let history = |ledger: &Ledger| ledger.history(Some(&key("web")), "shop", &["a"], at(7));
    let before = (history(&ledger), ledger.releases());
    ledger.release("p2");
    assert_eq!((history(&ledger), ledger.releases()), before);
    ledger.reserve("p2", &claim(Some("web"), "a", "shop"), at(2));
    assert_ne!(history(&ledger), before.0);
    ledger.release("p2");
    assert_eq!(history(&ledger), before.0);
    assert_ne!(ledger.releases(), before.1, "an Incident may wait for it");
    // A pod is removed once, whichever Incident it was for.
    ledger.reserve("p1", &claim(Some("web"), "b", "shop"), at(3));
    assert_eq!(history(&ledger).in_cluster.len(), 1);
}

#[test]
fn what_incidents_record_is_learned_once() {
    let mut ledger = ledger(&[]);
    ledger.restore(&incident());
    assert_eq!(
        ledger.history(Some(&key("web")), "shop", &["a"], at(7)),
        History::default()
    );
    let removed = incident_of(&json!({"status": {
        "response": {"action": "Evict", "bindingName": "a", "time": "1970-01-01T00:00:07.000000Z"},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web"},
    }}));
    ledger.restore(&removed);
    ledger.restore(&removed);
    let history = ledger.history(Some(&key("web")), "shop", &["a"], at(7));
    assert_eq!(history.last_of_workload, Some(at(7)));
    assert_eq!(history.by_binding, [("a".to_owned(), vec![at(7)])]);
    assert_eq!(
        (history.in_namespace, history.in_cluster),
        (vec![at(7)], vec![at(7)])
    );
    assert!(ledger.contains("pod-uid"));
}

#[test]
fn what_limits_nothing_any_more_is_forgotten() {
    let mut ledger = ledger(&[
        ("p1", Some("web"), "a", "shop", 0),
        ("p2", None, "a", "shop", 0),
    ]);
    let (minute, day) = (RATE_WINDOW.as_secs(), LONGEST_COOLDOWN.as_secs());
    for (second, want) in [
        (minute - 1, (true, 2, 2)),
        (minute, (true, 0, 1)),
        (day - 1, (true, 0, 1)),
        (day, (false, 0, 0)),
    ] {
        ledger.prune(at(second));
        let history = ledger.history(Some(&key("web")), "shop", &["a"], at(second));
        let kept = (
            history.last_of_workload.is_some(),
            history.in_cluster.len(),
            ledger.taken.len(),
        );
        assert_eq!(kept, want, "after {second} s");
    }
}

#[test]
fn a_removal_counts_as_one_of_this_moment_until_it_is_known_when_it_happened() {
    let mut ledger = ledger(&[]);
    ledger.reserve("pod-uid", &claim(Some("web"), "a", "shop"), at(0));
    let last = |ledger: &Ledger, second| {
        let history = ledger.history(Some(&key("web")), "shop", &["a"], at(second));
        history.last_of_workload.map(Timestamp::as_second)
    };
    ledger.prune(at(200));
    assert_eq!(last(&ledger, 200), Some(200));
    // For others it counts for a minute: whose webhook hangs takes no places of theirs.
    let mut hangs = ledger.clone();
    hangs.unanswered("pod-uid", at(15));
    assert_eq!(last(&hangs, 200), Some(200));
    let others = |ledger: &Ledger, second| {
        let history = ledger.history(None, "shop", &["a"], at(second));
        let times = [history.in_namespace, history.in_cluster];
        let of_binding = history.by_binding.into_iter().map(|(_, times)| times);
        times.into_iter().chain(of_binding).flatten().count()
    };
    assert_eq!(others(&ledger, 200), 3, "its request may not have begun");
    assert_eq!((others(&hangs, 74), others(&hangs, 75)), (3, 0));
    let mut confirmed = ledger.clone();
    confirmed.confirm("pod-uid", at(100));
    confirmed.confirm("pod-uid", at(150));
    assert_eq!(last(&confirmed, 101), Some(100));
    // What the status records tells it, too.
    let mut restored = ledger.clone();
    restored.restore(&incident_of(&json!({"status": {"response":
        {"action": "Evict", "bindingName": "a", "time": "1970-01-01T00:01:07.000000Z"}}})));
    assert_eq!(last(&restored, 70), Some(67));
    // And nothing waits for it for good.
    ledger.prune(at(300));
    assert_eq!(last(&ledger, 301), Some(300));
}
