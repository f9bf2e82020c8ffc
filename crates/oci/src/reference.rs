//! Image references in one normal form.
//!
//! Here: what the `image` of a container names. Not here: which repositories are allowed
//! (`pattern`), and what a tag resolves to.
//! Invariant: a [`Reference`] names what a container runtime pulls for its text, and two texts that
//! name the same repository have equal ones. A text that could name anything else is an
//! [`InvalidReference`].
//!
//! The normal form is that of `ParseDockerRef` of `github.com/distribution/reference` v0.6.0, which
//! containerd calls; `tests/differential.rs` compares the two. It differs where the library accepts
//! what would evade a policy:
//!
//! - `registry-1.docker.io` is `docker.io`, as `index.docker.io` is: it is the host that containerd
//!   connects to for `docker.io`. The library keeps it apart.
//! - `sha256:abc`, without a host, is an image ID. The library reads it as the tag `abc` of
//!   `docker.io/library/sha256`. containerd does too, but then takes any local image whose ID starts
//!   like that.
//! - A host with uppercase letters is invalid, because DNS ignores case and the library does not.
//! - A port is 1 to 5 digits without a leading zero, so that it has one spelling.
//! - A host has at most 253 bytes, as in DNS, and a reference at most [`MAX_REFERENCE_BYTES`]. The
//!   longest valid one has 780.
//!
//! `host` and `host:443` are different registries, as for containerd, which configures mirrors,
//! certificates and credentials for each of them.
//!
//! The parser of the crate `oci-spec` (0.10) is not used: it differs from the library for 13 of the
//! references in `tests/references.txt`. It takes `Foo/bar` for a repository of Docker Hub where
//! containerd connects to the host `Foo`, rejects IPv6 hosts, accepts image IDs, tags in any script
//! and uppercase digests, and does not say which part is invalid.

use crate::digest::{Digest, InvalidDigest};
use crate::excerpt::Excerpt;
use crate::grammar::{
    ALIASES, DOCKER_HUB, HostFault, MAX_PATH_BYTES, OFFICIAL, check_host, is_component, is_host,
    is_tag,
};
use std::fmt;

/// The most bytes of a reference.
pub const MAX_REFERENCE_BYTES: usize = 1024;

/// The tag of a reference that has neither a tag nor a digest.
const DEFAULT_TAG: &str = "latest";

/// What a name without a registry host, such as `nginx` or `acme/web`, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortNames {
    /// A repository of Docker Hub, as for containerd.
    DockerHub,
    /// [`InvalidReference::ShortName`]. For clusters with CRI-O, which resolves short names with the
    /// search list of the node.
    Rejected,
}

