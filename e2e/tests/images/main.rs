//! Image policies: what the API server enforces by itself, and what the webhook adds.
//!
//! Here: the stories, by topic. Not here: asking until an answer is there (`bailiff_e2e::images`), the webhook's
//! own life (`webhook`), what remains after Bailiff is removed (`lifecycle`).
//! Invariant: a story whose fault others would notice begins alone, and ends the fault also if it fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod check;
mod existing;
mod mirrors;
mod outages;
mod pins;
mod policies;
mod private;
mod rendered;
mod static_pods;
mod volumes;
mod workloads;

use bailiff_e2e::images::{
    admitted, bind, denied, policy, probe, try_kubectl, until, until_denied, until_pinned,
};
