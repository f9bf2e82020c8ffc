//! One look at an Incident: everything is read, planned from, and done.
//!
//! Here: the order of these, and what the API server's word comes to. Not here: the plan itself
//! (`bailiff_response`), the requests (`evict`), and when the next round is (`super`).
//! Invariant: an answer is noted in the ledger in the breath in which it is planned, and taken back
//! only when it is known that it was not done.

use super::evict::Said;
use super::memory::{Asked, Memory};
use super::{Controller, End, workload};
use crate::gather::gather;
use bailiff_api::{Incident, ResponseAction};
use bailiff_response::{
    Facts, Lookup, NoActionReason, Outcome, Owner, Plan, PodRemoval, WaitReason, plan, pod_removed,
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How long the steps of an answer took, for the log: whoever finds answers slow sees which.
pub(super) struct Took {
    last: Instant,
    pub(super) read: Duration,
    pub(super) request: Duration,
}

impl Took {
    pub(super) fn begin() -> Self {
        Self {
            last: Instant::now(),
            read: Duration::ZERO,
            request: Duration::ZERO,
        }
    }

    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now.duration_since(std::mem::replace(&mut self.last, now))
    }

    /// Everything that the plan depends on was read.
    pub(super) fn read(&mut self) {
        self.read = self.lap();
    }

    /// The API server answered to the eviction.
    pub(super) fn asked(&mut self) {
        self.request = self.lap();
    }
}

/// What was decided, with the pod's owner.
enum Decided {
    /// The API server is asked; that is noted already.
    Ask(Asked),
    /// It is looked at again at a time.
    Wait(WaitReason, Timestamp, Owner),
    /// Nothing is done.
    Nothing(NoActionReason, Option<Box<Plan>>, Owner),
}

/// What a round came to.
pub(super) enum Step {
    /// It is told. Then the answer goes on after a pause, or it is final.
    Tell(Outcome, Owner, Option<Duration>),
    /// It goes on after a pause, and there is nothing to tell yet.
    Quiet(Duration),
}

impl Controller {
    /// Reads, plans and acts once.
    pub(super) async fn round(
        &self,
        incident: &Incident,
        memory: &mut Memory,
        took: &mut Took,
    ) -> Result<Step, End> {
        let facts = gather(&self.client, &self.config, incident).await;
        took.read();
        if let Some(asked) = memory.asked.take() {
            match pod_removed(&facts) {
                Lookup::Found(true) | Lookup::NotFound => {
                    let owner = asked.owner.clone();
                    return Ok(Step::Tell(asked.done(), owner, None));
                }
                Lookup::Found(false) => self.take_back(&asked),
                Lookup::Failed(why) => {
                    let owner = asked.owner.clone();
                    memory.asked = Some(asked);
                    let held = Outcome::Waiting(WaitReason::ApiRequestFailed(why));
                    return Ok(Step::Tell(held, owner, Some(memory.longer_pause())));
                }
            }
        }
        let step = match self.decide(facts) {
            Decided::Ask(asked) if self.stopping.is_cancelled() => {
                self.take_back(&asked);
                return Err(End::Stopping);
            }
            Decided::Ask(asked) => self.take_away(incident, asked, memory).await,
            Decided::Wait(reason, until, owner) => {
                let pause = memory.wait(&reason, until, Timestamp::now());
                Step::Tell(Outcome::Waiting(reason), owner, Some(pause))
            }
            Decided::Nothing(NoActionReason::IncidentsNotProtected(how), _, owner)
                if memory.is_patient() =>
            {
                let held = Outcome::Waiting(WaitReason::IncidentsNotProtected(how));
                Step::Tell(held, owner, Some(memory.longer_pause()))
            }
            Decided::Nothing(reason, would, owner) => {
                Step::Tell(Outcome::NoAction { reason, would }, owner, None)
            }
        };
        took.asked();
        Ok(step)
    }

    /// Plans, and notes the answer in the same breath, so that no two use one place.
    fn decide(&self, mut facts: Facts) -> Decided {
        let now = Timestamp::now();
        let mut ledger = self.ledger();
        ledger.prune(now);
        if let Lookup::Found(bindings) = &facts.bindings {
            let names: Vec<_> = bindings.iter().map(|b| b.name.as_str()).collect();
            facts.history = ledger.history(uid(&facts.owner), &names);
        }
        let mut ask = |action, answer: PodRemoval, owner: Owner| {
            ledger.reserve(uid(&owner), &answer.binding, now);
            Decided::Ask(Asked {
                action,
                answer,
                owner,
                at: now,
            })
        };
        match plan(&facts, now) {
            Plan::Evict(answer) => ask(ResponseAction::Evict, answer, facts.owner),
            Plan::Delete(answer) => ask(ResponseAction::Delete, answer, facts.owner),
            Plan::Requeue { reason, until } => Decided::Wait(reason, until, facts.owner),
            Plan::NoAction { reason, would } => Decided::Nothing(reason, would, facts.owner),
        }
    }

    /// What was noted was not done: its place is for another.
    fn take_back(&self, asked: &Asked) {
        let (owner, binding) = (uid(&asked.owner), &asked.answer.binding);
        self.ledger().release(owner, binding, asked.at);
    }

    /// Asks the API server, and makes of its answer what is told.
    async fn take_away(&self, incident: &Incident, asked: Asked, memory: &mut Memory) -> Step {
        let said = self.ask(incident, &asked).await;
        let owner = asked.owner.clone();
        let could_not = |why| Outcome::Waiting(WaitReason::ApiRequestFailed(why));
        let nothing = |reason| Outcome::NoAction {
            reason,
            would: None,
        };
        let step = match said {
            Said::Accepted(at) => return Step::Tell(Asked { at, ..asked }.done(), owner, None),
            // It may have been done: what was noted stays until that is known.
            Said::Unclear(why) => {
                memory.asked = Some(asked);
                return Step::Tell(could_not(why), owner, Some(memory.longer_pause()));
            }
            Said::Conflict => Step::Quiet(memory.longer_pause()),
            Said::Busy(why) => Step::Tell(could_not(why), owner, Some(memory.longer_pause())),
            Said::Final(reason) => Step::Tell(nothing(reason), owner, None),
            Said::Budget(name) => {
                let timeout = asked.answer.eviction_deadline_seconds;
                match memory.budget_pause(Duration::from_secs(timeout.into())) {
                    Some(pause) => {
                        let held = Outcome::Waiting(WaitReason::DisruptionBudget(name));
                        Step::Tell(held, owner, Some(pause))
                    }
                    None => Step::Tell(
                        nothing(NoActionReason::EvictionDeadlineExceeded(name)),
                        owner,
                        None,
                    ),
                }
            }
        };
        self.take_back(&asked);
        step
    }
}

fn uid(owner: &Owner) -> Option<&str> {
    workload(owner).map(|w| w.uid.as_str())
}
