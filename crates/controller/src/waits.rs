//! What the controller's loops wait for.
//!
//! Here: a time that may not come, and the longest sleep. Not here: the loops.
//! Invariant: a loop that sleeps at most [`HEARTBEAT_INTERVAL`] at a time reports its progress before its
//! timeout (`run`) is over.

use std::time::Duration;
use tokio::time::Instant;

/// Longest sleep of a loop, which reports its progress.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Waits until a time; without one, forever.
pub(crate) async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
