//! The content of one layer: what its archive says, entry by entry.
//!
//! Here: unpacking, the entries of a tar archive as containerd reads them, their limits, and why a layer cannot be
//! unpacked. Not here: what layers make together (`tree`), where they come from, and what files mean.
//! Invariant: bytes of a layer take bounded memory, whatever they are. What containerd cannot read is
//! [`CannotUnpack`], and the entries before it count.

mod archive;
mod error;
mod header;
mod pax;
mod sparse;
mod unpacked;

#[cfg(test)]
mod tests;

pub use error::{CannotUnpack, EntryFault, Exceeded, HeaderFault};
pub use unpacked::Compression;

use archive::{Archive, Member};
use header::types;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use unpacked::{Observer, Unpacked};

/// The most bytes of a path.
pub const MAX_PATH_BYTES: usize = 4096;

/// The most bytes of a path component.
pub const MAX_NAME_BYTES: usize = 255;

/// The most bytes of the target of a symbolic link.
pub const MAX_TARGET_BYTES: usize = 4095;

/// The most bytes of an extended header, of a long name and of the map of a sparse file, as in Go's archive/tar.
pub const MAX_HEADER_BYTES: usize = 1 << 20;

/// The largest window of zstd data, in bytes.
pub const MAX_WINDOW_BYTES: usize = 64 << 20;

/// The bounds of one image and its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a layer once it is unpacked, with the holes of sparse files. Defaults to 32 GiB, which is the most.
    pub unpacked: u64,
    /// Entries of a layer; entries and directories without an entry of an image. Defaults to 4 million, which is the
    /// most.
    pub entries: u32,
    /// Bytes of the names and the targets of symbolic links of an image that a tree keeps. Defaults to 128 MiB, which is
    /// the most.
    pub names: u64,
    /// Lookups in directories that an image requires beyond one for each component of a path: through symbolic links, and
    /// in lower layers for directories without an entry. Defaults to 2^25, which take seconds.
    pub lookups: u64,
}

impl Limits {
    /// The most that is unpacked, in bytes.
    pub const UNPACKED: u64 = 32 << 30;
    /// The most entries.
    pub const ENTRIES: u32 = 4_000_000;
    /// The most bytes of names.
    pub const NAMES: u64 = 128 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked: Self::UNPACKED,
            entries: Self::ENTRIES,
            names: Self::NAMES,
            lookups: 32 << 20,
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

/// The entries of a layer.
pub struct Layer<R> {
    archive: Archive<R>,
    left: u32,
    entries: u32,
    /// The last entry is a file.
    has_content: bool,
    state: State,
}

/// How far a layer is read.
#[derive(Clone, Debug)]
enum State {
    Reading,
    /// Nothing follows.
    Ended,
    /// The rest cannot be unpacked.
    Failed(CannotUnpack),
}

impl<R: Read> Layer<R> {
    /// Reads a layer: a tar archive, plain or compressed with gzip or zstd.
    pub fn new(reader: R, limits: &Limits) -> Self {
        Self::with(reader, limits, None)
    }

    /// Reads a layer, and shows every unpacked byte to `observer`, in their order and once: its digest is that of the
    /// content once [`Self::next`] has returned none.
    pub fn observed(reader: R, limits: &Limits, observer: impl FnMut(&[u8]) + 'static) -> Self {
        Self::with(reader, limits, Some(Box::new(observer)))
    }

    fn with(reader: R, limits: &Limits, observer: Option<Observer>) -> Self {
        let entries = limits.entries.min(Limits::ENTRIES);
        Self {
            archive: Archive::new(Unpacked::new(
                reader,
                limits.unpacked.min(Limits::UNPACKED),
                observer,
            )),
            left: entries,
            entries,
            has_content: false,
            state: State::Reading,
        }
    }

    /// The next entry; none at the end of the layer, once all of it is read and its checksums are verified.
    ///
    /// # Errors
    ///
    /// The rest of the layer cannot be unpacked. Every later call has the same error.
    #[allow(
        clippy::should_implement_trait,
        reason = "the content of an entry has to be read before the next one, which no iterator can demand"
    )]
    pub fn next(&mut self) -> Result<Option<Entry>, CannotUnpack> {
        match &self.state {
            State::Reading => {}
            State::Ended => return Ok(None),
            State::Failed(cause) => return Err(cause.clone()),
        }
        let next = self.read_entry();
        match &next {
            Ok(Some(entry)) => self.has_content = entry.kind == EntryKind::File,
            Ok(None) => self.state = State::Ended,
            Err(cause) => self.state = State::Failed(cause.clone()),
        }
        next
    }

    fn read_entry(&mut self) -> Result<Option<Entry>, CannotUnpack> {
        while let Some(member) = self.archive.next()? {
            self.left = self
                .left
                .checked_sub(1)
                .ok_or(CannotUnpack::Limit(Exceeded::Entries(self.entries)))?;
            if let Some(entry) = entry(member)? {
                return Ok(Some(entry));
            }
        }
        self.archive.finish()?;
        Ok(None)
    }

    /// The content of the file that was just returned; nothing for other kinds. What is not read of it is skipped.
    /// An error of it contains [`CannotUnpack`], and [`Self::next`] has the same one.
    pub fn content(&mut self) -> impl Read {
        Content { layer: self }
    }

    /// Bytes that were unpacked so far, with the holes of sparse files.
    pub fn unpacked(&self) -> u64 {
        self.archive.unpacked()
    }
}

