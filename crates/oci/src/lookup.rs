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
    /// The registry sends for a token to a host that is neither its own nor a known one, or chooses the scope of
    /// the request to one that the configuration names.
    TokenServerNotAllowed,
    /// The registry asks for credentials, or rejects them (401).
    Unauthorized,
    /// The registry denies access (403).
    Forbidden,
    /// The credential that Bailiff has for the image cannot be used, so the registry is not asked.
    CredentialUnusable,
    /// The credential for the image was not read: the component has just started, or cannot read it. The registry is
    /// not asked.
    CredentialNotRead,
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

/// Where the message of a cause has the name of the registry.
const HOST: &str = "HOST";

/// Where the message of a cause has what only this failure has, such as a status code.
const DETAIL: &str = "DETAIL";

/// All that follows from the cause of a failure.
struct Cause<'a> {
    /// The cause in upper camel case.
    reason: &'static str,
    /// A clause with [`HOST`], and after it [`DETAIL`] if there is one.
    clause: &'static str,
    /// What only this failure has.
    detail: Option<Detail<'a>>,
    /// Whether the registry gave no answer at all.
    is_without_answer: bool,
    /// When the registry wants to be asked again.
    retry_after: Option<Duration>,
}

/// What only one failure has.
#[derive(Clone, Copy)]
enum Detail<'a> {
    Status(u16),
    Answer(&'a Excerpt),
    Limit(&'static str),
}

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Answer(what) => write!(f, "{what}"),
            Self::Limit(name) => f.write_str(name),
        }
    }
}

impl<'a> Cause<'a> {
    /// The registry, or Bailiff in its place, answered that the image cannot be checked.
    const fn answered(reason: &'static str, clause: &'static str) -> Self {
        Self {
            reason,
            clause,
            detail: None,
            is_without_answer: false,
            retry_after: None,
        }
    }

    /// There was no answer.
    const fn without_answer(reason: &'static str, clause: &'static str) -> Self {
        Self {
            is_without_answer: true,
            ..Self::answered(reason, clause)
        }
    }

    const fn with(self, detail: Detail<'a>) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }

    const fn after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }
}

impl Failure {
    /// An unexpected answer: what is unexpected about it, which can be what a server wrote.
    pub(crate) fn unexpected(what: &str) -> Self {
        Self::UnexpectedAnswer(Excerpt::of(what))
    }

    /// The one list of causes: everything else about a failure is read from it.
    const fn cause(&self) -> Cause<'_> {
        match self {
            Self::RegistryNotAllowed => Cause::answered(
                "RegistryNotAllowed",
                "Bailiff is not configured to ask registry HOST",
            ),
            Self::AddressNotAllowed => Cause::answered(
                "AddressNotAllowed",
                "registry HOST has an address that Bailiff does not connect to",
            ),
            Self::RedirectNotAllowed => Cause::answered(
                "RedirectNotAllowed",
                "registry HOST redirects to another host",
            ),
            Self::TokenServerNotAllowed => Cause::answered(
                "TokenServerNotAllowed",
                "registry HOST names another host for tokens",
            ),
            Self::Unauthorized => Cause::answered(
                "Unauthorized",
                "registry HOST requires other credentials (401)",
            ),
            Self::Forbidden => Cause::answered("Forbidden", "registry HOST denies access (403)"),
            Self::CredentialUnusable => Cause::answered(
                "CredentialUnusable",
                "the credential of Bailiff for registry HOST cannot be used",
            ),
            Self::CredentialNotRead => Cause::answered(
                "CredentialNotRead",
                "the credential of Bailiff for registry HOST was not read yet",
            ),
            Self::RateLimited { retry_after } => {
                Cause::without_answer("RateLimited", "registry HOST limits requests (429)")
                    .after(*retry_after)
            }
            Self::Unavailable {
                status,
                retry_after,
            } => Cause::without_answer("Unavailable", "registry HOST has an error (DETAIL)")
                .with(Detail::Status(*status))
                .after(*retry_after),
            Self::Connect => Cause::without_answer("Connect", "registry HOST cannot be reached"),
            Self::Certificate => {
                Cause::answered("Certificate", "registry HOST has no valid certificate")
            }
            Self::Timeout => {
                Cause::without_answer("Timeout", "registry HOST does not answer in time")
            }
            Self::UnexpectedAnswer(what) => Cause::answered(
                "UnexpectedAnswer",
                "registry HOST gives an unexpected answer: DETAIL",
            )
            .with(Detail::Answer(what)),
            Self::LimitExceeded(limit) => {
                Cause::answered("LimitExceeded", "registry HOST exceeds the limit DETAIL")
                    .with(Detail::Limit(limit))
            }
            Self::DigestMismatch => Cause::answered(
                "DigestMismatch",
                "registry HOST sends content that has another digest",
            ),
            Self::Overloaded => {
                Cause::without_answer("Overloaded", "too many images are being checked")
            }
        }
    }

    /// The cause in upper camel case, for messages, metrics and reports.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.cause().reason
    }

    /// Whether the registry gave no answer at all, so that its last answer about a tag can stand in.
    #[must_use]
    pub const fn is_without_answer(&self) -> bool {
        self.cause().is_without_answer
    }

    /// When the registry wants to be asked again, if it said so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.cause().retry_after
    }

    /// A clause that follows "because", about the registry with this name.
    #[must_use]
    pub fn of_registry(&self, registry: &str) -> String {
        let Cause { clause, detail, .. } = self.cause();
        // Each place is filled once, so that no name is taken for another place.
        let (before, registry, rest) = match clause.split_once(HOST) {
            Some((before, rest)) => (before, registry, rest),
            None => (clause, "", ""),
        };
        match (rest.split_once(DETAIL), detail) {
            (Some((between, after)), Some(detail)) => {
                format!("{before}{registry}{between}{detail}{after}")
            }
            (Some(_) | None, _) => format!("{before}{registry}{rest}"),
        }
    }
}

/// The reason, and what only this failure has.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cause { reason, detail, .. } = self.cause();
        match detail {
            Some(detail) => write!(f, "{reason}: {detail}"),
            None => f.write_str(reason),
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
            Failure::CredentialUnusable => Failure::CredentialNotRead,
            Failure::CredentialNotRead => Failure::RateLimited { retry_after: None },
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
    fn a_name_is_never_taken_for_a_place_in_a_message() {
        let failure = Failure::unexpected("HOST DETAIL");
        assert_eq!(
            failure.of_registry("DETAIL.test"),
            "registry DETAIL.test gives an unexpected answer: \"HOST DETAIL\""
        );
        assert_eq!(failure.to_string(), "UnexpectedAnswer: \"HOST DETAIL\"");
        let unavailable = Failure::Unavailable {
            status: 502,
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(
            unavailable.of_registry("r.test"),
            "registry r.test has an error (502)"
        );
        assert_eq!(unavailable.to_string(), "Unavailable: 502");
        assert_eq!(unavailable.retry_after(), Some(Duration::from_secs(7)));
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
