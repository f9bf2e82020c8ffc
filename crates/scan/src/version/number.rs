//! Decimal numbers of any size.
//!
//! Here: the order of runs of digits. Not here: what stands between them.
//! Invariant: a number is compared by its digits and never computed, so no length overflows.

/// A run of ASCII digits as a number. No digits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number<'a> {
    /// How many digits it has without leading zeros. Of two numbers the one with more digits is greater.
    length: usize,
    digits: &'a str,
}

impl<'a> Number<'a> {
    /// The number that a run of ASCII digits means.
    pub(super) fn new(run: &'a str) -> Self {
        let digits = run.trim_start_matches('0');
        Self {
            length: digits.len(),
            digits,
        }
    }
}

/// Splits a text after the ASCII digits at its start.
pub(super) fn split_digits(text: &str) -> (&str, &str) {
    split(text, |c| c.is_ascii_digit())
}

/// Splits a text before its first character that is not wanted.
pub(super) fn split(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}
