//! Writes Incidents and their series, at a bounded rate.
//!
//! Here: what is written when, and where. Not here: the requests (`write/request`), what is kept of an Incident
//! (`write/entry`), what has no room (`write/entries`), when an API server that accepts nothing is asked again
//! (`write/link`), what an Incident says (`evidence`).
//! Invariant: at most [`bucket::WRITES_PER_SECOND`] writes a second, and for an Incident at growing
//! intervals, and the namespaces of pods take turns; what is held back is added up and written later, at the end within
//! [`FLUSH`]. What the API server rejects in a pod's namespace is recorded in Bailiff's. What cannot be recorded is
//! counted, logged and reported, and nothing waits for it. Where a namespace is at its limit, only what is audited and has
//! no Incident yet becomes a log entry, at most one for each request that finds none.

mod bucket;
mod entries;
mod entry;
mod fallback;
mod link;
mod request;

use crate::cluster::limits::Limits;
use crate::incident::evidence::name;
use crate::incident::unrecorded::Unrecorded;
use crate::judge::Finding;
use crate::metrics::{Metrics, NotRecorded, WriteResult};
use bailiff_kube::serve::Heartbeat;
use bucket::Bucket;
use entries::{Dropped, Entries, Name};
use entry::{Entry, Holder};
use fallback::Fallback;
use futures::stream::{FuturesUnordered, StreamExt as _};
use link::Link;
use request::{Outcome, Request};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an Incident that could not be written is kept for another try.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Longest time between two updates of an Incident whose violations continue, and between two tries.
const LONGEST_INTERVAL: Duration = Duration::from_mins(5);
/// Most requests at a time: one that gets no answer delays no other.
const IN_FLIGHT_LIMIT: usize = 32;
/// The same for the Incidents of one namespace.
const OF_A_NAMESPACE_LIMIT: usize = 4;
/// Most violations that are taken in before something is written.
const RECEIVED_LIMIT: usize = 64;
/// Bytes that have to be free for an Incident that was dropped before.
const ROOM_BYTES: usize = 16 << 10;
/// How often the writer makes progress when nothing happens.
const TURN: Duration = Duration::from_secs(10);
/// Longest time without progress; requests are on their way beside it.
pub(crate) const WRITER_LONGEST: Duration = Duration::from_mins(1);
/// How long writing goes on after the end.
pub(crate) const FLUSH: Duration = Duration::from_secs(5);

/// What a writer has to know.
#[derive(Clone, Debug)]
pub(crate) struct WriterConfig {
    pub(crate) node: String,
    /// Where Incidents go that the API server rejects in a pod's namespace.
    pub(crate) fallback_namespace: String,
    /// Time between the first two updates of an Incident; it doubles.
    pub(crate) interval: Duration,
}

/// A request that has an answer, or none in time.
struct Answered {
    name: Name,
    sent: Instant,
    /// One for this Incident failed before.
    retry: bool,
    outcome: Outcome,
}

/// A request on its way.
type Sent = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Everything that waits to be written, and how it is written.
struct Writer {
    client: kube::Client,
    config: WriterConfig,
    metrics: Metrics,
    limits: Limits,
    unrecorded: watch::Sender<Unrecorded>,
    entries: Entries,
    fallback: Fallback,
    bucket: Bucket,
    link: Link,
    requests: FuturesUnordered<Sent>,
    turns: Turns,
    /// Nothing more comes: pauses between writes are over.
    ending: bool,
}

/// Writes what it receives until the channel is closed, and then what is left; `unrecorded` has what cannot be
/// recorded. The number of Incidents of which something could not be written.
pub(crate) async fn write(
    client: kube::Client,
    config: WriterConfig,
    metrics: Metrics,
    limits: Limits,
    unrecorded: watch::Sender<Unrecorded>,
    pulse: Heartbeat,
    mut incoming: Receiver<Finding>,
) -> usize {
    let mut writer = Writer {
        client,
        config,
        metrics,
        limits,
        unrecorded,
        entries: Entries::default(),
        fallback: Fallback::default(),
        bucket: Bucket::new(Instant::now()),
        link: Link::default(),
        requests: FuturesUnordered::new(),
        turns: Turns::default(),
        ending: false,
    };
    let mut received = Vec::new();
    loop {
        pulse.beat();
        let turn = Instant::now() + TURN;
        let wake = writer.wake().map_or(turn, |wake| wake.min(turn));
        tokio::select! {
            // All that came meanwhile: what is to be written next is determined once for it.
            number = incoming.recv_many(&mut received, RECEIVED_LIMIT) => {
                if number == 0 {
                    break;
                }
                for finding in received.drain(..) {
                    writer.receive(&finding);
                }
            }
            Some(answered) = writer.requests.next() => writer.done(answered),
            () = tokio::time::sleep_until(wake) => {}
        }
        writer.start();
    }
    writer.ending = true;
    writer.link.hurry(Instant::now());
    let end = Instant::now() + FLUSH;
    while writer.entries.left() > 0 && Instant::now() < end {
        writer.start();
        let wake = writer.wake().map_or(end, |wake| wake.min(end));
        tokio::select! {
            Some(answered) = writer.requests.next() => writer.done(answered),
            () = tokio::time::sleep_until(wake) => {}
        }
    }
    for name in writer.entries.unrecorded() {
        writer.not_recorded(&name, NotRecorded::Shutdown, "the sensor ended");
    }
    writer.entries.left()
}

