//! Archives in the format of zip, as the class loaders of Java read them.
//!
//! Here: the end of an archive, its directory, and the content of an entry. Not here: what entries mean.
//! Invariant: an archive is what Java takes it for. The crate zip finds the end in another way, takes names from extra
//! fields and checks sums that Java does not check, so one archive could have two contents. Here the directory alone
//! says which entries there are. Nothing is read into memory that is larger than its limit, whatever a header says.

use super::super::{Content, packed};
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Read, SeekFrom};

/// Bytes of the record at the end, without its comment.
pub(super) const END_SIZE: usize = 22;
/// Bytes of a header in the directory, without name, extra fields and comment.
pub(super) const HEADER_SIZE: usize = 46;
/// Bytes of a header before the content, without name and extra fields.
pub(super) const LOCAL_SIZE: usize = 30;
/// Bytes of the locator of the end of zip64.
const LOCATOR_SIZE: usize = 20;
/// Bytes of the end of zip64, without extensions.
const END64_SIZE: usize = 56;
/// Bytes of a comment.
const COMMENT_LIMIT: usize = 0xffff;
/// Bytes in which the end of an archive is looked for.
pub(super) const TAIL_SIZE: u64 = (END_SIZE + COMMENT_LIMIT) as u64;
/// The cause if the limit of a file is reached.
pub(super) const TOO_MUCH: &str = "more than 2 GiB of the file would be inflated";
/// Places that look like the end and are tried.
const ENDS_LIMIT: usize = 256;
/// Bytes that are read of a directory at once. A header with all its fields is shorter.
const CHUNK: usize = 256 << 10;
/// Compressed bytes in which the first bytes of an entry have to be. Real ones need a few hundred.
const START_LIMIT: u64 = 64 << 10;

const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR: [u8; 4] = *b"PK\x06\x07";
const HEADER: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// Whether these are the first bytes of an archive.
pub(super) fn is_start(head: &[u8]) -> bool {
    head.starts_with(&LOCAL) || head.starts_with(&END)
}

/// How the content of an entry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Like an archive.
    Archive,
    /// Like a program.
    Program,
    /// It is encrypted, or compressed in a way that Java does not know.
    Unknown,
    /// Like something else.
    Other,
}

impl Start {
    fn of(bytes: &[u8]) -> Self {
        if is_start(bytes) {
            Self::Archive
        } else if packed::is_program(bytes) {
            Self::Program
        } else {
            Self::Other
        }
    }
}

/// Bytes that are looked at together: comparing that many at once is fast.
const LINE: usize = 64;

/// Where the record at the end of an archive can begin in these bytes, the last place first.
fn ends(tail: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let [.., third, fourth] = END;
    let lines = (0..tail.len()).step_by(LINE).rev();
    lines
        .filter_map(move |at| {
            let line = tail.get(at..tail.len().min(at.saturating_add(LINE)))?;
            let next = tail.get(at.saturating_add(1)..).unwrap_or_default();
            // Without a branch for each byte.
            let has = line.iter().zip(next).fold(0, |has, (one, next)| {
                has | (u8::from(*one == third) & u8::from(*next == fourth))
            });
            (has != 0).then_some((at, line))
        })
        .flat_map(move |(at, line)| {
            let bytes = line.iter().enumerate().rev();
            bytes.filter_map(move |(index, byte)| {
                let at = at.saturating_add(index).checked_sub(END.len() - 2)?;
                (*byte == third).then_some(at)
            })
        })
        .filter(|at| {
            let record = tail.get(*at..).unwrap_or_default();
            record.len() >= END_SIZE && record.starts_with(&END)
        })
}

