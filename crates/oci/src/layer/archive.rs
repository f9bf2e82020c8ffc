//! The members of a tar archive.
//!
//! Here: headers that belong together, and the content that follows them, as Go's archive/tar reads them, with which
//! containerd reads layers. Not here: what a member does to a tree (`layer`, `tree`).
//! Invariant: what describes a member takes at most [`MAX_HEADER_BYTES`] for each of its headers.
//!
//! The crate `tar` is not used: it keeps names and extended headers of any length in memory, and reads some archives
//! otherwise than containerd. It skips content after directories that state a size, gives the first of two records with
//! the same key, ends at one block of zeros, and does not know the sparse format 1.0. Each of them hides files.

use super::header::{self, BLOCK, Block, Header, types};
use super::pax::Records;
use super::sparse::{MapPlace, Run, SparseMap, SparsePosition, map_number};
use super::unpacked::{Blocks, Unpacked};
use super::{CannotUnpack, Exceeded, HeaderFault, MAX_HEADER_BYTES};
use std::io::Read;

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// What its headers say together.
    pub(super) header: Header,
    /// Bytes of its content, with the holes of a sparse file.
    pub(super) size: u64,
    /// Whether the map of a sparse file is not that of its content. Only who reads the content notices it.
    pub(super) is_incomplete: bool,
}

/// The members of an archive.
pub(super) struct Archive<R> {
    input: Blocks<R>,
    /// Bytes of content that were not read yet.
    left: u64,
    /// Bytes after the content, up to the next block.
    padding: u64,
    sparse: Option<SparsePosition>,
}

/// What applies to the next member.
#[derive(Default)]
struct Extensions {
    records: Records,
    name: Vec<u8>,
    link: Vec<u8>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(unpacked: Unpacked<R>) -> Self {
        Self {
            input: Blocks::new(unpacked),
            left: 0,
            padding: 0,
            sparse: None,
        }
    }

    /// Bytes that were unpacked so far.
    pub(super) fn unpacked(&self) -> u64 {
        self.input.unpacked().count()
    }

    /// The next member; none at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, CannotUnpack> {
        let mut extensions = Extensions::default();
        loop {
            if !self.skip_content()? {
                return Ok(None);
            }
            let Some(block) = self.header_block()? else {
                return Ok(None);
            };
            let mut header = header::parse(&block).map_err(CannotUnpack::Header)?;
            self.expect_content(&header)?;
            match header.kind {
                types::PAX => extensions.records = self.records()?,
                types::PAX_GLOBAL => {
                    self.records()?.merge_name(&mut header);
                    let size = 0;
                    return Ok(Some(Member {
                        header,
                        size,
                        is_incomplete: false,
                    }));
                }
                types::GNU_LONG_NAME => extensions.name = header::text(&self.special()?).to_vec(),
                types::GNU_LONG_LINK => extensions.link = header::text(&self.special()?).to_vec(),
                _ => return self.member(header, &block, extensions).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        mut header: Header,
        block: &Block,
        extensions: Extensions,
    ) -> Result<Member, CannotUnpack> {
        let Extensions {
            records,
            name,
            link,
        } = extensions;
        records.merge(&mut header).map_err(CannotUnpack::Header)?;
        if !name.is_empty() {
            header.name = name;
        }
        if !link.is_empty() {
            header.link = link;
        }
        if header.kind == types::OLD_FILE {
            header.kind = if header.name.ends_with(b"/") {
                types::DIRECTORY
            } else {
                types::FILE
            };
        }
        // The size can be another one now.
        self.expect_content(&header)?;
        let mut member = Member {
            size: self.left,
            header,
            is_incomplete: false,
        };
        if let Some(entries) = self.sparse_entries(&mut member.header, block, &records)? {
            if member.header.is_header_only() {
                return Err(CannotUnpack::Header(HeaderFault::SparseMap));
            }
            let size = u64::try_from(member.header.size)
                .map_err(|_error| CannotUnpack::Header(HeaderFault::SparseMap))?;
            let map = SparseMap::new(entries, size).map_err(CannotUnpack::Header)?;
            member.is_incomplete = map.data() != self.left;
            self.input.count_holes(size.saturating_sub(map.data()))?;
            self.sparse = Some(SparsePosition::new(map, size));
            member.size = size;
        }
        Ok(member)
    }

    /// The map of a sparse file, whose name and size it corrects.
    fn sparse_entries(
        &mut self,
        header: &mut Header,
        block: &Block,
        records: &Records,
    ) -> Result<Option<Vec<(i64, i64)>>, CannotUnpack> {
        if header.kind == types::GNU_SPARSE {
            return self.old_sparse_entries(header, block).map(Some);
        }
        let sparse = &records.sparse;
        let place = sparse.place();
        if place == MapPlace::None {
            return Ok(None);
        }
        if !sparse.name.is_empty() {
            header.name.clone_from(&sparse.name);
        }
        if let Some(size) = sparse.file_size().map_err(CannotUnpack::Header)? {
            header.size = size;
        }
        match place {
            MapPlace::None => Ok(None),
            MapPlace::Records => sparse.map().map(Some).map_err(CannotUnpack::Header),
            MapPlace::Content => self.content_sparse_entries().map(Some),
        }
    }

    fn old_sparse_entries(
        &mut self,
        header: &mut Header,
        block: &Block,
    ) -> Result<Vec<(i64, i64)>, CannotUnpack> {
        let (mut part, size) = header::sparse_header(block).map_err(CannotUnpack::Header)?;
        header.size = size;
        let mut entries = part.entries;
        let mut read = 0_usize;
        while part.continues {
            read = read.saturating_add(BLOCK);
            if read > MAX_HEADER_BYTES {
                return Err(CannotUnpack::Limit(Exceeded::Header));
            }
            let mut next = [0; BLOCK];
            if self.input.fill(&mut next)? < BLOCK {
                return Err(CannotUnpack::Truncated);
            }
            part = header::sparse_block(&next).map_err(CannotUnpack::Header)?;
            entries.append(&mut part.entries);
        }
        Ok(entries)
    }

    /// The map of the format 1.0: a count and as many offsets and lengths, a line each, padded to a block.
    fn content_sparse_entries(&mut self) -> Result<Vec<(i64, i64)>, CannotUnpack> {
        let mut lines = MapLines::default();
        let count = lines.next(self)?;
        let mut entries = Vec::new();
        let count =
            u64::try_from(count).map_err(|_error| CannotUnpack::Header(HeaderFault::SparseMap))?;
        for _ in 0..count {
            entries.push((lines.next(self)?, lines.next(self)?));
        }
        Ok(entries)
    }

    /// The next block, unless it ends the archive.
    fn header_block(&mut self) -> Result<Option<Block>, CannotUnpack> {
        let mut block = [0; BLOCK];
        let mut zeros = 0_u8;
        loop {
            match self.input.fill(&mut block)? {
                0 => return Ok(None),
                BLOCK => {}
                _ => return Err(CannotUnpack::Truncated),
            }
            let is_zero = block.iter().all(|byte| *byte == 0);
            match (zeros, is_zero) {
                (0, false) => return Ok(Some(block)),
                (0, true) => zeros = 1,
                (_, true) => return Ok(None),
                (_, false) => return Err(CannotUnpack::Header(HeaderFault::AfterEnd)),
            }
        }
    }

    /// Sets what follows a header.
    fn expect_content(&mut self, header: &Header) -> Result<(), CannotUnpack> {
        let size = if header.is_header_only() {
            0
        } else {
            header.size
        };
        self.left =
            u64::try_from(size).map_err(|_error| CannotUnpack::Header(HeaderFault::Number))?;
        self.padding = self.left.wrapping_neg() % 512;
        self.sparse = None;
        Ok(())
    }

    /// Skips what is left of the content. False: the archive ends in the padding, which Go takes for its end.
    fn skip_content(&mut self) -> Result<bool, CannotUnpack> {
        let left = std::mem::take(&mut self.left);
        if self.input.skip(left)? < left {
            return Err(CannotUnpack::Truncated);
        }
        let padding = std::mem::take(&mut self.padding);
        Ok(self.input.skip(padding)? == padding)
    }

    fn records(&mut self) -> Result<Records, CannotUnpack> {
        Records::parse(&self.special()?).map_err(CannotUnpack::Header)
    }

    /// The content of a header that describes the next member.
    fn special(&mut self) -> Result<Vec<u8>, CannotUnpack> {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX);
        if size > MAX_HEADER_BYTES {
            return Err(CannotUnpack::Limit(Exceeded::Header));
        }
        // Memory grows with what is there, not with what is announced.
        let mut content = Vec::new();
        let mut buffer = [0; 4096];
        while self.left > 0 {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let wanted = most.min(buffer.len());
            let part = buffer.get_mut(..wanted).unwrap_or_default();
            let read = self.stored(part)?;
            content.extend_from_slice(part.get(..read).unwrap_or_default());
        }
        Ok(content)
    }

