//! Packages of languages.
//!
//! Here: which packages the facts of a file name, from which layer on, and which other files belong to them. Not here:
//! packages of distributions.
//! Invariant: each file that names a package counts, whoever installed it. Its owner is named.

use super::files::{FileId, Files, Found};
use super::{Located, Mark, Seen, shown};
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
    /// Files that belong to a package of a language.
    identified: HashSet<FileId>,
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
        packages: &mut Vec<Located>,
    ) -> Self {
        let mut languages = Self::default();
        let mut keys: HashMap<FileId, Rc<HashSet<Key>>> = HashMap::new();
        let mut added = BTreeSet::new();
        for (path, id) in &seen.languages {
            languages.learn(files, path, *id);
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
        languages
    }

    /// Keeps which files belong to the packages that a file names.
    fn learn(&mut self, files: &dyn Files, path: &[u8], id: FileId) {
        for fact in files.facts(id) {
            match fact {
                Fact::Go(_) | Fact::Rust(_) => drop(self.identified.insert(id)),
                Fact::Npm(package) if package.path_in_archive.is_empty() => {
                    self.directories.insert(parent(path).to_vec());
                }
                Fact::Python(distribution) if distribution.path_in_archive.is_empty() => {
                    let directory = parent(place(path, fact));
                    for file in distribution.files.iter() {
                        let file = [directory, b"/", file].concat();
                        let found = files.resolve(&file).and_then(Found::file);
                        self.identified.extend(found);
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
                | Fact::Elf(_) => {}
            }
        }
    }

    /// Whether a file belongs to a package of a language.
    pub(super) fn has(&self, path: &[u8], id: FileId) -> bool {
        if self.identified.contains(&id) {
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
        | Fact::Elf(_) => false,
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
        | Fact::Elf(_) => Vec::new(),
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
