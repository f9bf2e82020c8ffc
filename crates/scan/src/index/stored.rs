//! What an index has about a package, and how it becomes advisories again.
//!
//! Here: the stored forms, each beside the type that it stands for. Not here: where they are in the file (`layout`).
//! Invariant: what is stored and read again is equal. Numbers of texts and lists are checked, and what is decoded has a
//! bounded size, however often it names one list.
//!
//! The types that are stored are not those of the rest of the crate, so that a change there is no silent change of the
//! format: a field that is new there does not compile here.

use super::IndexError;
use super::interned::Interned;
use crate::advisory::{Advisory, Affected, End, Event, FixDate, Kind, Note, Range, VersionList};
use crate::ecosystem::Ecosystem;
use crate::severity::cve::CveRecord;
use crate::severity::{CveSource, CvssVersion, Statement};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The number of a text in the table of its package.
pub(super) type Text = u32;

/// What an advisory says about all of its packages.
#[derive(Serialize, Deserialize)]
pub(super) struct Head<'a> {
    id: &'a str,
    #[serde(borrow)]
    aliases: Vec<&'a str>,
    #[serde(borrow)]
    upstream: Vec<&'a str>,
    title: &'a str,
    modified: Option<Moment>,
    withdrawn: bool,
    #[serde(borrow)]
    statements: Vec<StoredStatement<&'a str>>,
}

/// Seconds and nanoseconds from 1970 on.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moment(i64, i32);

/// Everything about a package.
#[derive(Serialize, Deserialize)]
pub(super) struct Package<'a> {
    /// The ecosystem of the package, without subscription.
    pub(super) ecosystem: &'a str,
    pub(super) name: &'a str,
    /// The packages that it stands for, if it is an artifact of any group: then it has no records of its own.
    #[serde(borrow)]
    pub(super) stands_for: Vec<&'a str>,
    /// The texts of its entries.
    #[serde(borrow)]
    pub(super) texts: Vec<&'a str>,
    /// The lists of versions of its entries.
    pub(super) lists: Vec<Vec<Text>>,
    pub(super) records: Vec<Record>,
}

/// A state of an advisory, as far as it is about one package.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The offset of its head.
    pub(super) head: u64,
    /// The sources that have it, by number.
    pub(super) sources: Vec<u32>,
    pub(super) entries: Vec<Entry>,
}

