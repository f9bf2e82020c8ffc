//! Answers Incidents through the Kubernetes API, and keeps statuses true.
//!
//! Here: live reads, the answer and its telling, recovery, the statuses of policies and
//! bindings, and the wiring. Not here: what is decided (`bailiff_response`, `bailiff_policy`).
//! Invariant: only the leader acts, and only on what it has just read.

mod answer;
mod checked;
mod config;
mod dispatch;
mod gather;
mod metrics;
mod policy_status;
mod ready;
mod recovery;
mod run;
mod statuses;
#[cfg(test)]
mod testing;
mod turns;
mod undecodable;
mod work;

pub use config::Config;
pub use run::{Error, run};
