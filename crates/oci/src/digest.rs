//! Digests of content.
//!
//! Here: the text of a digest. Not here: computing one.
//! Invariant: a digest has an algorithm of [`Algorithm`] and exactly as many lowercase hexadecimal
//! digits as that algorithm gives. Two digests are equal only if their algorithms are.

use crate::excerpt::Excerpt;
use std::fmt;

/// The algorithm of a digest: those that container runtimes verify.
///
/// containerd has these three; the OCI image specification registers the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, which practically every registry uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits a digest has.
    #[must_use]
    pub const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    /// The algorithm of that name. Names are case-sensitive.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// The digest of a manifest, index or blob, such as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    text: Box<str>,
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Its algorithm is none of [`Algorithm`], or it has no colon.
    #[error("digest algorithm {part} is not supported; use sha256, sha384 or sha512")]
    Algorithm {
        /// The algorithm as written.
        part: Excerpt,
    },
    /// The digits are too few, too many, or not lowercase hexadecimal.
    #[error(
        "{} digest {part} is malformed; write exactly {} lowercase hexadecimal digits",
        .algorithm.name(),
        .algorithm.digits()
    )]
    Digits {
        /// The algorithm before the colon.
        algorithm: Algorithm,
        /// What follows the colon.
        part: Excerpt,
    },
}

impl Digest {
    /// The digest that `text` is.
    ///
    /// # Errors
    /// The text has another algorithm, or another number or kind of digits.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let (name, digits) = text.split_once(':').unwrap_or((text, ""));
        let Some(algorithm) = Algorithm::named(name) else {
            let part = Excerpt::of(name);
            return Err(InvalidDigest::Algorithm { part });
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != algorithm.digits() || !digits.bytes().all(is_hex) {
            let part = Excerpt::of(digits);
            return Err(InvalidDigest::Digits { algorithm, part });
        }
        Ok(Self {
            algorithm,
            text: text.into(),
        })
    }

    /// The digest with digits that were computed.
    #[cfg(feature = "registry")]
    pub(crate) fn of_digits(algorithm: Algorithm, digits: &str) -> Self {
        debug_assert_eq!(digits.len(), algorithm.digits());
        Self {
            algorithm,
            text: format!("{}:{digits}", algorithm.name()).into(),
        }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Algorithm, colon and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_has_its_own_number_of_digits() {
        for algorithm in Algorithm::ALL {
            for (name, digits, valid) in [
                ("exact", "0a".repeat(algorithm.digits() / 2), true),
                ("one less", "a".repeat(algorithm.digits() - 1), false),
                ("one more", "a".repeat(algorithm.digits() + 1), false),
                ("upper case", "A".repeat(algorithm.digits()), false),
                ("no hexadecimal", "g".repeat(algorithm.digits()), false),
                ("none", String::new(), false),
            ] {
                let text = format!("{}:{digits}", algorithm.name());
                match Digest::parse(&text) {
                    Ok(digest) => {
                        assert!(valid, "{name}: {text}");
                        assert_eq!(digest.algorithm(), algorithm, "{name}");
                        assert_eq!(digest.as_str(), text, "{name}");
                    }
                    Err(error) => {
                        assert!(!valid, "{name}: {text}");
                        let part = Excerpt::of(&digits);
                        assert_eq!(error, InvalidDigest::Digits { algorithm, part }, "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_digits_of_one_algorithm_are_no_digest_of_another() {
        for (algorithm, digits) in [("sha256", 128), ("sha512", 64), ("sha384", 64)] {
            let text = format!("{algorithm}:{}", "a".repeat(digits));
            assert!(Digest::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_invalid_digest_says_what_is_wrong() {
        for (text, want) in [
            (
                "md5:00",
                "digest algorithm \"md5\" is not supported; use sha256, sha384 or sha512",
            ),
            (
                "SHA256:00",
                "digest algorithm \"SHA256\" is not supported; use sha256, sha384 or sha512",
            ),
            (
                "",
                "digest algorithm \"\" is not supported; use sha256, sha384 or sha512",
            ),
            (
                "sha256:0",
                "sha256 digest \"0\" is malformed; write exactly 64 lowercase hexadecimal digits",
            ),
            (
                "sha512",
                "sha512 digest \"\" is malformed; write exactly 128 lowercase hexadecimal digits",
            ),
        ] {
            assert_eq!(Digest::parse(text).unwrap_err().to_string(), want);
        }
    }
}
