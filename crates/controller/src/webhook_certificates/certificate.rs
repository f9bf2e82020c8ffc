//! One certificate, with or without its key.
//!
//! Here: issuing certificates, reading them, and what makes one usable. Not here: which ones exist and when they
//! are replaced (`authority`, `plan`).
//! Invariant: what was read is a P-256 certificate with the key beside it, or nothing; `Debug` shows no key.

use bailiff_api::keys::WEBHOOK_SERVICE as SERVICE;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use std::time::Duration;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// How long an authority is valid.
pub(super) const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How long a served certificate is valid.
pub(super) const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far the clocks of a cluster differ at most. A certificate is valid from so long before it is issued.
pub(super) const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);
/// Subject of each authority.
const AUTHORITY_NAME: &str = "bailiff-webhook-ca";
/// Most bytes of a certificate or key in a Secret. Ours have less than 1 KiB.
const TEXT_LIMIT_BYTES: usize = 8 * 1024;

/// The names that a certificate is for, in a namespace.
pub(super) fn names(namespace: &str) -> Vec<String> {
    let service = format!("{SERVICE}.{namespace}.svc");
    vec![service.clone(), format!("{service}.cluster.local")]
}

/// A certificate. Not necessarily a usable one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// As PEM, one block.
    pub(super) text: String,
    der: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Certificate {
    /// The certificate of a text of one PEM block; none if it is anything else.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
        const END: &str = "-----END CERTIFICATE-----\n";
        let text = std::str::from_utf8(text).ok()?;
        let is_one = text.starts_with(BEGIN)
            && text.ends_with(END)
            && text.matches("-----BEGIN").count() == 1;
        if !is_one || text.len() > TEXT_LIMIT_BYTES {
            return None;
        }
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).ok()?;
        let (rest, parsed) = X509Certificate::from_der(&pem.contents).ok()?;
        let validity = parsed.validity();
        let time = |time: i64| Timestamp::from_second(time).ok();
        let not_before = time(validity.not_before.timestamp())?;
        let not_after = time(validity.not_after.timestamp())?;
        if !rest.is_empty() || not_before >= not_after {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            not_before,
            not_after,
            der: pem.contents,
        })
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        Some(X509Certificate::from_der(&self.der).ok()?.1)
    }

    /// Whether a clock that shows this time accepts it.
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// When half of its life is over.
    pub(super) fn half_life(&self) -> Timestamp {
        let half = self.not_after.duration_since(self.not_before) / 2;
        self.not_before
            .saturating_add(half)
            .unwrap_or(self.not_after)
    }

    /// Whether it is an authority as [`KeyedCertificate::authority`] makes it.
    pub(super) fn is_authority(&self) -> bool {
        let Some(parsed) = self.parsed() else {
            return false;
        };
        let mut names = parsed.subject().iter_common_name();
        let is_named = names.next().and_then(|name| name.as_str().ok()) == Some(AUTHORITY_NAME);
        let signs = parsed
            .key_usage()
            .is_ok_and(|usage| usage.is_some_and(|usage| usage.value.key_cert_sign()));
        let lifetime = self.not_after.duration_since(self.not_before);
        is_named
            && names.next().is_none()
            && parsed.is_ca()
            && signs
            && lifetime <= AUTHORITY_LIFETIME + CLOCK_SKEW
            && parsed.verify_signature(None).is_ok()
    }

    /// Whether an authority issued it for these names, to be served.
    fn is_served_by(&self, authority: &Self, names: &[String]) -> bool {
        let (Some(parsed), Some(issuer)) = (self.parsed(), authority.parsed()) else {
            return false;
        };
        let found = parsed.subject_alternative_name().ok().flatten();
        let found = found.map_or(&[][..], |names| &names.value.general_names);
        let has_names = found.len() == names.len()
            && found.iter().zip(names).all(
                |(found, name)| matches!(found, GeneralName::DNSName(found) if *found == name),
            );
        let serves = parsed
            .extended_key_usage()
            .is_ok_and(|usage| usage.is_some_and(|usage| usage.value.server_auth));
        has_names
            && serves
            && !parsed.is_ca()
            && parsed.issuer() == issuer.subject()
            && parsed.verify_signature(Some(issuer.public_key())).is_ok()
    }
}

/// A certificate with its key. The `Debug` of a [`KeyPair`] shows no key.
#[derive(Debug)]
pub(super) struct KeyedCertificate {
    pub(super) certificate: Certificate,
    key: KeyPair,
}

impl KeyedCertificate {
    /// A certificate and its key, as PEM; none if one is malformed or they do not belong together.
    pub(super) fn read(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let certificate = Certificate::read(certificate)?;
        if key.len() > TEXT_LIMIT_BYTES {
            return None;
        }
        let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
        let parsed = certificate.parsed()?;
        let of_certificate = &*parsed.public_key().subject_public_key.data;
        if !key.is_compatible(&PKCS_ECDSA_P256_SHA256) || key.der_bytes() != of_certificate {
            return None;
        }
        Some(Self { certificate, key })
    }

    /// A new authority.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(super) fn authority(now: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(now, now + AUTHORITY_LIFETIME, AUTHORITY_NAME)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?;
        Self::new(&certificate, key)
    }

    /// A new certificate of this authority for the names of a namespace. It ends with the authority.
    ///
    /// # Errors
    /// When the system gives no randomness, or a name is no DNS name.
    pub(super) fn issue(&self, now: Timestamp, namespace: &str) -> Result<Self, rcgen::Error> {
        let names = names(namespace);
        let der = self.certificate.der.as_slice().into();
        let issuer = Issuer::from_ca_cert_der(&der, &self.key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let ends = self.certificate.not_after.min(now + LIFETIME);
        let mut params = params(now, ends, SERVICE)?;
        let names = CertificateParams::new(names)?.subject_alt_names;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        Self::new(&certificate, key)
    }

    fn new(certificate: &rcgen::Certificate, key: KeyPair) -> Result<Self, rcgen::Error> {
        let certificate = Certificate::read(certificate.pem().as_bytes());
        let certificate = certificate.ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { certificate, key })
    }

    /// Whether it is an authority that can issue now.
    pub(super) fn is_usable_authority(&self, now: Timestamp) -> bool {
        self.certificate.is_valid_at(now) && self.certificate.is_authority()
    }

    /// Whether it can be served now in a namespace, and an authority issued it.
    pub(super) fn is_usable(
        &self,
        now: Timestamp,
        authority: &Certificate,
        namespace: &str,
    ) -> bool {
        self.certificate.is_valid_at(now)
            && self.certificate.is_served_by(authority, &names(namespace))
    }

    /// The key as PEM. Only for the Secret that it belongs to.
    pub(super) fn key_text(&self) -> String {
        self.key.serialize_pem()
    }
}

fn params(
    now: Timestamp,
    not_after: Timestamp,
    name: &str,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let time = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second());
        let seconds = seconds.map_err(|_before_1970| rcgen::Error::Time)?;
        Ok(rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds))
    };
    params.not_before = time(now - CLOCK_SKEW)?;
    params.not_after = time(not_after)?;
    Ok(params)
}
