//! Entries of an index that become those of advisories again.
//!
//! Here: texts and lists by their numbers, and how much of them is decoded. Not here: the stored forms (`stored`).
//! Invariant: a number without a text or a list is an error, and so is more than the limit.

use super::{
    Entry, IndexError, Package, Record, StoredDate, StoredEnd, StoredEvent, StoredKind, StoredNote,
    Text,
};
use crate::advisory::{Affected, End, Event, FixDate, Kind, Note, Range, VersionList};
use crate::ecosystem::Ecosystem;

/// Decodes the entries of a package, of a bounded size together.
pub(in super::super) struct Decoder<'a> {
    package: &'a Package<'a>,
    ecosystem: &'a Ecosystem,
    limit: usize,
    /// Bytes of the limit that entries can still take.
    left: usize,
}

impl<'a> Decoder<'a> {
    /// `limit`: bytes of all entries that are decoded.
    pub(in super::super) fn new(
        package: &'a Package<'a>,
        ecosystem: &'a Ecosystem,
        limit: usize,
    ) -> Self {
        Self {
            package,
            ecosystem,
            limit,
            left: limit,
        }
    }

    /// The entries of a record.
    pub(in super::super) fn entries(
        &mut self,
        record: &Record,
    ) -> Result<Vec<Affected>, IndexError> {
        record.entries.iter().map(|of| self.entry(of)).collect()
    }

    fn entry(&mut self, entry: &Entry) -> Result<Affected, IndexError> {
        self.take(size_of::<Affected>())?;
        let ecosystem = if entry.is_of_subscription {
            let pro = self.ecosystem.with_subscription();
            pro.ok_or(IndexError::Damaged("ecosystem"))?
        } else {
            self.ecosystem.clone()
        };
        let statements = entry.statements.iter();
        let statements = statements
            .map(|of| of.statement(|text| self.text(*text)))
            .collect::<Result<_, _>>()?;
        Ok(Affected {
            ecosystem,
            name: self.package.name.to_owned(),
            kind: match &entry.kind {
                StoredKind::Vulnerability => Kind::Vulnerability,
                StoredKind::Malicious => Kind::Malicious,
                StoredKind::Informational(word) => Kind::Informational(self.text(*word)?),
            },
            statements,
            ranges: self.ranges(&entry.ranges)?,
            custom_ranges: self.ranges(&entry.custom_ranges)?,
            versions: match entry.versions {
                Some(list) => self.list(list)?,
                None => VersionList::default(),
            },
            last_known: match &entry.last_known {
                None => None,
                Some(StoredEnd::Open) => Some(End::Open),
                Some(StoredEnd::Fixed(of)) => Some(End::Fixed(self.text(*of)?)),
                Some(StoredEnd::LastAffected(of)) => Some(End::LastAffected(self.text(*of)?)),
                Some(StoredEnd::Before(of)) => Some(End::Before(self.text(*of)?)),
            },
            notes: self.notes(&entry.notes)?,
            fix_dates: self.fix_dates(&entry.fix_dates)?,
        })
    }

    fn ranges(&mut self, ranges: &[Vec<StoredEvent>]) -> Result<Vec<Range>, IndexError> {
        let range = |events: &Vec<StoredEvent>| {
            let events = events.iter().map(|event| {
                Ok(match event {
                    StoredEvent::Introduced(of) => Event::Introduced(self.text(*of)?),
                    StoredEvent::Fixed(of) => Event::Fixed(self.text(*of)?),
                    StoredEvent::LastAffected(of) => Event::LastAffected(self.text(*of)?),
                    StoredEvent::Limit(of) => Event::Limit(self.text(*of)?),
                })
            });
            let events = events.collect::<Result<_, IndexError>>()?;
            Ok(Range { events })
        };
        ranges.iter().map(range).collect()
    }

    fn notes(&mut self, notes: &[StoredNote]) -> Result<Vec<Note>, IndexError> {
        let note = |note: &StoredNote| {
            Ok(match note {
                StoredNote::Unimportant => Note::Unimportant,
                StoredNote::Undetermined(of) => Note::Undetermined(self.text(*of)?),
                StoredNote::Postponed(of) => Note::Postponed(self.text(*of)?),
                StoredNote::WontFix(of) => Note::WontFix(self.text(*of)?),
                StoredNote::EndOfLife(of) => Note::EndOfLife(self.text(*of)?),
            })
        };
        notes.iter().map(note).collect()
    }

    fn fix_dates(&mut self, dates: &[StoredDate]) -> Result<Vec<FixDate>, IndexError> {
        let date = |of: &StoredDate| {
            Ok(FixDate {
                version: self.text(of.version)?,
                date: of.day.date()?,
                source: match of.announcement {
                    Some(name) => self.text(name)?,
                    None => FixDate::INDEX.to_owned(),
                },
            })
        };
        dates.iter().map(date).collect()
    }

    fn list(&mut self, list: u32) -> Result<VersionList, IndexError> {
        let list = usize::try_from(list).ok();
        let list = list.and_then(|list| self.package.lists.get(list));
        let list = list.ok_or(IndexError::Damaged("list of versions"))?;
        self.take(size_of::<usize>() * list.len())?;
        let mut versions = VersionList::with_capacity(list.len());
        for text in list {
            let version = self.stored(*text)?;
            self.take(version.len())?;
            versions.push(version);
        }
        Ok(versions)
    }

    fn text(&mut self, text: Text) -> Result<String, IndexError> {
        let text = self.stored(text)?;
        self.take(size_of::<String>() + text.len())?;
        Ok(text.to_owned())
    }

    /// The text with a number.
    fn stored(&self, text: Text) -> Result<&'a str, IndexError> {
        let text = usize::try_from(text).ok();
        let text = text.and_then(|text| self.package.texts.get(text));
        text.copied().ok_or(IndexError::Damaged("text"))
    }

    fn take(&mut self, bytes: usize) -> Result<(), IndexError> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(IndexError::TooLarge(self.limit))?;
        Ok(())
    }
}
