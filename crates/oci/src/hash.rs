//! Computing digests.
//!
//! Here: the hash of bytes as they come. Not here: the text of a digest (`digest`), and whether it is the expected one
//! (`manifest`, `registry`).
//! Invariant: the result is the digest of all bytes that were added, in the algorithm that was asked for.

use crate::digest::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt::Write as _;

/// A digest that is being computed.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// The digest of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha384 => State::Sha384(Sha384::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hash = Self::new(algorithm);
        hash.update(bytes);
        hash.finish()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha384(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest, after the last bytes.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (algorithm, digits) = match self.0 {
            State::Sha256(hash) => (Algorithm::Sha256, hexadecimal(&hash.finalize())),
            State::Sha384(hash) => (Algorithm::Sha384, hexadecimal(&hash.finalize())),
            State::Sha512(hash) => (Algorithm::Sha512, hexadecimal(&hash.finalize())),
        };
        Digest::of_digits(algorithm, &digits)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