struct Content<'l, R> {
    layer: &'l mut Layer<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &self.layer.state {
            State::Reading if self.layer.has_content => {}
            State::Reading | State::Ended => return Ok(0),
            State::Failed(cause) => return Err(io::Error::other(cause.clone())),
        }
        self.layer.archive.read(into).map_err(|cause| {
            self.layer.state = State::Failed(cause.clone());
            io::Error::other(cause)
        })
    }
}

/// What a member does; none if containerd ignores it.
fn entry(member: Member) -> Result<Option<Entry>, CannotUnpack> {
    let Member {
        header,
        size,
        is_incomplete,
    } = member;
    let Some(mut path) = clean(&header.name) else {
        return Err(CannotUnpack::Limit(Exceeded::Path));
    };
    if path.is_empty() {
        // The root.
        return Ok(None);
    }
    let name_at = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash.saturating_add(1));
    let name = path.get(name_at..).unwrap_or_default();
    let mode = u32::try_from(header.mode & 0o7777).unwrap_or_default();
    let mut size_of_file = 0;
    let kind = if name == b".wh..wh..opq" {
        path.truncate(name_at.saturating_sub(1));
        EntryKind::Opaque
    } else if let Some(removed) = name.strip_prefix(b".wh.") {
        if matches!(removed, b"" | b"." | b"..") {
            return Err(fault(path, EntryFault::WhiteoutName));
        }
        path.drain(name_at..name_at.saturating_add(4));
        EntryKind::Whiteout
    } else {
        match header.kind {
            types::FILE if is_incomplete => {
                return Err(CannotUnpack::Header(HeaderFault::SparseMap));
            }
            types::FILE => {
                size_of_file = size;
                EntryKind::File
            }
            types::DIRECTORY => EntryKind::Directory,
            types::SYMBOLIC_LINK if header.link.len() > MAX_TARGET_BYTES => {
                return Err(fault(path, EntryFault::Target));
            }
            types::HARD_LINK if header.link.len() > MAX_PATH_BYTES => {
                return Err(CannotUnpack::Limit(Exceeded::Path));
            }
            types::SYMBOLIC_LINK => EntryKind::Symlink(header.link),
            types::HARD_LINK => EntryKind::HardLink(header.link),
            types::CHARACTER_DEVICE | types::BLOCK_DEVICE | types::PIPE => {
                match device(header.kind, header.device) {
                    Some(kind) => kind,
                    None => return Err(fault(path, EntryFault::Device)),
                }
            }
            types::PAX_GLOBAL => EntryKind::GlobalHeader,
            other => return Err(fault(path, EntryFault::Type(other))),
        }
    };
    Ok(Some(Entry {
        path,
        kind,
        size: size_of_file,
        mode,
    }))
}

/// A device or a pipe with these numbers.
fn device(kind: u8, (major, minor): (i64, i64)) -> Option<EntryKind> {
    let (major, minor) = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
    // The kernel keeps 12 and 20 bits of them.
    let is_zero = major.trailing_zeros() >= 12 && minor.trailing_zeros() >= 20;
    Some(if is_zero && kind == types::CHARACTER_DEVICE {
        EntryKind::WhiteoutDevice
    } else {
        EntryKind::Other
    })
}

fn fault(path: Vec<u8>, fault: EntryFault) -> CannotUnpack {
    CannotUnpack::Entry { path, fault }
}

/// A name without `.`, `..` and empty components, as seen from the root; none if it is too long.
///
/// containerd cleans names before it follows symbolic links, so that `a/../b` is `b` even if `a` is a link.
pub(crate) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut path: Vec<u8> = Vec::with_capacity(name.len().min(MAX_PATH_BYTES));
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let end = path.iter().rposition(|byte| *byte == b'/');
                path.truncate(end.unwrap_or_default());
            }
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    (path.len() <= MAX_PATH_BYTES).then_some(path)
}
