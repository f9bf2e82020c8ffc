//! Files that are read under another name than their own.
//!
//! Here: which links of an image lead to files that have a meaning under the name of the link. Not here: reading them
//! (`read`).
//! Invariant: a database or a package of a language that is reached through a link is read as that, whatever its own
//! path is. What links take of memory and time is bounded, and exceeding the bound is reported.

use crate::limits::Limits;
use crate::reading::Interested;
use bailiff_oci::layer::{Entry, EntryKind};
use bailiff_oci::tree::{FileId, Node, NodeKind, Resolved, Tree, View};
use bailiff_scan::content::{Interest, LINK_DEPTH, PLACES, gives_meaning};
use std::collections::{BTreeMap, BTreeSet};

/// A file, and a path as which it has to be read.
type Name = (u32, Vec<u8>);

/// Files, each with the path as which it has to be read.
type Found = BTreeSet<(FileId, Vec<u8>)>;

/// What entries say about names of files.
pub(crate) struct Wanted {
    interest: Interested,
    /// Files whose content is read under their own path, in their order.
    read: Vec<FileId>,
    /// Those that are at one of [`PLACES`]: the last component of the place, and the file.
    placed: BTreeSet<(&'static [u8], FileId)>,
    /// Paths of links that would be read if they were files, or that give a meaning to what is in a directory.
    links: Vec<Vec<u8>>,
    /// Bytes of paths of links that there is room for.
    room: usize,
    /// Bytes of paths of files that there is room for.
    added: usize,
    /// Lookups that are left.
    lookups: u64,
    /// Whether a path had no room.
    paths_exceeded: bool,
}

impl Wanted {
    /// Nothing yet.
    pub(crate) fn new(interest: Interested, limits: &Limits) -> Self {
        Self {
            interest,
            read: Vec::new(),
            placed: BTreeSet::new(),
            links: Vec::new(),
            room: limits.link_bytes,
            added: limits.link_bytes,
            lookups: limits.link_lookups,
            paths_exceeded: false,
        }
    }

    /// Whether there were more links than are followed.
    pub(crate) fn exceeded(&self) -> bool {
        self.paths_exceeded || self.exceeded_lookups()
    }

    /// Learns of an entry; `read` says whether its content is read under its own path.
    pub(crate) fn learn(&mut self, id: FileId, entry: &Entry, read: bool) {
        match entry.kind {
            EntryKind::File => {
                if read {
                    self.read.push(id);
                    if let Some(place) = PLACES.iter().find(|p| p.as_bytes() == entry.path) {
                        self.placed.insert((file_name(place.as_bytes()), id));
                    }
                }
            }
            EntryKind::Symlink(_) | EntryKind::HardLink(_) => {
                if !self.is_read(&entry.path) && !gives_meaning(&entry.path) {
                    return;
                }
                match self.room.checked_sub(entry.path.len()) {
                    Some(room) => {
                        self.room = room;
                        self.links.push(entry.path.clone());
                    }
                    None => self.paths_exceeded = true,
                }
            }
            EntryKind::Directory
            | EntryKind::Other
            | EntryKind::WhiteoutDevice
            | EntryKind::Whiteout
            | EntryKind::Opaque
            | EntryKind::GlobalHeader => {}
        }
    }

    /// Whether a file at this path is read.
    fn is_read(&self, path: &[u8]) -> bool {
        (self.interest)(path.into(), 1, &[]) != Interest::None
    }

    /// The files of each layer that are still to be read, with the paths as which they are, in the order of entries.
    pub(crate) fn files(&mut self, tree: &Tree) -> BTreeMap<u32, Vec<Name>> {
        let mut found = BTreeSet::new();
        // What hides a database comes last: the final tree counts most, and databases more than links to others.
        for layers in (1..=tree.layers()).rev() {
            self.places(tree, layers, &mut found);
        }
        let view = tree.view();
        for link in std::mem::take(&mut self.links) {
            self.link(view, &link, LINK_DEPTH, &mut found);
        }
        if tree.is_linked() {
            self.elsewhere(view, &mut found);
        }

        let mut files: BTreeMap<u32, Vec<Name>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (id, path) in found {
            // Under one file name, a file says the same wherever it is.
            if names.insert((id, file_name(&path).to_vec())) {
                files.entry(id.layer).or_default().push((id.ordinal, path));
            }
        }
        files
    }

