//! The answer of the process that reads a layer.
//!
//! Here: what it consists of, how it is written, and reading it. Not here: what is believed of it (`validate`).
//! Invariant: a frame has a bounded size before it is read, and is decoded by itself. Reading takes the memory of one
//! frame, whoever wrote it.

use crate::sandbox::{Landlock, SandboxError};
use bailiff_oci::layer::{CannotUnpack, Entry};
use bailiff_scan::content::Fact;
use bailiff_scan::inventory::ContentDigest;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Bytes of a frame. An entry has two paths at most; facts have what is left.
pub const FRAME_LIMIT: usize = 4 << 20;
/// Bytes that are written at a time.
const BUFFER: usize = 64 << 10;

/// What the process is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whether it enters a sandbox before it reads.
    pub sandboxed: bool,
    /// Its resources.
    pub ceilings: crate::sandbox::Ceilings,
    /// Bytes of the layer once it is unpacked.
    pub unpacked: u64,
    /// Entries of the layer.
    pub entries: u32,
    /// What it reads.
    pub work: Work,
}

/// What the process reads of its layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// All of it: every entry, the files that are known by their path or first bytes, and both digests.
    All {
        /// How the digest of the blob is computed.
        blob: Hash,
        /// How the digest of the content is computed.
        content: Hash,
    },
    /// Files that the first pass did not know, in the order of their entries: the number of the entry, and the path as
    /// which it is read.
    Files(Vec<(u32, Vec<u8>)>),
}

/// The algorithm of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A part of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// The first one: what Landlock adds to the sandbox of the process; none without a sandbox.
    Started(Option<Landlock>),
    /// The first and last one: the process has read nothing.
    NotSandboxed(SandboxError),
    /// Bytes of the blob that are read.
    Progress(u64),
    /// An entry. The first one has number 0, each other one the next number.
    Entry {
        /// The entry.
        entry: Entry,
        /// Whether its content is read as what its path or its begin says. Facts of any file can follow.
        read: bool,
    },
    /// What the content of a file says: in the first pass that of the last entry.
    Fact {
        /// The number of the entry.
        ordinal: u32,
        /// What it says.
        fact: Fact,
    },
    /// The digest of a file that says what is compared by content, of which all was read.
    Content {
        /// The number of the entry.
        ordinal: u32,
        /// Its SHA-256.
        digest: ContentDigest,
    },
    /// The last one: the layer is read to its end.
    Done(Done),
    /// The last one: the rest of the layer is not read.
    NotRead {
        /// Why.
        cause: NotRead,
        /// The digest of the blob, if all of it could be read.
        blob: Option<Vec<u8>>,
    },
}

/// What was computed while reading a layer to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The digests of the blob and of its unpacked content. None if the request was for single files.
    pub digests: Option<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the unpacked layer.
    pub unpacked: u64,
}

/// Why the process did not read the rest of its layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotRead {
    /// It cannot be unpacked, or exceeds a limit.
    CannotUnpack(CannotUnpack),
    /// The spool or the blob failed, with the kernel's error number.
    Files(i32),
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The pipe failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It ends inside a frame.
    #[error("it ends in the middle")]
    Cut,
    /// A frame has more bytes than [`FRAME_LIMIT`].
    #[error("a part of it has {0} bytes, more than {FRAME_LIMIT}")]
    TooLarge(u32),
    /// The bytes are no frame.
    #[error("a part of it cannot be decoded")]
    Malformed,
}

/// Writes frames.
pub struct Writer<W> {
    to: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// A writer to a pipe.
    pub fn new(to: W) -> Self {
        Self {
            to,
            buffer: Vec::with_capacity(BUFFER),
        }
    }

    /// Writes a frame; false if it is larger than [`FRAME_LIMIT`], and is not written.
    ///
    /// # Errors
    /// The pipe failed: nobody reads the answer any more.
    pub fn write(&mut self, frame: &Frame) -> io::Result<bool> {
        let begin = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        let encoded = postcard::to_io(frame, &mut self.buffer).is_ok();
        let length = self.buffer.len().saturating_sub(begin).saturating_sub(4);
        let prefix = u32::try_from(length).ok();
        let fits = encoded && length <= FRAME_LIMIT;
        let room = self.buffer.get_mut(begin..begin.saturating_add(4));
        let (true, Some(prefix), Some(room)) = (fits, prefix, room) else {
            self.buffer.truncate(begin);
            return Ok(false);
        };
        room.copy_from_slice(&prefix.to_le_bytes());
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(true)
    }