/// Whether a file can have an archive at its end. `tail` has its last [`TAIL_SIZE`] bytes, or more. An archive that
/// Java accepts is never missed; where the directory would be in front of these bytes, that cannot be told, and true.
pub(super) fn can_end(tail: &[u8]) -> bool {
    let from = tail.len().saturating_sub(END_SIZE + COMMENT_LIMIT);
    let last = tail.get(from..).unwrap_or_default();
    ends(last).enumerate().any(|(tried, at)| {
        let record = last.get(at..).unwrap_or_default();
        let (Some(size), Some(comment)) = (u32_at(record, 12), u16_at(record, 20)) else {
            return false;
        };
        if tried >= ENDS_LIMIT || END_SIZE + usize::from(comment) == record.len() {
            return true;
        }
        // Bytes can follow an archive, if its directory is where it has to be.
        let start = from
            .saturating_add(at)
            .checked_sub(usize::try_from(size).unwrap_or(usize::MAX));
        start.is_none_or(|start| {
            let directory = tail.get(start..).unwrap_or_default();
            directory.starts_with(&HEADER)
        })
    })
}

/// A file, or a part of one, that is read like a file.
pub(super) struct Part<'a> {
    content: &'a mut dyn Content,
    start: u64,
    size: u64,
}

impl<'a> Part<'a> {
    /// All of a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn all(content: &'a mut dyn Content) -> io::Result<Self> {
        let size = content.seek(SeekFrom::End(0))?;
        let start = 0;
        Ok(Self {
            content,
            start,
            size,
        })
    }

    /// A part of it. It ends where this one ends.
    pub(super) fn part(&mut self, at: u64, size: u64) -> Part<'_> {
        let at = at.min(self.size);
        Part {
            start: self.start.saturating_add(at),
            size: size.min(self.size.saturating_sub(at)),
            content: &mut *self.content,
        }
    }

    /// Reads bytes at a position, as many as there are.
    fn read_at(&mut self, at: u64, size: usize) -> io::Result<Vec<u8>> {
        let left = self.size.saturating_sub(at);
        let size = u64::try_from(size).unwrap_or(u64::MAX).min(left);
        self.content
            .seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let mut bytes = Vec::new();
        self.content.take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn has_at(&mut self, at: Option<u64>, signature: [u8; 4]) -> io::Result<bool> {
        match at {
            Some(at) => Ok(self.read_at(at, signature.len())? == signature),
            None => Ok(false),
        }
    }
}

/// Why an archive or an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// It has no end that Java accepts.
    #[error("it is no archive: it has no directory at its end")]
    NoArchive,
    /// What is wrong with it.
    #[error("{0}")]
    Damaged(&'static str),
    /// Where its bytes come from.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

use ArchiveError::Damaged;

/// Where the directory of an archive is.
pub(super) struct Directory {
    /// The position of the next header.
    at: u64,
    /// Where it ends.
    end: u64,
    /// What positions of entries are relative to: bytes can be in front of an archive.
    base: u64,
    /// Bytes of the directory from `chunk_at`.
    chunk: Vec<u8>,
    chunk_at: u64,
}

/// An entry, as the directory describes it.
pub(super) struct Entry {
    /// Its path.
    pub(super) name: Vec<u8>,
    method: Method,
    compressed: u64,
    header: u64,
}

/// How an entry is compressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored,
    Deflated,
    Encrypted,
    Other,
}

impl Directory {
    /// Finds the directory.
    ///
    /// # Errors
    /// If there is none that Java accepts.
    pub(super) fn find(part: &mut Part<'_>) -> Result<Self, ArchiveError> {
        let tail_at = part.size.saturating_sub(TAIL_SIZE);
        let tail = part.read_at(tail_at, END_SIZE + COMMENT_LIMIT)?;
        let mut tried = 0;
        for index in ends(&tail) {
            let record = tail.get(index..).unwrap_or_default();
            tried += 1;
            if tried > ENDS_LIMIT {
                return Err(Damaged("it has too many places that look like its end"));
            }
            let at = tail_at.saturating_add(u64::try_from(index).unwrap_or(u64::MAX));
            if let Some(directory) = Self::at_end(part, at, record)? {
                return Ok(directory);
            }
        }
        Err(ArchiveError::NoArchive)
    }

