//! The packages of a distribution in the layers below the last one.
//!
//! Here: from which layer on a package stays, and which packages a layer removed from the database, or gave another
//! version there, while it kept their files. Not here: files that a layer stores again (`copies`).
//! Invariant: a database that a layer deletes or shortens hides no package whose files stay.

use super::{
    Databases, Installed, Key, Names, can_stay, database_files, entries, is_binary, lists_at, name,
};
use crate::content::paths::Paths;
use crate::inventory::Seen;
use crate::inventory::distribution::Database;
use crate::inventory::files::{FileId, Files};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

impl<'a> Databases<'a> {
    /// Goes down through the layers: finds the lowest one from which each package stays, and packages that a later layer
    /// removed from the database, or gave another version, while it kept files of them.
    #[expect(
        clippy::too_many_lines,
        reason = "one pass over the layers with one state"
    )]
    pub(super) fn follow(
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
}

/// The file of a package that is still the one of the layers up to one. dpkg and apk write each file of a package again,
/// so if a binary is the same one, nothing but the database was changed.
fn kept_file(files: &dyn Files, layer: u32, path: &[u8]) -> Option<FileId> {
    let found = files.resolve(path).filter(|_| !can_stay(path))?;
    let id = found.file()?;
    (files.resolve_at(layer, path) == Some(found)).then_some(id)
}

/// The databases of the final tree that are found at no place.
fn elsewhere<'s>(files: &dyn Files, seen: &'s Seen, top: u32) -> Vec<(&'s [u8], FileId)> {
    let at_places = database_files(files, &mut Vec::new(), top);
    let all = seen.databases.iter().map(|(path, id)| (&**path, *id));
    all.filter(|(_, id)| !at_places.contains_key(id)).collect()
}
