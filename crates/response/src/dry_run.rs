//! What enforcement would have done, under `Audit`.
//!
//! Here: the dry run of an eviction, how many there are, and what they come to. Not here: sending them
//! (`controller`, `cli`), the sentences (`messages`).
//! Invariant: that Bailiff would evict the pod is reported only if the API server accepted the dry run;
//! dry runs have limits of their own, so they take no place of a response.

use crate::classify::Forbidden;
use crate::controls::Controls;
use crate::incident_state::Outcome;
use crate::ledger::Claim;
use crate::plan::{Plan, PodRemoval};
use crate::reason::{NoActionReason, WaitReason};
use crate::rejection::{Rejection, rejected};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use std::collections::BTreeMap;

/// The result of a dry run of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRun {
    /// The API server would evict the pod.
    Accepted,
    /// The API server would reject the eviction.
    Rejected(Rejection),
    /// Whether the API server would evict the pod is not known; why.
    NotChecked(String),
}

/// What enforcement would have come to, under `Audit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// Bailiff would have evicted the pod.
    Evict {
        /// The binding that only audits.
        binding: String,
    },
    /// Bailiff would have requested an eviction, and whether the API server would have accepted it is not
    /// known.
    NotChecked {
        /// The binding that only audits.
        binding: String,
        /// Why it is not known.
        why: String,
    },
    /// The response would have waited.
    Wait(WaitReason),
    /// Bailiff would have taken no action.
    NoAction(NoActionReason),
}

impl Would {
    /// What a plan comes to.
    ///
    /// # Errors
    /// When it is a removal, which the API server decides about.
    pub(crate) fn of(plan: Plan) -> Result<Self, PodRemoval> {
        match plan {
            Plan::Evict(removal) | Plan::Delete(removal) => Err(removal),
            Plan::Shorten(shortening) => Ok(Self::NotChecked {
                binding: shortening.binding,
                why: "the pod is terminating".to_owned(),
            }),
            Plan::Requeue { reason, .. } => Ok(Self::Wait(reason)),
            Plan::NoAction { reason, .. } => Ok(Self::NoAction(reason)),
        }
    }
}

impl DryRun {
    /// The result that a response of the API server other than success comes to.
    ///
    /// # Errors
    /// When the cause depends on whether the client has the permission.
    pub fn of(status: &Status) -> Result<Self, Forbidden> {
        let message = status.message.as_deref().unwrap_or_default();
        if let Some(webhook) = without_dry_runs(message) {
            let why = format!("admission webhook \"{webhook}\" does not support dry runs");
            return Ok(Self::NotChecked(why));
        }
        Rejection::of(status).map(Self::Rejected)
    }

    /// The outcome of an audited violation for which Evict would request a removal.
    #[must_use]
    pub fn outcome(self, removal: &PodRemoval, now: Timestamp) -> Outcome {
        let binding = removal.binding.clone();
        let would = match self {
            Self::Accepted => Would::Evict { binding },
            Self::NotChecked(why) => Would::NotChecked { binding, why },
            Self::Rejected(rejection) => {
                let deadline = removal.eviction_deadline_seconds;
                match rejected(rejection, deadline, None, now) {
                    // A response without a clear result.
                    Outcome::Waiting {
                        reason: WaitReason::ApiRequestFailed(why),
                        ..
                    } => Would::NotChecked { binding, why },
                    Outcome::Waiting { reason, .. } => Would::Wait(reason),
                    Outcome::NoAction { reason, .. } => Would::NoAction(reason),
                    Outcome::Removed { .. } | Outcome::Shortened { .. } => Would::Evict { binding },
                }
            }
        };
        Outcome::NoAction {
            reason: NoActionReason::AuditOnly,
            would: Some(would),
        }
    }
}

/// The webhook because of which the API server rejected a dry run: one that can have side effects
/// (k8s.io/apiserver v0.37, pkg/admission/plugin/webhook/errors/statuserror.go). A name has no quotation
/// mark, and what a webhook itself responds follows other words.
fn without_dry_runs(message: &str) -> Option<&str> {
    let name = message.strip_prefix("admission webhook \"")?;
    let name = name.strip_suffix("\" does not support dry run")?;
    (!name.contains('"')).then_some(name)
}

impl Controls {
    /// Whether a dry run can be requested for an Incident now, which then counts. There are as many in a
    /// minute as the limits of the namespace and of the cluster allow removals.
    pub fn reserve_dry_run(&mut self, incident_uid: &str, claim: &Claim, now: Timestamp) -> bool {
        let claim = Claim {
            workload: None,
            binding_per_minute: u32::MAX,
            ..claim.clone()
        };
        let limited = self.dry_runs.blocked(&claim, &BTreeMap::new(), now);
        if limited.is_some() {
            return false;
        }
        // An Incident can have several in the window.
        let key = format!("{incident_uid} {now}");
        self.dry_runs.reserve(&key, &claim, now);
        self.dry_runs.confirm(&key, now);
        true
    }
}

#[cfg(test)]
mod tests;
