//! Files and archives of advisories.
//!
//! Here: what is read of a path. Not here: records (`bailiff_scan::advisory::osv`).
//! Invariant: one file, or one file of an archive, is in memory at a time, up to its limit. What cannot be read hides
//! nothing else.

use bailiff_scan::advisory::collection::{Collection, Source};
use bailiff_scan::advisory::osv::RECORD_LIMIT;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Levels of directories.
const DEPTH_LIMIT: usize = 32;
/// Files of an archive.
const FILES_LIMIT: usize = 4_000_000;
/// Bytes of the records of an archive, uncompressed: a small archive can have terabytes.
const ARCHIVE_LIMIT: u64 = 32 << 30;

/// Adds the records of a path: a record, an archive, or a directory of them. Of a directory, files that end in `.json`
/// and `.zip` are read. Each archive is a source of its own; the other files of the path are one.
pub(super) fn read(path: &Path, into: &mut Collection) {
    let source = into.source();
    read_below(path, source, DEPTH_LIMIT, true, into);
}

fn read_below(path: &Path, source: Source, depth: usize, is_named: bool, into: &mut Collection) {
    let place = path.to_string_lossy();
    let result = (|| -> io::Result<()> {
        if std::fs::metadata(path)?.is_dir() {
            return read_directory(path, source, depth, into);
        }
        if ends_in(path, "zip") {
            read_archive(path, ARCHIVE_LIMIT, into)?;
        } else if is_named || ends_in(path, "json") {
            into.add(source, &place, &bytes(path, RECORD_LIMIT)?);
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

fn read_directory(
    path: &Path,
    source: Source,
    depth: usize,
    into: &mut Collection,
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
fn read_archive(path: &Path, limit: u64, into: &mut Collection) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    if archive.len() > FILES_LIMIT {
        let files = archive.len();
        let error = format!("it has {files} files, more than the {FILES_LIMIT} that are read");
        return Err(io::Error::other(error));
    }
    let source = into.source();
    let mut left = limit;
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
        let result = read_up_to(&mut file, RECORD_LIMIT, &mut record);
        let read = u64::try_from(record.len()).unwrap_or(u64::MAX);
        let Some(rest) = left.checked_sub(read) else {
            let error = format!(
                "it and the files before it have more than {limit} bytes; it and the ones after it are not read"
            );
            into.fail(format!("{}: {error}", place(&name)));
            break;
        };
        left = rest;
        match result {
            Ok(()) => into.add(source, &place(&name), &record),
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
        read_archive(&path, limit, &mut into).unwrap();
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
