//! What the answer of a registry means.
//!
//! Here: pure functions over status, headers and bytes. Not here: reading them (`client`).
//! Invariant: a digest in the result is the one that was asked for, one that the registry states and
//! nothing contradicts, or the hash of the bytes that it sent. Bytes are always hashed.

use super::Failure;
use super::limits::RETRY_AFTER;
use crate::digest::{Algorithm, Digest};
use crate::excerpt::Excerpt;
use crate::lookup::{ImageFacts, ManifestKind, Missing};
use http::StatusCode;
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// The media types that are asked for, of OCI and of Docker.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What a status code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// 200.
    Found,
    /// 404, with a cause in the body.
    NotFound,
    /// 405 and 501: not with this method.
    OtherMethod,
}

/// What a status code says. `retry_after` is the value of that header.
pub(super) fn status(
    status: StatusCode,
    retry_after: Option<&str>,
    now: SystemTime,
) -> Result<Status, Failure> {
    let retry_after = || retry_after.and_then(|text| self::retry_after(text, now));
    match status.as_u16() {
        200 => Ok(Status::Found),
        401 => Err(Failure::Unauthorized),
        403 => Err(Failure::Forbidden),
        404 => Ok(Status::NotFound),
        405 | 501 => Ok(Status::OtherMethod),
        429 => Err(Failure::RateLimited {
            retry_after: retry_after(),
        }),
        status @ 500..=599 => Err(Failure::Unavailable {
            status,
            retry_after: retry_after(),
        }),
        status => Err(unexpected_status(status)),
    }
}

/// The failure of a status code that a registry does not answer with.
pub(super) fn unexpected_status(status: u16) -> Failure {
    unexpected(&format!("status {status}"))
}

/// The failure of an answer that is none.
pub(super) fn unexpected(what: &str) -> Failure {
    Failure::UnexpectedAnswer(Excerpt::of(what))
}

/// The time in `Retry-After`, as seconds or as a date, up to [`RETRY_AFTER`].
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let time = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are a long time.
        text.parse().map_or(RETRY_AFTER, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(time.min(RETRY_AFTER))
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    code: String,
}

/// What the body of a 404 says that the registry does not have.
///
/// A 404 without one of these codes can come from a proxy or a path that is wrong, so it says nothing
/// about the image.
pub(super) fn missing(body: &[u8]) -> Result<Missing, Failure> {
    let errors = serde_json::from_slice(body).map_or_else(
        |_: serde_json::Error| Vec::new(),
        |Errors { errors }| errors,
    );
    for ErrorEntry { code } in &errors {
        match code.as_str() {
            // The second is what Harbor says of an artifact and of a repository.
            "MANIFEST_UNKNOWN" | "NOT_FOUND" => return Ok(Missing::Manifest),
            "NAME_UNKNOWN" => return Ok(Missing::Repository),
            _ => {}
        }
    }
    Err(match errors.first() {
        Some(ErrorEntry { code }) => unexpected(&format!("404 with code {code}")),
        None => unexpected("404 without an error code"),
    })
}

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
            Some(other) => unexpected(&format!("media type {other}")),
            None => unexpected("no media type"),
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
                .ok_or_else(|| unexpected(&format!("digest {text}")))?;
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
mod tests;