    /// The directory before this end. None if Java does not take it for the end.
    fn at_end(part: &mut Part<'_>, at: u64, record: &[u8]) -> Result<Option<Self>, ArchiveError> {
        let fields = (|| {
            Some((
                u16_at(record, 10)?,
                u32_at(record, 12)?,
                u32_at(record, 16)?,
            ))
        })();
        let (Some((count, size, offset)), Some(comment)) = (fields, u16_at(record, 20)) else {
            return Ok(None);
        };
        let comment_end = at
            .saturating_add(END_SIZE as u64)
            .saturating_add(comment.into());
        if comment_end != part.size {
            // Bytes can follow an archive, if the rest is where it has to be.
            let start = at.checked_sub(size.into());
            let first = start.and_then(|start| start.checked_sub(offset.into()));
            if !part.has_at(start, HEADER)? || !part.has_at(first, LOCAL)? {
                return Ok(None);
            }
        }
        let plain = (at, u64::from(size), u64::from(offset));
        let (end, size, offset) = Self::of_zip64(part, at, (count, size, offset))?.unwrap_or(plain);
        let start = end.checked_sub(size).ok_or(Damaged(
            "its directory is larger than what is before its end",
        ))?;
        let base = start
            .checked_sub(offset)
            .ok_or(Damaged("its directory is not where its end says"))?;
        if size == 0 && start > 0 {
            return Err(Damaged("its directory is empty, and it has other content"));
        }
        Ok(Some(Self {
            at: start,
            end,
            base,
            chunk: Vec::new(),
            chunk_at: start,
        }))
    }

    /// The end, the size and the offset that the record of zip64 states, if there is one that agrees.
    fn of_zip64(
        part: &mut Part<'_>,
        end: u64,
        (count, size, offset): (u16, u32, u32),
    ) -> Result<Option<(u64, u64, u64)>, ArchiveError> {
        let Some(at) = end.checked_sub(LOCATOR_SIZE as u64) else {
            return Ok(None);
        };
        let locator = part.read_at(at, LOCATOR_SIZE)?;
        let Some(at) = u64_at(&locator, 8).filter(|_| locator.starts_with(&LOCATOR)) else {
            return Ok(None);
        };
        let record = part.read_at(at, END64_SIZE)?;
        let fields = (|| {
            Some((
                u64_at(&record, 32)?,
                u64_at(&record, 40)?,
                u64_at(&record, 48)?,
            ))
        })();
        let Some((count64, size64, offset64)) = fields.filter(|_| record.starts_with(&END64))
        else {
            return Ok(None);
        };
        let agrees = (size64 == u64::from(size) || size == u32::MAX)
            && (offset64 == u64::from(offset) || offset == u32::MAX)
            && (count64 == u64::from(count) || count == u16::MAX);
        Ok(agrees.then_some((at, size64, offset64)))
    }

