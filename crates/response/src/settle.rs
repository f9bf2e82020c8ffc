//! What a request to remove a pod comes to.
//!
//! Here: the outcome of a request, from the API server's response or, without one, from the pod as it is
//! afterward, and what it changes in the limits. Not here: sending requests (`controller`), the cause of a
//! rejection (`classify`), waiting or giving up because of it (`rejection`).
//! Invariant: a request without a known result stays reserved in the limits, and no other is made for its
//! pod, until the pod shows whether it was done; a removal that the pod does not show is never reported.

use crate::controls::Controls;
use crate::dry_run::Would;
use crate::facts::{Facts, Lookup, request_done};
use crate::incident_state::{Outcome, Verified};
use crate::plan::{Plan, PodRemoval, Shortening};
use crate::queue::{Finished, Key};
use crate::reason::WaitReason;
use crate::rejection::{Rejection, rejected, unanswered};
use bailiff_api::ResponseAction;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What follows from a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Request the removal of the pod.
    Remove(ResponseAction, PodRemoval),
    /// Request a shorter grace period for the terminating pod.
    Shorten(Shortening),
    /// The bindings only audit, and Evict would request this removal: request a dry run of it.
    DryRun(PodRemoval),
    /// Report the outcome; the slot ends so.
    Report(Outcome, Finished),
}

impl From<Plan> for Step {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Evict(removal) => Self::Remove(ResponseAction::Evict, removal),
            Plan::Delete(removal) => Self::Remove(ResponseAction::Delete, removal),
            Plan::Shorten(shortening) => Self::Shorten(shortening),
            Plan::Requeue {
                reason,
                until,
                claim,
            } => {
                let finished = Finished::requeued(&reason, until, claim);
                Self::Report(Outcome::waiting(reason), finished)
            }
            Plan::NoAction { reason, would } => {
                match would.map(|would| Would::of(*would)).transpose() {
                    Ok(would) => Self::Report(Outcome::NoAction { reason, would }, Finished::Final),
                    Err(removal) => Self::DryRun(removal),
                }
            }
        }
    }
}

/// A removal that is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalRequest {
    /// The Incident.
    pub key: Key,
    /// Evict or Delete.
    pub action: ResponseAction,
    /// What is requested.
    pub removal: PodRemoval,
    /// What was verified of the pod before the request.
    pub verified: Verified,
    /// When it was requested.
    pub at: Timestamp,
}

/// A request that ended without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsettledRequest {
    /// The request.
    pub request: RemovalRequest,
    /// When it ended. What it removed counts from then on, because the API server may have done it at any
    /// time of the request.
    pub ended: Timestamp,
}

impl UnsettledRequest {
    /// What a replica that no longer leads reports of it. None: the pod does not show that it was done,
    /// and the next leader plans again.
    #[must_use]
    pub fn last_outcome(&self, facts: &Facts) -> Option<Outcome> {
        match request_done(facts, self.request.action) {
            Lookup::Found(true) | Lookup::NotFound => Some(self.removed()),
            Lookup::Found(false) | Lookup::Failed(_) => None,
        }
    }

    fn removed(&self) -> Outcome {
        let request = &self.request;
        request.removal.removed(request.action, self.ended)
    }
}

impl PodRemoval {
    /// The outcome if the pod was removed at a time.
    pub(crate) fn removed(&self, action: ResponseAction, at: Timestamp) -> Outcome {
        Outcome::Removed {
            action,
            binding: self.binding.clone(),
            at,
            grace_period_seconds: self.grace_period_seconds,
            released: self.released,
        }
    }
}