    /// Bytes of the content as the archive has them; none at its end.
    fn stored(&mut self, into: &mut [u8]) -> Result<usize, CannotUnpack> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        match self.input.read(into)? {
            0 => Err(CannotUnpack::Truncated),
            read => {
                self.left = self
                    .left
                    .saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
                Ok(read)
            }
        }
    }

    /// Bytes of the content of the member that was just returned, with its holes; none at its end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, CannotUnpack> {
        let Some(sparse) = &mut self.sparse else {
            return self.stored(into);
        };
        let (bytes, is_data) = match sparse.run() {
            Run::Data(bytes) => (bytes, true),
            Run::Hole(bytes) => (bytes, false),
            Run::End => return Ok(0),
        };
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        let read = if is_data {
            self.stored(into)?
        } else {
            into.fill(0);
            into.len()
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(read)
    }

    /// Reads everything after the end of the archive, so that all checksums are verified.
    pub(super) fn finish(&mut self) -> Result<(), CannotUnpack> {
        self.input.skip(u64::MAX).map(drop)
    }
}

/// The lines of a map before the data of a sparse file.
#[derive(Default)]
struct MapLines {
    /// Bytes that were read in whole blocks, and how many of them were used.
    read: Vec<u8>,
    used: usize,
}

impl MapLines {
    /// The number in the next line.
    fn next<R: Read>(&mut self, archive: &mut Archive<R>) -> Result<i64, CannotUnpack> {
        let mut searched = self.used;
        loop {
            let rest = self.read.get(searched..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let end = searched.saturating_add(length);
                let line = self.read.get(self.used..end).unwrap_or_default();
                let number = map_number(line).map_err(CannotUnpack::Header)?;
                self.used = end.saturating_add(1);
                return Ok(number);
            }
            searched = self.read.len();
            if searched.saturating_add(BLOCK) > MAX_HEADER_BYTES {
                return Err(CannotUnpack::Limit(Exceeded::Header));
            }
            let mut block = [0; BLOCK];
            let mut filled = 0_usize;
            while let Some(part) = block.get_mut(filled..).filter(|part| !part.is_empty()) {
                match archive.stored(part)? {
                    0 => return Err(CannotUnpack::Truncated),
                    read => filled = filled.saturating_add(read),
                }
            }
            self.read.extend_from_slice(&block);
        }
    }
}
