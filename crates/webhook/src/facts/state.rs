//! The memory, what is persisted of it, and the queue as one.
//!
//! Here: what follows from a question, an answer and a deadline. Not here: time, requests and who waits
//! (`facts`).
//! Invariant: a function of the events and their times alone. What is persisted is used only if there is no
//! answer of the registry, and never what a registry contradicted since.

use super::answers::{Answers, Room, denies};
use super::key::Key;
use super::persisted::{Clock, Persisted};
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
    pub(super) persisted: Persisted,
    pub(super) queue: Queue<T>,
}

impl<T> State<T> {
    pub(super) fn new(room: Room, limits: Limits, stale_if_error: Duration, clock: Clock) -> Self {
        Self {
            answers: Answers::new(room, stale_if_error),
            persisted: Persisted::new(stale_if_error, clock),
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
        if let Some(lookup) = self.known(key, namespace, now) {
            return Asked::Known(lookup);
        }
        let Err(Full) = self.queue.join(key, namespace, request, now) else {
            self.answers.hold(key);
            return Asked::Waiting;
        };
        Asked::Overloaded(self.without(key, Some(namespace), Failure::Overloaded, now))
    }

    /// The next request to send.
    pub(super) fn start(&mut self, now: Instant) -> Option<(Arc<Key>, T)> {
        self.queue.start(now)
    }

    /// The result of a request: what those who wait for it get, each as it is [`Self::told`].
    pub(super) fn finish(&mut self, key: &Arc<Key>, lookup: Lookup, now: Instant) -> Lookup {
        let load = match &lookup {
            Lookup::Failed(Failure::RateLimited { .. }) => Load::Throttled,
            Lookup::Failed(failure) if failure.is_without_answer() => Load::Unknown,
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Failed(_) => Load::Normal,
            Lookup::Pending => Load::Unknown,
        };
        let namespace = self.queue.finish(key, load, now);
        let namespace = namespace.as_deref().unwrap_or_default();
        self.answers.record(key, &lookup, namespace, now);
        // The pod that is pinned to it is validated next, by its digest.
        if let Lookup::Found { facts, .. } = &lookup
            && let Some(of_digest) = key.with_digest(&facts.digest)
        {
            let of_digest = Arc::new(of_digest);
            self.answers.record(&of_digest, &lookup, namespace, now);
        }
        let is_contradiction = match &lookup {
            Lookup::NotFound(_) => true,
            Lookup::Failed(failure) => denies(failure),
            Lookup::Found { .. } | Lookup::Pending => false,
        };
        if is_contradiction {
            self.persisted.contradict(key, now);
        }
        match lookup {
            Lookup::Failed(failure) => self.without(key, None, failure, now),
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Pending => lookup,
        }
    }

    /// An answer as a namespace is told it.
    pub(super) fn told(&self, key: &Key, namespace: &str, lookup: Lookup, now: Instant) -> Lookup {
        let lookup = match lookup {
            Lookup::Failed(failure) => self.without(key, Some(namespace), failure, now),
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Pending => lookup,
        };
        self.persisted.told(key, namespace, lookup)
    }

    /// What one gets who cannot wait any longer.
    pub(super) fn late(&mut self, key: &Key, namespace: &str, now: Instant) -> Lookup {
        if let Some(lookup) = self.known(key, namespace, now) {
            return lookup;
        }
        let cause = if self.queue.is_running(key) {
            Failure::Timeout
        } else {
            Failure::Overloaded
        };
        self.last_known(key, Some(namespace), &cause, now)
            .unwrap_or(Lookup::Pending)
    }

    /// A pod of a namespace was admitted with an image. What is not known, or not any more, changes nothing.
    pub(super) fn admitted(&mut self, key: &Key, namespace: &str, now: Instant) {
        match self.answers.found(key) {
            Some((facts, confirmed)) => {
                let (facts, confirmed) = (facts.clone(), *confirmed);
                self.persisted.admit(key, facts, confirmed, namespace, now);
            }
            None => self.persisted.admit_again(key, namespace, now),
        }
    }

    /// The answer that can be used now.
    fn known(&mut self, key: &Key, namespace: &str, now: Instant) -> Option<Lookup> {
        Some(match self.answers.get(key, namespace, now)? {
            Lookup::Failed(failure) => self.without(key, Some(namespace), failure, now),
            lookup @ (Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Pending) => lookup,
        })
    }

    /// The last answer, because there is no new one. Without a namespace, one that is for each that asks.
    fn last_known(
        &self,
        key: &Key,
        namespace: Option<&str>,
        cause: &Failure,
        now: Instant,
    ) -> Option<Lookup> {
        if let Some(lookup) = self.answers.last_known(key, cause, now) {
            return Some(lookup);
        }
        let contradicted = self.answers.contradicted(key);
        let persisted = &self.persisted;
        persisted.last_known(key, namespace, contradicted, cause, now)
    }

    fn without(
        &self,
        key: &Key,
        namespace: Option<&str>,
        failure: Failure,
        now: Instant,
    ) -> Lookup {
        self.last_known(key, namespace, &failure, now)
            .unwrap_or(Lookup::Failed(failure))
    }
}
