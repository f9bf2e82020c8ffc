//! How the webhook starts and stops.
//!
//! Here: readiness, the phases of a stop, what the parts share. Not here: the parts.
//! Invariant: a replica that stops goes on responding until the API servers know of it, so that a rolling
//! update loses no review.

use crate::admission::Admission;
use crate::callers::CallerVerification;
use crate::certificate;
use crate::lookups::Lookups;
use crate::metrics::Metrics;
use crate::namespace_objects::NamespaceObjects;
use crate::reports::Reports;
use crate::rules::Rules;
use crate::server::{Limits, Phase, Phases, Server};
use crate::watches::{self, Watched};
use bailiff_api::exempt_namespaces;
use bailiff_kube::serve::{self, Health};
use bailiff_policy::image::Mode;
use futures::future::{BoxFuture, FutureExt as _};
use kube::Client;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long each phase of a stop lasts.
#[derive(Clone, Copy, Debug)]
struct Pauses {
    /// A replica that stops accepts connections: until the `EndpointSlice` without it reached each node.
    leave: Duration,
    /// It then waits for reviews in progress: the longest timeout of a webhook configuration is 30 seconds.
    drain: Duration,
    /// It then waits for responses without a verdict.
    end: Duration,
}

/// Together, with [`SAVE_LIMIT`], less than the termination grace period of the chart, 45 seconds.
const PAUSES: Pauses = Pauses {
    leave: Duration::from_secs(10),
    drain: Duration::from_secs(30),
    end: Duration::from_secs(2),
};
/// How long persisting can take after the last review.
const SAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long the watches can take for one event.
const WATCHES_LIMIT: Duration = Duration::from_mins(2);

/// Configuration of the webhook.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of metrics and health.
    pub address: SocketAddr,
    /// Address of reviews.
    pub webhook_address: SocketAddr,
    /// Namespace that Bailiff runs in, with the Secret of the certificate.
    pub namespace: String,
    /// Namespaces that no policy applies to, besides that one and kube-system.
    pub exempt: Vec<String>,
    /// Whether bindings have their own actions.
    pub mode: Mode,
    /// Who can send reviews. It does not apply to metrics and health.
    pub callers: CallerVerification,
}

impl Config {
    /// The namespaces that no policy applies to.
    fn exempt(&self) -> BTreeSet<String> {
        let given = self.exempt.iter().map(String::as_str);
        exempt_namespaces(&self.namespace, given)
    }
}

/// Where facts come from and reports go to.
pub struct Edges {
    /// Asks registries.
    pub lookups: Arc<dyn Lookups>,
    /// Reports pods that are rejected.
    pub reports: Arc<dyn Reports>,
    /// What runs beside the server, such as writing the reports. The webhook goes on if it ends.
    pub background: BoxFuture<'static, ()>,
    /// Ends when what is persisted was read, or cannot be. The webhook is not ready before.
    pub loaded: BoxFuture<'static, ()>,
    /// Persists what has to be, after the last review. It has 2 seconds.
    pub save: BoxFuture<'static, ()>,
}

/// Why the webhook cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] serve::ServeError),
    /// Reviews.
    #[error("cannot listen on {address}; choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The TLS library.
    #[error("cannot configure TLS")]
    Tls(#[from] rustls::Error),
}

/// Runs until `shutdown`, and then until the last review has its response.
///
/// # Errors
/// When an address cannot be used.
pub async fn run(
    config: Config,
    client: Client,
    edges: Edges,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let address = config.webhook_address;
    let listener = listen(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let health = Health::default();
    serve_on(listener, &config, client, edges, health, PAUSES, shutdown).await
}

async fn serve_on(
    listener: TcpListener,
    config: &Config,
    client: Client,
    edges: Edges,
    health: Health,
    pauses: Pauses,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    let named = registry.sub_registry_with_prefix("bailiff_webhook");
    metrics.register(named);
    edges.lookups.register(named);
    edges.reports.register(named);
    let watched = Watched {
        rules: Arc::new(Rules::new(config.mode, metrics.clone())),
        namespaces: Arc::default(),
        certificate: Arc::default(),
    };
    let tls = certificate::server_config(Arc::clone(&watched.certificate), &config.callers)?;
    let admission = Arc::new(Admission {
        rules: Arc::clone(&watched.rules),
        namespaces: Arc::clone(&watched.namespaces),
        exempt: config.exempt(),
        callers: config.callers.callers(),
        lookups: edges.lookups,
        reports: edges.reports,
        client: client.clone(),
        metrics: metrics.clone(),
        reads: Admission::reads(),
        namespace_objects: NamespaceObjects::new(client.clone()),
        compiles: Admission::compiles(),
    });
    let templates: Weak<Admission> = Arc::downgrade(&admission);
    admission.reports.confirm_with(templates);
    let phases = Phases::new();
    let server = Arc::new(Server::new(
        Arc::new(tls),
        config.callers.clone(),
        admission,
        metrics.clone(),
        phases.clone(),
        Limits::default(),
    ));
    let ready = CancellationToken::new();
    let watching = watches::run(
        &watched,
        client,
        &config.namespace,
        &metrics,
        health.register_loop("watches", WATCHES_LIMIT),
        || ready.cancel(),
    );
    // The probes go on until the last response.
    let probes = serve::serve(
        config.address,
        Arc::new(registry),
        health.clone(),
        CancellationToken::new(),
    );
    let serving = async {
        tokio::select! {
            // Without rules a review has no verdict, and without a certificate no handshake succeeds.
            ((), ()) = futures::future::join(ready.cancelled(), edges.loaded) => {}
            () = shutdown.cancelled() => return,
        }
        tracing::info!("Ready");
        health.set_ready(true);
        tokio::select! {
            // It ends after the last response.
            () = server.run(listener) => {}
            () = stop(&shutdown, &health, &phases, pauses) => {}
        }
        if tokio::time::timeout(SAVE_LIMIT, edges.save).await.is_err() {
            tracing::warn!("Could not persist the last answers of registries in time");
        }
    };
    tokio::select! {
        ended = probes => Ok(ended?),
        () = watching => Ok(()),
        () = edges.background.then(|()| std::future::pending()) => Ok(()),
        () = serving => Ok(()),
    }
}

/// Goes through the phases of a stop.
async fn stop(shutdown: &CancellationToken, health: &Health, phases: &Phases, pauses: Pauses) {
    shutdown.cancelled().await;
    health.set_ready(false);
    phases.enter(Phase::Leaving);
    tokio::time::sleep(pauses.leave).await;
    phases.enter(Phase::Draining);
    tokio::time::sleep(pauses.drain).await;
    phases.enter(Phase::Ending);
    tokio::time::sleep(pauses.end).await;
}

/// `[::]` accepts both address families; a node without IPv6 has only IPv4.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == std::net::Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests;
