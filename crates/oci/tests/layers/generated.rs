//! Generated images.
//!
//! Here: layers that containerd accepts, nearly accepts or rejects. Not here: what must hold for them.
//! Invariant: the same seed (`PROPTEST_RNG_SEED`, `.cargo/config.toml`) generates the same images.

use crate::archive::{Member, Style, archive};
use flate2::write::GzEncoder;
use std::io::Write as _;

/// The layers of an image, and paths to look for in it.
pub(crate) struct Image {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) paths: Vec<Vec<u8>>,
    /// What the layers were made of, for the report of a difference.
    pub(crate) members: Vec<Vec<Member>>,
}

impl Image {
    /// An image of these layers, not compressed.
    pub(crate) fn of(layers: &[Vec<Member>], paths: &[&str]) -> Self {
        Self {
            layers: layers.iter().map(|members| archive(members)).collect(),
            paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
            members: layers.to_vec(),
        }
    }
}

/// The generator `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}

const NAMES: [&[u8]; 8] = [b"a", b"b", b"c", b"d", b"usr", b"bin", b"lib", b"\xff\xc3"];

const TARGETS: [&str; 22] = [
    "a",
    "b",
    "usr/bin",
    "usr/lib",
    "/usr/bin",
    "/a",
    "/a/b",
    "../a",
    "..",
    ".",
    "./b",
    "/",
    "../..",
    "../../usr",
    "a/../b",
    "lib/../bin",
    "/usr/../lib",
    "c/./d",
    "d/",
    "missing",
    "/usr/lib/./..",
    "../usr/../../lib",
];

struct Layers {
    random: Random,
    /// Paths of all layers.
    known: Vec<Vec<u8>>,
    /// Paths of directories and of symbolic links of all layers.
    directories: Vec<Vec<u8>>,
    /// Names of files of this layer.
    files: Vec<Vec<u8>>,
    /// Paths of this layer.
    own: Vec<Vec<u8>>,
    contents: usize,
}

impl Layers {
    fn name(&mut self) -> Vec<u8> {
        if self.random.one_in(30) {
            let length = *self.random.pick(&[99, 100, 101, 156, 251, 252, 255, 256]);
            return vec![b'n'; length];
        }
        let count = if self.random.one_in(10) { 8 } else { 7 };
        let common = self.random.below(count);
        NAMES[common].to_vec()
    }

    fn path(&mut self) -> Vec<u8> {
        let mut path = Vec::new();
        if !self.known.is_empty() && self.random.one_in(2) {
            let known = self.random.below(self.known.len());
            if self.random.one_in(2) {
                return self.known[known].clone();
            }
            // A path through a file is seldom one.
            if self.random.one_in(12) {
                path.clone_from(&self.known[known]);
            }
        }
        if path.is_empty() && !self.directories.is_empty() && self.random.one_in(2) {
            let directory = self.random.below(self.directories.len());
            path.clone_from(&self.directories[directory]);
        }
        for _ in 0..=self.random.below(3) {
            if !path.is_empty() {
                path.push(b'/');
            }
            let name = self.name();
            path.extend(name);
        }
        path
    }

    /// Another way to write a path.
    fn written(&mut self, path: &[u8]) -> Vec<u8> {
        let before: &[u8] = match self.random.below(20) {
            0..6 => b"./",
            6 => b"/",
            7 => b"../",
            8 => b"//",
            9 => b"x/../",
            10 => b"a/../",
            _ => b"",
        };
        let mut written = [before, path].concat();
        let slash = written.iter().rposition(|byte| *byte == b'/');
        if let (Some(slash), true) = (slash, self.random.one_in(30)) {
            let middle = *self.random.pick(&[&b"/./"[..], b"//", b"/b/../"]);
            written.splice(slash..=slash, middle.iter().copied());
        }
        written
    }

    fn content(&mut self) -> Vec<u8> {
        self.contents += 1;
        let length = *self.random.pick(&[0, 0, 1, 500, 512, 3000]);
        let mut content = format!("content {} ", self.contents).into_bytes();
        content.resize(content.len() + length, b'.');
        content
    }

