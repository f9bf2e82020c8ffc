//! Files and archives of records.
//!
//! Here: what is read of a path. Not here: what records are (`bailiff_scan::advisory`), and who takes them.
//! Invariant: one file, or one file of an archive, is in memory at a time, up to its limit. What cannot be read hides
//! nothing else.

use bailiff_scan::advisory::collection::{Collection, Source};
use bailiff_scan::advisory::osv::RECORD_LIMIT;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::Path;
use zip::ZipArchive;

/// Levels of directories.
const DEPTH_LIMIT: usize = 32;
/// Files of an archive.
const FILES_LIMIT: usize = 4_000_000;
/// Bytes of the records of an archive, uncompressed: a small archive can have terabytes.
const ARCHIVE_LIMIT: u64 = 32 << 30;

/// The first bytes of an archive that has files.
const ARCHIVE_START: &[u8] = b"PK\x03\x04";

/// Takes records.
pub(crate) trait Records {
    /// Where records are from.
    type Source: Copy;

    /// A new source. `place` is where it is, for people.
    fn source(&mut self, place: &str) -> Self::Source;

    /// Bytes of a record. Of a larger one, one byte more is read, so that its reader rejects it.
    fn record_limit(&self) -> usize;

    /// Takes a record. `place` is where it is, for messages.
    fn add(&mut self, source: Self::Source, place: &str, record: &[u8]);

    /// Takes an error about what could not be read.
    fn fail(&mut self, source: Self::Source, error: String);
}

impl Records for Collection {
    type Source = Source;

    fn source(&mut self, _: &str) -> Source {
        Self::source(self)
    }

    fn record_limit(&self) -> usize {
        RECORD_LIMIT
    }

    fn add(&mut self, source: Source, place: &str, record: &[u8]) {
        Self::add(self, source, place, record);
    }

    fn fail(&mut self, _: Source, error: String) {
        Self::fail(self, error);
    }
}

/// Adds the records of a path: a record, an archive, or a directory of them. Of a directory, files that end in `.json`
/// and `.zip` are read. Each archive is a source of its own; the other files of the path are one.
pub(crate) fn read<R: Records>(path: &Path, into: &mut R) {
    let source = into.source(&path.to_string_lossy());
    read_below(path, source, DEPTH_LIMIT, true, into);
}

/// Adds the records of a file that is open: a record, or an archive of them if it begins as one.
pub(crate) fn read_open<R: Records>(mut file: File, name: &str, into: &mut R) {
    let source = into.source(name);
    let result = (|| {
        let mut start = Vec::new();
        read_up_to(&mut file, ARCHIVE_START.len() - 1, &mut start)?;
        file.rewind()?;
        if start == ARCHIVE_START {
            read_archive(file, name, ARCHIVE_LIMIT, into)
        } else {
            read_record(file, source, name, into)
        }
    })();
    if let Err(error) = result {
        into.fail(source, format!("{name}: {error}"));
    }
}

fn read_below<R: Records>(
    path: &Path,
    source: R::Source,
    depth: usize,
    is_named: bool,
    into: &mut R,
) {
    let place = path.to_string_lossy();
    let result = (|| -> io::Result<()> {
        if std::fs::metadata(path)?.is_dir() {
            return read_directory(path, source, depth, into);
        }
        if ends_in(path, "zip") {
            read_archive(File::open(path)?, &place, ARCHIVE_LIMIT, into)?;
        } else if is_named || ends_in(path, "json") {
            read_record(File::open(path)?, source, &place, into)?;
        }
        Ok(())
    })();
    if let Err(error) = result {
        into.fail(source, format!("{place}: {error}"));
    }
}

fn read_record<R: Records>(
    mut file: File,
    source: R::Source,
    place: &str,
    into: &mut R,
) -> io::Result<()> {
    let mut record = Vec::new();
    read_up_to(&mut file, into.record_limit(), &mut record)?;
    into.add(source, place, &record);
    Ok(())
}

