//! Computing that takes long.
//!
//! Here: where it runs. Not here: what is computed.
//! Invariant: no other task waits for it.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs what computes without other tasks of the thread waiting for it.
pub(crate) fn on_own_thread<T>(compute: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(compute),
        // The runtime of a test has one thread, which cannot hand over its tasks.
        _ => compute(),
    }
}
