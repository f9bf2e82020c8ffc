//! The tree of an image: what its layers make together, as overlayfs shows it.
//!
//! Here: applying entries to the directory of their layer, as containerd's overlayfs snapshotter does, and looking at
//! the merged tree. Not here: reading layers (`layer`).
//! Invariant: names that an image chose lead to nothing outside its root, and take bounded memory and time.

use crate::layer::{CannotUnpack, Entry, Limits};

/// What brought the content of a file: for a hard link, the entry of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
pub struct Tree {}

impl Tree {
    /// A tree without layers.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let _ = limits;
        Self {}
    }

    /// Begins the next layer, above all others.
    pub fn begin_layer(&mut self) {}

    /// Applies an entry to the last layer.
    ///
    /// # Errors
    ///
    /// containerd does not unpack a layer with this entry, or a limit is exceeded. The entry has no effect; others can
    /// follow.
    pub fn apply(&mut self, ordinal: u32, entry: &Entry) -> Result<(), CannotUnpack> {
        let _ = (ordinal, entry);
        Ok(())
    }

    /// Ends the last layer.
    ///
    /// # Errors
    ///
    /// containerd does not unpack the layer, as a directory of it was replaced later. The layer stays as it is.
    pub fn end_layer(&mut self) -> Result<(), CannotUnpack> {
        Ok(())
    }

    /// The number of layers.
    #[must_use]
    pub fn layers(&self) -> u32 {
        0
    }

    /// The tree of all layers.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        self.view_to(self.layers())
    }

    /// The tree as it is with this number of layers.
    #[must_use]
    pub fn view_to(&self, layers: u32) -> View<'_> {
        View { tree: self, layers }
    }
}

/// The merged tree of some layers.
#[derive(Clone, Copy)]
pub struct View<'t> {
    tree: &'t Tree,
    layers: u32,
}

impl<'t> View<'t> {
    /// Where a path leads to, following symbolic links inside the root, also the last one. `/` at its begin is optional.
    #[must_use]
    pub fn resolve(&self, path: &[u8]) -> Resolved<'t> {
        let _ = (self.tree, self.layers, path);
        Resolved::Missing
    }

    /// All paths except the root, each after its directory, without `/` at the begin. Symbolic links are not followed.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, Node<'t>)> + use<'t> {
        std::iter::empty()
    }
}
