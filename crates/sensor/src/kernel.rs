//! What the kernel tells.
//!
//! Here: the BPF programs' loader, their records. Not here: who a process belongs to (`process`).
//! Invariant: whatever bytes come, they are read or counted, and nothing else is trusted.

pub(crate) mod loader;
pub(crate) mod record;
