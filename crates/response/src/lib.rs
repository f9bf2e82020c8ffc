//! From a violation to the response: facts, rules, effects as plain values.
//!
//! Here: the facts of a response, the plan, what a request comes to, the limits, the queue, the breaker,
//! the guard, the state machine of an Incident, retention and its limits, the preview, and every sentence
//! about a response. Not here: reading and writing the cluster (`controller`), and the verdict itself
//! (`policy`).
//! Invariant: everything is a function of its arguments; no clock, client or file is read.
#![warn(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

mod breaker;
mod classify;
mod controls;
mod dry_run;
mod facts;
pub mod guard;
mod incident_state;
mod ledger;
pub mod limits;
pub mod messages;
mod objects;
mod plan;
pub mod preview;
mod queue;
mod reason;
mod rejection;
pub mod retention;
mod settle;
mod workload;

pub use breaker::{Breaker, Breakers};
pub use classify::{Forbidden, is_of_admission, is_of_terminating_namespace};
pub use controls::{Controls, LimitedWait};
pub use dry_run::{DryRun, Would};
pub use facts::{
    BindingFacts, Facts, Lookup, NamespaceFacts, Owner, PodFacts, PolicyFacts, Protection,
    Reevaluation, Settings, Switch, Termination, ViolationFacts, is_mirror, last_verdict,
};
pub use guard::{Guards, Outlook, Paused, Watch};
pub use incident_state::{
    Outcome, Recovery, Verified, apply_outcome, is_final, is_open, needs_reevaluation, phase,
    recovered,
};
pub use ledger::{Claim, History, Ledger, Limit, RateLimits, WorkloadClaim};
pub use plan::{Plan, PodRemoval, Shortening, claim_of, plan};
pub use queue::{
    Ahead, Demand, Finished, Job, Key, Queue, QueueSettings, Stats, Summary, Waiting, Wake,
};
pub use reason::{Blocker, NoActionKind, NoActionReason, RateLimit, WaitKind, WaitReason};
pub use rejection::Rejection;
pub use settle::{RemovalRequest, Step, UnsettledRequest};
pub use workload::WorkloadKey;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
