//! Packages of languages.
//!
//! Here: which packages the facts of a file name, from which layer on, and which other files belong to them. Not here:
//! packages of distributions.
//! Invariant: each file that names a package counts, whoever installed it. Its owner is named.

use super::files::{FileId, Files, Found};
use super::{Inventory, Located, Mark, NotRead, Seen, shown};
use crate::content::java::Archive;
use crate::content::{Fact, go, npm, python, rust};
use crate::ecosystem::Ecosystem;
use crate::matching::groups;
use crate::package::Package;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// What is known about files with packages of languages.
#[derive(Default)]
pub(super) struct Languages {
    /// Files that name their packages.
    identified: HashSet<FileId>,
    /// Paths of binaries that packages of Python list.
    listed: HashSet<Vec<u8>>,
    /// Binaries that have a path that belongs to no package.
    outside: HashSet<FileId>,
    /// Directories of npm packages. What is in them belongs to the package.
    directories: HashSet<Vec<u8>>,
}

/// A package that a fact names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    ecosystem: Ecosystem,
    name: String,
    version: String,
    /// Where it is in the file. Empty if it is the file itself.
    inside: String,
    marks: Vec<Mark>,
}

impl Named {
    fn of(ecosystem: Ecosystem, name: &str, version: &str) -> Self {
        let name = ecosystem.normal_name(name).into_owned();
        Self {
            ecosystem,
            name,
            version: version.to_owned(),
            inside: String::new(),
            marks: Vec::new(),
        }
    }

    fn inside(mut self, path: &str) -> Self {
        path.clone_into(&mut self.inside);
        self
    }

    fn marked(mut self, mark: Mark, is_so: bool) -> Self {
        if is_so {
            self.marks.push(mark);
        }
        self
    }

    fn key(&self) -> Key {
        (
            self.ecosystem.clone(),
            self.name.clone(),
            self.version.clone(),
        )
    }
}

type Key = (Ecosystem, String, String);

