//! A directory as an image: a root file system with one layer.
//!
//! Here: the archive that is made of its files. Not here: what the files mean.
//! Invariant: no file outside of the directory is read, whatever its symbolic links say, and none of another file
//! system. The archive has what could be read; what could not is a fault. Holes of files take no room, and a file that is
//! too large hides no other.

use super::beneath::{Beneath, Links};
use super::holes::Parts;
use super::{Gathered, TEXT_LIMIT, reopened};
use bailiff_oci::image::{Config, Image, LAYER_BYTES_LIMIT, LayerBlob, LayerContent, LayerFile};
use bailiff_oci::{Algorithm, Hasher};
use bailiff_response::messages::escaped;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{FileStat, SFlag, fstat, fstatat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// Most files and directories.
const ENTRIES_LIMIT: usize = 4_000_000;
/// Most bytes of a path.
const PATH_LIMIT: usize = 4_096;
/// Most faults that are listed.
const FAULTS_LIMIT: usize = 100;
/// Most files whose other names are remembered. Of more, each name is read by itself.
const LINKS_LIMIT: usize = 1_000_000;
/// How the names of files start that delete others in a layer.
const WHITEOUT: &[u8] = b".wh.";
/// Bytes of an entry of an archive without a path and content, and what both are a multiple of.
const BLOCK: u64 = 512;
/// Bytes at the end of an archive.
const END: u64 = 2 * BLOCK;
/// The media type of the layer.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What is written to.
struct Hashed<W> {
    into: W,
    hash: Hasher,
    count: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.into.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        let more = u64::try_from(written).unwrap_or(u64::MAX);
        self.count = self.count.saturating_add(more);
        if self.count > LAYER_BYTES_LIMIT {
            let error = format!("it has more than {LAYER_BYTES_LIMIT} bytes");
            return Err(io::Error::other(error));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// The archive that is being made.
struct Archiving<W: Write> {
    root: Beneath,
    device: u64,
    archive: tar::Builder<W>,
    /// Names of files that have several, by the numbers of device and file.
    links: BTreeMap<(u64, u64), PathBuf>,
    entries: usize,
    /// Bytes of an archive without holes that there is room for.
    left: u64,
    faults: Vec<String>,
    failed: usize,
}

/// The image that a directory is. The error is a cause and a remedy.
pub(super) fn gather(path: &Path) -> Result<Gathered, String> {
    if path.is_file() {
        let path = path.display();
        return Err(format!(
            "{path} is a file, not a directory; for an archive, write docker-archive:{path} or oci:{path}"
        ));
    }
    let image = image(path);
    let image = image.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Gathered {
        images: vec![image],
        ..Gathered::default()
    })
}

fn image(path: &Path) -> io::Result<Image> {
    let root = Beneath::open(path)?;
    let stored = tempfile::tempfile()
        .map_err(|error| io::Error::other(super::not_stored("its files", &error)))?;
    let hashed = Hashed {
        into: BufWriter::new(stored.try_clone()?),
        hash: Hasher::new(Algorithm::Sha256),
        count: 0,
    };
    let mut archiving = Archiving {
        device: fstat(&root)?.st_dev,
        root,
        archive: tar::Builder::new(hashed),
        links: BTreeMap::new(),
        entries: 0,
        left: LAYER_BYTES_LIMIT - END,
        faults: Vec::new(),
        failed: 0,
    };
    archiving.walk()?;
    let Archiving {
        archive,
        mut faults,
        failed,
        ..
    } = archiving;
    let mut hashed = archive.into_inner()?;
    hashed.flush()?;
    if failed > faults.len() {
        faults.push(format!(
            "{} more files cannot be read",
            failed - faults.len()
        ));
    }
    let digest = hashed.hash.finish();
    let layer = LayerBlob {
        digest: Some(digest.clone()),
        diff_id: Some(digest.clone()),
        media_type: LAYER.to_owned(),
        size: hashed.count,
        content: LayerContent::File(LayerFile {
            file: reopened(&stored)?,
            is_verified: true,
        }),
    };
    let config = Config {
        diff_ids: vec![digest.clone()],
        ..Config::default()
    };
    Ok(Image {
        reference: format!("dir:{}", path.display()),
        digest,
        // A directory does not say its platform.
        platform: "unknown".to_owned(),
        config,
        layers: vec![layer],
        faults,
    })
}

impl<W: Write> Archiving<W> {
    fn fault(&mut self, path: &Path, cause: &impl std::fmt::Display) {
        self.failed += 1;
        if self.faults.len() < FAULTS_LIMIT {
            let text = format!("cannot read {}: {cause}", path.display());
            self.faults.push(escaped(&text, TEXT_LIMIT));
        }
    }

    /// Adds all files.
    ///
    /// # Errors
    /// The archive cannot be written.
    fn walk(&mut self) -> io::Result<()> {
        let mut directories = vec![PathBuf::new()];
        while let Some(path) = directories.pop() {
            let Some((directory, names)) = self.names_of(&path) else {
                continue;
            };
            for name in names {
                let path = path.join(OsStr::from_bytes(&name));
                self.entries += 1;
                if self.entries > ENTRIES_LIMIT {
                    let error = format!("it has more than {ENTRIES_LIMIT} files");
                    return Err(io::Error::other(error));
                }
                if path.as_os_str().len() > PATH_LIMIT {
                    self.fault(&path, &"its path is too long");
                    continue;
                }
                if name.starts_with(WHITEOUT) {
                    let cause = "in a layer, its name would delete another file";
                    self.fault(&path, &cause);
                    continue;
                }
                let status = fstatat(&directory, name.as_slice(), AtFlags::AT_SYMLINK_NOFOLLOW);
                let status = match status {
                    Ok(status) => status,
                    Err(error) => {
                        self.fault(&path, &error.desc());
                        continue;
                    }
                };
                if kind(&status) != SFlag::S_IFDIR {
                    self.file(&path, &status)?;
                } else if status.st_dev == self.device {
                    self.left = self.left.saturating_sub(room(&path, 0));
                    let mut header = header(&status, EntryType::Directory);
                    self.archive.append_data(&mut header, &path, io::empty())?;
                    directories.push(path);
                } else {
                    let cause = "it is of another file system; scan it by itself";
                    self.fault(&path, &cause);
                }
            }
        }
        Ok(())
    }

    /// A directory and the names in it, in order.
    fn names_of(&mut self, path: &Path) -> Option<(Dir, Vec<Vec<u8>>)> {
        let opened = self.root.directory(or_dot(path));
        let opened = opened.and_then(|fd| Dir::from_fd(fd).map_err(io::Error::from));
        let mut directory = match opened {
            Ok(directory) => directory,
            Err(error) => {
                self.fault(path, &error);
                return None;
            }
        };
        let mut names = Vec::new();
        let mut error = None;
        for entry in directory.iter() {
            match entry {
                Ok(entry) => names.push(entry.file_name().to_bytes().to_vec()),
                Err(cause) => error = Some(cause),
            }
            if names.len() > ENTRIES_LIMIT {
                break;
            }
        }
        if let Some(error) = error {
            self.fault(path, &error.desc());
        }
        names.retain(|name| !matches!(name.as_slice(), b"." | b".."));
        names.sort();
        Some((directory, names))
    }

    fn file(&mut self, path: &Path, status: &FileStat) -> io::Result<()> {
        let kind = match kind(status) {
            SFlag::S_IFREG => return self.regular(path, status),
            SFlag::S_IFLNK => return self.link(path, status),
            // The numbers of devices do not matter: they are no files with content, nor marks of layers.
            SFlag::S_IFIFO | SFlag::S_IFCHR | SFlag::S_IFBLK => EntryType::Fifo,
            // A socket has no content and no place in an archive.
            _ => return Ok(()),
        };
        self.left = self.left.saturating_sub(room(path, 0));
        let mut header = header(status, kind);
        self.archive.append_data(&mut header, path, io::empty())
    }

    fn link(&mut self, path: &Path, status: &FileStat) -> io::Result<()> {
        let directory = or_dot(path.parent().unwrap_or(Path::new("")));
        let target = self.root.directory(directory).and_then(|directory| {
            readlinkat(&directory, path.file_name().unwrap_or_default()).map_err(io::Error::from)
        });
        match target {
            Ok(target) => {
                self.left = self.left.saturating_sub(room(path, 0));
                let mut header = header(status, EntryType::Symlink);
                self.archive
                    .append_link(&mut header, path, Path::new(&target))
            }
            Err(error) => {
                self.fault(path, &error);
                Ok(())
            }
        }
    }

    fn regular(&mut self, path: &Path, status: &FileStat) -> io::Result<()> {
        let id = (status.st_dev, status.st_ino);
        if status.st_nlink > 1 {
            if let Some(first) = self.links.get(&id) {
                self.left = self.left.saturating_sub(room(path, 0));
                let mut header = header(status, EntryType::Link);
                return self.archive.append_link(&mut header, path, first);
            }
            if self.links.len() < LINKS_LIMIT {
                self.links.insert(id, path.to_owned());
            }
        }
        let opened = self.root.file(path, Links::No);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.links.remove(&id);
                self.fault(path, &error);
                return Ok(());
            }
        };
        // Whoever reads the layer counts holes as well.
        let parts = Parts::of(&file, size);
        let (records, map) = (parts.records(), parts.map());
        let described = u64::try_from(map.len()).unwrap_or(u64::MAX);
        let needed = room(path, size).saturating_add(described.saturating_mul(2));
        let Some(left) = self.left.checked_sub(needed) else {
            self.links.remove(&id);
            let cause = format!(
                "with its {size} bytes, the files have more than the {LAYER_BYTES_LIMIT} that are read"
            );
            self.fault(path, &cause);
            return Ok(());
        };
        self.left = left;
        let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        self.archive.append_pax_extensions(records)?;
        let mut header = header(status, EntryType::Regular);
        header.set_size(described.saturating_add(parts.data()));
        let mut content = parts.content(&file);
        let entry = map.as_slice().chain(&mut content);
        self.archive.append_data(&mut header, path, entry)?;
        if let Some(error) = content.error {
            self.fault(path, &error);
        }
        Ok(())
    }
}

/// Bytes that a file takes in an archive: a header, a path that does not fit into it with its own header, and the
/// content with its holes.
fn room(path: &Path, size: u64) -> u64 {
    let length = u64::try_from(path.as_os_str().len()).unwrap_or(u64::MAX);
    let path = length.saturating_add(1).div_ceil(BLOCK);
    let blocks = size.div_ceil(BLOCK).saturating_add(path);
    blocks.saturating_add(2).saturating_mul(BLOCK)
}

/// A path beneath the root, which itself has none.
fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

/// The header of an entry without content.
fn header(status: &FileStat, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(status.st_mode & 0o7777);
    header.set_uid(status.st_uid.into());
    header.set_gid(status.st_gid.into());
    header.set_mtime(u64::try_from(status.st_mtime).unwrap_or_default());
    header
}
