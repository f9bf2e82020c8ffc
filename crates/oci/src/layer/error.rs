//! Why a layer cannot be unpacked.
//!
//! Here: the causes and their messages. Not here: where they are found (`archive`, `unpacked`, `tree`).
//! Invariant: a message is printable ASCII and short, whatever an image or a damaged answer put into a cause.

use super::Compression;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Why a layer, or the rest of it, cannot be unpacked. The message completes "cannot unpack the layer: ".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum CannotUnpack {
    /// Its bytes could not be read.
    #[error("its bytes cannot be read: {}", Printable(.cause.as_bytes()))]
    Read {
        /// What the reader reports.
        cause: String,
    },
    /// Its compressed data is damaged, or followed by other data.
    #[error("its {compression} data is damaged: {}", Printable(.cause.as_bytes()))]
    Damaged {
        /// How it is compressed.
        compression: Compression,
        /// What the decompressor reports.
        cause: String,
    },
    /// The tar archive ends within an entry.
    #[error("its tar archive ends within an entry")]
    Truncated,
    /// The tar archive has an invalid header.
    #[error("its tar archive has an invalid header: {0}")]
    Header(HeaderFault),
    /// An entry that containerd does not unpack.
    #[error("entry \"{}\" {fault}", Printable(.path))]
    Entry {
        /// The path of the entry.
        path: Vec<u8>,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// It exceeds a limit.
    #[error("{0}")]
    Limit(Exceeded),
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum HeaderFault {
    /// The checksum is another one.
    #[error("its checksum is wrong")]
    Checksum,
    /// A number is not one, or is out of range.
    #[error("it has an invalid number")]
    Number,
    /// A block of zeros, which ends an archive, is followed by another block.
    #[error("it follows the end of the archive")]
    AfterEnd,
    /// The records of an extended header are invalid.
    #[error("its extended records are invalid")]
    Records,
    /// The map of a sparse file is invalid.
    #[error("its map of a sparse file is invalid")]
    SparseMap,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum EntryFault {
    /// containerd knows no such type.
    #[error("has the type {0}, which containerd does not unpack")]
    Type(u8),
    /// The number of a device has more than 32 bits.
    #[error("has an invalid device number")]
    Device,
    /// A whiteout of an empty name, `.` or `..`.
    #[error("is a whiteout without a name")]
    WhiteoutName,
    /// A component is empty, `.`, `..` or has a zero byte. Only damaged answers have one.
    #[error("has an invalid path")]
    Path,
    /// A component has more than 255 bytes.
    #[error("has a path component of more than 255 bytes")]
    NameTooLong,
    /// A component before the last is neither a directory nor a symbolic link.
    #[error("has a path through something that is not a directory")]
    NotDirectory,
    /// Symbolic links lead to each other, or there are more than 255.
    #[error("has a path through too many symbolic links")]
    TooManyLinks,
    /// The target of a symbolic link is empty, has more than 4,095 bytes or a zero byte.
    #[error("is a symbolic link with an invalid target")]
    Target,
    /// The layer itself does not have what a hard link names.
    #[error("is a hard link to something that its layer does not have")]
    LinkMissing,
    /// A hard link names a directory.
    #[error("is a hard link to a directory")]
    LinkDirectory,
    /// The layer has a whiteout of what it brings itself.
    #[error("is a whiteout of something in its own layer")]
    Exists,
    /// A directory that has no entry is below something in a lower layer that is not a directory.
    #[error(
        "has a parent directory without an entry, below something in a lower layer that is not a directory"
    )]
    Below,
    /// The layer removes one of its directories later.
    #[error("is a directory that its layer removes later")]
    Removed,
}

/// The limit that a layer or an image exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Exceeded {
    /// [`super::Limits::unpacked`].
    #[error("it has more than {0} bytes once it is unpacked")]
    Unpacked(u64),
    /// [`super::Limits::entries`].
    #[error("there are more than {0} entries")]
    Entries(u32),
    /// [`super::MAX_PATH_BYTES`].
    #[error("a path has more than {} bytes", super::MAX_PATH_BYTES)]
    Path,
    /// [`super::MAX_HEADER_BYTES`].
    #[error("an extended header has more than {} bytes", super::MAX_HEADER_BYTES)]
    Header,
    /// [`super::MAX_WINDOW_BYTES`].
    #[error(
        "its zstd data requires a window of more than {} bytes",
        super::MAX_WINDOW_BYTES
    )]
    Window,
    /// [`super::Limits::names`].
    #[error("the names in the image have more than {0} bytes")]
    Names(u64),
    /// [`super::Limits::lookups`].
    #[error("its symbolic links and missing directories require more than {0} lookups")]
    Lookups(u64),
}

/// The most characters of a cause or a path that a message shows.
const SHOWN: usize = 120;

/// Bytes as printable ASCII; the end of them, if they are long, because the end of a path tells more.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |bytes: &[u8]| bytes.escape_ascii().count();
        let mut shown = self.0;
        if shown.len() > SHOWN || escaped(shown) > SHOWN {
            f.write_str("...")?;
            let mut room = SHOWN;
            let start = self.0.iter().rev().take_while(|byte| {
                let needed = escaped(&[**byte]);
                let fits = needed <= room;
                room = room.saturating_sub(needed);
                fits
            });
            let skipped = self.0.len().saturating_sub(start.count());
            shown = self.0.get(skipped..).unwrap_or_default();
        }
        for part in shown.split_inclusive(|byte| *byte == b'\'') {
            match part.split_last() {
                // An apostrophe is no quotation mark here.
                Some((b'\'', before)) => write!(f, "{}'", before.escape_ascii())?,
                _ => write!(f, "{}", part.escape_ascii())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_printable_and_short() {
        let entry = |path: &[u8]| {
            CannotUnpack::Entry {
                path: path.to_vec(),
                fault: EntryFault::LinkDirectory,
            }
            .to_string()
        };
        assert_eq!(
            entry(b"usr/bin/\x1b[31m\xff\""),
            r#"entry "usr/bin/\x1b[31m\xff\"" is a hard link to a directory"#
        );
        let at_limit = "a".repeat(120);
        assert_eq!(
            entry(at_limit.as_bytes()),
            format!("entry \"{at_limit}\" is a hard link to a directory")
        );
        assert_eq!(
            entry(&[0xff; 4096]),
            format!(
                "entry \"...{}\" is a hard link to a directory",
                r"\xff".repeat(30)
            )
        );
        assert_eq!(
            entry(format!("x\n{at_limit}").as_bytes()),
            format!("entry \"...{at_limit}\" is a hard link to a directory")
        );
        let damaged = CannotUnpack::Damaged {
            compression: Compression::Gzip,
            cause: "it isn't \u{1b}[2J".to_owned(),
        };
        assert_eq!(
            damaged.to_string(),
            r"its gzip data is damaged: it isn't \x1b[2J"
        );
    }
}