/// Whose turn it is: a number for each namespace, which grows with each write.
#[derive(Default)]
struct Turns {
    number: u64,
    last: HashMap<String, u64>,
}

/// From how many namespaces on those without an Incident are forgotten.
const TURNS_LIMIT: usize = 4096;

impl Turns {
    /// The last write of a namespace; none before all others.
    fn last(&self, namespace: &str) -> Option<u64> {
        self.last.get(namespace).copied()
    }

    fn take(&mut self, namespace: &str) {
        self.number = self.number.saturating_add(1);
        self.last.insert(namespace.to_owned(), self.number);
    }

    fn forget_unless(&mut self, known: impl Fn(&str) -> bool) {
        if self.last.len() > TURNS_LIMIT {
            self.last.retain(|namespace, _| known(namespace));
        }
    }
}

impl Writer {
    /// When the entry may be written; none: not before something else happens.
    fn not_before(&self, entry: &Entry, now: Instant) -> Option<Instant> {
        if entry.failures > 0 && self.link.is_away() {
            // Whose turn it is then, is tried.
            return self.link.next_retry(now);
        }
        Some(if self.ending && !entry.waits() {
            now
        } else {
            entry.not_before
        })
    }

    /// When something may be written next; None: not before something else happens.
    fn wake(&self) -> Option<Instant> {
        if self.requests.len() >= IN_FLIGHT_LIMIT {
            return None;
        }
        let now = Instant::now();
        let idle = self.entries.idle(OF_A_NAMESPACE_LIMIT);
        let next = idle
            .filter_map(|(_, entry)| self.not_before(entry, now))
            .min()?;
        Some(next.max(self.bucket.next(now)))
    }

    /// Starts what may be written now.
    fn start(&mut self) {
        let now = Instant::now();
        while self.requests.len() < IN_FLIGHT_LIMIT && self.bucket.next(now) <= now {
            let idle = self.entries.idle(OF_A_NAMESPACE_LIMIT);
            let due = idle.filter(|(_, entry)| {
                let at = self.not_before(entry, now);
                at.is_some_and(|at| at <= now)
            });
            let first =
                due.min_by_key(|(_, entry)| (self.turns.last(&entry.pod_namespace), entry.rank()));
            let Some(name) = first.map(|(name, _)| Name::clone(name)) else {
                return;
            };
            let Some(entry) = self.entries.get_mut(&name) else {
                return;
            };
            let node = &self.config.node;
            let full = self.limits.is_full(&entry.pod_namespace, node);
            let request = match Request::of(entry, full) {
                Ok(request) => request,
                Err(error) => {
                    entry.give_up(now);
                    self.not_recorded(&name, NotRecorded::Rejected, &error.to_string());
                    continue;
                }
            };
            self.bucket.take(now);
            self.turns.take(&entry.pod_namespace);
            entry.in_flight = true;
            let retry = entry.failures > 0;
            if retry {
                self.link.retried();
            }
            let (client, namespace) = (self.client.clone(), entry.namespace.clone());
            self.requests.push(Box::pin(async move {
                let outcome = request.send(client, &namespace, &name).await;
                Answered {
                    name,
                    sent: now,
                    retry,
                    outcome,
                }
            }));
        }
    }

