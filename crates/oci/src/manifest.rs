//! The digest and the kind of a manifest.
//!
//! Here: what a registry's answer about one says. Not here: getting the answer (`registry`).
//! Invariant: a digest in the result is the one that was asked for, one that the registry states and
//! nothing contradicts, or the hash of the bytes that it sent. Bytes are always hashed.

use crate::digest::{Algorithm, Digest};
use crate::lookup::{Failure, ImageFacts, ManifestKind};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt::Write as _;

/// A successful answer about a manifest.
#[derive(Clone, Debug)]
pub struct ManifestAnswer<'a> {
    /// The value of `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The values of `Docker-Content-Digest`.
    pub digests: Vec<&'a str>,
    /// The body; none for the answer to a HEAD request.
    pub body: Option<&'a [u8]>,
}

impl ManifestAnswer<'_> {
    /// The facts that the answer gives about `asked`, or about a tag if that is none.
    ///
    /// Without a body there can be too little to tell: then there are none, and the body must be
    /// read.
    ///
    /// # Errors
    /// The answer contradicts itself or what was asked for, or is not about an image.
    pub fn facts(&self, asked: Option<&Digest>) -> Result<Option<ImageFacts>, Failure> {
        let stated = self.stated()?;
        if let (Some(asked), Some(stated)) = (asked, &stated)
            && asked != stated
        {
            return Err(Failure::DigestMismatch);
        }
        let kind = self.content_type.and_then(kind);
        let Some(body) = self.body else {
            let facts = stated.zip(kind);
            return Ok(facts.map(|(digest, kind)| ImageFacts { digest, kind }));
        };
        let kind = kind.ok_or_else(|| match self.content_type {
            Some(other) => Failure::unexpected(&format!("media type {other}")),
            None => Failure::unexpected("no media type"),
        })?;
        let expected = stated.as_ref().or(asked);
        let algorithm = expected.map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = hash(algorithm, body);
        if expected.is_some_and(|expected| *expected != digest) {
            return Err(Failure::DigestMismatch);
        }
        Ok(Some(ImageFacts { digest, kind }))
    }

    /// The digest that the registry states.
    fn stated(&self) -> Result<Option<Digest>, Failure> {
        let mut stated = None;
        for text in &self.digests {
            let digest = Digest::parse(text.trim())
                .ok()
                .ok_or_else(|| Failure::unexpected(&format!("digest {text}")))?;
            if stated.as_ref().is_some_and(|other| *other != digest) {
                return Err(Failure::DigestMismatch);
            }
            stated = Some(digest);
        }
        Ok(stated)
    }
}

/// The kind of a media type, without its parameters.
fn kind(content_type: &str) -> Option<ManifestKind> {
    let media_type = content_type.split(';').next()?.trim();
    [
        (
            "application/vnd.oci.image.index.v1+json",
            ManifestKind::Index,
        ),
        (
            "application/vnd.oci.image.manifest.v1+json",
            ManifestKind::Manifest,
        ),
        (
            "application/vnd.docker.distribution.manifest.list.v2+json",
            ManifestKind::Index,
        ),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            ManifestKind::Manifest,
        ),
    ]
    .into_iter()
    .find(|(known, _)| media_type.eq_ignore_ascii_case(known))
    .map(|(_, kind)| kind)
}

/// The digest of bytes.
fn hash(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let digits = match algorithm {
        Algorithm::Sha256 => hexadecimal(&Sha256::digest(bytes)),
        Algorithm::Sha384 => hexadecimal(&Sha384::digest(bytes)),
        Algorithm::Sha512 => hexadecimal(&Sha512::digest(bytes)),
    };
    Digest::of_digits(algorithm, &digits)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_known_whatever_its_parameters_and_case() {
        for (text, expected) in [
            (
                "application/vnd.oci.image.index.v1+json",
                Some(ManifestKind::Index),
            ),
            (
                "Application/vnd.OCI.image.manifest.v1+json; charset=utf-8",
                Some(ManifestKind::Manifest),
            ),
            (
                "application/vnd.docker.distribution.manifest.list.v2+json",
                Some(ManifestKind::Index),
            ),
            (
                "application/vnd.docker.distribution.manifest.v2+json",
                Some(ManifestKind::Manifest),
            ),
            ("application/vnd.docker.distribution.manifest.v1+json", None),
            ("application/json", None),
            ("", None),
            (";", None),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_have_the_digest_of_each_algorithm() {
        for (algorithm, digits) in [
            (
                Algorithm::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                Algorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let expected = Digest::parse(&format!("{}:{digits}", algorithm.name())).unwrap();
            assert_eq!(hash(algorithm, b"abc"), expected);
        }
    }
}
