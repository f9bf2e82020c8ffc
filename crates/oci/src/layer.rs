//! The content of one layer: what its archive says, entry by entry.
//!
//! Here: unpacking, the entries of a tar archive as containerd reads them, their limits, and why a layer cannot be
//! unpacked. Not here: what layers make together (`tree`), where they come from, and what files mean.
//! Invariant: bytes of a layer take bounded memory, whatever they are. What containerd cannot read is
//! [`CannotUnpack`], and the entries before it count.

use serde::{Deserialize, Serialize};
use std::io::Read;

/// The bounds of the layers of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a layer once it is unpacked, with the holes of sparse files. Defaults to 32 GiB, which is the most.
    pub unpacked: u64,
    /// Entries of a layer, and entries and directories of a tree. Defaults to 4 million, which is the most.
    pub entries: u32,
}

impl Limits {
    /// The most that is unpacked, in bytes.
    pub const UNPACKED: u64 = 32 << 30;
    /// The most entries.
    pub const ENTRIES: u32 = 4_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked: Self::UNPACKED,
            entries: Self::ENTRIES,
        }
    }
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path without `.`, `..`, an empty component and `/` at either end. It leads through the symbolic links of the
    /// layer. It is empty only for [`EntryKind::Opaque`], where it names the root.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of its content, with the holes of a sparse file. 0 for everything that is not a file.
    pub size: u64,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file with content.
    File,
    /// A symbolic link to this target, as it is written.
    Symlink(Vec<u8>),
    /// Another name of what the same layer has at this path, as it is written.
    HardLink(Vec<u8>),
    /// A device or a named pipe.
    Other,
    /// A character device 0:0, which overlayfs takes for a whiteout.
    WhiteoutDevice,
    /// `.wh.NAME`: removes what lower layers have. The path is that of the removed name.
    Whiteout,
    /// `.wh..wh..opq`: hides what lower layers have in a directory. The path is that of the directory.
    Opaque,
    /// A global header of PAX. It has no effect on other entries, but containerd removes what the layer has at its path.
    GlobalHeader,
}

/// Why a layer, or the rest of it, cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CannotUnpack {}

/// The entries of a layer.
pub struct Layer<R> {
    reader: R,
}

impl<R: Read> Layer<R> {
    /// Reads a layer: a tar archive, plain or compressed with gzip or zstd.
    pub fn new(reader: R, limits: &Limits) -> Self {
        let _ = limits;
        Self { reader }
    }

    /// The next entry; none at the end of the layer, once all of it is read and its checksums are verified.
    ///
    /// # Errors
    ///
    /// The rest of the layer cannot be unpacked. Every later call has the same error.
    pub fn next(&mut self) -> Result<Option<Entry>, CannotUnpack> {
        Ok(None)
    }

    /// The content of the file that was just returned; nothing for other kinds. What is not read of it is skipped.
    pub fn content(&mut self) -> impl Read {
        self.reader.by_ref().take(0)
    }

    /// Bytes that were unpacked so far, with the holes of sparse files.
    pub fn unpacked(&self) -> u64 {
        0
    }
}
