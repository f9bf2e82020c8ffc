//! Metadata of Python distributions: dist-info, and egg-info as a file and as a directory.
//!
//! Here: what the metadata says. Not here: whether a distribution is still installed.
//! Invariant: pure, bounded. What cannot be read is a fact.

use super::paths::Paths;
use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// A distribution of Python.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Its name, as the metadata writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What installed it, such as `pip`. None if the metadata does not say so.
    pub installer: Option<String>,
    /// Whether it is a copy in another distribution, such as in `pip/_vendor`.
    pub vendored: bool,
    /// Its files (`RECORD`, `installed-files.txt`), relative to the directory that has the metadata. Empty if no list
    /// was read.
    pub files: Paths,
    /// The path in the archive that has the metadata. Empty if it is a file of the image.
    pub path_in_archive: String,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
