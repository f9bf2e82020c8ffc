//! Where the parts of an index are in its file.
//!
//! Here: the header, slots, and checks of parts. Not here: what the parts mean (`stored`), and lookups (`mod`).
//! Invariant: nothing outside of the file is read, whatever its bytes are. A part of which a byte was changed is an
//! error.
//!
//! The file is a header of [`HEADER_SIZE`] bytes, then parts in any order. Numbers are little-endian.
//!
//! | offset | bytes | content |
//! | --- | --- | --- |
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | [`FORMAT`] |
//! | 12 | 4 | CRC-32 of the header without this field and the hash |
//! | 16 | 32 | SHA-256 of the file without this field, the parts before the header |
//! | 48 | 8 | length of the file |
//! | 56 | 8 | seconds from 1970 on at which the index was built |
//! | 64 | 16 | offset of the slots, and their number, a power of two |
//! | 80 | 20 | offset, length and CRC-32 of the sources |
//! | 100 | 20 | offset, length and CRC-32 of the known exploited vulnerabilities; length 0 without a catalog |
//!
//! A slot has the offset (8), the length (4) and the CRC-32 (4) of a block. The CRC-32 includes the slot's number, the
//! offset and the length, so that an empty slot is not taken for another one. A block has items: the key (16), the
//! length (4), and the bytes of the item. A head (`stored::Head`) has its length (4), its CRC-32 (4) and its bytes.

use super::IndexError;
use sha2::{Digest as _, Sha256};

/// The first bytes of an index.
pub(super) const MAGIC: [u8; 8] = *b"\x89bailiff";
/// The format. Another one cannot be read.
pub(super) const FORMAT: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER_SIZE: usize = 120;
/// Bytes of a slot.
pub(super) const SLOT_SIZE: usize = 16;

/// The kind of the keys of CVEs. Those of packages are ecosystems.
pub(super) const CVE: &str = "cve";

const CHECK_AT: usize = 12;
const HASH_AT: usize = 16;
const REST_AT: usize = 48;

/// A part of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u64,
    /// CRC-32 of its bytes.
    pub(super) check: u32,
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) hash: [u8; 32],
    /// Bytes of the file.
    pub(super) length: u64,
    /// Seconds from 1970 on.
    pub(super) built: i64,
    pub(super) slots: Slots,
    pub(super) sources: Part,
    /// Of length 0 if there is no catalog.
    pub(super) exploited: Part,
}

/// Where the slots are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) offset: u64,
    /// A power of two.
    pub(super) count: u64,
}

/// What something is looked up with: the start of a SHA-256, so that nobody can choose two names with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u128);

impl Key {
    /// The key of a name of a kind. No kind contains a byte 0.
    pub(super) fn of(kind: &str, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(kind);
        hash.update([0]);
        hash.update(name);
        let mut start = [0; 16];
        for (to, from) in start.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(u128::from_le_bytes(start))
    }

    /// The slot that has what is looked up, of a power of two.
    pub(super) fn slot(self, count: u64) -> u64 {
        let slot = self.0 & u128::from(count.saturating_sub(1));
        // It is less than the number of slots.
        u64::try_from(slot).unwrap_or_default()
    }
}

impl Header {
    /// Reads the header of a file, and checks that it is the header of this file.
    pub(super) fn read(file: &[u8]) -> Result<Self, IndexError> {
        if file.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(IndexError::NotAnIndex);
        }
        let header = file.get(..HEADER_SIZE).ok_or(IndexError::NotAnIndex)?;
        let mut fields = Fields(header.get(MAGIC.len()..).unwrap_or_default());
        let format = fields.u32()?;
        if format != FORMAT {
            return Err(IndexError::Format(format));
        }
        if fields.u32()? != header_check(header) {
            return Err(IndexError::Damaged("header"));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(fields.take(32)?);
        let header = Self {
            hash,
            length: fields.u64()?,
            built: fields.u64()?.cast_signed(),
            slots: Slots {
                offset: fields.u64()?,
                count: fields.u64()?,
            },
            sources: fields.part()?,
            exploited: fields.part()?,
        };
        let found = u64::try_from(file.len()).unwrap_or(u64::MAX);
        if header.length != found {
            let stated = header.length;
            return Err(IndexError::Length { found, stated });
        }
        let slots = header.slots.count.checked_mul(SLOT_SIZE as u64);
        let is_inside = |offset: u64, length: u64| {
            let end = offset.checked_add(length);
            end.is_some_and(|end| end <= header.length)
        };
        let parts = [&header.sources, &header.exploited];
        if !header.slots.count.is_power_of_two()
            || !slots.is_some_and(|length| is_inside(header.slots.offset, length))
            || !parts.iter().all(|part| is_inside(part.offset, part.length))
        {
            return Err(IndexError::Damaged("header"));
        }
        Ok(header)
    }

