//! ELF files: executables and shared objects, and what compilers of Go and Rust store in them.
//!
//! Here: where sections and segments are. Not here: what the build information says (`go`, `rust`).
//! Invariant: pure, bounded reads. Each file that begins as an ELF file has the fact [`Fact::Elf`].

use super::{Content, Fact, Interest};
use serde::{Deserialize, Serialize};

/// What an ELF file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An executable that is loaded at a fixed address.
    Executable,
    /// A shared object, or an executable that is loaded at any address.
    Shared,
    /// An object file or a kernel module.
    Relocatable,
    /// Something else, or a file whose header cannot be read.
    Other,
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Interest::None
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], _content: &mut dyn Content, _facts: &mut dyn FnMut(Fact)) {}
