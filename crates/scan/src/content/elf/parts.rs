//! The parts of an ELF file.
//!
//! Here: its header, sections and segments, and reading bytes of it. Not here: what the parts have (`elf`).
//! Invariant: every access is checked, and a bounded number of bytes is read of a file.

use super::{Kind, METADATA_LIMIT, PARTS_LIMIT, READ_LIMIT, Text};
use crate::content::Content;
use object::Endianness;
use object::elf::{
    ET_DYN, ET_EXEC, ET_REL, FileHeader32, FileHeader64, PF_W, PF_X, PN_XNUM, PT_LOAD, SHN_XINDEX,
    SHT_NOBITS,
};
use object::pod::{self, Pod};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use std::io::SeekFrom;

/// A part of a file.
#[derive(Clone, Copy)]
pub(super) struct Range {
    /// The address at which it is loaded.
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
}

pub(super) struct Section {
    pub(super) name: Vec<u8>,
    pub(super) range: Range,
}

pub(super) struct Segment {
    pub(super) range: Range,
    pub(super) is_writable: bool,
    pub(super) is_executable: bool,
}

/// What the tables of a file say.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) sections: Vec<Section>,
    /// Those that are loaded.
    pub(super) segments: Vec<Segment>,
    /// Why a table could not be read.
    pub(super) faults: Vec<String>,
}

impl Parts {
    pub(super) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Section> {
        let sections = self.sections.iter();
        sections.filter(move |section| section.name == name)
    }

    /// The segments with data.
    pub(super) fn data(&self, is_writable: bool) -> impl Iterator<Item = Range> {
        let segments = self.segments.iter();
        segments
            .filter(move |segment| segment.is_writable == is_writable && !segment.is_executable)
            .map(|segment| segment.range)
    }

    /// Where the byte with an address is in the file.
    pub(super) fn offset(&self, address: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.range.address)?;
            let offset = segment.range.offset.checked_add(into)?;
            (into < segment.range.size).then_some(offset)
        })
    }
}

/// A file of which a bounded number of bytes is read.
pub(super) struct File<'a> {
    pub(super) content: &'a mut dyn Content,
    pub(super) size: u64,
    pub(super) left: u64,
}

