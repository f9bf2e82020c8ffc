//! Getting an image from a registry.
//!
//! Here: the bytes of a manifest, and those of a blob. Not here: what they mean (`image`), and where they are kept.
//! Invariant: bytes that were kept have the digest that they were asked for with, or the result is an error. A blob is
//! never larger than announced, and comes no slower than its limits allow from its begin to its end.

use super::{Ask, RegistryClient, Target, each, manifest, read, status};
use crate::digest::{Algorithm, Digest};
use crate::hash::Hasher;
use crate::lookup::{Failure, Missing};
use crate::reference::Reference;
use crate::registry::answer::{self, Status, unexpected_status};
use crate::registry::connect::failure;
use crate::registry::credential::Credential;
use crate::registry::hops::Content;
use crate::registry::limits::{ERROR_BYTES, MANIFEST_BYTES};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What is accepted as a blob: whatever it is.
const ANYTHING: &str = "*/*";

/// How the media types of manifests in Docker's format 1 start.
const FORMAT_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// A manifest or index as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledManifest {
    /// Its digest: the one that was asked for, or that of the bytes.
    pub digest: Digest,
    /// The value of `Content-Type`.
    pub media_type: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why a manifest or a blob was not got.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry does not have the repository, or the manifest.
    #[error("the registry does not have it")]
    Missing(Missing),
    /// The registry has the manifest and not this blob.
    #[error("the registry does not have the blob")]
    NoBlob,
    /// It could not be got.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The blob has another size than the manifest says.
    #[error("the blob has another size than the {announced} bytes of the manifest")]
    Size {
        /// Bytes that the manifest says.
        announced: u64,
    },
    /// The blob came too slowly.
    #[error("fewer than {least} bytes of the blob came in {} s", .within.as_secs())]
    TooSlow {
        /// Bytes that have to come in this time.
        least: u64,
        /// The time.
        within: Duration,
        /// Bytes that came until then.
        got: u64,
        /// Bytes that the manifest says.
        announced: u64,
    },
    /// The bytes could not be kept.
    #[error("the blob cannot be stored")]
    Keep(#[source] io::Error),
}

/// How slowly a blob may come.
#[derive(Clone, Copy, Debug)]
pub struct PullLimits {
    /// The longest time without a byte.
    pub silence: Duration,
    /// The time in which [`least`](Self::least) bytes have to come, again and again. A blob that is complete within it may
    /// have any rate.
    pub window: Duration,
    /// Bytes that have to come in each window.
    pub least: u64,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            window: Duration::from_mins(2),
            least: 2 << 20,
        }
    }
}

impl RegistryClient {
    /// Gets the manifest or index of `reference`: of its digest, or else of its tag. It can be any document; nothing
    /// is known about it but its digest.
    ///
    /// # Errors
    /// The registry is not listed, does not have it, or sends something else.
    pub async fn pull_manifest(
        &self,
        reference: &Reference,
        credential: Option<&Credential>,
    ) -> Result<PulledManifest, PullError> {
        let ask = self.ask(reference, false, credential);
        let ask = ask.ok_or(Failure::RegistryNotAllowed)?;
        let now = Instant::now();
        let deadline = now.checked_add(self.shared.limits.lookup).unwrap_or(now);
        timeout_at(deadline, Box::pin(ask.pulled_manifest()))
            .await
            .unwrap_or_else(|_: tokio::time::error::Elapsed| Err(Failure::Timeout.into()))
    }

    /// Gets a blob of the repository of `reference`, and calls `keep` with its bytes as they come. Only if the result
    /// is no error, they are the blob.
    ///
    /// # Errors
    /// The registry is not listed, does not have it, or sends something else, or `keep` failed.
    pub async fn pull_blob(
        &self,
        reference: &Reference,
        (digest, size): (&Digest, u64),
        credential: Option<&Credential>,
        limits: PullLimits,
        keep: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), PullError> {
        let ask = self.ask(reference, false, credential);
        let ask = ask.ok_or(Failure::RegistryNotAllowed)?;
        let start = Instant::now();
        let deadline = start
            .checked_add(self.shared.limits.lookup)
            .unwrap_or(start);
        let response = timeout_at(deadline, Box::pin(ask.blob(digest)))
            .await
            .unwrap_or_else(|_: tokio::time::error::Elapsed| Err(Failure::Timeout.into()))?;
        let body = Body { limits, size };
        let found = body.keep(response, digest.algorithm(), keep).await?;
        if found == *digest {
            Ok(())
        } else {
            Err(Failure::DigestMismatch.into())
        }
    }
}

