//! HTTP to the cluster's registry.
//!
//! Here: one request and its answer, over TLS with the cluster's authority. Not here: what is asked for
//! (`registry`).
//! Invariant: a status that the caller does not expect is an error with all that the registry said.

use super::Account;
use crate::image::{INDEX, MANIFEST};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;
use std::time::Duration;

pub(super) use hyper::Method;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// The largest answer, in bytes: a manifest.
const LARGEST: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Client {
    host: &'static str,
    /// The header `Authorization`, for a registry with an account.
    authorization: Option<String>,
    runtime: tokio::runtime::Runtime,
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer of the registry.
#[derive(Debug)]
pub(super) struct Answer {
    asked: String,
    pub(super) status: u16,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) fn new(
        host: &'static str,
        account: Option<Account>,
        ca_bundle: &str,
    ) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_bundle.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            host,
            authorization: account.map(|account| {
                let pair = format!("{}:{}", account.username, account.password);
                format!("Basic {}", STANDARD.encode(pair))
            }),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                // An idle connection would end with a registry that is stopped.
                .pool_max_idle_per_host(0)
                .build(connector),
        })
    }

    /// Sends a request to a path, or to an address that the registry gave; with a body and its media type.
    pub(super) fn send(
        &self,
        method: Method,
        to: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Answer> {
        let uri = if to.starts_with('/') {
            format!("https://{}{to}", self.host)
        } else {
            to.to_owned()
        };
        let asked = format!("{method} {uri}");
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, format!("{MANIFEST}, {INDEX}"));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut bytes = Vec::new();
        if let Some((media_type, body)) = body {
            request = request.header(CONTENT_TYPE, media_type);
            bytes = body;
        }
        let request = request.body(Full::new(Bytes::from(bytes)))?;
        let exchange = async {
            let response = self.http.request(request).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?;
            anyhow::Ok((head, body.to_bytes().to_vec()))
        };
        let (head, body) = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, exchange).await })
            .with_context(|| {
                format!(
                    "the registry does not answer {asked} in {} s",
                    PATIENCE.as_secs()
                )
            })?
            .with_context(|| format!("cannot send {asked} to the registry"))?;
        Ok(Answer {
            asked,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

impl Answer {
    /// The answer, if it has one of these statuses.
    pub(super) fn expect(self, statuses: &[u16]) -> Result<Self> {
        anyhow::ensure!(
            statuses.contains(&self.status),
            "the registry answers {} with {}: {}",
            self.asked,
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        Ok(self)
    }

    /// A header that the answer must have.
    pub(super) fn header(&self, name: &str) -> Result<&str> {
        self.headers
            .get(name)
            .with_context(|| format!("the answer to {} has no {name}", self.asked))?
            .to_str()
            .with_context(|| format!("{name} in the answer to {} is not text", self.asked))
    }
}
