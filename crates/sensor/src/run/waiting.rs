//! What a sensor that starts waits for.
//!
//! Here: the log entry about it. Not here: what is missing (`state`), readiness (`run`).
//! Invariant: while something is missing, there is an entry that names it, at growing intervals.

use crate::pace::Pace;
use tokio::time::Instant;

/// A sensor that cannot evaluate processes yet.
pub(super) struct Waiting {
    since: Instant,
    reports: Pace,
}

impl Waiting {
    /// The first entry comes only if it takes longer than usual.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            reports: Pace::after(now),
        }
    }

    /// Logs what is missing, where that is due.
    pub(super) fn report(&mut self, missing: impl FnOnce() -> Vec<String>, now: Instant) {
        if let Some(text) = self.due(missing, now) {
            tracing::warn!(seconds = now.duration_since(self.since).as_secs(), "{text}");
        }
    }

    fn due(&mut self, missing: impl FnOnce() -> Vec<String>, now: Instant) -> Option<String> {
        self.reports.is_due(now).then(|| {
            format!(
                "The sensor is not ready and evaluates nothing yet; it waits for {}",
                missing().join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_named_at_growing_intervals() {
        let start = Instant::now();
        let mut waiting = Waiting::new(start);
        let missing = || {
            ["the list of namespaces", "the list of x (no)"]
                .map(str::to_owned)
                .to_vec()
        };
        let mut told = Vec::new();
        for second in 0..200 {
            let text = waiting.due(missing, start + Duration::from_secs(second));
            told.extend(text.map(|text| (second, text)));
        }
        let text = "The sensor is not ready and evaluates nothing yet; it waits for the list of namespaces, the list of x (no)";
        let want = [10, 30, 70, 150].map(|second| (second, text.to_owned()));
        assert_eq!(told, want);
    }
}
