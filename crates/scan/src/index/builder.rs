//! Building an index.
//!
//! Here: which states of records an index has, and the parts of its file in the order in which they are written. Not
//! here: reading sources (`cli`), the forms in which things are stored (`stored`, `layout`), the bytes of a package
//! (`packages`), and the file (`output`).
//! Invariant: as in a [`Collection`](crate::advisory::collection::Collection), within a source the newest state of a
//! record counts, and of two sources each state. What one source has takes no space from others.
//!
//! Heads are written while records are added. The entries of each package stay in memory until the end, with each text
//! and each list of versions once: about as much as the index has.

mod output;
mod packages;

use super::interned::Interned;
use super::layout::{self, Header, Key, Part, Slots};
use super::previous::Previous;
use super::source;
use super::stored::{Entry, Head, Package, StoredCve, Text};
use super::{Index, IndexError, Source, SourceId, SourceKind, hex};
use crate::advisory::collection::{ECOSYSTEMS_LIMIT, ERRORS_LIMIT, entry_size, without_future};
use crate::advisory::{Advisory, Affected};
use crate::ecosystem::Ecosystem;
use crate::known_exploited::KnownExploited;
use crate::matching::groups;
use crate::severity::cve::CveRecord;
use jiff::Timestamp;
use output::Output;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Seek, Write};

/// Bytes of the entries, texts and lists that are kept of one source.
const SOURCE_LIMIT: usize = 2 << 30;
/// Bytes that the advisories of one source about one package take when they are looked up.
const PACKAGE_LIMIT: usize = 64 << 20;

/// Why an index cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// The index before it cannot be read.
    #[error(transparent)]
    Previous(#[from] IndexError),
    /// A part has more bytes than the format allows.
    #[error("the advisories of {0} take more than 4 GiB")]
    TooLarge(String),
    /// A part cannot be encoded.
    #[error("{0}")]
    Encode(#[from] postcard::Error),
}

/// An index that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its SHA-256, in hexadecimal digits.
    pub hash: String,
    /// Its bytes.
    pub length: u64,
    /// Packages that advisories name.
    pub packages: usize,
    /// What it was built from.
    pub sources: Vec<Source>,
    /// What could not be read, up to a limit.
    pub errors: Vec<String>,
    /// The number of all errors.
    pub failed: u64,
}

/// Writes an index.
pub struct Builder<'a, W> {
    out: Output<W>,
    now: Timestamp,
    previous: Option<Previous<'a>>,
    sources: Vec<OfSource>,
    interned: Interned,
    packages: BTreeMap<Ecosystem, BTreeMap<String, Group>>,
    /// Where each head is, by its hash.
    heads: HashMap<Short, u64>,
    /// The names under which an index before has the fixes of a head, by its offset. Empty without such an index.
    names: BTreeMap<u64, Vec<Text>>,
    /// The newest state of each record of each source, by the hash of its name.
    newest: HashMap<(SourceNumber, Short), State>,
    /// Whether each state is the newest one.
    is_newest: Vec<bool>,
    exploited: Option<KnownExploited>,
    cves: BTreeMap<String, CveRecord>,
    errors: Vec<String>,
    failed: u64,
    pub(super) source_limit: usize,
    pub(super) package_limit: usize,
}

type SourceNumber = u32;
/// The start of a SHA-256.
type Short = [u8; 16];

struct OfSource {
    source: Source,
    /// Bytes that are kept of it.
    kept: usize,
}

/// A state of a record.
struct State {
    modified: Option<Timestamp>,
    number: usize,
}

/// What is kept of a package.
#[derive(Default)]
struct Group {
    /// Each a [`Kept`].
    records: Vec<u8>,
    /// Bytes of its advisories, by source.
    sizes: BTreeMap<SourceNumber, usize>,
}

/// A record of a package until the end. Its entries have numbers of the texts and lists of all packages.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: usize,
    source: SourceNumber,
    head: u64,
    entries: Vec<Entry>,
}

impl<'a, W: Write + Seek> Builder<'a, W> {
    /// An index in `out`, from its current position on, which has to be 0. A record cannot be newer than `now`, with a
    /// day for clocks that differ. Fixes that `previous` does not have get the day of `now`.
    ///
    /// # Errors
    /// If the index before cannot be read, or `out` not be written.
    pub fn new(out: W, now: Timestamp, previous: Option<Index<'a>>) -> Result<Self, BuildError> {
        Ok(Self {
            out: Output::new(out)?,
            now,
            previous: previous.map(|of| Previous::of(of, now)).transpose()?,
            sources: Vec::new(),
            interned: Interned::default(),
            packages: BTreeMap::new(),
            heads: HashMap::new(),
            names: BTreeMap::new(),
            newest: HashMap::new(),
            is_newest: Vec::new(),
            exploited: None,
            cves: BTreeMap::new(),
            errors: Vec::new(),
            failed: 0,
            source_limit: SOURCE_LIMIT,
            package_limit: PACKAGE_LIMIT,
        })
    }

