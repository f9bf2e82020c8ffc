//! What the queue learns of an Incident, and how a slot ends.
//!
//! Here: summaries and results. Not here: the order (`queue`).
//! Invariant: a summary has a bounded size and holds no evidence; its times are the API server's or
//! the controller's.

use crate::facts::created;
use crate::incident_state::{Outcome, is_final, needs_reevaluation};
use crate::ledger::{Claim, Limit};
use crate::reason::WaitReason;
use crate::workload::WorkloadKey;
use bailiff_api::Incident;
use bailiff_api::condition::{responded, types};
use jiff::{SignedDuration, Timestamp};

/// What identifies an Incident.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Namespace of the Incident, which can be another than its pod's.
    pub namespace: String,
    /// Name of the Incident.
    pub name: String,
    /// UID of the Incident.
    pub uid: String,
}

impl Key {
    /// The key of an Incident. None: it was not read from an API server.
    #[must_use]
    pub fn of(incident: &Incident) -> Option<Self> {
        let metadata = &incident.metadata;
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
        })
    }
}

/// What an Incident needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The response is open.
    Respond,
    /// The response is final, and violations continue.
    Reevaluate,
    /// Nothing.
    None,
}

/// What the queue keeps of an Incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The Incident.
    pub key: Key,
    /// Namespace of the pod: namespaces take turns.
    pub pod_namespace: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// UID of the policy.
    pub policy_uid: String,
    /// The workload, if it is known.
    pub workload: Option<WorkloadKey>,
    /// When the API server created the Incident.
    pub created: Timestamp,
    /// How many violations the series has.
    pub count: i64,
    /// What it needs.
    pub demand: Demand,
    /// The persisted reason and start of its wait.
    pub waiting: Option<(String, Timestamp)>,
}

impl Summary {
    /// The summary of an Incident. None: it was not read from an API server.
    #[must_use]
    pub fn of(incident: &Incident) -> Option<Self> {
        let spec = &incident.spec;
        let status = incident.status.as_ref();
        let series = status.and_then(|s| s.series.as_ref());
        let waiting = status.and_then(|s| s.waiting.as_ref());
        Some(Self {
            key: Key::of(incident)?,
            pod_namespace: spec.pod.namespace.clone(),
            pod_uid: spec.pod.uid.clone(),
            policy_uid: spec.policy_ref.uid.clone(),
            workload: WorkloadKey::of_incident(incident),
            created: created(&incident.metadata),
            count: series.map_or(1, |s| s.count),
            demand: if !is_final(incident, types::RESPONDED) {
                Demand::Respond
            } else if needs_reevaluation(incident) {
                Demand::Reevaluate
            } else {
                Demand::None
            },
            waiting: waiting.map(|w| (w.reason.clone(), w.start_time.0)),
        })
    }
}

/// How a slot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The pod was removed; its other Incidents are due.
    Removed,
    /// The response is final, and the status is written.
    Final,
    /// It waits for a limit.
    Limited {
        /// The places that it waits for.
        claim: Box<Claim>,
        /// The limit that has none.
        limit: Limit,
        /// When that limit has room again.
        until: Timestamp,
    },
    /// It waits for something else, at the latest until a time.
    Wait {
        /// Reason of the condition `Responded`.
        reason: &'static str,
        /// When it is due without any event.
        until: Timestamp,
    },
    /// It failed and is retried, with a pause that doubles each time.
    Backoff {
        /// Reason of the condition `Responded`.
        reason: &'static str,
        /// The least pause, as a `Retry-After` asks for it.
        at_least: Option<SignedDuration>,
        /// When it is due at the latest: its deadline.
        not_after: Option<Timestamp>,
    },
}

impl Finished {
    /// After a `Plan::Requeue`.
    #[must_use]
    pub fn requeued(reason: &WaitReason, until: Timestamp, claim: Option<Box<Claim>>) -> Self {
        let limit = |claim: &Claim| {
            let limit = claim
                .limits()
                .find(|l| WaitReason::of(l.clone()) == *reason);
            limit.unwrap_or(Limit::Cluster)
        };
        match (reason, claim) {
            (WaitReason::ApiRequestFailed(_), _) => Self::backoff(reason.as_str()),
            (_, Some(claim)) => Self::Limited {
                limit: limit(&claim),
                claim,
                until,
            },
            (_, None) => Self::Wait {
                reason: reason.as_str(),
                until,
            },
        }
    }

    /// After a request to remove the pod; `retry_after` is what the API server asked for.
    #[must_use]
    pub fn requested(outcome: &Outcome, retry_after: Option<SignedDuration>) -> Self {
        match outcome {
            Outcome::Removed { .. } | Outcome::Shortened { .. } => Self::Removed,
            Outcome::NoAction { .. } => Self::Final,
            Outcome::Waiting { reason, deadline } => Self::Backoff {
                reason: reason.as_str(),
                at_least: retry_after,
                not_after: *deadline,
            },
        }
    }

    /// After an error that has no outcome, as a panic or an Incident that cannot be read.
    #[must_use]
    pub const fn failed() -> Self {
        Self::backoff(responded::API_REQUEST_FAILED)
    }

    /// After a status that could not be written; `retry_after` is what the API server asked for.
    #[must_use]
    pub const fn not_written(retry_after: Option<SignedDuration>) -> Self {
        Self::Backoff {
            reason: responded::API_REQUEST_FAILED,
            at_least: retry_after,
            not_after: None,
        }
    }

    const fn backoff(reason: &'static str) -> Self {
        Self::Backoff {
            reason,
            at_least: None,
            not_after: None,
        }
    }
}

/// What changed, so that waiting Incidents are due at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake<'a> {
    /// What Incidents wait for that have this reason of the condition `Responded`.
    Reason(&'a str),
    /// A policy, by UID, or a binding of it.
    Policy(&'a str),
    /// The switch, the protection of Incidents or the configuration.
    All,
}
