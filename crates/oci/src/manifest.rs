//! The digest and the kind of a manifest.
//!
//! Here: what a registry's answer about one says. Not here: getting the answer (`registry`).
//! Invariant: a digest in the result is the one that was asked for, one that the registry states and
//! nothing contradicts, or the hash of the bytes that it sent. Bytes are always hashed.

use crate::digest::{Algorithm, Digest};
use crate::hash::Hasher;
use crate::lookup::{Failure, ImageFacts, ManifestKind};

/// The headers of a successful answer about a manifest.
#[derive(Clone, Debug)]
pub struct ManifestAnswer<'a> {
    /// The value of `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The values of `Docker-Content-Digest`.
    pub digests: Vec<&'a str>,
}

/// The body of such an answer: its bytes are hashed as they come, and not kept.
#[derive(Clone, Debug)]
pub struct ManifestContent {
    kind: ManifestKind,
    expected: Option<Digest>,
    hash: Hasher,
}

impl ManifestAnswer<'_> {
    /// The facts that the answer to HEAD gives about `asked`, or about a tag if that is none.
    ///
    /// There can be too little to tell: then there are none, and the content must be read.
    ///
    /// # Errors
    /// The answer contradicts itself or what was asked for.
    pub fn facts(&self, asked: Option<&Digest>) -> Result<Option<ImageFacts>, Failure> {
        let digest = self.stated(asked)?;
        let facts = digest.zip(self.content_type.and_then(kind));
        Ok(facts.map(|(digest, kind)| ImageFacts { digest, kind }))
    }

    /// What the answer to GET is read into.
    ///
    /// # Errors
    /// The answer contradicts itself or what was asked for, or is not about an image.
    pub fn content(&self, asked: Option<&Digest>) -> Result<ManifestContent, Failure> {
        let expected = self.stated(asked)?.or_else(|| asked.cloned());
        let kind = match self.content_type {
            Some(text) => {
                kind(text).ok_or_else(|| Failure::unexpected(&format!("media type {text}")))?
            }
            None => return Err(Failure::unexpected("no media type")),
        };
        let algorithm = expected.as_ref().map(Digest::algorithm);
        Ok(ManifestContent {
            kind,
            expected,
            hash: Hasher::new(algorithm.unwrap_or(Algorithm::Sha256)),
        })
    }

    /// The digest that the registry states, which is the one that was asked for.
    pub(crate) fn stated(&self, asked: Option<&Digest>) -> Result<Option<Digest>, Failure> {
        let mut stated = None;
        for text in &self.digests {
            let digest = Digest::parse(text.trim())
                .ok()
                .ok_or_else(|| Failure::unexpected(&format!("digest {text}")))?;
            if stated
                .as_ref()
                .or(asked)
                .is_some_and(|other| *other != digest)
            {
                return Err(Failure::DigestMismatch);
            }
            stated = Some(digest);
        }
        Ok(stated)
    }
}

impl ManifestContent {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// The facts, after the last bytes.
    ///
    /// # Errors
    /// The bytes do not have the digest that was asked for or that the registry states.
    pub fn finish(self) -> Result<ImageFacts, Failure> {
        let (kind, digest) = (self.kind, self.hash.finish());
        match self.expected {
            Some(expected) if expected != digest => Err(Failure::DigestMismatch),
            Some(_) | None => Ok(ImageFacts { digest, kind }),
        }
    }
}

/// The kind of a media type, without its parameters.
pub(crate) fn kind(content_type: &str) -> Option<ManifestKind> {
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
            let answer = ManifestAnswer {
                content_type: Some("application/vnd.oci.image.index.v1+json"),
                digests: vec![expected.as_str()],
            };
            let mut content = answer.content(None).unwrap();
            content.update(b"a");
            content.update(b"bc");
            assert_eq!(content.clone().finish().unwrap().digest, expected);
            content.update(b"d");
            assert_eq!(content.finish(), Err(Failure::DigestMismatch));
        }
    }
}
