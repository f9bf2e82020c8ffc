//! ELF files: executables and shared objects, and where compilers of Go and Rust store what a binary is built from.
//!
//! Here: where the build information is in sections and segments. Not here: the parts of a file (`parts`), and what the
//! build information says (`go`, `rust`).
//! Invariant: pure, bounded reads. Each file that begins as an ELF file has the fact [`Fact::Elf`].

mod parts;
#[cfg(test)]
mod tests;

use super::{Content, Fact, Interest, METADATA_LIMIT, go, not_read, rust};
use crate::package::VERSION_LIMIT;
use object::elf;
use object::{Endian as _, Endianness};
use parts::{File, Parts, Range};
use serde::{Deserialize, Serialize};
use std::ops;

/// What an ELF file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Sections, and segments, that are looked at.
const PARTS_LIMIT: usize = 1 << 16;
/// Bytes that are read of one file.
const READ_LIMIT: u64 = 128 << 20;
/// Bytes that are searched for build information whose place no section names.
const SEARCH_LIMIT: u64 = 64 << 20;
/// Bytes that are searched at once. A multiple of [`ALIGNMENT`].
const CHUNK: u64 = 1 << 20;
/// Places of one file that begin as build information.
const PLACES_LIMIT: usize = 16;

const WHAT: &str = "ELF file";

/// The begin of Go's build information, which has an address that is a multiple of 16.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGNMENT: u64 = 16;
const GO_SECTION: &[u8] = b".go.buildinfo";
/// Sections that each Go binary has.
const OTHER_GO_SECTIONS: [&[u8]; 2] = [b".gopclntab", b".note.go.buildid"];
const RUST_SECTION: &[u8] = b".dep-v0";

/// The build information of Go.
struct BuildStrings {
    /// The version of Go.
    version: Vec<u8>,
    /// The lines about modules, as far as they could be read.
    lines: Vec<u8>,
    /// Why some lines could not be read.
    fault: Option<String>,
}

/// The first bytes of a string.
struct Text {
    bytes: Vec<u8>,
    /// Why there are not more. None if these are all.
    fault: Option<String>,
}

impl Text {
    /// All bytes. None if some could not be read.
    fn all(self) -> Option<Vec<u8>> {
        self.fault.is_none().then_some(self.bytes)
    }
}

/// How a file is read.
pub(super) fn interest(_path: &[u8], _size: u64, head: &[u8]) -> Interest {
    if head.starts_with(&elf::ELFMAG) {
        Interest::Seek
    } else {
        Interest::None
    }
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let mut file = match File::of(content) {
        Ok(file) => file,
        Err(cause) => {
            facts(Fact::Elf(Kind::Other));
            return facts(not_read(WHAT, cause));
        }
    };
    let (kind, parts) = file.parts();
    facts(Fact::Elf(kind));
    for cause in &parts.faults {
        facts(not_read(WHAT, cause.clone()));
    }
    read_go(&mut file, &parts, facts);
    for section in parts.named(RUST_SECTION).take(PLACES_LIMIT) {
        match file.read(section.range.offset, section.range.size, METADATA_LIMIT) {
            Ok(bytes) => rust::read(&bytes, facts),
            Err(cause) => facts(not_read(rust::WHAT, cause)),
        }
    }
}

/// Adds the build information of Go, if there is some.
fn read_go(file: &mut File<'_>, parts: &Parts, facts: &mut dyn FnMut(Fact)) {
    let sections = parts.named(GO_SECTION).map(|section| section.range);
    let writable = parts.data(true);
    // The linker writes it to data that is writable. Without sections, nothing says that another one did not.
    let others = parts.data(false).filter(|_| parts.sections.is_empty());
    let ranges = sections.chain(writable).chain(others);
    let mut left = SEARCH_LIMIT;
    let mut places = PLACES_LIMIT;
    for range in ranges {
        let size = range.size.min(left);
        left -= size;
        match search(file, parts, Range { size, ..range }, &mut places) {
            Ok(Some(found)) => {
                if let Some(cause) = found.fault {
                    facts(not_read(go::WHAT, cause));
                }
                return go::read(&found.version, &found.lines, facts);
            }
            Ok(None) => {}
            Err(cause) => return facts(not_read(go::WHAT, cause)),
        }
    }
    let mut others = OTHER_GO_SECTIONS.iter();
    if others.any(|name| parts.named(name).next().is_some()) {
        facts(not_read(
            go::WHAT,
            "the file is built by Go and has no build information",
        ));
    }
}

