//! Incidents as rows.
//!
//! Here: columns. Not here: reading them.
//! Invariant: a row is one line of escaped text.

use crate::table;
use bailiff_api::condition::types;
use bailiff_api::{Incident, Phase, Severity};
use bailiff_response::messages::escaped;
use jiff::Timestamp;

/// Most characters of a program's path in a row.
const PROGRAM_LIMIT: usize = 40;

/// What the rows have.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of the command line that go together freely"
)]
pub(super) struct Shape {
    pub(super) namespaces: bool,
    pub(super) wide: bool,
    pub(super) headers: bool,
    pub(super) color: bool,
}

/// Sorted by the time of the violation.
pub(super) fn newest_first(mut incidents: Vec<Incident>) -> Vec<Incident> {
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.spec.exec_time.0));
    incidents
}

/// The lines of a table.
pub(super) fn lines(incidents: &[Incident], shape: Shape, now: Timestamp) -> Vec<String> {
    let mut headers = Vec::new();
    if shape.namespaces {
        headers.push("NAMESPACE");
    }
    headers.extend([
        "NAME", "AGE", "SEVERITY", "POLICY", "POD", "PROGRAM", "PHASE", "REASON",
    ]);
    if shape.wide {
        headers.extend(["COUNT", "NODE", "REPLACEMENT"]);
    }
    let rows: Vec<_> = incidents.iter().map(|i| row(i, shape, now)).collect();
    let lines = table::lines(shape.headers.then_some(&headers[..]), &rows);
    if !shape.color {
        return lines;
    }
    let skip = usize::from(shape.headers);
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

fn row(incident: &Incident, shape: Shape, now: Timestamp) -> Vec<String> {
    let spec = &incident.spec;
    let status = incident.status.as_ref();
    let text = |t: &str| escaped(t, 253);
    let phase = status.and_then(|s| s.phase).unwrap_or(Phase::Pending);
    let conditions = status.map_or(&[][..], |s| &s.conditions);
    let reason = conditions.iter().find(|c| c.type_ == types::RESPONDED);
    let mut cells = Vec::new();
    if shape.namespaces {
        cells.push(incident.metadata.namespace.clone().unwrap_or_default());
    }
    cells.extend([
        incident.metadata.name.clone().unwrap_or_default(),
        table::age(now.duration_since(spec.exec_time.0).as_secs()),
        spec.severity.to_string(),
        text(&spec.policy_ref.name),
        text(&spec.pod.name),
        escaped(&spec.process.executable, PROGRAM_LIMIT),
        format!("{phase:?}"),
        reason.map_or_else(|| "-".to_owned(), |c| text(&c.reason)),
    ]);
    if shape.wide {
        let series = status.and_then(|s| s.series.as_ref());
        let replacement = status.and_then(|s| s.replacement.as_ref());
        cells.extend([
            series.map_or(1, |s| s.count).to_string(),
            text(&spec.node_name),
            replacement.map_or_else(|| "-".to_owned(), |r| text(&r.name)),
        ]);
    }
    cells
}

/// Red for what nobody has ended, yellow for what is grave but done.
fn color(incident: &Incident) -> Option<&'static str> {
    let phase = incident.status.as_ref().and_then(|s| s.phase);
    match (phase, incident.spec.severity) {
        (Some(Phase::Unresolved) | None, _) => Some("31"),
        (_, Severity::Critical | Severity::High) => Some("33"),
        (_, Severity::Medium | Severity::Low) => None,
    }
}
