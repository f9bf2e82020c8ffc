//! The packages of a distribution, through all layers.
//!
//! Here: which packages are installed, from which layer on, which files they have, and which of them a later layer
//! removed from the database while it kept their files. Not here: packages of languages.
//! Invariant: a database that a layer deletes or shortens hides no package whose files stay.

use super::distribution::{Database, Distribution, distribution};
use super::files::{FileId, Files, Found};
use super::{Inventory, Located, Mark, Seen, shown};
use crate::content::Fact;
use crate::content::paths::Paths;
use crate::package::{Package, Source};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The files that are databases, wherever they lead.
const PLACES: [&[u8]; 3] = [
    b"var/lib/dpkg/status",
    b"lib/apk/db/installed",
    b"usr/lib/apk/db/installed",
];
/// The directory with a file for each package.
const STATUS_D: &[u8] = b"var/lib/dpkg/status.d";
/// Directories whose files images leave out, or that are changed where they are installed.
const LEFT_OUT: [&[u8]; 6] = [
    b"usr/share/doc/",
    b"usr/share/man/",
    b"usr/share/info/",
    b"usr/share/locale/",
    b"usr/share/lintian/",
    b"usr/share/bug/",
];
/// Directories whose files can stay when a package is removed.
const STAYING: [&[u8]; 2] = [b"etc/", b"var/"];

/// A package of a distribution.
pub(super) struct Installed<'a> {
    pub(super) key: Key<'a>,
    source: Option<(&'a str, &'a str)>,
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
}

impl<'a> Key<'a> {
    /// The package without its version.
    fn kind(self) -> (Database, &'a str, Option<&'a str>) {
        (self.database, self.name, self.architecture)
    }
}

/// The packages of the distribution, and what belongs to them.
pub(super) struct Databases<'a> {
    pub(super) installed: Vec<Installed<'a>>,
    /// The package that a file is of, as an index of `installed`.
    pub(super) owners: HashMap<FileId, usize>,
    /// Lists of files whose package is not installed, and of which files are there.
    pub(super) lists_without_package: Vec<Vec<u8>>,
    /// For each kind of database that there is or was: where its packages are from, and how many there are.
    pub(super) distributions: Vec<(Database, Distribution)>,
    /// Kinds of databases that a layer deleted, with the last layer that has one.
    pub(super) deleted: Vec<(Database, u32)>,
}

/// The packages that a file names.
fn entries(files: &dyn Files, id: FileId) -> impl Iterator<Item = Entry<'_>> {
    files.facts(id).iter().filter_map(|fact| match fact {
        Fact::Dpkg(package) => Some(Entry {
            key: Key {
                database: Database::Dpkg,
                name: &package.name,
                version: &package.version,
                architecture: package.architecture.as_deref(),
            },
            source: package.source.as_ref().map(|source| {
                let version = source.version.as_ref();
                (&*source.name, &**version.unwrap_or(&package.version))
            }),
            paths: None,
        }),
        Fact::Apk(package) => Some(Entry {
            key: Key {
                database: Database::Apk,
                name: &package.name,
                version: &package.version,
                architecture: package.architecture.as_deref(),
            },
            source: package
                .origin
                .as_ref()
                .map(|origin| (&**origin, &*package.version)),
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
        | Fact::Java(_) => None,
    })
}

struct Entry<'a> {
    key: Key<'a>,
    source: Option<(&'a str, &'a str)>,
    /// Its files, if the database has them.
    paths: Option<&'a Paths>,
}

impl<'a> Databases<'a> {
    pub(super) fn of(files: &'a dyn Files, seen: &Seen) -> Self {
        let mut databases = Self {
            installed: Vec::new(),
            owners: HashMap::new(),
            lists_without_package: Vec::new(),
            distributions: Vec::new(),
            deleted: Vec::new(),
        };
        let top = files.layers().saturating_sub(1);
        let mut known = HashSet::new();
        let mut lists: Vec<(usize, &Paths)> = Vec::new();
        for (path, id) in &seen.databases {
            for entry in entries(files, *id) {
                if known.insert(entry.key) {
                    lists.extend(entry.paths.map(|paths| (databases.installed.len(), paths)));
                    databases.installed.push(Installed {
                        key: entry.key,
                        source: entry.source,
                        path: path.clone(),
                        layer: 0,
                        last_layer: None,
                        is_without_files: false,
                    });
                }
            }
        }
        databases.own(files, seen, lists);
        databases.follow(files, seen, top);
        databases.find_distributions(files);
        databases
    }

