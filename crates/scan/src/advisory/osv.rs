//! Advisories in the format of OSV, as its databases publish them.
//!
//! Here: a record as JSON, its limits, and what of it counts. Not here: files and archives of records (`cli`).
//! Invariant: a record is decoded by itself, so that one that cannot be decoded hides no other. Fields and ecosystems
//! that Bailiff does not know are skipped. Decoding takes no more than a few times the memory of the record: lists are
//! decoded item by item, and what only a publisher knows stays text.

use super::text::{self, ID_LIMIT, LINE_LIMIT};
use super::{Advisory, Affected, End, Event, Kind, Note, Range, VersionList, cve, debian};
use crate::ecosystem::Ecosystem;
use crate::json::{self, JsonError};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use crate::severity::Statement;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Bytes of a record.
pub const RECORD_LIMIT: usize = 4 << 20;
/// Events of a range. Ranges of commits do not count.
const EVENTS_LIMIT: usize = 500;
/// Events of all ranges of a record.
const ALL_EVENTS_LIMIT: usize = 20_000;
/// Versions that a record lists, of all packages.
const VERSIONS_LIMIT: usize = 100_000;
/// Packages that a record names, also those that Bailiff does not know. Those of kernels have some hundred.
const AFFECTED_LIMIT: usize = 20_000;
/// Other names of a record, of each kind. Notices about kernels have some hundred.
const NAMES_LIMIT: usize = 10_000;

/// Why a record is no advisory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON, exceeds a limit, or a field has another type.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field has a value that it must not have.
    #[error("{field}: must {rule}")]
    Field {
        /// The field.
        field: String,
        /// Completes "must …".
        rule: String,
    },
}

fn must(field: impl Into<String>, rule: impl Into<String>) -> RecordError {
    RecordError::Field {
        field: field.into(),
        rule: rule.into(),
    }
}

#[derive(Deserialize)]
struct Record<'a> {
    id: String,
    modified: Option<String>,
    #[serde(borrow)]
    withdrawn: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "names")]
    aliases: Vec<String>,
    #[serde(default, deserialize_with = "names")]
    upstream: Vec<String>,
    summary: Option<String>,
    details: Option<String>,
    #[serde(default, deserialize_with = "statements")]
    severity: Vec<Statement>,
    #[serde(default, borrow, deserialize_with = "affected")]
    affected: Vec<RecordAffected<'a>>,
    #[serde(borrow)]
    database_specific: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RecordSeverity<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    score: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RecordAffected<'a> {
    package: Option<RecordPackage>,
    #[serde(default, deserialize_with = "statements")]
    severity: Vec<Statement>,
    #[serde(default, deserialize_with = "ranges")]
    ranges: Vec<RecordRange>,
    #[serde(borrow)]
    versions: Option<&'a RawValue>,
    #[serde(borrow)]
    ecosystem_specific: Option<&'a RawValue>,
    #[serde(borrow)]
    database_specific: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RecordPackage {
    ecosystem: String,
    name: String,
}

/// A range, and its place among those of the package.
struct RecordRange {
    index: usize,
    events: Vec<Event>,
}

/// What databases add to a record or a package that counts. Of another type, it does not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DatabaseSpecific<'a> {
    #[serde(borrow)]
    severity: Option<&'a RawValue>,
    #[serde(borrow)]
    informational: Option<&'a RawValue>,
    #[serde(borrow)]
    last_known_affected_version_range: Option<&'a RawValue>,
}

/// What Go's database adds to a package.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EcosystemSpecific {
    #[serde(deserialize_with = "ranges")]
    custom_ranges: Vec<RecordRange>,
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    json::items_or_null(from, NAMES_LIMIT, Some)
}

fn affected<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RecordAffected<'de>>, D::Error> {
    json::items_or_null(from, AFFECTED_LIMIT, Some)
}

/// The severities that can be read.
fn statements<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Statement>, D::Error> {
    json::items_or_null(from, usize::MAX, |entry: RecordSeverity<'de>| {
        Statement::of_osv(&text(entry.kind)?, &text(entry.score)?)
    })
}

/// The ranges of versions. Those of commits are skipped.
fn ranges<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RecordRange>, D::Error> {
    #[derive(Deserialize)]
    struct Published {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default, deserialize_with = "events")]
        events: Vec<Event>,
    }
    let mut next = 0;
    json::items_or_null(from, usize::MAX, |range: Published| {
        let (index, events) = (next, range.events);
        next += 1;
        let is_of_versions = matches!(range.kind.as_str(), "SEMVER" | "ECOSYSTEM");
        is_of_versions.then_some(RecordRange { index, events })
    })
}

