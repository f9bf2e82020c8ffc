//! When fixes were first known.
//!
//! Here: the dates that an index takes over from the one before it. Not here: the dates that publishers give
//! (`advisory`).
//! Invariant: a fix gets the day of today only if an index before it had advisories of the ecosystem and not the fix. If
//! that is unknown, the fix has no date.

use super::interned::Interned;
use super::stored::{Day, Entry, StoredDate};
use super::{Index, IndexError};
use crate::advisory::{Advisory, Event, cve};
use crate::ecosystem::Ecosystem;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use std::collections::{BTreeMap, BTreeSet};

/// The index before.
pub(super) struct Previous<'a> {
    index: Index<'a>,
    /// The ecosystems that it has advisories of.
    ecosystems: BTreeSet<Ecosystem>,
    today: Date,
}

/// The names under which fixes are found again: that of the advisory, and its CVEs.
pub(super) fn names(advisory: &Advisory) -> impl Iterator<Item = &str> {
    let cves = advisory.names().filter_map(cve);
    std::iter::once(advisory.id.as_str()).chain(cves)
}

/// The fixes of a package that an index before has.
pub(super) struct Fixes<'a> {
    /// When each one was first known, by name, subscription and version. None if that is unknown.
    known: BTreeMap<(String, bool, String), Option<Date>>,
    ecosystem: &'a Ecosystem,
    previous: &'a Previous<'a>,
}

impl<'a> Previous<'a> {
    pub(super) fn of(index: Index<'a>, now: Timestamp) -> Result<Self, IndexError> {
        let sources = index.sources()?;
        let ecosystems = sources.into_iter().flat_map(|source| source.ecosystems);
        Ok(Self {
            index,
            ecosystems: ecosystems.map(|(ecosystem, _)| ecosystem).collect(),
            today: Offset::UTC.to_datetime(now).date(),
        })
    }

    /// The fixes of a package.
    pub(super) fn fixes<'b>(
        &'b self,
        ecosystem: &'b Ecosystem,
        name: &str,
    ) -> Result<Fixes<'b>, IndexError> {
        let mut known: BTreeMap<_, Option<Date>> = BTreeMap::new();
        for found in self.index.get(ecosystem, name)? {
            for entry in &found.advisory.affected {
                let ranges = entry.ranges.iter().chain(&entry.custom_ranges);
                for event in ranges.flat_map(|range| &range.events) {
                    let version = match event {
                        Event::Fixed(version) => version,
                        Event::Introduced(_) | Event::LastAffected(_) | Event::Limit(_) => continue,
                    };
                    let first = entry.fix_dates.iter();
                    let first = first.filter(|of| of.version == *version && !of.is_announced());
                    let first = first.map(|of| of.date).min();
                    for name in names(&found.advisory) {
                        let is_of_subscription = entry.ecosystem.is_of_subscription();
                        let fix = (name.to_owned(), is_of_subscription, version.clone());
                        // What has no date was known before dates were.
                        let date = known.entry(fix).or_insert(first);
                        *date = (*date).min(first);
                    }
                }
            }
        }
        Ok(Fixes {
            known,
            ecosystem,
            previous: self,
        })
    }
}

impl Fixes<'_> {
    /// Adds to an entry the dates of its fixes that no publisher gives.
    pub(super) fn date(&self, names: &[&str], entry: &mut Entry, interned: &Interned) {
        let ecosystem = if entry.is_of_subscription {
            self.ecosystem.with_subscription()
        } else {
            Some(self.ecosystem.clone())
        };
        let is_known = ecosystem.is_some_and(|of| self.previous.ecosystems.contains(&of));
        if !is_known {
            return;
        }
        let fixed: BTreeSet<_> = entry.fixed().collect();
        for version in fixed {
            if entry.fix_dates.iter().any(|of| of.version == version) {
                continue;
            }
            let text = interned.text_of(version);
            let of_names = names.iter().filter_map(|name| {
                let fix = (
                    (*name).to_owned(),
                    entry.is_of_subscription,
                    text.to_owned(),
                );
                self.known.get(&fix).copied()
            });
            let first = of_names.min().unwrap_or(Some(self.previous.today));
            if let Some(date) = first {
                entry.fix_dates.push(StoredDate {
                    version,
                    day: Day::from(date),
                    announcement: None,
                });
            }
        }
    }
}
