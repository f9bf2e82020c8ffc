//! Each guardrail by itself. Each case starts from a violation that Bailiff responds to and changes
//! one thing.

use super::*;
use crate::facts::{Switch, Termination};
use crate::incident_state::{Outcome, Verified, apply_outcome};
use crate::ledger::History;
use crate::tests::{binding, evictable, incident, key, minutes, now, paused, pod, policy, seconds};
use bailiff_api::{Phase, WaitingStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

fn reason(plan: &Plan) -> &'static str {
    match plan {
        Plan::Evict(_) => "Evict",
        Plan::Delete(_) => "Delete",
        Plan::Shorten(_) => "Shorten",
        Plan::Requeue { reason, .. } => reason.as_str(),
        Plan::NoAction { reason, .. } => reason.as_str(),
    }
}

fn with(change: impl Fn(&mut Facts)) -> Facts {
    let mut facts = evictable();
    change(&mut facts);
    facts
}

fn with_pod(change: impl Fn(&mut PodFacts)) -> Facts {
    let mut pod = pod();
    change(&mut pod);
    with(|f| f.pod = Lookup::Found(pod.clone()))
}

fn with_policy(change: impl Fn(&mut PolicyFacts)) -> Facts {
    let mut policy = policy();
    change(&mut policy);
    with(|f| f.policy = Lookup::Found(policy.clone()))
}

fn with_bindings(bindings: &[BindingFacts]) -> Facts {
    with(|f| f.bindings = Lookup::Found(bindings.to_vec()))
}

fn waiting(reason: &str) -> WaitingStatus {
    WaitingStatus {
        reason: reason.to_owned(),
        start_time: MicroTime(now()),
        deadline: None,
    }
}