    /// The next entry. None at the end.
    ///
    /// # Errors
    /// If the rest of the directory is damaged.
    pub(super) fn next(&mut self, part: &mut Part<'_>) -> Result<Option<Entry>, ArchiveError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let header = self.bytes(part, HEADER_SIZE)?;
        if !header.starts_with(&HEADER) {
            return Err(Damaged("its directory has something else than entries"));
        }
        let fields = (|| {
            let sizes = [
                u16_at(header, 28)?,
                u16_at(header, 30)?,
                u16_at(header, 32)?,
            ];
            Some((
                u16_at(header, 8)?,
                u16_at(header, 10)?,
                [
                    u32_at(header, 20)?,
                    u32_at(header, 24)?,
                    u32_at(header, 42)?,
                ],
                sizes.map(usize::from),
            ))
        })();
        let (flags, method, [compressed, plain, offset], [name, extra, comment]) =
            fields.ok_or(Damaged("its directory ends within an entry"))?;
        let size = HEADER_SIZE + name + extra + comment;
        let base = self.base;
        let all = self.bytes(part, size)?;
        let rest = all.get(HEADER_SIZE..).unwrap_or_default();
        let (name, rest) = rest.split_at_checked(name).unwrap_or_default();
        let extra = rest.get(..extra).unwrap_or_default();
        let (compressed, offset) = of_zip64_field(extra, compressed, plain, offset)
            .ok_or(Damaged("an entry of its directory has no size or position"))?;
        let header = base
            .checked_add(offset)
            .ok_or(Damaged("an entry of its directory is outside of it"))?;
        let entry = Entry {
            name: name.to_vec(),
            method: match (flags & 1, method) {
                (1, _) => Method::Encrypted,
                (_, 0) => Method::Stored,
                (_, 8) => Method::Deflated,
                _ => Method::Other,
            },
            compressed,
            header,
        };
        self.at = self.at.saturating_add(size as u64);
        Ok(Some(entry))
    }

    /// The next bytes of the directory.
    fn bytes(&mut self, part: &mut Part<'_>, size: usize) -> Result<&[u8], ArchiveError> {
        let ends = Damaged("its directory ends within an entry");
        let next = self.at.saturating_add(size as u64);
        if next > self.end {
            return Err(ends);
        }
        let chunk_end = self.chunk_at.saturating_add(self.chunk.len() as u64);
        if self.at < self.chunk_at || next > chunk_end {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.chunk = part.read_at(self.at, left.min(CHUNK))?;
            self.chunk_at = self.at;
        }
        let from = usize::try_from(self.at - self.chunk_at).unwrap_or(usize::MAX);
        let bytes = self.chunk.get(from..from.saturating_add(size));
        bytes.ok_or(ends)
    }
}

