//! What a decision learns, notes and respects.

use super::*;
use crate::queue::{QueueSettings, Summary};
use crate::tests::{
    binding, evictable, incident, incident_of, key, minutes, now, seconds, workload,
};
use crate::{Protection, WaitReason};
use bailiff_api::ResponseAction;
use serde_json::json;

fn controls() -> Controls {
    Controls::new(RateLimits::default())
}

fn queue() -> Queue {
    Queue::new(QueueSettings::default())
}

#[test]
fn a_planned_removal_counts_before_it_is_requested() {
    let mut controls = controls();
    let mut facts = evictable();
    let plan = controls.decide(&queue(), &incident(), &mut facts, now());
    assert!(matches!(plan, Plan::Evict(_)), "{plan:?}");
    let mut other = evictable();
    other.violation.pod_uid = "pod-2".to_owned();
    if let Lookup::Found(pod) = &mut other.pod {
        pod.uid = "pod-2".to_owned();
    }
    let second =
        incident_of(&json!({"metadata": {"uid": "inc-2"}, "spec": {"pod": {"uid": "pod-2"}}}));
    let waits = controls.decide(&queue(), &second, &mut other.clone(), now());
    let Plan::Requeue { reason, until, .. } = waits else {
        panic!("{waits:?}: it waits")
    };
    assert_eq!((reason, until), (WaitReason::Cooldown, now() + seconds(60)));
    controls.ledger.release("pod-uid");
    let plan = controls.decide(&queue(), &second, &mut other, now());
    assert!(matches!(plan, Plan::Evict(_)), "{plan:?}");
}

#[test]
fn the_uid_of_a_workload_alone_takes_none_of_its_places() {
    let mut foreign = workload("web-uid");
    "x.example/v1".clone_into(&mut foreign.api_version);
    "Foo".clone_into(&mut foreign.kind);
    for (namespace, owner) in [("shop", foreign), ("evil", workload("web-uid"))] {
        let mut controls = controls();
        let mut claimed = evictable();
        claimed.violation.namespace = namespace.to_owned();
        claimed.owner = crate::Owner::Workload(owner);
        let plan = controls.decide(&queue(), &incident(), &mut claimed, now());
        assert!(matches!(plan, Plan::Evict(_)), "{plan:?}");
        let mut web = evictable();
        web.violation.pod_uid = "pod-2".to_owned();
        if let Lookup::Found(pod) = &mut web.pod {
            pod.uid = "pod-2".to_owned();
        }
        let second =
            incident_of(&json!({"metadata": {"uid": "inc-2"}, "spec": {"pod": {"uid": "pod-2"}}}));
        let plan = controls.decide(&queue(), &second, &mut web, now());
        assert!(matches!(plan, Plan::Evict(_)), "{namespace}: {plan:?}");
    }
}

#[test]
fn the_removal_of_a_leader_that_was_killed_counts() {
    let mut controls = controls();
    let mut facts = evictable();
    if let Lookup::Found(pod) = &mut facts.pod {
        pod.evicted = Some(now() - seconds(5));
        pod.terminating = Some(crate::Termination {
            ends: now() + seconds(25),
            grace_period_seconds: 30,
        });
    }
    controls.decide(&queue(), &incident(), &mut facts, now());
    let workload = key("web-uid");
    let removals = controls.ledger.removals_of(&workload, now());
    let removals: Vec<_> = removals.collect();
    assert_eq!(removals, [("pod-uid", now() - seconds(5))]);
}

#[test]
fn a_newcomer_waits_behind_those_that_wait() {
    let mut controls = controls();
    let mut queue = queue();
    queue.observe(Summary::of(&incident()).unwrap(), now());
    let older = incident_of(
        &json!({"metadata": {"uid": "older", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"pod": {"uid": "other-pod"}}}),
    );
    queue.observe(Summary::of(&older).unwrap(), now());
    let Plan::Evict(removal) = plan(&evictable(), now()) else {
        panic!("it evicts")
    };
    assert_eq!(
        queue.next(&controls.ledger, now()).unwrap().key.uid,
        "older"
    );
    let limited = Finished::Limited {
        claim: removal.claim,
        limit: crate::Limit::Workload(key("web-uid")),
        until: now() + seconds(1),
    };
    queue.finished("older", limited, now());
    let plan = controls.decide(&queue, &incident(), &mut evictable(), now());
    assert!(
        matches!(
            plan,
            Plan::Requeue {
                reason: WaitReason::Cooldown,
                ..
            }
        ),
        "{plan:?}"
    );
}

/// What twelve workloads come to, of so many that the binding matches.
fn twelve(matched: Option<usize>) -> Vec<Plan> {
    let mut controls = controls();
    let mut young = binding("a", ResponseAction::Evict);
    young.changed = now() - minutes(60);
    young.matched_workloads = matched;
    let mut planned = Vec::new();
    for number in 0..12 {
        let pod_uid = format!("pod-{number}");
        let mut facts = evictable();
        facts.violation.pod_uid.clone_from(&pod_uid);
        // Each in a namespace of its own, so that no other limit holds.
        facts.violation.namespace.clone_from(&pod_uid);
        if let Lookup::Found(pod) = &mut facts.pod {
            pod.uid.clone_from(&pod_uid);
        }
        facts.owner = crate::Owner::Workload(workload(&format!("w{number}")));
        young.guardrails.max_evictions_per_minute = 100;
        facts.bindings = Lookup::Found(vec![young.clone()]);
        let incident = incident_of(&json!({"metadata": {"uid": format!("inc-{number}")},
            "spec": {"pod": {"uid": pod_uid}, "process": {"origin": "Entrypoint"}}}));
        planned.push(controls.decide(&queue(), &incident, &mut facts, now()));
    }
    planned
}

