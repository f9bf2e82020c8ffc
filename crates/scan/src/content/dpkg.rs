//! The database of dpkg: packages, the lists of their files, and diversions.
//!
//! Here: `status`, the files of `status.d` that images without dpkg have, `info/*.list`, `info/*.md5sums` and
//! `diversions`. Not here: which release the packages are of.
//! Invariant: pure, bounded. A package counts only in a state in which its files are installed. A stanza that cannot be
//! read is a fact with its number, and hides no other.

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
    /// The architecture that it was built for. None if the stanza does not say so.
    pub architecture: Option<String>,
    /// The source package that it was built from. If unset, that has its name and version.
    pub source: Option<Source>,
}

/// A source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version. If unset, that of the package.
    pub version: Option<String>,
}

/// The files of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// The package.
    pub package: String,
    /// The architecture, if packages of several architectures can be installed at once.
    pub architecture: Option<String>,
    /// Its files and directories.
    pub paths: Paths,
}

/// A file that is installed under another name, so that the file of another package does not replace it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// Its path in the package.
    pub from: Vec<u8>,
    /// Its path in the image.
    pub to: Vec<u8>,
    /// The package whose file is not diverted. None if it was diverted by hand.
    pub package: Option<String>,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
