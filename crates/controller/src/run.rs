//! Wires the controller: probes, Lease, watch, statuses.
//!
//! Here: which task runs when. Not here: what it does.
//! Invariant: without leadership nothing is answered; an Incident is answered by one task at a
//! time, and one that was answered before is read again first.

use crate::answer::Controller;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::statuses;
use bailiff_api::{Incident, keys};
use bailiff_kube::{lease, serve};
use bailiff_response::{is_open, is_overtaken};
use futures::StreamExt;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How soon the API server is asked again while it does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Why the controller can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] serve::ServeError),
}

/// Runs until `shutdown`.
///
/// # Errors
/// When metrics and health can't be served.
pub async fn run(config: Config, client: Client, shutdown: CancellationToken) -> Result<(), Error> {
    let settings = lease::Settings {
        namespace: config.namespace.clone(),
        name: keys::CONTROLLER_LEASE.to_owned(),
        identity: config.identity.clone(),
        duration: config.lease_duration,
        renew_deadline: config.lease_renew,
        retry: config.lease_retry,
    };
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let ready = Arc::new(AtomicBool::new(false));
    let serving = serve::serve(
        config.address,
        Arc::new(registry),
        Arc::clone(&ready),
        shutdown.clone(),
    );
    let working = async {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = answers(&client) => ready.store(true, Ordering::Relaxed),
        }
        lease::elect(client.clone(), settings, shutdown.clone(), |token| {
            lead(client.clone(), config.clone(), metrics.clone(), token)
        })
        .await;
    };
    let (served, ()) = futures::join!(
        async {
            let served = serving.await;
            shutdown.cancel();
            served
        },
        working
    );
    Ok(served?)
}

/// Waits until the API server answers: a replica that can't reach it is not ready.
async fn answers(client: &Client) {
    while let Err(error) = client.apiserver_version().await {
        tracing::warn!(%error, "the API server does not answer; it is tried again");
        tokio::time::sleep(RETRY).await;
    }
}

async fn lead(client: Client, config: Config, metrics: Metrics, token: CancellationToken) {
    tracing::info!(identity = config.identity, "leading");
    metrics.leader.set(1);
    let answering = answer_all(client.clone(), config.clone(), metrics.clone());
    tokio::select! {
        () = token.cancelled() => {}
        () = answering => {}
        () = statuses::keep(client, config) => {}
    }
    metrics.leader.set(0);
    metrics.under_way.set(0);
}

/// Which Incidents are being answered, and which were.
#[derive(Default)]
struct Work {
    under_way: BTreeSet<String>,
    /// When each was last looked at; its absence means: never by this replica.
    answered: BTreeMap<String, Instant>,
}

impl Work {
    /// Whether an Incident needs a task now; it is noted as under way.
    fn begin(&mut self, incident: &Incident, again: Duration) -> bool {
        let Some(uid) = &incident.metadata.uid else {
            return false;
        };
        let rested = self
            .answered
            .get(uid)
            .is_none_or(|last| last.elapsed() >= again);
        let needed = is_open(incident) || (is_overtaken(incident) && rested);
        needed && self.under_way.insert(uid.clone())
    }
}

