//! What the kernel tells.
//!
//! Here: the BPF programs' loader, when their records are read, paths of cgroups. Not here: who a process belongs to (`process`).
//! Invariant: all bytes that come are read or counted, and nothing else is trusted.

pub(crate) mod args;
mod cgroups;
mod definition;
mod descriptor;
pub(crate) mod loader;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod running;
