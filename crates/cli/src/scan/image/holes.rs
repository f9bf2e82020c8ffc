//! Files with holes as entries of an archive.
//!
//! Here: where a file has data, and its entry in the format 1.0 of sparse files, which has the data alone. Not here: which
//! files are archived (`directory`).
//! Invariant: an entry has as many bytes as its header says, also if the file changes while it is read. What cannot be
//! read is zeros, and an error.
//!
//! Source: "Storing Sparse Files" of the GNU tar manual. Container runtimes do not unpack its oldest format.

use nix::unistd::{Whence, lseek};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

/// Bytes that a map is a multiple of.
const BLOCK: usize = 512;
/// Parts of a file. A file with more has the rest as one, with its holes.
const PARTS: usize = 1_024;

/// Where a file has data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Positions and lengths, in order.
    parts: Vec<(u64, u64)>,
    /// Bytes of the file, with its holes.
    size: u64,
}

impl Parts {
    /// Those of a file of this size. Where the file system does not know holes, there are none.
    pub(super) fn of(file: &File, size: u64) -> Self {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < size {
            let data = match position(file, at, Whence::SeekData) {
                Ok(data) => data.clamp(at, size),
                // Nothing but a hole follows.
                Err(nix::Error::ENXIO) => break,
                Err(_) => at,
            };
            let is_last = parts.len().saturating_add(1) >= PARTS;
            let hole = position(file, data, Whence::SeekHole);
            let end = match hole {
                Ok(hole) if !is_last && hole > data => hole.min(size),
                Ok(_) | Err(_) => size,
            };
            if data < end {
                parts.push((data, end.saturating_sub(data)));
            }
            at = end;
        }
        Self { parts, size }
    }

    /// Bytes of data.
    pub(super) fn data(&self) -> u64 {
        let lengths = self.parts.iter().map(|(_, length)| *length);
        lengths.fold(0, u64::saturating_add)
    }

    /// The records that have to precede the header of the file. There are none if it has no holes.
    pub(super) fn records(&self) -> Vec<(&'static str, String)> {
        if self.data() == self.size {
            return Vec::new();
        }
        vec![
            ("GNU.sparse.major", "1".to_owned()),
            ("GNU.sparse.minor", "0".to_owned()),
            ("GNU.sparse.realsize", self.size.to_string()),
        ]
    }

    /// The map of a file with holes, which precedes the data: the number of parts, and the position and the length of
    /// each. Empty if there are no holes.
    pub(super) fn map(&self) -> Vec<u8> {
        if self.data() == self.size {
            return Vec::new();
        }
        let mut map = format!("{}\n", self.parts.len());
        for (offset, length) in &self.parts {
            // Writing to a text cannot fail.
            write!(map, "{offset}\n{length}\n").unwrap_or_default();
        }
        let mut map = map.into_bytes();
        map.resize(map.len().next_multiple_of(BLOCK), 0);
        map
    }

    /// The data.
    pub(super) fn content<'a>(&'a self, file: &'a File) -> Content<'a> {
        Content {
            file,
            parts: self.parts.iter(),
            left: 0,
            error: None,
        }
    }
}

/// Where data, or a hole, begins from a position on.
fn position(file: &File, at: u64, whence: Whence) -> nix::Result<u64> {
    let at = i64::try_from(at).map_err(|_error| nix::Error::EOVERFLOW)?;
    let found = lseek(file, at, whence)?;
    u64::try_from(found).map_err(|_error| nix::Error::EOVERFLOW)
}

