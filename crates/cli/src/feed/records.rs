//! What the files of sources say, for an index.
//!
//! Here: which reader each kind has. Not here: the readers (`bailiff_scan`), and files and archives (`scan::source`).
//! Invariant: a record that cannot be read is counted for its source, and hides no other.

use crate::scan::source::Records;
use bailiff_response::messages::escaped;
use bailiff_scan::advisory::osv;
use bailiff_scan::index::{BuildError, Builder, SourceId, SourceKind};
use bailiff_scan::known_exploited::{CATALOG_LIMIT, KnownExploited};
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

/// Time before the first line about progress, and between lines.
const INTERVAL: Duration = Duration::from_secs(2);
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
        match self.kind {
            SourceKind::Osv => match osv::decode(record) {
                Ok(advisory) => self.builder.add(source, place, advisory)?,
                Err(error) => self.builder.fail(source, format!("{place}: {error}")),
            },
            SourceKind::KnownExploited => match KnownExploited::read(record) {
                Ok(catalog) => self.builder.add_known_exploited(source, catalog),
                Err(error) => self.builder.fail(source, format!("{place}: {error}")),
            },
        }
        Ok(())
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
            SourceKind::KnownExploited => CATALOG_LIMIT,
        }
    }

    fn add(&mut self, place_of: usize, place: &str, record: &[u8]) {
        self.tick(place);
        if self.failed.is_some() {
            return;
        }
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
