//! Archives of Java: jars, wars, nested and shaded jars.
//!
//! Here: which artifacts an archive identifies. Not here: which artifact a name without a group is.
//! Invariant: pure, bounded. What cannot be read is a fact.

use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// An archive, or one in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its path in the file, such as `BOOT-INF/lib/a.jar`; archives in archives are separated with `!/`. Empty if it is
    /// the file itself. Text that is not UTF-8 is replaced.
    pub path: String,
    /// The artifacts in it. Empty if nothing identifies any.
    pub artifacts: Vec<Artifact>,
}

/// An artifact of Maven in an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact {
    /// Its group. None if nothing names it: then the artifact is a guess, and can be one of any group.
    pub group: Option<String>,
    /// Its name.
    pub artifact: String,
    /// Its version. Empty if none could be read: then it cannot be compared.
    pub version: String,
    /// What identifies it.
    pub source: Source,
}

/// What identifies an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// Its `pom.properties`.
    PomProperties,
    /// The manifest of the archive.
    Manifest,
    /// The name of the archive alone.
    FileName,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
