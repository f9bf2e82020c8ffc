//! What the stories on a real cluster have in common.
//!
//! Here: kubectl and helm as a person would run them, a namespace for each story, waits by
//! watch with a deadline, and what is printed when a story fails. Not here: starting a cluster
//! (`testbed`, called by `hack/e2e.sh`).
//! Invariant: only the cluster that `BAILIFF_E2E_KUBECONFIG` names is ever touched; without it a
//! story fails and says how to run it.

#![allow(
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "this crate is tests alone: a panic is the report of a failure"
)]

mod cluster;
pub mod images;
mod installation;
mod registry;
mod story;
pub mod token;
mod webhook;
pub mod workload;

pub use cluster::{Cluster, Output};
pub use installation::{
    NAMESPACE, SHARED, create_namespace, ensure_installed, helm, install_arguments, install_with,
    registries, upgrade,
};
pub use registry::{Outage, Registry, pull_secret};
pub use story::{Story, unique};
pub use webhook::Scaled;
