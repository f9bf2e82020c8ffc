//! What is done, by which binding and with which grace period.

use super::*;
use crate::facts::Termination;
use crate::incident_state::{Verified, apply_outcome};
use crate::tests::incident;
use crate::{DryRun, Finished, Step};
use bailiff_api::Phase;

#[test]
fn the_smallest_grace_period_counts() {
    for (own, asked, want) in [
        (30, None, 30),
        (30, Some(99), 30),
        (30, Some(5), 5),
        (30, Some(0), 0),
        (36_000, None, 300),
        (36_000, Some(9_000), 300),
        (36_000, Some(120), 120),
        (-1, None, 0),
    ] {
        let mut facts = with_pod(|p| p.grace_period_seconds = own);
        let mut a = binding("a", ResponseAction::Evict);
        a.grace_period_seconds = asked;
        facts.bindings = Lookup::Found(vec![a]);
        let Plan::Evict(removal) = plan(&facts, now()) else {
            panic!("it evicts")
        };
        assert_eq!(removal.grace_period_seconds, want, "{own} {asked:?}");
    }
}

#[test]
fn the_strongest_action_wins() {
    let mut delete = binding("b", ResponseAction::Delete);
    delete.grace_period_seconds = Some(9);
    let facts = with_bindings(&[binding("a", ResponseAction::Evict), delete]);
    let Plan::Delete(removal) = plan(&facts, now()) else {
        panic!("it deletes")
    };
    assert_eq!(
        (removal.binding.as_str(), removal.grace_period_seconds),
        ("b", 9)
    );
}

#[test]
fn a_binding_that_allows_what_another_does_not_gives_the_response() {
    let mut brave = binding("b", ResponseAction::Evict);
    brave.guardrails.unmanaged_pod_policy = UnmanagedPodPolicy::Respond;
    let mut facts = with_bindings(&[binding("a", ResponseAction::Evict), brave]);
    facts.owner = Owner::None;
    let Plan::Evict(removal) = plan(&facts, now()) else {
        panic!("it evicts")
    };
    assert_eq!(removal.binding, "b");
    assert_eq!(removal.claim.workload, None);
    // So for a binding that is paused.
    let mut facts = with_bindings(&["a", "b"].map(|b| binding(b, ResponseAction::Evict)));
    facts.paused = vec![paused()];
    let Plan::Evict(removal) = plan(&facts, now()) else {
        panic!("it evicts")
    };
    assert_eq!(removal.binding, "b");
}

#[test]
fn a_pod_that_was_released_from_its_workload_while_it_waited_is_still_removed() {
    let released = || with(|f| f.owner = Owner::Released(crate::tests::workload("web-uid")));
    let Plan::Evict(removal) = plan(&released(), now()) else {
        panic!("it evicts")
    };
    assert!(removal.released);
    let workload = removal.claim.workload.map(|w| w.key);
    assert_eq!(workload, Some(crate::tests::key("web-uid")));
    let mut facts = released();
    facts.history.last_of_workload = Some(now() - seconds(59));
    assert_eq!(reason(&plan(&facts, now())), responded::COOLDOWN);
    let Plan::Evict(removal) = plan(&evictable(), now()) else {
        panic!("it evicts")
    };
    assert!(!removal.released);
}

#[test]
fn of_two_bindings_the_one_with_the_shortest_grace_period_counts() {
    let terminating = Some(Termination {
        ends: now() + seconds(36_000),
        grace_period_seconds: 36_000,
    });
    for (action, terminating) in [
        (ResponseAction::Evict, None),
        (ResponseAction::Delete, None),
        (ResponseAction::Evict, terminating),
    ] {
        for (periods, want) in [
            ([Some(20), Some(9)], ("b", 9)),
            ([Some(9), Some(20)], ("a", 9)),
            ([None, Some(9)], ("b", 9)),
            ([Some(9), Some(9)], ("a", 9)),
        ] {
            let of = |(name, asked)| {
                let mut binding = binding(name, action);
                binding.grace_period_seconds = asked;
                binding
            };
            let bindings: Vec<_> = ["a", "b"].into_iter().zip(periods).map(of).collect();
            let mut facts = with_bindings(&bindings);
            facts.pod = with_pod(|p| p.terminating = terminating).pod;
            let got = match plan(&facts, now()) {
                Plan::Evict(r) | Plan::Delete(r) => (r.binding, r.grace_period_seconds),
                Plan::Shorten(s) => (s.binding, s.grace_period_seconds),
                other @ (Plan::Requeue { .. } | Plan::NoAction { .. }) => panic!("{other:?}"),
            };
            assert_eq!((got.0.as_str(), got.1), want, "{action:?} {periods:?}");
        }
    }
}

