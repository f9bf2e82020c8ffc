//! One file of a layer at a time, readable at any position.
//!
//! Here: where its bytes are while it is read: small ones in memory, large ones in the file that the parent gave.
//! Not here: which files are kept (`bailiff_scan::content::interest`) and what they say.
//! Invariant: it takes the same memory for any file, and no more room on disk than the largest file of a layer that
//! is kept, which has a limit.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes of a file that stay in memory. Most libraries and nearly all metadata are smaller.
pub(crate) const IN_MEMORY: u64 = 4 << 20;
/// Bytes that are copied or read ahead at a time.
const WINDOW: usize = 64 << 10;

/// A file on disk, or in memory for tests.
pub(crate) trait Store: Read + Write + Seek {}
impl<T: Read + Write + Seek> Store for T {}

/// The file that is read now.
pub(crate) struct Spool<S> {
    store: S,
    /// The whole file, or with `stored` the window that begins at `window`.
    memory: Vec<u8>,
    /// Whether the file is in the store.
    stored: bool,
    window: u64,
    /// Bytes of the file that are here.
    filled: u64,
    /// Bytes of them that can be read.
    length: u64,
    position: u64,
}

impl<S: Store> Spool<S> {
    /// A spool that keeps large files in `store`, which it overwrites.
    pub(crate) fn new(store: S) -> Self {
        Self {
            store,
            memory: Vec::new(),
            stored: false,
            window: 0,
            filled: 0,
            length: 0,
            position: 0,
        }
    }

    /// Replaces the file with the next `limit` bytes of `content`, or with those before its end or its first error.
    ///
    /// # Errors
    /// The store cannot be written. The spool is empty then.
    pub(crate) fn fill(&mut self, content: &mut dyn Read, limit: u64) -> io::Result<()> {
        self.filled = 0;
        self.window = 0;
        self.begin(0);
        self.memory.clear();
        self.stored = limit > IN_MEMORY;
        if !self.stored {
            // What was read before an error counts. Who reads the layer on is told of the error.
            drop(content.take(limit).read_to_end(&mut self.memory));
            self.filled = length(&self.memory);
            self.begin(limit);
            return Ok(());
        }
        // What was in the store before is overwritten and not removed: its pages are used again.
        self.store.seek(SeekFrom::Start(0))?;
        let mut left = limit;
        let mut buffer = std::mem::take(&mut self.memory);
        buffer.resize(WINDOW, 0);
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
            let Some(room) = buffer.get_mut(..wanted) else {
                break;
            };
            let count = match content.read(room) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if count == 0 {
                break;
            }
            self.store.write_all(room.get(..count).unwrap_or(room))?;
            left = left.saturating_sub(u64::try_from(count).unwrap_or(left));
        }
        buffer.clear();
        self.memory = buffer;
        self.filled = limit.saturating_sub(left);
        self.begin(limit);
        Ok(())
    }

    /// Goes to the begin of the file, of which no more than this number of bytes can be read from now on.
    pub(crate) fn begin(&mut self, limit: u64) {
        self.position = 0;
        self.length = self.filled.min(limit);
    }

    /// Whether all of a file of this size is here.
    pub(crate) fn is_whole(&self, size: u64) -> bool {
        self.filled == size
    }

    /// The bytes of the file that are here. Empty if they are in the store.
    pub(crate) fn in_memory(&self) -> &[u8] {
        if self.stored { &[] } else { &self.memory }
    }

    /// The number of bytes of the file that are here.
    pub(crate) fn filled(&self) -> u64 {
        self.filled
    }

    /// Shows the bytes from the position on where they lie.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn each(&mut self, mut show: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let bytes = self.ahead()?;
            if bytes.is_empty() {
                return Ok(());
            }
            show(bytes);
            let count = length(bytes);
            self.position = self.position.saturating_add(count);
        }
    }

    /// The bytes in memory from the position on. Reads the window around the position if it is not there.
    fn ahead(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let in_window = self
            .position
            .checked_sub(self.window)
            .filter(|offset| *offset < length(&self.memory));
        if self.stored && in_window.is_none() {
            let left = self.length.saturating_sub(self.position);
            let wanted = usize::try_from(left).unwrap_or(WINDOW).min(WINDOW);
            self.memory.resize(wanted, 0);
            let read = self
                .store
                .seek(SeekFrom::Start(self.position))
                .and_then(|_position| self.store.read_exact(&mut self.memory));
            if let Err(error) = read {
                self.memory.clear();
                return Err(error);
            }
            self.window = self.position;
        }
        let offset = self.position.saturating_sub(self.window);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let ahead = self.memory.get(offset..).unwrap_or_default();
        let left = usize::try_from(self.length.saturating_sub(self.position));
        let left = left.unwrap_or(usize::MAX).min(ahead.len());
        Ok(ahead.get(..left).unwrap_or_default())
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl<S: Store> Read for Spool<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = {
            let ahead = self.ahead()?;
            let count = ahead.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..count), ahead.get(..count)) {
                to.copy_from_slice(from);
            }
            count
        };
        self.position = self
            .position
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

