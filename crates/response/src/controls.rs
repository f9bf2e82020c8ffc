//! One decision about one Incident, with everything that limits it.
//!
//! Here: the order in which the limits, the breaker and the guard learn of an Incident and the plan
//! is made from them. Not here: the rules themselves (`plan`, `ledger`, `breaker`, `guard`), the result of
//! a request (`settle`).
//! Invariant: a decision and the note of it are one step; a planned removal counts before it is
//! requested; facts of which some are remembered lead to a wait for a limit alone.

use crate::breaker::{Breaker, Breakers};
use crate::facts::{Facts, Lookup, PodFacts, Protection, pod_removed};
use crate::guard::Guards;
use crate::incident_state::Outcome;
use crate::ledger::{Claim, Ledger, RateLimits};
use crate::plan::{Plan, claim_of, plan};
use crate::queue::{Finished, Queue};
use crate::reason::{NoActionReason, WaitReason};
use crate::settle::UnsettledRequest;
use crate::workload::WorkloadKey;
use bailiff_api::Incident;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What limits responses, beyond a single Incident.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Past removals.
    pub ledger: Ledger,
    /// The circuit breakers.
    pub breakers: Breakers,
    /// The bad-policy guard.
    pub guards: Guards,
    /// Past dry runs.
    pub(crate) dry_runs: Ledger,
    /// Removals whose result is unknown, by the UID of the pod.
    pub(crate) unsettled: BTreeMap<String, UnsettledRequest>,
}

/// A wait for a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitedWait {
    /// Which limit, for people.
    reason: WaitReason,
    /// When the limit has room again.
    until: Timestamp,
    /// The places that it waits for.
    claim: Box<Claim>,
}

impl LimitedWait {
    /// The wait that a plan is. None: it is another plan.
    fn of(plan: Plan) -> Option<Self> {
        match plan {
            Plan::Requeue {
                reason,
                until,
                claim: Some(claim),
            } => Some(Self {
                reason,
                until,
                claim,
            }),
            Plan::Requeue { claim: None, .. }
            | Plan::Evict(_)
            | Plan::Delete(_)
            | Plan::Shorten(_)
            | Plan::NoAction { .. } => None,
        }
    }

    /// What is reported of it, and how the slot ends.
    #[must_use]
    pub fn into_report(self) -> (Outcome, Finished) {
        let finished = Finished::requeued(&self.reason, self.until, Some(self.claim));
        (Outcome::waiting(self.reason), finished)
    }
}

impl Controls {
    /// Controls that have learned nothing yet.
    #[must_use]
    pub fn new(rates: RateLimits) -> Self {
        Self {
            ledger: Ledger::new(rates),
            dry_runs: Ledger::new(rates),
            ..Self::default()
        }
    }

    /// Learns what an Incident's status records. All Incidents are learned before the first
    /// decision, and each change after it.
    pub fn observe(&mut self, incident: &Incident) {
        self.ledger.restore(incident);
        self.breakers.observe(incident);
        self.guards.observe(incident);
    }

    /// Forgets an Incident that was deleted, by UID. A removal still counts in the limits.
    pub fn deleted(&mut self, incident_uid: &str) {
        self.breakers.deleted(incident_uid);
        self.guards.deleted(incident_uid);
        // What other Incidents of the pod need to know, the live pod tells.
        self.unsettled
            .retain(|_, r| r.request.key.uid != incident_uid);
    }

    /// All Incidents that exist, by UID: others were deleted while the watch was broken. Their removals
    /// still count in the limits.
    pub fn relisted(&mut self, present: &BTreeSet<String>) {
        self.breakers.relisted(present);
        self.guards.relisted(present);
        self.unsettled
            .retain(|_, r| present.contains(&r.request.key.uid));
    }

    /// Forgets what no longer limits anything.
    pub fn prune(&mut self, now: Timestamp) {
        self.ledger.prune(now);
        self.dry_runs.prune(now);
        self.breakers.prune(now);
    }

    /// Fills in what the facts lack, plans the response to an Incident, and notes a removal, which
    /// `Ledger::release` takes back if it is known not to have happened.
    pub fn decide(
        &mut self,
        queue: &Queue,
        incident: &Incident,
        facts: &mut Facts,
        now: Timestamp,
    ) -> Plan {
        let pod_uid = &incident.spec.pod.uid;
        let workload = facts.owner.workload();
        let workload = workload.map(|w| WorkloadKey::of(&facts.violation.namespace, w));
        self.learn_end(pod_uid, facts, now);
        self.fill_in(queue, incident, workload.as_ref(), facts, now);
        let mut planned = plan(facts, now);
        if would_remove(&planned) {
            self.guards.planned(incident, workload.as_ref(), now);
            self.guard(facts);
            planned = plan(facts, now);
        }
        match &planned {
            Plan::Evict(removal) | Plan::Delete(removal) => {
                self.ledger.reserve(pod_uid, &removal.claim, now);
            }
            // A leader that was killed can have requested it, so it counts.
            Plan::NoAction {
                reason: NoActionReason::AlreadyTerminating(Some(at)),
                ..
            } if !self.ledger.contains(pod_uid) => {
                if let Some(claim) = claim_of(facts) {
                    self.ledger.reserve(pod_uid, &claim, *at);
                    self.ledger.confirm(pod_uid, *at);
                }
            }
            Plan::Shorten(_) | Plan::Requeue { .. } | Plan::NoAction { .. } => {}
        }
        planned
    }

