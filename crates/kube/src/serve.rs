//! Answers probes and scrapes: /healthz, /readyz, /metrics.
//!
//! Here: the HTTP server, and what it knows of a component's loops. Not here: which metrics and
//! loops there are (each component).
//! Invariant: it reads nothing from a request but its path; a loop that stands still is told by
//! its name, and the kubelet starts the component again.

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

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: choose another address")]
pub struct ServeError {
    address: SocketAddr,
    source: std::io::Error,
}

/// What the probes are told: whether the component is ready, and whether its loops turn.
#[derive(Clone, Debug, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
    loops: Arc<Mutex<Vec<Turning>>>,
}

#[derive(Debug)]
struct Turning {
    name: &'static str,
    last: Instant,
    longest: Duration,
}

/// The sign of life of one loop; dropped with the loop when that ends.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    loops: Arc<Mutex<Vec<Turning>>>,
}

impl Health {
    /// Says whether the component is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Watches a loop, which must beat at least every `longest`. A component has one loop of a
    /// name at a time.
    #[must_use]
    pub fn watch(&self, name: &'static str, longest: Duration) -> Pulse {
        lock(&self.loops).push(Turning {
            name,
            last: Instant::now(),
            longest,
        });
        Pulse {
            name,
            loops: Arc::clone(&self.loops),
        }
    }

    /// The first loop that stands still, in words; this is what /healthz says.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        let loops = lock(&self.loops);
        let stuck = loops.iter().find(|l| l.last.elapsed() > l.longest)?;
        let (name, seconds) = (stuck.name, stuck.last.elapsed().as_secs());
        Some(format!("{name} stands still for {seconds} seconds\n"))
    }
}

impl Pulse {
    /// The loop turns.
    pub fn beat(&self) {
        for turning in lock(&self.loops).iter_mut() {
            if turning.name == self.name {
                turning.last = Instant::now();
            }
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        lock(&self.loops).retain(|turning| turning.name != self.name);
    }
}

fn lock(loops: &Mutex<Vec<Turning>>) -> MutexGuard<'_, Vec<Turning>> {
    loops.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds the address and serves until `shutdown`.
///
/// # Errors
/// When the address can't be bound.
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
                let response = answer(request.uri().path(), &registry, &health);
                async move { Ok::<_, std::convert::Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(error = %error, "a connection of a probe or scrape ended early");
            }
        });
    }
}

/// `[::]` takes both families, where the node has both; else IPv4 alone is there.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == std::net::Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

fn answer(path: &str, registry: &Registry, health: &Health) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/healthz" => match health.stuck() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(stuck) => (StatusCode::SERVICE_UNAVAILABLE, stuck),
        },
        "/readyz" if health.ready.load(Ordering::Relaxed) => (StatusCode::OK, "ok\n".to_owned()),
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
        answer(path, &Registry::default(), health).status().as_u16()
    }

    #[tokio::test]
    async fn readiness_follows_the_flag_and_unknown_paths_are_refused() {
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
    async fn a_loop_that_stands_still_is_told_until_it_turns_or_ends() {
        let health = Health::default();
        let other = health.watch("statuses", Duration::from_mins(10));
        let pulse = health.watch("election", Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(status("/healthz", &health), 200);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(status("/healthz", &health), 503);
        assert_eq!(
            health.stuck().as_deref(),
            Some("election stands still for 31 seconds\n")
        );
        other.beat();
        assert_eq!(status("/healthz", &health), 503, "another loop's beat");
        pulse.beat();
        assert_eq!(status("/healthz", &health), 200);
        tokio::time::advance(Duration::from_secs(31)).await;
        drop(pulse);
        assert_eq!(status("/healthz", &health), 200, "it ended in order");
    }
}
