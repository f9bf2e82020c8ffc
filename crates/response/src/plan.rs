//! Decides what is done about a violation: evict, delete, wait, or nothing.
//!
//! Here: the guardrails and their order. Not here: reading pods and calling the Eviction API
//! (`controller`), wording Events (`messages`).
//! Invariant: a pod is only ever planned to go when every guardrail was known to allow it; what
//! a limit holds back waits and is never dropped, or a limit would be an attacker's way out.

use crate::facts::{BindingFacts, Confinement, Facts, Live, NamespaceFacts, Owner, PodFacts};
use bailiff_api::{IncidentType, ResponseAction, condition::answered};
use jiff::{SignedDuration, Timestamp};

/// How soon something that could not be read is read again.
const RECHECK: SignedDuration = SignedDuration::from_secs(2);
/// The window of `maxEvictionsPerMinute`.
pub(crate) const RATE_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// What is done about a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Ask the Eviction API.
    Evict(Answer),
    /// Delete the pod.
    Delete(Answer),
    /// Try again at a time.
    Wait {
        /// What for.
        reason: WaitReason,
        /// When the plan is made again.
        until: Timestamp,
    },
    /// Nothing, for good.
    Nothing {
        /// Why.
        reason: NothingReason,
        /// Under `Audit`: what enforcement would have come to.
        would: Option<Box<Plan>>,
    },
}

/// An answer that takes the pod away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name of the binding that asks for it.
    pub binding: String,
    /// Seconds that the pod is given; absent: the pod's own.
    pub grace_period_seconds: Option<u32>,
    /// How long, in seconds, a `PodDisruptionBudget` is waited for.
    pub eviction_timeout_seconds: u32,
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
    NotConfined(String),
    /// Something could not be read; what and why.
    CouldNotCheck(String),
}

impl WaitReason {
    /// The reason of the condition `Answered`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Cooldown => answered::COOLDOWN,
            Self::RateLimited => answered::RATE_LIMITED,
            Self::DisruptionBudget(_) => answered::WAITING_FOR_DISRUPTION_BUDGET,
            Self::NotConfined(_) => answered::NOT_CONFINED,
            Self::CouldNotCheck(_) => answered::COULD_NOT_CHECK,
        }
    }
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NothingReason {
    /// The bindings ask for `Audit` alone.
    AuditOnly,
    /// An expression failed at run time.
    EvaluationFailed,
    /// The pod is not there any more, or another of its name is.
    PodGone,
    /// The pod is ending or has ended; when the Eviction API was asked to take it away, if it was.
    AlreadyTerminating(Option<Timestamp>),
    /// Nothing would bring the pod back.
    Unmanaged,
    /// A static pod.
    MirrorPod,
    /// A pod of Bailiff's own.
    OwnPod,
    /// An exempt namespace.
    ExemptNamespace,
    /// Policy or bindings are no longer those of the verdict.
    PolicyChanged,
    /// The live pod contradicts the Incident; how.
    NotConfirmed(String),
    /// Incidents are not confined, so this one proves nothing; how.
    NotConfined(String),
    /// A `PodDisruptionBudget` did not allow it in time; its name, where the server told it.
    DisruptionBudget(Option<String>),
    /// Several `PodDisruptionBudgets` select the pod.
    SeveralDisruptionBudgets,
    /// The API server refused; its words.
    Refused(String),
}

