//! What layers show together.
//!
//! Here: the merged tree, as overlayfs has it. Not here: what a layer has (`apply`).
//! Invariant: a lookup follows at most 40 symbolic links, which lead to nothing outside the root. A walk looks at each
//! node once, whatever the depth.
//!
//! A directory of the merged tree is a list of directories, that of the highest layer first. It ends at a layer that has
//! something else or a whiteout there, and after an opaque directory. The root is never opaque: overlayfs merges the
//! roots of all layers.

use super::links::MAX_KERNEL_LINKS;
use super::nodes::{Kind, Nodes, Number};
use super::{Node, NodeKind, Resolved, Tree};
use std::slice::Split;

/// The merged tree of some layers.
#[derive(Clone, Copy)]
pub struct View<'t> {
    tree: &'t Tree,
    layers: usize,
}

/// Where a path leads to.
enum Place {
    /// Nothing is there.
    Missing,
    /// It has too many symbolic links.
    TooManyLinks,
    /// Something.
    At {
        /// Its path without symbolic links.
        path: Vec<u8>,
        /// The highest node.
        number: Number,
        /// The directories that it is merged from. Empty if it is none.
        merged: Vec<Number>,
    },
}

impl<'t> View<'t> {
    pub(super) fn new(tree: &'t Tree, layers: u32) -> Self {
        Self {
            tree,
            layers: usize::try_from(layers).unwrap_or(usize::MAX),
        }
    }

    /// Where a path leads to, following symbolic links inside the root, also the last one. `/` at its begin is optional.
    #[must_use]
    pub fn resolve(&self, path: &[u8]) -> Resolved<'t> {
        self.resolve_within(path, &mut { u64::MAX })
    }

    /// As [`resolve`](Self::resolve), with at most this number of lookups, of which it takes those that it needs. With
    /// too few, nothing is left of them, and it is [`Resolved::TooManyLinks`].
    #[must_use]
    pub fn resolve_within(&self, path: &[u8], lookups: &mut u64) -> Resolved<'t> {
        match self.place(path, lookups) {
            Place::Missing => Resolved::Missing,
            Place::TooManyLinks => Resolved::TooManyLinks,
            Place::At { path, number, .. } => match node(&self.tree.nodes, number) {
                Some(node) => Resolved::Found { path, node },
                None => Resolved::Missing,
            },
        }
    }

    /// What is directly in a directory, each with its name, in their order. The path is resolved as in
    /// [`resolve`](Self::resolve); there is nothing if it leads to no directory. Symbolic links in it are not followed.
    pub fn list(&self, path: &[u8]) -> impl Iterator<Item = (&'t [u8], Node<'t>)> + use<'t> {
        let nodes = &self.tree.nodes;
        let merged = match self.place(path, &mut { u64::MAX }) {
            Place::At { merged, .. } => merged,
            Place::Missing | Place::TooManyLinks => Vec::new(),
        };
        let mut children = children(nodes, &merged);
        std::iter::from_fn(move || {
            let highest = children.pop()?;
            let name = nodes.name(highest);
            while children
                .last()
                .is_some_and(|lower| nodes.name(*lower) == name)
            {
                children.pop();
            }
            Some(highest)
        })
        .filter_map(|number| Some((nodes.name(number), node(nodes, number)?)))
    }

    /// Where a path leads to. Each directory in which a name is looked up takes one of the lookups.
    fn place(&self, path: &[u8], lookups: &mut u64) -> Place {
        let nodes = &self.tree.nodes;
        let mut directories = vec![self.roots()];
        let mut found: Vec<u8> = Vec::new();
        // What is there, if it is not a directory.
        let mut last = None;
        let mut links = 0_u32;
        let mut pending = vec![raw_components(path)];
        while let Some(components) = pending.last_mut() {
            let Some(component) = components.next() else {
                pending.pop();
                continue;
            };
            if last.is_some() {
                return Place::Missing;
            }
            if matches!(component, b"" | b".") {
                continue;
            }
            if component == b".." {
                if directories.len() > 1 {
                    directories.pop();
                }
                let end = found.iter().rposition(|byte| *byte == b'/');
                found.truncate(end.unwrap_or_default());
                continue;
            }
            let Some(directory) = directories.last() else {
                return Place::Missing;
            };
            if !take(lookups, directory.len()) {
                return Place::TooManyLinks;
            }
            let mut above = directory
                .iter()
                .filter_map(|root| nodes.find(*root, component));
            let Some(highest) = above.next() else {
                return Place::Missing;
            };
            match nodes.get(highest).kind {
                Kind::Absent | Kind::Whiteout => return Place::Missing,
                Kind::Symlink => {
                    links = links.saturating_add(1);
                    if links > MAX_KERNEL_LINKS {
                        return Place::TooManyLinks;
                    }
                    let target = nodes.target(highest);
                    if target.starts_with(b"/") {
                        directories.truncate(1);
                        found.clear();
                    }
                    pending.push(raw_components(target));
                    continue;
                }
                Kind::Directory => {
                    let merged = merge(nodes, highest, above);
                    directories.push(merged);
                }
                Kind::File | Kind::Other => last = Some(highest),
            }
            if !found.is_empty() {
                found.push(b'/');
            }
            found.extend_from_slice(component);
        }
        let merged = if last.is_some() {
            Vec::new()
        } else {
            directories.pop().unwrap_or_default()
        };
        let number = last.or_else(|| merged.first().copied());
        match number {
            Some(number) => Place::At {
                path: found,
                number,
                merged,
            },
            None => Place::Missing,
        }
    }

    /// All paths except the root, in the order of their names, each after its directory, without `/` at the begin.
    /// Symbolic links are not followed.
    pub fn walk(&self) -> impl Iterator<Item = (Vec<u8>, Node<'t>)> + use<'t> {
        let nodes = &self.tree.nodes;
        Walk {
            nodes,
            path: Vec::new(),
            frames: vec![Frame {
                path: 0,
                children: children(nodes, &self.roots()),
            }],
        }
    }

    fn roots(&self) -> Vec<Number> {
        let roots = self.tree.nodes.roots();
        roots.iter().take(self.layers).rev().copied().collect()
    }
}

