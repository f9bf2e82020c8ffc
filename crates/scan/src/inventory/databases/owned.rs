//! Which files the packages of a distribution have.
//!
//! Here: the lists of files in the final tree, and what their paths lead to. Not here: which bytes a package installed
//! (`copies`), and packages that are not installed any more (`followed`).
//! Invariant: a list is of one version of one package, and a file has one owner: the first package that lists it under its
//! own name, else the first one that leads to it.

use super::{Databases, Names, can_stay, entries, name};
use crate::content::Fact;
use crate::content::paths::Paths;
use crate::inventory::Seen;
use crate::inventory::distribution::Database;
use crate::inventory::files::{FileId, Files, Found};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Directories whose files images leave out, or that are changed where they are installed.
const LEFT_OUT: [&[u8]; 6] = [
    b"usr/share/doc/",
    b"usr/share/man/",
    b"usr/share/info/",
    b"usr/share/locale/",
    b"usr/share/lintian/",
    b"usr/share/bug/",
];

impl<'a> Databases<'a> {
    /// Finds the files of the packages, and has those that a package lists under their own name. A list is looked up once,
    /// whatever number of packages it is of.
    pub(super) fn own(
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