    /// A member in a random form.
    fn member(&mut self) -> Member {
        let mut member = self.choice();
        member.style = *self.random.pick(&[
            Style::Ustar,
            Style::Ustar,
            Style::Pax,
            Style::Pax,
            Style::Gnu,
            Style::Gnu,
            Style::V7,
        ]);
        if matches!(member.kind, b'3' | b'4' | b'6') && member.style == Style::V7 {
            member.style = Style::Gnu;
        }
        if !member.records.is_empty() {
            member.style = Style::Pax;
        }
        member.is_extended = self.random.one_in(12);
        member.is_binary = self.random.one_in(12);
        if member.style == Style::Pax && self.random.one_in(8) {
            let record = *self.random.pick(&[
                "comment=é",
                "path=",
                "mtime=1700000000.5",
                "atime=1.",
                "uid=0",
                "LIBARCHIVE.x=y",
                "mtime=1.x",
                "uid=a",
                "uname=\0",
            ]);
            // The last three are invalid.
            if !record.ends_with(['x', 'a', '\0']) || self.random.one_in(4) {
                member.records.push(record.as_bytes().to_vec());
            }
        }
        member
    }

    #[allow(clippy::too_many_lines, reason = "a table")]
    fn choice(&mut self) -> Member {
        let path = self.path();
        let mut name = self.written(&path);
        let mut choice = self.random.below(100);
        if self.files.is_empty() && (66..77).contains(&choice) {
            // A hard link to nothing is seldom one.
            choice = 26 + self.random.below(41);
        }
        let member = match choice {
            0..26 => {
                self.directories.push(path.clone());
                if self.random.one_in(2) {
                    name.push(b'/');
                }
                let mut member = Member::directory(name);
                if self.random.one_in(20) {
                    member.size = Some(512);
                }
                member
            }
            26..52 => {
                self.files.push(path.clone());
                let content = self.content();
                Member::file(name, content)
            }
            52..66 => {
                self.directories.push(path.clone());
                let target = *self.random.pick(&TARGETS);
                Member::symlink(name, target)
            }
            66..77 => {
                let target = if self.files.is_empty() || self.random.one_in(20) {
                    self.path()
                } else {
                    let file = self.random.below(self.files.len());
                    self.files[file].clone()
                };
                let target = self.written(&target);
                Member::hard_link(name, target)
            }
            77..86 => self.whiteout(),
            86..91 => {
                let name = [&*path, b"/.wh..wh..opq"].concat();
                Member::file(name, "")
            }
            91..94 => {
                let device = *self.random.pick(&[
                    (0, 0),
                    (0, 0),
                    (1, 3),
                    (1 << 12, 1 << 20),
                    (1 << 12, 1),
                    (-1, 0),
                    (1 << 33, 0),
                ]);
                let kind = *self.random.pick(b"333346");
                Member {
                    device,
                    ..Member::new(kind, name)
                }
            }
            94 => {
                let mut member = Member::new(b'g', name);
                let path = [b"path=", &*self.path()].concat();
                member.records = vec![self.random.pick(&[b"comment=x".to_vec(), path]).clone()];
                member
            }
            95..97 => self.sparse(&name),
            97 => {
                let kind = *self.random.pick(b"7SVDX\0\0\0");
                let content = self.content();
                Member {
                    content,
                    ..Member::new(kind, name)
                }
            }
            _ => {
                let names: [&[u8]; 9] = [
                    b".",
                    b"",
                    b"/",
                    b"..",
                    b"./",
                    b".wh.",
                    b".wh..",
                    b"a/.wh...",
                    b".wh..wh..opq",
                ];
                Member::file(*self.random.pick(&names), "")
            }
        };
        self.known.push(path.clone());
        self.own.push(path);
        member
    }

    fn whiteout(&mut self) -> Member {
        let mut path = self.path();
        for _ in 0..5 {
            if !self.own.contains(&path) {
                break;
            }
            path = self.path();
        }
        let at = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        path.splice(at..at, b".wh.".iter().copied());
        let name = self.written(&path);
        let kind = *self.random.pick(b"0000005");
        Member::new(kind, name)
    }

