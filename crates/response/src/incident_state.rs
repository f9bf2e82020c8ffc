//! The state machine of an Incident: an outcome becomes conditions and a phase.
//!
//! Here: which condition each outcome sets. Not here: writing the status (`controller`), and
//! the sentences (`messages`).
//! Invariant: conditions are the truth, the phase is derived from them alone; `series` belongs
//! to the sensor and is never touched; `lastTransitionTime` moves only with the status.

use crate::messages;
use crate::plan::{NothingReason, Plan, WaitReason};
use bailiff_api::condition::{answered, recovered as recovered_reason, types};
use bailiff_api::{
    AnsweredResponse, Incident, IncidentStatus, OwnerObject, Phase, Replacement, ResponseAction,
    WouldRespond,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The API server took the pod away, or began to.
    Done {
        /// Evict or Delete.
        action: ResponseAction,
        /// The binding that asked for it.
        binding: String,
        /// When the API server accepted it.
        at: Timestamp,
    },
    /// It waits.
    Held(WaitReason),
    /// Nothing is done, for good.
    Nothing {
        /// Why.
        reason: NothingReason,
        /// Under `Audit`: what enforcement would have come to.
        would: Option<Box<Plan>>,
    },
}

impl Outcome {
    /// The reason of the condition `Answered`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Done {
                action: ResponseAction::Delete,
                ..
            } => answered::DELETED,
            Self::Done {
                action: ResponseAction::Evict | ResponseAction::Audit,
                ..
            } => answered::EVICTED,
            Self::Held(reason) => reason.as_str(),
            Self::Nothing { reason, .. } => reason.as_str(),
        }
    }

    /// The status of the condition `Answered`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Done { .. } => "True",
            Self::Held(_) => "Unknown",
            Self::Nothing { reason, .. } if reason.is_done() => "True",
            Self::Nothing { .. } => "False",
        }
    }
}

/// What became of the workload after its pod was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A replacement is awaited.
    Waiting,
    /// A replacement is Ready.
    Ready(Replacement),
    /// No replacement was Ready within so many seconds.
    TimedOut(u64),
    /// The owner makes no new pod; its kind, if there is one.
    NotReplaced(Option<String>),
}

impl Recovery {
    /// The reason of the condition `Recovered`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Waiting => recovered_reason::WAITING,
            Self::Ready(_) => recovered_reason::REPLACEMENT_READY,
            Self::TimedOut(_) => recovered_reason::NO_REPLACEMENT,
            Self::NotReplaced(_) => recovered_reason::NOT_REPLACED,
        }
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::Waiting => "Unknown",
            Self::Ready(_) => "True",
            Self::TimedOut(_) | Self::NotReplaced(_) => "False",
        }
    }
}

/// Whether a violation after the answer has to be answered anew: it was not the pod's end, and
/// what stood against it then may no longer stand. That an expression failed stays so: a violation
/// is an Incident of its own.
#[must_use]
pub fn is_overtaken(incident: &Incident) -> bool {
    let Some(status) = &incident.status else {
        return false;
    };
    let Some(series) = &status.series else {
        return false;
    };
    let answer = status
        .conditions
        .iter()
        .find(|c| c.type_ == types::ANSWERED);
    answer.is_some_and(|answer| {
        let ended = [
            answered::EVICTED,
            answered::DELETED,
            answered::ALREADY_TERMINATING,
            answered::POD_GONE,
            answered::EVALUATION_FAILED,
        ];
        answer.status != "Unknown"
            && !ended.contains(&answer.reason.as_str())
            && series.last_observed_time.0 > answer.last_transition_time.0
    })
}

/// Whether the question of `type_` is settled, so that nothing is left to do about it.
#[must_use]
pub fn is_settled(incident: &Incident, type_: &str) -> bool {
    let conditions = incident.status.iter().flat_map(|s| &s.conditions);
    conditions
        .into_iter()
        .any(|c| c.type_ == type_ && c.status != "Unknown")
}

