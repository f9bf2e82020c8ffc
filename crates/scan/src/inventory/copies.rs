//! Which package a file is of by its content.
//!
//! Here: which bytes a package installed, in whatever layer. Not here: which package owns a path (`databases`).
//! Invariant: only bytes that were installed with a package identify a file: a layer has both the bytes and the package
//! anew, and a list of the package in that layer leads to them. Sums that a database states are text of the image, and
//! identify nothing. What is not found here stays without a package.
//!
//! An entry of the tree is another file once a later layer stores it again, as `chmod` and `chown` do, an overlay for one
//! name of a hard link, and `COPY` of what a distribution has built. Its bytes are still those of the package.

use super::databases::{Key, database_files, entries, lists_at, name};
use super::files::{ContentDigest, FileId, Files, Found};
use crate::content::Fact;
use crate::content::paths::Paths;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Lists of packages that are looked for and paths in them that are looked up, in all layers. Files whose packages would
/// need more stay without one.
const LOOKUPS: usize = 1_000_000;
/// Where diversions of dpkg are.
const DIVERSIONS: &[u8] = b"var/lib/dpkg/diversions";

/// A package that installed some bytes.
pub(super) struct Origin<'a> {
    pub(super) key: Key<'a>,
    /// The layer that has both.
    pub(super) layer: u32,
    /// The files of the package, if the database has them.
    pub(super) paths: Option<&'a Paths>,
    /// The database.
    pub(super) database: Vec<u8>,
}

/// The packages that installed bytes with these digests, from the lowest layer on.
pub(super) fn origins<'a>(
    files: &'a dyn Files,
    wanted: &HashSet<ContentDigest>,
) -> HashMap<ContentDigest, Vec<Origin<'a>>> {
    let mut same: BTreeMap<u32, HashMap<FileId, ContentDigest>> = BTreeMap::new();
    let mut counts: HashMap<ContentDigest, usize> = HashMap::new();
    files.digests(&mut |id, digest| {
        if wanted.contains(digest) {
            same.entry(id.layer).or_default().insert(id, *digest);
            let count = counts.entry(*digest).or_default();
            *count = count.saturating_add(1);
        }
    });
    // A file that has its content alone has the package of its path, or none.
    for ids in same.values_mut() {
        ids.retain(|_, digest| counts.get(digest).is_some_and(|count| *count > 1));
    }
    let mut found = HashMap::new();
    let mut left = LOOKUPS;
    for (layer, ids) in same {
        if !ids.is_empty() {
            of_layer(files, layer, &ids, &mut left, &mut found);
        }
    }
    found
}

/// Adds the packages that a layer installed with files of it.
fn of_layer<'a>(
    files: &'a dyn Files,
    layer: u32,
    ids: &HashMap<FileId, ContentDigest>,
    left: &mut usize,
    found: &mut HashMap<ContentDigest, Vec<Origin<'a>>>,
) {
    // Directories of a path can be links, and a link can lead to the file of another package; the name is its own.
    let mut names: HashSet<Vec<u8>> = HashSet::new();
    files.walk_layer(layer, &mut |path, id| {
        if ids.contains_key(&id) {
            names.insert(name(path).to_vec());
        }
    });
    let before = match layer.checked_sub(1) {
        Some(below) => keys(files, below),
        None => HashSet::new(),
    };
    let diverted = diverted(files, layer);
    for (database, path) in database_files(files, &mut Vec::new(), layer) {
        for entry in entries(files, database) {
            // A package that was there before did not bring what this layer has at its paths.
            if before.contains(&entry.key) {
                continue;
            }
            let lists = match entry.paths {
                Some(own) => vec![own],
                None if !spend(left) => return,
                None => lists_at(files, layer, entry.key),
            };
            for listed in lists.iter().flat_map(|list| list.iter()) {
                if !names.contains(name(listed)) || diverted.contains(listed) {
                    continue;
                }
                if !spend(left) {
                    return;
                }
                let id = files.resolve_at(layer, listed).and_then(Found::file);
                let Some(digest) = id.and_then(|id| ids.get(&id)) else {
                    continue;
                };
                let origins: &mut Vec<Origin<'_>> = found.entry(*digest).or_default();
                if origins.iter().all(|known| known.key != entry.key) {
                    origins.push(Origin {
                        key: entry.key,
                        layer,
                        paths: entry.paths,
                        database: path.clone(),
                    });
                }
            }
        }
    }
}

/// The packages that the databases name in the tree of the layers up to one.
pub(super) fn keys(files: &dyn Files, layer: u32) -> HashSet<Key<'_>> {
    let databases = database_files(files, &mut Vec::new(), layer);
    let entries = databases.keys().flat_map(|id| entries(files, *id));
    entries.map(|entry| entry.key).collect()
}

/// Paths that have the file of another package than the one that lists them, and where that one's file is.
fn diverted(files: &dyn Files, layer: u32) -> HashSet<&[u8]> {
    let mut diverted: HashSet<&[u8]> = HashSet::new();
    let id = files.resolve_at(layer, DIVERSIONS).and_then(Found::file);
    for fact in id.into_iter().flat_map(|id| files.facts(id)) {
        if let Fact::DpkgDiversion(diversion) = fact {
            diverted.insert(&diversion.from);
            diverted.insert(&diversion.to);
        }
    }
    diverted
}

/// Counts a lookup. Returns whether there can be one.
fn spend(left: &mut usize) -> bool {
    let rest = left.checked_sub(1);
    *left = rest.unwrap_or_default();
    rest.is_some()
}
