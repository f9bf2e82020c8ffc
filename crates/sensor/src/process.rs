//! Who a process is.
//!
//! Here: its pod by its cgroup, whether its container is the pod's sandbox, what it descends from, its names, whose command it is. Not here:
//! whether it may run (`judge`).
//! Invariant: what the kernel's records do not prove is unknown.

pub(crate) mod args;
pub(crate) mod commands;
pub(crate) mod identity;
pub(crate) mod names;
pub(crate) mod sandbox;
pub(crate) mod tree;
