//! Decides what is done about a violation: evict, delete, wait, or nothing.
//!
//! Here: the guardrails and their order. Not here: reading pods and calling the Eviction API
//! (`controller`), wording Events (`messages`).
//! Invariant: a pod is only ever planned to go when every guardrail was known to allow it; what
//! a limit holds back waits and is never dropped, or a limit would be an attacker's way out.

use crate::facts::{BindingFacts, Facts, Lookup, NamespaceFacts, Owner, PodFacts, Protection};
use bailiff_api::{IncidentType, ResponseAction, UnmanagedPodPolicy, condition::responded};
use jiff::{SignedDuration, Timestamp};

/// How soon something that could not be read is read again.
const RECHECK: SignedDuration = SignedDuration::from_secs(2);
/// The window of `maxEvictionsPerMinute`.
pub(crate) const RATE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// What is done about a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Ask the Eviction API.
    Evict(PodRemoval),
    /// Delete the pod.
    Delete(PodRemoval),
    /// Try again at a time.
    Requeue {
        /// What for.
        reason: WaitReason,
        /// When the plan is made again.
        until: Timestamp,
    },
    /// Nothing, for good.
    NoAction {
        /// Why.
        reason: NoActionReason,
        /// Under `Audit`: what enforcement would have come to.
        would: Option<Box<Plan>>,
    },
}

/// An answer that takes the pod away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRemoval {
    /// Name of the binding that asks for it.
    pub binding: String,
    /// Seconds that the pod is given; absent: the pod's own.
    pub grace_period_seconds: Option<u32>,
    /// How long, in seconds, a `PodDisruptionBudget` is waited for.
    pub eviction_deadline_seconds: u32,
}

/// What an answer waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The workload was answered a short time ago.
    Cooldown,
    /// The binding has used up its evictions of this minute.
    RateLimited,
    /// A `PodDisruptionBudget` allows no disruption now; its name, where the server told it.
    DisruptionBudget(Option<String>),
    /// Incidents are not confined now, as during an upgrade; how.
    IncidentsNotProtected(String),
    /// Something could not be read; what and why.
    ApiRequestFailed(String),
}

impl WaitReason {
    /// The reason of the condition `Responded`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Cooldown => responded::COOLDOWN,
            Self::RateLimited => responded::RATE_LIMITED,
            Self::DisruptionBudget(_) => responded::WAITING_FOR_DISRUPTION_BUDGET,
            Self::IncidentsNotProtected(_) => responded::INCIDENTS_NOT_PROTECTED,
            Self::ApiRequestFailed(_) => responded::API_REQUEST_FAILED,
        }
    }
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoActionReason {
    /// The bindings ask for `Audit` alone.
    AuditOnly,
    /// An expression failed at run time.
    EvaluationFailed,
    /// The pod is not there any more, or another of its name is.
    PodNotFound,
    /// The pod is ending or has ended; when the Eviction API was asked to take it away, if it was.
    AlreadyTerminating(Option<Timestamp>),
    /// Nothing would bring the pod back.
    Unmanaged,
    /// A static pod.
    MirrorPod,
    /// A pod of Bailiff's own.
    BailiffPod,
    /// An exempt namespace.
    ExemptNamespace,
    /// Policy or bindings are no longer those of the verdict.
    PolicyChanged,
    /// The live pod contradicts the Incident; how.
    PodMismatch(String),
    /// Incidents are not confined, so this one proves nothing; how.
    IncidentsNotProtected(String),
    /// A `PodDisruptionBudget` did not allow it in time; its name, where the server told it.
    EvictionDeadlineExceeded(Option<String>),
    /// Several `PodDisruptionBudgets` select the pod.
    MultipleDisruptionBudgets,
    /// The API server refused; its words.
    RequestRejected(String),
}

impl NoActionReason {
    /// The reason of the condition `Responded`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AuditOnly => responded::AUDIT_ONLY,
            Self::EvaluationFailed => responded::EVALUATION_FAILED,
            Self::PodNotFound => responded::POD_NOT_FOUND,
            Self::AlreadyTerminating(_) => responded::ALREADY_TERMINATING,
            Self::Unmanaged => responded::UNMANAGED,
            Self::MirrorPod => responded::MIRROR_POD,
            Self::BailiffPod => responded::BAILIFF_POD,
            Self::ExemptNamespace => responded::EXEMPT_NAMESPACE,
            Self::PolicyChanged => responded::POLICY_CHANGED,
            Self::PodMismatch(_) => responded::POD_MISMATCH,
            Self::IncidentsNotProtected(_) => responded::INCIDENTS_NOT_PROTECTED,
            Self::EvictionDeadlineExceeded(_) => responded::EVICTION_DEADLINE_EXCEEDED,
            Self::MultipleDisruptionBudgets => responded::MULTIPLE_DISRUPTION_BUDGETS,
            Self::RequestRejected(_) => responded::REQUEST_REJECTED,
        }
    }

    /// Whether nothing was left to do, so that the condition is True; else something was not
    /// done, and it is False.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self {
            Self::AuditOnly
            | Self::EvaluationFailed
            | Self::PodNotFound
            | Self::AlreadyTerminating(_) => true,
            Self::Unmanaged
            | Self::MirrorPod
            | Self::BailiffPod
            | Self::ExemptNamespace
            | Self::PolicyChanged
            | Self::PodMismatch(_)
            | Self::IncidentsNotProtected(_)
            | Self::EvictionDeadlineExceeded(_)
            | Self::MultipleDisruptionBudgets
            | Self::RequestRejected(_) => false,
        }
    }
}