impl<'a> File<'a> {
    pub(super) fn of(content: &'a mut dyn Content) -> Result<Self, String> {
        let size = content
            .seek(SeekFrom::End(0))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            content,
            size,
            left: READ_LIMIT,
        })
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// If they are more than the limit or than what is read of one file, if the file does not have them, or if reading
    /// fails.
    pub(super) fn read(&mut self, offset: u64, size: u64, limit: usize) -> Result<Vec<u8>, String> {
        let length = self.length(offset, size, limit)?;
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The first bytes of a string: not more than the limit, and none from `end` on.
    pub(super) fn first(&mut self, offset: u64, size: u64, end: u64, limit: usize) -> Text {
        let in_file = end.min(self.size).saturating_sub(offset);
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        let cut = if size.min(in_file) > most {
            Some(format!(
                "they have more than the {limit} bytes that are read"
            ))
        } else if size > in_file {
            Some("a part of them is beyond their end".to_owned())
        } else {
            None
        };
        match self.read(offset, size.min(in_file).min(most), limit) {
            Ok(bytes) => Text { bytes, fault: cut },
            Err(cause) => Text {
                bytes: Vec::new(),
                fault: Some(cause),
            },
        }
    }

    /// The entries of a table.
    pub(super) fn table<T: Pod>(&mut self, offset: u64, count: usize) -> Result<Vec<T>, String> {
        let entry = size_of::<T>();
        let size = entry.saturating_mul(count);
        let length = self.length(offset, size as u64, usize::MAX)?;
        // Words, because entries have an alignment.
        let mut words = vec![0_u64; length.div_ceil(8)];
        let bytes = pod::bytes_of_slice_mut(&mut words);
        let bytes = bytes.get_mut(..length).ok_or("it has no such bytes")?;
        self.fill(offset, bytes)?;
        let (entries, _) = pod::slice_from_bytes(bytes, count)
            .map_err(|()| "a table has another alignment".to_owned())?;
        Ok(entries.to_vec())
    }

    pub(super) fn length(&mut self, offset: u64, size: u64, limit: usize) -> Result<usize, String> {
        let end = offset.checked_add(size);
        if end.is_none_or(|end| end > self.size) {
            return Err("a part of it is beyond its end".to_owned());
        }
        let length = usize::try_from(size).ok().filter(|size| *size <= limit);
        let length = length
            .ok_or_else(|| format!("a part has more than the {limit} bytes that are read"))?;
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            format!("it takes reading more than the {READ_LIMIT} bytes that are read of a file")
        })?;
        Ok(length)
    }

    pub(super) fn fill(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), String> {
        let sought = self.content.seek(SeekFrom::Start(offset));
        sought
            .and_then(|_| self.content.read_exact(bytes))
            .map_err(|error| error.to_string())
    }

    /// What the file is, and its parts.
    pub(super) fn parts(&mut self) -> (Kind, Parts) {
        // The class is the fifth byte: 1 for 32 bits, 2 for 64 bits.
        let class = self.read(0, 5, 5);
        match class.as_deref() {
            Ok([.., 2]) => self.parts_of::<FileHeader64<Endianness>>(),
            Ok([.., _]) => self.parts_of::<FileHeader32<Endianness>>(),
            Ok([]) | Err(_) => (Kind::Other, Parts::faulty("it has no header")),
        }
    }

    pub(super) fn parts_of<E: FileHeader<Endian = Endianness>>(&mut self) -> (Kind, Parts) {
        let header = self.table::<E>(0, 1);
        let header = header.ok().and_then(|headers| headers.first().copied());
        let header = header.filter(FileHeader::is_supported);
        let Some((header, Ok(endian))) = header.map(|header| (header, header.endian())) else {
            return (Kind::Other, Parts::faulty("its header cannot be read"));
        };
        let kind = match header.e_type(endian) {
            ET_EXEC => Kind::Executable,
            ET_DYN => Kind::Shared,
            ET_REL => Kind::Relocatable,
            _ => Kind::Other,
        };
        let mut parts = Parts::default();
        match self.sections(header, endian) {
            Ok(sections) => parts.sections = sections,
            Err(cause) => parts.faults.push(format!("its sections: {cause}")),
        }
        match self.segments(header, endian) {
            Ok(segments) => parts.segments = segments,
            Err(cause) => parts.faults.push(format!("its segments: {cause}")),
        }
        (kind, parts)
    }

    /// The first entry of the table of sections, which has what does not fit in the header. None if there is no table.
    pub(super) fn first_section<E: FileHeader<Endian = Endianness>>(
        &mut self,
        header: E,
        endian: Endianness,
    ) -> Result<Option<E::SectionHeader>, String> {
        let offset: u64 = header.e_shoff(endian).into();
        if offset == 0 {
            return Ok(None);
        }
        if usize::from(header.e_shentsize(endian)) != size_of::<E::SectionHeader>() {
            return Err("their entries have another size".to_owned());
        }
        Ok(self.table(offset, 1)?.first().copied())
    }

    pub(super) fn sections<E: FileHeader<Endian = Endianness>>(
        &mut self,
        header: E,
        endian: Endianness,
    ) -> Result<Vec<Section>, String> {
        let Some(first) = self.first_section(header, endian)? else {
            return Ok(Vec::new());
        };
        let count = match header.e_shnum(endian) {
            0 => first.sh_size(endian).into(),
            count => count.into(),
        };
        let table: Vec<E::SectionHeader> =
            self.table(header.e_shoff(endian).into(), bounded(count)?)?;
        let names = match header.e_shstrndx(endian) {
            SHN_XINDEX => first.sh_link(endian),
            index => index.into(),
        };
        let names = usize::try_from(names)
            .ok()
            .and_then(|index| table.get(index));
        let names = names.ok_or("they have no names")?;
        let names = self.read(
            names.sh_offset(endian).into(),
            names.sh_size(endian).into(),
            METADATA_LIMIT,
        )?;
        let in_file = table
            .iter()
            .filter(|section| section.sh_type(endian) != SHT_NOBITS);
        let sections = in_file.map(|section| {
            let name = usize::try_from(section.sh_name(endian)).ok();
            let name = name
                .and_then(|start| names.get(start..))
                .unwrap_or_default();
            // Names of sections that matter are short.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            Section {
                name: name.get(..name.len().min(32)).unwrap_or_default().to_vec(),
                range: Range {
                    address: section.sh_addr(endian).into(),
                    offset: section.sh_offset(endian).into(),
                    size: section.sh_size(endian).into(),
                },
            }
        });
        Ok(sections.collect())
    }

    pub(super) fn segments<E: FileHeader<Endian = Endianness>>(
        &mut self,
        header: E,
        endian: Endianness,
    ) -> Result<Vec<Segment>, String> {
        let offset: u64 = header.e_phoff(endian).into();
        if offset == 0 {
            return Ok(Vec::new());
        }
        if usize::from(header.e_phentsize(endian)) != size_of::<E::ProgramHeader>() {
            return Err("their entries have another size".to_owned());
        }
        let count = match header.e_phnum(endian) {
            PN_XNUM => {
                let first = self.first_section(header, endian)?;
                first
                    .ok_or("their number is unknown")?
                    .sh_info(endian)
                    .into()
            }
            count => count.into(),
        };
        let table: Vec<E::ProgramHeader> = self.table(offset, bounded(count)?)?;
        let loaded = table
            .iter()
            .filter(|segment| segment.p_type(endian) == PT_LOAD);
        let segments = loaded.map(|segment| Segment {
            range: Range {
                address: segment.p_vaddr(endian).into(),
                offset: segment.p_offset(endian).into(),
                size: segment.p_filesz(endian).into(),
            },
            is_writable: segment.p_flags(endian) & PF_W != 0,
            is_executable: segment.p_flags(endian) & PF_X != 0,
        });
        Ok(segments.collect())
    }
}

impl Parts {
    pub(super) fn faulty(cause: &str) -> Self {
        Self {
            faults: vec![cause.to_owned()],
            ..Self::default()
        }
    }
}

/// The number of entries of a table.
fn bounded(count: u64) -> Result<usize, String> {
    let count = usize::try_from(count).ok();
    let count = count.filter(|count| *count <= PARTS_LIMIT);
    count.ok_or_else(|| format!("there are more than the {PARTS_LIMIT} that are read"))
}
