//! An index in memory without reading it.
//!
//! Here: the map of the file, and the only unsafe code of Bailiff. Not here: what the bytes mean
//! (`bailiff_scan::index`).
//! Invariant: the file is mapped for reading, and Bailiff never writes to a file that has the name of an index: it writes
//! another one beside it and renames it. A file that was replaced stays as it was for those who have it mapped.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

/// A file in memory.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    /// Maps a file for reading.
    ///
    /// # Errors
    /// If it cannot be opened, or is something else than a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened, because opening a pipe waits.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let file = File::open(path)?;
        #[allow(
            unsafe_code,
            reason = "Mapping is undefined if the file is changed or truncated while it is mapped. `feed build` writes \
                      beside the file and renames, so it never does that to one that exists. Somebody else who can \
                      write the file can replace it as well, and what they gain is that this process ends (SIGBUS) or \
                      reads other bytes: `bailiff_scan::index` checks each part before it is decoded, copies what it \
                      takes from it, and is fuzzed with files that have any content. The alternative, reading the \
                      whole file, costs hundreds of megabytes and takes longer than most scans."
        )]
        // SAFETY: the file is open for reading, and no code of Bailiff changes a file under this name, as above.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(map))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
