//! Gives every Incident that needs it a task.
//!
//! Here: the watch of Incidents, and the tasks. Not here: which Incident needs one when
//! (`work`), and what a task does (`answer`).
//! Invariant: all past answers are learned before the first new one is given; a task that
//! panics is told of and its Incident is looked at again.

use crate::answer::{Controller, End};
use crate::metrics::Metrics;
use crate::work::{Key, Need, Work};
use bailiff_api::Incident;
use bailiff_kube::serve::Pulse;
use bailiff_kube::watch::Event;
use futures::{Stream, StreamExt as _};
use kube::runtime::watcher;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the loop sleeps at most, so that it shows that it turns.
pub(crate) const TURN: Duration = Duration::from_secs(10);

/// Answers what the watch brings until `stopping`; then it waits until what was begun has ended.
/// It returns early only when the watch ends for good.
pub(crate) async fn dispatch(
    controller: Arc<Controller>,
    incidents: impl Stream<Item = watcher::Result<Event<Incident>>> + Unpin,
    again: Duration,
    metrics: Metrics,
    pulse: Pulse,
    stopping: CancellationToken,
) {
    let mut incidents = incidents;
    let mut tasks = Tasks {
        controller: Arc::clone(&controller),
        running: JoinSet::new(),
        keys: BTreeMap::new(),
        work: Work::new(again),
    };
    let mut listing = Listing::default();
    loop {
        pulse.beat();
        metrics
            .under_way
            .set(i64::try_from(tasks.running.len()).unwrap_or(i64::MAX));
        let due = tasks.work.next_due();
        let turn = Instant::now() + TURN;
        let event = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = tasks.running.join_next_with_id() => {
                tasks.ended(ended);
                continue;
            }
            event = incidents.next() => event,
            () = tokio::time::sleep_until(due.map_or(turn, |due| due.min(turn))) => {
                for key in tasks.work.due(Instant::now()) {
                    tasks.look(key);
                }
                continue;
            }
        };
        match event {
            None => return,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot watch incidents; it is tried again");
            }
            Some(Ok(Event::Delete(incident))) => {
                tasks.work.gone(incident.uid.as_deref().unwrap_or_default());
            }
            Some(Ok(event)) => {
                for incident in listing.learn(event, &controller, &mut tasks.work) {
                    tasks.answer(incident);
                }
            }
        }
    }
    while let Some(ended) = tasks.running.join_next_with_id().await {
        pulse.beat();
        tasks.ended(ended);
    }
}

/// A list that the watch brings, piece by piece.
#[derive(Default)]
struct Listing {
    present: BTreeSet<String>,
    /// The first list: its Incidents are kept until all past answers are learned.
    kept: Vec<Incident>,
    first_done: bool,
}

impl Listing {
    /// The Incidents that may be answered now.
    fn learn(
        &mut self,
        event: Event<Incident>,
        controller: &Controller,
        work: &mut Work,
    ) -> Vec<Incident> {
        match event {
            Event::Init => {
                self.present.clear();
                self.kept.clear();
            }
            Event::InitApply(incident) => {
                self.present
                    .insert(incident.metadata.uid.clone().unwrap_or_default());
                if self.first_done {
                    return vec![trimmed(incident)];
                }
                self.kept.push(trimmed(incident));
            }
            Event::InitDone => {
                work.relisted(&self.present);
                self.present.clear();
                let kept = std::mem::take(&mut self.kept);
                // Not before: a list that broke off in the middle begins anew, and an answer that
                // was learned twice would count twice for its binding's limit.
                if !self.first_done {
                    for incident in &kept {
                        controller.learn(incident);
                    }
                }
                self.first_done = true;
                return kept;
            }
            Event::Apply(incident) => return vec![trimmed(incident)],
            Event::Delete(_) => {}
        }
        Vec::new()
    }
}

/// Without what no answer needs and what makes most of an Incident's size: many wait at once.
fn trimmed(mut incident: Incident) -> Incident {
    let process = &mut incident.spec.process;
    process.args = Vec::new();
    process.args_base64 = Vec::new();
    process.ancestors = Vec::new();
    incident.spec.violations = Vec::new();
    incident.metadata.managed_fields = None;
    incident
}

struct Tasks {
    controller: Arc<Controller>,
    running: JoinSet<()>,
    keys: BTreeMap<Id, Key>,
    work: Work,
}

impl Tasks {
    /// Answers an Incident as the watch brought it, if it needs it.
    fn answer(&mut self, incident: Incident) {
        let need = self.work.learn(&incident, Instant::now());
        let (Need::Answer { fresh }, Some(key)) = (need, Key::of(&incident)) else {
            return;
        };
        let controller = Arc::clone(&self.controller);
        self.run(key, async move { controller.answer(incident, fresh).await });
    }

    /// Reads an Incident and answers it if it needs it.
    fn look(&mut self, key: Key) {
        let controller = Arc::clone(&self.controller);
        let at = key.clone();
        self.run(key, async move { controller.look(&at).await });
    }

    fn run(&mut self, key: Key, task: impl Future<Output = Result<(), End>> + Send + 'static) {
        let (name, namespace) = (key.name.clone(), key.namespace.clone());
        let handle = self.running.spawn(async move {
            match task.await {
                Ok(()) | Err(End::Stopping) => {}
                Err(End::Gone) => tracing::info!(
                    incident = name,
                    namespace,
                    "the incident was deleted while it was answered"
                ),
            }
        });
        self.keys.insert(handle.id(), key);
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let now = Instant::now();
        let (id, failed) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Some(key) = self.keys.remove(&id) else {
            return;
        };
        match failed {
            None => self.work.done(&key.uid, now),
            Some(error) => {
                tracing::error!(%error, incident = key.name, namespace = key.namespace, "an answer ended in a panic; the incident is looked at again");
                self.work.failed(&key, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
