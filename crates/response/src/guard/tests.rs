//! When a binding is paused, and what resumes it.

use super::*;
use crate::tests::{binding, incident_of, key, minutes, now, policy, seconds};
use bailiff_api::{Origin, ResponseAction};
use serde_json::{Value, json};

mod counted;

fn at(second: i64) -> String {
    (now() + seconds(second)).to_string()
}

fn incident(number: usize, workload: &str, status: &Value) -> Incident {
    let mut status = status.clone();
    status["workloadRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": workload});
    incident_of(
        &json!({"metadata": {"uid": format!("inc-{number}")}, "status": status,
        "spec": {"process": {"origin": "Entrypoint"}}}),
    )
}

fn waits(enforced: bool, second: i64) -> Value {
    // One read failed: what it waited for before counts.
    json!({"waiting": {"reason": "APIRequestFailed", "startTime": at(second), "enforced": enforced}})
}

fn young() -> (PolicyFacts, BindingFacts) {
    let mut policy = policy();
    policy.changed = now() - minutes(60);
    (policy, binding("a", ResponseAction::Evict))
}

/// A guard that has seen removals of so many workloads, one every so many seconds.
fn guards(workloads: usize, every: i64) -> Guards {
    let mut guards = Guards::default();
    for number in 0..workloads {
        let second = i64::try_from(number).unwrap() * every;
        let status = waits(true, second);
        guards.observe(&incident(number, &format!("w{number}"), &status));
    }
    guards
}

#[test]
fn what_a_new_list_does_not_name_counts_no_more() {
    let (policy, mut binding) = young();
    binding.matched_workloads = Some(0);
    let mut guards = guards(11, 1);
    assert!(guards.assess(&policy, &binding).is_some());
    let present = (1..11).map(|number| format!("inc-{number}")).collect();
    guards.relisted(&present);
    assert_eq!(guards.assess(&policy, &binding), None);
    assert_eq!(guards.records.len(), 10);
}

#[test]
fn no_namespace_raises_the_limit_of_all_by_more_than_what_is_always_allowed() {
    let names: Vec<_> = (0..1_000).map(|n| format!("w{n}")).collect();
    let of = |namespace, count: usize| {
        let names = names.iter().take(count);
        names.map(move |name| (namespace, Some(name.as_str())))
    };
    let pods = of("shop", 99).chain(of("bank", 100)).chain(of("shop", 99));
    let honest: Vec<_> = pods.collect();
    assert_eq!(matched_workloads(honest.clone()), 199);
    let decoys = || of("attacker", 1_000);
    let with_decoys = matched_workloads(honest.into_iter().chain(decoys()));
    assert_eq!(with_decoys, 299);
    assert_eq!(limit(299) - limit(199), ALWAYS);
    // What the guard never counts among those that lose pods is no part of the matched ones.
    assert_eq!(matched_workloads(vec![("shop", None); 1_000]), 0);
    // Decoys in one namespace: eleven workloads are as many too many as without them.
    let (policy, mut binding) = young();
    binding.matched_workloads = Some(matched_workloads(decoys()));
    let paused = guards(11, 1).assess(&policy, &binding).unwrap();
    assert_eq!((paused.workloads, paused.max_workloads), (11, 10));
}

#[test]
fn more_than_ten_workloads_or_a_tenth_of_them_pause_a_young_binding() {
    let (policy, mut binding) = young();
    let mut paused = |workloads, every, matched| {
        binding.matched_workloads = Some(matched);
        let paused = guards(workloads, every).assess(&policy, &binding)?;
        assert_eq!(paused.resume(), "1/1");
        Some(paused.workloads)
    };
    for (workloads, every, matched, want) in [
        (10, 1, 0, None),
        (11, 1, 0, Some(11)),
        (11, 1, 109, Some(11)),
        (11, 1, 110, None),
        (12, 1, 110, Some(12)),
        // Eleven within ten minutes, or in more.
        (11, 60, 0, Some(11)),
        (11, 61, 0, None),
        (40, 59, 0, Some(11)),
    ] {
        let got = paused(workloads, every, matched);
        assert_eq!(got, want, "{workloads} every {every} s of {matched}");
    }
}

