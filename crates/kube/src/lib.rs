//! The edge to the API server: clients, owners, Events, the Lease, health and metrics.
//!
//! Here: what every component does in the same way towards the API server and its probes. Not
//! here: what is decided (`response`, `policy`).
//! Invariant: no client is built from a context that nobody named.

pub mod client;
pub mod decode;
pub mod events;
pub mod lease;
pub mod list_watch;
pub mod owner;
pub mod serve;
pub mod watch;
