//! Archives that tests make, byte by byte.
//!
//! Here: also archives that no program writes. Not here: what they have to say.
//! Invariant: every offset is that of the format, unless a test asks for another one.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

/// An archive that is made.
#[derive(Clone)]
pub(super) struct Made {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
    base: usize,
}

/// How an entry is described. The default is an entry that is stored as it is.
#[derive(Clone, Copy, Default)]
pub(super) struct Written<'a> {
    /// Its name in the header before its content, if that is another one.
    pub(super) local_name: Option<&'a str>,
    pub(super) flags: u16,
    pub(super) method: u16,
    /// Whether sizes and offset are in a field of zip64.
    pub(super) zip64: bool,
    /// Extra fields of the directory.
    pub(super) extra: &'a [u8],
}

impl Made {
    pub(super) fn new() -> Self {
        Self::after(b"")
    }

    /// With bytes in front of it.
    pub(super) fn after(prefix: &[u8]) -> Self {
        Self {
            bytes: prefix.to_vec(),
            directory: Vec::new(),
            count: 0,
            base: prefix.len(),
        }
    }

    pub(super) fn stored(self, name: &str, content: &[u8]) -> Self {
        self.written(name, content, Written::default())
    }

    pub(super) fn deflated(self, name: &str, content: &[u8]) -> Self {
        let how = Written {
            method: 8,
            ..Written::default()
        };
        self.written(name, &deflated(content), how)
    }

    /// An entry with this content, as it is in the file.
    pub(super) fn written(mut self, name: &str, content: &[u8], how: Written<'_>) -> Self {
        let header = self.bytes.len() - self.base;
        let local = how.local_name.unwrap_or(name);
        let size = u32::try_from(content.len()).unwrap();
        self.bytes.extend_from_slice(b"PK\x03\x04");
        let fields = |name: &str, extra: usize, sizes: u32| {
            let mut fields = Vec::new();
            fields.extend(20_u16.to_le_bytes());
            fields.extend(how.flags.to_le_bytes());
            fields.extend(how.method.to_le_bytes());
            // Time, day, and a sum that is wrong.
            fields.extend([0, 0, 0, 0, 9, 9, 9, 9]);
            fields.extend(sizes.to_le_bytes());
            fields.extend(sizes.to_le_bytes());
            fields.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            fields.extend(u16::try_from(extra).unwrap().to_le_bytes());
            fields
        };
        self.bytes.extend(fields(local, 0, size));
        self.bytes.extend_from_slice(local.as_bytes());
        self.bytes.extend_from_slice(content);
        let mut extra = how.extra.to_vec();
        if how.zip64 {
            extra.extend([1, 0, 24, 0]);
            let size = u64::from(size);
            for value in [size, size, u64::try_from(header).unwrap()] {
                extra.extend(value.to_le_bytes());
            }
        }
        let (size, offset) = if how.zip64 {
            (u32::MAX, u32::MAX)
        } else {
            (size, u32::try_from(header).unwrap())
        };
        self.directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        self.directory.extend(fields(name, extra.len(), size));
        // Comment, disk, attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.directory.extend(extra);
        self.count += 1;
        self
    }

    /// Bytes in the directory.
    pub(super) fn in_directory(mut self, bytes: &[u8]) -> Self {
        self.directory.extend_from_slice(bytes);
        self
    }

    /// The archive.
    pub(super) fn end(self) -> Vec<u8> {
        self.end_with(b"")
    }

    /// The archive with a comment.
    pub(super) fn end_with(self, comment: &[u8]) -> Vec<u8> {
        let offset = self.bytes.len() - self.base;
        let size = self.directory.len();
        let mut bytes = self.bytes;
        bytes.extend(self.directory);
        let [size, offset] = [size, offset].map(|value| u32::try_from(value).unwrap());
        bytes.extend(end(self.count, size, offset, comment));
        bytes
    }

    /// The archive with an end of zip64, whose values the other end does not have.
    pub(super) fn end_of_zip64(self) -> Vec<u8> {
        let offset = self.bytes.len() - self.base;
        let size = self.directory.len();
        let count = u64::from(self.count);
        let mut bytes = self.bytes;
        bytes.extend(self.directory);
        let at = bytes.len();
        bytes.extend_from_slice(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let [size, offset, at] = [size, offset, at].map(|value| u64::try_from(value).unwrap());
        for value in [count, count, size, offset] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend_from_slice(b"PK\x06\x07");
        bytes.extend([0; 4]);
        bytes.extend(at.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(end(u16::MAX, u32::MAX, u32::MAX, b""));
        bytes
    }
}

/// The record at the end.
pub(super) fn end(count: u16, size: u32, offset: u32, comment: &[u8]) -> Vec<u8> {
    let mut bytes = b"PK\x05\x06\x00\x00\x00\x00".to_vec();
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(comment);
    bytes
}

pub(super) fn deflated(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
