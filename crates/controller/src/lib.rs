//! Responds to Incidents through the Kubernetes API, and keeps statuses true.
//!
//! Here: what the controller knows of the cluster, the response and its report, recovery, retention and its limits,
//! the statuses of policies and bindings, the certificates of the webhook, and the wiring. Not here: what is decided
//! (`bailiff_response`, `bailiff_policy`).
//! Invariant: only the leader acts, and only on what the API server has now.

mod cache;
mod config;
mod dispatch;
mod gather;
mod incident_limits;
mod metrics;
mod nodes;
mod pods;
mod policy_cache;
mod policy_status;
mod ready;
mod reconcile;
mod recovery;
mod reevaluate;
mod remembered_owners;
mod retention;
mod run;
mod statuses;
mod store;
mod switch;
#[cfg(test)]
mod testing;
mod undecodable;
mod waits;
mod webhook_certificates;

pub use config::Config;
pub use run::{Clients, Error, run};