    /// Finds the files of the packages.
    fn own(&mut self, files: &'a dyn Files, seen: &Seen, mut lists: Vec<(usize, &'a Paths)>) {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, installed) in self.installed.iter().enumerate() {
            if installed.key.database == Database::Dpkg {
                by_name.entry(installed.key.name).or_default().push(index);
            }
        }
        let mut diversions: HashMap<&[u8], (&[u8], Option<&str>)> = HashMap::new();
        for (path, id) in &seen.lists {
            for fact in files.facts(*id) {
                if let Fact::DpkgDiversion(diversion) = fact {
                    let to = (&*diversion.to, diversion.package.as_deref());
                    diversions.insert(&diversion.from, to);
                }
                let Fact::DpkgFiles(list) = fact else {
                    continue;
                };
                let named = by_name.get(&*list.package).into_iter().flatten();
                let of: Vec<usize> = named
                    .copied()
                    .filter(|index| {
                        let installed = self.installed.get(*index);
                        let own = installed.and_then(|installed| installed.key.architecture);
                        list.architecture.is_none() || list.architecture.as_deref() == own
                    })
                    .collect();
                let is_there = |path: &[u8]| {
                    let found = files.resolve(path).and_then(Found::file);
                    found.is_some() && !can_stay(path)
                };
                let of = if of.is_empty() {
                    of_sibling(files, path, &by_name)
                } else {
                    of
                };
                if of.is_empty() && list.paths.iter().any(is_there) {
                    self.lists_without_package.push(path.clone());
                }
                lists.extend(of.into_iter().map(|index| (index, &list.paths)));
            }
        }
        let mut has_file = HashSet::new();
        let mut lacks_file = HashSet::new();
        for (index, paths) in lists {
            let name = self
                .installed
                .get(index)
                .map(|installed| installed.key.name);
            for path in paths.iter() {
                let path = match diversions.get(path) {
                    Some((to, package)) if *package != name => to,
                    Some(_) | None => path,
                };
                match files.resolve(path) {
                    Some(Found::File(id)) => {
                        self.owners.entry(id).or_insert(index);
                        has_file.insert(index);
                    }
                    Some(Found::Other) => {
                        has_file.insert(index);
                    }
                    Some(Found::Directory) => {}
                    None if LEFT_OUT.iter().any(|left_out| path.starts_with(left_out)) => {}
                    None => {
                        lacks_file.insert(index);
                    }
                }
            }
        }
        for (index, installed) in self.installed.iter_mut().enumerate() {
            installed.is_without_files = lacks_file.contains(&index) && !has_file.contains(&index);
        }
    }

    /// Goes down through the layers: finds the lowest one from which each package stays, and packages that a later layer
    /// removed from the database, or gave another version, while it kept files of them.
    fn follow(&mut self, files: &'a dyn Files, seen: &Seen, top: u32) {
        let all = self.installed.iter().enumerate();
        let mut kinds: HashMap<_, usize> = all.map(|(n, i)| (i.key.kind(), n)).collect();
        let mut tried: HashSet<Key<'a>> = self.installed.iter().map(|i| i.key).collect();
        let mut alive: Vec<usize> = (0..self.installed.len()).collect();
        let present: BTreeSet<Database> = self.installed.iter().map(|i| i.key.database).collect();
        let mut deleted: BTreeSet<Database> = BTreeSet::new();
        let mut last: Option<BTreeMap<FileId, Vec<u8>>> = None;
        let mut keys: HashSet<Key<'a>> = HashSet::new();
        for layer in (0..=top).rev() {
            let ids = database_files(files, seen, layer);
            if last.as_ref() == Some(&ids) {
                continue;
            }
            keys.clear();
            for (id, path) in &ids {
                for entry in entries(files, *id) {
                    keys.insert(entry.key);
                    let database = entry.key.database;
                    if !present.contains(&database) && deleted.insert(database) {
                        self.deleted.push((database, layer));
                    }
                    if layer == top || !tried.insert(entry.key) {
                        continue;
                    }
                    let paths = paths_at(files, layer, &entry);
                    let other = kinds.get(&entry.key.kind()).copied();
                    let kept = match other {
                        Some(other) => self.unchanged(files, layer, &paths, other),
                        None => self.kept(files, layer, &paths),
                    };
                    // Without its list, nothing says that its files were removed with the database.
                    let is_unknown =
                        other.is_none() && paths.is_empty() && deleted.contains(&database);
                    if kept.is_empty() && !is_unknown {
                        continue;
                    }
                    let index = self.installed.len();
                    kinds.insert(entry.key.kind(), index);
                    for id in kept {
                        self.owners.entry(id).or_insert(index);
                    }
                    alive.push(index);
                    self.installed.push(Installed {
                        key: entry.key,
                        source: entry.source,
                        path: path.clone(),
                        layer: 0,
                        last_layer: Some(layer),
                        is_without_files: false,
                    });
                }
            }
            let installed = &mut self.installed;
            alive.retain(|index| {
                let Some(package) = installed.get_mut(*index) else {
                    return false;
                };
                let stays = keys.contains(&package.key);
                if !stays {
                    // The layer above this one has it, or a database that is found at no place has it.
                    package.layer = layer.saturating_add(1).min(top);
                }
                stays
            });
            last = Some(ids);
        }
    }

    /// The files of a package that are still there, and of no installed package.
    fn kept(&self, files: &dyn Files, layer: u32, paths: &[&[u8]]) -> Vec<FileId> {
        let own = paths.iter().filter(|path| !can_stay(path));
        own.filter_map(|path| {
            let found = files.resolve(path)?;
            let id = found.file()?;
            let is_kept =
                !self.owners.contains_key(&id) && files.resolve_at(layer, path) == Some(found);
            is_kept.then_some(id)
        })
        .collect()
    }

    /// The binaries of a package that are still the same ones, although the database has another version of it (`other`).
    /// dpkg and apk write each file of a package again, so nothing but the database was changed.
    fn unchanged(
        &self,
        files: &dyn Files,
        layer: u32,
        paths: &[&[u8]],
        other: usize,
    ) -> Vec<FileId> {
        let is_binary = |id: FileId| {
            let mut facts = files.facts(id).iter();
            facts.any(|fact| matches!(fact, Fact::Elf(_) | Fact::Java(_)))
        };
        let all = paths.iter().filter_map(|path| {
            let found = files.resolve(path)?;
            let id = found.file()?;
            let is_unchanged = self.owners.get(&id) == Some(&other)
                && is_binary(id)
                && files.resolve_at(layer, path) == Some(found);
            is_unchanged.then_some(id)
        });
        all.collect()
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
            let distribution = distribution(database, files, &version_of);
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
                        source: installed.source.map(|(name, version)| Source {
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
            .filter_map(|(id, index)| Some((*id, (*places.get(*index)?)?)))
            .collect()
    }

    pub(super) fn distribution(&self, database: Database) -> Option<&Distribution> {
        let mut all = self.distributions.iter();
        all.find(|(of, _)| *of == database).map(|(_, found)| found)
    }
}

/// The packages of the file of `status.d` that a list of files is beside. It can have another name than its package.
fn of_sibling(files: &dyn Files, path: &[u8], by_name: &HashMap<&str, Vec<usize>>) -> Vec<usize> {
    let sibling = path.strip_suffix(b".md5sums");
    let found = sibling.and_then(|path| files.resolve(path));
    let Some(id) = found.and_then(Found::file) else {
        return Vec::new();
    };
    let named = entries(files, id).filter_map(|entry| by_name.get(entry.key.name));
    named.flatten().copied().collect()
}

/// Whether a file can stay when its package is removed.
fn can_stay(path: &[u8]) -> bool {
    STAYING.iter().any(|directory| path.starts_with(directory))
}

/// The paths of the files of a package in the tree of the layers up to one.
fn paths_at<'a>(files: &'a dyn Files, layer: u32, entry: &Entry<'a>) -> Vec<&'a [u8]> {
    if let Some(own) = entry.paths {
        return own.iter().collect();
    }
    let lists = lists_at(files, layer, entry.key);
    lists.into_iter().flat_map(Paths::iter).collect()
}

/// The files that are databases in the tree of the layers up to one, each with the path at which it is found.
fn database_files(files: &dyn Files, seen: &Seen, layer: u32) -> BTreeMap<FileId, Vec<u8>> {
    let mut found = BTreeMap::new();
    let own = seen.databases.iter().map(|(path, _)| &**path);
    for path in PLACES.into_iter().chain(own) {
        if let Some(Found::File(id)) = files.resolve_at(layer, path) {
            found.entry(id).or_insert_with(|| path.to_vec());
        }
    }
    files.list_at(layer, STATUS_D, &mut |name, id| {
        found
            .entry(id)
            .or_insert_with(|| [STATUS_D, b"/", name].concat());
    });
    found
}

/// The lists of the files of a package in the tree of the layers up to one.
fn lists_at<'a>(files: &'a dyn Files, layer: u32, key: Key<'a>) -> Vec<&'a Paths> {
    let name = key.name;
    let mut paths = vec![
        format!("var/lib/dpkg/info/{name}.list"),
        format!("var/lib/dpkg/info/{name}.md5sums"),
        format!("var/lib/dpkg/status.d/{name}.md5sums"),
    ];
    if let Some(architecture) = key.architecture {
        paths.push(format!("var/lib/dpkg/info/{name}:{architecture}.list"));
        paths.push(format!("var/lib/dpkg/info/{name}:{architecture}.md5sums"));
    }
    let ids = paths
        .iter()
        .filter_map(|path| files.resolve_at(layer, path.as_bytes())?.file());
    let facts = ids.flat_map(|id| files.facts(id));
    facts
        .filter_map(|fact| {
            let Fact::DpkgFiles(list) = fact else {
                return None;
            };
            (list.package == name).then_some(&list.paths)
        })
        .collect()
}
