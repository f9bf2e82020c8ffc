//! Gives Incidents their slots in the order of the queue.
//!
//! Here: the watch of Incidents, the tasks, and what the queue learns. Not here: the order
//! (`bailiff_response`), and what a task does (`reconcile`).
//! Invariant: every Incident of the first list is learned, and the cache complete, before the first
//! slot is given; each slot ends exactly once, also if its task panics.

use crate::cache::{Cache, News};
use crate::metrics::Metrics;
use crate::reconcile::{Controller, Stop, Work};
use crate::retention::Retention;
use crate::waits::HEARTBEAT_INTERVAL;
use bailiff_api::Incident;
use bailiff_api::condition::types;
use bailiff_kube::serve::Heartbeat;
use bailiff_kube::watch::Event;
use bailiff_response::{Finished, Key, Summary, Wake, is_final};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use kube::runtime::watcher;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Most Incidents that are kept as the watch brought them; others are read.
const BROUGHT_LIMIT: usize = 256;
/// How often the metrics of the queue are computed at most.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);

/// Responds to what the watch brings until `stopping`; then it waits until what was begun has ended.
/// It returns early only when the watch ends for good.
pub(crate) async fn dispatch(
    controller: Arc<Controller>,
    cache: Cache,
    incidents: impl Stream<Item = watcher::Result<Event<Incident>>> + Unpin,
    mut news: mpsc::UnboundedReceiver<News>,
    metrics: Metrics,
    heartbeat: Heartbeat,
    stopping: CancellationToken,
) {
    let mut incidents = incidents;
    let mut tasks = Tasks {
        controller: Arc::clone(&controller),
        retention: Retention::new(&controller, metrics.clone()),
        running: JoinSet::new(),
        keys: BTreeMap::new(),
        brought: BTreeMap::new(),
        listing: BTreeSet::new(),
        listed: false,
        fallback: BTreeSet::new(),
    };
    let complete = cache.complete();
    tokio::pin!(complete);
    let mut is_complete = false;
    let mut measured = Instant::now() - METRICS_INTERVAL;
    loop {
        heartbeat.beat();
        if is_complete && tasks.listed {
            tasks.start();
        }
        if measured.elapsed() >= METRICS_INTERVAL {
            measured = Instant::now();
            metrics.measure(&controller.work());
            let fallback = i64::try_from(tasks.fallback.len()).unwrap_or(i64::MAX);
            metrics.fallback_incidents.set(fallback);
            // Not only when nothing happens: a flood must not keep it from its turn.
            tasks.tick();
        }
        let sleep = tokio::time::sleep_until(tasks.next_wake());
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = tasks.running.join_next_with_id() => tasks.ended(ended),
            Some(item) = news.recv() => tasks.wake(&item),
            event = incidents.next() => match event {
                None => return,
                Some(Err(error)) => {
                    tracing::warn!(%error, "Cannot watch Incidents; it is retried");
                }
                Some(Ok(event)) => tasks.learn(event),
            },
            () = &mut complete, if !is_complete => is_complete = true,
            () = sleep => {}
        }
    }
    while let Some(ended) = tasks.running.join_next_with_id().await {
        heartbeat.beat();
        tasks.ended(ended);
    }
    Box::pin(controller.last_look()).await;
    controller.finish_events().await;
}

struct Tasks {
    controller: Arc<Controller>,
    retention: Retention,
    running: JoinSet<Result<Finished, Stop>>,
    keys: BTreeMap<Id, Key>,
    /// Incidents as the watch brought them, by UID, until their first slot.
    brought: BTreeMap<String, Incident>,
    /// The Incidents that the list that is coming has named.
    listing: BTreeSet<String>,
    listed: bool,
    /// Incidents in Bailiff's namespace, because the namespace of their pod rejected them.
    fallback: BTreeSet<String>,
}

