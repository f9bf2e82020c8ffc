//! From a violation to what is done about it: facts, rules, effects as plain values.
//!
//! Here: the facts of an answer, the plan, the ledger of past answers, the state machine of an
//! Incident and every sentence about it. Not here: reading and writing the cluster
//! (`controller`), and the verdict itself (`policy`).
//! Invariant: everything is a function of its arguments; no clock, client or file is read.
#![warn(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

mod facts;
mod incident_state;
mod ledger;
pub mod messages;
mod plan;

pub use facts::{
    BindingFacts, Facts, History, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    ViolationFacts, is_mirror, last_verdict, pod_removed,
};
pub use incident_state::{
    Outcome, Recovery, apply_outcome, is_final, is_open, needs_reevaluation, phase, recovered,
};
pub use ledger::Ledger;
pub use plan::{NoActionReason, Plan, PodRemoval, WaitReason, plan};

#[cfg(test)]
mod tests;
