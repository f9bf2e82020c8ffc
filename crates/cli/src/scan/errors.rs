//! What could not be read.
//!
//! Here: errors that do not end the command, and how many are kept. Not here: errors that end it (`crate::Error`).
//! Invariant: each error counts, also one that is not kept. Text in it is escaped before it is kept.

use super::TEXT_LIMIT;
use bailiff_response::messages::escaped;

/// Errors of one kind of input that are kept, so that those of packages do not displace those of advisories.
const KEPT_LIMIT: usize = 100;

/// What could not be read. Each error completes "cannot …".
#[derive(Clone, Debug, Default)]
pub(super) struct Errors {
    kept: Vec<String>,
    count: usize,
}

impl Errors {
    /// Adds an error.
    pub(super) fn add(&mut self, error: &str) {
        self.add_first([error], 1);
    }

    /// Adds the first errors of one kind of input, of which there are `count`.
    pub(super) fn add_first<'a>(&mut self, first: impl IntoIterator<Item = &'a str>, count: usize) {
        let first = first.into_iter().take(KEPT_LIMIT);
        self.kept
            .extend(first.map(|error| escaped(error, TEXT_LIMIT)));
        self.count += count;
    }

    /// Adds those of another part of the command.
    pub(super) fn append(&mut self, mut other: Self) {
        self.kept.append(&mut other.kept);
        self.count += other.count;
    }

    /// The errors that are kept, escaped.
    pub(super) fn kept(&self) -> &[String] {
        &self.kept
    }

    /// The number of all errors.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}
