//! What is believed of the answer of a process that reads a layer.
//!
//! Here: the order of the parts of an answer, and what each part can contain. Not here: decoding (`report`), and what
//! the parts mean.
//! Invariant: whoever wrote the answer, what is accepted is about the layer that was given: its entries in their
//! order, with paths inside the root, and facts of files that it reported to read.

use crate::report::{Done, Frame, NotRead, Work};
use bailiff_oci::layer::{Entry, EntryKind};

/// Bytes of a path, and of the target of a link.
const PATH_LIMIT: usize = 4096;
/// Bytes of the longest digest.
const DIGEST_LIMIT: usize = 64;

/// Why an answer is not believed from here on. What came before counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It does not begin with the sandbox of the process.
    #[error("it does not begin as it must")]
    Begin,
    /// The process has no sandbox, and one was requested, or the other way round.
    #[error("the process is not in the sandbox that was requested")]
    NotSandboxed,
    /// Something follows the last part.
    #[error("something follows its end")]
    AfterEnd,
    /// A part that was not requested.
    #[error("it has a part that was not requested")]
    NotRequested,
    /// An entry has a path that leads out of the root, or is malformed.
    #[error("an entry has an invalid path")]
    Path,
    /// An entry has a malformed target of a link.
    #[error("an entry has an invalid link target")]
    Target,
    /// An entry that is not a file has content, or a size is not one.
    #[error("an entry has an invalid size")]
    Size,
    /// An entry has bits that are no permissions.
    #[error("an entry has an invalid mode")]
    Mode,
    /// There are more entries than a layer can have.
    #[error("it has too many entries")]
    Entries,
    /// A fact or a digest is about another file than the one that is read.
    #[error("a fact belongs to no file that is read")]
    Fact,
    /// A fact has a name or a version that no reader keeps.
    #[error("a fact has an impossible name or version")]
    FactContent,
    /// Bytes of the blob that were read become fewer, or are more than it has.
    #[error("its progress is impossible")]
    Progress,
    /// A digest has an impossible length, or is missing.
    #[error("it has an invalid digest")]
    Digest,
    /// A part is no part of an answer.
    #[error("a part of it cannot be decoded")]
    Malformed,
    /// A part is too large.
    #[error("a part of it is too large")]
    TooLarge,
}

/// What the answer is about.
#[derive(Clone, Debug)]
pub(crate) struct Expected<'a> {
    /// Whether a process in a sandbox was requested.
    pub sandboxed: bool,
    /// What was requested.
    pub work: &'a Work,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the unpacked layer.
    pub unpacked: u64,
    /// Entries of the layer.
    pub entries: u32,
}

/// Follows an answer.
pub(crate) struct Checker<'a> {
    expected: Expected<'a>,
    state: State,
    /// Entries that were accepted.
    entries: u32,
    /// The last entry, if it is a file: its facts can follow.
    current: Option<u32>,
    progress: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Started,
    Ended,
}

impl<'a> Checker<'a> {
    /// Follows an answer from its begin.
    #[must_use]
    pub(crate) fn new(expected: Expected<'a>) -> Self {
        Self {
            expected,
            state: State::New,
            entries: 0,
            current: None,
            progress: 0,
        }
    }

    /// Whether the last part has come.
    #[must_use]
    pub(crate) fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The number of the last entry that was accepted.
    #[must_use]
    pub(crate) fn last(&self) -> Option<u32> {
        self.entries.checked_sub(1)
    }

