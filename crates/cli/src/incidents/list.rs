//! Incidents as a table.
//!
//! Here: columns, order and color. Not here: requests.
//! Invariant: a row is one line of escaped text.

use crate::table;
use bailiff_api::condition::types;
use bailiff_api::{Incident, Phase, Severity};
use bailiff_response::messages::escaped;
use jiff::Timestamp;

/// Characters of an executable's path in a row.
const EXECUTABLE_LIMIT: usize = 40;

/// Selects the columns and the color.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of the command line that go together freely"
)]
pub(super) struct Columns {
    pub(super) namespaces: bool,
    pub(super) wide: bool,
    pub(super) headers: bool,
    pub(super) color: bool,
}

/// Sorts by the time of the exec, newest first.
pub(super) fn newest_first(mut incidents: Vec<Incident>) -> Vec<Incident> {
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.spec.exec_time.0));
    incidents
}

/// The lines of a table.
pub(super) fn lines(incidents: &[Incident], columns: Columns, now: Timestamp) -> Vec<String> {
    let mut headers = Vec::new();
    if columns.namespaces {
        headers.push("NAMESPACE");
    }
    headers.extend([
        "NAME",
        "SEVERITY",
        "POLICY",
        "POD",
        "EXECUTABLE",
        "PHASE",
        "REASON",
    ]);
    if columns.wide {
        headers.extend(["COUNT", "NODE", "REPLACEMENT"]);
    }
    headers.push("AGE");
    let rows: Vec<_> = incidents.iter().map(|i| row(i, columns, now)).collect();
    let lines = table::lines(columns.headers.then_some(&headers[..]), &rows);
    if !columns.color {
        return lines;
    }
    let skip = usize::from(columns.headers);
    lines
        .into_iter()
        .enumerate()
        .map(|(index, line)| {
            let incident = index.checked_sub(skip).and_then(|i| incidents.get(i));
            match incident.and_then(color) {
                Some(code) => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
                None => line,
            }
        })
        .collect()
}

fn row(incident: &Incident, columns: Columns, now: Timestamp) -> Vec<String> {
    let spec = &incident.spec;
    let status = incident.status.as_ref();
    let text = |t: &str| escaped(t, 253);
    let phase = status.and_then(|s| s.phase).unwrap_or(Phase::Pending);
    let conditions = status.map_or(&[][..], |s| &s.conditions);
    let reason = conditions.iter().find(|c| c.type_ == types::RESPONDED);
    let mut cells = Vec::new();
    if columns.namespaces {
        cells.push(incident.metadata.namespace.clone().unwrap_or_default());
    }
    cells.extend([
        incident.metadata.name.clone().unwrap_or_default(),
        spec.severity.to_string(),
        text(&spec.policy_ref.name),
        text(&spec.pod.name),
        escaped(&spec.process.executable, EXECUTABLE_LIMIT),
        format!("{phase:?}"),
        reason.map_or_else(|| "-".to_owned(), |c| text(&c.reason)),
    ]);
    if columns.wide {
        let series = status.and_then(|s| s.series.as_ref());
        let replacement = status.and_then(|s| s.replacement.as_ref());
        cells.extend([
            series.map_or(1, |s| s.count).to_string(),
            text(&spec.node_name),
            replacement.map_or_else(|| "-".to_owned(), |r| text(&r.name)),
        ]);
    }
    cells.push(table::age(now.duration_since(spec.exec_time.0).as_secs()));
    cells
}

/// Red if the pod might still run the process, yellow if the severity is at least High.
fn color(incident: &Incident) -> Option<&'static str> {
    let phase = incident.status.as_ref().and_then(|s| s.phase);
    match (phase, incident.spec.severity) {
        (Some(Phase::Unresolved) | None, _) => Some("31"),
        (_, Severity::Critical | Severity::High) => Some("33"),
        (_, Severity::Medium | Severity::Low) => None,
    }
}
