//! Advisories in the format of OSV, as its databases publish them.
//!
//! Here: a record as JSON, its limits, and what of it counts. Not here: files and archives of records (`cli`).
//! Invariant: a record is decoded by itself, so that one that cannot be decoded hides no other. Fields and ecosystems
//! that Bailiff does not know are skipped.

use super::{Advisory, Affected, End, Event, Kind, Note, Range, debian};
use crate::ecosystem::Ecosystem;
use crate::json::{self, JsonError};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use crate::severity::Statement;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value as Json;

/// Bytes of a record.
pub const RECORD_LIMIT: usize = 4 << 20;
/// Bytes of the name of an advisory.
const ID_LIMIT: usize = 256;
/// Events of a range. Ranges of commits do not count.
const EVENTS_LIMIT: usize = 500;
/// Events of all ranges of a record.
const ALL_EVENTS_LIMIT: usize = 20_000;
/// Versions that a record lists, of all packages.
const VERSIONS_LIMIT: usize = 100_000;
/// Characters of a title.
const TITLE_LIMIT: usize = 200;

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
struct Record {
    id: String,
    modified: Option<String>,
    withdrawn: Option<Json>,
    aliases: Option<Vec<String>>,
    upstream: Option<Vec<String>>,
    summary: Option<String>,
    details: Option<String>,
    severity: Option<Vec<RecordSeverity>>,
    affected: Option<Vec<RecordAffected>>,
    database_specific: Option<Json>,
}

#[derive(Deserialize)]
struct RecordSeverity {
    #[serde(rename = "type")]
    kind: Option<Json>,
    score: Option<Json>,
}

#[derive(Deserialize)]
struct RecordAffected {
    package: Option<RecordPackage>,
    severity: Option<Vec<RecordSeverity>>,
    ranges: Option<Vec<RecordRange>>,
    versions: Option<Vec<String>>,
    ecosystem_specific: Option<Json>,
    database_specific: Option<Json>,
}

#[derive(Deserialize)]
struct RecordPackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct RecordRange {
    #[serde(rename = "type")]
    kind: String,
    events: Option<Vec<RecordEvent>>,
}

#[derive(Deserialize)]
struct RecordEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// Decodes a record.
///
/// # Errors
/// If it exceeds a limit, is not JSON, has no usable name, or a field that counts has another type.
pub fn decode(bytes: &[u8]) -> Result<Advisory, RecordError> {
    let record: Record = json::decode(bytes, RECORD_LIMIT)?;
    check_id("id", &record.id)?;
    let ids = |field: &str, ids: Option<Vec<String>>| -> Result<Vec<String>, RecordError> {
        let ids = ids.unwrap_or_default();
        for (index, id) in ids.iter().enumerate() {
            check_id(&format!("{field}[{index}]"), id)?;
        }
        Ok(ids)
    };
    let is_malicious = record.id.starts_with("MAL-");
    let mut statements = statements(record.severity);
    statements.extend(word(record.database_specific.as_ref()));
    let mut affected = Vec::new();
    let (mut events, mut versions) = (0, 0);
    for (index, entry) in record.affected.unwrap_or_default().into_iter().enumerate() {
        let field = format!("affected[{index}]");
        let Some(entry) = entry.decoded(&field, is_malicious)? else {
            continue;
        };
        let ranges = entry.ranges.iter().chain(&entry.custom_ranges);
        events += ranges.map(|range| range.events.len()).sum::<usize>();
        if events > ALL_EVENTS_LIMIT {
            let rule = format!("have at most {ALL_EVENTS_LIMIT} events in all ranges");
            return Err(must("affected", rule));
        }
        versions += entry.versions.len();
        if versions > VERSIONS_LIMIT {
            let rule = format!("list at most {VERSIONS_LIMIT} versions");
            return Err(must("affected", rule));
        }
        affected.push(entry);
    }
    Ok(Advisory {
        aliases: ids("aliases", record.aliases)?,
        upstream: ids("upstream", record.upstream)?,
        title: title(record.summary.as_deref(), record.details.as_deref()),
        modified: record
            .modified
            .and_then(|time| time.parse::<Timestamp>().ok()),
        withdrawn: record.withdrawn.is_some_and(|time| !time.is_null()),
        statements,
        affected,
        id: record.id,
    })
}

fn check_id(field: &str, id: &str) -> Result<(), RecordError> {
    if (1..=ID_LIMIT).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let rule = format!("have 1 to {ID_LIMIT} printable ASCII characters without spaces");
    Err(must(field, rule))
}

