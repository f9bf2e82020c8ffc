//! Decides how to respond to a violation: evict, delete, shorten, wait, or take no action.
//!
//! Here: the guardrails and their order. Not here: reading pods and calling the Eviction API
//! (`controller`), what a rejection comes to (`rejection`), the sentences (`messages`).
//! Invariant: a removal is planned only when every guardrail is known to allow it; what a limit
//! blocks waits and is never dropped, or a limit would be an attacker's way out.

use crate::breaker::Breaker;
use crate::facts::{
    BindingFacts, Facts, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    Reevaluation, Switch,
};
use crate::ledger::{Claim, WorkloadClaim, later};
use crate::reason::{NoActionReason, WaitReason};
use crate::workload::WorkloadKey;
use bailiff_api::{IncidentType, ResponseAction, UnmanagedPodPolicy};
use jiff::{SignedDuration, Timestamp};

/// How soon something that could not be read is read again, at the earliest.
const REREAD: SignedDuration = SignedDuration::from_secs(2);
/// How soon what waits for an event is planned again without one: an event can be lost.
const RECHECK: SignedDuration = SignedDuration::from_mins(10);

/// How to respond to a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Call the Eviction API.
    Evict(PodRemoval),
    /// Delete the pod.
    Delete(PodRemoval),
    /// The pod is terminating: shorten what is left of its grace period, through the Eviction API.
    Shorten(Shortening),
    /// Plan again at a time, or sooner if what it waits for changes.
    Requeue {
        /// What it waits for.
        reason: WaitReason,
        /// When to plan again.
        until: Timestamp,
        /// The places that it waits for. Present exactly for `Cooldown` and `RateLimited`.
        claim: Option<Box<Claim>>,
    },
    /// Take no action.
    NoAction {
        /// Why.
        reason: NoActionReason,
        /// Under `Audit`: what enforcement would have done.
        would: Option<Box<Plan>>,
    },
}

/// A response that removes the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRemoval {
    /// Name of the binding that asks for it.
    pub binding: String,
    /// Grace period, in seconds.
    pub grace_period_seconds: u32,
    /// How long, in seconds, Bailiff waits for what blocks the eviction.
    pub eviction_deadline_seconds: u32,
    /// The pod was released from its workload, so nothing replaces it.
    pub released: bool,
    /// The places that it takes in the limits.
    pub claim: Box<Claim>,
}

/// A response that shortens a termination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortening {
    /// Name of the binding that asks for it.
    pub binding: String,
    /// New grace period, in seconds; at least 1.
    pub grace_period_seconds: u32,
    /// How long, in seconds, Bailiff waits for what blocks the eviction.
    pub eviction_deadline_seconds: u32,
    /// The pod's `deletionGracePeriodSeconds` before. Only a lower value that is read back means
    /// that it was shortened.
    pub before_seconds: i64,
}

/// Plans the response to a violation at a time.
///
/// Of the bindings that still apply, those with the strongest action count. As with other
/// bindings in Kubernetes each is a grant of its own: the first that allows a response now gives
/// it; else the one that allows it soonest is waited for.
#[must_use]
pub fn plan(facts: &Facts, now: Timestamp) -> Plan {
    decide(facts, now).unwrap_or_else(|earlier| earlier)
}

fn decide(facts: &Facts, now: Timestamp) -> Result<Plan, Plan> {
    let target = verify(facts, now)?;
    let policy = policy(facts, now)?;
    let bindings = bindings(facts, now)?;
    let strongest = bindings.iter().map(|b| strongest(b)).max();
    let strongest = strongest.unwrap_or(ResponseAction::Audit);
    let candidates = || {
        let all = bindings.iter().copied();
        all.filter(|b| self::strongest(b) == strongest)
    };
    if target.pod.finished {
        return Err(nothing(NoActionReason::AlreadyTerminating(
            target.pod.evicted,
        )));
    }
    match strongest {
        ResponseAction::Audit => Ok(audit(facts, target, candidates(), now)),
        ResponseAction::Evict | ResponseAction::Delete => {
            reevaluated(facts, policy, now)?;
            let plans = candidates().map(|b| respond(facts, target, b, strongest, now));
            Ok(best(plans).unwrap_or_else(|| nothing(NoActionReason::PolicyChanged)))
        }
    }
}