    fn sparse(&mut self, name: &[u8]) -> Member {
        let mut content = self.content();
        let data = content.len();
        let at = self.random.below(2000);
        let size = at + data + self.random.below(2000);
        let wrong = self.random.one_in(4);
        let stated = if wrong { data + 1 } else { data };
        let mut member = Member::new(b'0', "GNUSparseFile.0/x");
        let record = |text: String| text.into_bytes();
        let path = [b"GNU.sparse.name=", name].concat();
        match self.random.below(3) {
            0 => {
                let mut map = format!("1\n{at}\n{stated}\n").into_bytes();
                map.resize(512, 0);
                content = [map, content].concat();
                member.records = vec![
                    record("GNU.sparse.major=1".into()),
                    record("GNU.sparse.minor=0".into()),
                    path,
                    record(format!("GNU.sparse.realsize={size}")),
                ];
            }
            1 => {
                member.records = vec![
                    path,
                    record(format!("GNU.sparse.size={size}")),
                    record("GNU.sparse.numblocks=2".into()),
                    record(format!("GNU.sparse.map={at},{stated},{size},0")),
                ];
            }
            _ => {
                member.records = vec![
                    path,
                    record(format!("GNU.sparse.size={size}")),
                    record("GNU.sparse.numblocks=1".into()),
                    record(format!("GNU.sparse.offset={at}")),
                    record(format!("GNU.sparse.numbytes={stated}")),
                ];
            }
        }
        member.content = content;
        member
    }
}

/// One image.
pub(crate) fn image(seed: u64) -> Image {
    let mut layers = Layers {
        random: Random(seed),
        known: Vec::new(),
        directories: Vec::new(),
        files: Vec::new(),
        own: Vec::new(),
        contents: 0,
    };
    let mut image = Image {
        layers: Vec::new(),
        paths: Vec::new(),
        members: Vec::new(),
    };
    for _ in 0..=layers.random.below(4) {
        layers.files.clear();
        layers.own.clear();
        let count = layers.random.below(10);
        let members: Vec<_> = (0..=count).map(|_| layers.member()).collect();
        let bytes = end(&mut layers.random, archive(&members));
        let bytes = compressed(&mut layers.random, bytes);
        image.layers.push(bytes);
        image.members.push(members);
    }
    for _ in 0..8 {
        let mut path = layers.path();
        if layers.random.one_in(4) {
            let last = *layers
                .random
                .pick(&["/..", "/../a", "/.", "/", "/../../usr/bin"]);
            path.extend(last.as_bytes());
        }
        image.paths.push(path);
    }
    image
}

/// Another end of an archive, a damaged one now and then.
fn end(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    let content = bytes.len() - 1024;
    match random.below(40) {
        0 => bytes.truncate(content),
        1 => bytes.truncate(content + 512),
        2 => bytes.truncate(content + 100),
        3 => bytes[content + 700] = 1,
        4 => bytes.extend_from_slice(b"what follows the end is not read"),
        5 => {
            let at = random.below(bytes.len());
            bytes.truncate(at);
        }
        6 => {
            let at = random.below(content);
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    bytes
}

fn compressed(random: &mut Random, bytes: Vec<u8>) -> Vec<u8> {
    let (first, second) = bytes.split_at(random.below(bytes.len() + 1));
    let mut packed = match random.below(8) {
        0 => gzip(&bytes),
        1 => [gzip(first), gzip(second)].concat(),
        2 => [gzip(first), gzip(b""), gzip(second)].concat(),
        3 => zstd(&bytes),
        4 => [zstd(first), zstd(second)].concat(),
        5 => [
            skippable(),
            zstd(first),
            skippable(),
            zstd(second),
            skippable(),
        ]
        .concat(),
        _ => return bytes,
    };
    match random.below(40) {
        0 => packed.truncate(random.below(packed.len())),
        1 => packed.extend_from_slice(b"what follows"),
        2 => packed.extend_from_slice(&[0; 512]),
        3 => {
            // Flags of the header of gzip are few, and both ways to read them are right.
            let at = 10 + random.below(packed.len() - 10);
            packed[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
    packed
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn skippable() -> Vec<u8> {
    b"\x53\x2a\x4d\x18\x05\0\0\0skips".to_vec()
}
