//! One connection for all requests of a component's client.
//!
//! Here: the transport of a component's client. kube's own supports only HTTP/1.1 (kube-rs issue 1923),
//! which needs a connection for each concurrent request: nine for the reads of one response. The API
//! server closes idle connections after 90 seconds (k8s.io/apiserver v0.37.2,
//! `pkg/server/secure_serving.go`), so in a quiet cluster each response would begin with nine handshakes.
//! Not here: timeouts of requests (`limit`), clients of commands, which support proxies.
//! Invariant: an interrupted connection is closed within [`KEEPALIVE_INTERVAL`] and
//! [`KEEPALIVE_TIMEOUT`], with every watch on it.

use super::{CONNECT_LIMIT, limit};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// Time after which a silent connection is pinged.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Timeout of a ping. A busy API server responds late.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// A client with this configuration, which must name no proxy and no other name of the server. It does not
/// retry: a 429 can be the response of a `PodDisruptionBudget`, and every caller retries and reports in
/// its own way.
///
/// # Errors
/// If the configuration's certificates cannot be used.
pub fn client(config: &kube::Config) -> Result<kube::Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    // A request is a few small writes, which must not wait for each other.
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    let transport: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    let builder = ClientBuilder::new(service, config.default_namespace.clone());
    Ok(builder.with_layer(&limit::layer()).build())
}
