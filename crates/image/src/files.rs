//! The files of an image, for the assembly of its packages.
//!
//! Here: the tree and the facts as [`Files`]. Not here: how they were read (`read`), and what they mean together
//! (`bailiff_scan::inventory`).
//! Invariant: paths are looked up as a process in the image finds them.

use crate::read::ImageContent;
use bailiff_oci::tree::{self, Node, NodeKind, Resolved, View};
use bailiff_scan::content::Fact;
use bailiff_scan::inventory::{ContentDigest, FileId, Files, Found};

impl Files for ImageContent {
    fn walk(&self, visit: &mut dyn FnMut(&[u8], FileId)) {
        for (path, node) in self.tree.view().walk() {
            if node.kind == NodeKind::File {
                visit(&path, id(&node));
            }
        }
    }

    fn resolve(&self, path: &[u8]) -> Option<Found> {
        found(self.tree.view(), path)
    }

    fn resolve_at(&self, layer: u32, path: &[u8]) -> Option<Found> {
        found(self.tree.view_to(layer.saturating_add(1)), path)
    }

    fn list_at(&self, layer: u32, directory: &[u8], visit: &mut dyn FnMut(&[u8], FileId)) {
        let view = self.tree.view_to(layer.saturating_add(1));
        for (name, node) in view.list(directory) {
            match node.kind {
                NodeKind::File => visit(name, id(&node)),
                NodeKind::Symlink(_) => {
                    let path = [directory, b"/", name].concat();
                    if let Some(Found::File(id)) = found(view, &path) {
                        visit(name, id);
                    }
                }
                NodeKind::Directory | NodeKind::Other => {}
            }
        }
    }

    fn walk_layer(&self, layer: u32, visit: &mut dyn FnMut(&[u8], FileId)) {
        for (path, file) in self.tree.files_of(layer) {
            visit(&path, of_tree(file));
        }
    }

    fn digest(&self, file: FileId) -> Option<ContentDigest> {
        self.digests.get(&in_tree(file)).copied()
    }

    fn digests(&self, visit: &mut dyn FnMut(FileId, &ContentDigest)) {
        for (file, digest) in &self.digests {
            visit(of_tree(*file), digest);
        }
    }

    fn facts(&self, file: FileId) -> &[Fact] {
        self.facts(in_tree(file))
    }

    fn layers(&self) -> u32 {
        self.tree.layers()
    }
}

fn found(view: View<'_>, path: &[u8]) -> Option<Found> {
    match view.resolve(path) {
        Resolved::Found { node, .. } => match node.kind {
            NodeKind::File => Some(Found::File(id(&node))),
            NodeKind::Directory => Some(Found::Directory),
            NodeKind::Other => Some(Found::Other),
            // A resolved path leads to none.
            NodeKind::Symlink(_) => None,
        },
        Resolved::Missing | Resolved::TooManyLinks => None,
    }
}

fn id(node: &Node<'_>) -> FileId {
    of_tree(node.id)
}

fn of_tree(file: tree::FileId) -> FileId {
    FileId {
        layer: file.layer,
        ordinal: file.ordinal,
    }
}

fn in_tree(file: FileId) -> tree::FileId {
    tree::FileId {
        layer: file.layer,
        ordinal: file.ordinal,
    }
}
