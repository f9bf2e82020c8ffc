//! Writes Incidents and their series, at a bounded rate.
//!
//! Here: what is written when, and the requests. Not here: what an Incident says (`evidence`).
//! Invariant: at most [`WRITES_PER_SECOND`] writes a second, at most one a second for a pod and
//! policy; what is held back is added up and written later, never dropped.

use crate::evidence::incident;
use crate::judge::Judged;
use crate::metrics::{Metrics, Written};
use bailiff_api::{BindingReference, Incident, Series, incident_name};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, Patch, PatchParams, PostParams};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// Writes in a second, and how many at once after a rest.
const WRITES_PER_SECOND: f64 = 5.0;
/// Most Incidents that are kept to count further violations for.
const SERIES_LIMIT: usize = 4096;
/// How long an Incident that could not be written is kept for another try.
const FIRST_RETRY: Duration = Duration::from_millis(250);

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
}

/// Writes what it receives until the channel is closed.
pub(crate) async fn write(
    client: kube::Client,
    node: String,
    interval: Duration,
    metrics: Metrics,
    mut incoming: Receiver<Judged>,
) {
    let mut entries: HashMap<(String, String), Entry> = HashMap::new();
    let mut bucket = Bucket::new(Instant::now());
    loop {
        let next = entries
            .values()
            .filter(|entry| entry.due())
            .map(|entry| entry.not_before)
            .min();
        let wake = next.map(|next| next.max(bucket.next(Instant::now())));
        tokio::select! {
            received = incoming.recv() => {
                let Some(judged) = received else { return };
                receive(&mut entries, judged);
            }
            () = sleep_until(wake) => {}
        }
        // New Incidents first: somebody acts on them.
        while bucket.next(Instant::now()) <= Instant::now() {
            let now = Instant::now();
            let due = entries
                .iter()
                .filter(|(_, entry)| entry.due() && entry.not_before <= now);
            let Some(key) = due
                .min_by_key(|(_, entry)| (entry.created, entry.not_before))
                .map(|(key, _)| key.clone())
            else {
                break;
            };
            let Some(entry) = entries.get_mut(&key) else {
                break;
            };
            bucket.take(now);
            let api: Api<Incident> = Api::namespaced(client.clone(), &key.0);
            attempt(entry, &api, &key.1, &node, interval, &metrics).await;
        }
        if entries.len() > SERIES_LIMIT {
            entries.retain(|_, entry| entry.due());
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

fn receive(entries: &mut HashMap<(String, String), Entry>, judged: Judged) {
    let key = (
        judged.pod.namespace.clone(),
        incident_name(&judged.pod.uid, &judged.policy.uid, judged.type_),
    );
    let now = Instant::now();
    entries
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
            not_before: now,
            failures: 0,
        });
}

impl Entry {
    fn due(&self) -> bool {
        !self.created || self.count > self.written
    }
}

/// Creates the Incident, or writes its series.
async fn attempt(
    entry: &mut Entry,
    api: &Api<Incident>,
    name: &str,
    node: &str,
    interval: Duration,
    metrics: &Metrics,
) {
    let outcome = if entry.created {
        series(entry, api, name).await
    } else {
        create(entry, api, name, node).await
    };
    let (written, pause) = match outcome {
        Ok(written) => {
            entry.failures = 0;
            (written, interval)
        }
        Err(error) => {
            tracing::warn!(incident = name, namespace = entry.judged.pod.namespace, %error, "cannot write an incident; it is tried again");
            entry.failures = entry.failures.saturating_add(1);
            (
                Written::Failed,
                FIRST_RETRY.saturating_mul(1 << entry.failures.min(7)),
            )
        }
    };
    metrics.written(written);
    entry.not_before = Instant::now() + pause;
}

async fn create(
    entry: &mut Entry,
    api: &Api<Incident>,
    name: &str,
    node: &str,
) -> Result<Written, kube::Error> {
    let (judged, seen) = (&entry.judged, entry.count);
    tracing::info!(
        incident = name, policy = judged.policy.name, namespace = judged.pod.namespace, pod = judged.pod.name,
        uid = judged.pod.uid, container = judged.container.name, executable = ?judged.process.executable,
        origin = judged.process.origin.as_str(), "violation"
    );
    match api
        .create(&PostParams::default(), &incident(judged, node, judged.time))
        .await
    {
        Ok(_) => {
            entry.written = 1;
            entry.created = true;
            Ok(Written::Created)
        }
        // A sensor that started again: the Incident is there, and this is one more of its series.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // A sensor may not read Incidents; the answer to a write that says nothing is the object.
            let nothing = Patch::Merge(serde_json::json!({}));
            let before = api
                .patch_status(name, &PatchParams::default(), &nothing)
                .await?
                .status
                .and_then(|status| status.series);
            let before = before.map_or(1, |series| series.count);
            entry.created = true;
            entry.written = before;
            entry.count = before.saturating_add(seen);
            Ok(Written::Series)
        }
        // The namespace or its pod is going: nobody is left to be told, the log has it.
        Err(kube::Error::Api(status))
            if status.code == 404
                || status.code == 403 && status.message.contains("being terminated") =>
        {
            entry.created = true;
            entry.written = entry.count;
            Ok(Written::Failed)
        }
        Err(error) => Err(error),
    }
}

async fn series(
    entry: &mut Entry,
    api: &Api<Incident>,
    name: &str,
) -> Result<Written, kube::Error> {
    let count = entry.count;
    let series = Series {
        count,
        last_observed_time: MicroTime(entry.last),
        policy_generation: entry.policy_generation,
        bindings: entry.bindings.clone(),
    };
    let patch = serde_json::json!({"status": {"series": series}});
    match api
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Ok(_) => {
            entry.written = count;
            Ok(Written::Series)
        }
        // Somebody deleted the Incident: the next violation makes it anew.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            entry.created = false;
            entry.count = count.saturating_sub(entry.written).max(1);
            Ok(Written::Failed)
        }
        Err(error) => Err(error),
    }
}

/// A bucket of writes that fills with time.
struct Bucket {
    filled: f64,
    since: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            filled: WRITES_PER_SECOND,
            since: now,
        }
    }

    fn level(&self, now: Instant) -> f64 {
        (self.filled + now.duration_since(self.since).as_secs_f64() * WRITES_PER_SECOND)
            .min(WRITES_PER_SECOND)
    }

    /// When the next write is allowed.
    fn next(&self, now: Instant) -> Instant {
        let missing = 1.0 - self.level(now);
        if missing <= 0.0 {
            now
        } else {
            now + Duration::from_secs_f64(missing / WRITES_PER_SECOND)
        }
    }

    fn take(&mut self, now: Instant) {
        self.filled = self.level(now) - 1.0;
        self.since = now;
    }
}
