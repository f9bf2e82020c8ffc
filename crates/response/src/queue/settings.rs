//! How the queue works, and how long it pauses after failures.
//!
//! Here: the settings and the pauses. Not here: the order (`queue`).
//! Invariant: a pause is at least the first one and never longer than minutes, also if an answer
//! asks for more.

use jiff::SignedDuration;

/// The longest pause that a `Retry-After` can ask for: a webhook that answers an eviction with it
/// must not stop the response.
const LONGEST_RETRY_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// How the queue works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Most Incidents that are reconciled at once; at least 1.
    pub slots: usize,
    /// Least time between a final response and its re-evaluation.
    pub recheck_interval: SignedDuration,
    /// The first pause after a failure; it doubles.
    pub initial_backoff: SignedDuration,
    /// The longest such pause.
    pub max_backoff: SignedDuration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            slots: 16,
            recheck_interval: SignedDuration::from_secs(30),
            initial_backoff: SignedDuration::from_secs(1),
            max_backoff: SignedDuration::from_secs(30),
        }
    }
}

impl QueueSettings {
    /// Most Incidents of one namespace that are reconciled at once: a quarter of the slots, at least 1.
    #[must_use]
    pub fn namespace_slots(self) -> usize {
        (self.slots / 4).max(1)
    }
}

/// The pause after so many earlier failures.
pub(super) fn backoff(
    settings: QueueSettings,
    failures: u32,
    at_least: Option<SignedDuration>,
) -> SignedDuration {
    let longer = 2_i32.saturating_pow(failures.min(16));
    let pause = settings.initial_backoff.saturating_mul(longer);
    let pause = pause.min(settings.max_backoff);
    let asked = at_least.map(|asked| asked.min(LONGEST_RETRY_AFTER));
    asked.map_or(pause, |asked| pause.max(asked))
}