fn ends_in(path: &Path, end: &str) -> bool {
    path.extension()
        .is_some_and(|of| of.eq_ignore_ascii_case(end))
}

fn read_directory<R: Records>(
    path: &Path,
    source: R::Source,
    depth: usize,
    into: &mut R,
) -> io::Result<()> {
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
        read_below(&path, source, depth, false, into);
    }
    Ok(())
}

/// Reads records of up to `limit` bytes together.
fn read_archive<R: Records>(archive: File, name: &str, limit: u64, into: &mut R) -> io::Result<()> {
    let of = name;
    let mut archive = ZipArchive::new(BufReader::new(archive))?;
    if archive.len() > FILES_LIMIT {
        let files = archive.len();
        let error = format!("it has {files} files, more than the {FILES_LIMIT} that are read");
        return Err(io::Error::other(error));
    }
    let source = into.source(of);
    let mut left = limit;
    let mut record = Vec::new();
    for index in 0..archive.len() {
        let place = |name: &str| format!("{name} of {of}");
        let file = archive.by_index(index).and_then(|file| {
            let name = file.name()?.into_owned();
            Ok((file, name))
        });
        let (mut file, name) = match file {
            Ok(file) => file,
            Err(error) => {
                let name = format!("file {}", index + 1);
                into.fail(source, format!("{}: {error}", place(&name)));
                continue;
            }
        };
        if !ends_in(Path::new(&name), "json") {
            continue;
        }
        record.clear();
        let result = read_up_to(&mut file, into.record_limit(), &mut record);
        let read = u64::try_from(record.len()).unwrap_or(u64::MAX);
        let Some(rest) = left.checked_sub(read) else {
            let error = format!(
                "it and the files before it have more than {limit} bytes; it and the ones after it are not read"
            );
            into.fail(source, format!("{}: {error}", place(&name)));
            break;
        };
        left = rest;
        match result {
            Ok(()) => into.add(source, &place(&name), &record),
            Err(error) => into.fail(source, format!("{}: {error}", place(&name))),
        }
    }
    Ok(())
}

/// Reads a file. Of one that is larger than the limit, one byte more than that, so that its reader rejects it.
pub(crate) fn bytes(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_up_to(&mut File::open(path)?, limit, &mut bytes)?;
    Ok(bytes)
}

fn read_up_to(from: &mut impl Read, limit: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    from.take(limit.saturating_add(1)).read_to_end(into)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_scan::ecosystem::Ecosystem;
    use std::io::Write as _;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn an_archive_is_read_up_to_a_limit_and_hides_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let record = |id: &str| {
            format!(
                r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "npm", "name": "a"}}}}]}}"#
            )
        };
        let path = directory.path().join("all.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for id in ["X-1", "X-2", "X-3", "X-4"] {
            zip.start_file(format!("{id}.json"), SimpleFileOptions::default())
                .unwrap();
            zip.write_all(record(id).as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let wanted = [(Ecosystem::Npm, "a".to_owned())];
        let mut into = Collection::of(wanted, "2026-01-01T00:00:00Z".parse().unwrap());
        let limit = 2 * u64::try_from(record("X-1").len()).unwrap();
        let name = path.display().to_string();
        read_archive(File::open(&path).unwrap(), &name, limit, &mut into).unwrap();
        let source = into.source();
        into.add(source, "other", record("X-5").as_bytes());
        let of = into.collected();
        let ids: Vec<_> = of
            .get(&Ecosystem::Npm, "a")
            .iter()
            .map(|a| a.id.clone())
            .collect();
        assert_eq!(ids, ["X-1", "X-2", "X-5"]);
        let error = format!(
            "X-3.json of {}: it and the files before it have more than {limit} bytes; it and the ones after it are not read",
            path.display()
        );
        assert_eq!(of.errors, [error]);
    }
}
