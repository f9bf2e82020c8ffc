//! The nodes of a tree, in little memory.
//!
//! Here: what is kept of each path of each layer, and finding it by its directory and name. Not here: what entries do
//! (`apply`), and what layers show together (`view`).
//! Invariant: a node takes 24 bytes, its name, and 5 to 11 bytes of the index. Directories and links are numbers of
//! nodes. Nothing is copied to grow except the index, and nothing is ever removed.

use super::FileId;
use std::hash::{BuildHasher as _, RandomState};

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u32);

impl Number {
    /// No node.
    pub(super) const NONE: Self = Self(u32::MAX);

    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a node is in the directory of its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was removed. Entries can bring it back.
    Absent,
    Directory,
    File,
    Symlink,
    Other,
    /// It hides what lower layers have.
    Whiteout,
}

/// One path of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) parent: Number,
    /// The next one in the same directory.
    sibling: Number,
    /// For a directory the first node in it; for a symbolic link where its target is.
    link: u32,
    /// Where the name is.
    name: u32,
    pub(super) ordinal: u32,
    pub(super) kind: Kind,
    /// A directory that hides what lower layers have in it.
    pub(super) is_opaque: bool,
    /// An entry of its layer created it, at some time.
    pub(super) has_entry: bool,
    /// An entry of its layer with its own path said that it is a directory.
    pub(super) has_directory_entry: bool,
}

impl Record {
    /// The first node in a directory.
    fn child(&self) -> Number {
        match self.kind {
            Kind::Directory => Number(self.link),
            Kind::Absent | Kind::File | Kind::Symlink | Kind::Other | Kind::Whiteout => {
                Number::NONE
            }
        }
    }
}

/// Nodes that are allocated at once.
const CHUNK: usize = 1 << 14;

/// Bytes of names that are allocated at once.
const NAME_CHUNK: usize = 1 << 18;

/// All nodes of all layers.
pub(super) struct Nodes {
    chunks: Vec<Vec<Record>>,
    names: Names,
    /// Numbers of nodes, at the hash of their directory and name or after it.
    index: Vec<Number>,
    in_index: usize,
    hasher: RandomState,
    /// The root of each layer. Nodes of a layer have higher numbers than its root.
    roots: Vec<Number>,
}

