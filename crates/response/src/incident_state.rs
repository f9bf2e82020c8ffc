//! The state machine of an Incident: an outcome becomes conditions and a phase.
//!
//! Here: which condition each outcome sets. Not here: writing the status (`controller`), and
//! the sentences (`messages`).
//! Invariant: conditions are the truth, the phase is derived from them alone; `series` belongs
//! to the sensor and is never changed; `lastTransitionTime` moves only with the status; the start of
//! a wait, and that it was one of enforcement, stay until the wait ends.

use crate::dry_run::Would;
use crate::messages;
use crate::reason::{NoActionReason, WaitReason};
use bailiff_api::condition::{self, recovered as recovered_reason, responded, succeeding, types};
use bailiff_api::{
    DryRunResponse, Incident, IncidentStatus, Phase, Replacement, ResponseAction, ResponseStatus,
    WaitingStatus, WorkloadReference,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};

/// What came of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The API server removed the pod, or began to.
    Removed {
        /// Evict or Delete.
        action: ResponseAction,
        /// The binding that asked for it.
        binding: String,
        /// When the API server accepted it.
        at: Timestamp,
        /// The grace period that was requested, in seconds.
        grace_period_seconds: u32,
        /// The pod was released from its workload, so nothing replaces it.
        released: bool,
    },
    /// The API server shortened the grace period of a terminating pod.
    Shortened {
        /// The binding that asked for it.
        binding: String,
        /// When the API server accepted it.
        at: Timestamp,
        /// The grace period that was requested, in seconds.
        grace_period_seconds: u32,
    },
    /// The response waits.
    Waiting {
        /// What for.
        reason: WaitReason,
        /// When it stops waiting; none: it waits without a deadline.
        deadline: Option<Timestamp>,
    },
    /// Bailiff takes no action.
    NoAction {
        /// Why.
        reason: NoActionReason,
        /// Under `Audit`: what enforcement would have done.
        would: Option<Would>,
    },
}

impl Outcome {
    /// A wait without a deadline.
    #[must_use]
    pub const fn waiting(reason: WaitReason) -> Self {
        Self::Waiting {
            reason,
            deadline: None,
        }
    }

    /// The reason of the condition `Responded`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Removed {
                action: ResponseAction::Delete,
                ..
            } => responded::DELETED,
            Self::Removed {
                action: ResponseAction::Evict | ResponseAction::Audit,
                ..
            } => responded::EVICTED,
            Self::Shortened { .. } => responded::GRACE_PERIOD_SHORTENED,
            Self::Waiting { reason, .. } => reason.as_str(),
            Self::NoAction { reason, .. } => reason.as_str(),
        }
    }

    /// The status of the condition `Responded`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Removed { .. } | Self::Shortened { .. } => "True",
            Self::Waiting { .. } => "Unknown",
            Self::NoAction { reason, .. } if reason.is_done() => "True",
            Self::NoAction { .. } => "False",
        }
    }
}

/// What became of the workload after its pod was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A replacement is awaited.
    Waiting,
    /// A replacement is Ready.
    Ready(Replacement),
    /// No replacement was Ready within so many seconds.
    TimedOut(u64),
    /// The owner creates no replacement; its kind, if there is one.
    NoReplacementExpected(Option<String>),
    /// The pod was released from its owner before it was removed.
    Released,
}

impl Recovery {
    /// The reason of the condition `Recovered`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Waiting => recovered_reason::WAITING,
            Self::Ready(_) => recovered_reason::REPLACEMENT_READY,
            Self::TimedOut(_) => recovered_reason::REPLACEMENT_DEADLINE_EXCEEDED,
            Self::NoReplacementExpected(_) | Self::Released => {
                recovered_reason::NO_REPLACEMENT_EXPECTED
            }
        }
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::Waiting => "Unknown",
            Self::Ready(_) => "True",
            Self::TimedOut(_) | Self::NoReplacementExpected(_) | Self::Released => "False",
        }
    }
}

