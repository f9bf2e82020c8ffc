//! Events on the workloads of pods that are denied.
//!
//! Here: the queue, and what is written for each denied pod. Not here: the denial itself, and requests
//! (`bailiff_kube`).
//! Invariant: no review waits for an Event. What waits is bounded, and so is what a namespace can have
//! written; the rest is counted. An Event is about an object of the pod's own namespace. A caller that is not
//! verified can have an Event written, and it is true.

mod denied;
mod note;
mod owners;
mod recent;
mod series;

use crate::budget::Budget;
use crate::callers::Callers;
use crate::reports::{Reports, Templates};
use bailiff_api::event::IMAGE_DENIED;
use bailiff_kube::events::{EventSpec, Recorder, Told};
use bailiff_kube::owner::OwnerError;
use denied::Denied;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use owners::{Confirmation, Confirmed, Decides, Owners};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::Value;
use series::Series;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Most pods whose Events wait; each takes at most 16 KiB.
const WAITING_LIMIT: usize = 256;
/// Most Events of a namespace at once.
const BURST: u32 = 16;
/// Time until there is room for another one.
const INTERVAL: Duration = Duration::from_secs(1);
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
    /// The caller is not verified, and pods of the controller's template would be admitted.
    Unconfirmed,
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
            Self::Unconfirmed => "unconfirmed",
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
#[derive(Clone)]
pub(crate) struct WorkloadEvents {
    queue: mpsc::Sender<Denied>,
    decides: Decides,
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
    /// An empty queue, and what writes it as a replica of the webhook: [`EventWriter::run`] has to run. For
    /// callers that are not verified, nothing is written before [`Reports::confirm_with`].
    pub(crate) fn new(
        client: kube::Client,
        instance: String,
        callers: Callers,
    ) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
        let (events, decides) = (Family::default(), Decides::default());
        let recorder = Recorder::new(
            client.clone(),
            bailiff_api::keys::REPORTING_WEBHOOK,
            instance,
        );
        let writer = EventWriter {
            queue: receiver,
            recorder,
            owners: Owners::new(client, callers, Arc::clone(&decides)),
            series: Series::default(),
            events: events.clone(),
            clock: Timestamp::now,
        };
        let queue = Self {
            queue: sender,
            decides,
            budget: Arc::new(Mutex::new(Budget::new(BURST, INTERVAL))),
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
            .take(namespace, Instant::now().into_std());
        if !has_budget || self.queue.try_send(denied).is_err() {
            count(&self.events, EventResult::Limited);
        }
    }

    fn confirm_with(&self, templates: Weak<dyn Templates>) {
        // The first counts; there is one for each webhook.
        self.decides.get_or_init(|| templates);
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
        let Confirmed { workload, message } = match self.owners.confirm(denied).await? {
            Confirmation::Confirmed(confirmed) => confirmed,
            Confirmation::NoWorkload => return Ok(EventResult::NoWorkload),
            Confirmation::Unconfirmed => return Ok(EventResult::Unconfirmed),
        };
        let spec = EventSpec {
            reason: IMAGE_DENIED,
            action: "Admitting",
            warning: true,
            note: note::note(&message, &denied.owner.kind),
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
        let known = self.series.get(&key);
        let (result, event) = match self.recorder.tell(&spec, known, now).await? {
            Told::Created(event) => (EventResult::Created, event),
            Told::Counted(event) => (EventResult::Repeated, event),
        };
        self.series.put(key, event, Instant::now());
        Ok(result)
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