/// An image reference in its normal form, of at most [`MAX_REFERENCE_BYTES`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: Box<str>,
    /// Registry and path.
    repository: Box<str>,
    /// As written.
    tag: Option<Box<str>>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference. Quotes only the invalid part, cut and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// There is no text.
    #[error("image reference is empty; write host/path:tag or host/path@digest")]
    Empty,
    /// The text has more than [`MAX_REFERENCE_BYTES`].
    #[error("image reference has {bytes} bytes; use at most {MAX_REFERENCE_BYTES}")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// A character that no reference contains: white space, a control character, or one that is not
    /// ASCII.
    #[error(
        "image reference contains {part} at byte {position}; use only ASCII letters, digits and . _ - / : @"
    )]
    Character {
        /// The first such character.
        part: Excerpt,
        /// Its byte offset in the text, from 0.
        position: usize,
    },
    /// A URL.
    #[error("image reference starts with the scheme {part}; remove it and \"://\"")]
    Scheme {
        /// What precedes `://`.
        part: Excerpt,
    },
    /// An image ID or its beginning. Runtimes take it for a local image of any registry.
    #[error(
        "{part} is an image ID, which selects a local image of any registry; write host/path@digest"
    )]
    ImageId {
        /// The text.
        part: Excerpt,
    },
    /// The name has no registry host, and [`ShortNames::Rejected`] applies.
    #[error("{part} does not name a registry host; write host/path, such as ghcr.io/acme/web")]
    ShortName {
        /// The name, without tag and digest.
        part: Excerpt,
    },
    /// The registry host has uppercase letters.
    #[error("registry host {part} has uppercase letters; write it in lower case")]
    UppercaseHost {
        /// Host and port.
        part: Excerpt,
    },
    /// The registry host is not a DNS name and not an address.
    #[error(
        "registry host {part} is malformed; use a DNS name of at most 253 bytes, an IPv4 address or an IPv6 address in brackets"
    )]
    Host {
        /// Host and port.
        part: Excerpt,
    },
    /// The port of the registry host is not a port.
    #[error("registry port {part} is malformed; use 1 to 5 digits without a leading zero")]
    Port {
        /// What follows the colon.
        part: Excerpt,
    },
    /// A path component has uppercase letters.
    #[error("path component {part} has uppercase letters; write it in lower case")]
    UppercasePath {
        /// The component.
        part: Excerpt,
    },
    /// A path component is empty or malformed, such as `..`.
    #[error(
        "path component {part} is malformed; use lowercase letters and digits, separated with one period, one or two underscores, or hyphens"
    )]
    PathComponent {
        /// The component.
        part: Excerpt,
    },
    /// The path is longer than registries allow.
    #[error("repository path {part} has {bytes} bytes; use at most {MAX_PATH_BYTES}")]
    PathTooLong {
        /// The path.
        part: Excerpt,
        /// Its length.
        bytes: usize,
    },
    /// The tag is malformed.
    #[error(
        "tag {part} is malformed; use at most 128 letters, digits and _ . -, with no . or - at the start"
    )]
    Tag {
        /// What follows the colon.
        part: Excerpt,
    },
    /// The digest is malformed, or its algorithm is not supported.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl InvalidReference {
    /// A stable name of the cause in upper camel case, for metrics and reports.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::TooLong { .. } => "TooLong",
            Self::Character { .. } => "Character",
            Self::Scheme { .. } => "Scheme",
            Self::ImageId { .. } => "ImageID",
            Self::ShortName { .. } => "ShortName",
            Self::UppercaseHost { .. } => "UppercaseHost",
            Self::Host { .. } => "Host",
            Self::Port { .. } => "Port",
            Self::UppercasePath { .. } => "UppercasePath",
            Self::PathComponent { .. } => "PathComponent",
            Self::PathTooLong { .. } => "PathTooLong",
            Self::Tag { .. } => "Tag",
            Self::Digest(InvalidDigest::Algorithm { .. }) => "DigestAlgorithm",
            Self::Digest(InvalidDigest::Digits { .. }) => "DigestDigits",
        }
    }
}

