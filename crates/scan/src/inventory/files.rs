//! The files of an image, as the assembly of its packages needs them.
//!
//! Here: what has to be known about them. Not here: how the tree is made of layers (`oci`, `image`).
//! Invariant: what is visited is the final tree. Files of lower layers that others replaced or deleted are found with
//! [`Files::resolve_at`] alone.

use crate::content::Fact;

/// A file: the same one under each of its hard links. A file that a layer replaces is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file with content.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Other,
}

/// The files of an image and what they say. Paths are relative to its root and have no `/` at either end.
pub trait Files {
    /// Visits each file of the final tree under each of its paths. No directory of a path is a symbolic link.
    fn walk(&self, visit: &mut dyn FnMut(&[u8], FileId));

    /// What a file is.
    fn kind(&self, id: FileId) -> FileKind;

    /// The file that a path leads to in the final tree, through symbolic links and `..`, as a process in the image finds
    /// it. None if there is none.
    fn resolve(&self, path: &[u8]) -> Option<FileId>;

    /// The file that a path leads to in the tree of the layers from 0 to this one.
    fn resolve_at(&self, layer: u32, path: &[u8]) -> Option<FileId>;

    /// Visits the files directly in a directory, in the tree of the layers from 0 to this one. The path of the directory
    /// is resolved; there are no files if it leads to no directory.
    fn list_at(&self, layer: u32, directory: &[u8], visit: &mut dyn FnMut(FileId));

    /// What a file says. If it was read under several paths, what it says under each of them.
    fn facts(&self, id: FileId) -> &[Fact];

    /// The number of layers.
    fn layers(&self) -> u32;

    /// The layer that has the content of a file.
    fn layer(&self, id: FileId) -> u32;
}
