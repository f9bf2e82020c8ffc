//! `bailiff feed inspect`.
//!
//! Here: what an index was built from, as a table and as JSON. Not here: how it is read (`bailiff_scan::index`).
//! Invariant: the hash of the whole file is checked before anything is printed.

use super::map::Mapped;
use super::{InspectArgs, Output, TEXT_LIMIT, index_path, shown};
use crate::{Error, table};
use bailiff_response::messages::escaped;
use bailiff_scan::index::{Index, IndexError, Source};
use jiff::Timestamp;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The version of the fields of JSON.
const SCHEMA_VERSION: u32 = 1;

/// The columns of sources.
pub(super) const HEADER: &[&str] = &[
    "KIND",
    "RECORDS",
    "UNREADABLE",
    "NEWEST",
    "ECOSYSTEMS",
    "SOURCE",
];

/// Ecosystems that are listed.
const ECOSYSTEMS_SHOWN: usize = 3;

/// An index cannot be opened.
pub(crate) fn not_opened(path: &Path, error: &std::io::Error) -> Error {
    let path = shown(path);
    let error = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    Error::Input(format!(
        "cannot open the index {path}: {error}; build it with `bailiff feed build --defaults`"
    ))
}

/// An index cannot be read.
pub(crate) fn not_read(path: &Path, error: &IndexError) -> Error {
    Error::Input(format!(
        "cannot read the index {}: {error}; build it again with `bailiff feed build`",
        shown(path)
    ))
}

pub(super) fn run(args: &InspectArgs, out: &mut impl Write) -> Result<(), Error> {
    let path = index_path(args.index.as_deref())?;
    let mapped = Mapped::open(&path).map_err(|error| not_opened(&path, &error))?;
    let not_read = |error: IndexError| not_read(&path, &error);
    let index = Index::open(mapped.bytes()).map_err(not_read)?;
    index.verify().map_err(not_read)?;
    let sources = index.sources().map_err(not_read)?;
    match args.output {
        Output::Table => {
            writeln!(out, "Built    {}", index.built())?;
            writeln!(out, "Bytes    {}", mapped.bytes().len())?;
            writeln!(out, "SHA-256  {}", index.hash())?;
            writeln!(out)?;
            for line in table::lines(Some(HEADER), &rows(&sources)) {
                writeln!(out, "{line}")?;
            }
        }
        Output::Json => {
            let sources: Vec<_> = sources.iter().map(source).collect();
            let json = json!({
                "schemaVersion": SCHEMA_VERSION,
                "built": index.built().to_string(),
                "bytes": mapped.bytes().len(),
                "sha256": index.hash(),
                "sources": sources,
            });
            writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A row for each source.
pub(super) fn rows(sources: &[Source]) -> Vec<Vec<String>> {
    sources.iter().map(row).collect()
}

fn row(source: &Source) -> Vec<String> {
    let mut ecosystems: Vec<_> = source.ecosystems.keys().map(ToString::to_string).collect();
    let more = ecosystems.len().saturating_sub(ECOSYSTEMS_SHOWN);
    ecosystems.truncate(ECOSYSTEMS_SHOWN);
    let ecosystems = match (ecosystems.join(", "), more) {
        (none, _) if none.is_empty() => "-".to_owned(),
        (all, 0) => all,
        (first, more) => format!("{first} and {more} more"),
    };
    vec![
        source.kind.to_string(),
        source.records.to_string(),
        source.unreadable.to_string(),
        day(source.newest),
        ecosystems,
        escaped(&source.origin, TEXT_LIMIT),
    ]
}

/// A day for people.
fn day(time: Option<Timestamp>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

fn source(source: &Source) -> serde_json::Value {
    let ecosystems = source.ecosystems.iter().map(|(ecosystem, read)| {
        json!({
            "ecosystem": ecosystem.to_string(),
            "records": read.records,
            "newestModified": read.newest.map(|time| time.to_string()),
        })
    });
    json!({
        "kind": source.kind.as_str(),
        "origin": escaped(&source.origin, TEXT_LIMIT),
        "retrieved": source.retrieved.to_string(),
        "records": source.records,
        "unreadable": source.unreadable,
        "newest": source.newest.map(|time| time.to_string()),
        "ecosystems": ecosystems.collect::<Vec<_>>(),
    })
}