impl Ask<'_> {
    async fn pulled_manifest(&self) -> Result<PulledManifest, PullError> {
        let response = self.exchange(&self.manifest(&Method::GET)).await?;
        let status = status(&response)?;
        let (parts, body) = response.into_parts();
        match status {
            Status::Found => {}
            Status::NotFound => {
                let body = read(&parts.headers, body, ERROR_BYTES).await?;
                return Err(PullError::Missing(answer::missing(&body)?));
            }
            Status::OtherMethod => {
                return Err(unexpected_status(parts.status.as_u16()).into());
            }
        }
        let asked = self.reference.digest();
        let expected = manifest(&parts.headers)?.stated(asked)?;
        let expected = expected.or_else(|| asked.cloned());
        let algorithm = expected
            .as_ref()
            .map_or(Algorithm::Sha256, Digest::algorithm);
        let (mut bytes, mut hash) = (Vec::new(), Hasher::new(algorithm));
        let keep = |more: &[u8]| {
            bytes.extend_from_slice(more);
            hash.update(more);
        };
        each(&parts.headers, body, MANIFEST_BYTES, keep).await?;
        let digest = hash.finish();
        let media_type = header(&parts.headers, CONTENT_TYPE).map(str::to_owned);
        // The digest of format 1 is that of a part of the bytes. No image of that format is read.
        let is_format_1 = media_type
            .as_ref()
            .is_some_and(|text| text.starts_with(FORMAT_1));
        if !is_format_1 && expected.is_some_and(|expected| expected != digest) {
            return Err(Failure::DigestMismatch.into());
        }
        Ok(PulledManifest {
            digest,
            media_type,
            bytes,
        })
    }

    /// The answer with a blob.
    async fn blob(&self, digest: &Digest) -> Result<Response<Incoming>, PullError> {
        let target = Target {
            method: &Method::GET,
            path: self.endpoint.blob(self.reference, digest),
            content: Content::Blob,
            accept: ANYTHING,
        };
        let response = self.exchange(&target).await?;
        match status(&response)? {
            Status::Found => Ok(response),
            Status::NotFound => Err(PullError::NoBlob),
            Status::OtherMethod => Err(unexpected_status(response.status().as_u16()).into()),
        }
    }
}

/// What the body of an answer with a blob has to be.
struct Body {
    limits: PullLimits,
    size: u64,
}

impl Body {
    /// Calls `keep` with the bytes, as many as announced; their digest.
    async fn keep(
        &self,
        response: Response<Incoming>,
        algorithm: Algorithm,
        mut keep: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Digest, PullError> {
        let announced = self.size;
        let (parts, mut body) = response.into_parts();
        if let Some(encoding) = header(&parts.headers, CONTENT_ENCODING)
            && !encoding.eq_ignore_ascii_case("identity")
        {
            return Err(Failure::unexpected(&format!("content encoding {encoding}")).into());
        }
        let stated = header(&parts.headers, CONTENT_LENGTH).and_then(|text| text.parse().ok());
        if stated.is_some_and(|stated: u64| stated != announced) {
            return Err(PullError::Size { announced });
        }
        let mut hash = Hasher::new(algorithm);
        let mut left = announced;
        let mut pace = Pace::new(self.limits, announced);
        loop {
            let silence = after(Instant::now(), self.limits.silence);
            match timeout_at(silence.min(pace.end), body.frame()).await {
                Ok(Some(frame)) => {
                    let frame = frame.map_err(|error| failure(&error))?;
                    if let Some(bytes) = frame.data_ref() {
                        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                        let rest = left.checked_sub(count);
                        left = rest.ok_or(PullError::Size { announced })?;
                        hash.update(bytes);
                        keep(bytes).map_err(PullError::Keep)?;
                    }
                }
                Ok(None) => break,
                Err(_) if pace.end <= silence => {}
                Err(_) => return Err(Failure::Timeout.into()),
            }
            pace.check(Instant::now(), left)?;
        }
        if left > 0 {
            return Err(PullError::Size { announced });
        }
        Ok(hash.finish())
    }
}

/// Whether enough bytes come in each window.
struct Pace {
    limits: PullLimits,
    /// Bytes of the blob.
    announced: u64,
    /// When the window ends.
    end: Instant,
    /// The most bytes that can be left then.
    most: u64,
}

impl Pace {
    fn new(limits: PullLimits, announced: u64) -> Self {
        Self {
            limits,
            announced,
            end: after(Instant::now(), limits.window),
            most: announced.saturating_sub(limits.least),
        }
    }

    /// Begins the next window if this one has ended.
    ///
    /// # Errors
    /// Too few bytes came in it.
    fn check(&mut self, now: Instant, left: u64) -> Result<(), PullError> {
        if now < self.end {
            return Ok(());
        }
        if left > self.most {
            return Err(PullError::TooSlow {
                least: self.limits.least,
                within: self.limits.window,
                got: self.announced.saturating_sub(left),
                announced: self.announced,
            });
        }
        self.end = after(now, self.limits.window);
        self.most = left.saturating_sub(self.limits.least);
        Ok(())
    }
}

fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now)
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