#[test]
fn only_young_generations_are_paused_and_by_their_own_removals() {
    let mut guards = guards(11, 1);
    let mut paused = |change: fn(&mut PolicyFacts, &mut BindingFacts)| {
        let (mut policy, mut binding) = young();
        change(&mut policy, &mut binding);
        guards.assess(&policy, &binding).is_some()
    };
    assert!(paused(|_, _| {}));
    for (name, want, change) in [
        (
            "an old policy",
            false,
            (|p, _| p.changed = now() - minutes(60 * 25))
                as fn(&mut PolicyFacts, &mut BindingFacts),
        ),
        ("a young binding", true, |p, b| {
            p.changed = now() - minutes(60 * 25);
            b.changed = now() - minutes(60);
        }),
        ("changed since", false, |_, b| {
            b.changed = now() + seconds(5);
        }),
        ("another generation", false, |p, _| p.generation = 2),
        ("another binding", false, |_, b| b.uid = "x".to_owned()),
        ("resumed", false, |_, b| b.resume = Some("1/1".to_owned())),
        ("resumed earlier", true, |_, b| {
            b.resume = Some("1/0".to_owned());
        }),
        ("paused before, resumed", false, |p, b| {
            b.paused = Some(recorded(p, b));
            b.resume = Some("1/1".to_owned());
        }),
    ] {
        assert_eq!(paused(change), want, "{name}");
    }
}

#[test]
fn only_removals_that_were_requested_or_wait_count_once_a_workload() {
    let (policy, binding) = young();
    let mut guards = guards(10, 1);
    let paused = |guards: &mut Guards| guards.assess(&policy, &binding).is_some();
    let last = |status: &Value| incident(10, "w10", status);
    guards.observe(&last(&waits(false, 20)));
    assert!(!paused(&mut guards), "it may only audit");
    guards.observe(&incident(10, "w9", &waits(true, 20)));
    assert!(!paused(&mut guards), "the same workload");
    let response = json!({"response": {"action": "Evict", "bindingName": "a", "time": at(20)}});
    guards.observe(&last(&response));
    assert!(paused(&mut guards));
    let closed = json!({"conditions": [{"type": "Responded", "status": "False", "reason": "Unmanaged",
        "message": "", "lastTransitionTime": at(21)}]});
    guards.observe(&last(&closed));
    assert!(!paused(&mut guards), "it was not removed");
    let open = last(&json!({}));
    guards.planned(&open, Some(&key("w10")), now() + seconds(22));
    assert!(paused(&mut guards));
    guards.observe(&open);
    assert!(
        paused(&mut guards),
        "a watch that is behind changes nothing"
    );
    guards.deleted("inc-10");
    assert!(!paused(&mut guards));
    guards.planned(&open, None, now() + seconds(22));
    assert!(!paused(&mut guards), "a pod without a controller");
}

#[test]
fn what_a_tenant_can_make_up_does_not_count() {
    let (policy, binding) = young();
    let paused = |change: fn(&mut Incident)| {
        let mut guards = guards(10, 1);
        let mut last = incident(10, "w10", &waits(true, 20));
        change(&mut last);
        guards.observe(&last);
        guards.assess(&policy, &binding).is_some()
    };
    assert!(paused(|_| {}));
    assert!(!paused(|i| i.spec.process.origin = Origin::Exec));
    assert!(!paused(|i| i.spec.process.origin = Origin::Unknown));
    let foreign: fn(&mut Incident) = |i| {
        let reference = i.status.as_mut().and_then(|s| s.workload_ref.as_mut());
        "x.example/v1".clone_into(&mut reference.unwrap().api_version);
    };
    assert!(!paused(foreign));
    // A later process of the series that the pod started by itself.
    assert!(paused(|i| {
        i.spec.process.origin = Origin::Exec;
        let mut later = json!({"count": 2, "lastObservedTime": "2026-01-02T00:00:00.000000Z",
            "policyGeneration": 1, "bindingRefs": [{"name": "a", "uid": "a-uid"}]});
        later["lastProcesses"] = json!([{"executable": "/bin/sh", "names": ["sh"],
            "origin": "Entrypoint", "count": 1, "firstObservedTime": "2026-01-02T00:00:00.000000Z", "lastObservedTime": "2026-01-02T00:00:00.000000Z"}]);
        i.status.as_mut().unwrap().series = Some(serde_json::from_value(later).unwrap());
    }));
}

