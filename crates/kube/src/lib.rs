//! The edge to the API server: clients, watches, owners, Events, the Lease, health and metrics.
//!
//! Here: what every component does in the same way with the API server and its probes. Not here:
//! decisions (`response`, `policy`).
//! Invariant: a component's client is only that of its pod's service account.

pub mod client;
pub mod decode;
pub mod events;
pub mod lease;
pub mod list_watch;
pub mod metadata;
pub mod owner;
pub mod serve;
pub mod watch;
