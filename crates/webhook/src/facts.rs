//! What registries say about images, for reviews.
//!
//! Here: answers from memory, requests for what is missing, which continue when a review can no longer
//! wait, and what is persisted. Not here: the requests themselves (`oci`, `persistence`) and what follows
//! from an answer (`policy`).
//! Invariant: a review waits until its deadline at most and gets an answer for each image; memory and
//! requests are bounded, whoever asks for what. Answers are kept, and never a verdict.
//!
//! The memory has room for 16,384 answers and 16 MiB with keys. 64 requests run at once, and 2,048 wait,
//! with at most 2.3 KiB each.

mod answers;
mod key;
mod metrics;
mod persisted;
mod queue;
mod state;

use answers::Room;
use bailiff_oci::persisted::CONFIG_MAPS;
use bailiff_oci::{Failure, Lookup, Reference};
use futures::FutureExt as _;
use jiff::Timestamp;
use key::Key;
pub(crate) use key::Wanted;
use metrics::FactsMetrics;
pub(crate) use persisted::{Aged, Clock, Condition, Observed, Write, bytes};
use queue::Limits;
use state::{Asked, State};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// When a request gives its place back. The client has shorter limits of its own.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const ROOM: Room = Room {
    entries: 16_384,
    bytes: 16 << 20,
};
const LIMITS: Limits = Limits {
    places: 64,
    waiting: 2048,
    waiting_per_namespace: 256,
};

/// Asks registries.
pub(crate) trait Registry: Send + Sync + 'static {
    /// What it asks with.
    type Credential: Send + Sync + 'static;

    /// Where the requests for a registry go: the registry or its mirror. Two registries with the same
    /// endpoint share its places.
    fn endpoint(&self, registry: &str) -> Arc<str>;

    /// Asks about an image once. [`Lookup::Pending`] is not an answer and counts as [`Failure::Timeout`].
    fn lookup(
        &self,
        reference: &Reference,
        named_by_policy: bool,
        credential: Option<&Self::Credential>,
    ) -> impl Future<Output = Lookup> + Send;
}

/// What is known about images. Clones share it.
#[derive(Debug)]
pub(crate) struct Facts<R: Registry> {
    shared: Arc<Shared<R>>,
}

impl<R: Registry> Clone for Facts<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

struct Shared<R: Registry> {
    registry: R,
    metrics: FactsMetrics,
    inner: Mutex<Inner<R::Credential>>,
}

impl<R: Registry> std::fmt::Debug for Shared<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}

struct Inner<C> {
    state: State<Request<C>>,
    /// Where each request reports its result.
    results: HashMap<Arc<Key>, watch::Sender<Option<Lookup>>>,
}

struct Request<C> {
    reference: Reference,
    named_by_policy: bool,
    credential: Option<Arc<C>>,
}

impl<R: Registry> Facts<R> {
    /// Knows nothing yet. The last answer about a tag is used for at most `stale_if_error` if its registry
    /// does not answer; zero: never.
    #[must_use]
    pub(crate) fn new(registry: R, stale_if_error: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                registry,
                metrics: FactsMetrics::default(),
                inner: Mutex::new(Inner {
                    state: State::new(ROOM, LIMITS, stale_if_error, clock()),
                    results: HashMap::new(),
                }),
            }),
        }
    }

    /// Names the metrics in the webhook's part of a registry of metrics.
    pub(crate) fn register(&self, metrics: &mut prometheus_client::registry::Registry) {
        self.shared.metrics.register(metrics);
        let shared = Arc::clone(&self.shared);
        let load = move || shared.load();
        metrics.register_collector(Box::new(metrics::LoadCollector::new(load)));
    }

    /// Counts an answer that was there without asking.
    pub(crate) fn count(&self, lookup: &Lookup) {
        self.shared.metrics.count(lookup);
    }

    /// The answers about images, by their normal forms; what is known at once, and the rest when its
    /// registry has answered. What is not there at the deadline is the last answer about the tag, or else
    /// [`Lookup::Pending`], and the requests continue. Of several questions about a reference the first
    /// counts. It never fails: why an image could not be checked is an answer.
    pub(crate) async fn lookup(
        &self,
        wanted: Vec<Wanted<R::Credential>>,
        deadline: Instant,
    ) -> BTreeMap<String, Lookup> {
        let (mut answers, waiting) = self.shared.ask(wanted);
        for (name, key, namespace, mut result) in waiting {
            let came = tokio::time::timeout_at(deadline, result.wait_for(Option::is_some)).await;
            let lookup = match came {
                Ok(Ok(lookup)) => lookup.clone(),
                Ok(Err(_)) | Err(_) => None,
            };
            let lookup = lookup.unwrap_or_else(|| self.shared.late(&key, &namespace));
            let lookup = self.shared.told(&key, &namespace, lookup);
            answers.insert(name, lookup);
        }
        for lookup in answers.values() {
            self.shared.metrics.count(lookup);
        }
        answers
    }

    /// Pods with these images were admitted, by answers of [`Self::lookup`].
    pub(crate) fn admitted(&self, wanted: &[Wanted<R::Credential>]) {
        let now = Instant::now().into_std();
        let mut inner = self.shared.inner();
        for wanted in wanted {
            let endpoint = self.shared.registry.endpoint(wanted.reference.registry());
            let key = Key::new(endpoint, wanted);
            inner.state.admitted(&key, &wanted.namespace, now);
        }
    }

    /// A `ConfigMap` was read; what was known about it before.
    pub(crate) fn observe(&self, number: usize, observed: Observed) -> Condition {
        let mut inner = self.shared.inner();
        let before = inner.state.persisted.condition(number);
        inner.state.persisted.observe(number, observed, clock());
        before
    }

    /// Whether something is known about each `ConfigMap`.
    pub(crate) fn are_observed(&self) -> bool {
        let inner = self.shared.inner();
        let mut all = 0..CONFIG_MAPS.len();
        all.all(|number| inner.state.persisted.condition(number) != Condition::NotRead)
    }

    /// What to write into a `ConfigMap`; none: it is not worth a write yet, or it cannot be written. The last
    /// time, each change is.
    ///
    /// # Errors
    /// More than half of what it has would go because of its age.
    pub(crate) fn to_write(&self, number: usize, is_last: bool) -> Result<Option<Write>, Aged> {
        let now = Instant::now().into_std();
        self.shared
            .inner()
            .state
            .persisted
            .to_write(number, is_last, now)
    }

    /// A `ConfigMap` was written.
    pub(crate) fn written(&self, number: usize, write: Write) {
        self.shared.inner().state.persisted.written(number, write);
    }

    /// A `ConfigMap` could not be written.
    pub(crate) fn not_written(&self) {
        self.shared.metrics.write_errors.inc();
    }
}

