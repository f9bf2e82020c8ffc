//! All advisories in one file, in which those that name a package are found without reading the others.
//!
//! Here: opening a file, what it was built from, and lookups. Not here: its layout (`layout`), what is stored of an
//! advisory (`stored`), building (`builder`), and files (`cli`).
//! Invariant: opening reads the header, and a lookup reads a slot, a block and the heads of the advisories that name the
//! package, however many others there are. Whatever the bytes of the file are, nothing outside of it is read, and what
//! was changed is an error and never another answer.
//!
//! The checks are for files that were damaged or cut. Who can write the file can say what they want: its hash is for
//! comparing it with the one that was built.

mod builder;
mod interned;
mod layout;
mod previous;
mod source;
mod stored;
#[cfg(test)]
mod tests;

pub use builder::{BuildError, Builder, Built};
pub use source::{Source, SourceId, SourceKind};

use crate::advisory::Advisory;
use crate::advisory::collection::{Advisories, ERRORS_LIMIT, KEPT_LIMIT, SOURCE_LIMIT, size};
use crate::ecosystem::Ecosystem;
use crate::known_exploited::KnownExploited;
use crate::matching::groups;
use crate::severity::cve::CveRecord;
use jiff::Timestamp;
use layout::{Header, Key};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stored::{Decoder, Head, Package, StoredCve};

/// Why an index, or a part of it, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It does not begin as an index does, or ends within the header.
    #[error("it is not an index of advisories")]
    NotAnIndex,
    /// It has another format.
    #[error("it has format {0}, and this version of Bailiff reads format {FORMAT}", FORMAT = layout::FORMAT)]
    Format(u32),
    /// It was cut, or something was added to it.
    #[error("it has {found} bytes, and had {stated} when it was built")]
    Length {
        /// Its bytes.
        found: u64,
        /// Its bytes when it was built.
        stated: u64,
    },
    /// A part is not as it was written.
    #[error("its {0} is damaged")]
    Damaged(&'static str),
    /// It was changed after it was built.
    #[error("its SHA-256 is not the one that it was built with")]
    Hash,
    /// The advisories of one package would take more than the memory that is used for them.
    #[error("the advisories of one package take more than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

/// An index of advisories.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a> {
    file: &'a [u8],
    header: Header,
    built: Timestamp,
}

/// An advisory that names a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The advisory, with the entries about the package alone: those of the ecosystem and of its subscription.
    pub advisory: Advisory,
    /// The sources that have it in this state.
    pub sources: Vec<SourceId>,
}

impl<'a> Index<'a> {
    /// Opens a file. Reads its header alone.
    ///
    /// # Errors
    /// If it is no index of this format, or has another length than when it was built.
    pub fn open(file: &'a [u8]) -> Result<Self, IndexError> {
        let header = Header::read(file)?;
        let built = Timestamp::from_second(header.built).ok();
        Ok(Self {
            file,
            header,
            built: built.ok_or(IndexError::Damaged("header"))?,
        })
    }

    /// When it was built.
    #[must_use]
    pub fn built(&self) -> Timestamp {
        self.built
    }