impl Languages {
    /// Adds the packages of languages. `owners` has the package of the distribution that each file is of.
    pub(super) fn of(
        files: &dyn Files,
        seen: &Seen,
        owners: &HashMap<FileId, usize>,
        inventory: &mut Inventory,
        limit: usize,
    ) -> Self {
        let packages = &mut inventory.packages;
        let mut languages = Self::default();
        let binaries = seen.paths_of_binaries.iter().map(|(path, _)| &**path);
        let binaries: HashSet<&[u8]> = binaries.collect();
        let mut keys: HashMap<FileId, Rc<HashSet<Key>>> = HashMap::new();
        let mut added = BTreeSet::new();
        // Other paths of one file must not take the place of another file.
        let all = seen.languages.iter().chain(&seen.more_languages);
        'all: for (path, id) in all.clone() {
            for fact in files.facts(*id) {
                for named in named(fact) {
                    let place = place(path, fact);
                    let mut shown = shown(place);
                    if !named.inside.is_empty() {
                        shown.push_str("!/");
                        shown.push_str(&named.inside);
                    }
                    // Several files of one directory name one package.
                    if !added.insert((shown.clone(), named.key())) {
                        continue;
                    }
                    if packages.len() >= limit {
                        inventory.coverage.not_read.push(NotRead {
                            path: super::shown(path),
                            what: "packages".to_owned(),
                            cause: format!(
                                "more than {limit} packages are named; the rest are left out"
                            ),
                        });
                        break 'all;
                    }
                    let layer = layer(files, path, *id, &named.key(), &mut keys);
                    packages.push(Located {
                        package: Package {
                            ecosystem: named.ecosystem,
                            name: named.name,
                            version: named.version,
                            source: None,
                            path: Some(shown),
                        },
                        architecture: None,
                        layer: (files.layers() > 0).then_some(layer),
                        marks: named.marks,
                        owner: owners.get(id).copied(),
                    });
                }
            }
        }
        for (path, id) in all {
            languages.learn(files, path, *id, &binaries);
        }
        for (path, id) in &seen.paths_of_binaries {
            if !languages.has_path(path) {
                languages.outside.insert(*id);
            }
        }
        languages
    }

    /// Keeps which files belong to the packages that a file names.
    fn learn(&mut self, files: &dyn Files, path: &[u8], id: FileId, binaries: &HashSet<&[u8]>) {
        for fact in files.facts(id) {
            match fact {
                Fact::Go(_) | Fact::Rust(_) => drop(self.identified.insert(id)),
                // A file outside can be linked to one of a package.
                Fact::Npm(package)
                    if package.path_in_archive.is_empty() && is_npm_directory(parent(path)) =>
                {
                    self.directories.insert(parent(path).to_vec());
                }
                Fact::Python(distribution) if distribution.path_in_archive.is_empty() => {
                    let directory = parent(place(path, fact));
                    let Some(prefixes) = prefixes(directory) else {
                        continue;
                    };
                    for file in distribution.files.iter() {
                        let Some(file) = joined(directory, file) else {
                            continue;
                        };
                        let is_below = prefixes.iter().any(|prefix| file.starts_with(prefix));
                        if is_below && binaries.contains(&*file) {
                            self.listed.insert(file);
                        }
                    }
                }
                Fact::Java(_)
                | Fact::Npm(_)
                | Fact::Python(_)
                | Fact::NotRead { .. }
                | Fact::Dpkg(_)
                | Fact::DpkgFiles(_)
                | Fact::DpkgDiversion(_)
                | Fact::Apk(_)
                | Fact::Release(_)
                | Fact::Elf(_)
                | Fact::Packed(_) => {}
            }
        }
    }

    /// Whether a binary belongs to a package of a language: under each of its paths, or because it names it.
    pub(super) fn has(&self, id: FileId) -> bool {
        self.identified.contains(&id) || !self.outside.contains(&id)
    }

    /// Whether a path belongs to a package of a language.
    fn has_path(&self, path: &[u8]) -> bool {
        if self.listed.contains(path) {
            return true;
        }
        let mut directory = parent(path);
        while !directory.is_empty() {
            if self.directories.contains(directory) {
                return true;
            }
            directory = parent(directory);
        }
        false
    }
}

/// Whether a directory is that of an npm package: `node_modules/NAME`, or `node_modules/@SCOPE/NAME`.
fn is_npm_directory(directory: &[u8]) -> bool {
    let mut names = directory.rsplit(|byte| *byte == b'/').skip(1);
    let above = match names.next() {
        Some([b'@', ..]) => names.next(),
        above => above,
    };
    above == Some(b"node_modules")
}

/// Where the files of a package of Python can be, given the directory that has its dist-info: in `site-packages`, and in
/// `bin` beside its `lib`. Each ends with `/`. None if it is not in `site-packages`: then nothing says where it ends.
fn prefixes(directory: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut site = directory;
    while !(is_named(site, b"site-packages") || is_named(site, b"dist-packages")) {
        site = Some(parent(site)).filter(|above| !above.is_empty())?;
    }
    let mut prefixes = vec![[site, b"/"].concat()];
    // Such as `usr/lib/python3.11/site-packages`.
    let library = parent(parent(site));
    if is_named(library, b"lib") || is_named(library, b"lib64") {
        let prefix = library.len().saturating_sub(name(library).len());
        let prefix = library.get(..prefix).unwrap_or_default();
        prefixes.push([prefix, b"bin/"].concat());
    }
    Some(prefixes)
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

fn is_named(path: &[u8], expected: &[u8]) -> bool {
    name(path) == expected
}

/// A path relative to a directory, without `..`. None if it leads above the root.
fn joined(directory: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut joined = directory.to_vec();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if joined.is_empty() => return None,
            b".." => joined.truncate(parent(&joined).len()),
            name => {
                if !joined.is_empty() {
                    joined.push(b'/');
                }
                joined.extend_from_slice(name);
            }
        }
    }
    Some(joined)
}

/// The directory of a path. Empty for that of the root.
fn parent(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash
        .and_then(|slash| path.get(..slash))
        .unwrap_or_default()
}

