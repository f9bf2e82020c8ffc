//! The report of `bailiff status --since`.
//!
//! Here: what happened in a period, by response and reason. Not here: the state now (`checks`).
//! Invariant: only times of the controller count; every Incident is in at most one row.

use super::responses::{IncidentSummary, Incidents, Responded};
use crate::table;
use bailiff_api::condition::responded;
use bailiff_response::messages::escaped;
use bailiff_response::{NoActionKind, WaitKind};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What became of an Incident, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Response {
    Removed,
    Waiting,
    Paused,
    Rejected,
    NoAction,
    Audited,
}

impl Response {
    fn of(incident: &IncidentSummary) -> Self {
        let reason = incident.reason.as_str();
        if let Some(kind) = WaitKind::of(reason) {
            return match kind {
                WaitKind::CircuitBreakerOpen
                | WaitKind::PolicyPaused
                | WaitKind::ResponsesSwitchedOff => Self::Paused,
                WaitKind::BlockedByWebhook => Self::Rejected,
                WaitKind::Cooldown
                | WaitKind::RateLimited
                | WaitKind::DisruptionBudget
                | WaitKind::PermissionMissing
                | WaitKind::IncidentsNotProtected
                | WaitKind::WaitingForNextExec
                | WaitKind::ApiRequestFailed => Self::Waiting,
            };
        }
        if let Some(kind) = NoActionKind::of(reason) {
            return match kind {
                NoActionKind::AuditOnly
                | NoActionKind::EvaluationFailed
                | NoActionKind::FoundRunning => Self::Audited,
                NoActionKind::RequestRejected
                | NoActionKind::MultipleDisruptionBudgets
                | NoActionKind::EvictionDeadlineExceeded => Self::Rejected,
                NoActionKind::PodNotFound
                | NoActionKind::AlreadyTerminating
                | NoActionKind::Unmanaged
                | NoActionKind::MirrorPod
                | NoActionKind::BailiffPod
                | NoActionKind::ExemptNamespace
                | NoActionKind::CriticalPod
                | NoActionKind::PolicyChanged
                | NoActionKind::PodMismatch
                | NoActionKind::ViolationTooOld => Self::NoAction,
            };
        }
        // What is left: a removal, no decision yet, or a reason of another version.
        match (incident.responded, reason) {
            (Responded::Unknown, _) => Self::Waiting,
            (
                Responded::True,
                responded::EVICTED | responded::DELETED | responded::GRACE_PERIOD_SHORTENED,
            ) => Self::Removed,
            (Responded::True | Responded::False, _) => Self::NoAction,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "Removed",
            Self::Waiting => "Waiting",
            Self::Paused => "Paused",
            Self::Rejected => "Rejected",
            Self::NoAction => "No action",
            Self::Audited => "Audited",
        }
    }
}

/// The lines of the report. An Incident that still waits counts however long it waits.
pub(super) fn lines(incidents: &Incidents, period: SignedDuration, now: Timestamp) -> Vec<String> {
    let mut groups: BTreeMap<(Response, &str), (usize, &IncidentSummary)> = BTreeMap::new();
    for incident in &incidents.items {
        let open = incident.responded == Responded::Unknown;
        if !open && now.duration_since(incident.since) > period {
            continue;
        }
        let key = (Response::of(incident), incident.reason.as_str());
        let (count, latest) = groups.entry(key).or_insert((0, incident));
        *count += 1;
        if incident.since > latest.since {
            *latest = incident;
        }
    }
    if groups.is_empty() {
        return vec!["No responses in this period.".to_owned()];
    }
    let rows: Vec<_> = groups
        .into_iter()
        .map(|((response, reason), (count, latest))| {
            let reason = if reason.is_empty() { "Pending" } else { reason };
            vec![
                response.as_str().to_owned(),
                escaped(reason, 63),
                count.to_string(),
                escaped(&latest.reference(), 317),
                table::age(now.duration_since(latest.since).as_secs()),
            ]
        })
        .collect();
    table::lines(
        Some(&["RESPONSE", "REASON", "COUNT", "LATEST", "AGE"]),
        &rows,
    )
}
