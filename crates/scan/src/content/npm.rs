//! npm packages as they are installed: `package.json` in `node_modules`.
//!
//! Here: what a `package.json` says. Not here: lock files.
//! Invariant: pure, bounded. What cannot be read is a fact.

use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// A package of npm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name, with its scope.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The package that has it in its own `node_modules`, such as `npm`. None if it is no part of another one.
    pub bundled_in: Option<String>,
    /// The path in the archive that has it. Empty if it is a file of the image.
    pub path_in_archive: String,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
