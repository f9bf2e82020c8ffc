//! Which closed Incidents go first.

use super::*;
use crate::limits::{Counted, Standing};
use crate::tests::{incident_of, key, minutes, now, seconds};
use serde_json::json;

fn closed(namespace: &str, name: &str, record: Record, age_hours: i64, subject: &str) -> Closed {
    Closed {
        key: Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: format!("{namespace}/{name}"),
        },
        namespace: namespace.to_owned(),
        record,
        at: now() - minutes(60 * age_hours),
        subject: Subject {
            workload: Some(key(subject)),
            pod_uid: None,
            policy_uid: "policy".to_owned(),
        },
    }
}

fn names(closed: &[Closed], per_namespace: usize, in_cluster: usize) -> Vec<String> {
    let settings = RetentionSettings {
        max_per_namespace: per_namespace,
        max_in_cluster: in_cluster,
        ..RetentionSettings::default()
    };
    let limits = Limits::default();
    let keys = expired(closed, &settings, &limits, now());
    keys.into_iter().map(|key| key.name).collect()
}

#[test]
fn what_is_a_week_old_goes() {
    let week = 7 * 24;
    let mut all = vec![closed("a", "young", Record::Audit, week - 1, "x")];
    for (name, record) in [
        ("audit", Record::Audit),
        ("none", Record::NoAction),
        ("removal", Record::Removal),
    ] {
        all.push(closed("a", name, record, week, "x"));
    }
    assert_eq!(names(&all, 9, 9), ["audit", "none", "removal"]);
}

#[test]
fn a_removal_stays_for_a_day_with_any_maximum_age() {
    let settings = RetentionSettings {
        max_age: minutes(60),
        ..RetentionSettings::default()
    };
    let all = [
        closed("a", "audit", Record::Audit, 1, "x"),
        closed("a", "none", Record::NoAction, 23, "x"),
        closed("a", "fresh", Record::Removal, 23, "x"),
        closed("a", "removal", Record::Removal, 24, "x"),
        closed("a", "young", Record::Audit, 0, "x"),
    ];
    let keys = expired(&all, &settings, &Limits::default(), now());
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["audit", "none", "removal"]);
}

#[test]
fn those_that_tell_least_go_first_and_a_fresh_removal_never() {
    let all = [
        closed("a", "only", Record::Removal, 40, "x"),
        closed("a", "fresh", Record::Removal, 23, "y"),
        closed("a", "repeat-old", Record::Removal, 50, "y"),
        closed("a", "repeat", Record::NoAction, 30, "y"),
        closed("a", "audit", Record::Audit, 1, "z"),
        closed("a", "audit-old", Record::Audit, 2, "z"),
    ];
    let order = ["audit-old", "audit", "repeat-old", "repeat", "only"];
    for most in 0..7 {
        let want = order.get(..(6_usize.saturating_sub(most)).min(5)).unwrap();
        assert_eq!(names(&all, most, 99), want, "{most} in the namespace");
        assert_eq!(names(&all, 99, most), want, "{most} in the cluster");
    }
}

#[test]
fn a_namespace_that_has_too_many_displaces_its_own_first() {
    let mut all: Vec<_> = (0..5)
        .map(|i| closed("flood", &format!("f{i}"), Record::Removal, 30 + i, "x"))
        .collect();
    all.push(closed("quiet", "q", Record::Audit, 100, "y"));
    assert_eq!(names(&all, 2, 3), ["f4", "f3", "f2"]);
    // In the cluster, too, who holds most gives way first; of two that hold the same the least telling.
    assert_eq!(names(&all, 2, 2), ["f4", "f3", "f2", "f1"]);
    assert_eq!(names(&all, 2, 1), ["q", "f4", "f3", "f2", "f1"]);
    assert_eq!(names(&all, 9, 5), ["f4"]);
}

