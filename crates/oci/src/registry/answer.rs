//! What the answer of a registry means.
//!
//! Here: pure functions over status, headers and bytes. Not here: reading them (`client`), and manifests
//! (`manifest` of the crate).
//! Invariant: an image is missing only if the body of a 404 says so.

use super::Failure;
use super::limits::RETRY_AFTER;
use crate::lookup::Missing;
use http::StatusCode;
use serde::Deserialize;
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
    Failure::unexpected(&format!("status {status}"))
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
        Some(ErrorEntry { code }) => Failure::unexpected(&format!("404 with code {code}")),
        None => Failure::unexpected("404 without an error code"),
    })
}

#[cfg(test)]
mod tests;
