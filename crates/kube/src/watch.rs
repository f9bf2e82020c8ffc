//! Watches that come back soon.
//!
//! Here: how long a watch waits before it is opened again. Not here: what is watched.
//! Invariant: after an outage nothing that Bailiff knows is older than a few seconds; one that
//! was cut in silence is noticed by the client (`client`, about a minute).

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use kube::runtime::utils::Backoff;
use std::time::Duration;

/// First pause after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// Longest pause. kube's own goes up to 30 seconds, and for so long after an outage of the API
/// server a sensor would judge by policies of before. The pauses have jitter, so that the sensors
/// of a cluster do not come back all at once.
const LONGEST: Duration = Duration::from_secs(4);

/// The pauses between the attempts to open a watch; they begin anew when it brings something.
#[derive(Debug)]
pub struct Pauses(ExponentialBackoff);

impl Default for Pauses {
    fn default() -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        Self(pauses.build())
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_never_end_and_stay_within_seconds() {
        let mut pauses = Pauses::default();
        assert!(pauses.next().unwrap() < 3 * FIRST);
        let later: Vec<_> = pauses.by_ref().skip(20).take(20).collect();
        assert_eq!(later.len(), 20);
        assert!(
            later
                .iter()
                .all(|pause| LONGEST <= *pause && *pause <= 2 * LONGEST),
            "{later:?}"
        );
        pauses.reset();
        assert!(pauses.next().unwrap() < 3 * FIRST);
    }
}
