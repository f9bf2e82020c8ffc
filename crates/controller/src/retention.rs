//! Keeps the number of Incidents within its limits.
//!
//! Here: what is known of all Incidents, deleting closed ones, and when. Not here: which are deleted and
//! which limits are reached (`bailiff_response`), telling the sensors (`incident_limits`).
//! Invariant: one deletion run at a time; each deletion names the UID, and so never deletes a newer
//! Incident. A run requests at most [`PER_SECOND`] deletions a second, [`IN_FLIGHT_LIMIT`] at a time.
//!
//! What is bounded: 5,000 sensors may create 25,000 Incidents a second, which no deletions keep up with.
//! Audited ones end when the sensors learn that a limit is reached. Enforced ones and evaluation errors do
//! not: the former are bounded by the pods and policies that there are, the latter are one for each node,
//! policy generation and hour.

use crate::incident_limits::PublishedLimits;
use crate::metrics::Metrics;
use crate::reconcile::Controller;
use bailiff_api::Incident;
use bailiff_response::Key;
use bailiff_response::limits::{Counted, Limits};
use bailiff_response::retention::{Closed, RetentionSettings, expired};
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// Interval between searches for closed Incidents to delete.
const INTERVAL: Duration = Duration::from_mins(1);
/// When a run that failed is repeated.
const RETRY: Duration = Duration::from_secs(10);
/// How often the limits are determined at most.
const LIMITS_INTERVAL: Duration = Duration::from_secs(1);
/// Most deletions in a second: the API server has other things to do.
const PER_SECOND: u32 = 50;
/// Most deletions at a time.
const IN_FLIGHT_LIMIT: usize = 8;
/// Most Incidents that one run deletes; if there are more, the next one follows at once, with those that
/// tell least by then.
const RUN_LIMIT: usize = 3000;
/// So many failures end a run.
const FAILURES_LIMIT: u32 = 10;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Run {
    deleted: u32,
    failed: u32,
    /// There were more than one run deletes.
    more: bool,
}

/// What is known of Incidents.
pub(crate) struct Retention {
    client: Client,
    metrics: Metrics,
    settings: RetentionSettings,
    /// All Incidents, by UID.
    counted: BTreeMap<String, Counted>,
    closed: BTreeMap<String, Closed>,
    limits: Limits,
    /// When the limits are determined again; none: nothing changed.
    limits_at: Option<Instant>,
    published: PublishedLimits,
    next: Instant,
    running: Option<JoinHandle<Run>>,
}

impl Retention {
    pub(crate) fn new(controller: &Controller, metrics: Metrics) -> Self {
        let config = controller.config();
        let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let client = controller.client().clone();
        Self {
            published: PublishedLimits::new(client.clone(), config.namespace.clone()),
            client,
            metrics,
            settings: RetentionSettings {
                max_age: SignedDuration::try_from(config.retention_max_age)
                    .unwrap_or(SignedDuration::MAX),
                max_per_namespace: number(config.retention_max_incidents_per_namespace),
                max_in_cluster: number(config.retention_max_incidents),
            },
            counted: BTreeMap::new(),
            closed: BTreeMap::new(),
            limits: Limits::default(),
            limits_at: Some(Instant::now()),
            next: Instant::now() + INTERVAL,
            running: None,
        }
    }

    /// Learns of an Incident as the watch brings it, with its managed fields.
    pub(crate) fn observe(&mut self, incident: &Incident) {
        let uid = incident.metadata.uid.clone().unwrap_or_default();
        match Closed::of(incident) {
            Some(closed) => drop(self.closed.insert(uid.clone(), closed)),
            None => drop(self.closed.remove(&uid)),
        }
        let counted = Counted::of(incident);
        if self.counted.get(&uid) != Some(&counted) {
            self.counted.insert(uid, counted);
            self.changed();
        }
    }

    /// An Incident was deleted, by UID.
    pub(crate) fn deleted(&mut self, uid: &str) {
        self.closed.remove(uid);
        if self.counted.remove(uid).is_some() {
            self.changed();
        }
    }

