//! The packages of a distribution, through all layers.
//!
//! Here: which packages are installed, which of them explain a file, and what becomes of them in the inventory. Not here:
//! which files they have (`owned`), from which layer on they stay and which of them a later layer removed (`followed`),
//! where databases are (`places`), packages of languages, and which bytes a package installed (`copies`).
//! Invariant: a database that a layer deletes or shortens hides no package whose files stay, or are stored again.

mod followed;
mod owned;
mod places;

pub(super) use places::{database_files, lists_at};

use super::copies::{Origin, keys, origins};
use super::distribution::{Database, Distribution, distribution};
use super::files::{ContentDigest, FileId, Files};
use super::{Inventory, Located, Mark, Seen, shown};
use crate::content::Fact;
use crate::content::paths::Paths;
use crate::package::{Package, Source};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Directories whose files can stay when a package is removed.
const STAYING: [&[u8]; 2] = [b"etc/", b"var/"];

/// A package of a distribution.
pub(super) struct Installed<'a> {
    pub(super) key: Key<'a>,
    /// Its files, if the database has them.
    paths: Option<&'a Paths>,
    /// The file that names it.
    path: Vec<u8>,
    /// The lowest layer from which on it stays.
    layer: u32,
    /// The last layer whose database has it, if later ones do not.
    pub(super) last_layer: Option<u32>,
    /// Whether it has a list of files, and none of them is there.
    pub(super) is_without_files: bool,
}

/// What identifies a package of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'a> {
    pub(super) database: Database,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    architecture: Option<&'a str>,
    /// Its source package and the version of that. Advisories name it, so another one is another package.
    source: Option<(&'a str, &'a str)>,
}

/// The packages of the distribution, and what belongs to them.
pub(super) struct Databases<'a> {
    pub(super) installed: Vec<Installed<'a>>,
    /// The package that a file is of, as an index of `installed`.
    pub(super) owners: HashMap<FileId, usize>,
    /// The package that a file is of by its content, as an index of `installed`, if its path does not tell.
    copies: HashMap<FileId, usize>,
    /// Lists of files whose package is not installed, and of which files are there.
    pub(super) lists_without_package: Vec<Vec<u8>>,
    /// For each kind of database that there is or was: where its packages are from, and how many there are.
    pub(super) distributions: Vec<(Database, Distribution)>,
    /// Kinds of databases that a layer deleted, with the last layer that has one.
    pub(super) deleted: Vec<(Database, u32)>,
}

/// The packages that a file names.
pub(super) fn entries(files: &dyn Files, id: FileId) -> impl Iterator<Item = Entry<'_>> {
    files.facts(id).iter().filter_map(|fact| match fact {
        Fact::Dpkg(package) => Some(Entry {
            key: Key {
                database: Database::Dpkg,
                name: &package.name,
                version: &package.version,
                architecture: package.architecture.as_deref(),
                source: package.source.as_ref().map(|source| {
                    let version = source.version.as_ref();
                    (&*source.name, &**version.unwrap_or(&package.version))
                }),
            },
            paths: None,
        }),
        Fact::Apk(package) => Some(Entry {
            key: Key {
                database: Database::Apk,
                name: &package.name,
                version: &package.version,
                architecture: package.architecture.as_deref(),
                source: package
                    .origin
                    .as_ref()
                    .map(|origin| (&**origin, &*package.version)),
            },
            paths: Some(&package.paths),
        }),
        Fact::NotRead { .. }
        | Fact::DpkgFiles(_)
        | Fact::DpkgDiversion(_)
        | Fact::Release(_)
        | Fact::Elf(_)
        | Fact::Go(_)
        | Fact::Rust(_)
        | Fact::Python(_)
        | Fact::Npm(_)
        | Fact::Java(_)
        | Fact::Packed(_) => None,
    })
}

pub(super) struct Entry<'a> {
    pub(super) key: Key<'a>,
    /// Its files, if the database has them.
    pub(super) paths: Option<&'a Paths>,
}