impl NothingReason {
    /// The reason of the condition `Answered`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AuditOnly => answered::AUDIT_ONLY,
            Self::EvaluationFailed => answered::EVALUATION_FAILED,
            Self::PodGone => answered::POD_GONE,
            Self::AlreadyTerminating(_) => answered::ALREADY_TERMINATING,
            Self::Unmanaged => answered::UNMANAGED,
            Self::MirrorPod => answered::MIRROR_POD,
            Self::OwnPod => answered::OWN_POD,
            Self::ExemptNamespace => answered::EXEMPT_NAMESPACE,
            Self::PolicyChanged => answered::POLICY_CHANGED,
            Self::NotConfirmed(_) => answered::NOT_CONFIRMED,
            Self::NotConfined(_) => answered::NOT_CONFINED,
            Self::DisruptionBudget(_) => answered::DISRUPTION_BUDGET,
            Self::SeveralDisruptionBudgets => answered::SEVERAL_DISRUPTION_BUDGETS,
            Self::Refused(_) => answered::REFUSED,
        }
    }

    /// Whether nothing was left to do, so that the condition is True; else something was not
    /// done, and it is False.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self {
            Self::AuditOnly
            | Self::EvaluationFailed
            | Self::PodGone
            | Self::AlreadyTerminating(_) => true,
            Self::Unmanaged
            | Self::MirrorPod
            | Self::OwnPod
            | Self::ExemptNamespace
            | Self::PolicyChanged
            | Self::NotConfirmed(_)
            | Self::NotConfined(_)
            | Self::DisruptionBudget(_)
            | Self::SeveralDisruptionBudgets
            | Self::Refused(_) => false,
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
                    recheck @ Plan::Wait {
                        reason: WaitReason::CouldNotCheck(_),
                        ..
                    },
                ) => recheck,
                would => nothing_but(NothingReason::AuditOnly, would),
            }
        }
        ResponseAction::Evict | ResponseAction::Delete => {
            best(candidates.map(|b| by(facts, target, b, strongest, now)))
                .unwrap_or_else(|| nothing(NothingReason::PolicyChanged))
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
    match &facts.confinement {
        Confinement::InPlace => {}
        Confinement::Missing => {
            return refuse(NothingReason::NotConfined("it is not there".to_owned()));
        }
        Confinement::Changed(what) => return refuse(NothingReason::NotConfined(what.clone())),
        Confinement::Unknown(why) => return Err(recheck(why, now)),
    }
    match facts.violation.type_ {
        IncidentType::Violation => {}
        IncidentType::EvaluationFailed => return refuse(NothingReason::EvaluationFailed),
    }
    let namespace = match &facts.namespace {
        Live::Found(namespace) => *namespace,
        Live::Gone => return refuse(NothingReason::PodGone),
        Live::Unknown(why) => return Err(recheck(why, now)),
    };
    let pod = match &facts.pod {
        Live::Found(pod) => pod,
        Live::Gone => return refuse(NothingReason::PodGone),
        Live::Unknown(why) => return Err(recheck(why, now)),
    };
    if pod.uid != facts.violation.pod_uid {
        return refuse(NothingReason::PodGone);
    }
    if pod.node_name.as_ref() != Some(&facts.violation.node_name) {
        return refuse(NothingReason::NotConfirmed(
            "the pod runs on another node".to_owned(),
        ));
    }
    if let Some(container) = &facts.violation.container
        && !pod.containers.contains(container)
    {
        return refuse(NothingReason::NotConfirmed(
            "the pod has no such container".to_owned(),
        ));
    }
    if pod.terminating || pod.finished {
        return refuse(NothingReason::AlreadyTerminating(pod.evicted));
    }
    Ok(Target { pod, namespace })
}

/// The bindings of the Incident that are still what they were, for a policy that still is.
fn bindings(facts: &Facts, now: Timestamp) -> Result<Vec<&BindingFacts>, Plan> {
    let violation = &facts.violation;
    match &facts.policy {
        Live::Found(policy)
            if policy.uid == violation.policy_uid
                && policy.generation == violation.policy_generation
                && policy.matches => {}
        Live::Found(_) | Live::Gone => return Err(nothing(NothingReason::PolicyChanged)),
        Live::Unknown(why) => return Err(recheck(why, now)),
    }
    let live = match &facts.bindings {
        Live::Found(bindings) => bindings,
        Live::Gone => return Err(nothing(NothingReason::PolicyChanged)),
        Live::Unknown(why) => return Err(recheck(why, now)),
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
        return Err(nothing(NothingReason::PolicyChanged));
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
        return nothing(NothingReason::ExemptNamespace);
    }
    if pod.mirror {
        return nothing(NothingReason::MirrorPod);
    }
    if pod.own {
        return nothing(NothingReason::OwnPod);
    }
    let guardrails = &binding.guardrails;
    match &facts.owner {
        Owner::Workload(_) => {}
        Owner::None if guardrails.evict_unmanaged => {}
        Owner::None => return nothing(NothingReason::Unmanaged),
        Owner::Unknown(why) => return recheck(why, now),
    }
    let cooldown = SignedDuration::from_secs(guardrails.cooldown_seconds.into());
    if let Some(last) = facts.history.last_of_workload
        && now.duration_since(last) < cooldown
    {
        let until = last.checked_add(cooldown).unwrap_or(Timestamp::MAX);
        return wait(WaitReason::Cooldown, until);
    }
    if let Some(until) = rate_limited_until(facts, binding, now) {
        return wait(WaitReason::RateLimited, until);
    }
    let answer = Answer {
        binding: binding.name.clone(),
        grace_period_seconds: binding.grace_period_seconds.map(|asked| {
            let smaller = asked.min(pod.grace_period_seconds).max(0);
            u32::try_from(smaller).unwrap_or(u32::MAX)
        }),
        eviction_timeout_seconds: guardrails.eviction_timeout_seconds.max(0).unsigned_abs(),
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
        Plan::Wait { until, .. } => (1, *until),
        Plan::Nothing { .. } => (2, Timestamp::MIN),
    })
}

fn recheck(why: &str, now: Timestamp) -> Plan {
    let until = now.checked_add(RECHECK).unwrap_or(Timestamp::MAX);
    wait(WaitReason::CouldNotCheck(why.to_owned()), until)
}

const fn wait(reason: WaitReason, until: Timestamp) -> Plan {
    Plan::Wait { reason, until }
}

const fn nothing(reason: NothingReason) -> Plan {
    Plan::Nothing {
        reason,
        would: None,
    }
}

fn nothing_but(reason: NothingReason, would: Option<Plan>) -> Plan {
    Plan::Nothing {
        reason,
        would: would.map(Box::new),
    }
}
