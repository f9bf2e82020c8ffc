//! The tree of an image: what its layers make together, as overlayfs shows it.
//!
//! Here: applying entries to the directory of their layer, as containerd's overlayfs snapshotter does, and looking at
//! the merged tree, of all layers or of the lower ones. Not here: reading layers (`layer`).
//! Invariant: names that an image chose lead to nothing outside its root, and take bounded memory and time.

mod apply;
mod links;
mod nodes;
mod view;

#[cfg(test)]
mod tests;

pub use view::View;

use crate::layer::{CannotUnpack, Entry, Limits};
use links::Lookups;
use nodes::{Kind, Nodes};
use serde::{Deserialize, Serialize};

/// What brought the content of a file: for a hard link, the entry of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// The number of the layer, from 0 for the lowest.
    pub layer: u32,
    /// The number of the entry in its layer, as it was given to [`Tree::apply`].
    pub ordinal: u32,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'t> {
    /// What it is.
    pub kind: NodeKind<'t>,
    /// The entry that brought it: for a directory, that of the highest layer that has it. A directory without an entry
    /// has that of the first one in it.
    pub id: FileId,
}

/// What a path of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind<'t> {
    /// A directory.
    Directory,
    /// A file with content.
    File,
    /// A symbolic link to this target, as it is written.
    Symlink(&'t [u8]),
    /// A device or a named pipe.
    Other,
}

/// Where a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved<'t> {
    /// Something that is not a symbolic link.
    Found {
        /// Its own path, without symbolic links; empty for the root.
        path: Vec<u8>,
        /// What it is.
        node: Node<'t>,
    },
    /// Nothing, or a path through something that is not a directory.
    Missing,
    /// More than 40 symbolic links.
    TooManyLinks,
}

/// The layers of an image.
pub struct Tree {
    nodes: Nodes,
    limits: Limits,
    lookups: Lookups,
    /// Entries, and directories without one.
    entries: u32,
    progress: apply::Progress,
    /// Whether an entry is elsewhere than its path says.
    is_linked: bool,
}

impl Tree {
    /// A tree without layers.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let limits = Limits {
            entries: limits.entries.min(Limits::ENTRIES),
            names: limits.names.min(Limits::NAMES),
            ..limits.clone()
        };
        Self {
            nodes: Nodes::new(),
            lookups: Lookups::new(limits.lookups),
            limits,
            entries: 0,
            progress: apply::Progress::default(),
            is_linked: false,
        }
    }

    /// Begins the next layer, above all others.
    pub fn begin_layer(&mut self) {
        self.progress = apply::Progress::default();
        self.nodes.add_root();
    }

    /// Applies an entry to the last layer, or to a first one if there is none. The ordinal is the number of the entry in
    /// the layer, by which [`FileId`] names it.
    ///
    /// # Errors
    ///
    /// containerd does not unpack a layer with this entry, or a limit is exceeded. What the entry replaces can be gone, and
    /// directories that lead to it can be there. Others can follow.
    pub fn apply(&mut self, ordinal: u32, entry: &Entry) -> Result<(), CannotUnpack> {
        if self.nodes.roots().is_empty() {
            self.begin_layer();
        }
        self.apply_entry(ordinal, entry)
            .map_err(|fault| fault.of(&entry.path))
    }

    /// Ends the last layer.
    ///
    /// # Errors
    ///
    /// containerd does not unpack the layer, because it removes one of its own directories. The layer stays as it is.
    pub fn end_layer(&mut self) -> Result<(), CannotUnpack> {
        self.check_directories()
    }

    /// The number of layers.
    #[must_use]
    pub fn layers(&self) -> u32 {
        u32::try_from(self.nodes.roots().len()).unwrap_or(u32::MAX)
    }

    /// Whether the path of an entry led through a symbolic link, so that it is at another path in the tree.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.is_linked
    }

    /// The files with content of a layer, whatever later layers show instead of them, each with its path. There are none if
    /// there is no such layer.
    pub fn files_of(&self, layer: u32) -> impl Iterator<Item = (Vec<u8>, FileId)> + '_ {
        let layer = usize::try_from(layer).unwrap_or(usize::MAX);
        let mut pending: Vec<_> = self.nodes.roots().get(layer).copied().into_iter().collect();
        std::iter::from_fn(move || {
            loop {
                let number = pending.pop()?;
                match self.nodes.get(number).kind {
                    Kind::Directory => pending.extend(self.nodes.children(number)),
                    Kind::File => return Some((self.nodes.path(number), self.nodes.id(number))),
                    Kind::Absent | Kind::Symlink | Kind::Other | Kind::Whiteout => {}
                }
            }
        })
    }

    /// The tree of all layers.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        self.view_to(self.layers())
    }

    /// The tree as it is with this number of layers, the lowest ones.
    #[must_use]
    pub fn view_to(&self, layers: u32) -> View<'_> {
        View::new(self, layers)
    }
}