async fn answer_all(client: Client, config: Config, metrics: Metrics) {
    let again = config.answer_again;
    let controller = Arc::new(Controller::new(client.clone(), config, metrics.clone()));
    let mut stream = watcher::watcher(Api::<Incident>::all(client), watcher::Config::default())
        .backoff(bailiff_kube::watch::Pauses::default())
        .boxed();
    // Dropped with this future, and with it every answer that is under way.
    let mut tasks: JoinSet<String> = JoinSet::new();
    let mut work = Work::default();
    let mut first = Some(Vec::new());
    loop {
        metrics
            .under_way
            .set(i64::try_from(tasks.len()).unwrap_or(i64::MAX));
        let event = tokio::select! {
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                if let Ok(uid) = done {
                    work.under_way.remove(&uid);
                    work.answered.insert(uid, Instant::now());
                }
                continue;
            }
            event = stream.next() => event,
        };
        let incidents = match event {
            // All past answers are learned before the first new one is given.
            Some(Ok(Event::InitApply(incident))) if first.is_some() => {
                controller.learn(&incident);
                if let Some(first) = &mut first {
                    first.push(incident);
                }
                continue;
            }
            Some(Ok(Event::InitDone)) => first.take().unwrap_or_default(),
            Some(Ok(Event::Apply(incident) | Event::InitApply(incident))) => vec![incident],
            Some(Ok(Event::Delete(incident))) => {
                work.answered
                    .remove(incident.metadata.uid.as_deref().unwrap_or_default());
                continue;
            }
            Some(Ok(Event::Init)) => continue,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot watch incidents; it is tried again");
                continue;
            }
            None => return,
        };
        for incident in incidents {
            if work.begin(&incident, again) {
                let uid = incident.metadata.uid.clone().unwrap_or_default();
                // An event can be older than what this replica wrote since.
                let stale = work.answered.contains_key(&uid);
                tasks.spawn(answer(Arc::clone(&controller), incident, stale, uid));
            }
        }
    }
}

/// Answers one Incident; its UID.
async fn answer(
    controller: Arc<Controller>,
    mut incident: Incident,
    mut stale: bool,
    uid: String,
) -> String {
    while stale {
        match controller.read(&incident).await {
            Ok(Some(now)) => {
                incident = now;
                stale = false;
            }
            Ok(None) => return uid,
            Err(error) => {
                tracing::warn!(%error, incident = incident.metadata.name, "cannot read an incident; it is tried again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    if controller.answer(incident.clone()).await.is_err() {
        tracing::info!(
            incident = incident.metadata.name,
            namespace = incident.metadata.namespace,
            "the incident was deleted while it was answered"
        );
    }
    uid
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn incident(status: &Value) -> Incident {
        serde_json::from_value(json!({
            "metadata": {"name": "inc-1", "namespace": "shop", "uid": "uid"},
            "spec": {
                "type": "Violation", "severity": "High", "nodeName": "node-1",
                "policy": {"name": "p", "uid": "p", "generation": 1}, "bindings": [],
                "pod": {"name": "web-1", "uid": "u", "labels": {}}, "container": {},
                "process": {
                    "executable": "/bin/sh", "invokedPath": "/bin/sh", "names": ["sh"], "args": [],
                    "argsTruncated": false, "executableSource": "Image", "origin": "Exec",
                    "uid": 0, "gid": 0, "capabilities": [], "pid": 1,
                    "startTime": "2026-01-01T00:00:00.000000Z", "ancestors": [],
                },
                "violations": [], "detectedTime": "2026-01-01T00:00:00.000000Z",
            },
            "status": status,
        }))
        .unwrap()
    }

    fn audited(last_seen: &str) -> Incident {
        incident(&json!({
            "conditions": [{"type": "Answered", "status": "True", "reason": "AuditOnly", "message": "", "lastTransitionTime": "2026-01-01T00:00:10Z"}],
            "series": {"count": 2, "lastObservedTime": last_seen, "policyGeneration": 1, "bindings": []},
        }))
    }

    const AGAIN: Duration = Duration::from_mins(1);

    #[test]
    fn an_incident_is_answered_by_one_task_at_a_time() {
        let mut work = Work::default();
        let new = incident(&json!({}));
        assert!(work.begin(&new, AGAIN));
        assert!(!work.begin(&new, AGAIN), "it is under way");
        work.under_way.clear();
        assert!(work.begin(&new, AGAIN), "it is open still");
    }

    #[test]
    fn an_answered_incident_is_taken_up_again_when_it_goes_on_and_has_rested() {
        let mut work = Work::default();
        assert!(!work.begin(&audited("2026-01-01T00:00:05.000000Z"), AGAIN));
        let goes_on = audited("2026-01-01T00:00:15.000000Z");
        work.answered.insert("uid".to_owned(), Instant::now());
        assert!(!work.begin(&goes_on, AGAIN), "it was looked at just now");
        assert!(work.begin(&goes_on, Duration::ZERO));
    }
}