impl Reference {
    /// The reference that `text` is.
    ///
    /// Reads at most [`MAX_REFERENCE_BYTES`] of it.
    ///
    /// ```
    /// use bailiff_oci::{Reference, ShortNames};
    ///
    /// let reference = Reference::parse("nginx", ShortNames::DockerHub)?;
    /// assert_eq!(reference.to_string(), "docker.io/library/nginx:latest");
    /// # Ok::<(), bailiff_oci::InvalidReference>(())
    /// ```
    ///
    /// # Errors
    /// The text is not a reference, or names something else than a repository of a registry.
    pub fn parse(text: &str, short_names: ShortNames) -> Result<Self, InvalidReference> {
        check_text(text)?;
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (host, rest) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first), rest),
            Some(_) | None => (None, name),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if let Some(host) = host {
            check_registry(host)?;
        }
        check_path(path)?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            let part = Excerpt::of(tag);
            return Err(InvalidReference::Tag { part });
        }
        let digest = digest.map(Digest::parse).transpose()?;
        let registry = match host {
            Some(host) if !ALIASES.contains(&host) => host,
            Some(_) | None => DOCKER_HUB,
        };
        let name = path;
        let path = if registry == DOCKER_HUB && !name.contains('/') {
            format!("{OFFICIAL}/{name}")
        } else {
            name.to_owned()
        };
        // The library takes a host with underscores for a part of the path.
        let in_path = match host {
            Some(host) if host.contains('_') => host.len().saturating_add(1),
            Some(_) | None => 0,
        };
        let bytes = path.len().saturating_add(in_path);
        if bytes > MAX_PATH_BYTES {
            let part = Excerpt::of(&path);
            return Err(InvalidReference::PathTooLong { part, bytes });
        }
        // Last, so that an invalid reference has the same error with and without short names.
        if host.is_none() && short_names == ShortNames::Rejected {
            let part = Excerpt::of(name);
            return Err(InvalidReference::ShortName { part });
        }
        Ok(Self {
            registry: registry.into(),
            repository: format!("{registry}/{path}").into(),
            tag: tag.map(Into::into),
            digest,
        })
    }

    /// The registry: a host with a port if one is written, `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Registry and path, without tag and digest: what patterns match.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The path: what the registry calls the repository's name.
    #[must_use]
    pub fn path(&self) -> &str {
        self.repository
            .strip_prefix(&*self.registry)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or_default()
    }

    /// The tag that selects the image: `latest` if nothing is written, none if there is a digest,
    /// because runtimes then ignore the tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match self.digest {
            Some(_) => None,
            None => Some(self.written_tag().unwrap_or(DEFAULT_TAG)),
        }
    }

    /// The tag as written, also beside a digest. For messages: it does not say what runs.
    #[must_use]
    pub fn written_tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

/// The normal form: the repository with its digest, or else with its tag.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match (&self.digest, self.tag()) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can be said before a text is taken apart.
fn check_text(text: &str) -> Result<(), InvalidReference> {
    if text.is_empty() {
        return Err(InvalidReference::Empty);
    }
    if text.len() > MAX_REFERENCE_BYTES {
        let bytes = text.len();
        return Err(InvalidReference::TooLong { bytes });
    }
    // `+` occurs in the algorithm of a digest alone, and is reported there.
    let is_known = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '/' | ':' | '@' | '[' | ']' | '+')
    };
    if let Some((position, c)) = text.char_indices().find(|(_, c)| !is_known(*c)) {
        let part = Excerpt::of(c.encode_utf8(&mut [0; 4]));
        return Err(InvalidReference::Character { part, position });
    }
    if let Some((scheme, _)) = text.split_once("://")
        && !scheme.contains(['/', '@'])
    {
        let part = Excerpt::of(scheme);
        return Err(InvalidReference::Scheme { part });
    }
    if is_image_id(text) {
        let part = Excerpt::of(text);
        return Err(InvalidReference::ImageId { part });
    }
    Ok(())
}

/// Whether a runtime takes a text for the ID of a local image: 64 hexadecimal digits, or the name of
/// a digest algorithm, a colon and any beginning of the digits.
fn is_image_id(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match text.split_once(':') {
        Some((name, rest)) => {
            crate::digest::Algorithm::named(name).is_some() && !rest.contains(['/', '@'])
        }
        None => text.len() == 64 && text.bytes().all(is_hex),
    }
}

fn check_registry(host: &str) -> Result<(), InvalidReference> {
    check_host(host).map_err(|fault| {
        let part = Excerpt::of(host);
        match fault {
            HostFault::Uppercase => InvalidReference::UppercaseHost { part },
            HostFault::Malformed => InvalidReference::Host { part },
            HostFault::Port(digits) => InvalidReference::Port {
                part: Excerpt::of(digits),
            },
        }
    })
}

fn check_path(path: &str) -> Result<(), InvalidReference> {
    let Some(component) = path.split('/').find(|component| !is_component(component)) else {
        return Ok(());
    };
    let part = Excerpt::of(component);
    Err(if component.contains(|c: char| c.is_ascii_uppercase()) {
        InvalidReference::UppercasePath { part }
    } else {
        InvalidReference::PathComponent { part }
    })
}

#[cfg(test)]
mod tests;
