//! Wires the controller: probes, Lease, and what the leader does.
//!
//! Here: which task runs when. Not here: what it does.
//! Invariant: without leadership nothing is answered; work of the leader that ends ends the
//! program, so that the kubelet starts it again and another replica leads meanwhile.

use crate::answer::Controller;
use crate::config::Config;
use crate::dispatch::{TURN, dispatch};
use crate::metrics::Metrics;
use crate::statuses;
use bailiff_api::{Incident, keys};
use bailiff_kube::serve::Health;
use bailiff_kube::{lease, serve, watch};
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How soon the API server is asked again while it does not answer.
const RETRY: Duration = Duration::from_secs(1);
/// How long the election may stand still besides what it may wait for.
const ELECTION_SLACK: Duration = Duration::from_secs(30);
/// How long answering may stand still.
const DISPATCH_SLACK: Duration = Duration::from_mins(1);
/// How long statuses may stand still: one request takes at most a quarter of it.
const STATUSES_SLACK: Duration = Duration::from_mins(1);

/// Why the controller can't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] serve::ServeError),
    /// The leader's work ended.
    #[error("cannot go on leading")]
    Lease(#[from] lease::Error),
}

/// Runs until `shutdown`.
///
/// # Errors
/// When metrics and health can't be served, or the leader's work ends by a defect.
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
    let health = Health::default();
    let serving = serve::serve(
        config.address,
        Arc::new(registry),
        health.clone(),
        shutdown.clone(),
    );
    let working = async {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = answers(&client) => health.set_ready(true),
        }
        let slack = ELECTION_SLACK + 2 * config.lease_duration;
        let pulse = health.watch("election", slack);
        lease::elect(client.clone(), settings, pulse, shutdown.clone(), |token| {
            lead(
                client.clone(),
                config.clone(),
                metrics.clone(),
                health.clone(),
                token,
            )
        })
        .await
    };
    let (served, worked) = futures::join!(
        async {
            let served = serving.await;
            shutdown.cancel();
            served
        },
        async {
            let worked = working.await;
            shutdown.cancel();
            worked
        }
    );
    served?;
    Ok(worked?)
}

/// Waits until the API server answers: a replica that can't reach it is not ready.
async fn answers(client: &Client) {
    while let Err(error) = client.apiserver_version().await {
        tracing::warn!(%error, "the API server does not answer; it is tried again");
        tokio::time::sleep(RETRY).await;
    }
}

/// Says in the metrics that this replica leads, for as long as it lives, however it ends.
struct InMetrics(Metrics);

impl InMetrics {
    fn new(metrics: Metrics) -> Self {
        metrics.leader.set(1);
        Self(metrics)
    }
}

impl Drop for InMetrics {
    fn drop(&mut self) {
        self.0.leader.set(0);
        self.0.under_way.set(0);
    }
}

async fn lead(
    client: Client,
    config: Config,
    metrics: Metrics,
    health: Health,
    token: CancellationToken,
) {
    let _leading = InMetrics::new(metrics.clone());
    let again = config.incident_recheck_interval;
    let controller = Controller::new(
        client.clone(),
        config.clone(),
        metrics.clone(),
        token.clone(),
    );
    let incidents = watch::objects::<Incident>(
        Api::all(client.clone()),
        watcher::Config::default(),
        &metrics.undecodable,
    );
    // Each is a task of its own, so that compiling many policies holds up no answer. Both are
    // cut off when this future is dropped.
    let mut work = JoinSet::new();
    work.spawn(dispatch(
        Arc::new(controller),
        incidents,
        again,
        metrics.clone(),
        health.watch("answering", DISPATCH_SLACK + TURN),
        token.clone(),
    ));
    let undecodable = metrics.undecodable.clone();
    let pulse = health.watch(
        "statuses",
        STATUSES_SLACK.saturating_add(config.status_resync_interval),
    );
    let stop = token.clone();
    work.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = statuses::keep(client, config, undecodable, pulse) => {}
        }
    });
    while let Some(ended) = work.join_next().await {
        if let Err(error) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        if !token.is_cancelled() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_no_longer_leads_says_so_however_it_ended() {
        let metrics = Metrics::default();
        let leading = InMetrics::new(metrics.clone());
        metrics.under_way.set(3);
        assert_eq!(metrics.leader.get(), 1);
        drop(leading);
        assert_eq!((metrics.leader.get(), metrics.under_way.get()), (0, 0));
    }
}
