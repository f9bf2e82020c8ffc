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
    BindingFacts, Confinement, Facts, History, Live, NamespaceFacts, Owner, PodFacts, PolicyFacts,
    ViolationFacts, is_mirror, last_verdict, went,
};
pub use incident_state::{
    Outcome, Recovery, is_open, is_overtaken, is_settled, phase, recovered, settle,
};
pub use ledger::Ledger;
pub use plan::{Answer, NothingReason, Plan, WaitReason, plan};

#[cfg(test)]
mod tests;
