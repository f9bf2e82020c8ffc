//! Watches that come back soon.
//!
//! Here: opening a watch, and how long it waits before it is opened again. Not here: what is
//! watched.
//! Invariant: after an outage nothing that Bailiff knows is older than a few seconds; one that
//! was cut in silence is noticed by the client (`client`, about a minute).

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, watcher};
use std::time::Duration;

/// First pause after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// Longest pause. kube's own goes up to 30 seconds, and for so long after an outage of the API
/// server a sensor would judge by policies of before. The pauses have jitter, so that the sensors
/// of a cluster do not come back all at once.
const LONGEST: Duration = Duration::from_secs(4);

/// What a watch brings.
pub type Watch<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// Watches objects for as long as the stream lives. A failure is told, and the watch opened again.
#[must_use]
pub fn objects<K>(api: Api<K>, config: watcher::Config) -> Watch<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    watcher(api, config).backoff(Pauses::default()).boxed()
}

/// The pauses between the attempts to open a watch; they begin anew when it brings something.
#[derive(Debug)]
pub(crate) struct Pauses(ExponentialBackoff);

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