    /// The wait for a limit that follows from facts of which some are remembered. None: everything has to be read,
    /// and `decide`d; nothing else follows from such facts. It notes no removal.
    pub fn decide_wait(
        &mut self,
        queue: &Queue,
        incident: &Incident,
        facts: &mut Facts,
        now: Timestamp,
    ) -> Option<LimitedWait> {
        let pod_uid = &incident.spec.pod.uid;
        // What became of a removal that was requested before, the live pod and its owners tell.
        if self.unsettled.contains_key(pod_uid) || self.ledger.contains(pod_uid) {
            return None;
        }
        let workload = facts.owner.workload();
        let workload = workload.map(|w| WorkloadKey::of(&facts.violation.namespace, w));
        self.fill_in(queue, incident, workload.as_ref(), facts, now);
        LimitedWait::of(plan(facts, now))?;
        self.guards.planned(incident, workload.as_ref(), now);
        self.guard(facts);
        LimitedWait::of(plan(facts, now))
    }

    /// What became of a removal whose end was not reported, as after a panic: the live pod tells.
    fn learn_end(&mut self, pod_uid: &str, facts: &Facts, now: Timestamp) {
        if !self.ledger.is_pending(pod_uid) {
            return;
        }
        match (pod_removed(facts), &facts.pod) {
            (Lookup::Found(false), _) => self.ledger.release(pod_uid),
            (Lookup::Found(true), Lookup::Found(pod)) => {
                self.ledger.confirm(pod_uid, pod.evicted.unwrap_or(now));
            }
            (Lookup::Found(true) | Lookup::NotFound, _) => self.ledger.confirm(pod_uid, now),
            (Lookup::Failed(_), _) => {}
        }
    }

    fn fill_in(
        &mut self,
        queue: &Queue,
        incident: &Incident,
        workload: Option<&WorkloadKey>,
        facts: &mut Facts,
        now: Timestamp,
    ) {
        let bindings = match &facts.bindings {
            Lookup::Found(bindings) => bindings.iter().map(|b| b.name.as_str()).collect(),
            Lookup::NotFound | Lookup::Failed(_) => Vec::new(),
        };
        let namespace = &facts.violation.namespace;
        let uid = incident.metadata.uid.as_deref().unwrap_or_default();
        facts.history = self.ledger.history(workload, namespace, &bindings, now);
        facts.history.contended = queue.contended(uid, workload, namespace);
        let trusted = facts.protection == Protection::Unmodified;
        facts.breaker = match (workload, &facts.pod, &facts.policy) {
            (Some(workload), Lookup::Found(pod), Lookup::Found(policy))
                if trusted && is_its_pod(pod, facts) =>
            {
                self.breakers.verified(incident, workload, pod.started);
                let ledger = &self.ledger;
                let requested = || ledger.removals_of(workload, now);
                let node = &facts.violation.node_name;
                let policy = (policy.uid.as_str(), policy.generation);
                self.breakers.state(workload, policy, node, requested, now)
            }
            _ => Breaker::Closed,
        };
        self.guard(facts);
    }

    fn guard(&mut self, facts: &mut Facts) {
        let (Lookup::Found(policy), Lookup::Found(bindings)) = (&facts.policy, &facts.bindings)
        else {
            return;
        };
        let guards = &mut self.guards;
        let paused = bindings.iter().filter_map(|b| guards.assess(policy, b));
        facts.paused = paused.collect();
        let undecided = bindings.iter().filter(|b| guards.is_undecided(policy, b));
        facts.undecided = undecided.map(|b| b.name.clone()).collect();
    }
}

fn is_its_pod(pod: &PodFacts, facts: &Facts) -> bool {
    let violation = &facts.violation;
    pod.uid == violation.pod_uid && pod.node_name.as_ref() == Some(&violation.node_name)
}

/// Whether a plan removes the pod, now or when its limit has room.
const fn would_remove(plan: &Plan) -> bool {
    match plan {
        Plan::Evict(_) | Plan::Delete(_) => true,
        Plan::Requeue { claim, .. } => claim.is_some(),
        Plan::Shorten(_) | Plan::NoAction { .. } => false,
    }
}

#[cfg(test)]
mod tests;
