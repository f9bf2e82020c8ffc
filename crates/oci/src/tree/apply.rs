//! Applying entries to the directory of their layer.
//!
//! Here: what containerd's overlayfs snapshotter does with each entry (`applyNaive` of pkg/archive, v2.4). Not here:
//! what layers show together (`view`).
//! Invariant: each layer has a directory of its own. What lower layers have is asked for only where containerd copies
//! the attributes of a directory from them.
//!
//! The lowest layer has no parent, so the snapshotter applies it to a plain directory: its whiteouts remove what the
//! layer itself has so far, and its opaque markers what has no entry of its own. Whiteouts of all others are devices in
//! their directory, which overlayfs understands.

use super::Tree;
use super::links::{At, Components, Fault, Lookups, Place, root_path};
use super::nodes::{Kind, New, Nodes, Number};
use crate::layer::{
    CannotUnpack, Entry, EntryFault, EntryKind, Exceeded, MAX_NAME_BYTES, MAX_PATH_BYTES,
    MAX_TARGET_BYTES,
};

/// What is known of the layer that is applied.
#[derive(Default)]
pub(super) struct Progress {
    /// A directory or a symbolic link was removed.
    has_removed: bool,
    /// Where the paths of directories are kept that lead through symbolic links.
    through_links: Vec<u32>,
    /// The last directory that was looked for without symbolic links, until something is removed.
    last: Option<(Vec<u8>, Number)>,
}

impl Tree {
    pub(super) fn apply_entry(&mut self, ordinal: u32, entry: &Entry) -> Result<(), Fault> {
        self.count_entry()?;
        let path = &*entry.path;
        check(path)?;
        if entry.kind == EntryKind::Opaque {
            let (directory, _) = self.directory(path, 0, ordinal)?;
            return self.hide_lower(directory);
        }
        let (parent, name) = split(path);
        if name.is_empty() {
            return Err(EntryFault::Path.into());
        }
        let (directory, is_through_links) = self.directory(parent, name.len(), ordinal)?;
        self.is_linked |= is_through_links;
        if name.len() > MAX_NAME_BYTES && entry.kind != EntryKind::GlobalHeader {
            return Err(EntryFault::NameTooLong.into());
        }
        let found = self.nodes.find(directory, name);
        if let (EntryKind::Directory, Some(found)) = (&entry.kind, found)
            && self.nodes.get(found).kind == Kind::Directory
        {
            return self.mark_directory(found, ordinal, path, is_through_links);
        }
        if let (EntryKind::Whiteout, false, Some(_)) = (&entry.kind, self.is_lowest(), found) {
            return Err(EntryFault::Exists.into());
        }
        if let Some(found) = found {
            self.remove(found);
        }
        let (kind, target): (_, &[u8]) = match &entry.kind {
            EntryKind::Directory => (Kind::Directory, b""),
            EntryKind::File => (Kind::File, b""),
            EntryKind::Symlink(target) => {
                if target.is_empty() || target.len() > MAX_TARGET_BYTES || target.contains(&0) {
                    return Err(EntryFault::Target.into());
                }
                (Kind::Symlink, target)
            }
            EntryKind::Other => (Kind::Other, b""),
            EntryKind::Whiteout if self.is_lowest() => return Ok(()),
            EntryKind::Whiteout | EntryKind::WhiteoutDevice => (Kind::Whiteout, b""),
            EntryKind::HardLink(target) => return self.link(directory, name, target),
            EntryKind::Opaque | EntryKind::GlobalHeader => return Ok(()),
        };
        self.count_names(name.len().saturating_add(target.len()))?;
        let new = New {
            kind,
            ordinal,
            target,
        };
        let number = self.nodes.put(directory, name, &new);
        if kind == Kind::Directory {
            return self.mark_directory(number, ordinal, path, is_through_links);
        }
        self.mark_entry(number);
        Ok(())
    }