fn namespace(exempt: bool, critical: bool) -> Lookup<NamespaceFacts> {
    Lookup::Found(NamespaceFacts { exempt, critical })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of one-line cases")]
fn each_guardrail_alone_stops_an_eviction() {
    assert_eq!(reason(&plan(&evictable(), now())), "Evict");
    let unknown = String::new;
    let mut unmatched = binding("a", ResponseAction::Evict);
    unmatched.matches = false;
    let full = |f: &mut Facts| f.history.in_namespace = vec![now() - seconds(59); 10];
    let cases = vec![
        (
            "recreated pod",
            with_pod(|p| p.uid = "other".to_owned()),
            responded::POD_NOT_FOUND,
        ),
        (
            "finished pod",
            with_pod(|p| p.finished = true),
            responded::ALREADY_TERMINATING,
        ),
        (
            "mirror pod",
            with_pod(|p| p.mirror = true),
            responded::MIRROR_POD,
        ),
        (
            "own pod",
            with_pod(|p| p.own = true),
            responded::BAILIFF_POD,
        ),
        (
            "other node",
            with_pod(|p| p.node_name = Some("node-2".to_owned())),
            responded::POD_MISMATCH,
        ),
        (
            "no node",
            with_pod(|p| p.node_name = None),
            responded::POD_MISMATCH,
        ),
        (
            "no such container",
            with_pod(|p| p.containers.clear()),
            responded::POD_MISMATCH,
        ),
        (
            "pod gone",
            with(|f| f.pod = Lookup::NotFound),
            responded::POD_NOT_FOUND,
        ),
        (
            "pod unknown",
            with(|f| f.pod = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "unmanaged",
            with(|f| f.owner = Owner::None),
            responded::UNMANAGED,
        ),
        (
            "owner unknown",
            with(|f| f.owner = Owner::Unknown(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy gone",
            with(|f| f.policy = Lookup::NotFound),
            responded::POLICY_CHANGED,
        ),
        (
            "policy unknown",
            with(|f| f.policy = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy recreated",
            with_policy(|p| p.uid = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "policy of other pods",
            with_policy(|p| p.matches = false),
            responded::POLICY_CHANGED,
        ),
        (
            "no binding left",
            with_bindings(&[]),
            responded::POLICY_CHANGED,
        ),
        (
            "bindings gone",
            with(|f| f.bindings = Lookup::NotFound),
            responded::POLICY_CHANGED,
        ),
        (
            "binding recreated",
            with(|f| f.violation.binding_uids.clear()),
            responded::POLICY_CHANGED,
        ),
        (
            "bindings unknown",
            with(|f| f.bindings = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "binding of another policy",
            with(|f| f.violation.policy_name = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "binding does not match",
            with_bindings(&[unmatched]),
            responded::POLICY_CHANGED,
        ),
        (
            "exempt namespace",
            with(|f| f.namespace = namespace(true, false)),
            responded::EXEMPT_NAMESPACE,
        ),
        (
            "namespace unknown",
            with(|f| f.namespace = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "namespace gone",
            with(|f| f.namespace = Lookup::NotFound),
            responded::POD_NOT_FOUND,
        ),
        (
            "protection missing",
            with(|f| f.protection = Protection::Missing),
            responded::INCIDENTS_NOT_PROTECTED,
        ),
        (
            "protection changed",
            with(|f| f.protection = Protection::Modified(unknown())),
            responded::INCIDENTS_NOT_PROTECTED,
        ),
        (
            "protection unknown",
            with(|f| f.protection = Protection::Unknown(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "evaluation failed",
            with(|f| f.violation.type_ = IncidentType::EvaluationFailed),
            responded::EVALUATION_FAILED,
        ),
        (
            "audit only",
            with_bindings(&[binding("a", ResponseAction::Audit)]),
            responded::AUDIT_ONLY,
        ),
        (
            "switched to audit",
            with(|f| f.switch = Switch::Audit),
            responded::RESPONSES_SWITCHED_OFF,
        ),
        (
            "no switch",
            with(|f| f.switch = Switch::Unavailable(unknown())),
            responded::RESPONSES_SWITCHED_OFF,
        ),
        (
            "breaker open",
            with(|f| {
                f.breaker = Breaker::Open {
                    until: now() + seconds(1),
                }
            }),
            responded::CIRCUIT_BREAKER_OPEN,
        ),
        (
            "binding paused",
            with(|f| f.paused = vec![paused()]),
            responded::POLICY_PAUSED,
        ),
        (
            "in cooldown",
            with(|f| f.history.last_of_workload = Some(now() - seconds(59))),
            responded::COOLDOWN,
        ),
        (
            "limit of the binding",
            with(|f| f.history.by_binding = vec![("a".to_owned(), vec![now() - seconds(59); 10])]),
            responded::RATE_LIMITED,
        ),
        (
            "limit of the namespace",
            with(full),
            responded::RATE_LIMITED,
        ),
        (
            "limit of the cluster",
            with(|f| f.history.in_cluster = vec![now() - seconds(59); 60]),
            responded::RATE_LIMITED,
        ),
    ];
    for (name, facts, want) in cases {
        assert_eq!(reason(&plan(&facts, now())), want, "{name}");
    }
}

#[test]
fn missing_protection_is_waited_for_without_an_end() {
    for protection in [Protection::Missing, Protection::Modified("x".to_owned())] {
        let facts = with(|f| f.protection = protection.clone());
        let Plan::Requeue { until, claim, .. } = plan(&facts, now()) else {
            panic!("{protection:?}: it waits")
        };
        assert_eq!((until, claim), (now() + minutes(10), None));
    }
}

#[test]
fn critical_priority_classes_protect_pods_only_in_critical_namespaces() {
    for (critical, in_critical, want) in [
        (true, true, responded::CRITICAL_POD),
        (true, false, "Evict"),
        (false, true, "Evict"),
    ] {
        let mut facts = with_pod(|p| p.critical = critical);
        facts.namespace = namespace(false, in_critical);
        assert_eq!(
            reason(&plan(&facts, now())),
            want,
            "{critical} {in_critical}"
        );
    }
}

#[test]
fn a_limit_is_over_when_its_time_is_and_the_last_one_to_end_is_named() {
    let mut facts = evictable();
    facts.history.last_of_workload = Some(now() - seconds(10));
    let Plan::Requeue { until, claim, .. } = plan(&facts, now()) else {
        panic!("it waits")
    };
    assert_eq!(until, now() + seconds(50));
    let claim = claim.unwrap();
    assert_eq!(claim.workload.unwrap().cooldown, seconds(60));
    assert_eq!(
        (claim.binding.as_str(), claim.namespace.as_str()),
        ("a", "shop")
    );
    assert_eq!(reason(&plan(&facts, until)), "Evict");
    // Twelve in the window, ten allowed: the third oldest must leave.
    let twelve: Vec<_> = (0..12).map(|i| now() - seconds(30 - i)).collect();
    facts.history.by_binding = vec![("a".to_owned(), twelve)];
    let Plan::Requeue {
        reason: why, until, ..
    } = plan(&facts, now())
    else {
        panic!("it waits")
    };
    assert_eq!((why, until), (WaitReason::Cooldown, now() + seconds(50)));
    facts.history.last_of_workload = None;
    let Plan::Requeue {
        reason: why, until, ..
    } = plan(&facts, now())
    else {
        panic!("it waits")
    };
    let of_binding = WaitReason::RateLimited(crate::RateLimit::Binding("a".to_owned()));
    assert_eq!((why, until), (of_binding, now() + seconds(32)));
    assert_eq!(reason(&plan(&facts, until)), "Evict");
}

#[test]
fn a_newcomer_does_not_take_the_place_that_others_wait_for() {
    use crate::Limit;
    for (limit, want) in [
        (Limit::Workload(key("web-uid")), responded::COOLDOWN),
        (Limit::Workload(key("api-uid")), "Evict"),
        (Limit::Binding("a".to_owned()), responded::RATE_LIMITED),
        (Limit::Binding("b".to_owned()), "Evict"),
        (Limit::Namespace("shop".to_owned()), responded::RATE_LIMITED),
        (Limit::Namespace("x".to_owned()), "Evict"),
        (Limit::Cluster, responded::RATE_LIMITED),
    ] {
        let facts = with(|f| f.history.contended = vec![limit.clone()]);
        let planned = plan(&facts, now());
        assert_eq!(reason(&planned), want, "{limit:?}");
        if let Plan::Requeue { until, claim, .. } = planned {
            assert!(until == now() && claim.is_some(), "{limit:?}");
        }
    }
}

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
fn a_changed_expression_is_evaluated_again_and_a_cancelled_response_is_final() {
    for (reevaluation, want) in [
        (Some(Reevaluation::StillViolates), "Evict"),
        (
            Some(Reevaluation::NoLongerViolates),
            responded::POLICY_CHANGED,
        ),
        (
            Some(Reevaluation::NeedsNextExec),
            responded::WAITING_FOR_NEXT_EXEC,
        ),
        (
            Some(Reevaluation::Failed("no such key".to_owned())),
            responded::WAITING_FOR_NEXT_EXEC,
        ),
        (None, responded::API_REQUEST_FAILED),
    ] {
        let facts = with_policy(|p| {
            p.generation = 2;
            p.reevaluation.clone_from(&reevaluation);
        });
        assert_eq!(reason(&plan(&facts, now())), want, "{reevaluation:?}");
    }
    for (waits_for, want) in [
        (None, responded::AUDIT_ONLY),
        (Some(responded::API_REQUEST_FAILED), responded::AUDIT_ONLY),
        (Some(responded::COOLDOWN), responded::POLICY_CHANGED),
        (
            Some(responded::WAITING_FOR_DISRUPTION_BUDGET),
            responded::POLICY_CHANGED,
        ),
    ] {
        let mut facts = with_bindings(&[binding("a", ResponseAction::Audit)]);
        facts.waiting = waits_for.map(waiting);
        assert_eq!(reason(&plan(&facts, now())), want, "{waits_for:?}");
    }
}

#[test]
fn what_waited_because_of_the_switch_and_is_old_is_closed() {
    let off = responded::RESPONSES_SWITCHED_OFF;
    for (waits_for, age, want) in [
        (off, 3600, "Evict"),
        (off, 3601, responded::VIOLATION_TOO_OLD),
        (responded::WAITING_FOR_DISRUPTION_BUDGET, 36_000, "Evict"),
    ] {
        let facts = with(|f| {
            f.waiting = Some(waiting(waits_for));
            f.violation.last_recorded = now() - seconds(age);
        });
        assert_eq!(reason(&plan(&facts, now())), want, "{waits_for} {age}");
        let still_off = Facts {
            switch: Switch::Audit,
            ..facts
        };
        assert_eq!(reason(&plan(&still_off, now())), off);
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
        (
            with(|f| f.switch = Switch::Audit),
            responded::RESPONSES_SWITCHED_OFF,
        ),
    ] {
        let Plan::NoAction { reason, would } = plan(&audit(facts), now()) else {
            panic!("{want}: it audits")
        };
        let outcome = Outcome::NoAction { reason, would };
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

#[test]
fn the_places_of_an_unseen_removal_are_those_of_the_binding_that_acts() {
    let facts = with_bindings(&[
        binding("a", ResponseAction::Audit),
        binding("b", ResponseAction::Evict),
    ]);
    let claim = claim_of(&facts).unwrap();
    assert_eq!(claim.binding, "b");
    assert_eq!(claim.workload.unwrap().key, key("web-uid"));
    let audits = with_bindings(&[binding("a", ResponseAction::Audit)]);
    assert_eq!(claim_of(&audits), None);
    let history = History::default();
    assert_eq!(
        history.blocked(
            &claim_of(&facts).unwrap(),
            facts.settings.rate_limits,
            now()
        ),
        None
    );
}