/// Whether violations continue after a final response that did not remove the pod: what stood
/// against a response may no longer do so. The number of violations tells, not their times, which
/// are the sensor's. That an expression could not be evaluated stays so: a violation is an Incident
/// of its own.
#[must_use]
pub fn needs_reevaluation(incident: &Incident) -> bool {
    let Some(status) = &incident.status else {
        return false;
    };
    let Some(series) = &status.series else {
        return false;
    };
    let mut conditions = status.conditions.iter();
    let response = conditions.find(|c| c.type_ == types::RESPONDED);
    response.is_some_and(|condition| {
        let over = [
            responded::EVICTED,
            responded::DELETED,
            responded::GRACE_PERIOD_SHORTENED,
            responded::ALREADY_TERMINATING,
            responded::POD_NOT_FOUND,
            responded::EVALUATION_FAILED,
            responded::FOUND_RUNNING,
        ];
        condition.status != "Unknown"
            && !over.contains(&condition.reason.as_str())
            && series.count != status.observed_count.unwrap_or(1)
    })
}

/// Whether the condition `type_` is final, so that nothing is left to do about it.
#[must_use]
pub fn is_final(incident: &Incident, type_: &str) -> bool {
    let conditions = incident.status.iter().flat_map(|s| &s.conditions);
    conditions
        .into_iter()
        .any(|c| c.type_ == type_ && c.status != "Unknown")
}

/// Whether something is left to do: to respond, or to wait for the workload's replacement.
#[must_use]
pub fn is_open(incident: &Incident) -> bool {
    let removed = incident
        .status
        .as_ref()
        .is_some_and(|s| s.response.is_some());
    !is_final(incident, types::RESPONDED) || (removed && !is_final(incident, types::RECOVERED))
}

/// What was verified of an Incident's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Its workload.
    pub workload: Option<WorkloadReference>,
    /// When it started.
    pub started: Option<Timestamp>,
}

/// The status of an Incident after an outcome.
#[must_use]
pub fn apply_outcome(
    incident: &Incident,
    verified: &Verified,
    outcome: &Outcome,
    now: Timestamp,
) -> IncidentStatus {
    let mut status = incident.status.clone().unwrap_or_default();
    if let Some(workload) = &verified.workload {
        status.workload_ref = Some(workload.clone());
    }
    if let Some(started) = verified.started {
        status.pod_start_time = Some(Time(started));
    }
    let generation = incident.metadata.generation;
    let message = messages::responded(incident, outcome);
    let (value, reason) = (outcome.status(), outcome.reason());
    set(
        &mut status,
        condition::new(
            types::RESPONDED,
            value,
            reason,
            message,
            generation,
            Time(now),
        ),
    );
    status.waiting = waiting(status.waiting.take(), outcome, now);
    status.dry_run_response = None;
    let recovery = match outcome {
        Outcome::Removed {
            action,
            binding,
            at,
            grace_period_seconds,
            released,
        } => {
            status.response = Some(response(*action, binding, *at, *grace_period_seconds));
            let recovery = if *released {
                Recovery::Released
            } else {
                Recovery::Waiting
            };
            let message = messages::recovered(&recovery);
            Some((recovery.status(), recovery.reason(), message))
        }
        // The client that deleted the pod knows whether it is replaced.
        Outcome::Shortened { .. } => Some(nothing_to_replace()),
        Outcome::Waiting { .. } => None,
        Outcome::NoAction { reason, would } => {
            status.dry_run_response = would
                .as_ref()
                .map(|would| dry_run_response(incident, would));
            reason.is_done().then(nothing_to_replace)
        }
    };
    if let Some((value, reason, message)) = recovery {
        set(
            &mut status,
            condition::new(
                types::RECOVERED,
                value,
                reason,
                message,
                generation,
                Time(now),
            ),
        );
    }
    if !matches!(outcome, Outcome::Waiting { .. }) {
        status.observed_count = status.series.as_ref().map(|s| s.count);
    }
    status.phase = Some(phase(&status));
    status
}