impl Controls {
    /// The outcome of a request that `decide` planned, at the time of the response.
    pub fn responded(
        &mut self,
        facts: &Facts,
        request: RemovalRequest,
        response: Result<(), Rejection>,
        now: Timestamp,
    ) -> Outcome {
        let pod_uid = &facts.violation.pod_uid;
        let rejection = match response {
            Ok(()) => return request.removal.removed(request.action, now),
            Err(rejection) => rejection,
        };
        let deadline = request.removal.eviction_deadline_seconds;
        match &rejection {
            // It may have been done: what was reserved stays until that is known.
            Rejection::Unknown(_) => {
                self.ledger.unanswered(pod_uid, now);
                let ended = now;
                let unsettled = UnsettledRequest { request, ended };
                self.unsettled.insert(pod_uid.clone(), unsettled);
            }
            Rejection::DisruptionBudget(_)
            | Rejection::MultipleDisruptionBudgets
            | Rejection::Webhook(_)
            | Rejection::Permission(_)
            | Rejection::PodNotFound
            | Rejection::Retry(_)
            | Rejection::Invalid(_) => self.ledger.release(pod_uid),
        }
        rejected(rejection, deadline, facts.waiting.as_ref(), now)
    }

    /// The outcome of an earlier request for the pod whose result is unknown, with what was verified
    /// before it. None: there is none, or it was not done and can be made again.
    pub fn settle(&mut self, facts: &Facts) -> Option<(Verified, Outcome)> {
        let pod_uid = &facts.violation.pod_uid;
        let unsettled = self.unsettled.remove(pod_uid)?;
        let outcome = match request_done(facts, unsettled.request.action) {
            Lookup::Found(true) | Lookup::NotFound => unsettled.removed(),
            Lookup::Found(false) => {
                self.ledger.release(pod_uid);
                unanswered(unsettled.request.at, facts.waiting.as_ref())?
            }
            Lookup::Failed(why) => {
                let verified = unsettled.request.verified.clone();
                self.unsettled.insert(pod_uid.clone(), unsettled);
                let waits = Outcome::waiting(WaitReason::ApiRequestFailed(why));
                return Some((verified, waits));
            }
        };
        Some((unsettled.request.verified, outcome))
    }

    /// The requests whose result is unknown.
    #[must_use]
    pub fn unsettled(&self) -> Vec<UnsettledRequest> {
        self.unsettled.values().cloned().collect()
    }
}

impl Shortening {
    /// The outcome of a request for a shorter grace period, made and answered at these times. `response`
    /// has the metadata of the pod after the API server accepted the request, which is no proof. None: the grace
    /// period is as before.
    #[must_use]
    pub fn responded(
        &self,
        facts: &Facts,
        response: Result<Lookup<ObjectMeta>, Rejection>,
        requested: Timestamp,
        now: Timestamp,
    ) -> Option<Outcome> {
        let rejection = match response {
            Ok(Lookup::NotFound) => return Some(self.shortened(requested)),
            Ok(Lookup::Found(pod)) => {
                let period = pod.deletion_grace_period_seconds;
                let shorter = pod.uid.as_ref() != Some(&facts.violation.pod_uid)
                    || period.is_some_and(|period| period < self.before_seconds);
                return shorter.then(|| self.shortened(requested));
            }
            Ok(Lookup::Failed(why)) => Rejection::Unknown(why),
            Err(rejection) => rejection,
        };
        let waiting = facts.waiting.as_ref();
        let given_up = match &rejection {
            // To shorten it twice does no harm, so the pod need not be asked first.
            Rejection::Unknown(_) => unanswered(requested, waiting),
            Rejection::DisruptionBudget(_)
            | Rejection::MultipleDisruptionBudgets
            | Rejection::Webhook(_)
            | Rejection::Permission(_)
            | Rejection::PodNotFound
            | Rejection::Retry(_)
            | Rejection::Invalid(_) => None,
        };
        let deadline = self.eviction_deadline_seconds;
        Some(given_up.unwrap_or_else(|| rejected(rejection, deadline, waiting, now)))
    }

    pub(crate) fn shortened(&self, at: Timestamp) -> Outcome {
        Outcome::Shortened {
            binding: self.binding.clone(),
            at,
            grace_period_seconds: self.grace_period_seconds,
        }
    }
}

#[cfg(test)]
mod tests;