impl Tasks {
    fn learn(&mut self, event: Event<Incident>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(incident) => {
                self.listing
                    .insert(incident.metadata.uid.clone().unwrap_or_default());
                self.observe(incident);
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                self.controller.relisted(&listing);
                self.brought.retain(|uid, _| listing.contains(uid));
                self.retention.relisted(&listing);
                self.fallback.retain(|uid| listing.contains(uid));
                self.listed = true;
            }
            Event::Apply(incident) => self.observe(incident),
            Event::Delete(metadata) => {
                let uid = metadata.uid.unwrap_or_default();
                let mut work = self.controller.work();
                work.controls.deleted(&uid);
                work.queue.deleted(&uid);
                drop(work);
                self.brought.remove(&uid);
                self.fallback.remove(&uid);
                self.retention.deleted(&uid);
                self.controller.forget(&uid);
            }
        }
    }

    fn observe(&mut self, incident: Incident) {
        let Some(summary) = Summary::of(&incident) else {
            return;
        };
        let mut work = self.controller.work();
        work.controls.observe(&incident);
        work.queue.observe(summary, Timestamp::now());
        drop(work);
        self.retention.observe(&incident);
        self.controller.observe_failure(&incident);
        self.controller.observe_response(&incident);
        let status = incident.status.as_ref();
        let uid = incident.metadata.uid.clone().unwrap_or_default();
        if incident.metadata.namespace.as_ref() != Some(&incident.spec.pod.namespace) {
            self.fallback.insert(uid.clone());
        }
        if let Some(replacement) = status.and_then(|s| s.replacement.as_ref()) {
            self.controller
                .claims()
                .learn(&replacement.uid, &uid, Timestamp::now());
        }
        if status.is_some_and(|s| s.response.is_some()) && !is_final(&incident, types::RECOVERED) {
            self.controller.await_replacement(&incident);
        }
        // A list brings more than there is room for, and one that is older than it looks.
        if self.listed && (self.brought.len() < BROUGHT_LIMIT || self.brought.contains_key(&uid)) {
            self.brought.insert(uid, incident);
        }
    }

    /// Gives slots to what is due.
    fn start(&mut self) {
        loop {
            let job = {
                let mut work = self.controller.work();
                let Work { queue, controls } = &mut *work;
                queue.next(&controls.ledger, Timestamp::now())
            };
            let Some(job) = job else {
                break;
            };
            let key = job.key.clone();
            let brought = self.brought.remove(&key.uid).filter(|_| job.fresh);
            let controller = Arc::clone(&self.controller);
            let task = async move { Box::pin(controller.reconcile_job(&job, brought)).await };
            let handle = self.running.spawn(task);
            self.keys.insert(handle.id(), key);
        }
        // No slot will take these as they were brought.
        if self.running.is_empty() {
            self.brought.clear();
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<Finished, Stop>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => {
                tracing::error!(%error, "A response ended in a panic; its Incident is retried");
                (error.id(), Ok(Finished::failed()))
            }
        };
        let Some(key) = self.keys.remove(&id) else {
            return;
        };
        let mut work = self.controller.work();
        let finished = match result {
            Ok(finished) => finished,
            Err(Stop::NotFound) => {
                tracing::info!(
                    incident = key.name,
                    namespace = key.namespace,
                    "The Incident was deleted during the response"
                );
                work.controls.deleted(&key.uid);
                work.queue.deleted(&key.uid);
                self.controller.forget(&key.uid);
                Finished::Final
            }
            Err(Stop::Stopping) => Finished::failed(),
            Err(Stop::Unwritten(at_least)) => Finished::not_written(at_least),
        };
        work.queue.finished(&key.uid, finished, Timestamp::now());
    }

    fn wake(&self, news: &News) {
        let wake = match news {
            News::Policy(uid) => Wake::Policy(uid),
            News::Reason(reason) => Wake::Reason(reason),
            News::All => Wake::All,
        };
        self.controller.work().queue.wake(wake);
    }

    fn next_wake(&self) -> Instant {
        let heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
        let limits = self.retention.next_wake().filter(|_| self.listed);
        let soon = limits.map(|at| at.max(Instant::now() + METRICS_INTERVAL));
        let heartbeat = soon.map_or(heartbeat, |at| at.min(heartbeat));
        let next = self.controller.work().queue.next_wake();
        let Some(next) = next.filter(|_| self.listed) else {
            return heartbeat;
        };
        let left = next.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        heartbeat.min(Instant::now() + left.max(Duration::from_millis(1)))
    }

    fn tick(&mut self) {
        self.controller.work().controls.prune(Timestamp::now());
        if self.listed {
            self.retention.tick();
        }
    }
}

#[cfg(test)]
mod tests;
