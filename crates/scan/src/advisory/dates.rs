//! When a fixed version was published, and who says so.
//!
//! Here: which date counts. Not here: where dates are from (`debian_list`, `index`).
//! Invariant: a date of an announcement counts before one of an index.

use super::{Affected, FixDate};

impl FixDate {
    /// The source of a date that no publisher gave: the day of the first index that had the fix.
    pub const INDEX: &str = "index";

    /// Whether a publisher gave the date.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.source != Self::INDEX
    }
}

impl Affected {
    /// When a fixed version was published: the earliest day of an announcement, otherwise that of the first index. None
    /// if that is unknown.
    #[must_use]
    pub fn fix_date(&self, version: &str) -> Option<&FixDate> {
        let of_version = self.fix_dates.iter().filter(|of| of.version == version);
        of_version.min_by_key(|of| (!of.is_announced(), of.date))
    }
}
