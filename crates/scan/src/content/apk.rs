//! The database of apk: packages and their files.
//!
//! Here: `installed`, at its old and its new path. Not here: which release the packages are of.
//! Invariant: pure, bounded. A record that cannot be read is a fact with its number, and hides no other.

use super::paths::Paths;
use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture that it was built for. None if the record does not say so.
    pub architecture: Option<String>,
    /// The package that it was built with (`o:`), which advisories name. None if the record does not say so.
    pub origin: Option<String>,
    /// Its files.
    pub paths: Paths,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