/// Plans the answer to a violation at a time.
///
/// Of the bindings that are still there, those with the strongest action count. As with other
/// bindings in Kubernetes each is a grant of its own: the first that allows an answer now gives
/// it; else the one that allows it soonest is waited for.
#[must_use]
pub fn plan(facts: &Facts, now: Timestamp) -> Plan {
    let target = match confirm(facts, now) {
        Ok(target) => target,
        Err(held) => return held,
    };
    let bindings = match bindings(facts, now) {
        Ok(bindings) => bindings,
        Err(held) => return held,
    };
    let strongest = bindings.iter().map(|b| strongest(b)).max();
    let strongest = strongest.unwrap_or(ResponseAction::Audit);
    let candidates = bindings
        .into_iter()
        .filter(|b| self::strongest(b) == strongest);
    match strongest {
        ResponseAction::Audit => {
            match best(candidates.map(|b| by(facts, target, b, ResponseAction::Evict, now))) {
                // What enforcement would have come to is not known before it is checked.
                Some(
                    recheck @ Plan::Requeue {
                        reason: WaitReason::ApiRequestFailed(_),
                        ..
                    },
                ) => recheck,
                would => nothing_but(NoActionReason::AuditOnly, would),
            }
        }
        ResponseAction::Evict | ResponseAction::Delete => {
            best(candidates.map(|b| by(facts, target, b, strongest, now)))
                .unwrap_or_else(|| nothing(NoActionReason::PolicyChanged))
        }
    }
}

/// The pod that an Incident is about, and what is known of its namespace.
#[derive(Clone, Copy)]
struct Target<'a> {
    pod: &'a PodFacts,
    namespace: NamespaceFacts,
}

/// Whether the Incident may be believed, and its pod still runs.
fn confirm(facts: &Facts, now: Timestamp) -> Result<Target<'_>, Plan> {
    let refuse = |reason| Err(nothing(reason));
    match &facts.protection {
        Protection::Unmodified => {}
        Protection::Missing => {
            return refuse(NoActionReason::IncidentsNotProtected(
                "it is not there".to_owned(),
            ));
        }
        Protection::Modified(what) => {
            return refuse(NoActionReason::IncidentsNotProtected(what.clone()));
        }
        Protection::Unknown(why) => return Err(recheck(why, now)),
    }
    match facts.violation.type_ {
        IncidentType::Violation => {}
        IncidentType::EvaluationFailed => return refuse(NoActionReason::EvaluationFailed),
    }
    let namespace = match &facts.namespace {
        Lookup::Found(namespace) => *namespace,
        Lookup::NotFound => return refuse(NoActionReason::PodNotFound),
        Lookup::Failed(why) => return Err(recheck(why, now)),
    };
    let pod = match &facts.pod {
        Lookup::Found(pod) => pod,
        Lookup::NotFound => return refuse(NoActionReason::PodNotFound),
        Lookup::Failed(why) => return Err(recheck(why, now)),
    };
    if pod.uid != facts.violation.pod_uid {
        return refuse(NoActionReason::PodNotFound);
    }
    if pod.node_name.as_ref() != Some(&facts.violation.node_name) {
        return refuse(NoActionReason::PodMismatch(
            "the pod runs on another node".to_owned(),
        ));
    }
    if let Some(container) = &facts.violation.container
        && !pod.containers.contains(container)
    {
        return refuse(NoActionReason::PodMismatch(
            "the pod has no such container".to_owned(),
        ));
    }
    if pod.terminating || pod.finished {
        return refuse(NoActionReason::AlreadyTerminating(pod.evicted));
    }
    Ok(Target { pod, namespace })
}

