//! Where the formats of `-o` are written.
//!
//! Here: standard output, and files. Not here: what a format has.
//! Invariant: a regular file is replaced as a whole, also through a symbolic link. A device or a pipe is written and never
//! replaced. A file that cannot be written is an error before an image is read, as far as that can be known then.

use super::super::args::{Format, ScanArgs};
use super::super::shown;
use crate::Error;
use crate::replace::{Replacement, directory};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where the result is written.
pub(in super::super) struct Destinations {
    /// The format of standard output.
    pub(super) printed: Format,
    /// The others, in the order of the command line.
    pub(super) files: Vec<Destination>,
}

/// A file.
pub(super) struct Destination {
    pub(super) format: Format,
    /// As it was given.
    path: PathBuf,
    to: To,
}

enum To {
    /// A regular file, or none yet.
    Replaced(Replacement),
    /// A device or a pipe.
    Written(File),
}

impl Destinations {
    /// Opens what the command line names.
    ///
    /// # Errors
    /// If two formats have one destination, or a file cannot be written.
    pub(in super::super) fn open(args: &ScanArgs) -> Result<Self, Error> {
        let mut printed = None;
        let mut files = Vec::new();
        let mut named = BTreeSet::new();
        for output in &args.output {
            let Some(path) = &output.file else {
                if let Some(before) = printed.replace(output.format) {
                    let (before, this) = (before.as_str(), output.format.as_str());
                    return Err(Error::Input(format!(
                        "cannot print {before} and {this}: standard output has one format; write the other one to a file, as in -o {this}=FILE"
                    )));
                }
                continue;
            };
            let real = real(path);
            if !named.insert(real.clone()) {
                return Err(Error::Input(format!(
                    "cannot write {}: -o names it twice; name a file for each format",
                    shown(path)
                )));
            }
            files.push(Destination {
                format: output.format,
                path: path.clone(),
                to: To::open(&real).map_err(|error| not_written(path, &error))?,
            });
        }
        Ok(Self {
            printed: printed.unwrap_or_default(),
            files,
        })
    }
}

impl To {
    fn open(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(path)?;
                Ok(Self::Written(file))
            }
            Ok(_) | Err(_) => Replacement::beside(path).map(Self::Replaced),
        }
    }
}

impl Destination {
    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(self, text: &str) -> Result<(), Error> {
        let written = match self.to {
            To::Replaced(file) => {
                let written = file.file().write_all(text.as_bytes());
                written.and_then(|()| file.finish())
            }
            To::Written(mut file) => file.write_all(text.as_bytes()).and_then(|()| file.flush()),
        };
        written.map_err(|error| not_written(&self.path, &error))
    }
}

/// Where a link leads, so that the link stays. The path itself if nothing is there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real;
    }
    match (std::fs::canonicalize(directory(path)), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        (Ok(_) | Err(_), _) => path.to_owned(),
    }
}

fn not_written(path: &Path, error: &io::Error) -> Error {
    Error::Input(format!(
        "cannot write {}: {error}; name a file in a directory that exists and has space",
        shown(path)
    ))
}
