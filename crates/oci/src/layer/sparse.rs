//! Sparse files, whose archive has only the parts that are not zeros.
//!
//! Here: the maps of their parts, and which bytes come from the archive. Not here: reading the archive (`archive`).
//! Invariant: the parts of a map are in order, do not overlap, end within the file and fill exactly the content in the
//! archive.
//!
//! Source: "Storing Sparse Files" of the GNU tar manual. Numbers are decimal, as GNU tar writes them.

use super::HeaderFault;
use super::pax::{SparseRecords, decimal};

/// Where the data of a sparse file is: offsets and ends, without the empty parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparseMap {
    parts: Vec<(u64, u64)>,
}

/// Where the map of a sparse file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapPlace {
    /// The file is not sparse.
    None,
    /// In the records (formats 0.0 and 0.1).
    Records,
    /// Before the data (format 1.0).
    Content,
}

impl SparseRecords {
    /// Where these records say that the map is.
    pub(super) fn place(&self) -> MapPlace {
        match (&*self.major, &*self.minor) {
            (b"0", b"0" | b"1") => MapPlace::Records,
            (b"1", b"0") => MapPlace::Content,
            (b"", b"") if !self.map.is_empty() => MapPlace::Records,
            // A version that is not known makes no sparse file, as in Go.
            _ => MapPlace::None,
        }
    }

    /// The size of the file with its holes, if it is there.
    pub(super) fn file_size(&self) -> Result<Option<i64>, HeaderFault> {
        let size = if self.size.is_empty() {
            &self.real_size
        } else {
            &self.size
        };
        if size.is_empty() {
            Ok(None)
        } else {
            decimal(size).map(Some)
        }
    }

    /// The map of the formats 0.0 and 0.1: numbers with commas between them.
    pub(super) fn map(&self) -> Result<Vec<(i64, i64)>, HeaderFault> {
        let count = decimal(&self.count)
            .ok()
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(HeaderFault::SparseMap)?;
        let mut numbers = self
            .map
            .split(|byte| *byte == b',')
            .filter(|_| !self.map.is_empty());
        let mut entries = Vec::new();
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(HeaderFault::SparseMap)?;
            entries.push((map_number(offset)?, map_number(length)?));
        }
        if entries.len() == count {
            Ok(entries)
        } else {
            Err(HeaderFault::SparseMap)
        }
    }
}

/// A number of a map.
pub(super) fn map_number(text: &[u8]) -> Result<i64, HeaderFault> {
    decimal(text).map_err(|_error| HeaderFault::SparseMap)
}

impl SparseMap {
    /// The map of a file of this size with its holes.
    pub(super) fn new(entries: Vec<(i64, i64)>, size: u64) -> Result<Self, HeaderFault> {
        let mut parts = Vec::new();
        let mut last_end = 0_u64;
        for (offset, length) in entries {
            let part = u64::try_from(offset)
                .ok()
                .zip(u64::try_from(length).ok())
                .and_then(|(offset, length)| Some((offset, offset.checked_add(length)?)));
            let Some((offset, end)) = part else {
                return Err(HeaderFault::SparseMap);
            };
            if offset < last_end || end > size {
                return Err(HeaderFault::SparseMap);
            }
            if offset < end {
                parts.push((offset, end));
            }
            last_end = end;
        }
        Ok(Self { parts })
    }

    /// Bytes in the archive.
    pub(super) fn data(&self) -> u64 {
        self.parts.iter().fold(0, |sum, (offset, end)| {
            sum.saturating_add(end.saturating_sub(*offset))
        })
    }
}

/// The position in a sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SparsePosition {
    map: SparseMap,
    /// The part that comes next, or in which the position is.
    part: usize,
    position: u64,
    size: u64,
}

/// The next bytes of a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// This number of bytes from the archive.
    Data(u64),
    /// This number of zeros.
    Hole(u64),
    /// The end.
    End,
}

impl SparsePosition {
    pub(super) fn new(map: SparseMap, size: u64) -> Self {
        Self {
            map,
            part: 0,
            position: 0,
            size,
        }
    }

    /// What comes next.
    pub(super) fn run(&mut self) -> Run {
        while let Some((offset, end)) = self.map.parts.get(self.part) {
            if self.position < *offset {
                return Run::Hole(offset.saturating_sub(self.position));
            }
            if self.position < *end {
                return Run::Data(end.saturating_sub(self.position));
            }
            self.part = self.part.saturating_add(1);
        }
        match self.size.saturating_sub(self.position) {
            0 => Run::End,
            rest => Run::Hole(rest),
        }
    }

    /// Goes on by a part of the run.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.position = self.position.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_in_order_and_within_the_file() {
        let fault = Err(HeaderFault::SparseMap);
        for (entries, want) in [
            (vec![(0, 5), (5, 5)], Ok(10)),
            (vec![(2, 3), (8, 2)], Ok(5)),
            (vec![(0, 0), (0, 0), (10, 0)], Ok(0)),
            (vec![], Ok(0)),
            (vec![(3, 2), (0, 2)], fault),
            (vec![(0, 5), (4, 2)], fault),
            (vec![(5, 6)], fault),
            (vec![(-1, 2)], fault),
            (vec![(1, -1)], fault),
            (vec![(i64::MAX, i64::MAX)], fault),
        ] {
            let data = SparseMap::new(entries.clone(), 10).map(|map| map.data());
            assert_eq!(data, want, "{entries:?}");
        }
    }

    #[test]
    fn runs_cover_the_file() {
        let map = SparseMap::new(vec![(2, 3), (5, 1), (8, 0)], 10).unwrap();
        let mut position = SparsePosition::new(map, 10);
        let mut runs = Vec::new();
        loop {
            let run = position.run();
            runs.push(run);
            match run {
                Run::Data(bytes) | Run::Hole(bytes) => position.advance(bytes),
                Run::End => break,
            }
        }
        assert_eq!(
            runs,
            [
                Run::Hole(2),
                Run::Data(3),
                Run::Data(1),
                Run::Hole(4),
                Run::End
            ]
        );
    }

    #[test]
    fn a_map_in_records_has_as_many_parts_as_it_says() {
        let map = |count: &str, map: &str| {
            SparseRecords {
                count: count.into(),
                map: map.into(),
                ..SparseRecords::default()
            }
            .map()
        };
        assert_eq!(map("2", "0,5,10,2"), Ok(vec![(0, 5), (10, 2)]));
        assert_eq!(map("0", ""), Ok(vec![]));
        for (count, text) in [
            ("1", "0,5,10,2"),
            ("2", "0,5,10"),
            ("1", ""),
            ("", "0,5"),
            ("-1", ""),
            ("1", "0,x"),
            ("1", ",5"),
        ] {
            assert_eq!(
                map(count, text),
                Err(HeaderFault::SparseMap),
                "{count} {text}"
            );
        }
    }
}
