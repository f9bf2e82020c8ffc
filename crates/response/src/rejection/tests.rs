//! What each rejection comes to, and how long.

use super::*;
use crate::tests::{now, seconds};
use bailiff_api::condition::responded;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

fn waits(reason: &str, deadline: Option<Timestamp>) -> WaitingStatus {
    WaitingStatus {
        reason: reason.to_owned(),
        start_time: MicroTime(now() - seconds(99)),
        deadline: deadline.map(MicroTime),
        enforced: false,
        pause_reason: None,
    }
}

#[test]
fn each_cause_has_its_own_end() {
    let text = || "why".to_owned();
    for (rejection, status, reason, deadline) in [
        (
            Rejection::DisruptionBudget(None),
            "Unknown",
            responded::WAITING_FOR_DISRUPTION_BUDGET,
            Some(600),
        ),
        (
            Rejection::Webhook(text()),
            "Unknown",
            responded::BLOCKED_BY_WEBHOOK,
            Some(600),
        ),
        (
            Rejection::Permission(text()),
            "Unknown",
            responded::PERMISSION_MISSING,
            None,
        ),
        (
            Rejection::Retry(text()),
            "Unknown",
            responded::API_REQUEST_FAILED,
            None,
        ),
        (
            Rejection::Unknown(text()),
            "Unknown",
            responded::API_REQUEST_FAILED,
            Some(600),
        ),
        (
            Rejection::MultipleDisruptionBudgets,
            "False",
            responded::MULTIPLE_DISRUPTION_BUDGETS,
            None,
        ),
        (
            Rejection::PodNotFound,
            "True",
            responded::POD_NOT_FOUND,
            None,
        ),
        (
            Rejection::Invalid(text()),
            "False",
            responded::REQUEST_REJECTED,
            None,
        ),
    ] {
        let outcome = rejected(rejection, 600, None, now());
        assert_eq!((outcome.status(), outcome.reason()), (status, reason));
        let got = match outcome {
            Outcome::Waiting { deadline, .. } => deadline,
            Outcome::Removed { .. } | Outcome::Shortened { .. } | Outcome::NoAction { .. } => None,
        };
        assert_eq!(got, deadline.map(|s| now() + seconds(s)), "{reason}");
    }
}

#[test]
fn the_deadline_is_set_once_and_then_it_is_over() {
    let until = now() + seconds(5);
    let budget = || Rejection::DisruptionBudget(Some("web".to_owned()));
    for reason in [
        responded::WAITING_FOR_DISRUPTION_BUDGET,
        responded::BLOCKED_BY_WEBHOOK,
        responded::API_REQUEST_FAILED,
    ] {
        let before = waits(reason, Some(until));
        let Outcome::Waiting { deadline, .. } = rejected(budget(), 600, Some(&before), now())
        else {
            panic!("it waits")
        };
        assert_eq!(deadline, Some(until), "{reason}");
        assert_eq!(
            rejected(budget(), 600, Some(&before), until).reason(),
            responded::EVICTION_DEADLINE_EXCEEDED
        );
    }
    let webhook = rejected(Rejection::Webhook("no".to_owned()), 0, None, now());
    assert_eq!(
        webhook,
        Outcome::NoAction {
            reason: NoActionReason::EvictionDeadlineExceeded(Blocker::Webhook("no".to_owned())),
            would: None
        }
    );
    // What waited for another reason had no deadline.
    let cooldown = waits(responded::COOLDOWN, None);
    let Outcome::Waiting { deadline, .. } = rejected(budget(), 600, Some(&cooldown), now()) else {
        panic!("it waits")
    };
    assert_eq!(deadline, Some(now() + seconds(600)));
}

#[test]
fn what_has_no_answer_is_given_up_once_it_is_known_that_it_was_not_done() {
    let until = now() + seconds(5);
    let unknown = || Rejection::Unknown("hangs".to_owned());
    for reason in [
        responded::WAITING_FOR_DISRUPTION_BUDGET,
        responded::API_REQUEST_FAILED,
    ] {
        let before = waits(reason, Some(until));
        // It may have been done, also after the deadline.
        for at in [now(), until] {
            let Outcome::Waiting { deadline, .. } = rejected(unknown(), 600, Some(&before), at)
            else {
                panic!("it waits")
            };
            assert_eq!(deadline, Some(until), "{reason}");
        }
        assert_eq!(unanswered(until - seconds(1), Some(&before)), None);
        let given_up = NoActionReason::EvictionDeadlineExceeded(Blocker::NoAnswer);
        assert_eq!(
            unanswered(until, Some(&before)),
            Some(crate::tests::no_action(given_up))
        );
    }
    assert_eq!(unanswered(until, None), None);
    let undated = waits(responded::API_REQUEST_FAILED, None);
    assert_eq!(unanswered(until, Some(&undated)), None);
}
