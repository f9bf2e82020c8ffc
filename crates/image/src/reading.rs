//! Reading one layer: its entries, what its files say, and its digests.
//!
//! Here: the loop over the entries, as a function over readers. Not here: the process that it runs in (`child`).
//! Invariant: a file that cannot be read hides no other one. What is known of a file is written before the next one
//! is parsed.

use crate::digests::{Hashed, Hasher};
use crate::report::{Done, Frame, NotRead, Request, Work, Writer};
use crate::spool::{IN_MEMORY, Spool, Store};
use bailiff_oci::layer::{EntryKind, Layer, Limits};
use bailiff_scan::content::{self, Content, Fact, HEAD, Interest, ReadAs, java};
use bailiff_scan::inventory::ContentDigest;
use sha2::{Digest as _, Sha256};
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Bytes of the blob between two reports of progress.
const PROGRESS: u64 = 8 << 20;

/// How a file is read, given its size and its first bytes.
pub type Interested = fn(ReadAs<'_>, u64, &[u8]) -> Interest;
/// Adds what a file says.
pub type FactReader = fn(ReadAs<'_>, &mut dyn Content, &mut dyn FnMut(Fact));

/// The bits of a mode that let somebody execute a file.
const EXECUTABLE: u32 = 0o111;

/// What reads files.
#[derive(Clone, Copy, Debug)]
pub struct Readers {
    /// How a file is read.
    pub interest: Interested,
    /// Adds what a file says.
    pub read: FactReader,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            interest: content::interest,
            read: content::read,
        }
    }
}

/// Reads a layer as requested, and writes the answer.
///
/// # Errors
/// The answer cannot be written: nobody reads it any more.
pub(crate) fn read<B: Read, S: Store, W: Write>(
    request: &Request,
    readers: Readers,
    blob: B,
    spool: S,
    answer: &mut Writer<W>,
) -> io::Result<()> {
    let (blob_hash, content_hash) = match &request.work {
        Work::All { blob, content } => (Some(*blob), Some(*content)),
        Work::Files(_) => (None, None),
    };
    let mut blob = Hashed::new(blob, blob_hash);
    let content = Rc::new(RefCell::new(content_hash.map(Hasher::new)));
    let mut pass = Pass {
        readers,
        spool: Spool::new(spool),
        spool_limit: request.ceilings.file_bytes,
        consumed: blob.counter(),
        answer,
    };
    let (cause, unpacked) = {
        let limits = Limits {
            unpacked: request.unpacked,
            entries: request.entries,
            ..Limits::default()
        };
        let hasher = Rc::clone(&content);
        let mut layer = Layer::observed(&mut blob, &limits, move |bytes: &[u8]| {
            if let Some(hasher) = &mut *hasher.borrow_mut() {
                hasher.update(bytes);
            }
        });
        let cause = match &request.work {
            Work::All { .. } => pass.all(&mut layer)?,
            Work::Files(files) => pass.files(&mut layer, files)?,
        };
        (cause, layer.unpacked())
    };
    let content = content.take();
    // Also of a layer that cannot be unpacked: with another digest, it is damaged and not badly made.
    let blob = match blob_hash {
        Some(_) => blob.finish(),
        None => Ok(None),
    };
    let (cause, blob) = match blob {
        Ok(blob) => (cause, blob),
        Err(errno) => (Some(NotRead::Files(errno)), None),
    };
    let last = match cause {
        Some(cause) => Frame::NotRead { cause, blob },
        None => Frame::Done(Done {
            digests: blob.zip(content.map(Hasher::finish)),
            unpacked,
        }),
    };
    answer.write(&last)?;
    answer.flush()
}

/// One pass over a layer.
struct Pass<'a, S, W> {
    readers: Readers,
    spool: Spool<S>,
    spool_limit: u64,
    /// Bytes of the blob that were read.
    consumed: Rc<Cell<u64>>,
    answer: &'a mut Writer<W>,
}

