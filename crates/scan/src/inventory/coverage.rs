//! What of an image is no package, or could not be read.
//!
//! Here: binaries that no package explains, packages without files and files without a package, and what is forged or
//! missing. Not here: advisories that are missing.
//! Invariant: each ELF file, each archive of Java and each compressed file that has a program has a package, or is
//! listed. Lists have a bounded length, and a count of all.

use super::databases::Databases;
use super::distribution::{Database, Statement, release};
use super::files::Files;
use super::languages::Languages;
use super::{Inventory, Seen, rpm, shown};
use crate::content::{Fact, elf};
use std::collections::BTreeMap;

/// What of an image is no package, or could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The number of ELF files, archives of Java and compressed files that have a program, also those in archives.
    pub binaries: usize,
    /// Those that belong to no package.
    pub unidentified: List<Unidentified>,
    /// Files, or parts of them, that could not be read.
    pub not_read: List<NotRead>,
    /// Databases whose packages are not matched.
    pub not_covered: Vec<NotCovered>,
    /// For each database whose release is named differently by several files: what they say.
    pub conflicts: Vec<(Database, Vec<Statement>)>,
    /// The release of a distribution whose packages no database names, because there is none. None if there is one, or no
    /// release.
    pub release_without_database: Option<Statement>,
    /// Databases that a layer deleted, with the last layer that has them.
    pub deleted_databases: Vec<(Database, u32)>,
    /// Packages that a layer removed from a database, with it, or gave another version there, and whose files stay.
    pub removed: List<Removed>,
    /// Lists of the files of packages that are not installed, and of which files are there.
    pub lists_without_package: List<String>,
    /// Packages of a distribution that have a list of files, none of which is there.
    pub packages_without_files: List<String>,
}

/// The first ones of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The first [`LIST_LIMIT`].
    pub first: Vec<T>,
    /// The number of all.
    pub count: usize,
}

/// How many of a [`List`] are kept.
pub const LIST_LIMIT: usize = 10_000;

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            first: Vec::new(),
            count: 0,
        }
    }
}

impl<T> List<T> {
    /// Adds one.
    pub(super) fn push(&mut self, item: T) {
        if self.first.len() < LIST_LIMIT {
            self.first.push(item);
        }
        self.count = self.count.saturating_add(1);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A binary that belongs to no package. One in an archive is another binary than the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unidentified {
    /// Its path; `!/` separates the path in an archive.
    pub path: String,
    /// What it is.
    pub kind: BinaryKind,
}

/// What a binary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BinaryKind {
    /// An ELF file.
    Elf(elf::Kind),
    /// An archive of Java.
    Java,
    /// A compressed file that has a program, or can have one.
    Packed,
}

/// A file of which something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRead {
    /// Its path.
    pub path: String,
    /// What it is, such as `dpkg database`.
    pub what: String,
    /// Why it could not be read.
    pub cause: String,
}

/// A database whose packages are not matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCovered {
    /// The database.
    pub database: Database,
    /// The number of its packages.
    pub packages: usize,
    /// Why they are not matched.
    pub cause: String,
}

/// A package that a layer removed from its database, or gave another version there, and whose files stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The last layer whose database has it.
    pub last_layer: u32,
}

impl Coverage {
    /// Whether each binary has a package, everything was read, and nothing contradicts.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unidentified.is_empty()
            && self.not_read.is_empty()
            && self.not_covered.is_empty()
            && self.conflicts.is_empty()
            && self.release_without_database.is_none()
            && self.deleted_databases.is_empty()
            && self.removed.is_empty()
            && self.lists_without_package.is_empty()
            && self.packages_without_files.is_empty()
    }
}

/// Adds what is no package.
pub(super) fn add(
    files: &dyn Files,
    seen: &Seen,
    databases: &Databases<'_>,
    languages: &Languages,
    inventory: &mut Inventory,
) {
    let coverage = &mut inventory.coverage;
    for (path, id) in &seen.binaries {
        let binaries = binaries(files.facts(*id));
        coverage.binaries = coverage.binaries.saturating_add(binaries.len());
        if databases.explains(*id) || languages.has(*id) {
            continue;
        }
        for ((inside, kind), is_identified) in binaries {
            if !is_identified {
                let path = match inside {
                    "" => shown(path),
                    inside => format!("{}!/{inside}", shown(path)),
                };
                coverage.unidentified.push(Unidentified { path, kind });
            }
        }
    }
    for (path, id) in &seen.not_read {
        for fact in files.facts(*id) {
            if let Fact::NotRead { what, cause } = fact {
                coverage.not_read.push(NotRead {
                    path: shown(path),
                    what: what.clone(),
                    cause: cause.clone(),
                });
            }
        }
    }
    let of_rpm = rpm::databases(files);
    let has_rpm = !of_rpm.is_empty();
    for not_read in of_rpm {
        coverage.not_read.push(not_read);
    }
    for (database, distribution) in &databases.distributions {
        let packages = databases.installed.iter();
        let packages = packages.filter(|installed| installed.key.database == *database);
        coverage
            .not_covered
            .extend(distribution.not_covered.as_ref().map(|cause| NotCovered {
                database: *database,
                packages: packages.count(),
                cause: cause.clone(),
            }));
        let conflict = distribution.conflict.clone();
        coverage
            .conflicts
            .extend(conflict.map(|statements| (*database, statements)));
    }
    let is_without = seen.databases.is_empty() && databases.installed.is_empty() && !has_rpm;
    coverage.release_without_database = release(files).filter(|_| is_without);
    coverage.deleted_databases.clone_from(&databases.deleted);
    for path in &databases.lists_without_package {
        coverage.lists_without_package.push(shown(path));
    }
    for installed in &databases.installed {
        let (name, version) = (installed.key.name, installed.key.version);
        if installed.is_without_files {
            coverage
                .packages_without_files
                .push(format!("{name} {version}"));
        }
        if let Some(last_layer) = installed.last_layer {
            coverage.removed.push(Removed {
                name: name.to_owned(),
                version: version.to_owned(),
                last_layer,
            });
        }
    }
}

/// The binaries that a file is or has, each once: the path in the file, what it is, and whether the file names its
/// package.
fn binaries(facts: &[Fact]) -> BTreeMap<(&str, BinaryKind), bool> {
    let mut binaries = BTreeMap::new();
    for fact in facts {
        let (inside, kind, is_identified) = match fact {
            Fact::Elf(kind) => ("", BinaryKind::Elf(*kind), false),
            Fact::Java(archive) => (
                &*archive.path,
                BinaryKind::Java,
                !archive.artifacts.is_empty(),
            ),
            Fact::Packed(packed) => (&*packed.path, BinaryKind::Packed, false),
            Fact::NotRead { .. }
            | Fact::Dpkg(_)
            | Fact::DpkgFiles(_)
            | Fact::DpkgDiversion(_)
            | Fact::Apk(_)
            | Fact::Release(_)
            | Fact::Go(_)
            | Fact::Rust(_)
            | Fact::Python(_)
            | Fact::Npm(_) => continue,
        };
        *binaries.entry((inside, kind)).or_default() |= is_identified;
    }
    binaries
}