    pub(super) fn check_directories(&mut self) -> Result<(), CannotUnpack> {
        let progress = std::mem::take(&mut self.progress);
        let Some(root) = self.nodes.roots().last().copied() else {
            return Ok(());
        };
        if !progress.has_removed {
            return Ok(());
        }
        // containerd sets the times of directories at the end, by the names of their entries.
        let mut is_there = Vec::new();
        for number in self.nodes.last_layer() {
            let record = *self.nodes.get(number);
            let has_parent = record.parent == Number::NONE
                || is_there.get(self.nodes.position(record.parent)) == Some(&true);
            let is_present = has_parent && record.kind != Kind::Absent;
            is_there.push(is_present);
            let is_directory = is_present && record.kind == Kind::Directory;
            if record.has_directory_entry && !is_directory {
                let path = self.nodes.path(number);
                check_directory(&self.nodes, &mut self.lookups, root, &path)
                    .map_err(|fault| fault.of(&path))?;
            }
        }
        for place in progress.through_links {
            let path = self.nodes.text(place).to_vec();
            check_directory(&self.nodes, &mut self.lookups, root, &path)
                .map_err(|fault| fault.of(&path))?;
        }
        Ok(())
    }

    fn is_lowest(&self) -> bool {
        self.nodes.roots().len() == 1
    }

    /// Counts an entry, or a directory that has none.
    fn count_entry(&mut self) -> Result<(), Exceeded> {
        let limit = self.limits.entries;
        if self.entries >= limit {
            return Err(Exceeded::Entries(limit));
        }
        self.entries = self.entries.saturating_add(1);
        Ok(())
    }

