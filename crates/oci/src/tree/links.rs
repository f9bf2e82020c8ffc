//! Following symbolic links in the directory of one layer, as containerd does when it applies entries.
//!
//! Here: the algorithm of `RootPath` of containerd's continuity/fs, over nodes. Not here: links of the merged tree, which
//! the kernel follows (`view`).
//! Invariant: nothing leads out of the directory, and what links cost is counted.
//!
//! `RootPath` replaces links in passes. In a pass it joins the target of a link to the path so far as text, and asks the
//! kernel about the next component, so that `..` after a link that leads to another link is the directory of the first.
//! A link to an absolute path leads the kernel to the node's own files in the middle of a pass; they are taken for
//! missing.

use super::nodes::{Kind, Nodes, Number};
use crate::layer::{CannotUnpack, EntryFault, Exceeded, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// The most links of one path, as `RootPath` has it.
const MAX_LINKS: u32 = 255;

/// The most links that the kernel follows.
pub(super) const MAX_KERNEL_LINKS: u32 = 40;

/// Why an entry cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Entry(EntryFault),
    Limit(Exceeded),
}

impl Fault {
    pub(super) fn of(self, path: &[u8]) -> CannotUnpack {
        match self {
            Self::Entry(fault) => CannotUnpack::Entry {
                path: path.to_vec(),
                fault,
            },
            Self::Limit(limit) => CannotUnpack::Limit(limit),
        }
    }
}

impl From<EntryFault> for Fault {
    fn from(fault: EntryFault) -> Self {
        Self::Entry(fault)
    }
}

impl From<Exceeded> for Fault {
    fn from(limit: Exceeded) -> Self {
        Self::Limit(limit)
    }
}

/// Lookups that are left.
pub(super) struct Lookups {
    left: u64,
    limit: u64,
}

impl Lookups {
    pub(super) fn new(limit: u64) -> Self {
        Self { left: limit, limit }
    }

    pub(super) fn spend(&mut self, lookups: usize) -> Result<(), Exceeded> {
        let lookups = u64::try_from(lookups).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(lookups)
            .ok_or(Exceeded::Lookups(self.limit))?;
        Ok(())
    }
}

/// The components of a path, without empty ones and `.`.
#[derive(Clone)]
pub(super) struct Components<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Components<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let end = self.0.iter().position(|byte| *byte == b'/');
            let (component, rest) = match end {
                Some(end) => (self.0.get(..end)?, self.0.get(end.saturating_add(1)..)?),
                None => (self.0, &[][..]),
            };
            self.0 = rest;
            match component {
                b"" if end.is_none() => return None,
                b"" | b"." => {}
                component => return Some(component),
            }
        }
    }
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Node(Number),
    Missing,
}

/// A path without symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From the root, without `/` at either end.
    pub(super) path: Vec<u8>,
    pub(super) at: At,
}

/// Where a path leads to in the directory of a layer. What is missing is not an error.
pub(super) fn root_path(
    nodes: &Nodes,
    lookups: &mut Lookups,
    root: Number,
    path: &[u8],
) -> Result<Place, Fault> {
    let mut walk = Walk {
        nodes,
        lookups,
        root,
        links: 0,
    };
    let mut path = path.to_vec();
    loop {
        let links = walk.links;
        let position = walk.pass(&path)?;
        if walk.links == links {
            let path = position
                .text
                .strip_prefix(b"/")
                .unwrap_or_default()
                .to_vec();
            return Ok(Place {
                path,
                at: position.at,
            });
        }
        path = position.text;
    }
}

struct Walk<'a> {
    nodes: &'a Nodes,
    lookups: &'a mut Lookups,
    root: Number,
    links: u32,
}

/// How far a pass is.
struct Position {
    /// The path so far. After a link it is as the link has it.
    text: Vec<u8>,
    /// Whether the text is absolute and clean.
    is_clean: bool,
    /// What is there, if the text is clean.
    at: At,
}

impl Position {
    fn root(root: Number) -> Self {
        Self {
            text: b"/".to_vec(),
            is_clean: true,
            at: At::Node(root),
        }
    }

    fn link(text: Vec<u8>) -> Self {
        Self {
            text,
            is_clean: false,
            at: At::Missing,
        }
    }
}

