//! The packages of a distribution, through all layers.
//!
//! Here: which packages are installed, from which layer on, which files they have, and which of them a later layer
//! removed from the database while it kept their files. Not here: packages of languages, and which bytes a package
//! installed (`copies`).
//! Invariant: a database that a layer deletes or shortens hides no package whose files stay, or are stored again.

use super::copies::{Origin, keys, origins};
use super::distribution::{Database, Distribution, distribution};
use super::files::{ContentDigest, FileId, Files, Found};
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

    /// Finds the files of the packages, and has those that a package lists under their own name. A list is looked up once,
    /// whatever number of packages it is of.
    fn own(
        &mut self,
        files: &'a dyn Files,
        seen: &Seen,
        mut lists: Vec<(BTreeSet<usize>, &'a Paths)>,
        binaries: &Names<'_>,
    ) -> HashSet<FileId> {
        let mut owned = HashSet::new();
        // A list is of one version of a package: the first one of several that are named.
        let mut by_name: ByName<'_> = HashMap::new();
        for (index, installed) in self.installed.iter().enumerate() {
            let key = installed.key;
            if key.database == Database::Dpkg {
                let named = by_name.entry(key.name).or_default();
                named.entry(key.architecture).or_insert(index);
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
                let of: BTreeSet<usize> = named
                    .filter(|(own, _)| {
                        list.architecture.is_none() || list.architecture.as_deref() == **own
                    })
                    .map(|(_, index)| *index)
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
                lists.push((of, &list.paths));
            }
        }
        let mut has_file: HashSet<usize> = HashSet::new();
        let mut lacks_file: HashSet<usize> = HashSet::new();
        for (of, paths) in lists {
            let Some(index) = of.first().copied() else {
                continue;
            };
            let own = self.installed.get(index);
            let own = own.map(|installed| installed.key.name);
            let (mut has, mut lacks) = (false, false);
            for path in paths.iter() {
                let path = match diversions.get(path) {
                    Some((to, package)) if *package != own => to,
                    Some(_) | None => path,
                };
                match files.resolve(path) {
                    Some(Found::File(id)) => {
                        // A link of one package can lead to the file of another one.
                        if binaries.contains(&(id, name(path))) && owned.insert(id) {
                            self.owners.insert(id, index);
                        }
                        self.owners.entry(id).or_insert(index);
                        has = true;
                    }
                    Some(Found::Other) => has = true,
                    Some(Found::Directory) => {}
                    None if LEFT_OUT.iter().any(|left_out| path.starts_with(left_out)) => {}
                    None => lacks = true,
                }
            }
            if has {
                has_file.extend(&of);
            }
            if lacks {
                lacks_file.extend(&of);
            }
        }
        for (index, installed) in self.installed.iter_mut().enumerate() {
            installed.is_without_files = lacks_file.contains(&index) && !has_file.contains(&index);
        }
        owned
    }

    /// Goes down through the layers: finds the lowest one from which each package stays, and packages that a later layer
    /// removed from the database, or gave another version, while it kept files of them.
    #[expect(
        clippy::too_many_lines,
        reason = "one pass over the layers with one state"
    )]
    fn follow(
        &mut self,
        files: &'a dyn Files,
        seen: &Seen,
        top: u32,
        binaries: &Names<'_>,
        certain: &HashSet<FileId>,
    ) {
        let all = self.installed.iter().enumerate();
        let mut by_name: HashMap<_, usize> = all
            .map(|(n, i)| ((i.key.database, i.key.name), n))
            .collect();
        let mut known: HashSet<Key<'a>> = self.installed.iter().map(|i| i.key).collect();
        // A layer can change the list of a package before another one removes it, so each list is tried.
        let mut tried: HashSet<(Key<'a>, Vec<*const Paths>)> = HashSet::new();
        let mut alive: Vec<usize> = (0..self.installed.len()).collect();
        let present: BTreeSet<Database> = self.installed.iter().map(|i| i.key.database).collect();
        let mut deleted: BTreeSet<Database> = BTreeSet::new();
        let mut last: Option<BTreeMap<FileId, Vec<u8>>> = None;
        let mut keys: HashMap<Key<'a>, Option<&'a Paths>> = HashMap::new();
        let mut elsewhere = elsewhere(files, seen, top);
        for layer in (0..=top).rev() {
            let ids = database_files(files, &mut elsewhere, layer);
            if last.as_ref() == Some(&ids) {
                continue;
            }
            keys.clear();
            for entry in ids.keys().flat_map(|id| entries(files, *id)) {
                keys.entry(entry.key).or_insert(entry.paths);
            }
            let mut used: HashSet<*const Paths> = HashSet::new();
            let mut had: HashMap<usize, bool> = HashMap::new();
            for (id, path) in &ids {
                for entry in entries(files, *id) {
                    let database = entry.key.database;
                    if !present.contains(&database) && deleted.insert(database) {
                        self.deleted.push((database, layer));
                    }
                    if layer == top || known.contains(&entry.key) {
                        continue;
                    }
                    let mut lists = match entry.paths {
                        Some(own) => vec![own],
                        None => lists_at(files, layer, entry.key),
                    };
                    let is_without_list = lists.is_empty();
                    let pointers = lists.iter().map(|list| std::ptr::from_ref(*list));
                    if !tried.insert((entry.key, pointers.collect())) {
                        continue;
                    }
                    // A list is of one version of a package.
                    lists.retain(|list| used.insert(std::ptr::from_ref(*list)));
                    let kind = (database, entry.key.name);
                    let other = by_name.get(&kind).copied().filter(|other| {
                        let other = self.installed.get(*other);
                        other.is_none_or(|other| other.last_layer != Some(layer))
                    });
                    let mut kept = Vec::new();
                    for path in lists.iter().flat_map(|list| list.iter()) {
                        let Some(id) = kept_file(files, layer, path) else {
                            continue;
                        };
                        let is_kept = match self.owners.get(&id).copied() {
                            None => other.is_none() || is_binary(files, id),
                            Some(owner) => {
                                is_binary(files, id)
                                    && binaries.contains(&(id, name(path)))
                                    && !(certain.contains(&id)
                                        && *had.entry(owner).or_insert_with(|| {
                                            self.had_files(files, layer, top, owner, &keys)
                                        }))
                            }
                        };
                        kept.extend(is_kept.then_some(id));
                    }
                    // Without its list, nothing says that its files were removed with the database.
                    let is_unknown =
                        other.is_none() && is_without_list && deleted.contains(&database);
                    if kept.is_empty() && !is_unknown {
                        continue;
                    }
                    let index = self.installed.len();
                    known.insert(entry.key);
                    by_name.insert(kind, index);
                    for id in kept {
                        self.owners.entry(id).or_insert(index);
                    }
                    alive.push(index);
                    self.installed.push(Installed {
                        key: entry.key,
                        paths: entry.paths,
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
                let stays = keys.contains_key(&package.key);
                if !stays {
                    // The layer above this one has it, or a database that is found at no place has it.
                    package.layer = layer.saturating_add(1).min(top);
                }
                stays
            });
            last = Some(ids);
        }
    }

    /// Whether a package was in the tree of the layers up to one, with the same list of files as now. Then what it owns
    /// was its own, or what it leads to, and no later layer claimed it.
    fn had_files(
        &self,
        files: &dyn Files,
        layer: u32,
        top: u32,
        index: usize,
        keys: &HashMap<Key<'_>, Option<&Paths>>,
    ) -> bool {
        let Some(installed) = self.installed.get(index) else {
            return false;
        };
        let Some(before) = keys.get(&installed.key) else {
            return false;
        };
        match (before, installed.paths) {
            (Some(before), Some(now)) => *before == now,
            (None, None) => {
                lists_at(files, layer, installed.key) == lists_at(files, top, installed.key)
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
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

/// The packages of dpkg: by name and architecture, the first one of several versions.
type ByName<'a> = HashMap<&'a str, BTreeMap<Option<&'a str>, usize>>;

/// The packages of the file of `status.d` that a list of files is beside. It can have another name than its package.
fn of_sibling(files: &dyn Files, path: &[u8], by_name: &ByName<'_>) -> BTreeSet<usize> {
    let sibling = path.strip_suffix(b".md5sums");
    let found = sibling.and_then(|path| files.resolve(path));
    let Some(id) = found.and_then(Found::file) else {
        return BTreeSet::new();
    };
    let named = entries(files, id).filter_map(|entry| {
        let named = by_name.get(entry.key.name)?;
        named.get(&entry.key.architecture).copied()
    });
    named.collect()
}

/// Whether a file is a binary.
fn is_binary(files: &dyn Files, id: FileId) -> bool {
    files.facts(id).iter().any(Fact::is_of_binary)
}

/// The file of a package that is still the one of the layers up to one. dpkg and apk write each file of a package again,
/// so if a binary is the same one, nothing but the database was changed.
fn kept_file(files: &dyn Files, layer: u32, path: &[u8]) -> Option<FileId> {
    let found = files.resolve(path).filter(|_| !can_stay(path))?;
    let id = found.file()?;
    (files.resolve_at(layer, path) == Some(found)).then_some(id)
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

/// The databases of the final tree that are found at no place.
fn elsewhere<'s>(files: &dyn Files, seen: &'s Seen, top: u32) -> Vec<(&'s [u8], FileId)> {
    let at_places = database_files(files, &mut Vec::new(), top);
    let all = seen.databases.iter().map(|(path, id)| (&**path, *id));
    all.filter(|(_, id)| !at_places.contains_key(id)).collect()
}

/// The files that are databases in the tree of the layers up to one, each with the path at which it is found. Those
/// `elsewhere` are followed down: a path is looked up again only below the layer that has its file.
pub(super) fn database_files(
    files: &dyn Files,
    elsewhere: &mut Vec<(&[u8], FileId)>,
    layer: u32,
) -> BTreeMap<FileId, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in PLACES {
        if let Some(Found::File(id)) = files.resolve_at(layer, path) {
            found.entry(id).or_insert_with(|| path.to_vec());
        }
    }
    elsewhere.retain_mut(|(path, id)| {
        if id.layer > layer {
            let Some(Found::File(lower)) = files.resolve_at(layer, path) else {
                return false;
            };
            *id = lower;
        }
        found.entry(*id).or_insert_with(|| path.to_vec());
        true
    });
    files.list_at(layer, STATUS_D, &mut |name, id| {
        found
            .entry(id)
            .or_insert_with(|| [STATUS_D, b"/", name].concat());
    });
    found
}

/// The lists of the files of a package in the tree of the layers up to one.
pub(super) fn lists_at<'a>(files: &'a dyn Files, layer: u32, key: Key<'a>) -> Vec<&'a Paths> {
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
