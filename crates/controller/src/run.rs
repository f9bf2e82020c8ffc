//! Wires the controller: probes, Lease, and what the leader does.
//!
//! Here: which task runs when. Not here: what it does.
//! Invariant: without leadership nothing is removed or written; if a task of the leader ends, the
//! program ends, so that the kubelet restarts it and another replica leads meanwhile.

use crate::cache::{self, Cache};
use crate::config::Config;
use crate::dispatch::dispatch;
use crate::metrics::Metrics;
use crate::nodes::{self, Monitored};
use crate::pods;
use crate::reconcile::Controller;
use crate::recovery::follow::follow;
use crate::statuses::{self, Counted};
use crate::waits::HEARTBEAT_INTERVAL;
use crate::webhook_certificates;
use bailiff_api::{Incident, keys};
use bailiff_kube::client::{ClientError, in_cluster};
use bailiff_kube::serve::Health;
use bailiff_kube::{lease, serve, watch};
use kube::runtime::watcher;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Interval between attempts to reach the API server.
const RETRY: Duration = Duration::from_secs(1);
/// Time after which the election is stalled, in addition to what it can wait for.
const ELECTION_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which responses are stalled.
const DISPATCH_STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Time after which statuses are stalled: one request takes at most a quarter of it.
const STATUSES_STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// Time after which the watches of pods and nodes are stalled: they never wait longer than a heartbeat.
const CLUSTER_STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// Time after which the certificates of the webhook are stalled: a pass makes few requests, one after the other.
const CERTIFICATES_STALL_TIMEOUT: Duration = Duration::from_mins(10);

/// Clients of the controller, each with a connection of its own. The API server allows a connection 100
/// requests at a time (kube-apiserver v1.37, `--http2-max-streams-per-connection`), and a watch is one
/// for as long as it lasts: neither watches nor many responses may prevent the renewal of the Lease, and no
/// large list may delay a response.
#[derive(Clone)]
pub struct Clients {
    /// For the Lease alone.
    pub lease: Client,
    /// For requests that are over soon, and for the few watches that last as long as the controller leads:
    /// these keep the connection open, so that no response begins with a handshake.
    pub requests: Client,
    /// For lists and watches of all pods and nodes.
    pub cluster: Client,
    /// For the watches of workloads that recover.
    pub recovery: Client,
}

impl Clients {
    /// The clients of the pod's service account.
    ///
    /// # Errors
    /// When this is no pod, or its certificates cannot be used.
    pub fn in_cluster() -> Result<Self, ClientError> {
        Ok(Self {
            lease: in_cluster()?,
            requests: in_cluster()?,
            cluster: in_cluster()?,
            recovery: in_cluster()?,
        })
    }
}

/// Why the controller cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] serve::ServeError),
    /// The leader's work ended.
    #[error("cannot continue as the leader")]
    Lease(#[from] lease::Error),
}

/// Runs until `shutdown`.
///
/// # Errors
/// If metrics and health cannot be served, or the leader's work ends because of a defect.
pub async fn run(
    config: Config,
    clients: Clients,
    shutdown: CancellationToken,
) -> Result<(), Error> {
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
            () = wait_for_api_server(&clients.lease) => health.set_ready(true),
        }
        let slack = ELECTION_STALL_TIMEOUT + 2 * config.lease_duration;
        let heartbeat = health.register_loop("election", slack);
        lease::elect(
            clients.lease.clone(),
            settings,
            heartbeat,
            shutdown.clone(),
            |token| {
                lead(
                    clients.clone(),
                    config.clone(),
                    metrics.clone(),
                    health.clone(),
                    token,
                )
            },
        )
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

/// Waits until the API server responds: a replica that cannot reach it is not ready.
async fn wait_for_api_server(client: &Client) {
    while let Err(error) = client.apiserver_version().await {
        tracing::warn!(%error, "The API server is unavailable; retrying");
        tokio::time::sleep(RETRY).await;
    }
}

/// Reports in the metrics that this replica leads, for as long as it lives, however it ends.
struct LeaderGauge(Metrics);

impl LeaderGauge {
    fn new(metrics: Metrics) -> Self {
        metrics.leader.set(1);
        Self(metrics)
    }
}