/// An entry of a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whether it is about the packages of a subscription.
    pub(super) is_of_subscription: bool,
    kind: StoredKind,
    statements: Vec<StoredStatement<Text>>,
    pub(super) ranges: Vec<Vec<StoredEvent>>,
    pub(super) custom_ranges: Vec<Vec<StoredEvent>>,
    /// The number of the list of versions. None if it lists none.
    versions: Option<u32>,
    last_known: Option<StoredEnd>,
    notes: Vec<StoredNote>,
    pub(super) fix_dates: Vec<StoredDate>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum StoredKind {
    Vulnerability,
    Malicious,
    Informational(Text),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredStatement<T> {
    UbuntuPriority(T),
    Cvss(StoredCvss, T),
    Word(T),
    Cve(StoredCveSource, StoredCvss, T),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredCveSource {
    Cna,
    CisaAdp,
    Nvd,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredCvss {
    V31,
    V30,
    V40,
    V20,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StoredEvent {
    Introduced(Text),
    Fixed(Text),
    LastAffected(Text),
    Limit(Text),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoredEnd {
    Open,
    Fixed(Text),
    LastAffected(Text),
    Before(Text),
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoredNote {
    Unimportant,
    Undetermined(Text),
    Postponed(Text),
    WontFix(Text),
    EndOfLife(Text),
}

/// A version, the day as year, month and day, and the announcement. None if the day is that of an index.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredDate {
    pub(super) version: Text,
    pub(super) day: Day,
    pub(super) announcement: Option<Text>,
}

/// Year, month and day.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day(i16, i8, i8);

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self(date.year(), date.month(), date.day())
    }
}

impl Day {
    pub(super) fn date(self) -> Result<Date, IndexError> {
        let date = Date::new(self.0, self.1, self.2).ok();
        date.ok_or(IndexError::Damaged("date"))
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(time.as_second(), time.subsec_nanosecond())
    }
}

impl Moment {
    pub(super) fn time(self) -> Result<Timestamp, IndexError> {
        let time = Timestamp::new(self.0, self.1).ok();
        time.ok_or(IndexError::Damaged("time"))
    }
}

impl From<CvssVersion> for StoredCvss {
    fn from(version: CvssVersion) -> Self {
        match version {
            CvssVersion::V31 => Self::V31,
            CvssVersion::V30 => Self::V30,
            CvssVersion::V40 => Self::V40,
            CvssVersion::V20 => Self::V20,
        }
    }
}

impl From<StoredCvss> for CvssVersion {
    fn from(version: StoredCvss) -> Self {
        match version {
            StoredCvss::V31 => Self::V31,
            StoredCvss::V30 => Self::V30,
            StoredCvss::V40 => Self::V40,
            StoredCvss::V20 => Self::V20,
        }
    }
}

impl From<CveSource> for StoredCveSource {
    fn from(source: CveSource) -> Self {
        match source {
            CveSource::Cna => Self::Cna,
            CveSource::CisaAdp => Self::CisaAdp,
            CveSource::Nvd => Self::Nvd,
        }
    }
}

impl From<StoredCveSource> for CveSource {
    fn from(source: StoredCveSource) -> Self {
        match source {
            StoredCveSource::Cna => Self::Cna,
            StoredCveSource::CisaAdp => Self::CisaAdp,
            StoredCveSource::Nvd => Self::Nvd,
        }
    }
}

impl<T> StoredStatement<T> {
    /// What is stored for a statement; `text` stores a text.
    pub(super) fn of<'a>(statement: &'a Statement, text: impl FnOnce(&'a str) -> T) -> Self {
        match statement {
            Statement::UbuntuPriority(word) => Self::UbuntuPriority(text(word)),
            Statement::Cvss(version, vector) => Self::Cvss((*version).into(), text(vector)),
            Statement::Word(word) => Self::Word(text(word)),
            Statement::Cve(source, version, vector) => {
                Self::Cve((*source).into(), (*version).into(), text(vector))
            }
        }
    }

    /// The statement; `text` gives a text that was stored.
    pub(super) fn statement(
        &self,
        text: impl FnOnce(&T) -> Result<String, IndexError>,
    ) -> Result<Statement, IndexError> {
        Ok(match self {
            Self::UbuntuPriority(word) => Statement::UbuntuPriority(text(word)?),
            Self::Cvss(version, vector) => Statement::Cvss((*version).into(), text(vector)?),
            Self::Word(word) => Statement::Word(text(word)?),
            Self::Cve(source, version, vector) => {
                Statement::Cve((*source).into(), (*version).into(), text(vector)?)
            }
        })
    }
}

impl<'a> Head<'a> {
    /// What is stored of an advisory once, without its entries.
    pub(super) fn of(advisory: &'a Advisory) -> Self {
        // A new field of an advisory has to be stored.
        let Advisory {
            id,
            aliases,
            upstream,
            title,
            modified,
            withdrawn,
            statements,
            affected: _,
        } = advisory;
        Self {
            id,
            aliases: aliases.iter().map(String::as_str).collect(),
            upstream: upstream.iter().map(String::as_str).collect(),
            title,
            modified: modified.map(Moment::from),
            withdrawn: *withdrawn,
            statements: statements
                .iter()
                .map(|statement| StoredStatement::of(statement, |text| text))
                .collect(),
        }
    }

    /// The advisory with these entries.
    pub(super) fn advisory(&self, affected: Vec<Affected>) -> Result<Advisory, IndexError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let statements = self.statements.iter();
        let statements = statements.map(|of| of.statement(|text| Ok((*text).to_owned())));
        Ok(Advisory {
            id: self.id.to_owned(),
            aliases: owned(&self.aliases),
            upstream: owned(&self.upstream),
            title: self.title.to_owned(),
            modified: self.modified.map(Moment::time).transpose()?,
            withdrawn: self.withdrawn,
            statements: statements.collect::<Result<_, _>>()?,
            affected,
        })
    }
}

impl Entry {
    /// What is stored of an entry. Its texts and its list become part of `interned`.
    pub(super) fn of(entry: &Affected, interned: &mut Interned) -> Self {
        // A new field of an entry has to be stored.
        let Affected {
            ecosystem,
            name: _,
            kind,
            statements,
            ranges,
            custom_ranges,
            versions,
            last_known,
            notes,
            fix_dates,
        } = entry;
        Self {
            is_of_subscription: ecosystem.is_of_subscription(),
            kind: match kind {
                Kind::Vulnerability => StoredKind::Vulnerability,
                Kind::Malicious => StoredKind::Malicious,
                Kind::Informational(word) => StoredKind::Informational(interned.text(word)),
            },
            statements: statements
                .iter()
                .map(|statement| StoredStatement::of(statement, |text| interned.text(text)))
                .collect(),
            ranges: ranges.iter().map(|range| events(range, interned)).collect(),
            custom_ranges: custom_ranges
                .iter()
                .map(|range| events(range, interned))
                .collect(),
            versions: (!versions.is_empty()).then(|| interned.list(versions)),
            last_known: last_known.as_ref().map(|end| match end {
                End::Open => StoredEnd::Open,
                End::Fixed(version) => StoredEnd::Fixed(interned.text(version)),
                End::LastAffected(version) => StoredEnd::LastAffected(interned.text(version)),
                End::Before(version) => StoredEnd::Before(interned.text(version)),
            }),
            notes: notes
                .iter()
                .map(|note| match note {
                    Note::Unimportant => StoredNote::Unimportant,
                    Note::Undetermined(of) => StoredNote::Undetermined(interned.text(of)),
                    Note::Postponed(of) => StoredNote::Postponed(interned.text(of)),
                    Note::WontFix(of) => StoredNote::WontFix(interned.text(of)),
                    Note::EndOfLife(of) => StoredNote::EndOfLife(interned.text(of)),
                })
                .collect(),
            fix_dates: fix_dates
                .iter()
                .map(|of| StoredDate {
                    version: interned.text(&of.version),
                    day: of.date.into(),
                    announcement: of.is_announced().then(|| interned.text(&of.source)),
                })
                .collect(),
        }
    }

    /// The same entry with the numbers of other tables.
    pub(super) fn renumbered(
        mut self,
        mut text: impl FnMut(Text) -> Text,
        mut list: impl FnMut(u32) -> u32,
    ) -> Self {
        match &mut self.kind {
            StoredKind::Vulnerability | StoredKind::Malicious => {}
            StoredKind::Informational(word) => *word = text(*word),
        }
        for statement in &mut self.statements {
            match statement {
                StoredStatement::UbuntuPriority(of)
                | StoredStatement::Cvss(_, of)
                | StoredStatement::Word(of)
                | StoredStatement::Cve(_, _, of) => *of = text(*of),
            }
        }
        for event in self
            .ranges
            .iter_mut()
            .chain(&mut self.custom_ranges)
            .flatten()
        {
            match event {
                StoredEvent::Introduced(version)
                | StoredEvent::Fixed(version)
                | StoredEvent::LastAffected(version)
                | StoredEvent::Limit(version) => *version = text(*version),
            }
        }
        self.versions = self.versions.map(&mut list);
        match &mut self.last_known {
            None | Some(StoredEnd::Open) => {}
            Some(
                StoredEnd::Fixed(version)
                | StoredEnd::LastAffected(version)
                | StoredEnd::Before(version),
            ) => *version = text(*version),
        }
        for note in &mut self.notes {
            match note {
                StoredNote::Unimportant => {}
                StoredNote::Undetermined(of)
                | StoredNote::Postponed(of)
                | StoredNote::WontFix(of)
                | StoredNote::EndOfLife(of) => *of = text(*of),
            }
        }
        for date in &mut self.fix_dates {
            date.version = text(date.version);
            date.announcement = date.announcement.map(&mut text);
        }
        self
    }

    /// The fixed versions of its ranges.
    pub(super) fn fixed(&self) -> impl Iterator<Item = Text> {
        let events = self.ranges.iter().chain(&self.custom_ranges).flatten();
        events.filter_map(|event| match event {
            StoredEvent::Fixed(version) => Some(*version),
            StoredEvent::Introduced(_) | StoredEvent::LastAffected(_) | StoredEvent::Limit(_) => {
                None
            }
        })
    }
}

fn events(range: &Range, interned: &mut Interned) -> Vec<StoredEvent> {
    let Range { events } = range;
    let events = events.iter().map(|event| match event {
        Event::Introduced(version) => StoredEvent::Introduced(interned.text(version)),
        Event::Fixed(version) => StoredEvent::Fixed(interned.text(version)),
        Event::LastAffected(version) => StoredEvent::LastAffected(interned.text(version)),
        Event::Limit(version) => StoredEvent::Limit(interned.text(version)),
    });
    events.collect()
}

/// What is known about a CVE.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredCve<'a> {
    pub(super) id: &'a str,
    is_rejected: bool,
    title: &'a str,
    #[serde(borrow)]
    statements: Vec<StoredStatement<&'a str>>,
}

impl<'a> StoredCve<'a> {
    pub(super) fn of(record: &'a CveRecord) -> Self {
        // A new field of a record has to be stored.
        let CveRecord {
            id,
            is_rejected,
            title,
            statements,
        } = record;
        let statements = statements.iter();
        Self {
            id,
            is_rejected: *is_rejected,
            title,
            statements: statements
                .map(|statement| StoredStatement::of(statement, |text| text))
                .collect(),
        }
    }

    pub(super) fn record(&self) -> Result<CveRecord, IndexError> {
        let statements = self.statements.iter();
        let statements = statements.map(|of| of.statement(|text| Ok((*text).to_owned())));
        Ok(CveRecord {
            id: self.id.to_owned(),
            is_rejected: self.is_rejected,
            title: self.title.to_owned(),
            statements: statements.collect::<Result<_, _>>()?,
        })
    }
}

/// Decodes the entries of a package, of a bounded size together.
pub(super) struct Decoder<'a> {
    package: &'a Package<'a>,
    ecosystem: &'a Ecosystem,
    limit: usize,
    /// Bytes of the limit that entries can still take.
    left: usize,
}

impl<'a> Decoder<'a> {
    /// `limit`: bytes of all entries that are decoded.
    pub(super) fn new(package: &'a Package<'a>, ecosystem: &'a Ecosystem, limit: usize) -> Self {
        Self {
            package,
            ecosystem,
            limit,
            left: limit,
        }
    }

    /// The entries of a record.
    pub(super) fn entries(&mut self, record: &Record) -> Result<Vec<Affected>, IndexError> {
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
