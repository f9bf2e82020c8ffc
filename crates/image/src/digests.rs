//! Digests of what is read, computed while it is read.
//!
//! Here: hashing a stream as it passes. Not here: comparing digests (`read`), and their text (`bailiff_oci::Digest`).
//! Invariant: every byte is hashed where it lies; nothing is copied for it.

use crate::report::Hash;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// A digest that is being computed.
#[derive(Clone)]
pub(crate) enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384.
    Sha384(Sha384),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// The digest of nothing yet.
    #[must_use]
    pub(crate) fn new(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256(Sha256::new()),
            Hash::Sha384 => Self::Sha384(Sha384::new()),
            Hash::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha384(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
        }
    }

    /// The digest of what was added.
    #[must_use]
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(digest) => digest.finalize().to_vec(),
            Self::Sha384(digest) => digest.finalize().to_vec(),
            Self::Sha512(digest) => digest.finalize().to_vec(),
        }
    }
}

/// A blob that is hashed while others read it.
pub(crate) struct Hashed<R> {
    from: R,
    hasher: Option<Hasher>,
    read: Rc<Cell<u64>>,
    fault: Option<i32>,
}

impl<R: Read> Hashed<R> {
    /// Reads from `from`, and hashes it if `hash` says how.
    pub(crate) fn new(from: R, hash: Option<Hash>) -> Self {
        Self {
            from,
            hasher: hash.map(Hasher::new),
            read: Rc::default(),
            fault: None,
        }
    }

    /// The number of bytes that were read, also while somebody else has the reader.
    pub(crate) fn counter(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }

    /// Reads to the end, so that the digest is that of everything.
    ///
    /// # Errors
    /// The kernel's number of the first error of reading, also of one that somebody else was given.
    pub(crate) fn finish(mut self) -> Result<Option<Vec<u8>>, i32> {
        let mut buffer = vec![0; 64 << 10];
        while self.fault.is_none() {
            if let Ok(0) = self.read(&mut buffer) {
                return Ok(self.hasher.map(Hasher::finish));
            }
        }
        Err(self.fault.unwrap_or(0))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match self.from.read(into) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.fault = Some(error.raw_os_error().unwrap_or(0));
                return Err(error);
            }
        };
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, into.get(..count)) {
            hasher.update(bytes);
        }
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        self.read.set(self.read.get().saturating_add(bytes));
        Ok(count)
    }
}