#[test]
fn a_terminating_pod_is_not_immune() {
    let ends_in = |left: i64, before: i64| {
        let terminating = Some(Termination {
            ends: now() + seconds(left),
            grace_period_seconds: before,
        });
        with_pod(|p| p.terminating = terminating)
    };
    let asks = |facts: &mut Facts, asked| {
        let mut a = binding("a", ResponseAction::Evict);
        a.grace_period_seconds = asked;
        facts.bindings = Lookup::Found(vec![a]);
    };
    let already = responded::ALREADY_TERMINATING;
    for (left, before, asked, hooks_only, want) in [
        (36_000, 36_000, None, false, Ok(300)),
        (301, 36_000, None, false, Ok(300)),
        (300, 36_000, None, false, Err(already)),
        (31, 60, Some(30), false, Ok(30)),
        (30, 60, Some(30), false, Err(already)),
        (31, 60, Some(0), false, Ok(1)),
        (2, 60, Some(0), false, Ok(1)),
        (1, 60, Some(0), false, Err(already)),
        // The kubelet counts a new period from now: only a lower one shortens anything.
        (301, 300, None, false, Err(already)),
        (-5, 60, Some(1), false, Err(already)),
        // A hook is part of the termination.
        (60, 60, Some(1), true, Err(already)),
        (36_000, 36_000, Some(1), true, Ok(300)),
    ] {
        let mut facts = ends_in(left, before);
        asks(&mut facts, asked);
        facts.violation.hooks_only = hooks_only;
        let got = match plan(&facts, now()) {
            Plan::Shorten(s) => {
                assert_eq!((s.binding.as_str(), s.before_seconds), ("a", before));
                Ok(s.grace_period_seconds)
            }
            other @ (Plan::Evict(_)
            | Plan::Delete(_)
            | Plan::Requeue { .. }
            | Plan::NoAction { .. }) => Err(reason(&other)),
        };
        assert_eq!(got, want, "{left} {before} {asked:?} {hooks_only}");
    }
    let long = |change: fn(&mut Facts)| {
        let mut facts = ends_in(36_000, 36_000);
        change(&mut facts);
        reason(&plan(&facts, now()))
    };
    for (change, want) in [
        (
            (|f| {
                if let Lookup::Found(pod) = &mut f.pod {
                    pod.shortened = true;
                }
            }) as fn(&mut Facts),
            already,
        ),
        (
            |f| f.switch = Switch::Audit,
            responded::RESPONSES_SWITCHED_OFF,
        ),
        (|f| f.paused = vec![paused()], responded::POLICY_PAUSED),
        (
            |f| f.namespace = namespace(true, false),
            responded::EXEMPT_NAMESPACE,
        ),
        // No pod more is removed, so no limit holds, and its owner does not matter.
        (|f| f.history.last_of_workload = Some(now()), "Shorten"),
        (|f| f.owner = Owner::None, "Shorten"),
        (
            |f| f.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]),
            already,
        ),
    ] {
        assert_eq!(long(change), want);
    }
}

#[test]
fn audit_records_what_enforcement_would_have_done_or_what_would_have_delayed_it() {
    let audit = |mut facts: Facts| {
        facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]);
        facts
    };
    for (facts, want) in [
        (evictable(), responded::EVICTED),
        (with(|f| f.owner = Owner::None), responded::UNMANAGED),
        (
            with(|f| f.namespace = namespace(true, false)),
            responded::EXEMPT_NAMESPACE,
        ),
        (with_pod(|p| p.mirror = true), responded::MIRROR_POD),
        (with_pod(|p| p.own = true), responded::BAILIFF_POD),
        (
            with(|f| f.history.last_of_workload = Some(now())),
            responded::COOLDOWN,
        ),
        // The switch says nothing about the policy.
        (with(|f| f.switch = Switch::Audit), responded::EVICTED),
        (
            with(|f| {
                f.switch = Switch::Unavailable("it does not exist".to_owned());
                f.history.last_of_workload = Some(now());
            }),
            responded::COOLDOWN,
        ),
    ] {
        // The API server has the last word, and a plan comes before it.
        let outcome = match Step::from(plan(&audit(facts), now())) {
            Step::DryRun(removal) => DryRun::Accepted.outcome(&removal, now()),
            Step::Report(outcome, Finished::Final) => outcome,
            other @ (Step::Remove(..) | Step::Shorten(_) | Step::Report(..)) => {
                panic!("{want}: {other:?}")
            }
        };
        let status = apply_outcome(&incident(), &Verified::default(), &outcome, now());
        let dry_run = status.dry_run_response.unwrap();
        assert_eq!(dry_run.reason, want);
        assert_eq!(dry_run.action.is_some(), want == responded::EVICTED);
        assert_eq!(status.phase, Some(Phase::Audited), "{want}");
        assert_eq!(status.conditions[0].reason, responded::AUDIT_ONLY, "{want}");
    }
    // What could not be checked is not known.
    let unknown = audit(with(|f| f.owner = Owner::Unknown(String::new())));
    assert_eq!(
        reason(&plan(&unknown, now())),
        responded::API_REQUEST_FAILED
    );
}
