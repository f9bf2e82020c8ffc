//! Downloads of sources.
//!
//! Here: one GET with its redirects, and what a server can do wrong. Not here: which URLs (`place`, `defaults`), and what
//! the content means (`records`).
//! Invariant: nothing is read but over TLS, also after a redirect. Time, bytes and redirects are bounded. Nothing is
//! decompressed.
//!
//! Proxies of the environment are not used, as for registries.

use super::place::{https, without_query};
use crate::causes;
use bailiff_response::messages::escaped;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Bytes of the headers of a response.
const HEADER_BYTES: usize = 64 << 10;

/// What the requests say that they come from.
const AGENT: &str = concat!("bailiff/", env!("CARGO_PKG_VERSION"));

/// What a server can take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Until there is a response to a request, with its connection.
    pub(super) response: Duration,
    /// Until there are more bytes.
    pub(super) silence: Duration,
    /// All of it.
    pub(super) all: Duration,
    /// Bytes.
    pub(super) bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(30),
            silence: Duration::from_secs(30),
            all: Duration::from_hours(1),
            bytes: 8 << 30,
        }
    }
}

/// Downloads files.
#[derive(Clone, Debug)]
pub(super) struct Downloader {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    limits: Limits,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(super) enum DownloadError {
    #[error("the server responded with status {0}")]
    Status(u16),
    #[error("the server redirects to {0}, and only https URLs without a user name are followed")]
    Redirect(String),
    #[error("the server redirects more than {REDIRECTS} times")]
    Redirects,
    #[error("the server sent no response within {} s", .0.as_secs())]
    NoResponse(Duration),
    #[error("the server sent nothing for {} s", .0.as_secs())]
    Silence(Duration),
    #[error("it takes more than {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("it has more than the {0} bytes that are read")]
    TooLarge(u64),
    #[error("it is compressed as {0}, which was not requested")]
    Encoding(String),
    #[error("the connection ended after {received} of {stated} bytes")]
    Short { received: u64, stated: u64 },
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the temporary file: {0}")]
    Write(#[from] std::io::Error),
}

impl Downloader {
    /// Downloads from servers with certificates of public authorities.
    pub(super) fn new() -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::with(roots, Limits::default())
    }

    /// Downloads from servers with certificates of these authorities.
    pub(super) fn with(roots: RootCertStore, limits: Limits) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot create the client for downloads: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limits.response));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEADER_BYTES)
            .build(connector);
        Ok(Self { client, limits })
    }

    /// Downloads a file. `received` counts its bytes.
    pub(super) async fn get(
        &self,
        url: &Uri,
        into: &mut File,
        received: &AtomicU64,
    ) -> Result<(), DownloadError> {
        let limit = self.limits.all;
        timeout(limit, self.get_slowly(url, into, received))
            .await
            .unwrap_or(Err(DownloadError::TooSlow(limit)))
    }

    async fn get_slowly(
        &self,
        url: &Uri,
        into: &mut File,
        received: &AtomicU64,
    ) -> Result<(), DownloadError> {
        let response = self.follow(url).await?;
        let header = |name| {
            let value = response.headers().get(name);
            value.and_then(|value| value.to_str().ok())
        };
        if let Some(encoding) = header(CONTENT_ENCODING)
            && !encoding.eq_ignore_ascii_case("identity")
        {
            return Err(DownloadError::Encoding(escaped(encoding, 40)));
        }
        let stated = header(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        let limit = self.limits.bytes;
        if stated.is_some_and(|bytes| bytes > limit) {
            return Err(DownloadError::TooLarge(limit));
        }
        let mut body = response.into_body();
        let mut count: u64 = 0;
        loop {
            let silence = self.limits.silence;
            let frame = timeout(silence, body.frame()).await;
            let frame = match frame.map_err(|_elapsed| DownloadError::Silence(silence))? {
                None => break,
                Some(frame) => frame.map_err(|error| failed(&error, count, stated))?,
            };
            if let Some(bytes) = frame.data_ref() {
                count = count.saturating_add(bytes.len() as u64);
                if count > limit {
                    return Err(DownloadError::TooLarge(limit));
                }
                into.write_all(bytes)?;
                received.store(count, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The response with the file.
    async fn follow(&self, url: &Uri) -> Result<Response<Incoming>, DownloadError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.send(&url).await?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return if status == 200 {
                    Ok(response)
                } else {
                    Err(DownloadError::Status(status))
                };
            }
            let to = response.headers().get(LOCATION);
            let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
            url = target(&url, to).ok_or_else(|| DownloadError::Redirect(escaped(to, 200)))?;
        }
        Err(DownloadError::Redirects)
    }

    async fn send(&self, url: &Uri) -> Result<Response<Incoming>, DownloadError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let limit = self.limits.response;
        match timeout(limit, self.client.request(request)).await {
            Err(_) => Err(DownloadError::NoResponse(limit)),
            Ok(Err(error)) => Err(DownloadError::Failed(escaped(&causes(&error), 400))),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

/// What an error in the middle of a body means.
fn failed(error: &hyper::Error, received: u64, stated: Option<u64>) -> DownloadError {
    match stated {
        Some(stated) if error.is_incomplete_message() || received < stated => {
            DownloadError::Short { received, stated }
        }
        Some(_) | None => DownloadError::Failed(escaped(&causes(error), 400)),
    }
}

/// Where a redirect leads: to another https URL, or to a path of the same server. None if it is something else.
fn target(from: &Uri, to: &str) -> Option<Uri> {
    if to.starts_with('/') && !to.starts_with("//") {
        let host = from.authority()?;
        return https(&format!("https://{host}{to}"));
    }
    https(to)
}

/// The remedy for a failed download.
pub(super) fn remedy(error: &DownloadError) -> &'static str {
    match error {
        DownloadError::Write(_) => "free space in the directory of the index",
        DownloadError::Status(_)
        | DownloadError::Redirect(_)
        | DownloadError::Redirects
        | DownloadError::NoResponse(_)
        | DownloadError::Silence(_)
        | DownloadError::TooSlow(_)
        | DownloadError::TooLarge(_)
        | DownloadError::Encoding(_)
        | DownloadError::Short { .. }
        | DownloadError::Failed(_) => {
            "retry, or download it with another program and give the file instead of the URL"
        }
    }
}

/// The error of a download for people.
pub(super) fn message(url: &Uri, error: &DownloadError) -> String {
    let url = escaped(&without_query(url), 400);
    format!("cannot download {url}: {error}; {}", remedy(error))
}