/// What bindings that only audit come to.
fn audit<'a>(
    facts: &Facts,
    target: Target<'_>,
    candidates: impl Iterator<Item = &'a BindingFacts>,
    now: Timestamp,
) -> Plan {
    // What has waited for an enforcement was canceled with the change of the binding.
    if facts.waiting.as_ref().is_some_and(|w| w.enforced) {
        return nothing(NoActionReason::PolicyChanged);
    }
    if target.pod.terminating.is_some() {
        return nothing(NoActionReason::AlreadyTerminating(target.pod.evicted));
    }
    // A user who audits wants to know what Evict leads to, also before responses are switched on.
    let enforcing = Facts {
        switch: Switch::Enforce,
        ..facts.clone()
    };
    let evict = |b| respond(&enforcing, target, b, ResponseAction::Evict, now);
    match best(candidates.map(evict)) {
        // What enforcement would have done is not known before it is checked.
        Some(
            reread @ Plan::Requeue {
                reason: WaitReason::ApiRequestFailed(_),
                ..
            },
        ) => reread,
        would => Plan::NoAction {
            reason: NoActionReason::AuditOnly,
            would: would.map(Box::new),
        },
    }
}

/// The pod that an Incident is about, and what is known of its namespace.
#[derive(Clone, Copy)]
struct Target<'a> {
    pod: &'a PodFacts,
    namespace: NamespaceFacts,
}

/// Whether the Incident can be trusted, and its pod exists.
fn verify(facts: &Facts, now: Timestamp) -> Result<Target<'_>, Plan> {
    let no_action = |reason| Err(nothing(reason));
    let unprotected = |how: &str| {
        let reason = WaitReason::IncidentsNotProtected(how.to_owned());
        Err(wait(reason, later(now, RECHECK)))
    };
    match &facts.protection {
        Protection::Unmodified => {}
        Protection::Missing => return unprotected("it does not exist"),
        Protection::Modified(what) => return unprotected(what),
        Protection::Unknown(why) => return Err(reread(why, now)),
    }
    match facts.violation.type_ {
        IncidentType::Violation => {}
        IncidentType::FoundRunning => return no_action(NoActionReason::FoundRunning),
        IncidentType::EvaluationFailed => return no_action(NoActionReason::EvaluationFailed),
    }
    let namespace = match &facts.namespace {
        Lookup::Found(namespace) => *namespace,
        Lookup::NotFound => return no_action(NoActionReason::PodNotFound),
        Lookup::Failed(why) => return Err(reread(why, now)),
    };
    let pod = match &facts.pod {
        Lookup::Found(pod) => pod,
        Lookup::NotFound => return no_action(NoActionReason::PodNotFound),
        Lookup::Failed(why) => return Err(reread(why, now)),
    };
    if pod.uid != facts.violation.pod_uid {
        return no_action(NoActionReason::PodNotFound);
    }
    if pod.node_name.as_ref() != Some(&facts.violation.node_name) {
        return no_action(NoActionReason::PodMismatch(
            "the pod runs on another node".to_owned(),
        ));
    }
    if let Some(container) = &facts.violation.container
        && !pod.containers.contains(container)
    {
        return no_action(NoActionReason::PodMismatch(
            "the pod has no such container".to_owned(),
        ));
    }
    Ok(Target { pod, namespace })
}

/// The policy, if it is still the one of the Incident and still matches.
fn policy(facts: &Facts, now: Timestamp) -> Result<&PolicyFacts, Plan> {
    match &facts.policy {
        Lookup::Found(policy) if policy.uid == facts.violation.policy_uid && policy.matches => {
            Ok(policy)
        }
        Lookup::Found(_) | Lookup::NotFound => Err(nothing(NoActionReason::PolicyChanged)),
        Lookup::Failed(why) => Err(reread(why, now)),
    }
}

/// The bindings of the Incident that still apply.
fn bindings(facts: &Facts, now: Timestamp) -> Result<Vec<&BindingFacts>, Plan> {
    let violation = &facts.violation;
    let live = match &facts.bindings {
        Lookup::Found(bindings) => bindings,
        Lookup::NotFound => return Err(nothing(NoActionReason::PolicyChanged)),
        Lookup::Failed(why) => return Err(reread(why, now)),
    };
    let apply: Vec<_> = live
        .iter()
        .filter(|b| {
            violation.binding_uids.contains(&b.uid)
                && b.policy_name == violation.policy_name
                && b.matches
        })
        .collect();
    if apply.is_empty() {
        return Err(nothing(NoActionReason::PolicyChanged));
    }
    Ok(apply)
}

