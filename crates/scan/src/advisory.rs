//! What is known about the vulnerabilities of packages.
//!
//! Here: an advisory, and which versions it affects (`versions`). Not here: how advisories are published (`osv`, `secdb`,
//! `debian`, `debian_list`), and which packages are installed (`matching`).
//! Invariant: an advisory that names a package either says of a version whether it is affected, or why that is
//! unknown.

pub mod collection;
mod dates;
pub mod debian;
pub mod debian_list;
pub mod osv;
pub mod secdb;
mod text;
mod version_list;
mod versions;

pub(crate) use text::{is_id, line};
pub use version_list::VersionList;
pub use versions::{Cause, End, Verdict};

use crate::ecosystem::Ecosystem;
use crate::severity::Statement;
use jiff::Timestamp;
use jiff::civil::Date;

/// What somebody published about a vulnerability, and the packages that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advisory {
    /// Its name, such as `GHSA-jfh8-c2jp-5v3q`: printable ASCII without spaces.
    pub id: String,
    /// Other names of the same vulnerability: printable ASCII without spaces.
    pub aliases: Vec<String>,
    /// The names of the vulnerabilities that it passes on: printable ASCII without spaces.
    pub upstream: Vec<String>,
    /// One line about it, as published. Empty if there is none.
    pub title: String,
    /// When it was changed. None if the advisory does not say so.
    pub modified: Option<Timestamp>,
    /// Whether its publisher withdrew it.
    pub withdrawn: bool,
    /// What it says about the severity.
    pub statements: Vec<Statement>,
    /// The packages that it names, of the ecosystems that Bailiff knows.
    pub affected: Vec<Affected>,
}

/// The CVE that a name stands for: `CVE-2021-3782`, or that with the prefix of a database, as `UBUNTU-CVE-2021-3782`.
#[must_use]
pub fn cve(name: &str) -> Option<&str> {
    let start = name.find("CVE-")?;
    let is_prefix = |prefix: &str| {
        let prefix = prefix.strip_suffix('-');
        prefix.is_some_and(|p| !p.is_empty() && p.bytes().all(|byte| byte.is_ascii_uppercase()))
    };
    if start > 0 && !is_prefix(&name[..start]) {
        return None;
    }
    let cve = &name[start..];
    let (year, number) = cve["CVE-".len()..].split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (year.len() == 4 && is_number(year) && is_number(number)).then_some(cve)
}

/// What an advisory is about. The one that counts more is greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Information about a package that is no vulnerability, such as `unmaintained`, in the publisher's word. What has
    /// a CVE or a CVSS vector is a vulnerability, whatever the word is.
    Informational(String),
    /// A vulnerability.
    Vulnerability,
    /// The package itself is malicious.
    Malicious,
}

/// A package that an advisory names, and the affected versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Where the package comes from.
    pub ecosystem: Ecosystem,
    /// Its name in the normal form of the ecosystem.
    pub name: String,
    /// What the advisory says about it.
    pub kind: Kind,
    /// What the advisory says about the severity in this package. It counts before that of the advisory.
    pub statements: Vec<Statement>,
    /// Ranges of affected versions.
    pub ranges: Vec<Range>,
    /// Ranges in a numbering that is not that of Go modules. They replace the ranges that have no end.
    pub custom_ranges: Vec<Range>,
    /// Affected versions, one by one.
    pub versions: VersionList,
    /// Where the ranges end that have no end of their own. None if the advisory does not say so.
    pub last_known: Option<End>,
    /// What the publisher says about it besides the affected versions.
    pub notes: Vec<Note>,
    /// When fixed versions were published. Empty if that is unknown.
    pub fix_dates: Vec<FixDate>,
}

/// What a publisher says about a vulnerability in a package besides the affected versions. The text is its reason, one
/// line as published, and empty if it gives none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Its effect is not a matter of security. Debian calls it `unimportant`.
    Unimportant,
    /// The publisher has not determined whether the package is affected.
    Undetermined(String),
    /// The publisher will fix it with a later update.
    Postponed(String),
    /// The publisher will not fix it in this release.
    WontFix(String),
    /// The publisher no longer supports the package in this release.
    EndOfLife(String),
}

impl Note {
    /// The reason. Empty if there is none.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Unimportant => "",
            Self::Undetermined(reason)
            | Self::Postponed(reason)
            | Self::WontFix(reason)
            | Self::EndOfLife(reason) => reason,
        }
    }
}

/// When a fixed version was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixDate {
    /// The version.
    pub version: String,
    /// The day.
    pub date: Date,
    /// Who says so, such as `DSA-5380-1`, or [`FixDate::INDEX`].
    pub source: String,
}

/// A range of versions, as the events at which it begins and ends, in the order in which they were published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The events.
    pub events: Vec<Event>,
}

/// Where a range begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first affected version. `0` is before all versions.
    Introduced(String),
    /// The first version that is no longer affected.
    Fixed(String),
    /// The last affected version.
    LastAffected(String),
    /// A version from which on the range says nothing.
    Limit(String),
}

impl Affected {
    /// A package with nothing said about it.
    fn of(ecosystem: Ecosystem, name: String) -> Self {
        Self {
            ecosystem,
            name,
            kind: Kind::Vulnerability,
            statements: Vec::new(),
            ranges: Vec::new(),
            custom_ranges: Vec::new(),
            versions: VersionList::default(),
            last_known: None,
            notes: Vec::new(),
            fix_dates: Vec::new(),
        }
    }
}

impl Range {
    /// All versions before this one. `0` is before all versions, so that none is affected.
    fn before(fixed: &str) -> Self {
        let events = vec![
            Event::Introduced("0".to_owned()),
            Event::Fixed(fixed.to_owned()),
        ];
        Self { events }
    }

    /// All versions.
    fn all() -> Self {
        let events = vec![Event::Introduced("0".to_owned())];
        Self { events }
    }
}

impl Advisory {
    /// All names of the vulnerability, the advisory's own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.aliases.iter().chain(&self.upstream);
        std::iter::once(&self.id).chain(others).map(String::as_str)
    }
}
