//! One connection for all that a component asks of the API server.
//!
//! Here: the transport of a component's client. kube's own speaks HTTP/1.1 alone (kube-rs issue 1923),
//! which takes a connection for each request at a time: nine for what one answer reads. The API server
//! closes those that rest for 90 seconds (k8s.io/apiserver v0.37.2, `pkg/server/secure_serving.go`), so
//! that in a quiet cluster each answer would begin with nine handshakes. Not here: how long an answer
//! may take (`limit`), clients of a person's command, which know proxies.
//! Invariant: a connection that was cut in silence is closed within [`PING_EVERY`] and [`PING_LIMIT`],
//! and with it every watch on it.

use super::{CONNECT_LIMIT, limit};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// How long a connection may be silent until it is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How long it may take to say so. An API server that is short of time answers late.
const PING_LIMIT: Duration = Duration::from_secs(15);

/// A client with this configuration, which names no proxy and no other name of the server. It tries
/// nothing again: a 429 is an answer (a `PodDisruptionBudget` that holds), and every caller has its own
/// way to try again, which it can tell of.
///
/// # Errors
/// When the configuration's certificates cannot be used.
pub fn client(config: &kube::Config) -> Result<kube::Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    // A request is a few small writes, which are not to wait for one another.
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
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_LIMIT)
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