/// Takes a number of lookups, or all if they are too few. Returns whether they are enough.
fn take(lookups: &mut u64, count: usize) -> bool {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let is_enough = *lookups >= count;
    *lookups = lookups.saturating_sub(count);
    is_enough
}

/// The components of a path with the empty ones, since only a directory can be before one.
fn raw_components(path: &[u8]) -> Split<'_, u8, fn(&u8) -> bool> {
    path.split(|byte| *byte == b'/')
}

/// The directories that a directory is merged from, with what is below it in the order of the layers.
fn merge(nodes: &Nodes, highest: Number, below: impl Iterator<Item = Number>) -> Vec<Number> {
    let mut merged = vec![highest];
    let mut is_opaque = nodes.get(highest).is_opaque;
    for number in below {
        let record = nodes.get(number);
        if is_opaque || record.kind != Kind::Directory {
            break;
        }
        merged.push(number);
        is_opaque = record.is_opaque;
    }
    merged
}

/// What directories have, the first name last, and what is in the highest layer last of those with the same name.
fn children(nodes: &Nodes, directories: &[Number]) -> Vec<Number> {
    let mut children: Vec<_> = directories
        .iter()
        .flat_map(|directory| nodes.children(*directory))
        .collect();
    children.sort_unstable_by(|a, b| nodes.name(*b).cmp(nodes.name(*a)).then(a.cmp(b)));
    children
}

fn node(nodes: &Nodes, number: Number) -> Option<Node<'_>> {
    let kind = match nodes.get(number).kind {
        Kind::Absent | Kind::Whiteout => return None,
        Kind::Directory => NodeKind::Directory,
        Kind::File => NodeKind::File,
        Kind::Symlink => NodeKind::Symlink(nodes.target(number)),
        Kind::Other => NodeKind::Other,
    };
    Some(Node {
        kind,
        id: nodes.id(number),
    })
}

struct Walk<'t> {
    nodes: &'t Nodes,
    path: Vec<u8>,
    frames: Vec<Frame>,
}

struct Frame {
    /// The length of the path of the directory.
    path: usize,
    /// What is left of it.
    children: Vec<Number>,
}

impl<'t> Iterator for Walk<'t> {
    type Item = (Vec<u8>, Node<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        let nodes = self.nodes;
        loop {
            let frame = self.frames.last_mut()?;
            let Some(highest) = frame.children.pop() else {
                self.frames.pop();
                continue;
            };
            let name = nodes.name(highest);
            let same = |number: &&Number| nodes.name(**number) == name;
            let count = frame.children.iter().rev().take_while(same).count();
            let below = frame
                .children
                .split_off(frame.children.len().saturating_sub(count));
            self.path.truncate(frame.path);
            let Some(node) = node(nodes, highest) else {
                continue;
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            if node.kind == NodeKind::Directory {
                let merged = merge(nodes, highest, below.into_iter().rev());
                self.frames.push(Frame {
                    path: self.path.len(),
                    children: children(nodes, &merged),
                });
            }
            return Some((self.path.clone(), node));
        }
    }
}