/// Whether something is still to be done: to answer, or to see the workload whole again.
#[must_use]
pub fn is_open(incident: &Incident) -> bool {
    let taken_away = incident
        .status
        .as_ref()
        .is_some_and(|s| s.response.is_some());
    !is_settled(incident, types::ANSWERED)
        || (taken_away && !is_settled(incident, types::RECOVERED))
}

/// The status of an Incident after an outcome.
#[must_use]
pub fn settle(
    incident: &Incident,
    workload: Option<&OwnerObject>,
    outcome: &Outcome,
    now: Timestamp,
) -> IncidentStatus {
    let mut status = incident.status.clone().unwrap_or_default();
    if let Some(workload) = workload {
        status.workload = Some(workload.clone());
    }
    let generation = incident.metadata.generation;
    let message = messages::answered(incident, outcome);
    let (value, reason) = (outcome.status(), outcome.reason());
    set(
        &mut status,
        condition(types::ANSWERED, value, reason, message, generation, now),
    );
    match outcome {
        Outcome::Done {
            action,
            binding,
            at,
        } => {
            status.would_respond = None;
            status.response = Some(AnsweredResponse {
                action: *action,
                binding: binding.clone(),
                time: MicroTime(*at),
            });
            let (reason, message) = (
                recovered_reason::WAITING,
                messages::recovered(&Recovery::Waiting),
            );
            set(
                &mut status,
                condition(
                    types::RECOVERED,
                    "Unknown",
                    reason,
                    message,
                    generation,
                    now,
                ),
            );
        }
        Outcome::Held(_) => status.would_respond = None,
        Outcome::Nothing { reason, would } => {
            status.would_respond = would.as_deref().map(|plan| would_respond(incident, plan));
            if reason.is_done() {
                let message = messages::NOTHING_TO_REPLACE.to_owned();
                let reason = recovered_reason::NOTHING_TO_REPLACE;
                set(
                    &mut status,
                    condition(types::RECOVERED, "True", reason, message, generation, now),
                );
            }
        }
    }
    status.phase = Some(phase(&status));
    status
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
        condition(types::RECOVERED, value, reason, message, generation, now),
    );
    status.phase = Some(phase(&status));
    status
}

/// The phase that the conditions come to.
#[must_use]
pub fn phase(status: &IncidentStatus) -> Phase {
    let of = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_);
    let Some(answer) = of(types::ANSWERED) else {
        return Phase::Pending;
    };
    match (answer.status.as_str(), answer.reason.as_str()) {
        ("Unknown", _) => Phase::Held,
        ("True", answered::AUDIT_ONLY | answered::EVALUATION_FAILED) => Phase::Audited,
        ("True", _) => match of(types::RECOVERED).map(|c| c.status.as_str()) {
            Some("True") => Phase::Recovered,
            Some("False") => Phase::Unresolved,
            Some(_) | None => Phase::Answered,
        },
        (_, _) => Phase::Unresolved,
    }
}

fn would_respond(incident: &Incident, plan: &Plan) -> WouldRespond {
    let outcome = match plan {
        Plan::Evict(answer) => {
            return WouldRespond {
                action: ResponseAction::Evict,
                reason: answered::EVICTED.to_owned(),
                message: messages::would_evict(incident, &answer.binding),
            };
        }
        Plan::Delete(answer) => {
            return WouldRespond {
                action: ResponseAction::Delete,
                reason: answered::DELETED.to_owned(),
                message: messages::would_evict(incident, &answer.binding),
            };
        }
        Plan::Wait { reason, .. } => Outcome::Held(reason.clone()),
        Plan::Nothing { reason, .. } => Outcome::Nothing {
            reason: reason.clone(),
            would: None,
        },
    };
    WouldRespond {
        // Audit: a guardrail would have held the eviction.
        action: ResponseAction::Audit,
        reason: outcome.reason().to_owned(),
        message: messages::would_hold(&outcome),
    }
}

fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    }
}

fn set(status: &mut IncidentStatus, mut new: Condition) {
    match status.conditions.iter_mut().find(|c| c.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => status.conditions.push(new),
    }
}

#[cfg(test)]
mod tests;
