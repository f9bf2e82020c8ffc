//! What requests come to, and what stays reserved.

use super::*;
use crate::ledger::RateLimits;
use crate::queue::{Queue, QueueSettings};
use crate::tests::{evictable, incident, now, pod, seconds};
use bailiff_api::WaitingStatus;
use bailiff_api::condition::responded;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeSet;

/// Controls that have just planned an eviction, the facts and the request.
fn planned() -> (Controls, Facts, RemovalRequest) {
    let mut controls = Controls::new(RateLimits::default());
    let mut facts = evictable();
    let (queue, incident) = (Queue::new(QueueSettings::default()), incident());
    let plan = controls.decide(&queue, &incident, &mut facts, now());
    let Step::Remove(action, removal) = Step::from(plan) else {
        panic!("it evicts")
    };
    let request = RemovalRequest {
        key: Key::of(&incident).unwrap(),
        action,
        removal,
        verified: Verified::default(),
        at: now(),
    };
    (controls, facts, request)
}

fn waits(deadline: Timestamp) -> WaitingStatus {
    WaitingStatus {
        reason: responded::API_REQUEST_FAILED.to_owned(),
        start_time: MicroTime(now() - seconds(99)),
        deadline: Some(MicroTime(deadline)),
        enforced: true,
        pause_reason: None,
    }
}

#[test]
fn only_what_was_or_may_have_been_done_stays_reserved() {
    let text = || "why".to_owned();
    for (response, reason, reserved) in [
        (Ok(()), responded::EVICTED, true),
        (
            Err(Rejection::Unknown(text())),
            responded::API_REQUEST_FAILED,
            true,
        ),
        (
            Err(Rejection::DisruptionBudget(None)),
            responded::WAITING_FOR_DISRUPTION_BUDGET,
            false,
        ),
        (
            Err(Rejection::MultipleDisruptionBudgets),
            responded::MULTIPLE_DISRUPTION_BUDGETS,
            false,
        ),
        (
            Err(Rejection::Webhook(text())),
            responded::BLOCKED_BY_WEBHOOK,
            false,
        ),
        (
            Err(Rejection::Permission(text())),
            responded::PERMISSION_MISSING,
            false,
        ),
        (Err(Rejection::PodNotFound), responded::POD_NOT_FOUND, false),
        (
            Err(Rejection::Retry(text())),
            responded::API_REQUEST_FAILED,
            false,
        ),
        (
            Err(Rejection::Invalid(text())),
            responded::REQUEST_REJECTED,
            false,
        ),
    ] {
        let (mut controls, facts, request) = planned();
        let is_unknown = matches!(response, Err(Rejection::Unknown(_)));
        let outcome = controls.responded(&facts, request.clone(), response, now());
        assert_eq!(outcome.reason(), reason);
        assert_eq!(controls.ledger.contains("pod-uid"), reserved, "{reason}");
        let unsettled = is_unknown.then_some(UnsettledRequest {
            request,
            ended: now(),
        });
        assert_eq!(controls.unsettled().pop(), unsettled, "{reason}");
    }
}

#[test]
fn a_request_without_a_result_is_settled_by_the_pod() {
    type Change = fn(&mut Facts);
    let evicted = |facts: &mut Facts| {
        let mut evicted = pod();
        evicted.evicted = Some(now());
        facts.pod = Lookup::Found(evicted);
    };
    let cases: [(Change, Option<&str>, bool); 4] = [
        (evicted, Some(responded::EVICTED), true),
        (
            |facts| facts.pod = Lookup::NotFound,
            Some(responded::EVICTED),
            true,
        ),
        // It was not done, and is requested again.
        (|_| {}, None, false),
        (
            |facts| facts.pod = Lookup::Failed("etcd is away".to_owned()),
            Some(responded::API_REQUEST_FAILED),
            true,
        ),
    ];
    for (change, reason, reserved) in cases {
        let (mut controls, mut facts, request) = planned();
        let lost = Err(Rejection::Unknown("lost".to_owned()));
        controls.responded(&facts, request, lost, now() + seconds(5));
        let unsettled = controls.unsettled().remove(0);
        change(&mut facts);
        let settled = controls.settle(&facts).map(|(_, outcome)| outcome);
        assert_eq!(settled.as_ref().map(Outcome::reason), reason);
        assert_eq!(controls.ledger.contains("pod-uid"), reserved, "{reason:?}");
        // Only what could not be read is asked for again.
        let again = reason == Some(responded::API_REQUEST_FAILED);
        assert_eq!(controls.settle(&facts).is_some(), again, "{reason:?}");
        // A replica that ends reports only what was done.
        let at_the_end = unsettled.last_outcome(&facts);
        let done = settled.filter(|outcome| outcome.reason() == responded::EVICTED);
        assert_eq!(at_the_end.as_ref(), done.as_ref());
        // It may have been done at the very end of the request, and counts from then on.
        if let Some(Outcome::Removed { at, .. }) = done {
            assert_eq!(at, now() + seconds(5));
        }
    }
}

