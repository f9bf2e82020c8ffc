//! Files that name the release of the distribution.
//!
//! Here: `os-release`, `debian_version`, `alpine-release` and `lsb-release`. Not here: whether they agree.
//! Invariant: pure, bounded. A value has the length of a version at most.

use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// What one file says about the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// `os-release`.
    Os(Os),
    /// `debian_version`: such as `12.5`, or `trixie/sid`. Ubuntu has it as well, with the name of a Debian release.
    Debian(String),
    /// `alpine-release`: such as `3.18.4`.
    Alpine(String),
    /// `lsb-release`.
    Lsb(Lsb),
}

/// The content of `os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`, such as `debian`. None if it has none.
    pub id: Option<String>,
    /// `ID_LIKE`: the distributions that this one is derived from.
    pub like: Vec<String>,
    /// `VERSION_ID`, such as `12`. None if it has none, as in Debian's testing.
    pub version_id: Option<String>,
    /// `VERSION_CODENAME`, such as `bookworm`.
    pub codename: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
}

/// The content of `lsb-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lsb {
    /// `DISTRIB_ID`, such as `Ubuntu`.
    pub id: Option<String>,
    /// `DISTRIB_RELEASE`, such as `22.04`.
    pub release: Option<String>,
    /// `DISTRIB_CODENAME`, such as `jammy`.
    pub codename: Option<String>,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
