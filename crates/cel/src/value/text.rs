//! Text and bytes that are borrowed or shared.
//!
//! Here: both, and how they are read. Not here: functions on them (`library`).
//! Invariant: a clone copies no byte.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Text.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// In the host's data or in the program.
    Borrowed(&'a str),
    /// Made by an expression.
    Shared(Arc<str>),
}

impl Text<'_> {
    /// How many characters it has.
    pub(crate) fn characters(&self) -> usize {
        if self.is_ascii() {
            self.len()
        } else {
            self.chars().count()
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

/// Bytes.
#[derive(Clone, Debug)]
pub enum Bytes<'a> {
    /// In the host's data or in the program.
    Borrowed(&'a [u8]),
    /// Made by an expression.
    Shared(Arc<[u8]>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}