    /// A new source: where it is read, for people. Within one, the newest state of a record counts. Of two, each state
    /// counts: whoever publishes the second one must not be able to withdraw what the first one says.
    pub fn source(&mut self, kind: SourceKind, origin: String) -> SourceId {
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(OfSource {
            source: Source::new(kind, origin, self.now),
            kept: 0,
        });
        SourceId(number)
    }

    /// What was read of a source until now.
    #[must_use]
    pub fn read(&self, source: SourceId) -> Option<&Source> {
        let number = usize::try_from(source.0).ok()?;
        self.sources.get(number).map(|of| &of.source)
    }

    /// Adds an advisory. `place` is where it is from, for messages.
    ///
    /// # Errors
    /// If the index cannot be written. What the advisory has wrong is an error of its source.
    pub fn add(
        &mut self,
        source: SourceId,
        place: &str,
        mut advisory: Advisory,
    ) -> Result<(), BuildError> {
        if let Some(error) = without_future(&mut advisory, self.now) {
            self.fail(source, format!("{place}: {error}"));
        }
        if let Some(of) = self.of(source) {
            of.count(&advisory);
        }
        let key = (source.0, short(advisory.id.as_bytes()));
        let old = self.newest.get(&key);
        if old.is_some_and(|old| old.modified >= advisory.modified) {
            return Ok(());
        }
        let groups = groups(&advisory);
        if let Some(error) = self.exceeded(source, &groups) {
            self.fail(source, format!("{place}: {error}"));
            return Ok(());
        }
        let head = self.head(&advisory)?;
        let number = self.is_newest.len();
        self.is_newest.push(true);
        let before = self.interned.size();
        let mut kept = 0;
        for ((ecosystem, name), Named { entries, size }) in groups {
            let record = Kept {
                state: number,
                source: source.0,
                head,
                entries: entries
                    .into_iter()
                    .map(|entry| Entry::of(entry, &mut self.interned))
                    .collect(),
            };
            let of_ecosystem = self.packages.entry(ecosystem).or_default();
            let group = of_ecosystem.entry(name.to_owned()).or_default();
            let start = group.records.len();
            group.records = postcard::to_extend(&record, std::mem::take(&mut group.records))?;
            *group.sizes.entry(source.0).or_default() += size;
            kept += group.records.len() - start;
        }
        kept += self.interned.size() - before;
        if let Some(of) = self.of(source) {
            of.kept += kept;
        }
        let modified = advisory.modified;
        let old = self.newest.insert(key, State { modified, number });
        if let Some(is_newest) = old.and_then(|old| self.is_newest.get_mut(old.number)) {
            *is_newest = false;
        }
        Ok(())
    }

    /// Why there is no space for entries of a source.
    fn exceeded(&self, source: SourceId, groups: &Groups<'_>) -> Option<String> {
        if let Some(error) = self.full(source) {
            return Some(error);
        }
        groups.iter().find_map(|((ecosystem, name), of)| {
            let group = self.packages.get(ecosystem)?.get(*name);
            let taken = group.and_then(|group| group.sizes.get(&source.0));
            let size = taken.copied().unwrap_or(0).saturating_add(of.size);
            (size > self.package_limit).then(|| {
                let limit = self.package_limit >> 20;
                format!("it would be more than the {limit} MiB of advisories about {ecosystem}/{name} that are kept of one source")
            })
        })
    }

    /// Why there is no space for anything of a source.
    fn full(&self, source: SourceId) -> Option<String> {
        let kept = usize::try_from(source.0).ok();
        let kept = kept.and_then(|number| self.sources.get(number))?.kept;
        let limit = self.source_limit >> 20;
        (kept > self.source_limit).then(|| {
            format!(
                "it would be more than the {limit} MiB of advisories that are kept of one source"
            )
        })
    }

