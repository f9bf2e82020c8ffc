//! Writes Incidents and their series, at a bounded rate.
//!
//! Here: what is written when. Not here: the requests (`write/request`), what an Incident says
//! (`evidence`).
//! Invariant: at most [`bucket::WRITES_PER_SECOND`] writes a second, at most one at a time and one in an
//! interval for a pod and policy; what is held back is added up and written later, at the end
//! within [`FLUSH`]. What could not be written then is counted and said.

mod bucket;
mod request;

use crate::incident::evidence::name;
use crate::judge::Judged;
use crate::metrics::{Metrics, Written};
use bailiff_api::BindingReference;
use bailiff_kube::serve::Pulse;
use bucket::Bucket;
use futures::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use request::{Outcome, Request};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// Most Incidents that are kept to count further violations for.
const SERIES_LIMIT: usize = 4096;
/// How long an Incident that could not be written is kept for another try.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Most requests at a time: one that gets no answer holds nobody up.
const IN_FLIGHT_LIMIT: usize = 32;
/// How often the writer turns when nothing happens.
const TURN: Duration = Duration::from_secs(10);
/// Longest time between two turns; requests are on their way beside it.
pub(crate) const WRITER_LONGEST: Duration = Duration::from_mins(1);
/// How long writing goes on after the end.
pub(crate) const FLUSH: Duration = Duration::from_secs(5);

/// Namespace and name of an Incident.
type Key = (String, String);

/// A request on its way.
type Sent = Pin<Box<dyn Future<Output = (Key, Outcome)> + Send>>;

/// One violation's way into the API.
struct Entry {
    judged: Judged,
    /// The Incident exists.
    created: bool,
    /// How often it was seen, in all and as written.
    count: i64,
    written: i64,
    last: Timestamp,
    /// What the last verdict was by.
    policy_generation: i64,
    bindings: Vec<BindingReference>,
    /// No write before.
    not_before: Instant,
    failures: u32,
    in_flight: bool,
}

impl Entry {
    fn due(&self) -> bool {
        !self.created || self.count > self.written
    }

    /// Who is written first: new Incidents, as somebody acts on them, and none of them behind
    /// one that failed before.
    fn rank(&self) -> (bool, bool, Instant) {
        (self.created, self.failures > 0, self.not_before)
    }
}

/// Everything that waits to be written, and how it is written.
struct Writer {
    client: kube::Client,
    node: String,
    interval: Duration,
    metrics: Metrics,
    entries: HashMap<Key, Entry>,
    bucket: Bucket,
    requests: FuturesUnordered<Sent>,
    /// Nothing more comes: pauses between writes are over.
    ending: bool,
}

/// Writes what it receives until the channel is closed, and then what is left. The number of
/// Incidents of which something could not be written.
pub(crate) async fn write(
    client: kube::Client,
    node: String,
    interval: Duration,
    metrics: Metrics,
    pulse: Pulse,
    mut incoming: Receiver<Judged>,
) -> usize {
    let mut writer = Writer {
        client,
        node,
        interval,
        metrics,
        entries: HashMap::new(),
        bucket: Bucket::new(Instant::now()),
        requests: FuturesUnordered::new(),
        ending: false,
    };
    loop {
        pulse.beat();
        let turn = Instant::now() + TURN;
        let wake = writer.wake().map_or(turn, |wake| wake.min(turn));
        tokio::select! {
            received = incoming.recv() => match received {
                Some(judged) => writer.receive(judged),
                None => break,
            },
            Some((key, outcome)) = writer.requests.next() => writer.done(&key, outcome),
            () = tokio::time::sleep_until(wake) => {}
        }
        writer.start();
        if writer.entries.len() > SERIES_LIMIT {
            writer.entries.retain(|_, entry| entry.due());
        }
    }
    writer.ending = true;
    let end = Instant::now() + FLUSH;
    while writer.left() > 0 && Instant::now() < end {
        writer.start();
        let wake = writer.wake().map_or(end, |wake| wake.min(end));
        tokio::select! {
            Some((key, outcome)) = writer.requests.next() => writer.done(&key, outcome),
            () = tokio::time::sleep_until(wake) => {}
        }
    }
    writer.left()
}