/// The version of Go and the lines about modules that are found first. `places` is how many more places are tried.
fn search(
    file: &mut File<'_>,
    parts: &Parts,
    range: Range,
    places: &mut usize,
) -> Result<Option<BuildStrings>, String> {
    let end = range.offset.saturating_add(range.size).min(file.size);
    let misaligned = range.address % ALIGNMENT;
    let first = (ALIGNMENT - misaligned) % ALIGNMENT;
    let mut at = range.offset.saturating_add(first);
    while at < end {
        let size = CHUNK.min(end - at);
        let chunk = file.read(at, size, usize::MAX)?;
        for (index, place) in chunk.chunks(16).enumerate() {
            if !place.starts_with(GO_MAGIC) {
                continue;
            }
            let Some(fewer) = places.checked_sub(1) else {
                return Ok(None);
            };
            *places = fewer;
            let offset = at + index as u64 * ALIGNMENT;
            if let Some(found) = build_information(file, parts, offset..end) {
                return Ok(Some(found));
            }
        }
        at += size;
    }
    Ok(None)
}

/// The version of Go and the lines about modules at the start of a range of the file. None if there is no build
/// information.
fn build_information(
    file: &mut File<'_>,
    parts: &Parts,
    range: ops::Range<u64>,
) -> Option<BuildStrings> {
    const HEADER: u64 = 32;
    let header = file.read(range.start, HEADER, usize::MAX).ok()?;
    let (pointer_size, flags) = (*header.get(14)?, *header.get(15)?);
    let (version, modules) = if flags & 2 == 0 {
        // Before Go 1.18, or of another compiler: pointers to the two strings.
        let pointers = Pointers {
            size: usize::from(pointer_size),
            is_big_endian: flags & 1 == 1,
        };
        let at = |index: usize| pointers.get(&header, 16 + index * pointers.size);
        let version = pointers.string(file, parts, at(0)?, VERSION_LIMIT)?;
        (
            version.all()?,
            pointers.string(file, parts, at(1)?, METADATA_LIMIT),
        )
    } else {
        let mut rest = range.start.checked_add(HEADER)?..range.end;
        let version = counted(file, &mut rest, VERSION_LIMIT)?;
        (version.all()?, counted(file, &mut rest, METADATA_LIMIT))
    };
    if version.is_empty() {
        return None;
    }
    let (lines, fault) = match modules {
        Some(modules) => framed(modules),
        None => (Vec::new(), Some("they are not where it says".to_owned())),
    };
    Some(BuildStrings {
        version,
        lines,
        fault: fault.map(|cause| format!("the modules: {cause}")),
    })
}

/// The lines about modules in their frame, and why there are not more. A program without modules has no frame.
fn framed(modules: Text) -> (Vec<u8>, Option<String>) {
    // 16 bytes before and after the lines mark them for those who search the file.
    const MARK: usize = 16;
    let Text { mut bytes, fault } = modules;
    if bytes.is_empty() {
        return (bytes, fault);
    }
    let end = bytes.len().checked_sub(MARK);
    let has_frame = end
        .is_some_and(|end| end > MARK && bytes.get(end.saturating_sub(1)).copied() == Some(b'\n'));
    let fault = match fault {
        None if !has_frame => Some("they do not end as they must".to_owned()),
        fault => fault,
    };
    if fault.is_none() {
        bytes.truncate(end.unwrap_or_default());
    }
    // What precedes the end counts, up to the last line that is whole.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    bytes.truncate(whole.map_or(0, |newline| newline + 1));
    bytes.drain(..bytes.len().min(MARK));
    (bytes, fault)
}

/// The string after its length; of a longer one than the limit or the range, its first bytes. The range then begins
/// after it. None if it has no length.
fn counted(file: &mut File<'_>, range: &mut ops::Range<u64>, limit: usize) -> Option<Text> {
    let mut length = 0_u64;
    // The length has seven bits in each byte, the lowest first.
    for shift in (0..63).step_by(7) {
        let byte = *file.read(range.start, 1, 1).ok()?.first()?;
        range.start = range.start.checked_add(1)?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let start = range.start;
            let end = start.saturating_add(length);
            range.start = end.min(range.end);
            return Some(file.first(start, length, range.start, limit));
        }
    }
    None
}

/// How a binary writes addresses.
#[derive(Clone, Copy)]
struct Pointers {
    size: usize,
    is_big_endian: bool,
}

impl Pointers {
    /// The address at an index.
    fn get(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..at.checked_add(self.size)?)?;
        let endian = if self.is_big_endian {
            Endianness::Big
        } else {
            Endianness::Little
        };
        match self.size {
            4 => Some(endian.read_u32(bytes.try_into().ok()?).into()),
            8 => Some(endian.read_u64(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// The string at an address: the address of its bytes, and their number. Of a longer one than the limit, its first
    /// bytes. None if it has no place in the file.
    fn string(
        self,
        file: &mut File<'_>,
        parts: &Parts,
        address: u64,
        limit: usize,
    ) -> Option<Text> {
        let size = self.size as u64;
        let header = file.read(parts.offset(address)?, size * 2, 16).ok()?;
        let (bytes, length) = (self.get(&header, 0)?, self.get(&header, self.size)?);
        if length == 0 {
            // The address of an empty string is one of nothing.
            let (bytes, fault) = (Vec::new(), None);
            return Some(Text { bytes, fault });
        }
        let end = file.size;
        Some(file.first(parts.offset(bytes)?, length, end, limit))
    }
}