/// How a new node is made.
pub(super) struct New<'a> {
    pub(super) kind: Kind,
    pub(super) ordinal: u32,
    /// Of a symbolic link.
    pub(super) target: &'a [u8],
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            names: Names::default(),
            index: Vec::new(),
            in_index: 0,
            hasher: RandomState::new(),
            roots: Vec::new(),
        }
    }

    /// Adds a layer and returns its root.
    pub(super) fn add_root(&mut self) -> Number {
        let name = self.names.add(b"");
        let root = self.push(Record {
            parent: Number::NONE,
            sibling: Number::NONE,
            link: Number::NONE.0,
            name,
            ordinal: 0,
            kind: Kind::Directory,
            is_opaque: false,
            has_entry: false,
            has_directory_entry: false,
        });
        self.roots.push(root);
        root
    }

    pub(super) fn roots(&self) -> &[Number] {
        &self.roots
    }

    /// Nodes, with the roots.
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| {
            self.chunks
                .len()
                .saturating_sub(1)
                .saturating_mul(CHUNK)
                .saturating_add(last.len())
        })
    }

    /// Bytes of names and targets.
    pub(super) fn name_bytes(&self) -> u64 {
        self.names.bytes
    }

    pub(super) fn get(&self, number: Number) -> &Record {
        static NOTHING: Record = Record {
            parent: Number::NONE,
            sibling: Number::NONE,
            link: u32::MAX,
            name: u32::MAX,
            ordinal: 0,
            kind: Kind::Absent,
            is_opaque: false,
            has_entry: false,
            has_directory_entry: false,
        };
        let index = number.index();
        self.chunks
            .get(index / CHUNK)
            .and_then(|chunk| chunk.get(index % CHUNK))
            .unwrap_or(&NOTHING)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Record> {
        let index = number.index();
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    pub(super) fn name(&self, number: Number) -> &[u8] {
        self.names.get(self.get(number).name)
    }

    /// The target of a symbolic link; empty for others.
    pub(super) fn target(&self, number: Number) -> &[u8] {
        let record = self.get(number);
        if record.kind == Kind::Symlink {
            self.names.get(record.link)
        } else {
            b""
        }
    }

    /// Keeps a text. Returns where it is.
    pub(super) fn keep(&mut self, text: &[u8]) -> u32 {
        self.names.add(text)
    }

    /// A text that was kept.
    pub(super) fn text(&self, at: u32) -> &[u8] {
        self.names.get(at)
    }

    /// The entry that brought a node.
    pub(super) fn id(&self, number: Number) -> FileId {
        let above = self.roots.partition_point(|root| *root <= number);
        FileId {
            layer: u32::try_from(above.saturating_sub(1)).unwrap_or(u32::MAX),
            ordinal: self.get(number).ordinal,
        }
    }

    /// What a directory of a layer has with this name. Names that were removed are not there.
    pub(super) fn find(&self, directory: Number, name: &[u8]) -> Option<Number> {
        let (_, found) = self.slot(directory, name);
        found.filter(|number| self.get(*number).kind != Kind::Absent)
    }

    /// Puts a node into a directory that has none with this name. Returns its number.
    pub(super) fn put(&mut self, directory: Number, name: &[u8], new: &New<'_>) -> Number {
        let link = if new.kind == Kind::Symlink {
            self.names.add(new.target)
        } else {
            Number::NONE.0
        };
        let (_, found) = self.slot(directory, name);
        if let Some(number) = found
            && self.is_reusable(number)
            && let Some(record) = self.get_mut(number)
        {
            record.kind = new.kind;
            record.ordinal = new.ordinal;
            record.link = link;
            record.is_opaque = false;
            return number;
        }
        self.reserve_slot();
        let (name_at, has_entry) = match found {
            Some(number) => (self.get(number).name, self.get(number).has_entry),
            None => (self.names.add(name), false),
        };
        let sibling = self.get(directory).child();
        let number = self.push(Record {
            parent: directory,
            sibling,
            link,
            name: name_at,
            ordinal: new.ordinal,
            kind: new.kind,
            is_opaque: false,
            has_entry,
            has_directory_entry: false,
        });
        if let Some(parent) = self.get_mut(directory) {
            parent.link = number.0;
        }
        // The node that was removed keeps what was in it, so that it never comes back.
        let (slot, found) = self.slot(directory, name);
        if found.is_none() {
            self.in_index = self.in_index.saturating_add(1);
        }
        if let Some(place) = self.index.get_mut(slot) {
            *place = number;
        }
        number
    }

    /// Whether a removed node has nothing in it, so that it can become another one.
    fn is_reusable(&self, number: Number) -> bool {
        let record = self.get(number);
        record.kind == Kind::Absent && Number(record.link) == Number::NONE
    }

    /// Removes a node and everything in it.
    pub(super) fn remove(&mut self, number: Number) {
        if let Some(record) = self.get_mut(number) {
            if record.kind != Kind::Directory {
                record.link = Number::NONE.0;
            }
            record.kind = Kind::Absent;
            record.is_opaque = false;
        }
    }

    /// Another name of what a node is.
    pub(super) fn link(&mut self, directory: Number, name: &[u8], target: Number) -> Number {
        let Record {
            kind,
            ordinal,
            link,
            ..
        } = *self.get(target);
        let number = self.put(
            directory,
            name,
            &New {
                kind: Kind::File,
                ordinal,
                target: b"",
            },
        );
        if let Some(record) = self.get_mut(number) {
            record.kind = kind;
            record.link = link;
        }
        number
    }

    /// What a directory has, without what was removed, in no particular order.
    pub(super) fn children(&self, directory: Number) -> impl Iterator<Item = Number> + '_ {
        let first = self.get(directory).child();
        std::iter::successors(Some(first), |number| Some(self.get(*number).sibling))
            .take_while(|number| *number != Number::NONE)
            .filter(|number| self.get(*number).kind != Kind::Absent)
    }

    /// The nodes of the last layer, a directory before what is in it.
    pub(super) fn last_layer(&self) -> impl Iterator<Item = Number> + use<> {
        let first = self.roots.last().map_or(0, |root| root.0);
        let end = u32::try_from(self.len()).unwrap_or(u32::MAX);
        (first..end).map(Number)
    }

    /// The position of a node among those of the last layer.
    pub(super) fn position(&self, number: Number) -> usize {
        let first = self.roots.last().map_or(0, |root| root.index());
        number.index().saturating_sub(first)
    }

    /// The path of a node from the root of its layer.
    pub(super) fn path(&self, number: Number) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = number;
        while self.get(at).parent != Number::NONE {
            names.push(self.name(at));
            at = self.get(at).parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    fn push(&mut self, record: Record) -> Number {
        let number = Number(u32::try_from(self.len()).unwrap_or(u32::MAX));
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(record),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(record);
                self.chunks.push(chunk);
            }
        }
        number
    }

    /// Where a name of a directory is in the index, or belongs.
    fn slot(&self, directory: Number, name: &[u8]) -> (usize, Option<Number>) {
        let Some(mask) = self.index.len().checked_sub(1) else {
            return (0, None);
        };
        let hash = self.hasher.hash_one((directory.0, name));
        let mut slot = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or_default() & mask;
        // The index always has a free slot.
        while let Some(number) = self
            .index
            .get(slot)
            .filter(|number| **number != Number::NONE)
        {
            if self.get(*number).parent == directory && self.name(*number) == name {
                return (slot, Some(*number));
            }
            slot = slot.wrapping_add(1) & mask;
        }
        (slot, None)
    }

    /// Makes the index large enough for one more node.
    fn reserve_slot(&mut self) {
        let size = self.index.len();
        if self.in_index < (size / 4).saturating_mul(3) {
            return;
        }
        let larger = vec![Number::NONE; size.saturating_mul(2).max(1024)];
        for number in std::mem::replace(&mut self.index, larger) {
            if number != Number::NONE {
                let name = self.names.get(self.get(number).name);
                let (slot, _) = self.slot(self.get(number).parent, name);
                if let Some(place) = self.index.get_mut(slot) {
                    *place = number;
                }
            }
        }
    }
}

