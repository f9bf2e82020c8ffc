//! What a registry says about an image.
//!
//! Here: the answers, and the causes for which there is none. Not here: asking a registry
//! (`registry`), and what follows from an answer (`policy`).
//! Invariant: an image counts as found or as missing only if its registry said so. Everything else is
//! a [`Failure`] with its cause, or [`Lookup::Pending`].

use crate::digest::Digest;
use crate::excerpt::Excerpt;
use std::fmt;
use std::time::Duration;

/// The answer about an image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The repository has the image.
    Found {
        /// What is known about it.
        facts: ImageFacts,
        /// Who says so.
        source: Source,
    },
    /// The registry says that it does not have the image.
    NotFound(Missing),
    /// The registry has not answered yet, and is still being asked.
    Pending,
    /// The image could not be checked.
    Failed(Failure),
}

/// What is known about an image. Facts about the content of a digest, such as signatures, become
/// further fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Digest of what the reference names: of the index, if there is one.
    pub digest: Digest,
    /// Whether the digest is that of an index or of a manifest.
    pub kind: ManifestKind,
}

/// The kind of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image for one platform.
    Manifest,
    /// A list of manifests, usually one for each platform.
    Index,
}

/// Where an answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The registry, within the time that its answers are remembered.
    Registry,
    /// An earlier answer about a tag, because the registry does not answer now.
    LastKnown {
        /// Age of that answer.
        age: Duration,
        /// Why there is no new one.
        cause: Failure,
    },
}

/// What a registry does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The repository (`NAME_UNKNOWN`).
    Repository,
    /// The tag or the digest (`MANIFEST_UNKNOWN`).
    Manifest,
}

/// Why an image could not be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Neither the configuration nor a policy names the registry, so it is not asked.
    RegistryNotAllowed,
    /// The registry, or where it redirects to, has an address that Bailiff does not connect to.
    AddressNotAllowed,
    /// The registry redirects to another host where it must not, or too often.
    RedirectNotAllowed,
    /// The registry sends for a token to a host that is neither its own nor a known one.
    TokenServerNotAllowed,
    /// The registry asks for credentials, or rejects them (401).
    Unauthorized,
    /// The registry denies access (403).
    Forbidden,
    /// The registry limits requests (429).
    RateLimited {
        /// When to ask again, if the registry says so.
        retry_after: Option<Duration>,
    },
    /// The registry has an error (5xx).
    Unavailable {
        /// Status code of the answer.
        status: u16,
        /// When to ask again, if the registry says so.
        retry_after: Option<Duration>,
    },
    /// There is no connection to the registry.
    Connect,
    /// The certificate of the registry is not valid for Bailiff.
    Certificate,
    /// The registry does not answer in time.
    Timeout,
    /// The answer is not one that a registry gives.
    UnexpectedAnswer(Excerpt),
    /// The answer exceeds a limit of Bailiff.
    LimitExceeded(&'static str),
    /// What the registry sent does not have the digest.
    DigestMismatch,
    /// Too many images are being checked.
    Overloaded,
}

impl Failure {
    /// An unexpected answer: what is unexpected about it, which can be what a server wrote.
    pub(crate) fn unexpected(what: &str) -> Self {
        Self::UnexpectedAnswer(Excerpt::of(what))
    }

    /// The cause in upper camel case, for messages, metrics and reports.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::RegistryNotAllowed => "RegistryNotAllowed",
            Self::AddressNotAllowed => "AddressNotAllowed",
            Self::RedirectNotAllowed => "RedirectNotAllowed",
            Self::TokenServerNotAllowed => "TokenServerNotAllowed",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::RateLimited { .. } => "RateLimited",
            Self::Unavailable { .. } => "Unavailable",
            Self::Connect => "Connect",
            Self::Certificate => "Certificate",
            Self::Timeout => "Timeout",
            Self::UnexpectedAnswer(_) => "UnexpectedAnswer",
            Self::LimitExceeded(_) => "LimitExceeded",
            Self::DigestMismatch => "DigestMismatch",
            Self::Overloaded => "Overloaded",
        }
    }

    /// Whether the registry gave no answer at all, so that its last answer about a tag can stand in.
    #[must_use]
    pub const fn is_without_answer(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Connect
            | Self::Timeout
            | Self::Overloaded => true,
            Self::RegistryNotAllowed
            | Self::AddressNotAllowed
            | Self::RedirectNotAllowed
            | Self::TokenServerNotAllowed
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Certificate
            | Self::UnexpectedAnswer(_)
            | Self::LimitExceeded(_)
            | Self::DigestMismatch => false,
        }
    }

    /// When the registry wants to be asked again, if it said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            Self::RegistryNotAllowed
            | Self::AddressNotAllowed
            | Self::RedirectNotAllowed
            | Self::TokenServerNotAllowed
            | Self::Unauthorized
            | Self::Forbidden
            | Self::Connect
            | Self::Certificate
            | Self::Timeout
            | Self::UnexpectedAnswer(_)
            | Self::LimitExceeded(_)
            | Self::DigestMismatch
            | Self::Overloaded => None,
        }
    }
}

/// A clause that follows "because": what happened, and what to do about it where that is known.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegistryNotAllowed => f.write_str("Bailiff is not configured to ask it"),
            Self::AddressNotAllowed => {
                f.write_str("it leads to an address that Bailiff does not connect to")
            }
            Self::RedirectNotAllowed => f.write_str("it redirects to another host"),
            Self::TokenServerNotAllowed => f.write_str("it names another host for tokens"),
            Self::Unauthorized => f.write_str("it requires other credentials (401)"),
            Self::Forbidden => f.write_str("it denies access (403)"),
            Self::RateLimited { .. } => f.write_str("it limits requests (429)"),
            Self::Unavailable { status, .. } => write!(f, "it has an error ({status})"),
            Self::Connect => f.write_str("it cannot be reached"),
            Self::Certificate => f.write_str("its certificate is not valid"),
            Self::Timeout => f.write_str("it does not answer in time"),
            Self::UnexpectedAnswer(what) => write!(f, "its answer is unexpected: {what}"),
            Self::LimitExceeded(limit) => write!(f, "its answer exceeds the limit {limit}"),
            Self::DigestMismatch => f.write_str("what it sends does not have the digest"),
            Self::Overloaded => f.write_str("too many images are being checked"),
        }
    }
}

impl std::error::Error for Failure {}