    /// The files that [`PLACES`] lead to in the tree of the lowest layers, if they are elsewhere.
    fn places(&mut self, tree: &Tree, layers: u32, found: &mut Found) {
        let view = tree.view_to(layers);
        for place in PLACES {
            let name = place.trim_end_matches('/').as_bytes();
            let Some((path, node)) = self.resolve(view, name) else {
                continue;
            };
            if name.len() == place.len() {
                if node.kind == NodeKind::File && !self.placed.contains(&(file_name(name), node.id))
                {
                    self.add(found, node.id, name.to_vec());
                }
            } else if node.kind == NodeKind::Directory {
                let is_moved = path != name || tree.is_linked();
                self.directory(view, name, is_moved, 1, found);
            }
        }
    }

    /// What a path leads to that is, or is below, a link; of a directory as many levels as `depth`.
    fn link(&mut self, view: View<'_>, link: &[u8], depth: usize, found: &mut Found) {
        let Some((path, node)) = self.resolve(view, link) else {
            return;
        };
        match node.kind {
            NodeKind::File => self.file(node.id, link.to_vec(), found),
            NodeKind::Directory => {
                // What has its meaning under its own path as well is read there.
                if depth > 0 && gives_meaning(link) && !gives_meaning(&path) {
                    self.directory(view, link, true, depth, found);
                }
            }
            NodeKind::Symlink(_) | NodeKind::Other => {}
        }
    }

    /// The files of a directory that is read under the name of a link. Files are looked at if it is `moved`, otherwise
    /// only links in it.
    fn directory(
        &mut self,
        view: View<'_>,
        read_as: &[u8],
        is_moved: bool,
        depth: usize,
        found: &mut Found,
    ) {
        if self.exceeded_lookups() {
            return;
        }
        for (name, node) in view.list(read_as) {
            if !self.spend() {
                return;
            }
            let path = [read_as, b"/", name].concat();
            match node.kind {
                NodeKind::File if is_moved => self.file(node.id, path, found),
                NodeKind::Directory | NodeKind::Symlink(_)
                    if self.is_read(&path) || gives_meaning(&path) =>
                {
                    self.link(view, &path, depth.saturating_sub(1), found);
                }
                NodeKind::File | NodeKind::Directory | NodeKind::Symlink(_) | NodeKind::Other => {}
            }
        }
    }

    /// Files whose entries had other paths than they have in the tree.
    fn elsewhere(&mut self, view: View<'_>, found: &mut Found) {
        for (path, node) in view.walk() {
            if node.kind == NodeKind::File {
                self.file(node.id, path, found);
            }
        }
    }

    /// Adds a file that is not read under its own path.
    fn file(&mut self, id: FileId, read_as: Vec<u8>, found: &mut Found) {
        if self.is_read(&read_as) && self.read.binary_search(&id).is_err() {
            self.add(found, id, read_as);
        }
    }

    /// Adds a file, if there is room for its path.
    fn add(&mut self, found: &mut Found, id: FileId, read_as: Vec<u8>) {
        let bytes = read_as.len();
        let entry = (id, read_as);
        if found.contains(&entry) {
            return;
        }
        match self.added.checked_sub(bytes) {
            Some(left) => {
                self.added = left;
                found.insert(entry);
            }
            None => self.paths_exceeded = true,
        }
    }

    /// What a path leads to, and its own path.
    fn resolve<'t>(&mut self, view: View<'t>, path: &[u8]) -> Option<(Vec<u8>, Node<'t>)> {
        let resolved = view.resolve_within(path, &mut self.lookups);
        if self.exceeded_lookups() {
            return None;
        }
        match resolved {
            Resolved::Found { path, node } => Some((path, node)),
            Resolved::Missing | Resolved::TooManyLinks => None,
        }
    }

    /// Counts a name that is looked at. Returns whether it can be.
    fn spend(&mut self) -> bool {
        self.lookups = self.lookups.saturating_sub(1);
        !self.exceeded_lookups()
    }

    fn exceeded_lookups(&self) -> bool {
        self.lookups == 0
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
