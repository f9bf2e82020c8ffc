//! Where an index is written.
//!
//! Here: the parts of the file, its length and its hash. Not here: what the parts have.
//! Invariant: the header is written last, so that what was not finished is no index.

use super::layout::{HEADER_SIZE, Header, Part};
use sha2::{Digest as _, Sha256};
use std::io::{self, Seek, SeekFrom, Write};

/// Where an index is written.
pub(super) struct Output<W> {
    to: W,
    /// Bytes that were written.
    at: u64,
    /// Of all parts.
    hash: Sha256,
}

impl<W: Write + Seek> Output<W> {
    /// An index in `to`, from its current position on. The header has its place.
    pub(super) fn new(mut to: W) -> io::Result<Self> {
        to.write_all(&[0; HEADER_SIZE])?;
        Ok(Self {
            to,
            at: HEADER_SIZE as u64,
            hash: Sha256::new(),
        })
    }

    /// Bytes that were written.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn part(&mut self, bytes: &[u8]) -> io::Result<Part> {
        let part = Part {
            offset: self.at,
            length: bytes.len() as u64,
            check: crc32fast::hash(bytes),
        };
        self.write(bytes)?;
        Ok(part)
    }

    /// Writes the header, and returns the hash of the file.
    pub(super) fn finish(mut self, header: &Header) -> io::Result<[u8; 32]> {
        let (header, hash) = header.sealed(self.hash);
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(&header)?;
        self.to.flush()?;
        Ok(hash)
    }
}
