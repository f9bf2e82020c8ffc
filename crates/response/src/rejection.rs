//! What a rejected removal comes to.
//!
//! Here: wait or give up, by the cause of the rejection, and the deadline of what can be waited for
//! only so long. Not here: finding the cause in a response of the API server (`classify`).
//! Invariant: the deadline of an eviction is set once; a change of leader or of the blocker does not
//! extend it.

use crate::incident_state::Outcome;
use crate::ledger::later;
use crate::reason::{Blocker, NoActionReason, WaitReason};
use bailiff_api::WaitingStatus;
use jiff::{SignedDuration, Timestamp};

/// Why the API server did not remove a pod, by cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A `PodDisruptionBudget` blocks it; its name, if the API server reported it.
    DisruptionBudget(Option<String>),
    /// Several `PodDisruptionBudgets` select the pod.
    MultipleDisruptionBudgets,
    /// An admission webhook or policy rejected it; its message.
    Webhook(String),
    /// The controller lacks a permission: what it cannot do, for example
    /// `create pods/eviction in namespace shop`.
    Permission(String),
    /// The pod no longer exists.
    PodNotFound,
    /// It was not done, and can be retried; why.
    Retry(String),
    /// Whether it was done is not known; why.
    Unknown(String),
    /// Retrying is useless; the API server's message.
    Invalid(String),
}

/// What a rejection comes to, for an Incident that waits already or not, by the binding's eviction
/// deadline.
#[must_use]
pub(crate) fn rejected(
    rejection: Rejection,
    eviction_deadline_seconds: u32,
    waiting: Option<&WaitingStatus>,
    now: Timestamp,
) -> Outcome {
    let no_action = |reason| Outcome::NoAction {
        reason,
        would: None,
    };
    let wait = |reason| Outcome::Waiting {
        reason,
        deadline: None,
    };
    match rejection {
        Rejection::DisruptionBudget(name) => until_deadline(
            WaitReason::DisruptionBudget(name.clone()),
            Blocker::DisruptionBudget(name),
            eviction_deadline_seconds,
            waiting,
            now,
        ),
        Rejection::Webhook(message) => until_deadline(
            WaitReason::BlockedByWebhook(message.clone()),
            Blocker::Webhook(message),
            eviction_deadline_seconds,
            waiting,
            now,
        ),
        Rejection::MultipleDisruptionBudgets => {
            no_action(NoActionReason::MultipleDisruptionBudgets)
        }
        Rejection::PodNotFound => no_action(NoActionReason::PodNotFound),
        Rejection::Invalid(message) => no_action(NoActionReason::RequestRejected(message)),
        Rejection::Permission(what) => wait(WaitReason::PermissionMissing(what)),
        Rejection::Retry(why) => wait(WaitReason::ApiRequestFailed(why)),
        // It may have been done, so `unanswered` gives up once that is known.
        Rejection::Unknown(why) => Outcome::Waiting {
            reason: WaitReason::ApiRequestFailed(why),
            deadline: Some(deadline(eviction_deadline_seconds, waiting, now)),
        },
    }
}

/// What it comes to that a request of this time had no answer and was not done. None: it is requested
/// again, because the deadline had not passed.
#[must_use]
pub(crate) fn unanswered(requested: Timestamp, waiting: Option<&WaitingStatus>) -> Option<Outcome> {
    let deadline = waiting?.deadline.as_ref()?.0;
    (deadline <= requested).then_some(Outcome::NoAction {
        reason: NoActionReason::EvictionDeadlineExceeded(Blocker::NoAnswer),
        would: None,
    })
}

/// When an eviction that waits already or not is given up.
fn deadline(
    eviction_deadline_seconds: u32,
    waiting: Option<&WaitingStatus>,
    now: Timestamp,
) -> Timestamp {
    let deadline = waiting.and_then(|w| w.deadline.as_ref()).map(|d| d.0);
    deadline.unwrap_or_else(|| {
        let wait = SignedDuration::from_secs(eviction_deadline_seconds.into());
        later(now, wait)
    })
}

fn until_deadline(
    reason: WaitReason,
    blocker: Blocker,
    eviction_deadline_seconds: u32,
    waiting: Option<&WaitingStatus>,
    now: Timestamp,
) -> Outcome {
    let deadline = deadline(eviction_deadline_seconds, waiting, now);
    if deadline <= now {
        return Outcome::NoAction {
            reason: NoActionReason::EvictionDeadlineExceeded(blocker),
            would: None,
        };
    }
    Outcome::Waiting {
        reason,
        deadline: Some(deadline),
    }
}

#[cfg(test)]
mod tests;
