//! What the files of sources say, for an index.
//!
//! Here: which reader each kind has. Not here: the readers (`bailiff_scan`), and files and archives (`scan::files`).
//! Invariant: a record that cannot be read is counted for its source, and hides no other.

use crate::scan::files::Records;
use bailiff_response::messages::escaped;
use bailiff_scan::advisory::{Advisory, debian, debian_list, osv, secdb};
use bailiff_scan::index::{BuildError, Builder, SourceId, SourceKind};
use bailiff_scan::known_exploited::{CATALOG_LIMIT, KnownExploited};
use bailiff_scan::severity::cve::{self, CveRecord};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Time before the first line about progress, and between lines.
const INTERVAL: Duration = Duration::from_secs(2);
/// The files among the records of the CVE list that say what has changed in it.
const NO_RECORDS: &[&str] = &["delta.json", "deltaLog.json", "recent_activities.json"];
/// Records between looks at the clock.
const RECORDS: u64 = 256;

/// Puts records into an index.
pub(super) struct Reader<'a, 'b, W, E> {
    kind: SourceKind,
    builder: &'a mut Builder<'b, W>,
    err: &'a mut E,
    /// Each place, and its source once there is a record of it: an archive is a source of its own, so that the
    /// directory that it is in can be none.
    places: Vec<(String, Option<SourceId>)>,
    /// Why the index cannot be written.
    failed: Option<BuildError>,
    records: u64,
    next_line: Instant,
}

impl<'a, 'b, W: Write + Seek, E: Write> Reader<'a, 'b, W, E> {
    pub(super) fn new(kind: SourceKind, builder: &'a mut Builder<'b, W>, err: &'a mut E) -> Self {
        let now = Instant::now();
        Self {
            kind,
            builder,
            err,
            places: Vec::new(),
            failed: None,
            records: 0,
            next_line: now.checked_add(INTERVAL).unwrap_or(now),
        }
    }

    /// The sources that were read.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub(super) fn finish(self) -> Result<Vec<SourceId>, BuildError> {
        let sources = self.places.into_iter().filter_map(|(_, source)| source);
        self.failed.map_or(Ok(sources.collect()), Err)
    }

    fn source_at(&mut self, place: usize) -> Option<SourceId> {
        let (name, source) = self.places.get_mut(place)?;
        if source.is_none() {
            *source = Some(self.builder.source(self.kind, name.clone()));
        }
        *source
    }

    fn add_record(
        &mut self,
        source: SourceId,
        place: &str,
        record: &[u8],
    ) -> Result<(), BuildError> {
        let builder = &mut *self.builder;
        let fail = |builder: &mut Builder<'_, W>, error: &dyn Display| {
            builder.fail(source, format!("{place}: {error}"));
        };
        let mut failed = None;
        let mut each = |builder: &mut Builder<'_, W>, result: Result<Advisory, String>| match result
        {
            Ok(advisory) if failed.is_none() => {
                failed = builder.add(source, place, advisory).err();
            }
            Ok(_) => {}
            Err(error) => fail(builder, &error),
        };
        let of_cve = |builder: &mut Builder<'_, W>, record: Result<CveRecord, String>| match record
        {
            Ok(record) => builder.add_cve(source, place, record),
            Err(error) => fail(builder, &error),
        };
        match self.kind {
            SourceKind::Osv => {
                let advisory = osv::decode(record).map_err(|error| error.to_string());
                each(builder, advisory);
            }
            SourceKind::AlpineSecdb => {
                if let Err(error) = secdb::read(record, |result| each(builder, result)) {
                    fail(builder, &error);
                }
            }
            SourceKind::DebianTracker => {
                if let Err(error) = debian::read(record, |result| each(builder, result)) {
                    fail(builder, &error);
                }
            }
            SourceKind::DebianList => {
                if let Err(error) = debian_list::read(record, |result| each(builder, result)) {
                    fail(builder, &error);
                }
            }
            SourceKind::KnownExploited => match KnownExploited::read(record) {
                Ok(catalog) => builder.add_known_exploited(source, catalog),
                Err(error) => fail(builder, &error),
            },
            SourceKind::CveList => {
                let record = cve::decode(record).map_err(|error| error.to_string());
                of_cve(builder, record);
            }
            SourceKind::Nvd => {
                if let Err(error) = cve::read_nvd(record, |record| of_cve(builder, record)) {
                    fail(builder, &error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether a file that ends in `.json` has no record.
    fn is_no_record(&self, place: &str) -> bool {
        let name = place.split(" of ").next().unwrap_or_default();
        let name = Path::new(name).file_name().and_then(OsStr::to_str);
        self.kind == SourceKind::CveList && name.is_some_and(|name| NO_RECORDS.contains(&name))
    }

    /// Writes a line if that takes long.
    fn tick(&mut self, place: &str) {
        self.records = self.records.saturating_add(1);
        if !self.records.is_multiple_of(RECORDS) {
            return;
        }
        let now = Instant::now();
        if now >= self.next_line {
            self.next_line = now.checked_add(INTERVAL).unwrap_or(now);
            let place = escaped(place, super::TEXT_LIMIT);
            // Progress that cannot be written does not stop the work.
            drop(writeln!(
                self.err,
                "Reading {}: {} records, now {place}",
                self.kind, self.records
            ));
        }
    }
}

impl<W: Write + Seek, E: Write> Records for Reader<'_, '_, W, E> {
    type Source = usize;

    fn source(&mut self, place: &str) -> usize {
        self.places.push((place.to_owned(), None));
        self.places.len() - 1
    }

    fn record_limit(&self) -> usize {
        match self.kind {
            SourceKind::Osv => osv::RECORD_LIMIT,
            SourceKind::AlpineSecdb => secdb::FILE_LIMIT,
            SourceKind::DebianTracker => debian::FILE_LIMIT,
            SourceKind::DebianList => debian_list::LIST_LIMIT,
            SourceKind::KnownExploited => CATALOG_LIMIT,
            SourceKind::CveList => cve::RECORD_LIMIT,
            SourceKind::Nvd => cve::NVD_LIMIT,
        }
    }

    fn add(&mut self, place_of: usize, place: &str, record: &[u8]) {
        self.tick(place);
        if self.failed.is_some() || self.is_no_record(place) {
            return;
        }
        // Each file of Alpine is a source of its own: all of them have the same names of advisories.
        let place_of = match self.kind {
            SourceKind::AlpineSecdb => self.source(place),
            SourceKind::Osv
            | SourceKind::DebianTracker
            | SourceKind::DebianList
            | SourceKind::KnownExploited
            | SourceKind::CveList
            | SourceKind::Nvd => place_of,
        };
        if let Some(source) = self.source_at(place_of) {
            self.failed = self.add_record(source, place, record).err();
        }
    }

    fn fail(&mut self, place_of: usize, error: String) {
        if let Some(source) = self.source_at(place_of) {
            self.builder.fail(source, error);
        }
    }
}
