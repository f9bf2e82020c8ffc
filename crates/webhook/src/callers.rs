//! Who can send reviews.
//!
//! Here: the addresses and the authority that callers are verified with, and what is said about the others. Not
//! here: the connections (`server`), what depends on it (`credentials`).
//! Invariant: one value decides both which connections are served and whether callers count as verified, so no
//! credential relies on a verification that does not take place.

use crate::metrics::{Metrics, RejectedLabel};
use ipnet::IpNet;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Addresses that the log names. Others are only counted.
const LOGGED_LIMIT: usize = 64;

/// Whether only an API server can send reviews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Others are rejected.
    Verified,
    /// Whoever reaches the webhook can pretend to be of any namespace, so a credential that is not for all
    /// namespaces is not used.
    Unverified,
}

/// How callers are verified. The default serves all of them.
#[derive(Clone, Debug, Default)]
pub struct CallerVerification {
    /// Addresses that are served. If empty, all are.
    addresses: Vec<IpNet>,
    /// Verifies the client certificate that each handshake then requires.
    certificates: Option<Arc<dyn ClientCertVerifier>>,
}

/// Why callers cannot be verified as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallers {
    /// A text is no range of addresses.
    #[error(
        "apiServerCIDRs[{index}]: must be a range of addresses such as 192.0.2.10/32, not {text:?}"
    )]
    Range {
        /// Position in the list.
        index: usize,
        /// The text.
        text: String,
    },
    /// A range verifies nothing.
    #[error(
        "apiServerCIDRs[{index}]: must not contain all addresses; to serve all callers, leave the list empty"
    )]
    AllAddresses {
        /// Position in the list.
        index: usize,
    },
    /// A range contains no address of a peer.
    #[error(
        "apiServerCIDRs[{index}]: must be an IPv4 range, because IPv4-mapped addresses are compared as IPv4"
    )]
    Mapped {
        /// Position in the list.
        index: usize,
    },
    /// The authority is no PEM file, or has no certificate.
    #[error("clientCA: must have one or more certificates in PEM")]
    NoCertificate,
    /// A certificate cannot be that of an authority.
    #[error("clientCA: a certificate cannot be used: {0}")]
    Certificate(String),
}

impl CallerVerification {
    /// Serves only connections from `api_servers` (ranges such as `192.0.2.10/32`; empty: from all addresses)
    /// that present a client certificate of `client_ca` (PEM; none: without one).
    ///
    /// # Errors
    /// A range or a certificate cannot be used.
    pub fn new(api_servers: &[String], client_ca: Option<&[u8]>) -> Result<Self, InvalidCallers> {
        let addresses = api_servers.iter().enumerate().map(range);
        Ok(Self {
            addresses: addresses.collect::<Result<_, _>>()?,
            certificates: client_ca.map(verifier).transpose()?,
        })
    }

    /// Whether only API servers are served.
    #[must_use]
    pub fn callers(&self) -> Callers {
        if self.addresses.is_empty() && self.certificates.is_none() {
            Callers::Unverified
        } else {
            Callers::Verified
        }
    }

    /// Whether connections from an address are served. A socket that accepts both families names an IPv4 peer
    /// by its IPv4-mapped address.
    pub(crate) fn serves(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.addresses.is_empty() || self.addresses.iter().any(|range| range.contains(&peer))
    }

    /// Whether a connection that is served is from an address of an API server.
    pub(crate) fn has_addresses(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// What handshakes verify client certificates with; none: they ask for none.
    pub(crate) fn certificates(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        self.certificates.clone()
    }
}

fn range((index, text): (usize, &String)) -> Result<IpNet, InvalidCallers> {
    let range: IpNet = text.parse().ok().ok_or_else(|| InvalidCallers::Range {
        index,
        text: text.clone(),
    })?;
    let is_mapped = match range {
        IpNet::V4(_) => false,
        IpNet::V6(range) => range.prefix_len() >= 96 && range.network().to_ipv4_mapped().is_some(),
    };
    match (range.prefix_len(), is_mapped) {
        (0, _) => Err(InvalidCallers::AllAddresses { index }),
        (_, true) => Err(InvalidCallers::Mapped { index }),
        (_, false) => Ok(range),
    }
}

fn verifier(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, InvalidCallers> {
    let unusable = |error: &dyn std::error::Error| InvalidCallers::Certificate(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        // The error of the parser quotes what it read.
        let certificate = certificate.ok().ok_or(InvalidCallers::NoCertificate)?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(InvalidCallers::NoCertificate);
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable(&error))
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejection {
    /// Its address is not one of an API server.
    Address,
    /// It presents no client certificate, or one that cannot be verified.
    Certificate,
    /// Each of the other connections has a review in progress.
    NoRoom,
}

impl Rejection {
    /// What a failed handshake says about the caller; none: it failed for another reason.
    pub(crate) fn of(error: &std::io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
                Some(Self::Certificate)
            }
            _ => None,
        }
    }

    /// The label of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::NoRoom => "no_room",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Address => {
                "Rejected a connection, because its address is not in webhook.apiServerCIDRs. If it is that of an API server, add it"
            }
            Self::Certificate => {
                "Rejected a connection, because it has no client certificate of webhook.clientCA. If it is that of an API server, configure the certificate there"
            }
            Self::NoRoom => {
                "Rejected a connection, because each of the others has a review in progress. If these are not of API servers, set webhook.apiServerCIDRs or webhook.clientCA"
            }
        }
    }
}

/// Connections that were rejected.
pub(crate) struct Rejections {
    metrics: Metrics,
    logged: Mutex<BTreeSet<(Rejection, IpAddr)>>,
}

impl Rejections {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            logged: Mutex::default(),
        }
    }

    /// Counts a connection, and logs the first of each address.
    pub(crate) fn add(&self, rejection: Rejection, peer: IpAddr) {
        let reason = rejection.label();
        self.metrics
            .rejected_connections
            .get_or_create(&RejectedLabel { reason })
            .inc();
        if self.is_first(rejection, peer.to_canonical()) {
            tracing::warn!(address = %peer.to_canonical(), "{}", rejection.message());
        }
    }

    fn is_first(&self, rejection: Rejection, peer: IpAddr) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.len() < LOGGED_LIMIT && logged.insert((rejection, peer))
    }
}

#[cfg(test)]
mod tests;
