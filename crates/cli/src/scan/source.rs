//! Files and archives of advisories.
//!
//! Here: what is read of a path. Not here: records (`bailiff_scan::advisory::osv`).
//! Invariant: one file, or one file of an archive, is in memory at a time, up to its limit. What cannot be read hides
//! nothing else.

use bailiff_scan::advisory::collection::Collection;
use bailiff_scan::advisory::osv::RECORD_LIMIT;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Levels of directories.
const DEPTH_LIMIT: usize = 32;
/// Files of an archive.
const FILES_LIMIT: usize = 4_000_000;

/// Adds the records of a path: a record, an archive, or a directory of them. Of a directory, files that end in `.json`
/// and `.zip` are read.
pub(super) fn read(path: &Path, into: &mut Collection) {
    read_below(path, DEPTH_LIMIT, true, into);
}

fn read_below(path: &Path, depth: usize, is_named: bool, into: &mut Collection) {
    let place = path.to_string_lossy();
    let result = (|| -> io::Result<()> {
        if std::fs::metadata(path)?.is_dir() {
            return read_directory(path, depth, into);
        }
        if ends_in(path, "zip") {
            read_archive(path, into)?;
        } else if is_named || ends_in(path, "json") {
            into.add(&place, &bytes(path, RECORD_LIMIT)?);
        }
        Ok(())
    })();
    if let Err(error) = result {
        into.fail(format!("{place}: {error}"));
    }
}

fn ends_in(path: &Path, end: &str) -> bool {
    path.extension()
        .is_some_and(|of| of.eq_ignore_ascii_case(end))
}

fn read_directory(path: &Path, depth: usize, into: &mut Collection) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        let error = format!("it is nested deeper than {DEPTH_LIMIT} levels");
        return Err(io::Error::other(error));
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        read_below(&path, depth, false, into);
    }
    Ok(())
}

fn read_archive(path: &Path, into: &mut Collection) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    if archive.len() > FILES_LIMIT {
        let files = archive.len();
        let error = format!("it has {files} files, more than the {FILES_LIMIT} that are read");
        return Err(io::Error::other(error));
    }
    let mut record = Vec::new();
    for index in 0..archive.len() {
        let place = |name: &str| format!("{} of {}", name, path.display());
        let file = archive.by_index(index).and_then(|file| {
            let name = file.name()?.into_owned();
            Ok((file, name))
        });
        let (mut file, name) = match file {
            Ok(file) => file,
            Err(error) => {
                into.fail(format!(
                    "{}: {error}",
                    place(&format!("file {}", index + 1))
                ));
                continue;
            }
        };
        if !ends_in(Path::new(&name), "json") {
            continue;
        }
        record.clear();
        match read_up_to(&mut file, RECORD_LIMIT, &mut record) {
            Ok(()) => into.add(&place(&name), &record),
            Err(error) => into.fail(format!("{}: {error}", place(&name))),
        }
    }
    Ok(())
}

/// Reads a file. Of one that is larger than the limit, one byte more than that, so that its reader rejects it.
pub(super) fn bytes(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_up_to(&mut File::open(path)?, limit, &mut bytes)?;
    Ok(bytes)
}

fn read_up_to(from: &mut impl Read, limit: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    from.take(limit.saturating_add(1)).read_to_end(into)?;
    Ok(())
}