/// The events that Bailiff knows.
fn events<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Event>, D::Error> {
    #[derive(Deserialize)]
    struct Published {
        introduced: Option<String>,
        fixed: Option<String>,
        last_affected: Option<String>,
        limit: Option<String>,
    }
    json::items_or_null(from, usize::MAX, |event: Published| {
        let introduced = event.introduced.map(Event::Introduced);
        introduced
            .or_else(|| event.fixed.map(Event::Fixed))
            .or_else(|| event.last_affected.map(Event::LastAffected))
            .or_else(|| event.limit.map(Event::Limit))
    })
}

/// A value, if it is text.
fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

impl<'a> DatabaseSpecific<'a> {
    fn of(value: Option<&'a RawValue>) -> Self {
        // A list would be taken for the fields in their order.
        let object = value.filter(|value| value.get().starts_with('{'));
        let specific = object.and_then(|value| serde_json::from_str(value.get()).ok());
        specific.unwrap_or_default()
    }

    /// The severity in the publisher's own word.
    fn word(&self) -> Option<Statement> {
        Statement::of_word(&text(self.severity)?)
    }

    /// The end of ranges that GitHub's database gives beside them: `<= 1.2` or `< 1.2`.
    fn last_known(&self) -> Option<End> {
        let range = text(self.last_known_affected_version_range)?;
        let (is_included, version) = match range.strip_prefix("<=") {
            Some(version) => (true, version),
            None => (false, range.strip_prefix('<')?),
        };
        let version = version.trim();
        if version.is_empty() || version.len() > VERSION_LIMIT || version.contains([' ', ',']) {
            return None;
        }
        let version = version.to_owned();
        Some(if is_included {
            End::LastAffected(version)
        } else {
            End::Before(version)
        })
    }
}

/// Decodes a record.
///
/// # Errors
/// If it exceeds a limit, is not JSON, has no usable name, or a field that counts has another type.
pub fn decode(bytes: &[u8]) -> Result<Advisory, RecordError> {
    let record: Record<'_> = json::decode(bytes, RECORD_LIMIT)?;
    check_id("id", &record.id)?;
    for (field, names) in [("aliases", &record.aliases), ("upstream", &record.upstream)] {
        for (index, name) in names.iter().enumerate() {
            check_id(&format!("{field}[{index}]"), name)?;
        }
    }
    let names = std::iter::once(&record.id).chain(&record.aliases);
    let mut names = names.chain(&record.upstream);
    let is_cvss = |statement: &Statement| matches!(statement, Statement::Cvss(..));
    let about = About {
        is_malicious: record.id.starts_with("MAL-"),
        is_rated: names.any(|name| cve(name).is_some()) || record.severity.iter().any(is_cvss),
    };
    let mut statements = record.severity;
    statements.extend(DatabaseSpecific::of(record.database_specific).word());
    let mut affected = Vec::with_capacity(record.affected.len());
    let (mut events, mut versions) = (0, 0);
    for (index, entry) in record.affected.into_iter().enumerate() {
        let field = format!("affected[{index}]");
        let Some(entry) = entry.decoded(&field, about, VERSIONS_LIMIT - versions)? else {
            continue;
        };
        let ranges = entry.ranges.iter().chain(&entry.custom_ranges);
        events += ranges.map(|range| range.events.len()).sum::<usize>();
        if events > ALL_EVENTS_LIMIT {
            let rule = format!("have at most {ALL_EVENTS_LIMIT} events in all ranges");
            return Err(must("affected", rule));
        }
        versions += entry.versions.len();
        affected.push(entry);
    }
    Ok(Advisory {
        aliases: record.aliases,
        upstream: record.upstream,
        title: title(record.summary.as_deref(), record.details.as_deref()),
        modified: record
            .modified
            .and_then(|time| time.parse::<Timestamp>().ok()),
        withdrawn: record.withdrawn.is_some(),
        statements,
        affected,
        id: record.id,
    })
}

fn check_id(field: &str, id: &str) -> Result<(), RecordError> {
    if text::is_id(id) {
        return Ok(());
    }
    let rule = format!("have 1 to {ID_LIMIT} printable ASCII characters without spaces");
    Err(must(field, rule))
}

/// The summary, otherwise the first line of the details that has text, cut at a limit.
fn title(summary: Option<&str>, details: Option<&str>) -> String {
    let texts = [summary.unwrap_or_default(), details.unwrap_or_default()];
    let lines = texts.map(text::line);
    let first = lines.into_iter().find(|line| !line.is_empty());
    first.unwrap_or_default()
}

/// What a record says about all its packages.
#[derive(Clone, Copy)]
struct About {
    is_malicious: bool,
    /// Whether it has a CVE or a CVSS vector: then it is about a vulnerability, also if its publisher calls it
    /// information. `RustSec` calls unsound code that, with a CVE or without.
    is_rated: bool,
}