#[test]
fn a_request_after_the_deadline_that_was_not_done_is_the_last() {
    let (mut controls, mut facts, request) = planned();
    facts.waiting = Some(waits(request.at));
    let lost = Err(Rejection::Unknown("lost".to_owned()));
    controls.responded(&facts, request, lost, now());
    let (_, outcome) = controls.settle(&facts).unwrap();
    assert_eq!(outcome.reason(), responded::EVICTION_DEADLINE_EXCEEDED);
    assert!(!controls.ledger.contains("pod-uid"));
}

#[test]
fn a_request_is_forgotten_with_its_incident_and_still_counts() {
    let forget: [fn(&mut Controls); 2] = [
        |controls| controls.deleted("inc-uid"),
        |controls| controls.relisted(&BTreeSet::new()),
    ];
    for forget in forget {
        let (mut controls, facts, request) = planned();
        let lost = Err(Rejection::Unknown("lost".to_owned()));
        controls.responded(&facts, request, lost, now());
        controls.deleted("another");
        assert_eq!(controls.unsettled().len(), 1);
        forget(&mut controls);
        assert_eq!(controls.unsettled(), []);
        assert!(controls.ledger.contains("pod-uid"));
    }
}

fn shortening() -> Shortening {
    Shortening {
        binding: "a".to_owned(),
        grace_period_seconds: 10,
        eviction_deadline_seconds: 600,
        before_seconds: 3600,
    }
}

#[test]
fn a_termination_is_shorter_only_if_the_pod_says_so() {
    let read = |uid: &str, grace| {
        let metadata = ObjectMeta {
            uid: Some(uid.to_owned()),
            deletion_grace_period_seconds: grace,
            ..ObjectMeta::default()
        };
        Ok(Lookup::Found(metadata))
    };
    for (response, want) in [
        (
            read("pod-uid", Some(10)),
            Some(responded::GRACE_PERIOD_SHORTENED),
        ),
        (read("pod-uid", Some(3600)), None),
        (read("pod-uid", None), None),
        (read("other", None), Some(responded::GRACE_PERIOD_SHORTENED)),
        (
            Ok(Lookup::NotFound),
            Some(responded::GRACE_PERIOD_SHORTENED),
        ),
        (
            Ok(Lookup::Failed("etcd is away".to_owned())),
            Some(responded::API_REQUEST_FAILED),
        ),
        (
            Err(Rejection::Webhook("no".to_owned())),
            Some(responded::BLOCKED_BY_WEBHOOK),
        ),
    ] {
        let outcome = shortening().responded(&evictable(), response, now(), now());
        assert_eq!(outcome.as_ref().map(Outcome::reason), want);
    }
}

#[test]
fn a_shortening_without_a_result_is_given_up_after_its_deadline() {
    let mut facts = evictable();
    facts.waiting = Some(waits(now()));
    // An API server that fails is no different from one that does not respond.
    let unknown = || Rejection::Unknown("the API server failed: etcd is away".to_owned());
    for response in [
        Err(unknown()),
        Ok(Lookup::Failed("etcd is away".to_owned())),
    ] {
        let early = shortening().responded(&facts, response.clone(), now() - seconds(1), now());
        assert_eq!(early.unwrap().reason(), responded::API_REQUEST_FAILED);
        let late = shortening().responded(&facts, response, now(), now());
        assert_eq!(
            late.unwrap().reason(),
            responded::EVICTION_DEADLINE_EXCEEDED
        );
    }
}