    /// Writes what is kept back, so that it counts whatever happens next.
    ///
    /// # Errors
    /// The pipe failed.
    pub fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads frames.
pub struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// A reader of an answer, which should be buffered.
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
        }
    }

    /// What the answer is read from. What was read of it in advance is lost.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// The next frame with its bytes; none at the end of the answer.
    ///
    /// # Errors
    /// What follows is no frame. Nothing after it can be read.
    pub fn frame(&mut self) -> Result<Option<(Frame, usize)>, FrameError> {
        let mut prefix = [0; 4];
        let mut filled = 0;
        while let Some(room) = prefix.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.from.read(room) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(FrameError::Cut),
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let prefix = u32::from_le_bytes(prefix);
        let length = usize::try_from(prefix)
            .ok()
            .filter(|length| *length <= FRAME_LIMIT)
            .ok_or(FrameError::TooLarge(prefix))?;
        self.buffer.clear();
        // What is announced takes no memory before it is there.
        let limit = u64::from(prefix);
        let count = self
            .from
            .by_ref()
            .take(limit)
            .read_to_end(&mut self.buffer)?;
        if count < length {
            return Err(FrameError::Cut);
        }
        match postcard::take_from_bytes(&self.buffer) {
            Ok((frame, [])) => Ok(Some((frame, length))),
            Ok(_) | Err(_) => Err(FrameError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::{Checker, Expected};
    use bailiff_oci::layer::EntryKind;

    fn answer() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let entry = |path: &[u8], kind| Entry {
            path: path.to_vec(),
            kind,
            size: 0,
            mode: 0o644,
        };
        let fact = Fact::NotRead {
            what: "file".to_owned(),
            cause: "too large".to_owned(),
        };
        for frame in [
            Frame::Started(Some(Landlock::Full)),
            Frame::Entry {
                entry: entry(b"usr/bin/a", EntryKind::File),
                read: true,
            },
            Frame::Fact { ordinal: 0, fact },
            Frame::Content {
                ordinal: 0,
                digest: [3; 32],
            },
            Frame::Progress(5),
            Frame::Entry {
                entry: entry(b"b", EntryKind::Symlink(b"/usr/bin/a".to_vec())),
                read: false,
            },
            Frame::Done(Done {
                digests: Some((vec![1; 32], vec![2; 32])),
                unpacked: 1024,
            }),
        ] {
            assert!(writer.write(&frame).unwrap());
        }
        writer.flush().unwrap();
        drop(writer);
        bytes
    }

    /// How many parts of an answer are accepted, and whether its end is.
    fn accepted(bytes: &[u8]) -> (usize, bool) {
        let work = Work::All {
            blob: Hash::Sha256,
            content: Hash::Sha256,
        };
        let mut checker = Checker::new(Expected {
            sandboxed: true,
            work: &work,
            size: 10,
            unpacked: 1 << 20,
            entries: 5,
        });
        let mut reader = Reader::new(bytes);
        let mut count = 0;
        while let Ok(Some((frame, length))) = reader.frame() {
            assert!(length <= FRAME_LIMIT);
            if checker.check(&frame).is_err() {
                return (count, false);
            }
            count += 1;
        }
        (count, checker.ended())
    }

    #[test]
    fn an_answer_is_accepted_and_every_cut_of_it_as_far_as_it_goes() {
        let bytes = answer();
        assert_eq!(accepted(&bytes), (7, true));
        let mut before = 0;
        for end in 0..bytes.len() {
            let (count, ended) = accepted(bytes.get(..end).unwrap());
            assert!(!ended && count >= before && count < 7, "{end}");
            before = count;
        }
        assert_eq!(before, 6);
    }

    #[test]
    fn whatever_byte_is_changed_an_answer_is_accepted_as_far_as_it_is_one() {
        let bytes = answer();
        let mut whole = 0;
        for position in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut changed = bytes.clone();
                *changed.get_mut(position).unwrap() = value;
                let (count, ended) = accepted(&changed);
                assert!(ended == (count == 7), "{position} {value}");
                whole += usize::from(ended);
            }
        }
        // The letters of paths and facts, and the bytes of digests, can be others.
        assert!(whole > bytes.len(), "{whole}");
    }

    #[test]
    fn a_frame_that_is_only_announced_takes_no_memory() {
        let largest = u32::try_from(FRAME_LIMIT).unwrap();
        let mut reader_bytes = largest.to_le_bytes().to_vec();
        reader_bytes.push(0);
        let mut reader = Reader::new(reader_bytes.as_slice());
        assert!(matches!(reader.frame(), Err(FrameError::Cut)));
        assert!(
            reader.buffer.capacity() < 1 << 16,
            "{}",
            reader.buffer.capacity()
        );
        let more = (largest + 1).to_le_bytes();
        let mut reader = Reader::new(more.as_slice());
        assert!(matches!(reader.frame(), Err(FrameError::TooLarge(_))));
    }
}
