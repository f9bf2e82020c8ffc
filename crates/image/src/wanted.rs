//! Files that are read under another name than their own.
//!
//! Here: which links of an image lead to files that have a meaning under the name of the link. Not here: reading them
//! (`read`).
//! Invariant: a database that is reached through a link is read as that database, whatever its own path is. What links
//! take of memory and time is bounded.

use bailiff_oci::layer::{Entry, EntryKind};
use bailiff_oci::tree::{FileId, NodeKind, Resolved, Tree};
use bailiff_scan::content::{Interest, PLACES};
use std::collections::{BTreeMap, BTreeSet};

/// A file, and a path as which it has to be read.
type Name = (u32, Vec<u8>);

/// How the file at a path is read: [`bailiff_scan::content::interest`].
pub(crate) type Interested = fn(&[u8], u64, &[u8]) -> Interest;

/// What entries say about names of files.
pub(crate) struct Wanted {
    interest: Interested,
    /// Files whose content is read under their own path, in their order.
    read: Vec<FileId>,
    /// Those that are at one of [`PLACES`]: the last component of the place, and the file.
    placed: BTreeSet<(&'static [u8], FileId)>,
    /// Paths of links that would be read if they were files.
    links: Vec<Vec<u8>>,
    room: usize,
    exceeded: bool,
}

impl Wanted {
    /// Nothing yet. Paths of links have at most this number of bytes together.
    pub(crate) fn new(interest: Interested, link_bytes: usize) -> Self {
        Self {
            interest,
            read: Vec::new(),
            placed: BTreeSet::new(),
            links: Vec::new(),
            room: link_bytes,
            exceeded: false,
        }
    }

    /// Whether there were more links than are followed.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
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
                if (self.interest)(&entry.path, 1, &[]) == Interest::None {
                    return;
                }
                match self.room.checked_sub(entry.path.len()) {
                    Some(room) => {
                        self.room = room;
                        self.links.push(entry.path.clone());
                    }
                    None => self.exceeded = true,
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

    /// The files of each layer that are still to be read, with the paths as which they are, in the order of entries.
    pub(crate) fn files(&self, tree: &Tree) -> BTreeMap<u32, Vec<Name>> {
        let mut found = BTreeSet::new();
        for layers in 1..=tree.layers() {
            for place in PLACES.iter().filter(|place| !place.ends_with('/')) {
                let place = place.as_bytes();
                if let Some((_, id)) = file(&tree.view_to(layers).resolve(place))
                    && !self.placed.contains(&(file_name(place), id))
                {
                    found.insert((id, place.to_vec()));
                }
            }
        }
        let view = tree.view();
        for link in &self.links {
            if let Some((_, id)) = file(&view.resolve(link))
                && self.read.binary_search(&id).is_err()
            {
                found.insert((id, link.clone()));
            }
        }
        self.directories(tree, &mut found);

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

    /// The files of directories of [`PLACES`] that are elsewhere.
    fn directories(&self, tree: &Tree, found: &mut BTreeSet<(FileId, Vec<u8>)>) {
        let view = tree.view();
        let mut moved = Vec::new();
        for place in PLACES.iter().filter(|place| place.ends_with('/')) {
            let name = place.trim_end_matches('/').as_bytes();
            if let Resolved::Found { path, node } = view.resolve(name)
                && node.kind == NodeKind::Directory
                && path != name
            {
                moved.push((path, place));
            }
        }
        if moved.is_empty() {
            return;
        }
        for (path, node) in view.walk() {
            for (directory, place) in &moved {
                let inside = path
                    .strip_prefix(directory.as_slice())
                    .and_then(|rest| rest.strip_prefix(b"/"));
                if let Some(name) = inside
                    && !name.contains(&b'/')
                    && node.kind == NodeKind::File
                    && self.read.binary_search(&node.id).is_err()
                {
                    let read_as = [place.as_bytes(), name].concat();
                    if (self.interest)(&read_as, 1, &[]) != Interest::None {
                        found.insert((node.id, read_as));
                    }
                }
            }
        }
    }
}

/// The file that a path leads to.
fn file<'t>(resolved: &'t Resolved<'t>) -> Option<(&'t [u8], FileId)> {
    match resolved {
        Resolved::Found { path, node } => match node.kind {
            NodeKind::File => Some((path, node.id)),
            NodeKind::Directory | NodeKind::Symlink(_) | NodeKind::Other => None,
        },
        Resolved::Missing | Resolved::TooManyLinks => None,
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