/// Names and targets one after the other, each with its length before it.
#[derive(Default)]
struct Names {
    chunks: Vec<Vec<u8>>,
    bytes: u64,
}

impl Names {
    /// Adds at most 65,535 bytes. Returns where they are.
    fn add(&mut self, text: &[u8]) -> u32 {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let text = text.get(..usize::from(length)).unwrap_or(text);
        let needed = text.len().saturating_add(2);
        let has_room = self
            .chunks
            .last()
            .is_some_and(|chunk| chunk.len().saturating_add(needed) <= NAME_CHUNK);
        if !has_room {
            self.chunks.push(Vec::with_capacity(NAME_CHUNK));
        }
        let number = self.chunks.len().saturating_sub(1);
        let Some(chunk) = self.chunks.last_mut() else {
            return u32::MAX;
        };
        let at = number
            .saturating_mul(NAME_CHUNK)
            .saturating_add(chunk.len());
        chunk.extend_from_slice(&length.to_le_bytes());
        chunk.extend_from_slice(text);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(needed).unwrap_or(u64::MAX));
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn get(&self, at: u32) -> &[u8] {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.chunks
            .get(at / NAME_CHUNK)
            .and_then(|chunk| {
                let (length, rest) = chunk.get(at % NAME_CHUNK..)?.split_first_chunk()?;
                rest.get(..usize::from(u16::from_le_bytes(*length)))
            })
            .unwrap_or_default()
    }
}
