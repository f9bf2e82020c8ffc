//! An image in memory: layers of files, whose facts are read from their content.
//!
//! Here: as much of a tree as tests need. Not here: the tree of a real image (`crates/image`).

use super::super::{ContentDigest, FileId, Files, Found};
use crate::content::{self, Fact, Interest, rust};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Cursor;

/// What a layer does to a path.
#[derive(Clone)]
pub(crate) enum Node {
    File(Vec<u8>),
    /// A symbolic link.
    Link(&'static str),
    /// Another path of a file.
    HardLink(&'static str),
    /// The path, and what is below it, is deleted.
    Deleted,
    /// A file that says something without content that could be made here.
    Says(Vec<Fact>),
}

pub(crate) fn text(text: &str) -> Node {
    Node::File(text.as_bytes().to_vec())
}

/// A binary of Rust. Its section is made in the tests of `content`.
pub(crate) fn rust_binary() -> Node {
    let of = |name: &str, version: &str, is_of_crates_io| rust::Crate {
        name: name.to_owned(),
        version: version.to_owned(),
        is_of_crates_io,
    };
    Node::Says(vec![
        Fact::Elf(content::elf::Kind::Shared),
        Fact::Rust(vec![of("own", "0.1.0", false), of("time", "0.1.43", true)]),
    ])
}

#[derive(Clone, Copy)]
enum Entry {
    File(usize),
    Link(&'static str),
}

type Tree = BTreeMap<Vec<u8>, Entry>;

struct File {
    layer: u32,
    content: Vec<u8>,
    facts: Vec<Fact>,
}

/// An image.
pub(crate) struct Image {
    /// The tree after each layer.
    trees: Vec<Tree>,
    files: Vec<File>,
    /// How many paths were looked up.
    pub(crate) lookups: std::cell::Cell<usize>,
}

impl Image {
    /// An image of layers, the lowest first.
    pub(crate) fn of(layers: Vec<Vec<(&'static str, Node)>>) -> Self {
        let mut image = Self {
            trees: Vec::new(),
            files: Vec::new(),
            lookups: std::cell::Cell::new(0),
        };
        for (layer, nodes) in (0..).zip(layers) {
            let mut tree = image.trees.last().cloned().unwrap_or_default();
            for (path, node) in nodes {
                let (content, facts) = match node {
                    Node::File(content) => {
                        let facts = facts(path, &content);
                        (content, facts)
                    }
                    Node::Says(facts) => (Vec::new(), facts),
                    Node::Link(target) => {
                        tree.insert(path.into(), Entry::Link(target));
                        continue;
                    }
                    Node::HardLink(other) => {
                        let found = tree[other.as_bytes()];
                        tree.insert(path.into(), found);
                        continue;
                    }
                    Node::Deleted => {
                        let below = format!("{path}/");
                        tree.retain(|own, _| {
                            own != path.as_bytes() && !own.starts_with(below.as_bytes())
                        });
                        continue;
                    }
                };
                tree.insert(path.into(), Entry::File(image.files.len()));
                image.files.push(File {
                    layer,
                    content,
                    facts,
                });
            }
            image.trees.push(tree);
            image.read_places();
        }
        image
    }

    /// Reads what paths with a meaning lead to, under these paths.
    fn read_places(&mut self) {
        let tree = self.trees.last().expect("there is a layer");
        for place in content::PLACES {
            let Some(path) = real_path(tree, place.trim_end_matches('/').as_bytes()) else {
                continue;
            };
            let below = [&*path, b"/"].concat();
            for (own, found) in tree {
                let read_as = if *own == path {
                    place.as_bytes().to_vec()
                } else if let Some(name) = own.strip_prefix(&*below) {
                    [place.as_bytes(), name].concat()
                } else {
                    continue;
                };
                if let (Entry::File(index), true) = (found, *own != read_as) {
                    let file = &mut self.files[*index];
                    let more = facts(&String::from_utf8(read_as).unwrap(), &file.content);
                    let more: Vec<_> = more
                        .into_iter()
                        .filter(|f| !file.facts.contains(f))
                        .collect();
                    file.facts.extend(more);
                }
            }
        }
    }
}

fn facts(path: &str, bytes: &[u8]) -> Vec<Fact> {
    let head = &bytes[..bytes.len().min(content::HEAD)];
    let mut facts = Vec::new();
    let of = path.as_bytes().into();
    if content::interest(of, bytes.len() as u64, head) != Interest::None {
        content::read(of, &mut Cursor::new(bytes), &mut |fact| {
            facts.push(fact);
        });
    }
    facts
}

/// The path without symbolic links. A path that does not exist has one as well, unless links lead too far.
fn real_path(tree: &Tree, path: &[u8]) -> Option<Vec<u8>> {
    let mut rest: Vec<Vec<u8>> = path
        .split(|b| *b == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect();
    let mut real: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match &*name {
            b"" | b"." => continue,
            b".." => {
                let end = real.iter().rposition(|b| *b == b'/').unwrap_or_default();
                real.truncate(end);
                continue;
            }
            _ => {}
        }
        let mut next = real.clone();
        if !next.is_empty() {
            next.push(b'/');
        }
        next.extend(&name);
        match tree.get(&next) {
            Some(Entry::Link(target)) => {
                links += 1;
                if links > 40 {
                    return None;
                }
                if target.starts_with('/') {
                    real.clear();
                }
                rest.extend(
                    target
                        .as_bytes()
                        .split(|b| *b == b'/')
                        .rev()
                        .map(<[u8]>::to_vec),
                );
            }
            Some(Entry::File(_)) | None => real = next,
        }
    }
    Some(real)
}

impl Image {
    fn find(&self, tree: &Tree, path: &[u8]) -> Option<Found> {
        self.lookups.set(self.lookups.get() + 1);
        let real = real_path(tree, path)?;
        match tree.get(&real) {
            Some(Entry::File(index)) => Some(Found::File(self.id(*index))),
            Some(Entry::Link(_)) => None,
            None => {
                let below = [&*real, b"/"].concat();
                let is_directory = tree.keys().any(|own| own.starts_with(&below));
                is_directory.then_some(Found::Directory)
            }
        }
    }

    fn id(&self, index: usize) -> FileId {
        FileId {
            layer: self.files[index].layer,
            ordinal: u32::try_from(index).unwrap(),
        }
    }
}

impl Files for Image {
    fn walk(&self, visit: &mut dyn FnMut(&[u8], FileId)) {
        for (path, found) in self.trees.last().into_iter().flatten() {
            if let Entry::File(index) = found {
                visit(path, self.id(*index));
            }
        }
    }

    fn resolve(&self, path: &[u8]) -> Option<Found> {
        self.find(self.trees.last()?, path)
    }

    fn resolve_at(&self, layer: u32, path: &[u8]) -> Option<Found> {
        self.find(self.trees.get(layer as usize)?, path)
    }

    fn list_at(&self, layer: u32, directory: &[u8], visit: &mut dyn FnMut(&[u8], FileId)) {
        let Some(tree) = self.trees.get(layer as usize) else {
            return;
        };
        let below = [&*real_path(tree, directory).unwrap(), b"/"].concat();
        for (path, found) in tree {
            let name = path.strip_prefix(&*below);
            if let (Some(name), Entry::File(index)) = (name, found)
                && !name.contains(&b'/')
            {
                visit(name, self.id(*index));
            }
        }
    }

    fn walk_layer(&self, layer: u32, visit: &mut dyn FnMut(&[u8], FileId)) {
        for (path, found) in self.trees.get(layer as usize).into_iter().flatten() {
            if let Entry::File(index) = found
                && self.files[*index].layer == layer
            {
                visit(path, self.id(*index));
            }
        }
    }

    fn digest(&self, id: FileId) -> Option<ContentDigest> {
        let file = &self.files[id.ordinal as usize];
        let is_compared = file.facts.iter().any(Fact::is_compared);
        // Files that only say something have no content.
        (is_compared && !file.content.is_empty()).then(|| Sha256::digest(&file.content).into())
    }

    fn digests(&self, visit: &mut dyn FnMut(FileId, &ContentDigest)) {
        for index in 0..self.files.len() {
            let id = self.id(index);
            if let Some(digest) = self.digest(id) {
                visit(id, &digest);
            }
        }
    }

    fn facts(&self, id: FileId) -> &[Fact] {
        &self.files[id.ordinal as usize].facts
    }

    fn layers(&self) -> u32 {
        u32::try_from(self.trees.len()).unwrap()
    }
}
