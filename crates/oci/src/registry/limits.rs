//! The limits of a lookup, each with the name that its error has.

use crate::lookup::Failure;
use std::time::Duration;

/// The most bytes of a manifest or index. Registries accept no larger ones by convention.
pub(super) const MANIFEST_BYTES: Bytes = Bytes {
    name: "manifestBytes",
    most: 4 << 20,
};

/// The most bytes of the answer of a token server.
pub(super) const TOKEN_BYTES: Bytes = Bytes {
    name: "tokenBytes",
    most: 64 << 10,
};

/// The most bytes of an answer that is an error.
pub(super) const ERROR_BYTES: Bytes = Bytes {
    name: "errorBytes",
    most: 64 << 10,
};

/// The most bytes of the headers of an answer.
pub(super) const HEADER_BYTES: usize = 64 << 10;

/// The most headers of an answer.
pub(super) const HEADERS: usize = 100;

/// The failure of an answer with more headers, or larger ones.
pub(super) const HEADERS_NAME: &str = "headers";

/// The most redirects of a request.
pub(super) const REDIRECTS: usize = 3;

/// The longest time that a registry can ask for with `Retry-After`.
pub(super) const RETRY_AFTER: Duration = Duration::from_mins(5);

/// A limit on the bytes of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    name: &'static str,
    pub(super) most: usize,
}

impl Bytes {
    /// The failure of what exceeds it.
    pub(super) const fn exceeded(self) -> Failure {
        Failure::LimitExceeded(self.name)
    }
}

/// How long the client waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the name, the connection and TLS of one server.
    pub connect: Duration,
    /// For the whole lookup, with tokens and redirects.
    pub lookup: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            lookup: Duration::from_secs(15),
        }
    }
}
