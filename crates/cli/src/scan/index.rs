//! Advisories of an index.
//!
//! Here: opening the index, and the age of its sources. Not here: building one (`feed`), its format
//! (`bailiff_scan::index`), and what it has about packages (`bailiff_scan::result`).
//! Invariant: an index that cannot be used is an error before an image is read.

use crate::Error;
use crate::feed::inspect::{not_opened, not_read};
use crate::feed::map::Mapped;
use bailiff_response::messages::escaped;
use bailiff_scan::index::{Index, IndexError, Source};
use bailiff_scan::result::{Knowledge, Target};
use jiff::Timestamp;
use std::path::PathBuf;

/// An index that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    mapped: Mapped,
}

/// Opens the index at a path.
///
/// # Errors
/// If it cannot be opened, or it has another format.
pub(crate) fn open(path: PathBuf) -> Result<Opened, Error> {
    let mapped = Mapped::open(&path).map_err(|error| not_opened(&path, &error))?;
    let check = |bytes: &[u8]| -> Result<(), IndexError> {
        let index = Index::open(bytes)?;
        index.sources()?;
        index.known_exploited()?;
        Ok(())
    };
    check(mapped.bytes()).map_err(|error| not_read(&path, &error))?;
    Ok(Opened { path, mapped })
}

impl Opened {
    /// Reads what it has about packages.
    ///
    /// # Errors
    /// If it was damaged since it was opened.
    pub(crate) fn gather(&self, targets: &[Target]) -> Result<Knowledge<'_>, Error> {
        let packages = targets.iter().flat_map(Target::packages);
        let index = Index::open(self.mapped.bytes());
        let knowledge = index.and_then(|index| Knowledge::of_index(index, packages));
        knowledge.map_err(|error| not_read(&self.path, &error))
    }
}

/// How old a source is, as a sentence.
pub(super) fn age(source: &Source) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let newest = source.newest.map_or_else(
        || "of unknown age".to_owned(),
        |time| format!("the newest of {}", day(time)),
    );
    let records = match source.records {
        1 => "1 record".to_owned(),
        records => format!("{records} records"),
    };
    let unreadable = match source.unreadable {
        0 => String::new(),
        unreadable => format!(", {unreadable} unreadable"),
    };
    format!(
        "Source {} {}: {records}{unreadable}, {newest}, read on {}.",
        source.kind,
        escaped(&source.origin, super::TEXT_LIMIT),
        day(source.retrieved)
    )
}