/// The data of a file: as many bytes as it had, with zeros in place of those that cannot be read.
#[derive(Debug)]
pub(super) struct Content<'a> {
    file: &'a File,
    parts: std::slice::Iter<'a, (u64, u64)>,
    /// Bytes of the current part.
    left: u64,
    /// Why some bytes could not be read.
    pub(super) error: Option<io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((offset, length)) = self.parts.next() else {
                return Ok(0);
            };
            self.left = *length;
            if let Err(error) = self.file.seek(SeekFrom::Start(*offset)) {
                self.error.get_or_insert(error);
            }
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        let read = if self.error.is_some() {
            0
        } else {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    0
                }
                Ok(0) if most > 0 => {
                    self.error = Some(io::Error::other("it became shorter"));
                    0
                }
                Ok(read) => read,
            }
        };
        let read = if read == 0 {
            into.fill(0);
            most
        } else {
            read
        };
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(count);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    /// A file of this size with data at these positions.
    fn file(size: u64, positions: &[u64]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for position in positions {
            file.write_all_at(b"data", *position).unwrap();
        }
        file
    }

    /// The entry of a file, as layers are read: its size and its content.
    fn entry(parts: &Parts, file: &File) -> (u64, Vec<u8>) {
        let mut archive = tar::Builder::new(Vec::new());
        let records = parts.records();
        let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        archive.append_pax_extensions(records).unwrap();
        let map = parts.map();
        let mut header = tar::Header::new_gnu();
        header.set_size(map.len() as u64 + parts.data());
        let content = map.as_slice().chain(parts.content(file));
        archive.append_data(&mut header, "a", content).unwrap();
        let mut end = tar::Header::new_gnu();
        end.set_size(0);
        archive.append_data(&mut end, "z", io::empty()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let limits = bailiff_oci::layer::Limits::default();
        let mut layer = bailiff_oci::layer::Layer::new(bytes.as_slice(), &limits);
        let entry = layer.next().unwrap().unwrap();
        let mut content = Vec::new();
        layer.content().read_to_end(&mut content).unwrap();
        let after = layer.next().unwrap().unwrap();
        assert_eq!((entry.path, after.path), (b"a".to_vec(), b"z".to_vec()));
        (entry.size, content)
    }

    #[test]
    fn an_entry_has_the_content_of_the_file() {
        let many: Vec<u64> = (0..60).map(|n| n * 16384).collect();
        for (size, positions) in [
            (0, &[][..]),
            (4, &[0]),
            (1 << 20, &[]),
            (1 << 20, &[0]),
            (1 << 20, &[600_000]),
            ((1 << 20) - 3, &[0, 300_000, (1 << 20) - 7]),
            (1 << 20, &many),
        ] {
            let file = file(size, positions);
            let mut expected = vec![0; usize::try_from(size).unwrap()];
            for position in positions {
                let at = usize::try_from(*position).unwrap();
                expected[at..at + 4].copy_from_slice(b"data");
            }
            let parts = Parts::of(&file, size);
            let (found, content) = entry(&parts, &file);
            assert_eq!(found, size);
            assert!(content == expected, "{size} {positions:?}");
            // Data is stored in blocks of a file system.
            let most = (positions.len() as u64) * 65536;
            assert!(parts.data() <= most, "{size} {positions:?} {parts:?}");
        }
    }

    #[test]
    fn a_file_with_many_holes_has_the_last_ones_as_data() {
        let size = 2_000 * 16_384;
        let positions: Vec<u64> = (0..2_000).map(|n| n * 16_384).collect();
        let file = file(size, &positions);
        let parts = Parts::of(&file, size);
        assert_eq!(parts.parts.len(), PARTS);
        let (_, content) = entry(&parts, &file);
        let data = content.windows(4).filter(|bytes| *bytes == b"data");
        assert_eq!(data.count(), positions.len());
    }

    #[test]
    fn a_file_that_becomes_shorter_has_zeros_and_an_error() {
        let file = file(1 << 20, &[0, 600_000]);
        let parts = Parts::of(&file, 1 << 20);
        file.set_len(2).unwrap();
        let mut content = parts.content(&file);
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, parts.data());
        assert_eq!(bytes.get(..4), Some(&b"da\0\0"[..]));
        assert_eq!(content.error.unwrap().to_string(), "it became shorter");
    }
}
