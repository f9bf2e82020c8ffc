//! The state machine of an Incident: an outcome becomes conditions and a phase.
//!
//! Here: which condition each outcome sets. Not here: writing the status (`controller`), and
//! the sentences (`messages`).
//! Invariant: conditions are the truth, the phase is derived from them alone; `series` belongs
//! to the sensor and is never touched; `lastTransitionTime` moves only with the status.

use crate::messages;
use crate::plan::{NoActionReason, Plan, WaitReason};
use bailiff_api::condition::{recovered as recovered_reason, responded, types};
use bailiff_api::{
    DryRunResponse, Incident, IncidentStatus, Phase, Replacement, ResponseAction, ResponseStatus,
    WorkloadReference,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The API server took the pod away, or began to.
    Removed {
        /// Evict or Delete.
        action: ResponseAction,
        /// The binding that asked for it.
        binding: String,
        /// When the API server accepted it.
        at: Timestamp,
    },
    /// It waits.
    Waiting(WaitReason),
    /// Nothing is done, for good.
    NoAction {
        /// Why.
        reason: NoActionReason,
        /// Under `Audit`: what enforcement would have come to.
        would: Option<Box<Plan>>,
    },
}

impl Outcome {
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
            Self::Waiting(reason) => reason.as_str(),
            Self::NoAction { reason, .. } => reason.as_str(),
        }
    }

    /// The status of the condition `Responded`.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        match self {
            Self::Removed { .. } => "True",
            Self::Waiting(_) => "Unknown",
            Self::NoAction { reason, .. } if reason.is_done() => "True",
            Self::NoAction { .. } => "False",
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
    NoReplacementExpected(Option<String>),
}

impl Recovery {
    /// The reason of the condition `Recovered`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Waiting => recovered_reason::WAITING,
            Self::Ready(_) => recovered_reason::REPLACEMENT_READY,
            Self::TimedOut(_) => recovered_reason::REPLACEMENT_DEADLINE_EXCEEDED,
            Self::NoReplacementExpected(_) => recovered_reason::NO_REPLACEMENT_EXPECTED,
        }
    }

    const fn status(&self) -> &'static str {
        match self {
            Self::Waiting => "Unknown",
            Self::Ready(_) => "True",
            Self::TimedOut(_) | Self::NoReplacementExpected(_) => "False",
        }
    }
}

/// Whether a violation after the answer has to be answered anew: it was not the pod's end, and
/// what stood against it then may no longer stand. That an expression failed stays so: a violation
/// is an Incident of its own.
#[must_use]
pub fn needs_reevaluation(incident: &Incident) -> bool {
    let Some(status) = &incident.status else {
        return false;
    };
    let Some(series) = &status.series else {
        return false;
    };
    let answer = status
        .conditions
        .iter()
        .find(|c| c.type_ == types::RESPONDED);
    answer.is_some_and(|answer| {
        let ended = [
            responded::EVICTED,
            responded::DELETED,
            responded::ALREADY_TERMINATING,
            responded::POD_NOT_FOUND,
            responded::EVALUATION_FAILED,
        ];
        answer.status != "Unknown"
            && !ended.contains(&answer.reason.as_str())
            && series.last_observed_time.0 > answer.last_transition_time.0
    })
}

/// Whether the question of `type_` is settled, so that nothing is left to do about it.
#[must_use]
pub fn is_final(incident: &Incident, type_: &str) -> bool {
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
    !is_final(incident, types::RESPONDED) || (taken_away && !is_final(incident, types::RECOVERED))
}

/// The status of an Incident after an outcome.
#[must_use]
pub fn apply_outcome(
    incident: &Incident,
    workload: Option<&WorkloadReference>,
    outcome: &Outcome,
    now: Timestamp,
) -> IncidentStatus {
    let mut status = incident.status.clone().unwrap_or_default();
    if let Some(workload) = workload {
        status.workload_ref = Some(workload.clone());
    }
    let generation = incident.metadata.generation;
    let message = messages::responded(incident, outcome);
    let (value, reason) = (outcome.status(), outcome.reason());
    set(
        &mut status,
        condition(types::RESPONDED, value, reason, message, generation, now),
    );
    match outcome {
        Outcome::Removed {
            action,
            binding,
            at,
        } => {
            status.dry_run_response = None;
            status.response = Some(ResponseStatus {
                action: *action,
                binding_name: binding.clone(),
                time: MicroTime(*at),
                grace_period_seconds: None,
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
        Outcome::Waiting(_) => status.dry_run_response = None,
        Outcome::NoAction { reason, would } => {
            status.dry_run_response = would
                .as_deref()
                .map(|plan| dry_run_response(incident, plan));
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
    let Some(answer) = of(types::RESPONDED) else {
        return Phase::Pending;
    };
    match (answer.status.as_str(), answer.reason.as_str()) {
        ("Unknown", _) => Phase::Waiting,
        ("True", responded::AUDIT_ONLY | responded::EVALUATION_FAILED) => Phase::Audited,
        ("True", _) => match of(types::RECOVERED).map(|c| c.status.as_str()) {
            Some("True") => Phase::Resolved,
            Some("False") => Phase::Unresolved,
            Some(_) | None => Phase::Recovering,
        },
        (_, _) => Phase::Unresolved,
    }
}

fn dry_run_response(incident: &Incident, plan: &Plan) -> DryRunResponse {
    let outcome = match plan {
        Plan::Evict(answer) => {
            return DryRunResponse {
                action: Some(ResponseAction::Evict),
                reason: responded::EVICTED.to_owned(),
                message: messages::would_evict(incident, &answer.binding),
            };
        }
        Plan::Delete(answer) => {
            return DryRunResponse {
                action: Some(ResponseAction::Delete),
                reason: responded::DELETED.to_owned(),
                message: messages::would_evict(incident, &answer.binding),
            };
        }
        Plan::Requeue { reason, .. } => Outcome::Waiting(reason.clone()),
        Plan::NoAction { reason, .. } => Outcome::NoAction {
            reason: reason.clone(),
            would: None,
        },
    };
    DryRunResponse {
        action: None,
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
