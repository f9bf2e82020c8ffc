//! What can be wrong with a pattern.
//!
//! Here: each fault with its message and remedy. Not here: finding them (`parse`).
//! Invariant: a message says what is wrong, at which byte, and what to write instead.

use crate::excerpt::Excerpt;
use crate::pattern::MAX_PATTERN_BYTES;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (byte {position})")]
pub struct InvalidPattern {
    /// The byte offset in the text, from 0, where the invalid part starts.
    pub position: usize,
    /// What is wrong.
    pub fault: PatternFault,
}

/// What is wrong with a pattern. Quotes only the invalid part, cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// There is no text.
    #[error("the pattern is empty; write host/path, such as ghcr.io/acme/**")]
    Empty,
    /// The text has more than [`MAX_PATTERN_BYTES`].
    #[error("the pattern has {bytes} bytes; use at most {MAX_PATTERN_BYTES}")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// A character that no pattern contains.
    #[error("character {part} is not allowed; use only ASCII letters, digits and . _ - / : *")]
    Character {
        /// The character.
        part: Excerpt,
    },
    /// A URL.
    #[error("scheme {part} is not allowed; remove it and \"://\"")]
    Scheme {
        /// What precedes `://`.
        part: Excerpt,
    },
    /// The first component is not a host, as in `library/nginx`.
    #[error("{part} is not a registry host; start with the host, such as docker.io/library/nginx")]
    NoHost {
        /// The first component.
        part: Excerpt,
    },
    /// There is a host and no path.
    #[error("host {part} has no path; append /** to match all repositories of the host")]
    NoPath {
        /// The host.
        part: Excerpt,
    },
    /// The `*` of a host is not its whole first label.
    #[error(
        "wildcard in host {part} is not allowed; use * only as the first label, such as *.example.com"
    )]
    HostWildcard {
        /// The host.
        part: Excerpt,
    },
    /// The host has uppercase letters, which no normal form has.
    #[error("host {part} has uppercase letters; write it in lower case")]
    UppercaseHost {
        /// The host.
        part: Excerpt,
    },
    /// The host is not a DNS name and not an address.
    #[error(
        "host {part} is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets"
    )]
    Host {
        /// The host.
        part: Excerpt,
    },
    /// The port is not a port.
    #[error("port {part} is malformed; use 1 to 5 digits without a leading zero")]
    Port {
        /// What follows the colon.
        part: Excerpt,
    },
    /// The host is another name of Docker Hub, which no normal form has.
    #[error("host {part} is Docker Hub, whose normal form is docker.io; write docker.io")]
    Alias {
        /// The host.
        part: Excerpt,
    },
    /// A path of one component on Docker Hub, which no normal form has.
    #[error(
        "path {part} matches no image of docker.io; put library/ before it, or write docker.io/**"
    )]
    Official {
        /// The path.
        part: Excerpt,
    },
    /// A tag or a digest.
    #[error("{part} is not part of a repository; remove it; to require digests, set spec.digest")]
    TagOrDigest {
        /// The tag or the digest with what precedes it.
        part: Excerpt,
    },
    /// A path component is empty.
    #[error("path component is empty; remove the slash, or append ** to match everything below")]
    EmptyComponent,
    /// `**` with something beside it.
    #[error(
        "** is not allowed within path component {part}; use it as a whole component, or use *"
    )]
    DoubleWildcard {
        /// The component.
        part: Excerpt,
    },
    /// A path component has uppercase letters, which no normal form has.
    #[error("path component {part} has uppercase letters; write it in lower case")]
    UppercasePath {
        /// The component.
        part: Excerpt,
    },
    /// A path component that no normal form has, such as `..`.
    #[error(
        "path component {part} matches no image; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens"
    )]
    Component {
        /// The component.
        part: Excerpt,
    },
}
