//! Archives that hold an image: the names of their files, and where those are.
//!
//! Here: the outer archive, whose files are documents and layers. Not here: the content of layers.
//! Invariant: an archive is read in place; nothing is extracted. Links lead to entries of the archive alone. A name that
//! occurs twice is an error where it is used, because programs differ about which one counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use tar::{EntryType, Header};

/// Bytes of a block.
const BLOCK: u64 = 512;
/// Most entries of an archive.
const ENTRIES_LIMIT: usize = 20_000;
/// Most bytes of the name of an entry.
const NAME_LIMIT: usize = 4_096;
/// Most bytes of a header that extends the next one.
const EXTENSION_LIMIT: u64 = 64 << 10;
/// Most links that are followed.
const LINKS_LIMIT: usize = 4;

/// An archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    entries: BTreeMap<String, Entry>,
}

/// What an archive has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File {
        offset: u64,
        size: u64,
    },
    Link(String),
    /// A directory or a device.
    Other,
    Twice,
}

/// What was said in front of an entry about it.
#[derive(Debug, Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Archive {
    /// Reads the names of an archive.
    pub(super) fn read(file: File) -> io::Result<Self> {
        let mut archive = Self {
            file,
            entries: BTreeMap::new(),
        };
        archive.scan()?;
        Ok(archive)
    }

    /// The names of its entries.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The file with a name: the archive, open for reading at its first byte, and how many bytes it has.
    pub(super) fn file(&self, name: &str) -> io::Result<(File, u64)> {
        let mut name = normal(name.as_bytes()).ok_or_else(not_found)?;
        for _ in 0..=LINKS_LIMIT {
            match self.entries.get(&name).ok_or_else(not_found)? {
                Entry::File { offset, size } => {
                    let mut file = super::reopened(&self.file)?;
                    file.seek(SeekFrom::Start(*offset))?;
                    return Ok((file, *size));
                }
                Entry::Link(target) => name.clone_from(target),
                Entry::Other => return Err(io::Error::other("it is not a regular file")),
                Entry::Twice => {
                    let error =
                        "the archive has it twice, and programs differ about which one counts";
                    return Err(io::Error::other(error));
                }
            }
        }
        Err(io::Error::other("it is a link that does not end"))
    }

    fn scan(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut at = 0_u64;
        let mut extension = Extension::default();
        let mut count = 0_usize;
        while let Some(header) = self.header(at, length)? {
            at = after(at, BLOCK)?;
            let Ok(size) = header.entry_size() else {
                return Err(malformed(at));
            };
            let kind = header.entry_type();
            match kind {
                EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink => {
                    let bytes = self.bytes(at, size, length)?;
                    extension.add(kind, bytes).ok_or_else(|| malformed(at))?;
                    at = after(at, padded(size)?)?;
                    continue;
                }
                EntryType::XGlobalHeader => {
                    at = after(at, padded(size)?)?;
                    continue;
                }
                _ => {}
            }
            count += 1;
            if count > ENTRIES_LIMIT {
                let error = format!("it has more than {ENTRIES_LIMIT} entries");
                return Err(io::Error::other(error));
            }
            let Extension {
                name,
                link,
                size: own,
            } = std::mem::take(&mut extension);
            let name = name.unwrap_or_else(|| header.path_bytes().into_owned());
            let (entry, size) = match kind {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let size = own.unwrap_or(size);
                    let is_whole = kind != EntryType::GNUSparse
                        && at.checked_add(size).is_some_and(|end| end <= length);
                    let file = Entry::File { offset: at, size };
                    (if is_whole { file } else { Entry::Other }, size)
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = link.or_else(|| header.link_name_bytes().map(Into::into));
                    (linked(&name, &target.unwrap_or_default(), kind), 0)
                }
                EntryType::Char | EntryType::Block | EntryType::Directory | EntryType::Fifo => {
                    (Entry::Other, 0)
                }
                _ => (Entry::Other, own.unwrap_or(size)),
            };
            at = after(at, padded(size)?)?;
            // A name that leads out of the archive is none that an image refers to.
            if let Some(name) = normal(&name) {
                let is_directory = kind == EntryType::Directory;
                match self.entries.get_mut(&name) {
                    Some(Entry::Other) if is_directory => {}
                    Some(before) => *before = Entry::Twice,
                    None => drop(self.entries.insert(name, entry)),
                }
            }
        }
        Ok(())
    }

    /// The header at a position; none: the archive ends.
    fn header(&mut self, at: u64, length: u64) -> io::Result<Option<Header>> {
        if at >= length {
            return Ok(None);
        }
        let mut block = [0; 512];
        self.file.seek(SeekFrom::Start(at))?;
        if self.file.read_exact(&mut block).is_err() {
            return Err(malformed(at));
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // The bytes of the checksum itself count as spaces.
        let sum = block.iter().enumerate().map(|(place, byte)| match place {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        });
        match header.cksum() {
            Ok(stated) if stated == sum.sum::<u32>() => Ok(Some(header)),
            Ok(_) | Err(_) => Err(malformed(at)),
        }
    }

    fn bytes(&mut self, at: u64, size: u64, length: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT || at.checked_add(size).is_none_or(|end| end > length) {
            return Err(malformed(at));
        }
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        (&self.file).take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Extension {
    /// Adds what an extension of this kind says; none: it is malformed.
    fn add(&mut self, kind: EntryType, bytes: Vec<u8>) -> Option<()> {
        match kind {
            EntryType::GNULongName => self.name = Some(until_nul(bytes)),
            EntryType::GNULongLink => self.link = Some(until_nul(bytes)),
            _ => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (key, value, after) = record(rest)?;
                    match key {
                        b"path" => self.name = Some(value.to_vec()),
                        b"linkpath" => self.link = Some(value.to_vec()),
                        b"size" => {
                            let text = std::str::from_utf8(value).ok()?;
                            self.size = Some(text.parse().ok()?);
                        }
                        _ => {}
                    }
                    rest = after;
                }
            }
        }
        Some(())
    }
}

