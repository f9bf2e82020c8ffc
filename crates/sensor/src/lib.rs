//! Which processes start on this node, and whether a policy allows them.
//!
//! Here: the BPF programs and their loader, decoding, who a process belongs to and descends
//! from, evaluating policies, writing Incidents. Not here: what a policy means (`policy`), what follows
//! from an Incident (`controller`).
//! Invariant: what is not observed or not certain is counted and reported; nothing is ever done about
//! it. A sensor writes Incidents of its node and Events about its Node, and nothing else.

mod cluster;
mod coverage;
mod evaluation_errors;
mod incident;
mod judge;
mod kernel;
mod losses;
mod metrics;
mod observe;
mod pace;
mod pending;
mod process;
mod run;
mod state;

pub use kernel::args::Args;
pub use kernel::loader::{Counters, LoadError, Records, Room};
pub use kernel::record::{Descent, Event, Exec, Found, Membership, ProcessKey, Root, ScriptFile};
pub use kernel::running::{Search, SearchEnd, SearchError};
pub use run::{Config, Error, run};
