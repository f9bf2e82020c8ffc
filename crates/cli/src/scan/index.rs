//! Advisories of an index.
//!
//! Here: opening the index, and what it has about the packages. Not here: building one (`feed`), and its format
//! (`bailiff_scan::index`).
//! Invariant: a part of the index that cannot be read is an error, and hides no finding of another part.

use crate::Error;
use crate::feed::inspect::{not_opened, not_read};
use crate::feed::map::Mapped;
use bailiff_response::messages::escaped;
use bailiff_scan::advisory::collection::Advisories;
use bailiff_scan::index::{Index, Source};
use bailiff_scan::known_exploited::KnownExploited;
use bailiff_scan::matching::Matches;
use bailiff_scan::package::{Package, subjects};
use jiff::Timestamp;
use std::cell::RefCell;
use std::path::PathBuf;

/// What an index has about packages.
#[derive(Debug)]
pub(crate) struct OfIndex {
    mapped: Mapped,
    /// The advisories that name one of them, and what of the index could not be read.
    pub(crate) advisories: Advisories,
    /// The catalog of known exploited vulnerabilities. None if the index has none.
    pub(crate) known_exploited: Option<KnownExploited>,
    /// The sources with advisories of the ecosystems of the packages, and those about vulnerabilities of all.
    pub(crate) sources: Vec<Source>,
}

/// An index that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    mapped: Mapped,
    sources: Vec<Source>,
    known_exploited: Option<KnownExploited>,
}

/// Opens the index at a path.
///
/// # Errors
/// If it cannot be opened, or it has another format.
pub(crate) fn open(path: PathBuf) -> Result<Opened, Error> {
    let mapped = Mapped::open(&path).map_err(|error| not_opened(&path, &error))?;
    let not_read = |error| not_read(&path, &error);
    let index = Index::open(mapped.bytes()).map_err(not_read)?;
    let sources = index.sources().map_err(not_read)?;
    let known_exploited = index.known_exploited().map_err(not_read)?;
    Ok(Opened {
        path,
        mapped,
        sources,
        known_exploited,
    })
}

impl Opened {
    /// Reads what it has about packages.
    ///
    /// # Errors
    /// If it was damaged since it was opened.
    pub(crate) fn gather(self, packages: &[Package]) -> Result<OfIndex, Error> {
        let Self {
            path,
            mapped,
            sources,
            known_exploited,
        } = self;
        let index = Index::open(mapped.bytes()).map_err(|error| not_read(&path, &error))?;
        let subjects = subjects(packages);
        let is_needed = |source: &Source| {
            source.ecosystems.is_empty() || subjects.iter().any(|of| source.has(&of.ecosystem))
        };
        let sources = sources.into_iter().filter(is_needed).collect();
        let wanted = subjects
            .iter()
            .map(|of| (of.ecosystem.clone(), of.name.clone()));
        Ok(OfIndex {
            advisories: index.advisories(wanted),
            known_exploited,
            sources,
            mapped,
        })
    }
}

impl OfIndex {
    /// Adds to findings what is known about their CVEs, whatever package has them. Returns what of that could not be
    /// read. None if everything could.
    pub(crate) fn describe(&self, matches: &mut Matches) -> Option<String> {
        let unread = RefCell::new(None);
        matches.describe(|id| {
            let index = Index::open(self.mapped.bytes());
            let record = index.and_then(|index| index.cve(id));
            record.unwrap_or_else(|error| {
                *unread.borrow_mut() = Some(error);
                None
            })
        });
        let error = unread.into_inner()?;
        Some(format!(
            "records about CVEs in the index: {error}; build it again"
        ))
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
