//! What dry runs come to, and how many there are.

use super::*;
use crate::ledger::RateLimits;
use crate::settle::Step;
use crate::tests::{binding, evictable, incident, minutes, now, seconds};
use crate::{Lookup, Verified, apply_outcome, plan};
use bailiff_api::ResponseAction;
use bailiff_api::condition::responded;

fn removal() -> PodRemoval {
    let mut facts = evictable();
    facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]);
    match Step::from(plan(&facts, now())) {
        Step::DryRun(removal) => removal,
        other @ (Step::Remove(..) | Step::Shorten(_) | Step::Report(..)) => panic!("{other:?}"),
    }
}

#[test]
fn an_audit_reports_what_the_api_server_decides() {
    let text = || "why".to_owned();
    for (result, action, reason) in [
        (
            DryRun::Accepted,
            Some(ResponseAction::Evict),
            responded::EVICTED,
        ),
        (
            DryRun::NotChecked(text()),
            None,
            responded::API_REQUEST_FAILED,
        ),
        (
            DryRun::Rejected(Rejection::DisruptionBudget(None)),
            None,
            responded::WAITING_FOR_DISRUPTION_BUDGET,
        ),
        (
            DryRun::Rejected(Rejection::MultipleDisruptionBudgets),
            None,
            responded::MULTIPLE_DISRUPTION_BUDGETS,
        ),
        (
            DryRun::Rejected(Rejection::Webhook(text())),
            None,
            responded::BLOCKED_BY_WEBHOOK,
        ),
        (
            DryRun::Rejected(Rejection::Permission(text())),
            None,
            responded::PERMISSION_MISSING,
        ),
        (
            DryRun::Rejected(Rejection::PodNotFound),
            None,
            responded::POD_NOT_FOUND,
        ),
        // Nothing is known, so nothing is claimed.
        (
            DryRun::Rejected(Rejection::Unknown(text())),
            None,
            responded::API_REQUEST_FAILED,
        ),
        (
            DryRun::Rejected(Rejection::Retry(text())),
            None,
            responded::API_REQUEST_FAILED,
        ),
    ] {
        let outcome = result.outcome(&removal(), now());
        assert_eq!(outcome.reason(), responded::AUDIT_ONLY);
        let status = apply_outcome(&incident(), &Verified::default(), &outcome, now());
        assert_eq!(status.waiting, None, "an audit waits for nothing");
        let dry_run = status.dry_run_response.unwrap();
        assert_eq!((dry_run.action, dry_run.reason.as_str()), (action, reason));
    }
}

#[test]
fn a_webhook_that_supports_no_dry_runs_rejects_nothing() {
    let status = |message: &str| Status {
        code: Some(400),
        message: Some(message.to_owned()),
        ..Status::default()
    };
    let unsupported = "admission webhook \"a.example.com\" does not support dry run";
    assert_eq!(
        DryRun::of(&status(unsupported)),
        Ok(DryRun::NotChecked(
            "admission webhook \"a.example.com\" does not support dry runs".to_owned()
        ))
    );
    // What a webhook says is its own.
    let said =
        "admission webhook \"a.example.com\" denied the request: \" does not support dry run";
    assert_eq!(
        DryRun::of(&status(said)),
        Ok(DryRun::Rejected(Rejection::Webhook(said.to_owned())))
    );
}

#[test]
fn dry_runs_have_limits_of_their_own() {
    let rates = RateLimits {
        namespace_per_minute: 2,
        cluster_per_minute: 3,
    };
    let mut controls = Controls::new(rates);
    let claim = |namespace: &str| Claim {
        namespace: namespace.to_owned(),
        ..(*removal().claim).clone()
    };
    let mut reserve = |namespace: &str, at| controls.reserve_dry_run("inc", &claim(namespace), at);
    // Of one Incident each counts.
    assert!(reserve("shop", now()));
    assert!(reserve("shop", now() + seconds(1)));
    assert!(!reserve("shop", now() + seconds(2)), "of the namespace");
    assert!(reserve("bank", now() + seconds(3)), "another namespace");
    assert!(!reserve("zoo", now() + seconds(4)), "of the cluster");
    assert!(reserve("zoo", now() + minutes(1)), "a minute later");
    // No response waits because of them.
    let mut facts = evictable();
    let queue = crate::Queue::new(crate::QueueSettings::default());
    let plan = controls.decide(&queue, &incident(), &mut facts, now() + minutes(1));
    assert!(matches!(plan, Plan::Evict(_)), "{plan:?}");
    controls.prune(now() + minutes(10));
    assert!(!controls.dry_runs.contains("inc 2026-01-02T00:00:00Z"));
}
