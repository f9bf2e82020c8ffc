//! The grammar of hosts and paths that references and patterns have in common.
//!
//! Here: one function for each production of `github.com/distribution/reference` v0.6.0, and where
//! ours is narrower. Not here: how a reference is taken apart (`reference`).
//! Invariant: whatever is accepted here, that library accepts in the same place.

/// The registry of names without a host.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// Other names of Docker Hub. The library knows the first. The second is the host that serves
/// [`DOCKER_HUB`], so an allow list that names one of the two means both.
pub(crate) const ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// The directory of Docker Hub for names of one component.
pub(crate) const OFFICIAL: &str = "library";

/// The most bytes of a host without its port, as in DNS. The library has no limit.
const MAX_HOST_BYTES: usize = 253;

/// The most bytes of a path.
pub(crate) const MAX_PATH_BYTES: usize = 255;

/// What is wrong with a host. Each is checked before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFault<'a> {
    /// Uppercase letters. The library accepts them, and keeps them apart from lowercase ones, which
    /// DNS does not: `GHCR.io/x` would evade a rule about `ghcr.io`.
    Uppercase,
    /// No name and no address, or more than [`MAX_HOST_BYTES`].
    Malformed,
    /// The port, without its colon. The library accepts any number of digits, so that one port has
    /// many spellings.
    Port(&'a str),
}

/// Whether the first component of a name with several is a host.
pub(crate) fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':'])
        || first.contains(|c: char| c.is_ascii_uppercase())
}

/// Checks a host with or without a port.
pub(crate) fn check_host(host: &str) -> Result<(), HostFault<'_>> {
    if host.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(HostFault::Uppercase);
    }
    let port = if let Some(rest) = host.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(HostFault::Malformed)?;
        let is_address = |c: char| c == ':' || c.is_ascii_hexdigit();
        if address.is_empty() || !address.chars().all(is_address) {
            return Err(HostFault::Malformed);
        }
        match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(HostFault::Malformed),
        }
    } else {
        let (name, port) = match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        };
        if name.len() > MAX_HOST_BYTES {
            return Err(HostFault::Malformed);
        }
        // The library takes a host with underscores for the first component of a path without a
        // host; containerd then connects to it as a host.
        if !name.split('.').all(is_label) && (port.is_some() || !is_component(name)) {
            return Err(HostFault::Malformed);
        }
        port
    };
    match port {
        Some(port) if !is_port(port) => Err(HostFault::Port(port)),
        Some(_) | None => Ok(()),
    }
}

/// Whether a text is one component of a DNS name as the library takes it, in lower case.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| is_alphanumeric(c) || c == '-')
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len())
        && !port.starts_with('0')
        && port.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text is a component of a path: letters and digits, with one period, one or two
/// underscores or any number of hyphens between them.
pub(crate) fn is_component(text: &str) -> bool {
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Whether a text is a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}
