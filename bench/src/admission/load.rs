//! Sends reviews as an API server does.
//!
//! Here: connections, pairs of reviews, and how long each took. Not here: what is in them (`cases`), what
//! follows from the times (`main`).
//! Invariant: a connection has one request at a time, and every response is checked: a rejection, or a
//! response of another review, ends the measurement.

use crate::cases::{self, Case, Kind, NEW, UID, digest};
use crate::sides::Side;
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;

/// Connections of an API server to one host.
pub(crate) const CONNECTIONS: usize = 25;
/// Of so many pods one has a digest that nobody asked for yet.
const NEW_OF: usize = 10;

/// Path of the mutating entry.
pub(crate) const MUTATE: &str = "/mutate/pods?timeout=5s";
/// Path of the validating entry.
pub(crate) const VALIDATE: &str = "/validate/pods?timeout=5s";

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(side: &Side, trusted: &CertificateDer<'static>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(side.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Opens the connections of an API server.
    pub(crate) async fn open_all(
        side: &Side,
        trusted: &CertificateDer<'static>,
    ) -> Result<Vec<Self>> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Self::open(side, trusted).await?);
        }
        Ok(connections)
    }

    /// Sends a review; the response.
    pub(crate) async fn send(&mut self, path: &'static str, review: Bytes) -> Result<Bytes> {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(review))?;
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.as_u16() == 200, "{path}: {status}");
        Ok(body)
    }

    /// Sends a review that has to be allowed; how long it took.
    async fn timed(&mut self, path: &'static str, review: Bytes) -> Result<Duration> {
        let started = Instant::now();
        let response = self.send(path, review).await?;
        let took = started.elapsed();
        let text = std::str::from_utf8(&response)?;
        if !text.contains(r#""allowed":true"#) || !text.contains(UID) {
            bail!("{path} responds: {text}");
        }
        Ok(took)
    }
}

/// The operations of the patch in a response.
pub(crate) fn patch(response: &[u8]) -> Result<Vec<Json>> {
    let response: Json = serde_json::from_slice(response)?;
    match response["response"]["patch"].as_str() {
        Some(text) => Ok(serde_json::from_slice(&STANDARD.decode(text)?)?),
        None => Ok(Vec::new()),
    }
}

/// The two reviews of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    kind: Kind,
    pub(crate) size: usize,
    mutate: Bytes,
    validate: Bytes,
    /// Where the first digest is in both.
    digest_at: Option<usize>,
}

impl Pair {
    /// The reviews of a pod: the second one as the first one's response changes the pod, so that the
    /// webhook knows its images afterwards.
    pub(crate) async fn new(case: &Case, connection: &mut Connection) -> Result<Self> {
        let mutate = cases::review(&case.pod);
        let response = connection.send(MUTATE, mutate.clone().into()).await?;
        let pod = cases::patched(&case.pod, &patch(&response)?)?;
        let validate = cases::review(&pod);
        connection.timed(VALIDATE, validate.clone().into()).await?;
        let digest_at = (case.kind == Kind::Known)
            .then(|| mutate.find("@sha256:"))
            .flatten();
        Ok(Self {
            kind: case.kind,
            size: case.size,
            mutate: mutate.into(),
            validate: validate.into(),
            digest_at: digest_at.map(|at| at.saturating_add(1)),
        })
    }

    /// The same with another digest of the first image.
    fn with(&self, number: u64) -> Result<Self> {
        let at = self.digest_at.context("a tag")?;
        let digest = digest(number);
        let other = |review: &Bytes| -> Result<Bytes> {
            let mut review = review.to_vec();
            let end = at.saturating_add(digest.len());
            let place = review.get_mut(at..end).context("no digest")?;
            place.copy_from_slice(digest.as_bytes());
            Ok(review.into())
        };
        Ok(Self {
            kind: Kind::New,
            mutate: other(&self.mutate)?,
            validate: other(&self.validate)?,
            ..self.clone()
        })
    }
}

/// A review and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) kind: Kind,
    pub(crate) size: usize,
    pub(crate) is_mutating: bool,
    pub(crate) took: Duration,
}

/// What a turn of a side was.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) reviews: Vec<Timed>,
    /// CPU time of the side for one review.
    pub(crate) cpu: Duration,
    /// Reviews in a second.
    pub(crate) rate: f64,
}

/// Counts through the pods.
#[derive(Debug, Default)]
pub(crate) struct Next {
    pod: AtomicUsize,
    new: AtomicU64,
}

impl Next {
    /// The next pair, with a new digest where it is time for one.
    fn pair(&self, pairs: &[Pair]) -> Result<Pair> {
        let n = self.pod.fetch_add(1, Ordering::Relaxed);
        let at = n.checked_rem(pairs.len()).context("no pods")?;
        let pair = pairs.get(at).context("no pod")?;
        // In turn of an even and of an odd number, so of both sizes.
        if n % NEW_OF == (n / NEW_OF) % 2 && pair.digest_at.is_some() {
            let number = self.new.fetch_add(1, Ordering::Relaxed);
            return pair.with(NEW.saturating_add(number));
        }
        Ok(pair.clone())
    }
}

/// One side's turn: pairs over all connections for a time, so many reviews in a second if `rate` says so
/// and as many as possible otherwise.
pub(crate) async fn turn(
    side: &Side,
    connections: &mut Vec<Connection>,
    pairs: &Arc<Vec<Pair>>,
    next: &Arc<Next>,
    rate: Option<u32>,
    length: Duration,
) -> Result<Turn> {
    let before = side.cpu()?;
    let started = Instant::now();
    let mut running = Vec::new();
    for (n, connection) in (0_u32..).zip(connections.drain(..)) {
        // Two reviews a pair; each connection has its share of them, one after another.
        let pace = rate.map(|rate| {
            let each = Duration::from_secs(2).div_f64(f64::from(rate));
            (
                each.saturating_mul(n),
                each.saturating_mul(u32::try_from(CONNECTIONS).unwrap_or(1)),
            )
        });
        let (pairs, next) = (Arc::clone(pairs), Arc::clone(next));
        running.push(tokio::spawn(async move {
            one(connection, &pairs, &next, pace, started, length).await
        }));
    }
    let mut reviews = Vec::new();
    for running in running {
        let (connection, timed) = running.await?.with_context(|| side.name)?;
        connections.push(connection);
        reviews.extend(timed);
    }
    let elapsed = started.elapsed();
    let cpu = side.cpu()?.saturating_sub(before);
    let count = u32::try_from(reviews.len())?;
    ensure!(count > 0, "{}: no review", side.name);
    Ok(Turn {
        reviews,
        cpu: cpu / count,
        rate: f64::from(count) / elapsed.as_secs_f64(),
    })
}

async fn one(
    mut connection: Connection,
    pairs: &[Pair],
    next: &Next,
    pace: Option<(Duration, Duration)>,
    started: Instant,
    length: Duration,
) -> Result<(Connection, Vec<Timed>)> {
    let mut ticks = pace.map(|(offset, period)| {
        let first = started.checked_add(offset).unwrap_or(started);
        let mut ticks = tokio::time::interval_at(first.into(), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    });
    let mut timed = Vec::new();
    loop {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        if started.elapsed() >= length {
            return Ok((connection, timed));
        }
        let pair = next.pair(pairs)?;
        for (path, review) in [(MUTATE, pair.mutate), (VALIDATE, pair.validate)] {
            let took = connection.timed(path, review).await?;
            timed.push(Timed {
                kind: pair.kind,
                size: pair.size,
                is_mutating: path == MUTATE,
                took,
            });
        }
    }
}
