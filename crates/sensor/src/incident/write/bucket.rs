//! How many writes a sensor may do.
//!
//! Here: a bucket that fills with time. Not here: what is written (`write`).
//! Invariant: in no second more than twice [`WRITES_PER_SECOND`], and no more than that on average.

use std::time::Duration;
use tokio::time::Instant;

/// Writes in a second, and how many at once after a rest.
pub(super) const WRITES_PER_SECOND: f64 = 5.0;

/// A bucket of writes that fills with time.
pub(super) struct Bucket {
    filled: f64,
    since: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            filled: WRITES_PER_SECOND,
            since: now,
        }
    }

    fn level(&self, now: Instant) -> f64 {
        (self.filled + now.duration_since(self.since).as_secs_f64() * WRITES_PER_SECOND)
            .min(WRITES_PER_SECOND)
    }

    /// When the next write is allowed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let missing = 1.0 - self.level(now);
        if missing <= 0.0 {
            now
        } else {
            now + Duration::from_secs_f64(missing / WRITES_PER_SECOND)
        }
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.filled = self.level(now) - 1.0;
        self.since = now;
    }
}