impl<S: Store, W: Write> Pass<'_, S, W> {
    /// Every entry. Returns why the rest was not read.
    fn all<B: Read>(&mut self, layer: &mut Layer<&mut Hashed<B>>) -> io::Result<Option<NotRead>> {
        let mut reported = 0;
        for ordinal in 0_u32.. {
            let entry = match layer.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(cause) => return Ok(Some(NotRead::CannotUnpack(cause))),
            };
            let read = self.consumed.get();
            if read.saturating_sub(reported) >= PROGRESS {
                reported = read;
                self.answer.write(&Frame::Progress(read))?;
            }
            if entry.kind != EntryKind::File {
                self.answer.write(&Frame::Entry { entry, read: false })?;
                continue;
            }
            let mut content = layer.content();
            let (head, content) = head(&mut content);
            let (path, size, mode) = (entry.path.clone(), entry.size, entry.mode);
            let of = read_as(&path, mode);
            let interest = (self.readers.interest)(of, size, &head);
            let read = is_read(interest);
            self.answer.write(&Frame::Entry { entry, read })?;
            if interest == Interest::None {
                continue;
            }
            let mut file = head.chain(content);
            if let Err(error) = self.keep(size, interest, &mut file) {
                return Ok(Some(not_written(&error)));
            }
            let can_end = || java::can_end(self.spool.in_memory());
            if read || (self.spool.is_whole(size) && can_end()) {
                self.facts(ordinal, of, size, interest)?;
            }
            // Of a file that is read with seeking, it says itself that not all of it is kept.
            if interest != Interest::Seek
                && !self.spool.is_whole(size)
                && java::can_end(&self.tail(size, &mut file))
            {
                let fact = java::unread_end();
                self.answer.write(&Frame::Fact { ordinal, fact })?;
            }
        }
        Ok(None)
    }

    /// The files of a list alone.
    fn files<B: Read>(
        &mut self,
        layer: &mut Layer<&mut Hashed<B>>,
        files: &[(u32, Vec<u8>)],
    ) -> io::Result<Option<NotRead>> {
        let mut left = files;
        for ordinal in 0_u32.. {
            let Some((wanted, _)) = left.first() else {
                return Ok(None);
            };
            let entry = match layer.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(None),
                Err(cause) => return Ok(Some(NotRead::CannotUnpack(cause))),
            };
            if ordinal != *wanted {
                continue;
            }
            let count = left.iter().take_while(|(next, _)| *next == ordinal).count();
            let (names, rest) = left.split_at_checked(count).unwrap_or((left, &[]));
            left = rest;
            let mut content = layer.content();
            let (head, content) = head(&mut content);
            let mut file = head.as_slice().chain(content);
            if let Err(error) = self.keep(entry.size, Interest::Seek, &mut file) {
                return Ok(Some(not_written(&error)));
            }
            for (_, path) in names {
                let of = read_as(path, entry.mode);
                let interest = (self.readers.interest)(of, entry.size, &head);
                // Its end was looked at in the first pass.
                if is_read(interest) {
                    self.facts(ordinal, of, entry.size, interest)?;
                }
            }
        }
        Ok(None)
    }

    /// Keeps as much of a file as its reader takes. Returns why the spool cannot be written.
    fn keep(&mut self, size: u64, interest: Interest, file: &mut dyn Read) -> io::Result<()> {
        let room = self.room(interest);
        let limit = match interest {
            Interest::Tail if size > room => 0,
            Interest::None | Interest::Tail | Interest::Whole(_) | Interest::Seek => size.min(room),
        };
        self.spool.fill(file, limit)
    }

    /// The last bytes of a file, of which the first ones are kept and `rest` has the others. An error of it comes again
    /// with the next entry.
    fn tail(&self, size: u64, rest: &mut dyn Read) -> Vec<u8> {
        let left = size.saturating_sub(self.spool.filled());
        let skipped = left.saturating_sub(java::TAIL);
        let mut tail = Vec::new();
        if skipped == 0 {
            let kept = self.spool.in_memory();
            let most = usize::try_from(java::TAIL).unwrap_or(usize::MAX);
            let from = kept.len().saturating_sub(most);
            tail.extend_from_slice(kept.get(from..).unwrap_or_default());
        }
        drop(io::copy(&mut (&mut *rest).take(skipped), &mut io::sink()));
        drop(rest.take(java::TAIL).read_to_end(&mut tail));
        tail
    }

    /// Bytes that are read of a file.
    fn room(&self, interest: Interest) -> u64 {
        match interest {
            Interest::None => 0,
            Interest::Tail => IN_MEMORY.min(self.spool_limit),
            // One more byte tells its reader that it is longer.
            Interest::Whole(most) => u64::try_from(most)
                .unwrap_or(u64::MAX)
                .saturating_add(1)
                .min(self.spool_limit),
            Interest::Seek => self.spool_limit,
        }
    }

    /// Writes what the kept file says if it is read as this one, and its digest if others are compared with it.
    fn facts(
        &mut self,
        ordinal: u32,
        of: ReadAs<'_>,
        size: u64,
        interest: Interest,
    ) -> io::Result<()> {
        if interest == Interest::None {
            return Ok(());
        }
        // A reader that brings the process down loses nothing of what was read before.
        self.answer.flush()?;
        let room = self.room(interest);
        let mut failure = None;
        let mut too_large = false;
        let mut is_compared = false;
        let answer = &mut *self.answer;
        // One by one: what a file said counts, even if the rest of it brings the process down.
        let mut write = |fact: Fact| {
            is_compared |= fact.is_compared();
            match answer.write(&Frame::Fact { ordinal, fact }) {
                Ok(true) => {
                    if let Err(error) = answer.flush() {
                        failure = Some(error);
                    }
                }
                Ok(false) => too_large = true,
                Err(error) => failure = Some(error),
            }
        };
        if size > self.spool_limit {
            // Its first bytes are read nevertheless: what they say counts.
            let limit = self.spool_limit;
            write(not_read(format!(
                "it has {size} bytes, more than the {limit} that are read"
            )));
        }
        self.spool.begin(room);
        let (spool, readers) = (&mut self.spool, self.readers);
        let read = catch_unwind(AssertUnwindSafe(|| {
            (readers.read)(of, spool, &mut write);
        }));
        if read.is_err() {
            write(not_read("its reader failed".to_owned()));
        }
        if too_large {
            let cause = format!("a part of it is larger than {}", crate::report::FRAME_LIMIT);
            let fact = not_read(cause);
            answer.write(&Frame::Fact { ordinal, fact })?;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if is_compared && let Some(digest) = self.digest(size) {
            self.answer.write(&Frame::Content { ordinal, digest })?;
        }
        Ok(())
    }

    /// The digest of the kept file. None if not all of it is kept, or it cannot be read.
    fn digest(&mut self, size: u64) -> Option<ContentDigest> {
        if !self.spool.is_whole(size) {
            return None;
        }
        self.spool.begin(size);
        let mut digest = Sha256::new();
        self.spool.each(|bytes| digest.update(bytes)).ok()?;
        Some(digest.finalize().into())
    }
}

/// Whether a file is read as what its path or its begin says.
fn is_read(interest: Interest) -> bool {
    match interest {
        Interest::None | Interest::Tail => false,
        Interest::Whole(_) | Interest::Seek => true,
    }
}

/// As what the file of an entry with this mode is read.
fn read_as(path: &[u8], mode: u32) -> ReadAs<'_> {
    ReadAs {
        path,
        is_executable: mode & EXECUTABLE != 0,
    }
}

fn not_read(cause: String) -> Fact {
    Fact::NotRead {
        what: "file".to_owned(),
        cause,
    }
}

fn not_written(error: &io::Error) -> NotRead {
    NotRead::Files(error.raw_os_error().unwrap_or(0))
}

/// The first bytes of a file, and the others.
fn head<R: Read>(content: R) -> (Vec<u8>, R) {
    let mut content = content;
    let mut head = Vec::with_capacity(HEAD);
    let most = u64::try_from(HEAD).unwrap_or(u64::MAX);
    // An error comes again with the other bytes, and with the next entry.
    drop(content.by_ref().take(most).read_to_end(&mut head));
    (head, content)
}