    /// The bytes of the header, and the hash in it. `parts`: the parts were added to it.
    pub(super) fn sealed(&self, parts: Sha256) -> ([u8; HEADER_SIZE], [u8; 32]) {
        let mut bytes = Vec::with_capacity(HEADER_SIZE);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([0; REST_AT - CHECK_AT]);
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.built.to_le_bytes());
        bytes.extend(self.slots.offset.to_le_bytes());
        bytes.extend(self.slots.count.to_le_bytes());
        for part in [&self.sources, &self.exploited] {
            bytes.extend(part.offset.to_le_bytes());
            bytes.extend(part.length.to_le_bytes());
            bytes.extend(part.check.to_le_bytes());
        }
        let mut header = [0; HEADER_SIZE];
        header.copy_from_slice(&bytes);
        let check = header_check(&header).to_le_bytes();
        header[CHECK_AT..HASH_AT].copy_from_slice(&check);
        let hash = whole_hash(parts, &header);
        header[HASH_AT..REST_AT].copy_from_slice(&hash);
        (header, hash)
    }
}

fn header_check(header: &[u8]) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(header.get(..CHECK_AT).unwrap_or_default());
    check.update(header.get(REST_AT..).unwrap_or_default());
    check.finalize()
}

/// The hash of a file whose parts were added to `parts`.
fn whole_hash(mut parts: Sha256, header: &[u8]) -> [u8; 32] {
    parts.update(header.get(..HASH_AT).unwrap_or_default());
    parts.update(header.get(REST_AT..).unwrap_or_default());
    parts.finalize().into()
}

/// Computes the hash of a whole file.
pub(super) fn hash(file: &[u8]) -> [u8; 32] {
    let (header, parts) = file.split_at(HEADER_SIZE.min(file.len()));
    let mut hash = Sha256::new();
    hash.update(parts);
    whole_hash(hash, header)
}

/// The bytes of a part, if they are as they were written.
pub(super) fn part<'a>(
    file: &'a [u8],
    part: &Part,
    what: &'static str,
) -> Result<&'a [u8], IndexError> {
    let bytes = slice(file, part.offset, part.length).ok_or(IndexError::Damaged(what))?;
    if crc32fast::hash(bytes) == part.check {
        Ok(bytes)
    } else {
        Err(IndexError::Damaged(what))
    }
}

/// The block of a slot, if both are as they were written.
pub(super) fn block<'a>(file: &'a [u8], slots: &Slots, slot: u64) -> Result<&'a [u8], IndexError> {
    let damaged = IndexError::Damaged("lookup table");
    let at = slot
        .checked_mul(SLOT_SIZE as u64)
        .and_then(|at| at.checked_add(slots.offset));
    let entry = at.and_then(|at| slice(file, at, SLOT_SIZE as u64));
    let mut fields = Fields(entry.ok_or(damaged)?);
    let (offset, length, check) = (fields.u64()?, fields.u32()?, fields.u32()?);
    let damaged = IndexError::Damaged("block");
    let block = slice(file, offset, u64::from(length)).ok_or(damaged)?;
    if slot_check(slot, offset, length, block) == check {
        Ok(block)
    } else {
        Err(IndexError::Damaged("block"))
    }
}

/// A slot.
pub(super) fn slot(slot: u64, offset: u64, length: u32, block: &[u8]) -> [u8; SLOT_SIZE] {
    let mut bytes = [0; SLOT_SIZE];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..].copy_from_slice(&slot_check(slot, offset, length, block).to_le_bytes());
    bytes
}

fn slot_check(slot: u64, offset: u64, length: u32, block: &[u8]) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(&slot.to_le_bytes());
    check.update(&offset.to_le_bytes());
    check.update(&length.to_le_bytes());
    check.update(block);
    check.finalize()
}

/// The item of a block with a key. None if the block has none.
pub(super) fn item(block: &[u8], key: Key) -> Result<Option<&[u8]>, IndexError> {
    let mut fields = Fields(block);
    while !fields.0.is_empty() {
        let of = Key(fields.u128()?);
        let length = fields.u32()?;
        let bytes = fields.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if of == key {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// The bytes of a head, if they are as they were written.
pub(super) fn head(file: &[u8], offset: u64) -> Result<&[u8], IndexError> {
    let damaged = || IndexError::Damaged("advisory");
    let mut fields = Fields(slice(file, offset, 8).ok_or_else(damaged)?);
    let (length, check) = (fields.u32()?, fields.u32()?);
    let bytes = offset
        .checked_add(8)
        .and_then(|at| slice(file, at, u64::from(length)))
        .ok_or_else(damaged)?;
    if head_check(offset, bytes) == check {
        Ok(bytes)
    } else {
        Err(damaged())
    }
}

/// What is written at an offset for a head with these bytes, before them.
pub(super) fn head_start(offset: u64, length: u32, bytes: &[u8]) -> [u8; 8] {
    let mut start = [0; 8];
    start[..4].copy_from_slice(&length.to_le_bytes());
    start[4..].copy_from_slice(&head_check(offset, bytes).to_le_bytes());
    start
}

fn head_check(offset: u64, bytes: &[u8]) -> u32 {
    let mut check = crc32fast::Hasher::new();
    check.update(&offset.to_le_bytes());
    check.update(bytes);
    check.finalize()
}

fn slice(file: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(length)?).ok()?;
    file.get(start..end)
}

/// Fields that follow each other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], IndexError> {
        let damaged = IndexError::Damaged("length");
        let (taken, rest) = self.0.split_at_checked(count).ok_or(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, IndexError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    fn u128(&mut self) -> Result<u128, IndexError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.take(16)?);
        Ok(u128::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, IndexError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn part(&mut self) -> Result<Part, IndexError> {
        Ok(Part {
            offset: self.u64()?,
            length: self.u64()?,
            check: self.u32()?,
        })
    }
}