impl<'a> Databases<'a> {
    pub(super) fn of(files: &'a dyn Files, seen: &Seen) -> Self {
        let mut databases = Self {
            installed: Vec::new(),
            owners: HashMap::new(),
            copies: HashMap::new(),
            lists_without_package: Vec::new(),
            distributions: Vec::new(),
            deleted: Vec::new(),
        };
        let top = files.layers().saturating_sub(1);
        let mut known = HashSet::new();
        let mut lists: Vec<(BTreeSet<usize>, &Paths)> = Vec::new();
        for (path, id) in &seen.databases {
            for entry in entries(files, *id) {
                if known.insert(entry.key) {
                    let index = databases.installed.len();
                    lists.extend(entry.paths.map(|paths| (BTreeSet::from([index]), paths)));
                    databases.installed.push(Installed {
                        key: entry.key,
                        paths: entry.paths,
                        path: path.clone(),
                        layer: 0,
                        last_layer: None,
                        is_without_files: false,
                    });
                }
            }
        }
        let all = seen.paths_of_binaries.iter();
        let names: Names<'_> = all.map(|(path, id)| (*id, name(path))).collect();
        let owned = databases.own(files, seen, lists, &names);
        databases.follow(files, seen, top, &names, &owned);
        databases.find_copies(files, seen, top);
        databases.find_distributions(files);
        databases
    }

    /// Whether a package explains a file: it owns it, and no layer above the one that installed it changed the file; or
    /// it installed the same bytes.
    pub(super) fn explains(&self, id: FileId) -> bool {
        let installed = self.owners.get(&id).and_then(|n| self.installed.get(*n));
        installed.is_some_and(|installed| id.layer <= installed.layer)
            || self.copies.contains_key(&id)
    }