#[test]
fn protected_removals_above_the_limit_displace_nothing_of_others() {
    let mut all: Vec<_> = (0..9)
        .map(|i| {
            closed(
                "flood",
                &format!("f{i}"),
                Record::Removal,
                1,
                &format!("w{i}"),
            )
        })
        .collect();
    all.push(closed("quiet", "q1", Record::NoAction, 30, "y"));
    all.push(closed("quiet", "q2", Record::Audit, 30, "z"));
    assert_eq!(names(&all, 2, 4), Vec::<String>::new());
    assert_eq!(names(&all, 2, 3), ["q2"]);
}

#[test]
fn incidents_count_for_the_namespace_of_their_pod() {
    // Rejected by the namespace of its pod, and so kept in Bailiff's.
    let fallback = |name: &str, age| {
        let mut fallback = closed("flood", name, Record::NoAction, age, name);
        fallback.key.namespace = "bailiff-system".to_owned();
        fallback
    };
    let mut all = vec![fallback("a", 9), fallback("b", 8), fallback("c", 7)];
    all.push(closed("bailiff-system", "own", Record::NoAction, 10, "x"));
    assert_eq!(names(&all, 2, 99), ["a"]);
}

#[test]
fn what_no_live_pod_confirmed_goes_with_what_was_audited() {
    let all = [
        closed("a", "forged", Record::Unconfirmed, 1, "x"),
        closed("a", "real", Record::NoAction, 30, "y"),
        closed("a", "audit", Record::Audit, 2, "z"),
    ];
    assert_eq!(names(&all, 1, 99), ["audit", "forged"]);
}

