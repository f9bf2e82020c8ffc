//! The certificate of the server.
//!
//! Here: reading it from its Secret, and replacing it while connections stay. Not here: creating it
//! (`controller`), watching the Secret (`watches`), the certificates of callers (`callers`).
//! Invariant: a Secret that is empty or malformed replaces no certificate; the private key is never
//! printed.

use crate::callers::CallerVerification;
use k8s_openapi::api::core::v1::Secret;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Keys of the Secret.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Why the Secret has no certificate for the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidCertificate {
    /// The chart creates the Secret without data; the controller adds them.
    #[error("{CERTIFICATE} or {KEY} is missing; the controller adds them")]
    Missing,
    /// A value is no PEM.
    #[error("{0} is not a PEM file")]
    Malformed(&'static str),
    /// The key is not that of the certificate, or of an unknown kind.
    #[error("the certificate cannot be used with the key: {0}")]
    Unusable(String),
}

/// The certificate that handshakes get; connections that exist are not affected by a new one.
#[derive(Default)]
pub(crate) struct Certificate(RwLock<Option<Arc<CertifiedKey>>>);

impl Certificate {
    /// Takes the certificate of the Secret.
    ///
    /// # Errors
    /// If it has none that can be used; the one before stays.
    pub(crate) fn replace(&self, secret: &Secret) -> Result<(), InvalidCertificate> {
        let new = Arc::new(read(secret)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
        Ok(())
    }

    /// Whether there is one.
    pub(crate) fn is_loaded(&self) -> bool {
        self.current().is_some()
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn read(secret: &Secret) -> Result<CertifiedKey, InvalidCertificate> {
    let value = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.filter(|value| !value.0.is_empty())
    };
    let (Some(certificate), Some(key)) = (value(CERTIFICATE), value(KEY)) else {
        return Err(InvalidCertificate::Missing);
    };
    // The errors of the parser quote what they read.
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate.0)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or(InvalidCertificate::Malformed(CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_slice(&key.0)
        .ok()
        .ok_or(InvalidCertificate::Malformed(KEY))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| InvalidCertificate::Unusable(error.to_string()))
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("is_loaded", &self.is_loaded())
            .finish_non_exhaustive()
    }
}

/// The TLS configuration of a server with this certificate. A new certificate changes nothing of how callers are
/// verified.
///
/// # Errors
/// If the cryptographic provider lacks what the TLS versions need.
pub(crate) fn server_config(
    certificate: Arc<Certificate>,
    callers: &CallerVerification,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match callers.certificates() {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would be one of an earlier certificate, of the server or of the caller.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    /// A Secret with a new certificate for `localhost`, and the certificate.
    pub(crate) fn secret() -> (Secret, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let values = [
            (CERTIFICATE, made.cert.pem()),
            (KEY, made.signing_key.serialize_pem()),
        ];
        (with(&values), made.cert.der().clone())
    }

    fn with(values: &[(&str, String)]) -> Secret {
        let data = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.clone().into_bytes())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn what_is_no_certificate_replaces_none_and_is_not_quoted() {
        let certificate = Certificate::default();
        let values = |secret: &Secret, key: &str| {
            String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
        };
        let (good, other) = (secret().0, secret().0);
        let (chain, key) = (values(&good, CERTIFICATE), values(&good, KEY));
        for (secret, want) in [
            (
                Secret::default(),
                "tls.crt or tls.key is missing; the controller adds them",
            ),
            (
                with(&[(CERTIFICATE, chain.clone())]),
                "tls.crt or tls.key is missing; the controller adds them",
            ),
            (
                with(&[(CERTIFICATE, String::new()), (KEY, key.clone())]),
                "tls.crt or tls.key is missing; the controller adds them",
            ),
            (
                with(&[(CERTIFICATE, "hello".to_owned()), (KEY, key)]),
                "tls.crt is not a PEM file",
            ),
            (
                with(&[(CERTIFICATE, chain.clone()), (KEY, chain.clone())]),
                "tls.key is not a PEM file",
            ),
            (
                with(&[(CERTIFICATE, chain), (KEY, values(&other, KEY))]),
                "the certificate cannot be used with the key: keys may not be consistent: KeyMismatch",
            ),
        ] {
            let error = certificate.replace(&secret).unwrap_err();
            assert_eq!(error.to_string(), want);
            assert!(!certificate.is_loaded(), "{want}");
        }
        certificate.replace(&good).unwrap();
        let before = certificate.current().unwrap();
        assert!(certificate.replace(&Secret::default()).is_err());
        assert!(Arc::ptr_eq(&before, &certificate.current().unwrap()));
        assert_eq!(
            format!("{certificate:?}"),
            "Certificate { is_loaded: true, .. }"
        );
    }
}