/// The summary, otherwise the first line of the details that has text, cut at a limit.
fn title(summary: Option<&str>, details: Option<&str>) -> String {
    let texts = [summary.unwrap_or_default(), details.unwrap_or_default()];
    let line = texts
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| line.trim_start_matches(['#', ' ']).trim())
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    match line.char_indices().nth(TITLE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn statements(entries: Option<Vec<RecordSeverity>>) -> Vec<Statement> {
    let entries = entries.unwrap_or_default().into_iter();
    entries
        .filter_map(|entry| {
            let (kind, score) = (entry.kind?, entry.score?);
            Statement::of_osv(kind.as_str()?, score.as_str()?)
        })
        .collect()
}

/// The severity in the publisher's own word.
fn word(specific: Option<&Json>) -> Option<Statement> {
    Statement::of_word(specific?.get("severity")?.as_str()?)
}

/// What Debian's urgency says, which OSV passes on.
fn urgency(ecosystem: &Ecosystem, specific: Option<&Json>) -> (Option<Statement>, Option<Note>) {
    let Ecosystem::Debian(_) = ecosystem else {
        return (None, None);
    };
    let word = specific.and_then(|specific| specific.get("urgency")?.as_str());
    word.map(debian::urgency).unwrap_or_default()
}

impl RecordAffected {
    /// The package. None if its ecosystem is not known.
    fn decoded(self, field: &str, is_malicious: bool) -> Result<Option<Affected>, RecordError> {
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
        let mut ranges = Vec::new();
        for (index, range) in self.ranges.unwrap_or_default().into_iter().enumerate() {
            if matches!(range.kind.as_str(), "SEMVER" | "ECOSYSTEM") {
                ranges.push(range.decoded(&format!("{field}.ranges[{index}]"))?);
            }
        }
        let specific = self.database_specific.as_ref();
        let informational = specific
            .and_then(|specific| specific.get("informational")?.as_str())
            .map(|word| word.chars().take(TITLE_LIMIT).collect());
        let kind = match informational {
            _ if is_malicious => Kind::Malicious,
            Some(word) => Kind::Informational(word),
            None => Kind::Vulnerability,
        };
        let mut statements = statements(self.severity);
        statements.extend(word(specific));
        let (urgency, note) = urgency(&ecosystem, self.ecosystem_specific.as_ref());
        statements.extend(urgency);
        let versions = self.versions.unwrap_or_default();
        Ok(Some(Affected {
            name: ecosystem.normal_name(&package.name).into_owned(),
            kind,
            statements,
            ranges,
            custom_ranges: custom_ranges(self.ecosystem_specific, field)?,
            versions: versions
                .into_iter()
                .filter(|v| v.len() <= VERSION_LIMIT)
                .collect(),
            last_known: specific.and_then(last_known),
            notes: note.into_iter().collect(),
            fix_dates: Vec::new(),
            ecosystem,
        }))
    }
}

impl RecordRange {
    fn decoded(self, field: &str) -> Result<Range, RecordError> {
        let events: Vec<_> = self.events.unwrap_or_default();
        if events.len() > EVENTS_LIMIT {
            return Err(must(
                format!("{field}.events"),
                format!("have at most {EVENTS_LIMIT} items"),
            ));
        }
        let events = events.into_iter().filter_map(|event| {
            let introduced = event.introduced.map(Event::Introduced);
            introduced
                .or_else(|| event.fixed.map(Event::Fixed))
                .or_else(|| event.last_affected.map(Event::LastAffected))
                .or_else(|| event.limit.map(Event::Limit))
        });
        let range = Range {
            events: events.collect(),
        };
        if !range.begins() {
            let rule = "have an event \"introduced\"";
            return Err(must(format!("{field}.events"), rule));
        }
        Ok(range)
    }
}

/// The ranges that Go's database gives where it could not convert versions to those of modules.
fn custom_ranges(specific: Option<Json>, field: &str) -> Result<Vec<Range>, RecordError> {
    let Some(Json::Object(mut specific)) = specific else {
        return Ok(Vec::new());
    };
    let field = format!("{field}.ecosystem_specific.custom_ranges");
    let ranges: Vec<RecordRange> = match specific.remove("custom_ranges") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(ranges) => {
            serde_json::from_value(ranges).map_err(|e| must(&*field, format!("be ranges: {e}")))?
        }
    };
    let ranges = ranges.into_iter().enumerate();
    ranges
        .map(|(index, range)| range.decoded(&format!("{field}[{index}]")))
        .collect()
}

/// The end of ranges that GitHub's database gives beside them: `<= 1.2` or `< 1.2`.
fn last_known(specific: &Json) -> Option<End> {
    let text = specific
        .get("last_known_affected_version_range")?
        .as_str()?;
    let (is_included, version) = match text.strip_prefix("<=") {
        Some(version) => (true, version),
        None => (false, text.strip_prefix('<')?),
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

#[cfg(test)]
mod tests;
