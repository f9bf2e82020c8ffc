//! Writes Events outside of the slots.
//!
//! Here: how many Events are being written, and for how long. Not here: what they report (`report`) and
//! the requests (`bailiff_kube::events`).
//! Invariant: nothing waits for an Event except the end of the leader, and that for seconds; what is not
//! written is logged and counted, and so is what there is no room for.

use crate::metrics::Metrics;
use bailiff_kube::events::{EventSpec, Recorder};
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long the API server has to accept an Event.
pub(super) const EVENT_LIMIT: Duration = Duration::from_secs(2);
/// Most Events that are written at once: they use the connection of the responses.
const CONCURRENCY: usize = 8;
/// Most Events that wait to be written or are being written.
const EVENTS_LIMIT: usize = 256;

/// The Events that are being written.
pub(super) struct Events {
    recorder: Recorder,
    metrics: Metrics,
    turns: Arc<Semaphore>,
    running: Mutex<JoinSet<()>>,
}

impl Events {
    pub(super) fn new(recorder: Recorder, metrics: Metrics) -> Self {
        Self {
            recorder,
            metrics,
            turns: Arc::new(Semaphore::new(CONCURRENCY)),
            running: Mutex::default(),
        }
    }

    /// Begins to write an Event, and does not wait for it.
    pub(super) fn write(&self, event: EventSpec, now: Timestamp) {
        let mut running = self.running();
        while running.try_join_next().is_some() {}
        if running.len() >= EVENTS_LIMIT {
            drop(running);
            lost(&self.metrics, &event, "too many Events wait");
            return;
        }
        let (recorder, metrics) = (self.recorder.clone(), self.metrics.clone());
        let turns = Arc::clone(&self.turns);
        running.spawn(async move {
            // The semaphore is never closed.
            let Ok(_turn) = turns.acquire().await else {
                return;
            };
            let writing = tokio::time::timeout(EVENT_LIMIT, recorder.publish(&event, now));
            match writing.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => lost(&metrics, &event, &error.to_string()),
                Err(_) => lost(&metrics, &event, "the API server did not respond"),
            }
        });
    }

    /// Waits until what was begun is written, but not for longer than one Event has.
    pub(super) async fn finish(&self) {
        let mut running = std::mem::take(&mut *self.running());
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(EVENT_LIMIT, all).await.is_err() {
            let count = running.len();
            self.metrics
                .event_failures
                .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
            tracing::warn!(count, "Cannot write the last Events in time");
        }
    }

    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(metrics: &Metrics, event: &EventSpec, error: &str) {
    metrics.event_failures.inc();
    let about = event.regarding.name.as_deref();
    tracing::warn!(error, about, reason = event.reason, "Cannot write an Event");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::ApiServer;
    use k8s_openapi::api::core::v1::ObjectReference;
    use tokio::time::Instant;

    fn event(number: usize) -> EventSpec {
        EventSpec {
            reason: "EvictedByPolicy",
            action: "Evicting",
            warning: true,
            note: number.to_string(),
            regarding: ObjectReference::default(),
            related: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_are_not_answered_are_bounded_and_counted_and_hold_nothing() {
        let recorder = Recorder::new(ApiServer::silent(), "bailiff.dev/test", "a".to_owned());
        let metrics = Metrics::default();
        let events = Events::new(recorder, metrics.clone());
        let begun = Instant::now();
        for number in 0..EVENTS_LIMIT + 3 {
            events.write(event(number), Timestamp::now());
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(metrics.event_failures.get(), 3, "there is no room for them");
        // Some are given up, and others have their room.
        tokio::time::sleep(EVENT_LIMIT * 2 + Duration::from_millis(1)).await;
        let given_up = u64::try_from(2 * CONCURRENCY).unwrap();
        assert_eq!(metrics.event_failures.get(), 3 + given_up);
        events.write(event(0), Timestamp::now());
        assert_eq!(metrics.event_failures.get(), 3 + given_up);
        // The end waits for seconds, not for all.
        let begun = Instant::now();
        events.finish().await;
        assert_eq!(begun.elapsed(), EVENT_LIMIT);
        let all = u64::try_from(EVENTS_LIMIT + 4).unwrap();
        assert_eq!(metrics.event_failures.get(), all);
    }
}