/// Whether the process violates the policy as it is now.
fn reevaluated(facts: &Facts, policy: &PolicyFacts, now: Timestamp) -> Result<(), Plan> {
    if policy.generation == facts.violation.policy_generation {
        return Ok(());
    }
    let next_exec = |error| {
        let reason = WaitReason::WaitingForNextExec(error);
        Err(wait(reason, later(now, RECHECK)))
    };
    match &policy.reevaluation {
        Some(Reevaluation::StillViolates) => Ok(()),
        Some(Reevaluation::NoLongerViolates) => Err(nothing(NoActionReason::PolicyChanged)),
        Some(Reevaluation::NeedsNextExec) => next_exec(None),
        Some(Reevaluation::Failed(why)) => next_exec(Some(why.clone())),
        None => Err(reread("cannot evaluate the changed policy", now)),
    }
}

fn strongest(binding: &BindingFacts) -> ResponseAction {
    // The order of the enum is the order of strength.
    let strongest = binding.actions.iter().max();
    strongest.copied().unwrap_or(ResponseAction::Audit)
}

/// What the guardrails of the cluster and of one binding allow.
fn respond(
    facts: &Facts,
    target: Target<'_>,
    binding: &BindingFacts,
    action: ResponseAction,
    now: Timestamp,
) -> Plan {
    let shortening = match shortening(facts, target.pod, binding, now) {
        Ok(shortening) => shortening,
        Err(over) => return over,
    };
    if let Err(earlier) = allowed(facts, target, binding, shortening.is_none(), now) {
        return earlier;
    }
    if let Some(shortening) = shortening {
        return Plan::Shorten(shortening);
    }
    if let Breaker::Open { until } = facts.breaker {
        return wait(WaitReason::CircuitBreakerOpen { until }, until);
    }
    let claim = claim(facts, binding);
    let rates = facts.settings.rate_limits;
    if let Some((limit, until)) = facts.history.blocked(&claim, rates, now) {
        return Plan::Requeue {
            reason: WaitReason::of(limit),
            until,
            claim: Some(Box::new(claim)),
        };
    }
    let removal = PodRemoval {
        binding: binding.name.clone(),
        grace_period_seconds: grace_period(facts, binding)
            .min(seconds(target.pod.grace_period_seconds)),
        eviction_deadline_seconds: eviction_deadline(binding),
        released: matches!(facts.owner, Owner::Released(_)),
        claim: Box::new(claim),
    };
    match action {
        ResponseAction::Delete => Plan::Delete(removal),
        ResponseAction::Evict | ResponseAction::Audit => Plan::Evict(removal),
    }
}

/// Whether what protects pods, the switch and the guard allow a response at all.
fn allowed(
    facts: &Facts,
    target: Target<'_>,
    binding: &BindingFacts,
    needs_replacement: bool,
    now: Timestamp,
) -> Result<(), Plan> {
    let Target { pod, namespace } = target;
    if namespace.exempt {
        return Err(nothing(NoActionReason::ExemptNamespace));
    }
    if pod.mirror {
        return Err(nothing(NoActionReason::MirrorPod));
    }
    if pod.own {
        return Err(nothing(NoActionReason::BailiffPod));
    }
    if pod.critical && namespace.critical {
        return Err(nothing(NoActionReason::CriticalPod));
    }
    if needs_replacement {
        match (&facts.owner, binding.guardrails.unmanaged_pod_policy) {
            (Owner::Workload(_) | Owner::Released(_), _)
            | (Owner::None, UnmanagedPodPolicy::Respond) => {}
            (Owner::None, UnmanagedPodPolicy::Skip) => {
                return Err(nothing(NoActionReason::Unmanaged));
            }
            (Owner::Unknown(why), _) => return Err(reread(why, now)),
        }
    }
    let off = |why| {
        let reason = WaitReason::ResponsesSwitchedOff(why);
        Err(wait(reason, later(now, RECHECK)))
    };
    match &facts.switch {
        Switch::Enforce => {}
        Switch::Audit => return off(None),
        Switch::Unavailable(why) => return off(Some(why.clone())),
    }
    if let Some(paused) = facts.paused.iter().find(|p| p.binding == binding.name) {
        let reason = WaitReason::PolicyPaused(paused.clone());
        return Err(wait(reason, later(now, RECHECK)));
    }
    if facts.undecided.contains(&binding.name) {
        let why = "the workloads that the binding matches are not counted yet";
        return Err(reread(why, now));
    }
    // A user who lets responses go on after a weekend does not expect removals for what happened before it.
    let age = now.duration_since(facts.violation.last_recorded);
    match facts.waiting.as_ref().and_then(|w| w.pause_reason) {
        Some(reason) if age > facts.settings.max_age => {
            Err(nothing(NoActionReason::ViolationTooOld(reason)))
        }
        Some(_) | None => Ok(()),
    }
}