impl<S: Store> Seek for Spool<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let Some(position) = position else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.position = position;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Bytes of which no two windows are equal.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count)
            .map(|index| u8::try_from((index ^ (index >> 8) ^ (index >> 16)) & 0xff).unwrap())
            .collect()
    }

    #[test]
    fn a_file_has_the_same_bytes_in_memory_and_in_the_store() {
        let mut spool = Spool::new(Cursor::new(Vec::new()));
        let limit = usize::try_from(IN_MEMORY).unwrap();
        for size in [0, 1, WINDOW, limit, limit + 1, limit + WINDOW + 3] {
            let file = bytes(size);
            spool
                .fill(&mut file.as_slice(), u64::try_from(size).unwrap())
                .unwrap();
            assert_eq!(spool.stored, size > limit, "{size}");
            let mut read = Vec::new();
            spool.read_to_end(&mut read).unwrap();
            assert!(read == file, "{size}");
            spool.seek(SeekFrom::Start(0)).unwrap();
            let mut shown = Vec::new();
            spool.each(|bytes| shown.extend_from_slice(bytes)).unwrap();
            assert!(shown == file, "{size}");
            let whole = u64::try_from(size).unwrap();
            assert!(
                spool.is_whole(whole) && !spool.is_whole(whole + 1),
                "{size}"
            );
            for position in [
                0,
                size / 3,
                size.saturating_sub(7),
                size / 2,
                size,
                size + 9,
            ] {
                spool
                    .seek(SeekFrom::Start(u64::try_from(position).unwrap()))
                    .unwrap();
                let mut read = Vec::new();
                (&mut spool).take(100).read_to_end(&mut read).unwrap();
                let end = (position + 100).min(size);
                assert_eq!(read, file.get(position..end).unwrap_or_default(), "{size}");
            }
            assert_eq!(
                spool.seek(SeekFrom::End(0)).unwrap(),
                u64::try_from(size).unwrap()
            );
        }
    }

    #[test]
    fn a_file_shows_nothing_of_the_one_before() {
        let mut spool = Spool::new(Cursor::new(Vec::new()));
        let large = vec![7; usize::try_from(IN_MEMORY).unwrap() + 10];
        spool.fill(&mut large.as_slice(), IN_MEMORY + 10).unwrap();
        // It says that it is larger than it is.
        spool
            .fill(&mut [1, 2, 3].as_slice(), IN_MEMORY + 10)
            .unwrap();
        let mut read = Vec::new();
        spool.read_to_end(&mut read).unwrap();
        assert_eq!(read, [1, 2, 3]);
        assert_eq!(spool.seek(SeekFrom::End(0)).unwrap(), 3);
        assert!(spool.seek(SeekFrom::End(-4)).is_err());
    }

    /// Content that fails after some bytes.
    struct Fails<'a>(&'a [u8]);

    impl Read for Fails<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.0.read(into)
        }
    }

    #[test]
    fn what_comes_before_an_error_is_kept() {
        let mut spool = Spool::new(Cursor::new(Vec::new()));
        for limit in [10, IN_MEMORY + 1] {
            spool.fill(&mut Fails(b"some"), limit).unwrap();
            let mut read = Vec::new();
            spool.read_to_end(&mut read).unwrap();
            assert_eq!(read, b"some", "{limit}");
            spool.begin(2);
            read.clear();
            spool.read_to_end(&mut read).unwrap();
            assert_eq!(read, b"so", "{limit}");
            spool.begin(limit);
            assert_eq!(spool.seek(SeekFrom::End(0)).unwrap(), 4, "{limit}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut spool = Spool::new(Cursor::new(Vec::new()));
        let mut content = io::repeat(1);
        spool.fill(&mut content, IN_MEMORY + 1).unwrap();
        assert_eq!(spool.seek(SeekFrom::End(0)).unwrap(), IN_MEMORY + 1);
        assert_eq!(spool.memory.capacity(), WINDOW, "nothing is read twice");
    }
}