impl Entry {
    /// Whether it is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.name.ends_with(b"/")
    }

    /// Where its content is: position and size.
    ///
    /// # Errors
    /// If it is not in the archive.
    fn content(&self, part: &mut Part<'_>) -> Result<(u64, u64), ArchiveError> {
        match self.method {
            Method::Encrypted => return Err(Damaged("it is encrypted")),
            Method::Other => {
                return Err(Damaged("it is compressed in a way that Java does not know"));
            }
            Method::Stored | Method::Deflated => {}
        }
        let local = part.read_at(self.header, LOCAL_SIZE)?;
        let sizes = (|| Some([u16_at(&local, 26)?, u16_at(&local, 28)?]))();
        let Some([name, extra]) = sizes.filter(|_| local.starts_with(&LOCAL)) else {
            return Err(Damaged("it is not where the directory says"));
        };
        let fields = LOCAL_SIZE as u64 + u64::from(name) + u64::from(extra);
        let at = self.header.saturating_add(fields);
        let end = at.checked_add(self.compressed);
        if end.is_none_or(|end| end > part.size) {
            return Err(Damaged("it is longer than the archive"));
        }
        Ok((at, self.compressed))
    }

    /// The content, if it is stored as it is.
    ///
    /// # Errors
    /// If it is not in the archive.
    pub(super) fn stored<'p>(
        &self,
        part: &'p mut Part<'_>,
    ) -> Result<Option<Part<'p>>, ArchiveError> {
        let (at, size) = self.content(part)?;
        Ok((self.method == Method::Stored).then(|| part.part(at, size)))
    }

    /// The name in the header before the content, if that is another one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn has_other_name(&self, part: &mut Part<'_>) -> Result<bool, ArchiveError> {
        let local = part.read_at(self.header, LOCAL_SIZE + self.name.len())?;
        let own = u16_at(&local, 26).map(usize::from);
        Ok(own != Some(self.name.len()) || local.get(LOCAL_SIZE..) != Some(&*self.name))
    }

    /// The first `limit` bytes of the content. Sums are not checked, as Java does not check them.
    ///
    /// # Errors
    /// If it cannot be read. What was read before is in `bytes`.
    pub(super) fn read(
        &self,
        part: &mut Part<'_>,
        limit: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        let (at, size) = self.content(part)?;
        let start = part.start.saturating_add(at);
        part.content.seek(SeekFrom::Start(start))?;
        let compressed = part.content.take(size);
        match self.method {
            Method::Deflated => {
                let inflated = flate2::read::DeflateDecoder::new(compressed);
                inflated.take(limit).read_to_end(bytes)?;
            }
            Method::Stored | Method::Encrypted | Method::Other => {
                compressed.take(limit).read_to_end(bytes)?;
            }
        }
        Ok(())
    }

    /// How the content begins. `inflate` is used again, because its memory is large. `limit` is reduced by what is read
    /// if that is not the start alone.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn start(
        &self,
        part: &mut Part<'_>,
        inflate: &mut Decompress,
        limit: &mut u64,
    ) -> Result<Start, ArchiveError> {
        if matches!(self.method, Method::Encrypted | Method::Other) {
            return Ok(Start::Unknown);
        }
        let (mut at, size) = self.content(part)?;
        if self.method == Method::Stored {
            let length = LOCAL.len().min(usize::try_from(size).unwrap_or(usize::MAX));
            return Ok(match Start::of(&part.read_at(at, length)?) {
                Start::Archive if size < END_SIZE as u64 => Start::Other,
                start @ (Start::Archive | Start::Program | Start::Unknown | Start::Other) => start,
            });
        }
        inflate.reset(false);
        let mut start = [0; LOCAL.len()];
        let end = at.saturating_add(size.min(START_LIMIT));
        let mut chunk = 512;
        while at < end {
            let compressed =
                part.read_at(at, chunk.min(usize::try_from(end - at).unwrap_or(chunk)))?;
            let (before, out) = (inflate.total_in(), inflate.total_out());
            let free = usize::try_from(out)
                .ok()
                .and_then(|out| start.get_mut(out..));
            let status =
                inflate.decompress(&compressed, free.unwrap_or_default(), FlushDecompress::None);
            let taken = inflate.total_in().saturating_sub(before);
            at = at.saturating_add(taken);
            if inflate.total_out() == LOCAL.len() as u64 {
                return Ok(Start::of(&start));
            }
            match status {
                // Shorter than the signature.
                Ok(Status::StreamEnd) | Err(_) => return Ok(Start::Other),
                Ok(Status::Ok | Status::BufError) if taken == 0 => return Ok(Start::Other),
                Ok(Status::Ok | Status::BufError) => {
                    chunk = CHUNK;
                    *limit = limit.saturating_sub(START_LIMIT);
                    if *limit == 0 {
                        return Err(Damaged(TOO_MUCH));
                    }
                }
            }
        }
        if size > START_LIMIT {
            return Err(Damaged("it begins with too much that has no content"));
        }
        Ok(Start::Other)
    }
}

/// The compressed size and the position, which are in a field of zip64 if they are at their maximum.
fn of_zip64_field(extra: &[u8], compressed: u32, plain: u32, offset: u32) -> Option<(u64, u64)> {
    if compressed != u32::MAX && offset != u32::MAX {
        return Some((compressed.into(), offset.into()));
    }
    let mut rest = extra;
    let field = loop {
        let (id, size) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
        let (field, after) = rest.get(4..)?.split_at_checked(size.into())?;
        if id == 1 {
            break field;
        }
        rest = after;
    };
    // In this order, and only those that are at their maximum.
    let mut at = 0;
    let mut next = |stated: u32| {
        if stated != u32::MAX {
            return Some(u64::from(stated));
        }
        let value = u64_at(field, at);
        at += 8;
        value
    };
    next(plain)?;
    Some((next(compressed)?, next(offset)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
