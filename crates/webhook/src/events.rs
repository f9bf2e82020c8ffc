//! Events on the workloads of pods that are denied.
//!
//! Here: the queue, and what is written for each denied pod. Not here: the denial itself, and requests
//! (`bailiff_kube`).
//! Invariant: no review waits for an Event. What waits is bounded, and so is what a namespace can have
//! written; the rest is counted. An Event is about an object of the pod's own namespace.

mod budget;
mod denied;
mod note;
mod owners;
mod series;

use crate::reports::Reports;
use bailiff_api::event::IMAGE_DENIED;
use bailiff_kube::events::{EventSpec, Recorder};
use bailiff_kube::owner::OwnerError;
use budget::Budget;
use denied::Denied;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use owners::Owners;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::Value;
use series::{Repeat, Series};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Most pods whose Events wait; each takes at most 16 KiB.
const WAITING_LIMIT: usize = 256;
/// How long reading the owners of a pod and writing its Event can take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// An Event could not be written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Owner(#[from] OwnerError),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// What became of the Event of a denied pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventResult {
    /// It was created.
    Created,
    /// It is counted by one that exists.
    Repeated,
    /// The pod has no controller, or one that it does not belong to or that has no namespace.
    NoWorkload,
    /// Too many pods of the namespace were denied, or of all of them.
    Limited,
    /// The API server did not accept it, or did not answer.
    Failed,
}

impl EventResult {
    const fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Repeated => "repeated",
            Self::NoWorkload => "no_workload",
            Self::Limited => "limited",
            Self::Failed => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Takes denied pods and has their Events written. Clones share the queue.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadEvents {
    queue: mpsc::Sender<Denied>,
    budget: Arc<Mutex<Budget>>,
    events: Family<ResultLabel, Counter>,
}

/// Writes what [`WorkloadEvents`] takes.
pub(crate) struct EventWriter {
    queue: mpsc::Receiver<Denied>,
    recorder: Recorder,
    owners: Owners,
    series: Series,
    events: Family<ResultLabel, Counter>,
    clock: fn() -> Timestamp,
}

impl WorkloadEvents {
    /// An empty queue, and what writes it as a replica of the webhook: [`EventWriter::run`] has to run.
    pub(crate) fn new(client: kube::Client, instance: String) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
        let events = Family::default();
        let recorder = Recorder::new(
            client.clone(),
            bailiff_api::keys::REPORTING_WEBHOOK,
            instance,
        );
        let writer = EventWriter {
            queue: receiver,
            recorder,
            owners: Owners::new(client),
            series: Series::default(),
            events: events.clone(),
            clock: Timestamp::now,
        };
        let queue = Self {
            queue: sender,
            budget: Arc::default(),
            events,
        };
        (queue, writer)
    }
}

impl Reports for WorkloadEvents {
    fn denied(&self, namespace: &str, pod: &Value, message: &str) {
        let Some(denied) = Denied::of(namespace, pod, message) else {
            count(&self.events, EventResult::NoWorkload);
            return;
        };
        let has_budget = self
            .budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(namespace, Instant::now());
        if !has_budget || self.queue.try_send(denied).is_err() {
            count(&self.events, EventResult::Limited);
        }
    }

    fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "workload_events",
            "Events for denied pods, by result",
            self.events.clone(),
        );
    }
}

fn count(events: &Family<ResultLabel, Counter>, result: EventResult) {
    let label = ResultLabel {
        result: result.label(),
    };
    events.get_or_create(&label).inc();
}

impl EventWriter {
    /// Writes Events until the last [`WorkloadEvents`] is dropped.
    pub(crate) async fn run(mut self) {
        while let Some(denied) = self.queue.recv().await {
            let result = match timeout(TIME_LIMIT, self.write(&denied)).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) => failed(&denied, &error.to_string()),
                Err(_) => failed(&denied, "the API server did not respond"),
            };
            count(&self.events, result);
        }
    }

    async fn write(&mut self, denied: &Denied) -> Result<EventResult, WriteError> {
        let Some(workload) = self.owners.workload_of(denied).await? else {
            return Ok(EventResult::NoWorkload);
        };
        let spec = EventSpec {
            reason: IMAGE_DENIED,
            action: "Admitting",
            warning: true,
            note: note::note(&denied.message, &denied.owner.kind),
            regarding: ObjectReference {
                api_version: Some(workload.api_version),
                kind: Some(workload.kind),
                name: Some(workload.name),
                namespace: Some(denied.namespace.clone()),
                uid: Some(workload.uid.clone()),
                ..ObjectReference::default()
            },
            related: None,
        };
        let now = (self.clock)();
        let key = (workload.uid, spec.note.clone());
        if let Some(Repeat { written, count }) = self.series.next(&key, Instant::now()) {
            match self.recorder.repeat(&written, count, now).await {
                Ok(()) => return Ok(EventResult::Repeated),
                // It expired, or somebody deleted it.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error.into()),
            }
        }
        let written = self.recorder.begin(&spec, now).await?;
        self.series.begun(key, written, Instant::now());
        Ok(EventResult::Created)
    }
}

fn failed(denied: &Denied, error: &str) -> EventResult {
    let (namespace, kind, name) = (&denied.namespace, &denied.owner.kind, &denied.owner.name);
    tracing::warn!(
        error,
        namespace,
        kind,
        name,
        "Cannot write the Event of a denied pod"
    );
    EventResult::Failed
}

#[cfg(test)]
mod tests;