impl Writer {
    /// How many Incidents are not written as they are known.
    fn left(&self) -> usize {
        let left = |entry: &&Entry| entry.due() || entry.in_flight;
        self.entries.values().filter(left).count()
    }

    /// When the entry may be written.
    fn not_before(&self, entry: &Entry) -> Instant {
        if self.ending && entry.failures == 0 {
            Instant::now()
        } else {
            entry.not_before
        }
    }

    /// When something may be written next; None: not before something else happens.
    fn wake(&self) -> Option<Instant> {
        if self.requests.len() >= IN_FLIGHT_LIMIT {
            return None;
        }
        let idle = self.entries.values().filter(|e| e.due() && !e.in_flight);
        let next = idle.map(|entry| self.not_before(entry)).min()?;
        Some(next.max(self.bucket.next(Instant::now())))
    }

    /// Starts what may be written now.
    fn start(&mut self) {
        let now = Instant::now();
        while self.requests.len() < IN_FLIGHT_LIMIT && self.bucket.next(now) <= now {
            let due = self.entries.iter().filter(|(_, entry)| {
                entry.due() && !entry.in_flight && self.not_before(entry) <= now
            });
            let first = due.min_by_key(|(_, entry)| entry.rank());
            let Some(key) = first.map(|(key, _)| key.clone()) else {
                return;
            };
            let Some(entry) = self.entries.get_mut(&key) else {
                return;
            };
            self.bucket.take(now);
            entry.in_flight = true;
            let request = if entry.created {
                Request::series(entry)
            } else {
                Request::create(&entry.judged, &self.node)
            };
            let client = self.client.clone();
            self.requests.push(Box::pin(async move {
                let outcome = request.send(client, &key.0, &key.1).await;
                (key, outcome)
            }));
        }
    }

    fn receive(&mut self, judged: Judged) {
        let key = (judged.pod.namespace.clone(), name(&judged, &self.node));
        self.entries
            .entry(key)
            .and_modify(|entry| {
                entry.count = entry.count.saturating_add(1);
                entry.last = judged.time;
                entry.policy_generation = judged.policy.generation;
                entry.bindings.clone_from(&judged.bindings);
            })
            .or_insert_with(|| Entry {
                last: judged.time,
                policy_generation: judged.policy.generation,
                bindings: judged.bindings.clone(),
                judged,
                created: false,
                count: 1,
                written: 0,
                not_before: Instant::now(),
                failures: 0,
                in_flight: false,
            });
    }

    /// A request was answered. More may have been seen since it was sent.
    fn done(&mut self, key: &Key, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.in_flight = false;
        let mut pause = self.interval;
        let mut failures = 0;
        let written = match outcome {
            Outcome::Created => {
                (entry.created, entry.written) = (true, 1);
                Written::Created
            }
            Outcome::WasThere(before) => {
                (entry.created, entry.written) = (true, before);
                entry.count = before.saturating_add(entry.count);
                Written::Series
            }
            Outcome::Series(count) => {
                entry.written = count;
                Written::Series
            }
            Outcome::NobodyLeft => {
                (entry.created, entry.written) = (true, entry.count);
                Written::Failed
            }
            Outcome::Gone => {
                entry.created = false;
                entry.count = entry.count.saturating_sub(entry.written).max(1);
                Written::Failed
            }
            Outcome::Failed(error) => {
                tracing::warn!(incident = key.1, namespace = key.0, %error, "cannot write an incident; it is tried again");
                failures = entry.failures.saturating_add(1);
                pause = FIRST_RETRY.saturating_mul(1 << failures.min(7));
                Written::Failed
            }
        };
        entry.failures = failures;
        entry.not_before = Instant::now() + pause;
        self.metrics.written(written);
    }
}

#[cfg(test)]
mod tests;