/// The path of the package that a file names: for Python the dist-info or egg-info, for npm the directory of the
/// package, otherwise the file itself.
fn place<'a>(path: &'a [u8], fact: &Fact) -> &'a [u8] {
    let directory = parent(path);
    let is_directory = match fact {
        Fact::Python(_) => directory.ends_with(b"-info"),
        Fact::Npm(package) => package.path_in_archive.is_empty(),
        Fact::Java(_)
        | Fact::Go(_)
        | Fact::Rust(_)
        | Fact::NotRead { .. }
        | Fact::Dpkg(_)
        | Fact::DpkgFiles(_)
        | Fact::DpkgDiversion(_)
        | Fact::Apk(_)
        | Fact::Release(_)
        | Fact::Elf(_)
        | Fact::Packed(_) => false,
    };
    if is_directory { directory } else { path }
}

/// The packages that a fact names.
fn named(fact: &Fact) -> Vec<Named> {
    match fact {
        Fact::Go(info) => of_go(info),
        Fact::Rust(crates) => crates.iter().map(of_rust).collect(),
        Fact::Python(distribution) => vec![of_python(distribution)],
        Fact::Npm(package) => vec![of_npm(package)],
        Fact::Java(archive) => of_java(archive),
        Fact::NotRead { .. }
        | Fact::Dpkg(_)
        | Fact::DpkgFiles(_)
        | Fact::DpkgDiversion(_)
        | Fact::Apk(_)
        | Fact::Release(_)
        | Fact::Elf(_)
        | Fact::Packed(_) => Vec::new(),
    }
}

fn of_go(info: &go::BuildInfo) -> Vec<Named> {
    let modules = info.main.iter().chain(&info.dependencies);
    let modules = modules.map(|module| Named::of(Ecosystem::Go, &module.path, &module.version));
    let library = Named::of(Ecosystem::Go, "stdlib", &info.go);
    std::iter::once(library).chain(modules).collect()
}

fn of_rust(of: &rust::Crate) -> Named {
    Named::of(Ecosystem::CratesIo, &of.name, &of.version)
        .marked(Mark::OtherSource, !of.is_of_crates_io)
}

fn of_python(distribution: &python::Distribution) -> Named {
    Named::of(Ecosystem::PyPi, &distribution.name, &distribution.version)
        .inside(&distribution.path_in_archive)
        .marked(Mark::Vendored, distribution.vendored)
}

fn of_npm(package: &npm::Package) -> Named {
    Named::of(Ecosystem::Npm, &package.name, &package.version)
        .inside(&package.path_in_archive)
        .marked(Mark::Vendored, package.bundled_in.is_some())
}

fn of_java(archive: &Archive) -> Vec<Named> {
    let artifacts = archive.artifacts.iter().map(|artifact| {
        let name = match &artifact.group {
            Some(group) => format!("{group}:{}", artifact.artifact),
            // The name under which advisories of each group are looked up.
            None => groups::any_group(&artifact.artifact),
        };
        Named::of(Ecosystem::Maven, &name, &artifact.version)
            .inside(&archive.path)
            .marked(Mark::AnyGroup, artifact.group.is_none())
    });
    artifacts.collect()
}

/// The lowest layer from which on the file at a path names a package.
fn layer(
    files: &dyn Files,
    path: &[u8],
    id: FileId,
    key: &Key,
    keys: &mut HashMap<FileId, Rc<HashSet<Key>>>,
) -> u32 {
    let mut layer = id.layer;
    while let Some(below) = layer.checked_sub(1) {
        let Some(Found::File(before)) = files.resolve_at(below, path) else {
            break;
        };
        let named = keys.entry(before).or_insert_with(|| {
            let facts = files.facts(before).iter();
            Rc::new(facts.flat_map(named).map(|named| named.key()).collect())
        });
        // A file that is linked to another path can have a higher layer than the path.
        if !named.contains(key) || before.layer >= layer {
            break;
        }
        layer = before.layer;
    }
    layer
}