/// The first record of an extension, `LENGTH KEY=VALUE` and a line break, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(bytes.get(..space)?).ok()?;
    let length: usize = length.parse().ok()?;
    let text = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((
        text.get(..equals)?,
        text.get(equals + 1..)?,
        bytes.get(length..)?,
    ))
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

/// A link of an entry. The target of a symbolic link is relative to its directory, that of a hard link to the archive.
fn linked(name: &[u8], target: &[u8], kind: EntryType) -> Entry {
    let mut path = PathBuf::new();
    if kind == EntryType::Symlink
        && let Some(directory) = normal(name)
            .as_deref()
            .and_then(|name| name.rsplit_once('/'))
    {
        path.push(directory.0);
    }
    let target = std::str::from_utf8(target).ok();
    let target = target.filter(|target| !target.starts_with('/'));
    let target = target.and_then(|target| normal(path.join(target).to_str()?.as_bytes()));
    target.map_or(Entry::Other, Entry::Link)
}

/// A name without what changes nothing about it; none: it is no text, too long, empty, or leads out of the archive.
fn normal(name: &[u8]) -> Option<String> {
    if name.len() > NAME_LIMIT {
        return None;
    }
    let mut components = Vec::new();
    for component in std::str::from_utf8(name).ok()?.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()?),
            other => components.push(other),
        }
    }
    (!components.is_empty()).then(|| components.join("/"))
}

fn padded(size: u64) -> io::Result<u64> {
    let padded = size.checked_next_multiple_of(BLOCK);
    padded.ok_or_else(|| malformed(0))
}

fn after(at: u64, bytes: u64) -> io::Result<u64> {
    at.checked_add(bytes).ok_or_else(|| malformed(at))
}

fn malformed(at: u64) -> io::Error {
    io::Error::other(format!("the archive is malformed near byte {at}"))
}

