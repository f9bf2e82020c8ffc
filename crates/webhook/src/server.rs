//! The HTTPS server.
//!
//! Here: connections, their handshakes, and how the server stops. Not here: requests (`request`), which
//! connections stay if there are too many (`connections`), when a handshake begins (`handshakes`), the certificate
//! (`certificate`), which callers are verified (`callers`).
//! Invariant: a review that arrived has a response, also while the server stops; no peer keeps others out.

#[cfg(feature = "measure")]
pub(crate) mod always_allow;
mod body;
mod connections;
mod handshakes;
mod memory;
mod phase;
mod request;
mod sources;

pub(crate) use phase::{Phase, Phases};

use crate::callers::{CallerVerification, Rejection, Rejections};
use crate::entries::Evaluate;
use crate::metrics::Metrics;
use connections::{Connection, Connections};
use handshakes::Handshakes;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use request::Requests;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most connections. An API server keeps 25 for each host.
    pub(crate) connections: usize,
    /// Timeout of a handshake, with the wait until it begins.
    pub(crate) handshake: Duration,
    /// Time in which the headers of a request have to arrive. It begins with the response before, and is
    /// longer than the 90 seconds after which an API server closes an idle connection: if both sides
    /// closed it, a request could be lost.
    pub(crate) headers: Duration,
    /// Time in which a body has to arrive.
    pub(crate) body: Duration,
    /// Most bytes of a body.
    pub(crate) body_bytes: usize,
    /// Most bytes of all bodies that are in memory, and twice what those of one address can be whose callers are not verified, so at least twice
    /// `body_bytes`. Decoded, what an API server sends takes up to fifteen times as many: 240 MiB of the memory limit
    /// of the chart (`webhook.resources`).
    pub(crate) bodies_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(5),
            headers: Duration::from_mins(2),
            body: Duration::from_secs(5),
            body_bytes: 8 << 20,
            bodies_bytes: 16 << 20,
        }
    }
}

/// Concurrent requests of an HTTP/2 connection.
const STREAMS_LIMIT: u32 = 32;
/// Bytes that a connection can have sent without being read, so most bytes of the headers of a request, too. For all
/// connections that is 32 MiB.
const UNREAD_BYTES: u32 = 64 << 10;
/// Interval and timeout of pings of an HTTP/2 connection.
const PING: Duration = Duration::from_secs(30);

/// Responds to requests: evaluates reviews, or allows everything in a measurement.
pub(crate) trait Respond: Send + Sync + 'static {
    /// The response to a request of a connection.
    fn respond(
        &self,
        request: hyper::Request<Incoming>,
        connection: &Connection,
    ) -> impl Future<Output = hyper::Response<Full<Bytes>>> + Send;
}

/// The server.
pub(crate) struct Server<R = Requests> {
    tls: TlsAcceptor,
    callers: CallerVerification,
    rejections: Rejections,
    requests: Arc<R>,
    connections: Arc<Connections>,
    handshakes: Handshakes,
    phases: Phases,
    limits: Limits,
}

impl Server {
    /// A server with this certificate that evaluates reviews, for these callers. `tls` verifies their certificates.
    pub(crate) fn new(
        tls: Arc<rustls::ServerConfig>,
        callers: CallerVerification,
        evaluate: Arc<dyn Evaluate>,
        metrics: Metrics,
        phases: Phases,
        limits: Limits,
    ) -> Self {
        let connections = Connections::new(limits, metrics.connections.clone());
        let requests = Requests::new(evaluate, metrics.clone(), phases.clone(), limits);
        Self::responding(tls, callers, requests, metrics, connections, phases, limits)
    }
}

impl<R: Respond> Server<R> {
    fn responding(
        tls: Arc<rustls::ServerConfig>,
        callers: CallerVerification,
        requests: R,
        metrics: Metrics,
        connections: Connections,
        phases: Phases,
        limits: Limits,
    ) -> Self {
        Self {
            tls: tls.into(),
            callers,
            rejections: Rejections::new(metrics),
            requests: Arc::new(requests),
            connections: Arc::new(connections),
            handshakes: Handshakes::default(),
            phases,
            limits,
        }
    }

    /// Accepts connections until the server ends, and waits for the last response.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = self.phases.reached(Phase::Draining) => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, most likely: do not spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let address = peer.ip();
            // Before it counts: what is not served closes no connection that is.
            if !self.callers.serves(address) {
                self.rejections.add(Rejection::Address, address);
                continue;
            }
            let Some(connection) = self.connections.admit(sources::counted_as(address)) else {
                self.rejections.add(Rejection::NoRoom, address);
                continue;
            };
            if self.callers.has_addresses() {
                connection.verified();
            }
            let server = Arc::clone(&self);
            tasks.spawn(async move { server.serve(stream, address, connection).await });
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, address: IpAddr, connection: Connection) {
        // A response is one small write, which must not wait for an acknowledgment.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "Cannot set TCP_NODELAY");
        }
        let now = Instant::now();
        let begin = self.handshakes.next(sources::counted_as(address), now);
        let handshake = timeout_at(now + self.limits.handshake, async {
            if begin > now {
                sleep_until(begin).await;
            }
            self.tls.accept(stream).await
        });
        let stream = tokio::select! {
            () = connection.closed() => return,
            done = handshake => match done {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::debug!(%address, %error, "A TLS handshake failed");
                    if let Some(rejection) = Rejection::of(&error) {
                        self.rejections.add(rejection, address);
                    }
                    return;
                }
                Err(_) => return,
            },
        };
        if self.callers.certificates().is_some() {
            connection.verified();
        }
        tracing::debug!(address = %address.to_canonical(), "Accepted a connection");
        if let Err(error) = self.http(stream, &connection).await {
            tracing::debug!(error = %error, "A connection ended early");
        }
    }

    async fn http(
        &self,
        stream: TlsStream<TcpStream>,
        connection: &Connection,
    ) -> Result<(), hyper::Error> {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let (requests, connection) = (Arc::clone(&self.requests), connection.clone());
            async move {
                let response = requests.respond(request, &connection).await;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        if is_http2 {
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_LIMIT)
                .initial_connection_window_size(UNREAD_BYTES)
                .initial_stream_window_size(UNREAD_BYTES)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .serve_connection(stream, service);
            let mut http = std::pin::pin!(http);
            tokio::select! {
                () = connection.closed() => return Ok(()),
                // The client opens another connection for what follows.
                () = self.phases.reached(Phase::Leaving) => http.as_mut().graceful_shutdown(),
                ended = &mut http => return ended,
            }
            tokio::select! {
                () = connection.closed() => Ok(()),
                ended = &mut http => ended,
            }
        } else {
            let http = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.headers)
                .max_buf_size(UNREAD_BYTES as usize)
                .serve_connection(stream, service);
            let mut http = std::pin::pin!(http);
            tokio::select! {
                () = connection.closed() => return Ok(()),
                () = self.phases.reached(Phase::Draining) => http.as_mut().graceful_shutdown(),
                ended = &mut http => return ended,
            }
            tokio::select! {
                () = connection.closed() => Ok(()),
                ended = &mut http => ended,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