/// What Debian's urgency says, which OSV passes on.
fn urgency(
    ecosystem: &Ecosystem,
    specific: Option<&RawValue>,
) -> (Option<Statement>, Option<Note>) {
    #[derive(Deserialize)]
    struct Urgency<'a> {
        #[serde(borrow)]
        urgency: Option<&'a RawValue>,
    }
    let Ecosystem::Debian(_) = ecosystem else {
        return (None, None);
    };
    let specific = specific.and_then(|of| serde_json::from_str::<Urgency<'_>>(of.get()).ok());
    let word = specific.and_then(|of| serde_json::from_str::<String>(of.urgency?.get()).ok());
    word.map(|word| debian::urgency(&word)).unwrap_or_default()
}

impl RecordAffected<'_> {
    /// The package. None if its ecosystem is not known. It can list `versions_left` versions.
    fn decoded(
        self,
        field: &str,
        about: About,
        versions_left: usize,
    ) -> Result<Option<Affected>, RecordError> {
        let Some(package) = self.package else {
            return Ok(None);
        };
        let Some(ecosystem) = Ecosystem::parse(&package.ecosystem) else {
            return Ok(None);
        };
        if !(1..=NAME_LIMIT).contains(&package.name.len()) {
            let rule = format!("have 1 to {NAME_LIMIT} bytes");
            return Err(must(format!("{field}.package.name"), rule));
        }
        let specific = DatabaseSpecific::of(self.database_specific);
        let mut statements = self.severity;
        let is_cvss = |statement: &Statement| matches!(statement, Statement::Cvss(..));
        let is_rated = about.is_rated || statements.iter().any(is_cvss);
        let kind = match text(specific.informational) {
            _ if about.is_malicious => Kind::Malicious,
            Some(word) if !is_rated => Kind::Informational(word.chars().take(LINE_LIMIT).collect()),
            Some(_) | None => Kind::Vulnerability,
        };
        statements.extend(specific.word());
        let (urgency, note) = urgency(&ecosystem, self.ecosystem_specific);
        statements.extend(urgency);
        Ok(Some(Affected {
            name: ecosystem.normal_name(&package.name).into_owned(),
            kind,
            statements,
            ranges: decoded(self.ranges, &format!("{field}.ranges"))?,
            custom_ranges: custom_ranges(self.ecosystem_specific, field)?,
            versions: versions(self.versions, field, versions_left)?,
            last_known: specific.last_known(),
            notes: note.into_iter().collect(),
            fix_dates: Vec::new(),
            ecosystem,
        }))
    }
}

/// The ranges, each of which begins somewhere.
fn decoded(ranges: Vec<RecordRange>, field: &str) -> Result<Vec<Range>, RecordError> {
    let ranges = ranges.into_iter().map(|RecordRange { index, events }| {
        let must = |rule: &str| Err(must(format!("{field}[{index}].events"), rule));
        if events.len() > EVENTS_LIMIT {
            return must(&format!("have at most {EVENTS_LIMIT} items"));
        }
        let range = Range { events };
        if !range.begins() {
            return must("have an event \"introduced\"");
        }
        Ok(range)
    });
    ranges.collect()
}

/// The versions that a package lists. They are decoded apart from the package, up to what the packages before it leave.
fn versions(
    value: Option<&RawValue>,
    field: &str,
    left: usize,
) -> Result<VersionList, RecordError> {
    let mut listed = VersionList::default();
    let Some(value) = value else {
        return Ok(listed);
    };
    let mut from = serde_json::Deserializer::from_str(value.get());
    // What is kept of each counts for the limit.
    let counted: Result<Vec<()>, _> = json::items_or_null(&mut from, left, |version: String| {
        let is_kept = (1..=VERSION_LIMIT).contains(&version.len());
        is_kept.then(|| listed.push(&version))
    });
    match counted {
        Ok(_) => Ok(listed),
        Err(_) if listed.len() > left => Err(must(
            "affected",
            format!("list at most {VERSIONS_LIMIT} versions"),
        )),
        Err(error) => Err(must(
            format!("{field}.versions"),
            format!("be a list of versions: {error}"),
        )),
    }
}

/// The ranges that Go's database gives where it could not convert versions to those of modules.
fn custom_ranges(value: Option<&RawValue>, field: &str) -> Result<Vec<Range>, RecordError> {
    let Some(value) = value.filter(|value| value.get().starts_with('{')) else {
        return Ok(Vec::new());
    };
    let field = format!("{field}.ecosystem_specific.custom_ranges");
    let specific: EcosystemSpecific = serde_json::from_str(value.get())
        .map_err(|error| must(&*field, format!("be ranges: {error}")))?;
    decoded(specific.custom_ranges, &field)
}

#[cfg(test)]
mod tests;
