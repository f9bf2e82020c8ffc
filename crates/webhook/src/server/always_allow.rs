//! The handler that measurements compare reviews with.
//!
//! Here: it allows every review and decodes none. Not here: the server, which is the webhook's own.
//! Invariant: it reads a body as the entries do, and does nothing else with it than to find the UID.

use super::connections::{Connection, Connections};
use super::{Limits, Phases, Respond, Server, body};
use crate::callers::CallerVerification;
use crate::certificate::{self, Certificate};
use crate::deadlines::Deadlines;
use crate::metrics::Metrics;
use crate::response::AdmissionResponse;
use crate::review::{self, START_BYTES};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use k8s_openapi::api::core::v1::Secret;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Why the handler cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum CannotServe {
    /// The Secret.
    #[error("the Secret has no certificate: {0}")]
    Certificate(String),
    /// The TLS library.
    #[error("cannot configure TLS")]
    Tls(#[from] rustls::Error),
}

/// Allows every review until it is dropped, with the certificate of a Secret of the type
/// `kubernetes.io/tls`, on the server that [`crate::run`] has.
///
/// # Errors
/// The Secret has no certificate that can be used, or TLS is not available.
pub async fn always_allow(listener: TcpListener, secret: &Secret) -> Result<(), CannotServe> {
    let certificate = Arc::new(Certificate::default());
    certificate
        .replace(secret)
        .map_err(|fault| CannotServe::Certificate(fault.to_string()))?;
    let callers = CallerVerification::default();
    let tls = Arc::new(certificate::server_config(certificate, &callers)?);
    let limits = Limits::default();
    let handler = AlwaysAllow { limits };
    let metrics = Metrics::default();
    let connections = Connections::new(limits, metrics.connections.clone());
    let phases = Phases::new();
    let server = Server::responding(tls, callers, handler, metrics, connections, phases, limits);
    Arc::new(server).run(listener).await;
    Ok(())
}

struct AlwaysAllow {
    limits: Limits,
}

impl Respond for AlwaysAllow {
    async fn respond(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Response<Full<Bytes>> {
        let mut in_progress = connection.begin();
        let deadlines = Deadlines::of(request.uri().query(), Instant::now());
        let body = body::read(request.into_body(), connection, self.limits, deadlines).await;
        in_progress.arrived();
        in_progress.is_review();
        let start = body.bytes.get(..START_BYTES).unwrap_or(&body.bytes);
        let identity = review::identity(start);
        let encoded = AdmissionResponse::allowed().encode(&identity.uid);
        let mut response = Response::new(Full::new(Bytes::from(encoded)));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
