//! Serves /healthz, /readyz and /metrics.
//!
//! Here: the HTTP server, and the liveness of a component's loops. Not here: which metrics and
//! loops exist (each component).
//! Invariant: it reads only the path of a request; /healthz names a stalled loop, and the kubelet
//! restarts the container.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; choose another address")]
pub struct ServeError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Whether a component is ready, and whether its loops make progress.
#[derive(Clone, Debug, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
    loops: Arc<Mutex<Vec<LoopState>>>,
}

#[derive(Debug)]
struct LoopState {
    name: &'static str,
    last: Instant,
    timeout: Duration,
}

/// Reports that a loop makes progress. A loop that ends drops it, and is no longer checked.
#[derive(Debug)]
pub struct Heartbeat {
    name: &'static str,
    loops: Arc<Mutex<Vec<LoopState>>>,
}

impl Health {
    /// Sets whether the component is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the component is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Registers a loop, which must beat at least every `timeout`. Must be the only one of its name.
    #[must_use]
    pub fn register_loop(&self, name: &'static str, timeout: Duration) -> Heartbeat {
        lock(&self.loops).push(LoopState {
            name,
            last: Instant::now(),
            timeout,
        });
        Heartbeat {
            name,
            loops: Arc::clone(&self.loops),
        }
    }

    /// The first stalled loop, as /healthz reports it; none if all make progress.
    #[must_use]
    pub fn stalled(&self) -> Option<String> {
        let loops = lock(&self.loops);
        let stalled = loops.iter().find(|l| l.last.elapsed() > l.timeout)?;
        let (name, seconds) = (stalled.name, stalled.last.elapsed().as_secs());
        Some(format!(
            "{name} has made no progress for {seconds} seconds\n"
        ))
    }
}

impl Heartbeat {
    /// The loop makes progress.
    pub fn beat(&self) {
        for state in lock(&self.loops).iter_mut() {
            if state.name == self.name {
                state.last = Instant::now();
            }
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        lock(&self.loops).retain(|state| state.name != self.name);
    }
}

fn lock(loops: &Mutex<Vec<LoopState>>) -> MutexGuard<'_, Vec<LoopState>> {
    loops.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds the address and serves until `shutdown`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    registry: Arc<Registry>,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let listener = listen(address)
        .await
        .map_err(|source| ServeError { address, source })?;
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            // Out of file descriptors, most likely: do not spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (registry, health) = (Arc::clone(&registry), health.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let response = respond(request.uri().path(), &registry, &health);
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(error = %error, "A connection of a probe or scrape ended early");
            }
        });
    }
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

fn respond(path: &str, registry: &Registry, health: &Health) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/healthz" => match health.stalled() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(stalled) => (StatusCode::SERVICE_UNAVAILABLE, stalled),
        },
        "/readyz" if health.is_ready() => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, registry) {
                Ok(()) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if path == "/metrics" {
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, health: &Health) -> u16 {
        respond(path, &Registry::default(), health)
            .status()
            .as_u16()
    }

    #[tokio::test]
    async fn readiness_follows_the_flag_and_unknown_paths_are_not_found() {
        let health = Health::default();
        for (path, ready, want) in [
            ("/healthz", false, 200),
            ("/readyz", false, 503),
            ("/readyz", true, 200),
            ("/metrics", false, 200),
            ("/", true, 404),
        ] {
            health.set_ready(ready);
            assert_eq!(status(path, &health), want, "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_loop_is_reported_until_it_makes_progress_or_ends() {
        let health = Health::default();
        let other = health.register_loop("statuses", Duration::from_mins(10));
        let heartbeat = health.register_loop("election", Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(status("/healthz", &health), 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(status("/healthz", &health), 503);
        assert_eq!(
            health.stalled().as_deref(),
            Some("election has made no progress for 31 seconds\n")
        );
        other.beat();
        assert_eq!(status("/healthz", &health), 503, "another loop's heartbeat");
        heartbeat.beat();
        assert_eq!(status("/healthz", &health), 200);
        tokio::time::advance(Duration::from_secs(31)).await;
        drop(heartbeat);
        assert_eq!(status("/healthz", &health), 200, "it ended in order");
    }
}