    /// All Incidents that exist, by UID.
    pub(crate) fn relisted(&mut self, present: &BTreeSet<String>) {
        self.closed.retain(|uid, _| present.contains(uid));
        self.counted.retain(|uid, _| present.contains(uid));
        self.changed();
    }

    fn changed(&mut self) {
        self.limits_at
            .get_or_insert_with(|| Instant::now() + LIMITS_INTERVAL);
    }

    /// When something is to be done that no change brings; None: nothing.
    pub(crate) const fn next_wake(&self) -> Option<Instant> {
        self.limits_at
    }

    /// Determines the limits and begins to delete what is expired, when it is time. All Incidents of the
    /// first list are learned before.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        if self.limits_at.is_some_and(|at| at <= now) {
            self.limits_at = None;
            self.limits = Limits::reached(self.counted.values(), &self.settings, &self.limits);
            let full = i64::try_from(self.limits.full_namespaces()).unwrap_or(i64::MAX);
            self.metrics.namespaces_at_limit.set(full);
        }
        self.published.tick(&self.limits, now);
        if let Some(running) = &mut self.running {
            let Some(ended) = running.now_or_never() else {
                return;
            };
            self.running = None;
            self.next = match ended {
                Ok(Run {
                    failed: 0,
                    more: true,
                    ..
                }) => now,
                Ok(Run {
                    failed: 0,
                    more: false,
                    ..
                }) => now + INTERVAL,
                Ok(_) => now + RETRY,
                Err(error) => {
                    tracing::error!(%error, "Deleting expired Incidents ended in a panic; it is retried");
                    now + RETRY
                }
            };
        }
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let closed: Vec<_> = self.closed.values().cloned().collect();
        let mut keys = expired(&closed, &self.settings, &self.limits, Timestamp::now());
        let more = keys.len() > RUN_LIMIT;
        keys.truncate(RUN_LIMIT);
        if !keys.is_empty() {
            let run = delete(self.client.clone(), self.metrics.clone(), keys, more);
            self.running = Some(tokio::spawn(run));
        }
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Deletes Incidents, several at a time and at a bounded rate. What fails is part of the next run.
async fn delete(client: Client, metrics: Metrics, keys: Vec<Key>, more: bool) -> Run {
    let mut interval = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let paced = stream::unfold(
        (keys.into_iter(), interval),
        |(mut keys, mut interval)| async {
            let key = keys.next()?;
            interval.tick().await;
            Some((key, (keys, interval)))
        },
    );
    let deletions = paced.map(|key| delete_one(&client, key));
    let deletions = deletions.buffer_unordered(IN_FLIGHT_LIMIT);
    tokio::pin!(deletions);
    let mut run = Run {
        more,
        ..Run::default()
    };
    while let Some(deletion) = deletions.next().await {
        match deletion {
            Deletion::Done => {
                run.deleted += 1;
                metrics.incidents_deleted.inc();
            }
            Deletion::NotThere => {}
            Deletion::Failed => run.failed += 1,
        }
        if run.failed >= FAILURES_LIMIT {
            break;
        }
    }
    tracing::info!(
        deleted = run.deleted,
        failed = run.failed,
        "Deleted expired Incidents"
    );
    run
}

enum Deletion {
    Done,
    /// Another client deleted it.
    NotThere,
    Failed,
}

async fn delete_one(client: &Client, key: Key) -> Deletion {
    let api = Api::<Incident>::namespaced(client.clone(), &key.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(key.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(&key.name, &params).await {
        Ok(_) | Err(kube::Error::SerdeError(_)) => Deletion::Done,
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Deletion::NotThere,
        Err(error) => {
            tracing::warn!(%error, incident = key.name, namespace = key.namespace, "Cannot delete an expired Incident; it is retried");
            Deletion::Failed
        }
    }
}

#[cfg(test)]
mod tests;