    fn receive(&mut self, finding: &Finding) {
        self.turns
            .forget_unless(|namespace| self.entries.has(namespace));
        let name = name(finding, &self.config.node);
        let now = Instant::now();
        let (node, interval) = (&self.config.node, self.config.interval);
        if let Some(entry) = self.entries.get_mut(&name) {
            entry.add(finding, node, now, interval);
        } else {
            let holder = Holder::of(finding);
            if self.entries.drop_again(&holder, &name, ROOM_BYTES) {
                let pod = &finding.pod;
                return self.count_not_recorded(
                    NotRecorded::QueueFull,
                    1,
                    [&pod.namespace, &pod.name, &finding.policy.name],
                );
            }
            let full = self.limits.is_full(&finding.pod.namespace, node);
            if !(full && finding.is_audited()) {
                tracing::info!(
                    incident = name, policy = finding.policy.name, namespace = finding.pod.namespace,
                    pod = finding.pod.name, uid = finding.pod.uid, container = finding.container.name,
                    executable = ?finding.process.executable, origin = finding.process.origin.as_str(),
                    type_ = ?finding.type_, "Recording an Incident"
                );
            }
            let dropped = self.entries.take_dropped(&holder, &name);
            let entry = Entry::new(finding, node, dropped, now, interval);
            self.entries.insert(&name, entry);
        }
        self.make_room();
    }

    /// Drops what has no room, and reports it.
    fn make_room(&mut self) {
        for dropped in self.entries.enforce() {
            let Dropped {
                name,
                pod_namespace,
                pod,
                policy,
                exists,
                violations,
            } = dropped;
            tracing::error!(
                incident = &*name,
                namespace = pod_namespace,
                pod,
                policy,
                exists,
                violations,
                reason = ?NotRecorded::QueueFull,
                "Dropped violations, because too many wait to be written; the next violation of the same policy in the same pod counts them"
            );
            let violations = u64::try_from(violations).unwrap_or_default();
            let about = [pod_namespace.as_str(), &pod, &policy];
            self.count_not_recorded(NotRecorded::QueueFull, violations, about);
        }
    }

    /// A request was answered, or failed.
    fn done(&mut self, answered: Answered) {
        let now = Instant::now();
        let Answered {
            name,
            sent,
            retry,
            outcome,
        } = answered;
        match outcome {
            Outcome::Failed(error) => self.failed(&name, &error, sent, retry, now),
            outcome => {
                if let Some(away) = self.link.answered(now) {
                    let waiting = self.entries.left();
                    tracing::info!(
                        waiting,
                        seconds = away.as_secs(),
                        "The API server accepts Incidents again"
                    );
                    for entry in self.entries.all_mut() {
                        entry.retry_now(now);
                    }
                }
                self.settle(&name, outcome, now);
            }
        }
        // The Incident that exists can have brought its processes.
        self.make_room();
    }

    /// A request may be accepted later.
    fn failed(
        &mut self,
        name: &str,
        error: &kube::Error,
        sent: Instant,
        retry: bool,
        now: Instant,
    ) {
        self.metrics.written(WriteResult::Error);
        let away = self.link.failed(sent, retry, now);
        let waiting = self.entries.left();
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.in_flight = false;
        entry.failures = entry.failures.saturating_add(1);
        let pause = FIRST_RETRY.saturating_mul(1 << entry.failures.min(11));
        entry.not_before = now + pause.min(LONGEST_INTERVAL);
        if let Some(away) = away {
            tracing::warn!(
                incident = name, namespace = entry.namespace, waiting, seconds = away.as_secs(), %error,
                "The API server accepts no Incidents; they wait, and the sensor retries"
            );
        } else if !self.link.is_away() {
            tracing::warn!(incident = name, namespace = entry.namespace, %error, "Cannot write an Incident; retrying");
        }
    }

    /// A request was answered. More may have been found since it was sent.
    fn settle(&mut self, name: &str, outcome: Outcome, now: Instant) {
        let first_interval = self.config.interval;
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.in_flight = false;
        match outcome {
            Outcome::Created { written, room } => {
                entry.created(&written, room);
                entry.succeeded(now);
                if entry.namespace != entry.pod_namespace {
                    self.metrics.fallbacks.inc();
                }
                self.metrics.written(WriteResult::Created);
            }
            Outcome::AlreadyExists {
                spec,
                count,
                series,
            } => {
                entry.found(&spec, count, series.as_deref());
                entry.succeeded(now);
                self.metrics.written(WriteResult::Updated);
            }
            Outcome::Updated(series) => {
                entry.updated(&series);
                entry.succeeded(now);
                self.metrics.written(WriteResult::Updated);
            }
            Outcome::NotFound => {
                // The next violation, or the last one that is not written, creates it anew.
                entry.deleted(now, first_interval);
                self.metrics.written(WriteResult::Error);
            }
            Outcome::Absent => self.log(name, now),
            Outcome::Unfindable(error) => {
                tracing::warn!(
                    incident = name, namespace = entry.namespace, %error,
                    "Cannot determine whether an Incident exists; creating it"
                );
                entry.cannot_be_found();
                entry.not_before = now;
                self.metrics.written(WriteResult::Error);
            }
            Outcome::Rejected(error) => {
                self.metrics.written(WriteResult::Error);
                self.rejected(name, &error, now);
            }
            Outcome::UpdateRejected(error) => {
                self.metrics.written(WriteResult::Error);
                self.update_rejected(name, &error, now);
            }
            // It is retried, and nothing is known of the Incident.
            Outcome::Failed(_) => {}
        }
    }

