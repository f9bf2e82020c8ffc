//! Which findings count.
//!
//! Here: whether a finding counts, and why not. Not here: the entries of a list of findings to ignore (`ignore`).
//! Invariant: a finding that does not count has a reason that can be shown. What cannot be determined about a finding is
//! no such reason.

use crate::advisory::Kind;
use crate::ignore::{Entry, IgnoreList};
use crate::matching::{Finding, NotCounted, Settled, State};
use jiff::civil::Date;

/// What decides whether a finding counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Findings to ignore.
    pub ignore: IgnoreList,
    /// The day, in UTC, on which they are ignored or not.
    pub today: Date,
    /// Whether only findings count that have a fixed version, or of which that cannot be determined.
    pub only_fixed: bool,
}

/// Whether a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It counts.
    Counted,
    /// It is ignored because of this entry.
    Ignored(&'a Entry),
    /// What its advisories say, or its packages are, is no reason to act.
    NotCounted(&'a NotCounted),
    /// The distribution that installed its package says that this is fixed or not affected.
    Settled(&'a Settled),
    /// The packages of the distribution that installed its package have the same finding, and that one counts.
    OfOwner(&'a [String]),
    /// No fixed version is known, and only findings with one count.
    NotFixed,
}

impl Counting {
    /// All vulnerabilities and malicious packages count.
    #[must_use]
    pub fn all(today: Date) -> Self {
        Self {
            ignore: IgnoreList::default(),
            today,
            only_fixed: false,
        }
    }

    /// Whether a finding counts.
    #[must_use]
    pub fn standing<'a>(&'a self, finding: &'a Finding) -> Standing<'a> {
        if let Some(entry) = self.ignore.ignoring(finding, self.today) {
            return Standing::Ignored(entry);
        }
        if let Some(why) = &finding.not_counted {
            return Standing::NotCounted(why);
        }
        if let Some(settled) = &finding.settled {
            return Standing::Settled(settled);
        }
        if !finding.of_owner.is_empty() {
            return Standing::OfOwner(&finding.of_owner);
        }
        match &finding.kind {
            // The remedy is to remove it, and that is always possible.
            Kind::Malicious => Standing::Counted,
            Kind::Vulnerability | Kind::Informational(_) => match finding.state {
                State::Open | State::WontFix(_) | State::Postponed(_) | State::EndOfLife(_)
                    if self.only_fixed =>
                {
                    Standing::NotFixed
                }
                State::Open
                | State::WontFix(_)
                | State::Postponed(_)
                | State::EndOfLife(_)
                | State::Fixed(_)
                | State::FixedWithSubscription(_)
                | State::Unknown(_) => Standing::Counted,
            },
        }
    }

    /// Whether a finding counts.
    #[must_use]
    pub fn counts(&self, finding: &Finding) -> bool {
        self.standing(finding) == Standing::Counted
    }
}

#[cfg(test)]
mod tests;