#[test]
fn what_waits_for_a_limit_counts_once() {
    let (mut policy, binding) = young();
    let mut guards = Guards::default();
    let removed =
        |second| json!({"response": {"action": "Evict", "bindingName": "a", "time": at(second)}});
    for (number, planned) in (0..12).map(|n| (n, if n < 6 { 0 } else { 660 })) {
        let workload = format!("w{number}");
        guards.observe(&incident(number, &workload, &waits(true, planned)));
        guards.observe(&incident(number, &workload, &removed(720)));
    }
    assert_eq!(guards.assess(&policy, &binding), None);
    // All are removed under a policy that was changed after they were planned.
    policy.changed = now() + seconds(700);
    let paused = guards.assess(&policy, &binding).unwrap();
    assert_eq!(paused.workloads, 12);
}

#[test]
fn a_spec_is_as_old_as_its_last_change() {
    let metadata = |generation: i64, entries: Value| -> ObjectMeta {
        serde_json::from_value(json!({"generation": generation, "creationTimestamp": at(0),
            "managedFields": entries}))
        .unwrap()
    };
    let entry = |second, subresource: Option<&str>| {
        json!({"manager": "m", "operation": "Update",
        "time": at(second), "subresource": subresource})
    };
    let changed = |generation, entries| changed(&metadata(generation, entries)).to_string();
    assert_eq!(changed(1, json!([entry(9, None)])), at(0));
    assert_eq!(changed(2, json!([entry(9, None), entry(5, None)])), at(9));
    assert_eq!(changed(2, json!([entry(9, Some("status"))])), at(0));
}

/// The pause of these generations, which a status records.
fn recorded(policy: &PolicyFacts, binding: &BindingFacts) -> PausedStatus {
    PausedStatus {
        policy_uid: policy.uid.clone(),
        policy_generation: policy.generation,
        binding_generation: binding.generation,
        start_time: Time(now()),
        workloads: 12,
        max_workloads: 10,
    }
}

#[test]
fn a_binding_stays_paused_as_its_status_records() {
    let (policy, mut binding) = young();
    let pause = recorded(&policy, &binding);
    let mut assess = |guards: &mut Guards, matched, change: fn(&mut PausedStatus)| {
        let mut pause = pause.clone();
        change(&mut pause);
        binding.paused = Some(pause);
        binding.matched_workloads = matched;
        let paused = guards.assess(&policy, &binding)?;
        Some((paused.workloads, paused.max_workloads))
    };
    // The Incidents were deleted, fewer are left, or pods were not counted yet.
    let mut none = Guards::default();
    assert_eq!(assess(&mut none, Some(5), |_| ()), Some((12, 10)));
    assert_eq!(assess(&mut guards(11, 1), Some(5), |_| ()), Some((12, 10)));
    assert_eq!(assess(&mut guards(13, 1), None, |_| ()), Some((12, 10)));
    assert_eq!(
        assess(&mut guards(13, 1), Some(120), |_| ()),
        Some((13, 12))
    );
    let others: [fn(&mut PausedStatus); 3] = [
        |p| p.policy_uid = "another".to_owned(),
        |p| p.policy_generation = 2,
        |p| p.binding_generation = 2,
    ];
    for other in others {
        assert_eq!(assess(&mut none, Some(5), other), None);
    }
}

#[test]
fn a_status_records_when_a_pause_began() {
    let (policy, binding) = young();
    let pause = guards(11, 1).assess(&policy, &binding).unwrap();
    let first = pause.record(&policy, None, now());
    let want = PausedStatus {
        workloads: 11,
        ..recorded(&policy, &binding)
    };
    assert_eq!(first, want);
    let later = now() + minutes(5);
    assert_eq!(pause.record(&policy, Some(&first), later), first);
    let mut earlier = first;
    earlier.policy_generation = 7;
    let new = pause.record(&policy, Some(&earlier), later);
    assert_eq!(new.start_time, Time(later));
    assert_eq!(Paused::recorded("a", &new), pause);
}