    /// Accepts the next part.
    ///
    /// # Errors
    /// It cannot be part of an answer to what was requested. Nothing that follows is believed.
    pub(crate) fn check(&mut self, frame: &Frame) -> Result<(), Invalid> {
        let first = matches!(frame, Frame::Started(_) | Frame::NotSandboxed(_));
        match (self.state, first) {
            (State::Ended, _) => return Err(Invalid::AfterEnd),
            (State::New, false) | (State::Started, true) => return Err(Invalid::Begin),
            (State::New, true) | (State::Started, false) => {}
        }
        match frame {
            Frame::Started(landlock) => {
                if landlock.is_some() != self.expected.sandboxed {
                    return Err(Invalid::NotSandboxed);
                }
                self.state = State::Started;
                Ok(())
            }
            Frame::NotSandboxed(_) => {
                self.state = State::Ended;
                Ok(())
            }
            Frame::Progress(read) => {
                // Strictly more each time: otherwise such parts would never end.
                let more = *read > self.progress && *read <= self.expected.size;
                self.progress = *read;
                if more { Ok(()) } else { Err(Invalid::Progress) }
            }
            Frame::Entry { entry, read } => self.entry(entry, *read),
            Frame::Fact { ordinal, fact } => {
                self.fact(*ordinal)?;
                if fact.is_valid() {
                    Ok(())
                } else {
                    Err(Invalid::FactContent)
                }
            }
            Frame::Content { ordinal, digest: _ } => self.fact(*ordinal),
            Frame::Done(done) => {
                self.state = State::Ended;
                self.done(done)
            }
            Frame::NotRead { cause, blob } => {
                self.state = State::Ended;
                match cause {
                    NotRead::CannotUnpack(_) | NotRead::Files(_) => {}
                }
                match (blob, self.expected.work) {
                    (None, _) => Ok(()),
                    (Some(digest), Work::All { .. }) => digest_length(digest),
                    (Some(_), Work::Files(_)) => Err(Invalid::NotRequested),
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry, read: bool) -> Result<(), Invalid> {
        match self.expected.work {
            Work::All { .. } => {}
            Work::Files(_) => return Err(Invalid::NotRequested),
        }
        if self.entries >= self.expected.entries {
            return Err(Invalid::Entries);
        }
        let is_file = entry.kind == EntryKind::File;
        let at_root = matches!(entry.kind, EntryKind::Opaque);
        if !(is_path(&entry.path) || (at_root && entry.path.is_empty())) {
            return Err(Invalid::Path);
        }
        match &entry.kind {
            EntryKind::Symlink(target) | EntryKind::HardLink(target) => {
                if target.len() > PATH_LIMIT || target.contains(&0) {
                    return Err(Invalid::Target);
                }
            }
            EntryKind::Directory
            | EntryKind::File
            | EntryKind::Other
            | EntryKind::WhiteoutDevice
            | EntryKind::Whiteout
            | EntryKind::Opaque
            | EntryKind::GlobalHeader => {}
        }
        // A size is what a header says, which can be more than the layer has.
        if i64::try_from(entry.size).is_err() || (entry.size > 0 && !is_file) {
            return Err(Invalid::Size);
        }
        if entry.mode > 0o7777 {
            return Err(Invalid::Mode);
        }
        if read && !is_file {
            return Err(Invalid::Fact);
        }
        // What a file has at its end is known once it is read.
        self.current = is_file.then_some(self.entries);
        self.entries = self.entries.saturating_add(1);
        Ok(())
    }

    fn fact(&mut self, ordinal: u32) -> Result<(), Invalid> {
        match self.expected.work {
            Work::All { .. } => {
                if self.current != Some(ordinal) {
                    return Err(Invalid::Fact);
                }
            }
            Work::Files(files) => {
                let known = files
                    .binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal)
                    .is_ok();
                if !known || self.current.is_some_and(|current| current > ordinal) {
                    return Err(Invalid::Fact);
                }
                self.current = Some(ordinal);
            }
        }
        Ok(())
    }

    fn done(&self, done: &Done) -> Result<(), Invalid> {
        match (&done.digests, self.expected.work) {
            (Some((blob, content)), Work::All { .. }) => {
                digest_length(blob)?;
                digest_length(content)?;
            }
            (None, Work::Files(_)) => {}
            (None, Work::All { .. }) | (Some(_), Work::Files(_)) => return Err(Invalid::Digest),
        }
        if done.unpacked > self.expected.unpacked {
            return Err(Invalid::Size);
        }
        Ok(())
    }
}

fn digest_length(digest: &[u8]) -> Result<(), Invalid> {
    if digest.len() > DIGEST_LIMIT {
        return Err(Invalid::Digest);
    }
    Ok(())
}

/// Whether a path is one below the root, in its one form.
fn is_path(path: &[u8]) -> bool {
    path.len() <= PATH_LIMIT
        && !path.contains(&0)
        && path
            .split(|byte| *byte == b'/')
            .all(|component| !matches!(component, b"" | b"." | b".."))
}
