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
        .default_backoff()
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
