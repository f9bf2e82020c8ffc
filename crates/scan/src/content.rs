//! What the content of files says about the packages of an image.
//!
//! Here: which files are read, and the facts that are read from them, in a module for each kind of file. Not here: which
//! files an image has (`oci`, `image`), and what facts together mean.
//! Invariant: pure functions over bytes that strangers wrote. A file that cannot be read is a fact too, and what was
//! read of it before its fault counts.

use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It is not read.
    None,
    /// It is read into memory, up to this number of bytes. A longer one is [`Fact::NotRead`].
    Whole(usize),
    /// It is read with seeking.
    Seek,
}

/// A file that can be read at any position.
pub trait Content: Read + Seek {}
impl<T: Read + Seek> Content for T {}

/// What one file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// It, or a part of it, could not be read.
    NotRead {
        /// What it is, such as `dpkg database`.
        what: String,
        /// Why it could not be read.
        cause: String,
    },
}

/// Bytes at the begin of a file that [`interest`] looks at.
pub const HEAD: usize = 512;

/// How the file at this path is read. The path is relative to the root of the image; `head` has the first [`HEAD`]
/// bytes, or all of them.
#[must_use]
pub fn interest(path: &[u8], size: u64, head: &[u8]) -> Interest {
    let _ = (path, size, head);
    Interest::None
}

/// Adds what a file says.
pub fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let _ = (path, content, facts);
}