#[test]
fn only_what_is_closed_has_a_summary() {
    let with = |responded: &str, reason: &str, recovered: &str, response: bool, count: i64| {
        let condition = |type_: &str, status: &str, reason: &str, second: i64| {
            json!({"type": type_, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": (now() + seconds(second)).to_string()})
        };
        let time = "2026-01-02T00:00:00.000000Z";
        let removed = json!({"action": "Evict", "bindingName": "a", "time": time});
        let response = response.then_some(removed);
        let series = json!({"count": count, "lastObservedTime": "2026-01-02T00:00:00.000000Z",
            "policyGeneration": 1, "bindingRefs": []});
        Closed::of(&incident_of(&json!({"status": {
            "conditions": [condition("Responded", responded, reason, 5),
                condition("Recovered", recovered, "R", 9)],
            "response": response, "series": series, "observedCount": 1,
        }})))
        .map(|c| {
            (
                c.record,
                c.at.duration_since(now()).as_secs(),
                c.subject.pod_uid,
            )
        })
    };
    let summary = |record| Some((record, 9, Some("pod-uid".to_owned())));
    assert_eq!(
        with("True", "Evicted", "True", true, 1),
        summary(Record::Removal)
    );
    assert_eq!(
        with("True", "Evicted", "Unknown", true, 1),
        None,
        "a replacement is awaited"
    );
    assert_eq!(
        with("True", "AuditOnly", "True", false, 1),
        summary(Record::Audit)
    );
    assert_eq!(
        with("True", "EvaluationFailed", "True", false, 1),
        summary(Record::Audit)
    );
    assert_eq!(
        with("True", "FoundRunning", "True", false, 1),
        summary(Record::Audit)
    );
    for (responded, reason) in [("True", "PodNotFound"), ("False", "PodMismatch")] {
        let got = with(responded, reason, "True", false, 1);
        assert_eq!(got, summary(Record::Unconfirmed), "{reason}");
    }
    assert_eq!(
        with("False", "Unmanaged", "True", false, 1),
        summary(Record::NoAction)
    );
    assert_eq!(
        with("False", "Unmanaged", "True", false, 2),
        None,
        "violations continue"
    );
    assert_eq!(
        with("Unknown", "Cooldown", "True", false, 1),
        None,
        "it waits"
    );
    assert_eq!(Closed::of(&incident_of(&json!({}))), None);
}

/// The limits that these Incidents and so many open ones in Bailiff's namespace reach.
fn limits(closed: &[Closed], open: usize, settings: &RetentionSettings) -> Limits {
    let counted = |c: &Closed, standing| Counted {
        namespace: c.namespace.clone(),
        node: "node".to_owned(),
        fallback: is_fallback(c),
        standing,
    };
    let of = |c: &Closed| match c.record {
        Record::Unconfirmed => counted(c, Standing::Unconfirmed),
        Record::Audit | Record::NoAction | Record::Removal => counted(c, Standing::Closed),
    };
    let mut all: Vec<_> = closed.iter().map(of).collect();
    if let Some(one) = closed.first() {
        all.extend(vec![counted(one, Standing::Open); open]);
    }
    Limits::reached(&all, settings, &Limits::default())
}

#[test]
fn a_full_namespace_makes_room_with_its_oldest_audited_ones_alone() {
    let settings = RetentionSettings {
        max_per_namespace: 20,
        ..RetentionSettings::default()
    };
    let goes = |closed: &[Closed]| -> Vec<_> {
        let limits = limits(closed, 0, &settings);
        let keys = expired(closed, &settings, &limits, now());
        keys.into_iter().map(|key| key.name).collect()
    };
    let of = |number: i64, record| -> Vec<_> {
        let one = |i| {
            closed(
                "a",
                &format!("{record:?}{i}"),
                record,
                30 + i,
                &format!("w{i}"),
            )
        };
        (0..number).map(one).collect()
    };
    let mut all = of(10, Record::NoAction);
    all.extend(of(9, Record::Audit));
    all.push(closed("b", "other", Record::Audit, 100, "x"));
    assert_eq!(goes(&all), Vec::<String>::new(), "it is not full");
    all.push(closed("a", "new", Record::Audit, 0, "y"));
    assert_eq!(goes(&all), ["Audit8", "Audit7"]);
    // What no live pod confirmed fills nothing, and makes no room; one is above the limit here.
    let mut forged = all.clone();
    forged.push(closed("a", "forged", Record::Unconfirmed, 1, "y"));
    assert_eq!(goes(&forged), ["Audit8", "Audit7"]);
    // Others go only above the limit.
    let all = of(21, Record::NoAction);
    assert_eq!(goes(&all), ["NoAction20"]);
}

#[test]
fn bailiffs_namespace_keeps_a_hundred_of_a_namespace() {
    let fallback = |name: String, record, age| {
        let mut fallback = closed("flood", &name, record, age, &name);
        fallback.key.namespace = "bailiff-system".to_owned();
        fallback
    };
    let mut all: Vec<_> = (0..40)
        .map(|i| fallback(format!("n{i:02}"), Record::NoAction, 50 + i))
        .collect();
    all.push(fallback("fresh".to_owned(), Record::Removal, 23));
    all.push(fallback("removal".to_owned(), Record::Removal, 200));
    all.push(fallback("audit".to_owned(), Record::Audit, 1));
    all.push(closed("flood", "own", Record::Audit, 90, "x"));
    let goes = |open| -> Vec<_> {
        let settings = RetentionSettings::default();
        let limits = limits(&all, open, &settings);
        let keys = expired(&all, &settings, &limits, now());
        let mut names: Vec<_> = keys.into_iter().map(|key| key.name).collect();
        names.sort_unstable();
        names
    };
    // The removal is more than a week old.
    assert_eq!(goes(57), ["removal"]);
    assert_eq!(goes(58), ["removal"]);
    assert_eq!(goes(59), ["audit", "removal"]);
    assert_eq!(goes(61), ["audit", "n38", "n39", "removal"]);
    // Open ones fill it; a fresh removal stays all the same.
    let all_but = goes(200);
    assert_eq!(all_but.len(), 42);
    assert!(!all_but.contains(&"fresh".to_owned()) && !all_but.contains(&"own".to_owned()));
}