fn nothing_to_replace() -> (&'static str, &'static str, String) {
    let message = messages::NOTHING_TO_REPLACE.to_owned();
    ("True", recovered_reason::NOTHING_TO_REPLACE, message)
}

fn response(action: ResponseAction, binding: &str, at: Timestamp, grace: u32) -> ResponseStatus {
    ResponseStatus {
        action,
        binding_name: binding.to_owned(),
        time: MicroTime(at),
        grace_period_seconds: Some(grace.into()),
    }
}

/// What the status records of a wait. Its start stays while the reason changes; a failed
/// request does not extend the deadline of what it waits for.
fn waiting(
    before: Option<WaitingStatus>,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<WaitingStatus> {
    let Outcome::Waiting { reason, deadline } = outcome else {
        return None;
    };
    let kept = match reason {
        WaitReason::ApiRequestFailed(_) => before.as_ref().and_then(|b| b.deadline.clone()),
        WaitReason::Cooldown
        | WaitReason::RateLimited(_)
        | WaitReason::DisruptionBudget(_)
        | WaitReason::BlockedByWebhook(_)
        | WaitReason::PermissionMissing(_)
        | WaitReason::IncidentsNotProtected(_)
        | WaitReason::ResponsesSwitchedOff(_)
        | WaitReason::CircuitBreakerOpen { .. }
        | WaitReason::PolicyPaused(_)
        | WaitReason::WaitingForNextExec(_) => None,
    };
    Some(WaitingStatus {
        reason: reason.as_str().to_owned(),
        enforced: reason.enforces() || before.as_ref().is_some_and(|b| b.enforced),
        pause_reason: reason.paused(before.as_ref().and_then(|b| b.pause_reason)),
        start_time: before.map_or(MicroTime(now), |b| b.start_time),
        deadline: deadline.map(MicroTime).or(kept),
    })
}

/// The status of an Incident after news of the replacement.
#[must_use]
pub fn recovered(incident: &Incident, recovery: &Recovery, now: Timestamp) -> IncidentStatus {
    let mut status = incident.status.clone().unwrap_or_default();
    let (value, reason) = (recovery.status(), recovery.reason());
    if let Recovery::Ready(replacement) = recovery {
        status.replacement = Some(replacement.clone());
    }
    let message = messages::recovered(recovery);
    let generation = incident.metadata.generation;
    set(
        &mut status,
        condition::new(
            types::RECOVERED,
            value,
            reason,
            message,
            generation,
            Time(now),
        ),
    );
    status.phase = Some(phase(&status));
    status
}

/// The phase that the conditions come to.
#[must_use]
pub fn phase(status: &IncidentStatus) -> Phase {
    let of = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_);
    let Some(response) = of(types::RESPONDED) else {
        return Phase::Pending;
    };
    match (response.status.as_str(), response.reason.as_str()) {
        ("Unknown", _) => Phase::Waiting,
        (
            "True",
            responded::AUDIT_ONLY | responded::EVALUATION_FAILED | responded::FOUND_RUNNING,
        ) => Phase::Audited,
        ("True", _) => match of(types::RECOVERED).map(|c| c.status.as_str()) {
            Some("True") => Phase::Resolved,
            Some("False") => Phase::Unresolved,
            Some(_) | None => Phase::Recovering,
        },
        (_, _) => Phase::Unresolved,
    }
}

fn dry_run_response(incident: &Incident, would: &Would) -> DryRunResponse {
    let (action, reason) = match would {
        Would::Evict { .. } => (Some(ResponseAction::Evict), responded::EVICTED),
        Would::NotChecked { .. } => (None, responded::API_REQUEST_FAILED),
        Would::Wait(reason) => (None, reason.as_str()),
        Would::NoAction(reason) => (None, reason.as_str()),
    };
    DryRunResponse {
        action,
        reason: reason.to_owned(),
        message: messages::dry_run(incident, would),
    }
}

fn set(status: &mut IncidentStatus, new: Condition) {
    let new = succeeding(&status.conditions, new);
    match status.conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => *old = new,
        None => status.conditions.push(new),
    }
}

#[cfg(test)]
mod tests;
