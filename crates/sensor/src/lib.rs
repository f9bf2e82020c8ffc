//! What processes start on this node, and whether a policy allows them.
//!
//! Here: the BPF programs and their loader, decoding, who a process belongs to and descends
//! from, judging it, writing Incidents. Not here: what a policy says (`policy`), what follows
//! from an Incident (`controller`).
//! Invariant: what is not seen or not sure is counted and said; nothing is ever done about it.

mod cluster;
mod coverage;
mod ignored;
mod incident;
mod judge;
mod kernel;
mod metrics;
mod process;
mod run;
mod state;

pub use kernel::loader::{Counters, LoadError, Records};
pub use kernel::record::{Event, Exec, Found, ProcessKey, Root};
pub use run::{Config, Error, run};
