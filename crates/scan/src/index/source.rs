//! What an index was built from.
//!
//! Here: sources, what was read of each, and the catalog of known exploited vulnerabilities as it is stored. Not here:
//! how sources are read (`advisory`, `cli`).
//! Invariant: the number of a source is its place in the list.

use super::stored::{Day, Moment};
use super::{IndexError, decode, fail};
use crate::advisory::collection::{Advisories, Read};
use crate::ecosystem::Ecosystem;
use crate::known_exploited::KnownExploited;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The number of a source in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub(super) u32);

/// What a source has, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceKind {
    /// Advisories in the format of OSV.
    Osv,
    /// Fixed versions of a repository of a release of Alpine, as its security database publishes them.
    AlpineSecdb,
    /// What Debian's security tracker knows about each package, as JSON.
    DebianTracker,
    /// Debian's list of security announcements, or that of its long-term support.
    DebianList,
    /// CISA's catalog of vulnerabilities that are known to be exploited.
    KnownExploited,
    /// Records of CVEs with their severities, in version 5 of the format.
    CveList,
    /// Severities of the National Vulnerability Database, in version 2.0 of its JSON.
    Nvd,
}

impl SourceKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Osv,
        Self::AlpineSecdb,
        Self::DebianTracker,
        Self::DebianList,
        Self::KnownExploited,
        Self::CveList,
        Self::Nvd,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Osv => "osv",
            Self::AlpineSecdb => "alpine-secdb",
            Self::DebianTracker => "debian-tracker",
            Self::DebianList => "debian-list",
            Self::KnownExploited => "kev",
            Self::CveList => "cve-list",
            Self::Nvd => "nvd",
        }
    }

    /// The kind with this name. None if there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an index was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its kind.
    pub kind: SourceKind,
    /// Where it was read: a URL or a path, for people.
    pub origin: String,
    /// When it was read.
    pub retrieved: Timestamp,
    /// Records that were read.
    pub records: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// When its newest record was changed, or when it was released. None if it does not say so.
    pub newest: Option<Timestamp>,
    /// What was read of each ecosystem.
    pub ecosystems: BTreeMap<Ecosystem, Read>,
}

impl Source {
    /// A source of which nothing was read yet.
    #[must_use]
    pub fn new(kind: SourceKind, origin: String, retrieved: Timestamp) -> Self {
        Self {
            kind,
            origin,
            retrieved,
            records: 0,
            unreadable: 0,
            newest: None,
            ecosystems: BTreeMap::new(),
        }
    }

    /// Whether it has advisories about packages of the ecosystem, or of its subscription.
    #[must_use]
    pub fn has(&self, ecosystem: &Ecosystem) -> bool {
        let pro = ecosystem.with_subscription();
        self.ecosystems.contains_key(ecosystem)
            || pro.is_some_and(|pro| self.ecosystems.contains_key(&pro))
    }

    /// Adds what was read to that of other sources. `needed`: ecosystems of packages.
    pub(super) fn add_to(&self, needed: &BTreeSet<&Ecosystem>, into: &mut Advisories) {
        for (ecosystem, of) in &self.ecosystems {
            let read = into.read.entry(ecosystem.clone()).or_default();
            read.records = read.records.saturating_add(of.records);
            read.newest = read.newest.max(of.newest);
        }
        // What has no ecosystem could be about each package.
        let mut needed = needed.iter();
        let is_needed = needed.any(|needed| self.ecosystems.is_empty() || self.has(needed));
        if self.unreadable > 0 && is_needed {
            let records = if self.unreadable == 1 {
                "record"
            } else {
                "records"
            };
            let error = format!(
                "{} {records} of {} when the index was built",
                self.unreadable, self.origin
            );
            fail(into, error);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredSource<'a> {
    kind: SourceKind,
    origin: &'a str,
    retrieved: Moment,
    records: u64,
    unreadable: u64,
    newest: Option<Moment>,
    #[serde(borrow)]
    ecosystems: Vec<StoredRead<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredRead<'a> {
    ecosystem: &'a str,
    records: u64,
    newest: Option<Moment>,
}

/// The bytes of a list of sources.
pub(super) fn written(sources: &[Source]) -> Result<Vec<u8>, postcard::Error> {
    let names: Vec<Vec<String>> = sources
        .iter()
        .map(|source| source.ecosystems.keys().map(ToString::to_string).collect())
        .collect();
    let stored = sources.iter().zip(&names).map(|(source, names)| {
        let reads = source.ecosystems.values().zip(names);
        let reads = reads.map(|(read, name)| StoredRead {
            ecosystem: name,
            records: u64::try_from(read.records).unwrap_or(u64::MAX),
            newest: read.newest.map(Moment::from),
        });
        StoredSource {
            kind: source.kind,
            origin: &source.origin,
            retrieved: source.retrieved.into(),
            records: source.records,
            unreadable: source.unreadable,
            newest: source.newest.map(Moment::from),
            ecosystems: reads.collect(),
        }
    });
    postcard::to_stdvec(&stored.collect::<Vec<_>>())
}

/// Reads a list of sources.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Source>, IndexError> {
    let what = "list of sources";
    let stored: Vec<StoredSource<'_>> = decode(bytes, what)?;
    let sources = stored.into_iter().map(|of| {
        let mut ecosystems = BTreeMap::new();
        for read in of.ecosystems {
            let ecosystem = Ecosystem::parse(read.ecosystem).ok_or(IndexError::Damaged(what))?;
            let read = Read {
                records: usize::try_from(read.records).unwrap_or(usize::MAX),
                newest: read.newest.map(Moment::time).transpose()?,
            };
            ecosystems.insert(ecosystem, read);
        }
        Ok(Source {
            kind: of.kind,
            origin: of.origin.to_owned(),
            retrieved: of.retrieved.time()?,
            records: of.records,
            unreadable: of.unreadable,
            newest: of.newest.map(Moment::time).transpose()?,
            ecosystems,
        })
    });
    sources.collect()
}

#[derive(Serialize, Deserialize)]
struct StoredCatalog<'a> {
    released: Option<&'a str>,
    unreadable: u64,
    #[serde(borrow)]
    names: Vec<(&'a str, Option<Day>)>,
}

/// The bytes of a catalog.
pub(super) fn written_catalog(catalog: &KnownExploited) -> Result<Vec<u8>, postcard::Error> {
    let names = catalog.names();
    postcard::to_stdvec(&StoredCatalog {
        released: catalog.released.as_deref(),
        unreadable: u64::try_from(catalog.unreadable).unwrap_or(u64::MAX),
        names: names
            .map(|(name, added)| (name, added.map(Day::from)))
            .collect(),
    })
}

/// Reads a catalog.
pub(super) fn read_catalog(bytes: &[u8]) -> Result<KnownExploited, IndexError> {
    let stored: StoredCatalog<'_> = decode(bytes, "catalog of known exploited vulnerabilities")?;
    let mut names = Vec::with_capacity(stored.names.len());
    for (name, added) in stored.names {
        names.push((name.to_owned(), added.map(Day::date).transpose()?));
    }
    let unreadable = usize::try_from(stored.unreadable).unwrap_or(usize::MAX);
    let released = stored.released.map(str::to_owned);
    Ok(KnownExploited::of(names, unreadable, released))
}