    /// Where the head of an advisory is.
    fn head(&mut self, advisory: &Advisory) -> Result<u64, BuildError> {
        let bytes = postcard::to_stdvec(&Head::of(advisory))?;
        let hash = short(&bytes);
        if let Some(offset) = self.heads.get(&hash) {
            return Ok(*offset);
        }
        let length = u32::try_from(bytes.len());
        let length = length
            .ok()
            .ok_or_else(|| BuildError::TooLarge(advisory.id.clone()))?;
        let offset = self.out.at();
        self.out
            .write(&layout::head_start(offset, length, &bytes))?;
        self.out.write(&bytes)?;
        self.heads.insert(hash, offset);
        if self.previous.is_some() {
            let names = super::previous::names(advisory);
            let names = names.map(|name| self.interned.text(name)).collect();
            self.names.insert(offset, names);
        }
        Ok(offset)
    }

    /// Adds a catalog of known exploited vulnerabilities. `source`: the one that it is from.
    pub fn add_known_exploited(&mut self, source: SourceId, catalog: KnownExploited) {
        let unreadable = u64::try_from(catalog.unreadable).unwrap_or(u64::MAX);
        if let Some(OfSource { source, kept: _ }) = self.of(source) {
            let records = u64::try_from(catalog.names().count()).unwrap_or(u64::MAX);
            source.records = source.records.saturating_add(records);
            source.unreadable = source.unreadable.saturating_add(unreadable);
            let released = catalog.released.as_deref();
            let released = released.and_then(|text| text.parse().ok());
            source.newest = source.newest.max(released);
        }
        if unreadable > 0 {
            self.failed = self.failed.saturating_add(unreadable);
        }
        self.exploited = Some(match self.exploited.take() {
            None => catalog,
            Some(before) => before.with(catalog),
        });
    }

    /// Adds what a source says about a CVE. `place` is where it is from, for messages.
    pub fn add_cve(&mut self, source: SourceId, place: &str, record: CveRecord) {
        if let Some(error) = self.full(source) {
            self.fail(source, format!("{place}: {error}"));
            return;
        }
        if let Some(of) = self.of(source) {
            of.source.records = of.source.records.saturating_add(1);
            of.kept = of.kept.saturating_add(cve_size(&record));
        }
        match self.cves.entry(record.id.clone()) {
            MapEntry::Vacant(entry) => drop(entry.insert(record)),
            MapEntry::Occupied(mut entry) => entry.get_mut().merge(record),
        }
    }

    /// Adds an error about a record that could not be read.
    pub fn fail(&mut self, source: SourceId, error: String) {
        if let Some(of) = self.of(source) {
            of.source.unreadable = of.source.unreadable.saturating_add(1);
        }
        self.failed = self.failed.saturating_add(1);
        if self.errors.len() < ERRORS_LIMIT {
            self.errors.push(error);
        }
    }

    /// What could not be read until now, up to a limit.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    fn of(&mut self, source: SourceId) -> Option<&mut OfSource> {
        let number = usize::try_from(source.0).ok()?;
        self.sources.get_mut(number)
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// If the index cannot be written, or the one before not be read.
    pub fn finish(mut self) -> Result<Built, BuildError> {
        let items = self.items();
        let packages = items.iter().filter(|(_, item)| match item {
            Item::Package(..) => true,
            Item::AnyGroup(..) | Item::Cve(_) => false,
        });
        let packages = packages.count();
        let count = (items.len() as u64 / 2).next_power_of_two();
        let slots = self.write_blocks(items, count)?;
        let slots_at = self.out.at();
        self.out.write(&slots)?;
        let sources: Vec<Source> = self.sources.into_iter().map(|of| of.source).collect();
        let of_sources = self.out.part(&source::written(&sources)?)?;
        let exploited = match &self.exploited {
            None => Part::default(),
            Some(catalog) => self.out.part(&source::written_catalog(catalog)?)?,
        };
        let header = Header {
            hash: [0; 32],
            length: self.out.at(),
            built: self.now.as_second(),
            slots: Slots {
                offset: slots_at,
                count,
            },
            sources: of_sources,
            exploited,
        };
        Ok(Built {
            hash: hex(&self.out.finish(&header)?),
            length: header.length,
            packages,
            sources,
            errors: self.errors,
            failed: self.failed,
        })
    }