    /// The API server does not accept the Incident where it was to be created.
    fn rejected(&mut self, name: &str, error: &kube::Error, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.namespace == self.config.fallback_namespace {
            entry.give_up(now);
            return self.not_recorded(name, NotRecorded::Rejected, &error.to_string());
        }
        let pod_namespace = entry.pod_namespace.clone();
        let full = self
            .limits
            .is_fallback_full(&pod_namespace, &self.config.node);
        if full || !self.fallback.take(&pod_namespace, now) {
            entry.give_up(now);
            let cause =
                format!("{error}; too many Incidents of this namespace were recorded elsewhere");
            return self.not_recorded(name, NotRecorded::NamespaceLimit, &cause);
        }
        tracing::warn!(
            incident = name, namespace = pod_namespace, %error,
            "The API server rejected an Incident in the namespace of its pod; recording it in the namespace of Bailiff"
        );
        entry.namespace.clone_from(&self.config.fallback_namespace);
        entry.not_before = now;
        entry.failures = 0;
    }

    /// The API server does not accept an update. What the controller has to know is recorded in Bailiff's
    /// namespace, in an Incident of the same name.
    fn update_rejected(&mut self, name: &str, error: &kube::Error, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        let elsewhere = entry.namespace != self.config.fallback_namespace
            && entry.has_news()
            && !self
                .limits
                .is_fallback_full(&entry.pod_namespace, &self.config.node);
        if elsewhere && self.fallback.take(&entry.pod_namespace, now) {
            tracing::warn!(
                incident = name, namespace = entry.namespace, %error,
                "The API server rejected an update of an Incident; recording what is new in the namespace of Bailiff"
            );
            let namespace = &self.config.fallback_namespace;
            return entry.record_anew_in(namespace, now, self.config.interval);
        }
        tracing::warn!(
            incident = name, namespace = entry.namespace, %error,
            "The API server rejected an update of an Incident; retrying later"
        );
        entry.hold_back(now);
    }

    /// The namespace is at its limit and has no Incident of this name. The log has what people need to
    /// find the process, and neither its arguments nor a message, which can quote them: more people read
    /// logs than Incidents.
    fn log(&mut self, name: &str, now: Instant) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if !entry.gives_way() {
            // Meanwhile it was enforced.
            entry.not_before = now;
            return;
        }
        let found = entry.evidence.as_ref().and_then(|e| e.decode().ok());
        if let Some(found) = found.map(|incident| incident.spec) {
            let process = &found.process;
            tracing::warn!(
                incident = name, policy = found.policy_ref.name, generation = found.policy_ref.generation,
                namespace = entry.pod_namespace, pod = entry.pod, uid = found.pod.uid,
                container = found.container.name, executable = ?process.executable,
                origin = process.origin.as_str(), user = process.uid, pid = process.pid,
                exec_time = %found.exec_time.0, count = entry.count,
                "Logged a violation without an Incident: the namespace has as many Incidents as are kept"
            );
        }
        entry.logged(now);
        self.metrics.incidents_logged.inc();
    }

    fn not_recorded(&self, name: &str, reason: NotRecorded, cause: &str) {
        if let Some(entry) = self.entries.get(name) {
            self.report_not_recorded(name, entry, reason, cause);
        }
    }

    fn report_not_recorded(&self, name: &str, entry: &Entry, reason: NotRecorded, cause: &str) {
        tracing::error!(
            incident = name,
            namespace = entry.pod_namespace,
            pod = entry.pod,
            policy = entry.policy,
            count = entry.count,
            ?reason,
            cause,
            "Cannot record an Incident"
        );
        let about = [entry.pod_namespace.as_str(), &entry.pod, &entry.policy];
        self.count_not_recorded(reason, 1, about);
    }

    /// Counts violations that are not recorded, for people and for Prometheus: of a namespace, a pod and a policy.
    fn count_not_recorded(&self, reason: NotRecorded, violations: u64, about: [&str; 3]) {
        self.metrics.not_recorded(reason, violations);
        let [namespace, pod, policy] = about;
        self.unrecorded
            .send_modify(|unrecorded| unrecorded.add(reason, namespace, pod, policy));
    }
}

#[cfg(test)]
mod tests;