fn not_found() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// An archive of entries: kind, name, and content or target.
    fn archive(entries: &[(EntryType, &str, &str)]) -> io::Result<Archive> {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        for (kind, name, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            if matches!(kind, EntryType::Link | EntryType::Symlink) {
                header.set_size(0);
                builder.append_link(&mut header, name, content).unwrap();
            } else {
                header.set_size(content.len() as u64);
                builder
                    .append_data(&mut header, name, content.as_bytes())
                    .unwrap();
            }
        }
        Archive::read(builder.into_inner().unwrap())
    }

    fn content(archive: &Archive, name: &str) -> Result<String, String> {
        let (mut file, size) = archive.file(name).map_err(|error| error.to_string())?;
        let mut text = String::new();
        (&mut file).take(size).read_to_string(&mut text).unwrap();
        assert!(file.write(b"x").is_err(), "it is open for writing");
        Ok(text)
    }

    #[test]
    fn files_are_read_where_they_are() {
        let long = format!("{}/layer.tar", "a".repeat(300));
        let archive = archive(&[
            (EntryType::Directory, "blobs", ""),
            (EntryType::Directory, "blobs", ""),
            (EntryType::Regular, "./blobs//a", "one"),
            (EntryType::Regular, &long, "two"),
            (EntryType::Symlink, "b/layer.tar", "../blobs/a"),
            (EntryType::Link, "c/layer.tar", "blobs/a"),
        ])
        .unwrap();
        for (name, want) in [
            ("blobs/a", "one"),
            ("/blobs/a", "one"),
            (&long, "two"),
            ("b/layer.tar", "one"),
            ("c/layer.tar", "one"),
        ] {
            assert_eq!(content(&archive, name).as_deref(), Ok(want), "{name}");
        }
    }

    #[test]
    fn a_name_leads_to_one_file_of_the_archive() {
        let archive = archive(&[
            (EntryType::Regular, "twice", "one"),
            (EntryType::Regular, "./twice", "two"),
            (EntryType::Regular, "dir-and-file", "one"),
            (EntryType::Directory, "dir-and-file", ""),
            (EntryType::Symlink, "out", "../../etc/passwd"),
            (EntryType::Symlink, "absolute", "/etc/passwd"),
            (EntryType::Symlink, "round", "round"),
            (EntryType::Symlink, "dangling", "none"),
            (EntryType::Fifo, "pipe", ""),
        ])
        .unwrap();
        let twice = "the archive has it twice, and programs differ about which one counts";
        for (name, want) in [
            ("twice", twice),
            ("dir-and-file", twice),
            ("out", "it is not a regular file"),
            ("absolute", "it is not a regular file"),
            ("round", "it is a link that does not end"),
            ("dangling", "it does not exist"),
            ("pipe", "it is not a regular file"),
            ("../twice", "it does not exist"),
            ("", "it does not exist"),
        ] {
            assert_eq!(content(&archive, name).unwrap_err(), want, "{name}");
        }
    }

    #[test]
    fn extensions_have_the_meaning_that_they_have_in_posix() {
        let mut builder = tar::Builder::new(Vec::new());
        let extension = b"16 path=a/\nb=c.d\n".as_slice();
        let extension = [b"17".as_slice(), &extension[2..]].concat();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(extension.len() as u64);
        builder
            .append_data(&mut header, "x", extension.as_slice())
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        builder
            .append_data(&mut header, "short", b"one".as_slice())
            .unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&builder.into_inner().unwrap()).unwrap();
        let archive = Archive::read(file).unwrap();
        // A line break is part of a value: its length says where it ends.
        assert_eq!(content(&archive, "a/\nb=c.d").as_deref(), Ok("one"));
        assert_eq!(archive.names().collect::<Vec<_>>(), ["a/\nb=c.d"]);
    }

    #[test]
    fn a_malformed_archive_is_an_error() {
        let of = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            Archive::read(file)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        let mut header = Header::new_gnu();
        header.set_path("a").unwrap();
        header.set_size(1 << 40);
        header.set_cksum();
        let large = header.as_bytes().to_vec();
        // Its content is missing: so is the file.
        assert_eq!(of(&large), Ok(()));
        let mut wrong = large.clone();
        wrong[0] = b'b';
        assert_eq!(
            of(&wrong).unwrap_err(),
            "the archive is malformed near byte 0"
        );
        assert_eq!(
            of(&large[..100]).unwrap_err(),
            "the archive is malformed near byte 0"
        );
        header.set_entry_type(EntryType::GNULongName);
        header.set_cksum();
        assert_eq!(
            of(header.as_bytes()).unwrap_err(),
            "the archive is malformed near byte 512"
        );
        assert_eq!(of(b""), Ok(()));
        assert_eq!(of(&[0; 1024]), Ok(()));
    }
}