impl Walk<'_> {
    /// Replaces each link once.
    fn pass(&mut self, path: &[u8]) -> Result<Position, Fault> {
        let mut position = Position::root(self.root);
        let mut is_first = !path.starts_with(b"/");
        // `.` is a component here: after a link it is looked at again.
        for component in path.split(|byte| *byte == b'/') {
            if component.is_empty() {
                continue;
            }
            let before = self.step(&mut position, component)?;
            let Some((link, before)) = before else {
                is_first = false;
                continue;
            };
            let target = self.nodes.target(link);
            position = Position::link(if is_first || target.starts_with(b"/") {
                target.to_vec()
            } else {
                cleaned(&[&before, &b"/"[..], target].concat())
            });
            if position.text.len() > MAX_PATH_BYTES.saturating_mul(2) {
                return Err(Exceeded::Path.into());
            }
            is_first = false;
        }
        Ok(position)
    }

    /// Goes on by a component. If that is a link, returns it and the text before it.
    fn step(
        &mut self,
        position: &mut Position,
        component: &[u8],
    ) -> Result<Option<(Number, Vec<u8>)>, Fault> {
        if self.links > MAX_LINKS {
            return Err(EntryFault::TooManyLinks.into());
        }
        if self.links > 0 {
            self.lookups.spend(1)?;
        }
        let before = position.text.len();
        let is_plain = position.is_clean && !matches!(component, b"." | b"..");
        let mut directory = position.at;
        let mut unclean = None;
        if is_plain {
            if position.text != b"/" {
                position.text.push(b'/');
            }
            position.text.extend_from_slice(component);
        } else {
            let text = [&b"/"[..], &position.text, b"/", component].concat();
            unclean = Some(std::mem::replace(&mut position.text, cleaned(&text)));
            if position.text == b"/" {
                *position = Position::root(self.root);
                return Ok(None);
            }
            directory = self.kernel_walk(parent(&position.text))?;
        }
        if position.text.len() > MAX_PATH_BYTES {
            return Err(Exceeded::Path.into());
        }
        position.is_clean = true;
        position.at = self.child(directory, name(&position.text))?;
        let At::Node(number) = position.at else {
            return Ok(None);
        };
        if self.nodes.get(number).kind != Kind::Symlink {
            return Ok(None);
        }
        self.links = self.links.saturating_add(1);
        let text = unclean.unwrap_or_else(|| {
            position.text.truncate(before);
            std::mem::take(&mut position.text)
        });
        Ok(Some((number, text)))
    }

    fn child(&self, directory: At, name: &[u8]) -> Result<At, EntryFault> {
        let At::Node(directory) = directory else {
            return Ok(At::Missing);
        };
        if self.nodes.get(directory).kind != Kind::Directory {
            return Err(EntryFault::NotDirectory);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(EntryFault::NameTooLong);
        }
        Ok(self
            .nodes
            .find(directory, name)
            .map_or(At::Missing, At::Node))
    }

    /// Where the kernel finds a path, following all links.
    fn kernel_walk(&mut self, path: &[u8]) -> Result<At, Fault> {
        let mut at = self.root;
        let mut links = 0_u32;
        let mut pending = vec![Components(path)];
        while let Some(components) = pending.last_mut() {
            let Some(component) = components.next() else {
                pending.pop();
                continue;
            };
            self.lookups.spend(1)?;
            let record = self.nodes.get(at);
            if component == b".." && record.kind == Kind::Directory {
                if record.parent == Number::NONE {
                    return Ok(At::Missing);
                }
                at = record.parent;
                continue;
            }
            match self.child(At::Node(at), component)? {
                At::Missing => return Ok(At::Missing),
                At::Node(number) if self.nodes.get(number).kind == Kind::Symlink => {
                    links = links.saturating_add(1);
                    if links > MAX_KERNEL_LINKS {
                        return Err(EntryFault::TooManyLinks.into());
                    }
                    let target = self.nodes.target(number);
                    if target.starts_with(b"/") {
                        return Ok(At::Missing);
                    }
                    pending.push(Components(target));
                }
                At::Node(number) => at = number,
            }
        }
        Ok(At::Node(at))
    }
}

/// A path without its last component.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    path.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// The last component of a path.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// A path as text without `.`, empty components, and `..` where something is before it; `.` if nothing is left.
fn cleaned(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for component in Components(path) {
        if component != b".." {
            kept.push(component);
        } else if kept.last().is_some_and(|last| *last != b"..") {
            kept.pop();
        } else if !is_absolute {
            kept.push(component);
        }
    }
    let text = kept.join(&b'/');
    match (is_absolute, text.is_empty()) {
        (true, _) => [b"/", &*text].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cleaned_as_text() {
        for (path, want) in [
            ("", "."),
            (".", "."),
            ("a/..", "."),
            ("/", "/"),
            ("//a/./b//", "/a/b"),
            ("/../a", "/a"),
            ("../../a/../b", "../../b"),
            ("a/../../b", "../b"),
            ("/a/b/../../../c", "/c"),
        ] {
            assert_eq!(cleaned(path.as_bytes()), want.as_bytes(), "{path}");
        }
    }
}