/// The time by both clocks.
fn clock() -> Clock {
    Clock {
        at: Instant::now().into_std(),
        seconds: Timestamp::now().as_second(),
    }
}

/// A result that a review of a namespace waits for.
type Waiting = (String, Arc<Key>, String, watch::Receiver<Option<Lookup>>);

impl<R: Registry> Shared<R> {
    fn inner(&self) -> MutexGuard<'_, Inner<R::Credential>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(
        self: &Arc<Self>,
        wanted: Vec<Wanted<R::Credential>>,
    ) -> (BTreeMap<String, Lookup>, Vec<Waiting>) {
        let now = Instant::now().into_std();
        let mut answers = BTreeMap::new();
        let mut waiting = Vec::new();
        let mut guard = self.inner();
        let inner = &mut *guard;
        for wanted in wanted {
            let endpoint = self.registry.endpoint(wanted.reference.registry());
            let key = Arc::new(Key::new(endpoint, &wanted));
            if answers.contains_key(key.reference()) {
                continue;
            }
            let name = key.reference().to_owned();
            let namespace = wanted.namespace;
            let request = || Request {
                reference: wanted.reference,
                named_by_policy: wanted.named_by_policy,
                credential: wanted.credential,
            };
            match inner.state.ask(&key, &namespace, request, now) {
                Asked::Known(lookup) => {
                    self.metrics.hits.inc();
                    let lookup = inner.state.told(&key, &namespace, lookup, now);
                    answers.insert(name, lookup);
                }
                Asked::Overloaded(lookup) => {
                    answers.insert(name, lookup);
                }
                Asked::Waiting => {
                    self.metrics.misses.inc();
                    let results = inner.results.entry(Arc::clone(&key));
                    let result = results
                        .or_insert_with(|| watch::channel(None).0)
                        .subscribe();
                    answers.insert(name.clone(), Lookup::Pending);
                    waiting.push((name, key, namespace, result));
                }
            }
        }
        self.start(inner, now);
        (answers, waiting)
    }

    fn told(&self, key: &Key, namespace: &str, lookup: Lookup) -> Lookup {
        let now = Instant::now().into_std();
        self.inner().state.told(key, namespace, lookup, now)
    }

    fn late(&self, key: &Key, namespace: &str) -> Lookup {
        let now = Instant::now().into_std();
        self.inner().state.late(key, namespace, now)
    }

    /// Sends the requests that have a place.
    fn start(self: &Arc<Self>, inner: &mut Inner<R::Credential>, now: std::time::Instant) {
        while let Some((key, request)) = inner.state.start(now) {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                let lookup = shared.request(request).await;
                shared.finish(&key, lookup);
            });
        }
    }

    /// The result of a request; a panic is one, too, so that the place comes back.
    async fn request(&self, request: Request<R::Credential>) -> Lookup {
        let credential = request.credential.as_deref();
        let asking = self
            .registry
            .lookup(&request.reference, request.named_by_policy, credential);
        let asking = AssertUnwindSafe(asking).catch_unwind();
        let lookup = match tokio::time::timeout(REQUEST_LIMIT, asking).await {
            Ok(Ok(lookup)) => lookup,
            Ok(Err(_)) => {
                tracing::error!(image = %request.reference, "Asking for an image panicked");
                Lookup::Pending
            }
            Err(_) => Lookup::Pending,
        };
        match lookup {
            Lookup::Pending => Lookup::Failed(Failure::Timeout),
            // Whatever the client made of it: a digest is never another one.
            Lookup::Found { facts, .. }
                if request
                    .reference
                    .digest()
                    .is_some_and(|digest| *digest != facts.digest) =>
            {
                Lookup::Failed(Failure::DigestMismatch)
            }
            Lookup::Found { .. } | Lookup::NotFound(_) | Lookup::Failed(_) => lookup,
        }
    }

    fn finish(self: &Arc<Self>, key: &Arc<Key>, lookup: Lookup) {
        let now = Instant::now().into_std();
        let mut inner = self.inner();
        let lookup = inner.state.finish(key, lookup, now);
        if let Some(result) = inner.results.remove(key) {
            result.send_replace(Some(lookup));
        }
        self.start(&mut inner, now);
    }

    fn load(&self) -> metrics::Load {
        let now = Instant::now().into_std();
        let inner = self.inner();
        let (waiting, oldest) = inner.state.queue.waiting();
        metrics::Load {
            running: inner.state.queue.running(),
            waiting,
            oldest_waiting: oldest.map(|since| now.saturating_duration_since(since)),
            answers: inner.state.answers.size().entries,
            bytes: inner.state.answers.size().bytes,
            persisted: inner.state.persisted.size(),
        }
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