    /// Checks that there is room for names of this length.
    fn count_names(&self, bytes: usize) -> Result<(), Exceeded> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.nodes.name_bytes().saturating_add(bytes) > self.limits.names {
            return Err(Exceeded::Names(self.limits.names));
        }
        Ok(())
    }

    fn mark_entry(&mut self, number: Number) {
        if let Some(record) = self.nodes.get_mut(number) {
            record.has_entry = true;
        }
    }

    /// Notes the entry of a directory. For the end of the layer its path is kept, unless it is that of the node.
    fn mark_directory(
        &mut self,
        number: Number,
        ordinal: u32,
        path: &[u8],
        is_through_links: bool,
    ) -> Result<(), Fault> {
        if let Some(record) = self.nodes.get_mut(number) {
            record.has_entry = true;
            record.has_directory_entry |= !is_through_links;
            record.ordinal = ordinal;
        }
        if is_through_links {
            self.count_names(path.len())?;
            let place = self.nodes.keep(path);
            self.progress.through_links.push(place);
        }
        Ok(())
    }

    fn remove(&mut self, number: Number) {
        match self.nodes.get(number).kind {
            Kind::Directory | Kind::Symlink => {
                self.progress.has_removed = true;
                self.progress.last = None;
            }
            Kind::Absent | Kind::File | Kind::Other | Kind::Whiteout => {}
        }
        self.nodes.remove(number);
    }

    /// Hides what lower layers have in a directory.
    fn hide_lower(&mut self, directory: Number) -> Result<(), Fault> {
        let Some(record) = self.nodes.get_mut(directory) else {
            return Ok(());
        };
        if std::mem::replace(&mut record.is_opaque, true) || !self.is_lowest() {
            return Ok(());
        }
        let mut directories = vec![directory];
        while let Some(directory) = directories.pop() {
            let children: Vec<_> = self.nodes.children(directory).collect();
            self.lookups.spend(children.len())?;
            for number in children {
                let record = self.nodes.get(number);
                if !record.has_entry {
                    self.remove(number);
                } else if record.kind == Kind::Directory {
                    directories.push(number);
                }
            }
        }
        Ok(())
    }

    /// Makes a name for what the layer has at the target.
    fn link(&mut self, directory: Number, name: &[u8], target: &[u8]) -> Result<(), Fault> {
        let Some(root) = self.nodes.roots().last().copied() else {
            return Err(EntryFault::LinkMissing.into());
        };
        if target.len() > MAX_PATH_BYTES {
            return Err(Exceeded::Path.into());
        }
        let slash = target.iter().rposition(|byte| *byte == b'/');
        let split_at = slash.map_or(0, |slash| slash.saturating_add(1));
        let (parent, last) = target.split_at_checked(split_at).unwrap_or_default();
        let parent = root_path(&self.nodes, &mut self.lookups, root, parent)?;
        let found = match (parent.at, last) {
            (At::Missing, _) => None,
            (at @ At::Node(_), b"" | b".") => Some(at),
            (At::Node(_), b"..") => return Err(EntryFault::LinkDirectory.into()),
            (At::Node(number), last) => {
                if self.nodes.get(number).kind != Kind::Directory {
                    return Err(EntryFault::NotDirectory.into());
                }
                self.nodes.find(number, last).map(At::Node)
            }
        };
        let Some(At::Node(found)) = found else {
            return Err(EntryFault::LinkMissing.into());
        };
        if self.nodes.get(found).kind == Kind::Directory {
            return Err(EntryFault::LinkDirectory.into());
        }
        self.count_names(name.len())?;
        let number = self.nodes.link(directory, name, found);
        self.mark_entry(number);
        Ok(())
    }

    /// The directory at a path, which is created if it is not there, and whether symbolic links lead to it.
    fn directory(
        &mut self,
        path: &[u8],
        name: usize,
        ordinal: u32,
    ) -> Result<(Number, bool), Fault> {
        if let Some((last, number)) = &self.progress.last
            && last == path
        {
            return Ok((*number, false));
        }
        let Some(root) = self.nodes.roots().last().copied() else {
            return Err(EntryFault::NotDirectory.into());
        };
        match self.existing(root, path)? {
            Existing::All(number) => {
                self.progress.last = Some((path.to_vec(), number));
                Ok((number, false))
            }
            Existing::Part(number, depth) => {
                let number = self.create(number, path, depth, ordinal)?;
                Ok((number, false))
            }
            Existing::Link => {
                let Place { path, at: _ } = root_path(&self.nodes, &mut self.lookups, root, path)?;
                if path.len().saturating_add(name) >= MAX_PATH_BYTES {
                    return Err(Exceeded::Path.into());
                }
                let number = match self.existing(root, &path)? {
                    Existing::All(number) => number,
                    Existing::Part(number, depth) => self.create(number, &path, depth, ordinal)?,
                    Existing::Link => return Err(EntryFault::TooManyLinks.into()),
                };
                Ok((number, true))
            }
        }
    }

    /// How much of a path is there.
    fn existing(&self, root: Number, path: &[u8]) -> Result<Existing, EntryFault> {
        let mut at = root;
        for (depth, component) in Components(path).enumerate() {
            if component.len() > MAX_NAME_BYTES {
                return Err(EntryFault::NameTooLong);
            }
            let Some(number) = self.nodes.find(at, component) else {
                return Ok(Existing::Part(at, depth));
            };
            match self.nodes.get(number).kind {
                Kind::Directory => at = number,
                Kind::Symlink => return Ok(Existing::Link),
                Kind::Absent | Kind::File | Kind::Other | Kind::Whiteout => {
                    return Err(EntryFault::NotDirectory);
                }
            }
        }
        Ok(Existing::All(at))
    }

    /// Creates the directories of a path from a depth on.
    fn create(
        &mut self,
        mut at: Number,
        path: &[u8],
        depth: usize,
        ordinal: u32,
    ) -> Result<Number, Fault> {
        let mut lower = Lower::new(&self.nodes);
        for (number, component) in Components(path).enumerate().skip(depth) {
            if component.len() > MAX_NAME_BYTES {
                return Err(EntryFault::NameTooLong.into());
            }
            self.count_entry()?;
            self.count_names(component.len())?;
            let new = New {
                kind: Kind::Directory,
                ordinal,
                target: b"",
            };
            at = self.nodes.put(at, component, &new);
            lower.check(&self.nodes, &mut self.lookups, path, number)?;
        }
        Ok(at)
    }
}