#[test]
fn the_removal_that_is_one_too_many_pauses_the_binding_before_it_happens() {
    for (matched, last) in [
        (Some(5), "PolicyPaused"),
        (None, "APIRequestFailed"),
        (Some(500), "Evict"),
    ] {
        let planned = twelve(matched);
        for (number, plan) in planned.iter().enumerate() {
            let got = match plan {
                Plan::Evict(_) => "Evict",
                Plan::Requeue { reason, .. } => reason.as_str(),
                Plan::Delete(_) | Plan::Shorten(_) | Plan::NoAction { .. } => "another",
            };
            let want = if number < 10 { "Evict" } else { last };
            assert_eq!(got, want, "{number} of {matched:?}");
        }
    }
}

#[test]
fn the_third_replacement_that_fails_is_not_removed() {
    for (protection, opens) in [(Protection::Unmodified, true), (Protection::Missing, false)] {
        let mut controls = controls();
        let mut paused = false;
        for number in 0..4_i64 {
            let at = now() + minutes(2 * number);
            let pod_uid = format!("pod-{number}");
            let mut facts = evictable();
            facts.violation.pod_uid.clone_from(&pod_uid);
            if number == 3 {
                facts.protection = protection.clone();
            }
            if let Lookup::Found(pod) = &mut facts.pod {
                pod.uid.clone_from(&pod_uid);
                pod.started = Some(at - seconds(10));
            }
            let mut incident = incident_of(&json!({
                "metadata": {"uid": format!("inc-{number}"), "creationTimestamp": at.to_string()},
                "spec": {"pod": {"uid": pod_uid}, "process": {"origin": "Entrypoint"}}}));
            let plan = controls.decide(&queue(), &incident, &mut facts, at);
            if let Plan::Evict(removal) = &plan {
                let outcome = Outcome::Removed {
                    action: ResponseAction::Evict,
                    binding: "a".to_owned(),
                    at,
                    grace_period_seconds: removal.grace_period_seconds,
                    released: false,
                };
                let verified = crate::Verified {
                    workload: Some(workload("web-uid")),
                    started: Some(at - seconds(10)),
                };
                incident.status = Some(crate::apply_outcome(&incident, &verified, &outcome, at));
                controls.observe(&incident);
            }
            paused = matches!(
                &plan,
                Plan::Requeue {
                    reason: WaitReason::CircuitBreakerOpen { .. },
                    ..
                }
            );
            assert!(
                number == 3 || matches!(plan, Plan::Evict(_)),
                "{number}: {plan:?}"
            );
        }
        assert_eq!(paused, opens, "{protection:?}");
    }
}

/// Controls with a workload in its cooldown period.
fn cooling() -> Controls {
    let mut controls = controls();
    let earlier = incident_of(
        &json!({"metadata": {"uid": "earlier"}, "spec": {"pod": {"uid": "earlier-pod"}}}),
    );
    let mut facts = evictable();
    facts.violation.pod_uid = "earlier-pod".to_owned();
    if let Lookup::Found(pod) = &mut facts.pod {
        pod.uid = "earlier-pod".to_owned();
    }
    let plan = controls.decide(&queue(), &earlier, &mut facts, now());
    assert!(matches!(plan, Plan::Evict(_)), "{plan:?}");
    controls
}

#[test]
fn a_wait_for_a_limit_is_what_the_same_facts_lead_to_when_all_are_read() {
    let mut controls = cooling();
    let wait = controls.decide_wait(&queue(), &incident(), &mut evictable(), now());
    let planned = controls.decide(&queue(), &incident(), &mut evictable(), now());
    let step = crate::Step::from(planned);
    let (outcome, finished) = wait.unwrap().into_report();
    assert_eq!(step, crate::Step::Report(outcome, finished));
    assert!(!controls.ledger.contains("pod-uid"));
}

/// Everything else may not follow from what is remembered.
#[test]
fn only_a_wait_for_a_limit_follows_from_facts_that_are_remembered() {
    type Change = fn(&mut Facts);
    let changes: [(&str, Change); 9] = [
        ("the switch is off", |f| f.switch = crate::Switch::Audit),
        ("the binding audits", |f| {
            f.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]);
        }),
        ("the policy is gone", |f| f.policy = Lookup::NotFound),
        ("the pod is gone", |f| f.pod = Lookup::NotFound),
        ("the pod is another", |f| {
            f.violation.pod_uid = "pod-2".to_owned();
        }),
        ("no owner", |f| f.owner = crate::Owner::None),
        ("an unknown owner", |f| {
            f.owner = crate::Owner::Unknown(String::new());
        }),
        ("no protection", |f| f.protection = Protection::Missing),
        ("the pod is terminating", |f| {
            if let Lookup::Found(pod) = &mut f.pod {
                pod.terminating = Some(crate::Termination {
                    ends: now() + minutes(60),
                    grace_period_seconds: 3600,
                });
            }
        }),
    ];
    for (what, change) in changes {
        let mut facts = evictable();
        change(&mut facts);
        let wait = cooling().decide_wait(&queue(), &incident(), &mut facts, now());
        assert_eq!(wait, None, "{what}");
    }
    // No limit is used up: a removal would follow, and its place is not taken.
    let mut free = controls();
    let wait = free.decide_wait(&queue(), &incident(), &mut evictable(), now());
    assert_eq!((wait, free.ledger.contains("pod-uid")), (None, false));
    // An earlier removal of the pod has its end reported first.
    let mut requested = controls();
    requested.decide(&queue(), &incident(), &mut evictable(), now());
    let again = requested.decide_wait(&queue(), &incident(), &mut evictable(), now());
    assert_eq!(again, None);
}