    /// The SHA-256 that it was built with, in hexadecimal digits. [`verify`](Self::verify) checks it.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&self.header.hash)
    }

    /// Reads the whole file, and checks that it is as it was built.
    ///
    /// # Errors
    /// If it is not.
    pub fn verify(&self) -> Result<(), IndexError> {
        if layout::hash(self.file) == self.header.hash {
            Ok(())
        } else {
            Err(IndexError::Hash)
        }
    }

    /// What it was built from, by the number of each source.
    ///
    /// # Errors
    /// If that part is damaged.
    pub fn sources(&self) -> Result<Vec<Source>, IndexError> {
        let bytes = layout::part(self.file, &self.header.sources, "list of sources")?;
        source::read(bytes)
    }

    /// The catalog of known exploited vulnerabilities. None if it was built without one.
    ///
    /// # Errors
    /// If that part is damaged.
    pub fn known_exploited(&self) -> Result<Option<KnownExploited>, IndexError> {
        if self.header.exploited.length == 0 {
            return Ok(None);
        }
        let what = "catalog of known exploited vulnerabilities";
        let bytes = layout::part(self.file, &self.header.exploited, what)?;
        source::read_catalog(bytes).map(Some)
    }

    /// The advisories that name a package, by its normal name. Those of an ecosystem have those of its subscription too,
    /// so that what an advisory says about both stays together.
    ///
    /// # Errors
    /// If the part with them is damaged, or they would take more than [`KEPT_LIMIT`].
    pub fn get(&self, ecosystem: &Ecosystem, name: &str) -> Result<Vec<Found>, IndexError> {
        self.get_within(KEPT_LIMIT, ecosystem, name)
    }

    /// The advisories that name a package, if they take at most `limit` bytes.
    fn get_within(
        &self,
        limit: usize,
        ecosystem: &Ecosystem,
        name: &str,
    ) -> Result<Vec<Found>, IndexError> {
        let ecosystem = ecosystem.without_subscription();
        let Some(package) = self.package(&ecosystem, name)? else {
            return Ok(Vec::new());
        };
        let mut decoder = Decoder::new(&package, &ecosystem, limit);
        let mut found = Vec::new();
        for record in &package.records {
            let head: Head<'_> = decode(layout::head(self.file, record.head)?, "advisory")?;
            found.push(Found {
                advisory: head.advisory(decoder.entries(record)?)?,
                sources: record.sources.iter().copied().map(SourceId).collect(),
            });
        }
        Ok(found)
    }

    /// What the index has about a package. None if no advisory names it.
    fn package(
        &self,
        ecosystem: &Ecosystem,
        name: &str,
    ) -> Result<Option<Package<'a>>, IndexError> {
        let written = ecosystem.to_string();
        let Some(item) = self.item(Key::of(&written, name))? else {
            return Ok(None);
        };
        let package: Package<'_> = decode(item, "block")?;
        if (package.ecosystem, package.name) == (written.as_str(), name) {
            Ok(Some(package))
        } else {
            Err(IndexError::Damaged("block"))
        }
    }

    /// The names under which a package is looked up: its own, and those of the packages that it stands for.
    fn looked_up(&self, ecosystem: &Ecosystem, name: &str) -> Result<Vec<String>, IndexError> {
        let mut names = vec![name.to_owned()];
        if groups::artifact_of_any_group(ecosystem, name).is_some() {
            let package = self.package(ecosystem, name)?;
            let others = package.iter().flat_map(|package| &package.stands_for);
            names.extend(others.map(|name| (*name).to_owned()));
        }
        Ok(names)
    }

    /// What is known about a CVE, whatever package has it. None if no source has it.
    ///
    /// # Errors
    /// If the part with it is damaged.
    pub fn cve(&self, id: &str) -> Result<Option<CveRecord>, IndexError> {
        let Some(item) = self.item(Key::of(layout::CVE, id))? else {
            return Ok(None);
        };
        let stored: StoredCve<'_> = decode(item, "block")?;
        if stored.id != id {
            return Err(IndexError::Damaged("block"));
        }
        stored.record().map(Some)
    }

    /// The item with a key.
    fn item(&self, key: Key) -> Result<Option<&'a [u8]>, IndexError> {
        let slots = &self.header.slots;
        let block = layout::block(self.file, slots, key.slot(slots.count))?;
        layout::item(block, key)
    }

    /// Looks up packages: an ecosystem, and a name in its normal form. The result is the same as that of a
    /// [`Collection`](crate::advisory::collection::Collection) of the sources. What cannot be read is an error there,
    /// and hides no other.
    #[must_use]
    pub fn advisories(
        &self,
        packages: impl IntoIterator<Item = (Ecosystem, String)>,
    ) -> Advisories {
        let mut into = Advisories::default();
        let mut kept = Kept::default();
        let packages: BTreeSet<_> = packages
            .into_iter()
            .map(|(ecosystem, name)| (ecosystem.without_subscription(), name))
            .collect();
        match self.sources() {
            Ok(sources) => {
                let needed: BTreeSet<_> = packages.iter().map(|(ecosystem, _)| ecosystem).collect();
                for source in sources {
                    source.add_to(&needed, &mut into);
                }
            }
            Err(error) => fail(&mut into, format!("the index: {error}; build it again")),
        }
        for (ecosystem, name) in packages {
            let found = self.looked_up(&ecosystem, &name).and_then(|names| {
                let found = names.iter().map(|name| self.get(&ecosystem, name));
                found.collect::<Result<Vec<_>, _>>()
            });
            let found = match found {
                Ok(found) => found.into_iter().flatten(),
                Err(error) => {
                    let error = format!(
                        "advisories of {ecosystem}/{name} in the index: {error}; build it again"
                    );
                    fail(&mut into, error);
                    continue;
                }
            };
            for Found { advisory, sources } in found {
                if let Err(error) = kept.add(&advisory, &sources) {
                    fail(&mut into, format!("{}: {error}", advisory.id));
                    continue;
                }
                let of: BTreeSet<_> = advisory
                    .affected
                    .iter()
                    .map(|e| e.ecosystem.clone())
                    .collect();
                let advisory = Arc::new(advisory);
                for ecosystem in of {
                    into.insert(ecosystem, name.clone(), Arc::clone(&advisory));
                }
            }
        }
        into
    }
}

/// The bytes of advisories that are kept, so that no source takes the place of others.
#[derive(Default)]
struct Kept {
    of_source: BTreeMap<SourceId, usize>,
    of_all: usize,
}

impl Kept {
    /// Adds an advisory if one of its sources has space for it.
    fn add(&mut self, advisory: &Advisory, sources: &[SourceId]) -> Result<(), String> {
        let size = size(advisory);
        let of = |kept: &Self, source| kept.of_source.get(source).copied().unwrap_or(0);
        let least = sources.iter().min_by_key(|source| of(self, source));
        let source = least.copied().unwrap_or(SourceId(u32::MAX));
        let of_source = of(self, &source).saturating_add(size);
        let of_all = self.of_all.saturating_add(size);
        for (bytes, limit, of_what) in [
            (of_source, SOURCE_LIMIT, " of one source"),
            (of_all, KEPT_LIMIT, ""),
        ] {
            if bytes > limit {
                let limit = limit >> 20;
                return Err(format!(
                    "it would be more than the {limit} MiB of advisories that are kept{of_what}"
                ));
            }
        }
        self.of_source.insert(source, of_source);
        self.of_all = of_all;
        Ok(())
    }
}

fn fail(advisories: &mut Advisories, error: String) {
    advisories.failed += 1;
    if advisories.errors.len() < ERRORS_LIMIT {
        advisories.errors.push(error);
    }
}

/// Decodes bytes with nothing after them.
fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, IndexError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(IndexError::Damaged(what)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |of: u8| char::from_digit(of.into(), 16).unwrap_or_default();
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}
