//! Cooldown periods and rates: which limit is waited for, until when, and which places a removal takes.

use super::*;
use crate::ledger::History;
use crate::tests::key;

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
