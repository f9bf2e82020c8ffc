//! The files of a layout or an archive.
//!
//! Here: reading documents and opening layers by their names, in a directory or an archive. Not here: which names there
//! are (`layout`, `docker_archive`).
//! Invariant: only a regular file of the directory or the archive is opened. What is read into memory is bounded.

use super::archive::Archive;
use super::beneath::{Beneath, Links};
use bailiff_oci::Digest;
use bailiff_oci::image::{Descriptor, LAYER_BYTES_LIMIT, LayerContent, LayerFile};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The first bytes of compressed files, and what they are.
const COMPRESSED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
];

/// Names of standard input, which can be read only once.
const INPUTS: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// Files by their names.
#[derive(Debug)]
pub(super) enum Files {
    /// Of a directory.
    Directory(Beneath),
    /// Of an archive.
    Archive(Archive),
}

impl Files {
    /// The files of a directory or an archive at a path that the user named. The error is a cause and a remedy.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if INPUTS.iter().any(|input| path == Path::new(input)) {
            return Err(format!(
                "cannot read {}: standard input is not supported; save the image with `docker save -o image.tar`, and write docker-archive:image.tar",
                path.display()
            ));
        }
        let opened = std::fs::metadata(path).and_then(|metadata| {
            if metadata.is_dir() {
                return Beneath::open(path).map(Self::Directory);
            }
            if !metadata.is_file() {
                return Err(io::Error::other("it is neither a file nor a directory"));
            }
            let mut file = File::open(path)?;
            let mut start = Vec::new();
            (&mut file).take(8).read_to_end(&mut start)?;
            let mut kinds = COMPRESSED.iter();
            if let Some((_, kind)) = kinds.find(|(magic, _)| start.starts_with(magic)) {
                let error = format!(
                    "it is compressed; decompress it with `{kind} -dc {} > image.tar`, and scan image.tar instead",
                    path.display()
                );
                return Err(io::Error::other(error));
            }
            Archive::read(file).map(Self::Archive)
        });
        opened.map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// A file at its first byte, and how many bytes it has. That of an archive has more, of others.
    fn opened(&self, name: &str) -> io::Result<(File, u64)> {
        match self {
            Self::Directory(directory) => {
                let file = directory.file(Path::new(name), Links::Within)?;
                let size = file.metadata()?.len();
                Ok((file, size))
            }
            Self::Archive(archive) => archive.file(name),
        }
    }

    /// Whether there is a file with this name.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(directory) => directory.file(Path::new(name), Links::Within).is_ok(),
            Self::Archive(archive) => archive.names().any(|known| known == name),
        }
    }

    /// The bytes of a document of at most `limit`. The error is a cause.
    pub(super) fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, String> {
        let read = self.opened(name).and_then(|(file, size)| {
            if usize::try_from(size).map_or(true, |size| size > limit) {
                let error = format!("it has {size} bytes, more than the {limit} that are read");
                return Err(io::Error::other(error));
            }
            let mut bytes = Vec::new();
            file.take(size).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        read.map_err(|error| format!("cannot read {name}: {error}"))
    }

    /// A layer in a file of at most `limit` bytes. `size` is what it has to have; none: whatever it has.
    pub(super) fn layer(&self, name: &str, size: Option<u64>, limit: u64) -> (u64, LayerContent) {
        match self.opened(name) {
            Ok((_, found)) if size.is_some_and(|size| size != found) => {
                let size = size.unwrap_or_default();
                let cause = format!("{name} has {found} bytes, and its manifest says {size}");
                (size, LayerContent::Unavailable(cause))
            }
            Ok((_, found)) if found > limit => {
                let cause = format!(
                    "{name} and the layers below it have more than {LAYER_BYTES_LIMIT} bytes"
                );
                (found, LayerContent::Unavailable(cause))
            }
            Ok((file, found)) => match self.alone(file, found) {
                Ok(file) => {
                    let is_verified = false;
                    (found, LayerContent::File(LayerFile { file, is_verified }))
                }
                Err(error) => {
                    let cause = super::not_stored(name, &error);
                    (found, LayerContent::Unavailable(cause))
                }
            },
            Err(error) => {
                let cause = format!("cannot read {name}: {error}");
                (size.unwrap_or_default(), LayerContent::Unavailable(cause))
            }
        }
    }

    /// A file with these bytes alone. Those of an archive are copied, which the kernel does.
    fn alone(&self, file: File, size: u64) -> io::Result<File> {
        match self {
            Self::Directory(_) => Ok(file),
            Self::Archive(_) => {
                let mut copy = tempfile::tempfile()?;
                let copied = io::copy(&mut file.take(size), &mut copy)?;
                if copied != size {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                super::reopened(&copy)
            }
        }
    }

    /// The document that a descriptor names, in the place of a blob of a layout. The error is a cause.
    pub(super) fn document(&self, named: &Descriptor, limit: usize) -> Result<Vec<u8>, String> {
        let name = blob_name(&named.digest);
        let bytes = self.read(&name, limit)?;
        match named.verify(&bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(format!("cannot read {name}: {error}")),
        }
    }
}

/// Where a layout has a blob. A digest has an algorithm and digits alone, so it leads nowhere else.
pub(super) fn blob_name(digest: &Digest) -> String {
    let text = digest.as_str();
    let (algorithm, digits) = text.split_once(':').unwrap_or((text, ""));
    format!("blobs/{algorithm}/{digits}")
}