    /// Finds the packages of files whose path does not tell it: those that installed the same bytes. One that no database
    /// has any more counts again if the bytes are those of a binary.
    fn find_copies(&mut self, files: &'a dyn Files, seen: &Seen, top: u32) {
        let mut unknown: BTreeMap<FileId, ContentDigest> = BTreeMap::new();
        for (_, id) in seen.binaries.iter().chain(&seen.languages) {
            if !self.explains(*id)
                && let Some(digest) = files.digest(*id)
            {
                unknown.insert(*id, digest);
            }
        }
        if unknown.is_empty() {
            return;
        }
        let origins = origins(files, &unknown.values().copied().collect());
        let all = self.installed.iter().enumerate();
        let mut indexes: HashMap<Key<'a>, usize> = all.map(|(n, i)| (i.key, n)).collect();
        let first = self.installed.len();
        for (id, digest) in unknown {
            let of: &[Origin<'a>] = origins.get(&digest).map(Vec::as_slice).unwrap_or_default();
            // Equal bytes can be of several versions of a package. One that counts, counts for them.
            let mut counting = of
                .iter()
                .filter_map(|origin| indexes.get(&origin.key).copied());
            let is_in_database =
                |n: &usize| (self.installed.get(*n)).is_some_and(|i| i.last_layer.is_none());
            let index = counting
                .clone()
                .rfind(is_in_database)
                .or_else(|| counting.next_back());
            let index = match (index, of.last()) {
                (Some(index), _) => index,
                (None, Some(origin)) if is_binary(files, id) => {
                    let index = self.installed.len();
                    indexes.insert(origin.key, index);
                    self.installed.push(Installed {
                        key: origin.key,
                        paths: origin.paths,
                        path: origin.database.clone(),
                        layer: origin.layer,
                        last_layer: Some(origin.layer),
                        is_without_files: false,
                    });
                    index
                }
                (None, _) => continue,
            };
            self.copies.insert(id, index);
        }
        self.find_last_layers(files, first, top);
    }

    /// Finds the last layer whose database has each package from an index on, which each have the one that installed it.
    fn find_last_layers(&mut self, files: &'a dyn Files, first: usize, top: u32) {
        let mut open: Vec<&mut Installed<'a>> = self.installed.iter_mut().skip(first).collect();
        for layer in 0..=top {
            if open.iter().all(|package| package.layer >= layer) {
                continue;
            }
            let keys = keys(files, layer);
            open.retain_mut(|package| {
                let is_above = package.layer < layer;
                let stays = !is_above || keys.contains(&package.key);
                if is_above && stays {
                    package.last_layer = Some(layer);
                }
                stays
            });
        }
    }

    /// Finds where the packages of each kind of database are from.
    fn find_distributions(&mut self, files: &dyn Files) {
        let kinds: BTreeSet<_> = self.installed.iter().map(|i| i.key.database).collect();
        for database in kinds {
            let version_of = |name: &str| {
                let mut packages = self.installed.iter();
                let found = packages.find(|i| i.key.database == database && i.key.name == name);
                found.map(|installed| installed.key.version.to_owned())
            };
            // base-files states the release itself.
            let packages = self.installed.iter().map(|installed| installed.key);
            let packages = packages.filter(|key| key.database == database);
            let rest = packages.filter(|key| key.name != "base-files");
            let versions: Vec<&str> = rest.map(|key| key.version).collect();
            let distribution = distribution(database, files, &version_of, &versions);
            self.distributions.push((database, distribution));
        }
    }

    /// Adds the packages, and has for each file its installed package as an index of the added ones.
    pub(super) fn packages(
        &self,
        files: &dyn Files,
        inventory: &mut Inventory,
    ) -> HashMap<FileId, usize> {
        let mut places = Vec::with_capacity(self.installed.len());
        for (_, distribution) in &self.distributions {
            for ecosystem in &distribution.ecosystems {
                if !inventory.distributions.contains(ecosystem) {
                    inventory.distributions.push(ecosystem.clone());
                }
            }
        }
        for installed in &self.installed {
            let of = self.distribution(installed.key.database);
            let ecosystems = of.map(|of| &*of.ecosystems).unwrap_or_default();
            let is_conflict = of.is_some_and(|of| of.conflict.is_some());
            let can_own = !ecosystems.is_empty() && installed.last_layer.is_none();
            places.push(can_own.then_some(inventory.packages.len()));
            for ecosystem in ecosystems {
                let mut marks = Vec::new();
                marks.extend(installed.last_layer.map(|_| Mark::NotInDatabase));
                marks.extend(is_conflict.then_some(Mark::ReleaseConflict));
                inventory.packages.push(Located {
                    package: Package {
                        ecosystem: ecosystem.clone(),
                        name: installed.key.name.to_owned(),
                        version: installed.key.version.to_owned(),
                        source: installed.key.source.map(|(name, version)| Source {
                            name: name.to_owned(),
                            version: version.to_owned(),
                        }),
                        path: Some(shown(&installed.path)),
                    },
                    architecture: installed.key.architecture.map(str::to_owned),
                    layer: (files.layers() > 0).then_some(installed.layer),
                    marks,
                    owner: None,
                });
            }
        }
        let owners = self.owners.iter();
        owners
            .filter(|(id, index)| {
                // What another layer has was not installed with the package, unless it is the same.
                let installed = self.installed.get(**index);
                installed.is_some_and(|installed| installed.layer == id.layer)
                    || self.copies.get(id) == Some(*index)
            })
            .filter_map(|(id, index)| Some((*id, (*places.get(*index)?)?)))
            .collect()
    }

    pub(super) fn distribution(&self, database: Database) -> Option<&Distribution> {
        let mut all = self.distributions.iter();
        all.find(|(of, _)| *of == database).map(|(_, found)| found)
    }
}

/// Whether a file is a binary.
fn is_binary(files: &dyn Files, id: FileId) -> bool {
    files.facts(id).iter().any(Fact::is_of_binary)
}

/// The names of binaries, without their directories: those can be links.
type Names<'a> = HashSet<(FileId, &'a [u8])>;

pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether a file can stay when its package is removed.
fn can_stay(path: &[u8]) -> bool {
    STAYING.iter().any(|directory| path.starts_with(directory))
}
