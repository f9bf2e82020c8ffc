//! When something that lasts is reported again.
//!
//! Here: growing intervals. Not here: what is reported.
//! Invariant: the first report comes when it is due, and each later one at twice the interval before, at most
//! [`LONGEST`].

use std::time::Duration;
use tokio::time::Instant;

/// Interval after the first report, and longest one.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(10);

/// The reports of one thing that lasts.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    next: Option<Instant>,
    pause: Duration,
}

impl Default for Pace {
    /// The first report is due at once.
    fn default() -> Self {
        Self {
            next: None,
            pause: FIRST,
        }
    }
}

impl Pace {
    /// The first report is due after the first interval.
    pub(crate) fn after(now: Instant) -> Self {
        Self {
            next: Some(now + FIRST),
            pause: FIRST * 2,
        }
    }

    /// Whether a report is due, which counts as made then.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        self.next = Some(now + self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn intervals_double_up_to_the_longest() {
        let start = Instant::now();
        let due = |mut pace: Pace| -> Vec<u64> {
            let seconds = 0..3000;
            seconds
                .filter(|second| pace.is_due(start + Duration::from_secs(*second)))
                .collect()
        };
        assert_eq!(
            due(Pace::default()),
            [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
        );
        assert_eq!(
            due(Pace::after(start)),
            [10, 30, 70, 150, 310, 630, 1230, 1830, 2430]
        );
    }
}
