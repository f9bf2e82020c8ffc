//! What could not be read.
//!
//! Here: errors that do not end a scan, and how many of them are kept. Not here: how they are printed.
//! Invariant: each error counts, also one that is not kept. What is kept has a bounded length. It is not printable yet.

/// Errors of one kind of input that are kept, so that those of packages do not displace those of advisories.
const KEPT_LIMIT: usize = 100;
/// Characters of an error.
const TEXT_LIMIT: usize = 1000;

/// What could not be read. Each error completes "cannot read …".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    kept: Vec<String>,
    count: usize,
}

impl Unread {
    /// Adds an error.
    pub fn add(&mut self, error: &str) {
        self.add_first([error], 1);
    }

    /// Adds the first errors of one kind of input, of which there are `count`.
    pub fn add_first<'a>(&mut self, first: impl IntoIterator<Item = &'a str>, count: usize) {
        let first = first.into_iter().take(KEPT_LIMIT);
        let first = first.map(|error| error.chars().take(TEXT_LIMIT).collect());
        self.kept.extend(first);
        self.count = self.count.saturating_add(count);
    }

    /// Adds those of another part of a scan.
    pub fn append(&mut self, mut other: Self) {
        self.kept.append(&mut other.kept);
        self.count = self.count.saturating_add(other.count);
    }

    /// The errors that are kept, as they were given.
    #[must_use]
    pub fn kept(&self) -> &[String] {
        &self.kept
    }

    /// The number of all errors.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}