/// The bindings of the Incident that are still what they were, for a policy that still is.
fn bindings(facts: &Facts, now: Timestamp) -> Result<Vec<&BindingFacts>, Plan> {
    let violation = &facts.violation;
    match &facts.policy {
        Lookup::Found(policy)
            if policy.uid == violation.policy_uid
                && policy.generation == violation.policy_generation
                && policy.matches => {}
        Lookup::Found(_) | Lookup::NotFound => return Err(nothing(NoActionReason::PolicyChanged)),
        Lookup::Failed(why) => return Err(recheck(why, now)),
    }
    let live = match &facts.bindings {
        Lookup::Found(bindings) => bindings,
        Lookup::NotFound => return Err(nothing(NoActionReason::PolicyChanged)),
        Lookup::Failed(why) => return Err(recheck(why, now)),
    };
    let still: Vec<_> = live
        .iter()
        .filter(|b| {
            violation.binding_uids.contains(&b.uid)
                && b.policy_name == violation.policy_name
                && b.matches
        })
        .collect();
    if still.is_empty() {
        return Err(nothing(NoActionReason::PolicyChanged));
    }
    Ok(still)
}

fn strongest(binding: &BindingFacts) -> ResponseAction {
    // The order of the enum is the order of strength.
    let strongest = binding.actions.iter().max();
    strongest.copied().unwrap_or(ResponseAction::Audit)
}

/// What the guardrails of the cluster and of one binding allow.
fn by(
    facts: &Facts,
    target: Target<'_>,
    binding: &BindingFacts,
    action: ResponseAction,
    now: Timestamp,
) -> Plan {
    let Target { pod, namespace } = target;
    if namespace.exempt {
        return nothing(NoActionReason::ExemptNamespace);
    }
    if pod.mirror {
        return nothing(NoActionReason::MirrorPod);
    }
    if pod.own {
        return nothing(NoActionReason::BailiffPod);
    }
    let guardrails = &binding.guardrails;
    match &facts.owner {
        Owner::Workload(_) => {}
        Owner::None if guardrails.unmanaged_pod_policy == UnmanagedPodPolicy::Respond => {}
        Owner::None => return nothing(NoActionReason::Unmanaged),
        Owner::Unknown(why) => return recheck(why, now),
    }
    let cooldown = SignedDuration::from_secs(guardrails.cooldown_period_seconds.into());
    if let Some(last) = facts.history.last_of_workload
        && now.duration_since(last) < cooldown
    {
        let until = last.checked_add(cooldown).unwrap_or(Timestamp::MAX);
        return wait(WaitReason::Cooldown, until);
    }
    if let Some(until) = rate_limited_until(facts, binding, now) {
        return wait(WaitReason::RateLimited, until);
    }
    let answer = PodRemoval {
        binding: binding.name.clone(),
        grace_period_seconds: binding.grace_period_seconds.map(|asked| {
            let smaller = asked.min(pod.grace_period_seconds).max(0);
            u32::try_from(smaller).unwrap_or(u32::MAX)
        }),
        eviction_deadline_seconds: guardrails.eviction_deadline_seconds.max(0).unsigned_abs(),
    };
    match action {
        ResponseAction::Delete => Plan::Delete(answer),
        ResponseAction::Evict | ResponseAction::Audit => Plan::Evict(answer),
    }
}

/// When the binding's limit allows another answer; none: now.
fn rate_limited_until(facts: &Facts, binding: &BindingFacts, now: Timestamp) -> Option<Timestamp> {
    let (_, times) = facts
        .history
        .by_binding
        .iter()
        .find(|(name, _)| *name == binding.name)?;
    let recent: Vec<_> = times
        .iter()
        .filter(|t| now.duration_since(**t) < RATE_WINDOW)
        .collect();
    let limit = usize::try_from(binding.guardrails.max_evictions_per_minute.max(1)).unwrap_or(1);
    // The one that must leave the window before there is room for another.
    let leaves = recent.len().checked_sub(limit)?;
    let first = recent.get(leaves)?;
    Some(first.checked_add(RATE_WINDOW).unwrap_or(Timestamp::MAX))
}

/// The first that acts, else the one that waits least, else the first.
fn best(plans: impl Iterator<Item = Plan>) -> Option<Plan> {
    plans.min_by_key(|plan| match plan {
        Plan::Evict(_) | Plan::Delete(_) => (0, Timestamp::MIN),
        Plan::Requeue { until, .. } => (1, *until),
        Plan::NoAction { .. } => (2, Timestamp::MIN),
    })
}

fn recheck(why: &str, now: Timestamp) -> Plan {
    let until = now.checked_add(RECHECK).unwrap_or(Timestamp::MAX);
    wait(WaitReason::ApiRequestFailed(why.to_owned()), until)
}

const fn wait(reason: WaitReason, until: Timestamp) -> Plan {
    Plan::Requeue { reason, until }
}

const fn nothing(reason: NoActionReason) -> Plan {
    Plan::NoAction {
        reason,
        would: None,
    }
}

fn nothing_but(reason: NoActionReason, would: Option<Plan>) -> Plan {
    Plan::NoAction {
        reason,
        would: would.map(Box::new),
    }
}
