//! The memory and the queue as one.
//!
//! Here: what follows from a question, an answer and a deadline. Not here: time, requests and who waits
//! (`facts`).
//! Invariant: a function of the events and their times alone.

use super::answers::{Answers, Room};
use super::key::Key;
use super::queue::{Full, Limits, Load, Queue};
use bailiff_oci::{Failure, Lookup};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known when an image is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The answer.
    Known(Lookup),
    /// The answer comes with [`State::finish`].
    Waiting,
    /// There is no room for another request; what is used instead.
    Overloaded(Lookup),
}

#[derive(Debug)]
pub(super) struct State<T> {
    pub(super) answers: Answers,
    pub(super) queue: Queue<T>,
}

impl<T> State<T> {
    pub(super) fn new(room: Room, limits: Limits, stale_if_error: Duration) -> Self {
        Self {
            answers: Answers::new(room, stale_if_error),
            queue: Queue::new(limits),
        }
    }

    /// A namespace asks for an image.
    pub(super) fn ask(
        &mut self,
        key: &Arc<Key>,
        namespace: &str,
        request: impl FnOnce() -> T,
        now: Instant,
    ) -> Asked {
        if let Some(lookup) = self.answers.get(key, now) {
            return Asked::Known(lookup);
        }
        match self.queue.join(key, namespace, request, now) {
            Ok(()) => {
                self.answers.hold(key);
                Asked::Waiting
            }
            Err(Full) => Asked::Overloaded(self.without(key, Failure::Overloaded, now)),
        }
    }

    /// The next request to send.
    pub(super) fn start(&mut self, now: Instant) -> Option<(Arc<Key>, T)> {
        self.queue.start(now)
    }

    /// The result of a request: what those who wait for it get.
    pub(super) fn finish(&mut self, key: &Arc<Key>, lookup: Lookup, now: Instant) -> Lookup {
        let load = match &lookup {
            Lookup::Failed(Failure::RateLimited { .. }) => Load::Throttled,
            Lookup::Failed(failure) if failure.is_without_answer() => Load::Unknown,
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Failed(_) => Load::Normal,
            Lookup::Pending => Load::Unknown,
        };
        self.queue.finish(key, load, now);
        self.answers.record(key, &lookup, now);
        // The pod that is pinned to it is validated next, by its digest.
        if let Lookup::Found { facts, .. } = &lookup
            && let Some(of_digest) = key.with_digest(&facts.digest)
        {
            self.answers.record(&Arc::new(of_digest), &lookup, now);
        }
        match lookup {
            Lookup::Failed(failure) => self.without(key, failure, now),
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Pending => lookup,
        }
    }

    /// What one gets who cannot wait any longer.
    pub(super) fn late(&mut self, key: &Key, now: Instant) -> Lookup {
        if let Some(lookup) = self.answers.get(key, now) {
            return lookup;
        }
        let cause = if self.queue.is_running(key) {
            Failure::Timeout
        } else {
            Failure::Overloaded
        };
        self.answers
            .last_known(key, &cause, now)
            .unwrap_or(Lookup::Pending)
    }

    fn without(&self, key: &Key, failure: Failure, now: Instant) -> Lookup {
        self.answers
            .last_known(key, &failure, now)
            .unwrap_or(Lookup::Failed(failure))
    }
}
