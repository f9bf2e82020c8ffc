//! Values that only their own functions know.
//!
//! Here: the set of them, their names, texts and sizes. Not here: what they are (a file each).
//! Invariant: equal values of one type are equal whatever they were written as.

use super::formats::Format;
use super::network::Prefix;
use super::quantity::Quantity;
use super::semver::Version;
use super::urls::Url;
use crate::types;
use std::fmt;
use std::net::IpAddr;

/// A value that only its own functions know.
#[derive(Clone, Debug)]
pub enum Opaque {
    /// Of `quantity()`.
    Quantity(Quantity),
    /// Of `url()`.
    Url(Url),
    /// Of `ip()`.
    Ip(IpAddr),
    /// Of `cidr()`.
    Cidr(Prefix),
    /// Of `semver()`.
    Semver(Version),
    /// Of `format.named()`.
    Format(&'static Format),
}

impl Opaque {
    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => types::QUANTITY,
            Self::Url(_) => types::URL,
            Self::Ip(_) => types::IP,
            Self::Cidr(_) => types::CIDR,
            Self::Semver(_) => types::SEMVER,
            Self::Format(_) => types::FORMAT,
        }
    }

    /// Whether two are the same part by part, which equal ones need not be: `1` and `1.0`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantity(a), Self::Quantity(b)) => a.is_same(b),
            // It is made of functions, and no two of those are the same to Go.
            (Self::Format(_), Self::Format(_)) => false,
            (Self::Semver(_), Self::Semver(_)) => self.to_string() == other.to_string(),
            _ => self == other,
        }
    }

    /// About how many bytes it is made of, where that has no bound.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Url(url) => url.bytes(),
            Self::Semver(version) => version.bytes(),
            Self::Quantity(quantity) => quantity.bytes(),
            Self::Ip(_) | Self::Cidr(_) | Self::Format(_) => 0,
        }
    }

    /// Bytes of an address or of the part that a prefix fixes; 1 for all else.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Ip(IpAddr::V4(_)) => 4,
            Self::Ip(IpAddr::V6(_)) => 16,
            Self::Cidr(prefix) => u64::from(prefix.bits).div_ceil(8),
            Self::Quantity(_) | Self::Url(_) | Self::Semver(_) | Self::Format(_) => 1,
        }
    }
}

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantity(a), Self::Quantity(b)) => a.compare(b).is_eq(),
            (Self::Url(a), Self::Url(b)) => a.to_string() == b.to_string(),
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a.compare(b).is_eq(),
            (Self::Format(a), Self::Format(b)) => a.name == b.name,
            _ => false,
        }
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(value) => value.fmt(f),
            Self::Url(value) => value.fmt(f),
            Self::Ip(value) => value.fmt(f),
            Self::Cidr(value) => value.fmt(f),
            Self::Semver(value) => value.fmt(f),
            Self::Format(value) => f.write_str(value.name),
        }
    }
}
