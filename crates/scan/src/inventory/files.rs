//! The files of an image, as the assembly of its packages needs them.
//!
//! Here: what has to be known about them. Not here: how the tree is made of layers (`oci`, `image`). [`FileId`] has the
//! fields of the one of `oci::tree` and is a type of its own: matching and the inventory must not depend on `oci`, so
//! that they work on any list of files; `image` translates between the two.
//! Invariant: [`Files::walk`] visits the final tree. Files of lower layers that others replaced or deleted are found with
//! a layer alone: [`Files::resolve_at`], [`Files::list_at`] and [`Files::walk_layer`].

use crate::content::Fact;

/// A file: the same one under each of its hard links. A file that a layer replaces is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The layer that has its content, from 0 for the lowest.
    pub layer: u32,
    /// Its number among the files of the layer.
    pub ordinal: u32,
}

/// The SHA-256 of the content of a file.
pub type ContentDigest = [u8; 32];

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file with content.
    File(FileId),
    /// A directory.
    Directory,
    /// A device, a pipe or a socket.
    Other,
}

impl Found {
    /// The file with content. None if it is something else.
    #[must_use]
    pub fn file(self) -> Option<FileId> {
        match self {
            Self::File(id) => Some(id),
            Self::Directory | Self::Other => None,
        }
    }
}

/// The files of an image and what they say. Paths are relative to its root and have no `/` at either end.
pub trait Files {
    /// Visits each file with content of the final tree, under each of its paths. No directory of a path is a symbolic
    /// link.
    fn walk(&self, visit: &mut dyn FnMut(&[u8], FileId));

    /// What a path leads to in the final tree, through symbolic links and `..`, as a process in the image finds it. None
    /// if there is nothing.
    fn resolve(&self, path: &[u8]) -> Option<Found>;

    /// What a path leads to in the tree of the layers from 0 to this one.
    fn resolve_at(&self, layer: u32, path: &[u8]) -> Option<Found>;

    /// Visits the files with content directly in a directory, in the tree of the layers from 0 to this one, also those
    /// that symbolic links in it lead to, each with its name there. The path of the directory is resolved; there are no
    /// files if it leads to no directory.
    fn list_at(&self, layer: u32, directory: &[u8], visit: &mut dyn FnMut(&[u8], FileId));

    /// Visits the files with content that a layer has, whatever later layers show instead of them, under each of the
    /// paths that they have in it.
    fn walk_layer(&self, layer: u32, visit: &mut dyn FnMut(&[u8], FileId));

    /// The digest of a file that says something that [is compared](Fact::is_compared). None if it does not, or not all of
    /// it was read.
    fn digest(&self, id: FileId) -> Option<ContentDigest>;

    /// Visits each file of each layer that has a digest.
    fn digests(&self, visit: &mut dyn FnMut(FileId, &ContentDigest));

    /// What a file says. If it was read under several paths, what it says under each of them.
    fn facts(&self, id: FileId) -> &[Fact];

    /// The number of layers.
    fn layers(&self) -> u32;
}
