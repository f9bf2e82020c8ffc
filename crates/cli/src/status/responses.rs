//! Responses that wait or were not possible, as checks.
//!
//! Here: what is kept of an Incident, groups by reason, and the next step for each reason. Not here:
//! requests (`super`), and what is not about responses (`checks`).
//! Invariant: only times of the controller count, never those of a node; a reason that this version
//! does not know is reported as it is.

use super::checks::{Check, CheckStatus, check};
use crate::objects::Objects;
use crate::table;
use bailiff_api::Incident;
use bailiff_api::condition::types;
use bailiff_response::messages::escaped;
use bailiff_response::{NoActionKind, WaitKind};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Responses that were not possible are reported for this long.
const NO_ACTION_PERIOD: SignedDuration = SignedDuration::from_hours(24);
/// Namespaces that a message names.
const NAMESPACES_LIMIT: usize = 3;

/// All Incidents of the cluster.
pub(super) type Incidents = Objects<IncidentSummary>;

/// The status of the condition `Responded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Responded {
    /// Final; no response is due any more.
    True,
    /// Final; Bailiff took no action.
    False,
    /// Bailiff retries, or has not decided yet.
    Unknown,
}

/// What is kept of an Incident. Text from tenants is not escaped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IncidentSummary {
    /// Namespace of the Incident.
    pub(super) namespace: String,
    /// Name of the Incident.
    pub(super) name: String,
    /// Namespace of the pod.
    pub(super) pod_namespace: String,
    /// Kind and name of the workload; absent if it is unknown or there is none.
    pub(super) workload: Option<(String, String)>,
    /// Status of the condition `Responded`.
    pub(super) responded: Responded,
    /// Its reason; empty before the first decision.
    pub(super) reason: String,
    /// Since when the Incident has this reason or waits, by the controller's clock.
    pub(super) since: Timestamp,
}

impl IncidentSummary {
    /// Extracts the summary.
    pub(super) fn of(incident: &Incident) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let status = incident.status.as_ref();
        let condition = status.and_then(|s| {
            let mut conditions = s.conditions.iter();
            conditions.find(|c| c.type_ == types::RESPONDED)
        });
        let waiting = status.and_then(|s| s.waiting.as_ref());
        let created = incident.metadata.creation_timestamp.as_ref();
        let since = waiting
            .map(|w| w.start_time.0)
            .or(condition.map(|c| c.last_transition_time.0))
            .or(created.map(|time| time.0));
        Self {
            namespace: text(&incident.metadata.namespace),
            name: text(&incident.metadata.name),
            pod_namespace: incident.spec.pod.namespace.clone(),
            workload: status
                .and_then(|s| s.workload_ref.as_ref())
                .map(|w| (w.kind.clone(), w.name.clone())),
            responded: match condition.map(|c| c.status.as_str()) {
                Some("True") => Responded::True,
                Some("False") => Responded::False,
                Some(_) | None => Responded::Unknown,
            },
            reason: condition.map(|c| c.reason.clone()).unwrap_or_default(),
            since: since.unwrap_or(Timestamp::MIN),
        }
    }

    /// Namespace and name, for people.
    pub(super) fn reference(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Incidents with the same reason.
struct Group<'a> {
    count: usize,
    /// The one that has had the reason longest.
    oldest: &'a IncidentSummary,
    /// The one that got the reason last.
    newest: &'a IncidentSummary,
}

fn groups<'a>(
    incidents: impl Iterator<Item = &'a IncidentSummary>,
) -> BTreeMap<&'a str, Group<'a>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for incident in incidents {
        let group = groups.entry(&incident.reason).or_insert(Group {
            count: 0,
            oldest: incident,
            newest: incident,
        });
        group.count += 1;
        if incident.since < group.oldest.since {
            group.oldest = incident;
        }
        if incident.since > group.newest.since {
            group.newest = incident;
        }
    }
    groups
}

