//! What processes start on this node, and whether a policy allows them.
//!
//! Here: the BPF programs and their loader, decoding, who a process belongs to and descends
//! from, judging it, writing Incidents. Not here: what a policy says (`policy`), what follows
//! from an Incident (`controller`).
//! Invariant: what is not seen or not sure is counted and said; nothing is ever done about it.

mod commands;
mod coverage;
mod evidence;
mod identity;
mod judge;
mod loader;
mod metrics;
mod names;
mod pods;
mod process_tree;
mod record;
mod rules;
mod run;
mod state;
mod write;

pub use loader::{Counters, LoadError, Records};
pub use record::{Event, Exec, ProcessKey, Root};
pub use run::{Config, Error, run};
