//! Connections to registries.
//!
//! Here: resolving a name, checking its addresses, TLS, and what an error of a connection means. Not
//! here: which host is asked (`client`).
//! Invariant: the addresses that were checked are those that are connected to, for each connection.
//! A name that resolves to another address later is checked again, by the next connection.

use super::addresses::address_allowed;
use super::limits::{HEADER_BYTES, HEADERS, HEADERS_NAME, Limits};
use super::{BoxFuture, Failure};
use http::Uri;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower::Service;

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// A client for servers with the same authorities and the same rule on addresses.
pub(super) type Http = Client<Bounded, Empty<Bytes>>;

/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How many of those are kept for each server.
const IDLE_CONNECTIONS: usize = 4;

/// Resolves the names of hosts.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`. What it is may be malformed, as a server can have written it.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// The resolver of the system.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the registry client: {0}")]
pub struct InvalidClient(#[from] rustls::Error);

/// A connection that Bailiff itself ended or did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum NoConnection {
    #[error("the address is not allowed")]
    AddressNotAllowed,
    #[error("the connection takes too long")]
    Timeout,
}

/// The client for servers with certificates of these authorities; none: of the public ones.
///
/// `rule` has the ranges that are denied beside those that always are; none: any address is connected to.
pub(super) fn http(
    authorities: Option<&[CertificateDer<'static>]>,
    rule: Option<&Arc<[IpNet]>>,
    resolve: &Arc<dyn Resolve>,
    limits: Limits,
) -> Result<Http, InvalidClient> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(authorities) => {
            for authority in authorities {
                roots.add(authority.clone())?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let rule = rule.cloned();
    let mut tcp = HttpConnector::new_with_resolver(Resolver {
        resolve: Arc::clone(resolve),
        rule: rule.clone(),
    });
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // One protocol, so that one set of limits holds.
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(Checked { tcp, rule });
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(HEADER_BYTES)
        .http1_max_headers(HEADERS)
        .build(Bounded {
            https,
            limit: limits.connect,
        }))
}

/// Resolves a name to the addresses that are allowed.
#[derive(Clone)]
struct Resolver {
    resolve: Arc<dyn Resolve>,
    /// The denied ranges; none: every address is allowed.
    rule: Option<Arc<[IpNet]>>,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { resolve, rule } = self.clone();
        Box::pin(async move {
            let found = resolve.resolve(name.as_str()).await?;
            let was_found = !found.is_empty();
            let allowed: Vec<_> = found
                .into_iter()
                .filter(|address| is_allowed(*address, rule.as_deref()))
                // The connector sets the port.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if was_found && allowed.is_empty() {
                return Err(NoConnection::AddressNotAllowed.into());
            }
            Ok(allowed.into_iter())
        })
    }
}

/// Checks hosts that are addresses, which are not resolved.
#[derive(Clone)]
pub(super) struct Checked {
    tcp: HttpConnector<Resolver>,
    rule: Option<Arc<[IpNet]>>,
}

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let host = url.host().unwrap_or_default();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = host.parse()
            && !is_allowed(address, self.rule.as_deref())
        {
            return Box::pin(async { Err(NoConnection::AddressNotAllowed.into()) });
        }
        let connecting = self.tcp.call(url);
        Box::pin(async { connecting.await.map_err(Into::into) })
    }
}

fn is_allowed(address: IpAddr, rule: Option<&[IpNet]>) -> bool {
    rule.is_none_or(|denied| address_allowed(address, denied))
}

/// Bounds how long name, connection and TLS take together.
#[derive(Clone)]
pub(super) struct Bounded {
    https: HttpsConnector<Checked>,
    limit: Duration,
}

impl Service<Uri> for Bounded {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.https.call(url);
        let limit = self.limit;
        Box::pin(async move {
            tokio::time::timeout(limit, connecting)
                .await
                .unwrap_or_else(|_: tokio::time::error::Elapsed| Err(NoConnection::Timeout.into()))
        })
    }
}

/// What an error of a request means.
pub(super) fn failure(error: &(dyn Error + 'static)) -> Failure {
    // Errors of a connection are nested a few deep; those of input and output hide theirs.
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = known(error) {
            return known;
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    Failure::Connect
}

fn known(error: &(dyn Error + 'static)) -> Option<Failure> {
    if let Some(error) = error.downcast_ref::<NoConnection>() {
        return Some(match error {
            NoConnection::AddressNotAllowed => Failure::AddressNotAllowed,
            NoConnection::Timeout => Failure::Timeout,
        });
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        // Others, such as an answer without TLS, say nothing about the certificate.
        return matches!(
            error,
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
        )
        .then_some(Failure::Certificate);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_parse_too_large() {
            return Some(Failure::LimitExceeded(HEADERS_NAME));
        }
        if error.is_parse() {
            return Some(Failure::unexpected("malformed HTTP"));
        }
    }
    None
}
