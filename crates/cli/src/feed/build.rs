//! `bailiff feed build`.
//!
//! Here: the run of the command. Not here: downloads (`download`), records (`records`), and the format of the index
//! (`bailiff_scan::index`).
//! Invariant: the file of an index is replaced by a whole one or stays as it is. A source of which nothing can be read
//! is an error, so that an index that is built has all sources.

use super::download::{Downloader, message};
use super::map::Mapped;
use super::place::{Place, SourceArg};
use super::records::Reader;
use super::{BuildArgs, TEXT_LIMIT, defaults, index_path, shown};
use crate::progress::reporting;
use crate::replace::{Replacement, directory};
use crate::scan::files;
use crate::{Error, table};
use bailiff_response::messages::escaped;
use bailiff_scan::index::{BuildError, Builder, Built, Index, SourceId};
use jiff::Timestamp;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Errors of records that are written.
const ERRORS_SHOWN: usize = 20;
/// Time after which writing is announced.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn run(
    args: &BuildArgs,
    downloader: &Downloader,
    now: Timestamp,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Error> {
    let output = index_path(args.file.as_deref())?;
    let started = Instant::now();
    let cannot = |cause: &dyn std::fmt::Display, remedy: &str| {
        let cause = escaped(&cause.to_string(), TEXT_LIMIT);
        Error::Input(format!(
            "cannot write {}: {cause}; {remedy}",
            shown(&output)
        ))
    };
    let not_written = |error: BuildError| match error {
        BuildError::Previous(error) => cannot_read_previous(args, &error),
        BuildError::Write(_) => cannot(&error, "free space, or set --file to another place"),
        BuildError::TooLarge(_) | BuildError::Encode(_) => {
            cannot(&error, "build it with fewer sources")
        }
    };
    let not_there = |error: std::io::Error| cannot(&error, "set --file to another place");
    let directory = directory(&output);
    std::fs::create_dir_all(directory).map_err(not_there)?;
    let file = Replacement::beside(&output).map_err(not_there)?;
    let previous = match &args.previous {
        Some(path) => Some(Mapped::open(path).map_err(|error| cannot_read_previous(args, &error))?),
        None => None,
    };
    let previous = match &previous {
        Some(mapped) => {
            let index =
                Index::open(mapped.bytes()).and_then(|index| index.verify().map(|()| index));
            Some(index.map_err(|error| cannot_read_previous(args, &error))?)
        }
        None => None,
    };
    let writer = BufWriter::new(file.file());
    let mut builder = Builder::new(writer, now, previous).map_err(not_written)?;
    let defaults = if args.defaults {
        defaults::sources()
    } else {
        Vec::new()
    };
    for source in defaults.iter().chain(&args.sources) {
        let sources = match &source.place {
            Place::Path(path) => {
                let mut reader = Reader::new(source.kind, &mut builder, err);
                files::read(path, &mut reader);
                reader.finish()
            }
            Place::Url(url) => {
                let mut content = tempfile::tempfile_in(directory).map_err(not_there)?;
                let received = AtomicU64::new(0);
                let name = escaped(&source.place.to_string(), TEXT_LIMIT);
                let line = || {
                    let received = received.load(Ordering::Relaxed) >> 20;
                    format!("Downloading {name}: {received} MiB")
                };
                let got = reporting(downloader.get(url, &mut content, &received), err, line).await;
                got.map_err(|error| Error::Input(message(url, &error)))?;
                content.rewind().map_err(not_there)?;
                let mut reader = Reader::new(source.kind, &mut builder, err);
                files::read_open(content, &source.place.to_string(), &mut reader);
                reader.finish()
            }
        };
        let sources = sources.map_err(not_written)?;
        check(source, &sources, &builder)?;
    }
    if started.elapsed() > ANNOUNCED_AFTER {
        drop(writeln!(err, "Writing {}", shown(&output)));
    }
    let built = builder.finish().map_err(not_written)?;
    file.finish().map_err(not_there)?;
    report(&built, &output, out, err)
}

/// Fails if nothing of a source could be read.
fn check<W: Write + Seek>(
    source: &SourceArg,
    sources: &[SourceId],
    builder: &Builder<'_, W>,
) -> Result<(), Error> {
    let read = sources.iter().filter_map(|source| builder.read(*source));
    if read.map(|source| source.records).sum::<u64>() > 0 {
        return Ok(());
    }
    let cause = match builder.errors().last() {
        Some(error) if !sources.is_empty() => escaped(error, TEXT_LIMIT),
        Some(_) | None => "it has no records".to_owned(),
    };
    let source = escaped(&source.to_string(), TEXT_LIMIT);
    Err(Error::Input(format!(
        "cannot read {source}: {cause}; correct the source or leave it out"
    )))
}

fn cannot_read_previous(args: &BuildArgs, cause: &dyn std::fmt::Display) -> Error {
    let path = args.previous.as_deref().map(shown).unwrap_or_default();
    Error::Input(format!(
        "cannot read the index {path}: {cause}; set --previous to an index that is whole, or leave it out"
    ))
}

fn report(
    built: &Built,
    index: &Path,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Error> {
    for error in built.errors.iter().take(ERRORS_SHOWN) {
        writeln!(err, "error: cannot read {}", escaped(error, TEXT_LIMIT))?;
    }
    let shown_errors = ERRORS_SHOWN.min(built.errors.len()) as u64;
    let more = built.failed.saturating_sub(shown_errors);
    if more > 0 {
        writeln!(err, "error: cannot read {more} more records")?;
    }
    let rows = super::inspect::rows(&built.sources);
    for line in table::lines(Some(super::inspect::HEADER), &rows) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "Wrote {} with advisories of {} packages, {} KiB, sha256 {}.",
        shown(index),
        built.packages,
        built.length.div_ceil(1024),
        built.hash
    )?;
    out.flush()?;
    Ok(())
}