impl Drop for LeaderGauge {
    fn drop(&mut self) {
        self.0.forget();
    }
}

async fn lead(
    clients: Clients,
    config: Config,
    metrics: Metrics,
    health: Health,
    token: CancellationToken,
) {
    let _leading = LeaderGauge::new(metrics.clone());
    let cache = Cache::new(metrics.undecodable.clone());
    let (send_news, news) = mpsc::unbounded_channel();
    let (recovering, to_recover) = mpsc::unbounded_channel();
    let controller = Arc::new(Controller::new(
        clients.requests.clone(),
        config.clone(),
        cache.clone(),
        metrics.clone(),
        recovering,
        token.clone(),
    ));
    let incidents = watch::objects::<Incident>(
        Api::all(clients.requests.clone()),
        watcher::Config::default(),
        &metrics.undecodable,
    );
    // Each is a task of its own, so that compiling many policies delays no response. All are cut off
    // when this future is dropped.
    let mut work = JoinSet::new();
    work.spawn(dispatch(
        Arc::clone(&controller),
        cache.clone(),
        incidents,
        news,
        metrics.clone(),
        health.register_loop("responses", DISPATCH_STALL_TIMEOUT + HEARTBEAT_INTERVAL),
        token.clone(),
    ));
    work.spawn(follow(
        Arc::clone(&controller),
        clients.recovery,
        to_recover,
        send_news.clone(),
    ));
    let heartbeat = health.register_loop("cache", DISPATCH_STALL_TIMEOUT + HEARTBEAT_INTERVAL);
    let keeping = cache::run(
        cache.clone(),
        clients.requests.clone(),
        config.namespace.clone(),
        send_news,
        heartbeat,
    );
    work.spawn(until(token.clone(), keeping));
    let heartbeat = health.register_loop(
        "statuses",
        STATUSES_STALL_TIMEOUT.saturating_add(config.status_resync_interval),
    );
    let counted = Counted {
        pods: Arc::default(),
        monitored: Monitored::new(None),
    };
    let following = nodes::follow(
        clients.requests.clone(),
        clients.cluster.clone(),
        config.clone(),
        counted.monitored.clone(),
        Arc::clone(&counted.pods),
        metrics.clone(),
        health.register_loop("nodes", CLUSTER_STALL_TIMEOUT),
    );
    work.spawn(until(token.clone(), following));
    let following = pods::follow(
        clients.cluster,
        cache.clone(),
        Arc::clone(&counted.pods),
        health.register_loop("pods", CLUSTER_STALL_TIMEOUT),
    );
    work.spawn(until(token.clone(), following));
    let certificates = certificates(&clients.requests, &config, &metrics, &health);
    work.spawn(until(token.clone(), certificates));
    let statuses = statuses::run(Arc::clone(&controller), cache, counted, metrics, heartbeat);
    work.spawn(until(token.clone(), statuses));
    first_end(work, &token).await;
}

/// Waits until a task ends without being told to, or all of them have ended. Passes a panic on.
async fn first_end(mut work: JoinSet<()>, token: &CancellationToken) {
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

/// Keeps the certificates of the webhook current, if it is installed.
fn certificates(
    client: &Client,
    config: &Config,
    metrics: &Metrics,
    health: &Health,
) -> impl Future<Output = ()> + use<> {
    let keeping = config.webhook.then(|| {
        webhook_certificates::run(
            client.clone(),
            config.namespace.clone(),
            metrics.clone(),
            health.register_loop("webhook-certificates", CERTIFICATES_STALL_TIMEOUT),
        )
    });
    async {
        match keeping {
            Some(keeping) => keeping.await,
            None => std::future::pending().await,
        }
    }
}

async fn until(token: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = token.cancelled() => {}
        () = task => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_no_longer_leads_says_so_however_it_ended() {
        let metrics = Metrics::default();
        let leading = LeaderGauge::new(metrics.clone());
        metrics.open.set(3);
        assert_eq!(metrics.leader.get(), 1);
        drop(leading);
        assert_eq!((metrics.leader.get(), metrics.open.get()), (0, 0));
    }
}