/// For a terminating pod: how to shorten its termination, or why not. None: it is not terminating.
fn shortening(
    facts: &Facts,
    pod: &PodFacts,
    binding: &BindingFacts,
    now: Timestamp,
) -> Result<Option<Shortening>, Plan> {
    let Some(termination) = pod.terminating else {
        return Ok(None);
    };
    // A hook that runs in a termination is part of it; the binding's period would cut it off.
    let allowed = if facts.violation.hooks_only {
        facts.settings.max_grace_period_seconds
    } else {
        grace_period(facts, binding)
    };
    // With 0 the API server would delete the object before the processes end.
    let allowed = allowed.max(1);
    let left = termination.ends.duration_since(now).as_secs();
    let before = termination.grace_period_seconds;
    if pod.shortened || left <= i64::from(allowed) || before <= i64::from(allowed) {
        return Err(nothing(NoActionReason::AlreadyTerminating(pod.evicted)));
    }
    Ok(Some(Shortening {
        binding: binding.name.clone(),
        grace_period_seconds: allowed,
        eviction_deadline_seconds: eviction_deadline(binding),
        before_seconds: before,
    }))
}

/// The longest grace period that a response by a binding gives.
fn grace_period(facts: &Facts, binding: &BindingFacts) -> u32 {
    let longest = facts.settings.max_grace_period_seconds;
    let asked = binding.grace_period_seconds.map(seconds);
    asked.map_or(longest, |asked| asked.min(longest))
}

fn eviction_deadline(binding: &BindingFacts) -> u32 {
    let seconds = binding.guardrails.eviction_deadline_seconds;
    seconds.max(0).unsigned_abs()
}

fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// The places that a removal by a binding takes in the limits.
fn claim(facts: &Facts, binding: &BindingFacts) -> Claim {
    let guardrails = &binding.guardrails;
    let cooldown = SignedDuration::from_secs(guardrails.cooldown_period_seconds.into());
    Claim {
        workload: facts.owner.workload().map(|workload| WorkloadClaim {
            key: WorkloadKey::of(&facts.violation.namespace, workload),
            cooldown,
        }),
        binding: binding.name.clone(),
        binding_per_minute: guardrails.max_evictions_per_minute.max(1).unsigned_abs(),
        namespace: facts.violation.namespace.clone(),
    }
}

/// The places that a removal took that was not seen: by a leader that was killed, perhaps. None: no
/// binding asks for one.
#[must_use]
pub fn claim_of(facts: &Facts) -> Option<Claim> {
    let Lookup::Found(bindings) = &facts.bindings else {
        return None;
    };
    let uids = &facts.violation.binding_uids;
    let acting = bindings
        .iter()
        .filter(|b| uids.contains(&b.uid) && strongest(b) > ResponseAction::Audit);
    let binding = acting.max_by_key(|b| strongest(b))?;
    Some(claim(facts, binding))
}

/// The one that acts with the shortest grace period, else the one that waits least, else the first.
fn best(plans: impl Iterator<Item = Plan>) -> Option<Plan> {
    plans.min_by_key(|plan| match plan {
        // The shortest grace period that a binding asks for.
        Plan::Evict(r) | Plan::Delete(r) => (0, r.grace_period_seconds, Timestamp::MIN),
        Plan::Shorten(s) => (0, s.grace_period_seconds, Timestamp::MIN),
        Plan::Requeue { until, .. } => (1, 0, *until),
        Plan::NoAction { .. } => (2, 0, Timestamp::MIN),
    })
}

fn reread(why: &str, now: Timestamp) -> Plan {
    let reason = WaitReason::ApiRequestFailed(why.to_owned());
    wait(reason, later(now, REREAD))
}

const fn wait(reason: WaitReason, until: Timestamp) -> Plan {
    Plan::Requeue {
        reason,
        until,
        claim: None,
    }
}

const fn nothing(reason: NoActionReason) -> Plan {
    Plan::NoAction {
        reason,
        would: None,
    }
}

#[cfg(test)]
mod tests;
