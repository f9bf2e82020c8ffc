//! How long a review can take.
//!
//! Here: the times that follow from the API server's timeout. Not here: what happens at them (`server`,
//! `lookups`).
//! Invariant: the response is sent before the API server stops waiting for it.

use jiff::SignedDuration;
use std::time::Duration;
use tokio::time::Instant;

/// Timeout that the API server has if a webhook configuration names none.
const DEFAULT: Duration = Duration::from_secs(10);
/// Longest timeout of a webhook configuration.
const LONGEST: Duration = Duration::from_secs(30);
/// What is left for the way of the response.
const RESPONSE_MARGIN: Duration = Duration::from_millis(500);
/// Longest wait for what registries say.
const LOOKUPS_LIMIT: Duration = Duration::from_secs(3);
/// What is left after that wait for everything else.
const LOOKUPS_MARGIN: Duration = Duration::from_millis(1500);

/// The times of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// What registries did not say by then is pending.
    pub(crate) lookups: Instant,
    /// The response is sent then at the latest.
    pub(crate) response: Instant,
}

impl Deadlines {
    /// The times of a request that came `now`. The API server sends its timeout in the query, as
    /// `timeout=5s`.
    pub(crate) fn of(query: Option<&str>, now: Instant) -> Self {
        let parameters = query.unwrap_or_default().split('&');
        let timeout = parameters
            .filter_map(|parameter| parameter.strip_prefix("timeout="))
            .find_map(|text| text.parse::<SignedDuration>().ok())
            .and_then(|timeout| Duration::try_from(timeout).ok())
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(DEFAULT)
            .min(LONGEST);
        // A timeout of one second is the shortest; half of it is better than nothing.
        let margin = RESPONSE_MARGIN.min(timeout / 2);
        Self {
            lookups: now + LOOKUPS_LIMIT.min(timeout.saturating_sub(LOOKUPS_MARGIN)),
            response: now + timeout.saturating_sub(margin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_review_waits_as_long_as_the_timeout_allows() {
        let now = Instant::now();
        for (query, lookups, response) in [
            (Some("timeout=5s"), 3000, 4500),
            (Some("a=b&timeout=2s"), 500, 1500),
            (Some("timeout=1s"), 0, 500),
            (Some("timeout=30s"), 3000, 29_500),
            (Some("timeout=1h"), 3000, 29_500),
            (Some("timeout=500ms"), 0, 250),
            (Some("timeout=-1s"), 3000, 9500),
            (Some("timeout=0s"), 3000, 9500),
            (Some("timeout=soon"), 3000, 9500),
            (None, 3000, 9500),
        ] {
            let found = Deadlines::of(query, now);
            let after = |at: Instant| (at - now).as_millis();
            assert_eq!(
                (after(found.lookups), after(found.response)),
                (lookups, response),
                "{query:?}"
            );
        }
    }
}