/// The checks of all Incidents.
pub(super) fn checks(incidents: &Incidents, namespace: &str, now: Timestamp) -> Vec<Check> {
    let items = &incidents.items;
    let open = items
        .iter()
        .filter(|i| i.responded == Responded::Unknown)
        .count();
    let mut checks = vec![check(
        "incidents",
        CheckStatus::Ok,
        &format!(
            "{}, {open} without a final response.",
            counted(items.len(), "Incident exists", "Incidents exist")
        ),
    )];
    let waiting = items.iter().filter(|i| i.responded == Responded::Unknown);
    for (reason, group) in groups(waiting) {
        checks.push(waits(reason, &group, now));
    }
    let recent = items.iter().filter(|i| {
        i.responded == Responded::False && now.duration_since(i.since) < NO_ACTION_PERIOD
    });
    for (reason, group) in groups(recent) {
        checks.push(no_action(reason, &group));
    }
    checks.extend(fallback(items, namespace));
    checks
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn waits(reason: &str, group: &Group<'_>, now: Timestamp) -> Check {
    let shown = if reason.is_empty() { "Pending" } else { reason };
    let oldest = group.oldest;
    let waited = table::age(now.duration_since(oldest.since).as_secs());
    let workload = oldest
        .workload
        .as_ref()
        .map_or_else(String::new, |(kind, name)| format!(", {kind} {name}"));
    check(
        format!("waiting/{}", escaped(shown, 63)),
        CheckStatus::Warning,
        &format!(
            "{} for a response, the oldest ({}{workload}) for {waited}. {}",
            counted(group.count, "Incident waits", "Incidents wait"),
            oldest.reference(),
            waiting_remedy(reason),
        ),
    )
}

/// What to do about a reason of another version.
const SEE_CONDITION: &str = "The condition Responded has the cause.";

/// Why a response waits and what to do.
fn waiting_remedy(reason: &str) -> &'static str {
    let Some(kind) = WaitKind::of(reason) else {
        return if reason.is_empty() {
            "The controller has not processed it yet."
        } else {
            SEE_CONDITION
        };
    };
    match kind {
        WaitKind::Cooldown => {
            "Another pod of the workload was removed within the cooldown period. Bailiff retries automatically."
        }
        WaitKind::RateLimited => {
            "The binding, the namespace or the cluster reached its limit. Bailiff retries automatically."
        }
        WaitKind::DisruptionBudget => {
            "A PodDisruptionBudget blocks the eviction. Check it with `kubectl get poddisruptionbudgets`."
        }
        WaitKind::IncidentsNotProtected => {
            "The admission policy that protects Incidents is missing or modified. Restore it with `helm upgrade`."
        }
        WaitKind::BlockedByWebhook => {
            "An admission webhook rejected the request. The condition Responded quotes its message."
        }
        WaitKind::CircuitBreakerOpen => {
            "Replacements violate the policy as soon as they start. Fix the workload or the policy."
        }
        WaitKind::PolicyPaused => {
            "The binding is paused. Check the policy, then resume the binding with the annotation bailiff.dev/resume."
        }
        WaitKind::ResponsesSwitchedOff => {
            "ConfigMap bailiff-response does not set mode Enforce, so Bailiff removes no pods."
        }
        WaitKind::PermissionMissing => {
            "The controller lacks a permission, which the condition Responded names. Restore it with `helm upgrade`."
        }
        WaitKind::WaitingForNextExec => {
            "The policy changed, and the Incident lacks a value that it reads. The next exec in the pod decides."
        }
        WaitKind::ApiRequestFailed => {
            "A request to the API server failed. Bailiff retries automatically; the condition Responded has the cause."
        }
    }
}

fn no_action(reason: &str, group: &Group<'_>) -> Check {
    let newest = group.newest;
    check(
        format!("no-action/{}", escaped(reason, 63)),
        CheckStatus::Warning,
        &format!(
            "Bailiff took no action for {} in the last 24 hours, most recently {}. {}",
            counted(group.count, "Incident", "Incidents"),
            newest.reference(),
            no_action_remedy(reason),
        ),
    )
}

/// Why Bailiff took no action and what to do.
fn no_action_remedy(reason: &str) -> &'static str {
    let Some(kind) = NoActionKind::of(reason) else {
        return SEE_CONDITION;
    };
    match kind {
        NoActionKind::Unmanaged => {
            "The pod has no controller that creates a replacement. Delete the pod manually, or set guardrails.unmanagedPodPolicy to Respond."
        }
        NoActionKind::MirrorPod => "It is a static pod. Change its file on the node.",
        NoActionKind::ExemptNamespace => "The namespace is exempt.",
        NoActionKind::BailiffPod => "It is a pod of Bailiff.",
        NoActionKind::CriticalPod => {
            "The pod has a critical priority class in a critical namespace. Delete it manually if it should not run."
        }
        NoActionKind::PolicyChanged => {
            "The policy or the binding was deleted, or no longer asks for a response."
        }
        NoActionKind::PodMismatch => "The Incident does not match the pod. Find out who wrote it.",
        NoActionKind::EvictionDeadlineExceeded => {
            "The eviction was blocked, or got no response, until the deadline. The condition Responded names what blocked it. Fix that, then evict the pod manually."
        }
        NoActionKind::MultipleDisruptionBudgets => {
            "More than one PodDisruptionBudget selects the pod, which the Eviction API does not support. Delete all but one."
        }
        NoActionKind::RequestRejected => {
            "The API server rejected the request. The condition Responded quotes its message."
        }
        NoActionKind::ViolationTooOld => {
            "The violation became older than response.maxAge while responses were switched off or the binding was paused."
        }
        // Nothing was left to do.
        NoActionKind::AuditOnly
        | NoActionKind::EvaluationFailed
        | NoActionKind::FoundRunning
        | NoActionKind::PodNotFound
        | NoActionKind::AlreadyTerminating => SEE_CONDITION,
    }
}

/// Incidents that the API server rejected in the pod's namespace.
fn fallback(items: &[IncidentSummary], namespace: &str) -> Option<Check> {
    let fallback: Vec<_> = items
        .iter()
        .filter(|i| i.namespace == namespace && i.pod_namespace != namespace)
        .collect();
    if fallback.is_empty() {
        return None;
    }
    let namespaces: BTreeSet<_> = fallback.iter().map(|i| i.pod_namespace.as_str()).collect();
    let named: Vec<_> = namespaces.iter().take(NAMESPACES_LIMIT).copied().collect();
    let more = if namespaces.len() > named.len() {
        ", …"
    } else {
        ""
    };
    Some(check(
        "fallback-incidents",
        CheckStatus::Warning,
        &format!(
            "{} in namespace {namespace}, because the API server rejected them in the pod's namespace ({}{more}). Check quotas and admission webhooks there.",
            counted(fallback.len(), "Incident is", "Incidents are"),
            named.join(", "),
        ),
    ))
}