/// How much of a path a layer has.
enum Existing {
    All(Number),
    /// The last directory that is there, and how many components lead to it.
    Part(Number, usize),
    /// It leads through a symbolic link.
    Link,
}

/// Lower layers, from which containerd copies the attributes of directories that have no entry.
struct Lower {
    /// The root of each layer, the highest first, and how far the path was followed there.
    layers: Vec<(Number, Followed)>,
}

/// How far a path was followed in a lower layer.
#[derive(Clone, Copy)]
enum Followed {
    /// This node is at this number of components.
    To(Number, usize),
    Missing,
    /// It leads through a symbolic link.
    Link,
}

impl Lower {
    fn new(nodes: &Nodes) -> Self {
        let roots = nodes.roots().iter().rev().skip(1);
        Self {
            layers: roots.map(|root| (*root, Followed::To(*root, 0))).collect(),
        }
    }

    /// Looks for the directory that ends with component `last` of the path. containerd ends at the highest layer that
    /// has anything there, and fails if the path leads through something that is not a directory before that.
    fn check(
        &mut self,
        nodes: &Nodes,
        lookups: &mut Lookups,
        path: &[u8],
        last: usize,
    ) -> Result<(), Fault> {
        for (root, followed) in &mut self.layers {
            follow(nodes, lookups, followed, path, last)?;
            match followed {
                Followed::To(..) => break,
                Followed::Missing => {}
                Followed::Link => {
                    let mut whole = b"/".to_vec();
                    for component in Components(path).take(last.saturating_add(1)) {
                        whole.extend_from_slice(component);
                        whole.push(b'/');
                    }
                    whole.pop();
                    match root_path(nodes, lookups, *root, &whole) {
                        Ok(place) if place.at == At::Missing => {}
                        Ok(_) => break,
                        Err(Fault::Entry(EntryFault::NotDirectory)) => {
                            return Err(EntryFault::Below.into());
                        }
                        Err(fault) => return Err(fault),
                    }
                }
            }
        }
        Ok(())
    }
}

fn follow(
    nodes: &Nodes,
    lookups: &mut Lookups,
    followed: &mut Followed,
    path: &[u8],
    last: usize,
) -> Result<(), Fault> {
    let Followed::To(mut at, depth) = *followed else {
        return Ok(());
    };
    let wanted = last.saturating_add(1);
    for component in Components(path).take(wanted).skip(depth) {
        lookups.spend(1)?;
        if nodes.get(at).kind != Kind::Directory {
            return Err(EntryFault::Below.into());
        }
        match nodes.find(at, component) {
            None => {
                *followed = Followed::Missing;
                return Ok(());
            }
            Some(number) if nodes.get(number).kind == Kind::Symlink => {
                *followed = Followed::Link;
                return Ok(());
            }
            Some(number) => at = number,
        }
    }
    *followed = Followed::To(at, wanted);
    Ok(())
}

fn check_directory(
    nodes: &Nodes,
    lookups: &mut Lookups,
    root: Number,
    path: &[u8],
) -> Result<(), Fault> {
    lookups.spend(path.len())?;
    match root_path(nodes, lookups, root, path)?.at {
        At::Node(_) => Ok(()),
        At::Missing => Err(EntryFault::Removed.into()),
    }
}

/// Whether a path is one that the entries of a layer have.
fn check(path: &[u8]) -> Result<(), Fault> {
    if path.len() > MAX_PATH_BYTES {
        return Err(Exceeded::Path.into());
    }
    let is_invalid =
        |component: &[u8]| matches!(component, b"" | b"." | b"..") || component.contains(&0);
    if !path.is_empty() && path.split(|byte| *byte == b'/').any(is_invalid) {
        return Err(EntryFault::Path.into());
    }
    Ok(())
}

/// The directory and the name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or_default(),
            path.get(slash.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}
