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
    /// An earlier answer, because the registry does not answer now.
    LastKnown {
        /// Age of that answer.
        age: Duration,
        /// When a pod with the image was admitted last, in seconds since 1970, UTC, if the answer is one that was
        /// persisted. None: this process got it from the registry.
        last_admitted: Option<i64>,
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
    /// The credential that Bailiff has for the image cannot be used, so the registry is not asked.
    CredentialUnusable,
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
            Self::CredentialUnusable => "CredentialUnusable",
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
            | Self::CredentialUnusable
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
            | Self::CredentialUnusable
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

impl Failure {
    /// A clause that follows "because", about the registry with this name.
    #[must_use]
    pub fn of_registry(&self, registry: &str) -> String {
        let registry = format!("registry {registry}");
        match self {
            Self::RegistryNotAllowed => format!("Bailiff is not configured to ask {registry}"),
            Self::AddressNotAllowed => {
                format!("{registry} has an address that Bailiff does not connect to")
            }
            Self::RedirectNotAllowed => format!("{registry} redirects to another host"),
            Self::TokenServerNotAllowed => format!("{registry} names another host for tokens"),
            Self::Unauthorized => format!("{registry} requires other credentials (401)"),
            Self::Forbidden => format!("{registry} denies access (403)"),
            Self::CredentialUnusable => {
                format!("the credential of Bailiff for {registry} cannot be used")
            }
            Self::RateLimited { .. } => format!("{registry} limits requests (429)"),
            Self::Unavailable { status, .. } => format!("{registry} has an error ({status})"),
            Self::Connect => format!("{registry} cannot be reached"),
            Self::Certificate => format!("{registry} has no valid certificate"),
            Self::Timeout => format!("{registry} does not answer in time"),
            Self::UnexpectedAnswer(what) => {
                format!("{registry} gives an unexpected answer: {what}")
            }
            Self::LimitExceeded(limit) => format!("{registry} exceeds the limit {limit}"),
            Self::DigestMismatch => format!("{registry} sends content that has another digest"),
            Self::Overloaded => "too many images are being checked".to_owned(),
        }
    }
}

/// The reason, and what a registry said unexpectedly.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())?;
        match self {
            Self::UnexpectedAnswer(what) => write!(f, ": {what}"),
            Self::LimitExceeded(limit) => write!(f, ": {limit}"),
            Self::Unavailable { status, .. } => write!(f, ": {status}"),
            Self::RegistryNotAllowed
            | Self::AddressNotAllowed
            | Self::RedirectNotAllowed
            | Self::TokenServerNotAllowed
            | Self::Unauthorized
            | Self::Forbidden
            | Self::CredentialUnusable
            | Self::RateLimited { .. }
            | Self::Connect
            | Self::Certificate
            | Self::Timeout
            | Self::DigestMismatch
            | Self::Overloaded => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/registries.md");

    /// The variant after this one, so that a new one cannot be left out.
    fn after(failure: &Failure) -> Option<Failure> {
        Some(match failure {
            Failure::RegistryNotAllowed => Failure::AddressNotAllowed,
            Failure::AddressNotAllowed => Failure::RedirectNotAllowed,
            Failure::RedirectNotAllowed => Failure::TokenServerNotAllowed,
            Failure::TokenServerNotAllowed => Failure::Unauthorized,
            Failure::Unauthorized => Failure::Forbidden,
            Failure::Forbidden => Failure::CredentialUnusable,
            Failure::CredentialUnusable => Failure::RateLimited { retry_after: None },
            Failure::RateLimited { .. } => Failure::Unavailable {
                status: 503,
                retry_after: None,
            },
            Failure::Unavailable { .. } => Failure::Connect,
            Failure::Connect => Failure::Certificate,
            Failure::Certificate => Failure::Timeout,
            Failure::Timeout => Failure::unexpected("..."),
            Failure::UnexpectedAnswer(_) => Failure::LimitExceeded("NAME"),
            Failure::LimitExceeded(_) => Failure::DigestMismatch,
            Failure::DigestMismatch => Failure::Overloaded,
            Failure::Overloaded => return None,
        })
    }

    #[test]
    fn each_failure_has_a_row_with_its_reason_and_the_words_of_messages() {
        let (_, causes) = PAGE.split_once("\n## Causes\n").unwrap();
        let failures = std::iter::successors(Some(Failure::RegistryNotAllowed), after);
        let missing: Vec<_> = failures
            .map(|failure| {
                let text = failure.of_registry("HOST");
                format!("| `{}` | {text} | ", failure.reason())
            })
            .filter(|row| !causes.contains(row.as_str()))
            .collect();
        assert!(missing.is_empty(), "docs/registries.md lacks {missing:#?}");
    }

    #[test]
    fn each_limit_is_named_in_the_page_of_registries() {
        let limits = include_str!("registry/limits.rs").split('"').skip(1);
        let limits: Vec<_> = limits.step_by(2).collect();
        assert!(limits.len() > 3, "{limits:?}");
        for limit in limits {
            assert!(PAGE.contains(&format!("(`{limit}`)")), "{limit}");
        }
    }
}
