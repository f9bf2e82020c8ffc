//! Files that are replaced as a whole.
//!
//! Here: a new file beside another one, which gets its name once it is written. Not here: what is written.
//! Invariant: a file has its old content or its new one, and never a part. What was not finished leaves no file.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that will replace another one.
pub(crate) struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// A new file beside the one at `path`, which need not be there. It is removed unless it is finished. Its permissions
    /// are those of any new file.
    ///
    /// # Errors
    /// If there is no such directory, or no file can be created in it.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(".bailiff-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory(path))
            .map_err(|error| without_path(&error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// The new file.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the new file the name of the other one.
    ///
    /// # Errors
    /// If it cannot be written, or not get the name.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        // The name is in the directory, which is written by itself.
        File::open(directory(&self.path))?.sync_all()
    }
}

/// The cause of an error about a new file, without the name of that file, which says nothing to people.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let cause = text.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), cause)
}

/// The directory of a file.
pub(crate) fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}