    /// Everything that can be looked up.
    fn items(&mut self) -> Vec<(Key, Item)> {
        let mut items = Vec::new();
        for (ecosystem, names) in std::mem::take(&mut self.packages) {
            let written = ecosystem.to_string();
            let mut any_group: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (name, group) in names {
                for artifact in groups::keys(&ecosystem, &name).filter(|key| *key != name) {
                    let of = any_group.entry(artifact.into_owned()).or_default();
                    of.push(name.clone());
                }
                let key = Key::of(&written, &name);
                items.push((key, Item::Package(ecosystem.clone(), name, group)));
            }
            for (name, stands_for) in any_group {
                let key = Key::of(&written, &name);
                items.push((key, Item::AnyGroup(ecosystem.clone(), name, stands_for)));
            }
        }
        for record in std::mem::take(&mut self.cves).into_values() {
            items.push((Key::of(layout::CVE, &record.id), Item::Cve(record)));
        }
        items
    }

    /// Writes the blocks of this number of slots, and returns the slots.
    fn write_blocks(
        &mut self,
        mut items: Vec<(Key, Item)>,
        count: u64,
    ) -> Result<Vec<u8>, BuildError> {
        items.sort_unstable_by_key(|(key, _)| (key.slot(count), *key));
        let mut items = items.into_iter().peekable();
        let mut slots = Vec::new();
        for slot in 0..count {
            let mut block = Vec::new();
            while let Some((key, item)) = items.next_if(|(key, _)| key.slot(count) == slot) {
                let (what, item) = match item {
                    Item::Package(ecosystem, name, group) => {
                        let item = self.package(&ecosystem, &name, &group)?;
                        (format!("{ecosystem}/{name}"), item)
                    }
                    Item::AnyGroup(ecosystem, name, stands_for) => {
                        let item = postcard::to_stdvec(&Package {
                            ecosystem: &ecosystem.to_string(),
                            name: &name,
                            stands_for: stands_for.iter().map(String::as_str).collect(),
                            texts: Vec::new(),
                            lists: Vec::new(),
                            records: Vec::new(),
                        })?;
                        (format!("{ecosystem}/{name}"), item)
                    }
                    Item::Cve(record) => {
                        let item = postcard::to_stdvec(&StoredCve::of(&record))?;
                        (record.id, item)
                    }
                };
                let length = u32::try_from(item.len()).ok();
                let length = length.ok_or(BuildError::TooLarge(what))?;
                block.extend(key.0.to_le_bytes());
                block.extend(length.to_le_bytes());
                block.extend(item);
            }
            let length = u32::try_from(block.len()).ok();
            let length = length.ok_or_else(|| BuildError::TooLarge("some packages".to_owned()))?;
            slots.extend(layout::slot(slot, self.out.at(), length, &block));
            self.out.write(&block)?;
        }
        Ok(slots)
    }
}

/// Something that can be looked up.
enum Item {
    Package(Ecosystem, String, Group),
    /// An artifact of any group, and the packages that it stands for.
    AnyGroup(Ecosystem, String, Vec<String>),
    Cve(CveRecord),
}

/// The bytes that a record takes, without what an allocator adds.
fn cve_size(record: &CveRecord) -> usize {
    let statements = size_of_val(&*record.statements);
    size_of_val(record) + 2 * record.id.len() + record.title.len() + statements
}

/// What an advisory says about each package, without subscription.
type Groups<'a> = BTreeMap<(Ecosystem, &'a str), Named<'a>>;

#[derive(Default)]
struct Named<'a> {
    entries: Vec<&'a Affected>,
    /// Bytes that they take when they are looked up.
    size: usize,
}

fn groups(advisory: &Advisory) -> Groups<'_> {
    let mut groups = Groups::new();
    for entry in &advisory.affected {
        let package = (entry.ecosystem.without_subscription(), entry.name.as_str());
        let named = groups.entry(package).or_default();
        named.entries.push(entry);
        named.size = named.size.saturating_add(entry_size(entry));
    }
    groups
}

impl OfSource {
    fn count(&mut self, advisory: &Advisory) {
        let source = &mut self.source;
        source.records = source.records.saturating_add(1);
        source.newest = source.newest.max(advisory.modified);
        let mut ecosystems: Vec<_> = advisory.affected.iter().map(|e| &e.ecosystem).collect();
        ecosystems.sort_unstable();
        ecosystems.dedup();
        for ecosystem in ecosystems {
            let of = &mut source.ecosystems;
            if of.contains_key(ecosystem) || of.len() < ECOSYSTEMS_LIMIT {
                let read = of.entry(ecosystem.clone()).or_default();
                read.records += 1;
                read.newest = read.newest.max(advisory.modified);
            }
        }
    }
}

fn short(bytes: &[u8]) -> Short {
    let mut short = Short::default();
    for (to, from) in short.iter_mut().zip(Sha256::digest(bytes)) {
        *to = from;
    }
    short
}
