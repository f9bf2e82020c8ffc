//! Findings as a table.
//!
//! Here: the text. Not here: the findings.
//! Invariant: text of packages and advisories is escaped before it reaches a terminal.

use super::Report;
use crate::table;
use bailiff_response::messages::escaped;
use bailiff_scan::action::{Action, Advice};
use bailiff_scan::advisory::Kind;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::matching::{Exploited, Finding, NotCounted};
use bailiff_scan::package::Subject;
use bailiff_scan::severity::Severity;
use std::collections::BTreeMap;

/// Characters of a cell.
const CELL_LIMIT: usize = 120;
/// Names in a list.
const NAMES_LIMIT: usize = 10;

/// The package, for people: where it is from, and its name.
pub(super) fn package(subject: &Subject) -> String {
    escaped(
        &format!("{}/{}", subject.ecosystem, subject.name),
        CELL_LIMIT,
    )
}

/// The page about a finding.
pub(super) fn url(finding: &Finding) -> String {
    // Names of advisories are printable ASCII. In an address some of its characters have a meaning.
    let id = finding
        .evidence
        .first()
        .map_or(&finding.id, |e| &e.advisory.id);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let encoded = id.chars().map(|c| match c {
        c if is_plain(c) => c.to_string(),
        c => format!("%{:02X}", u32::from(c)),
    });
    format!(
        "https://osv.dev/vulnerability/{}",
        encoded.collect::<String>()
    )
}

/// The lines of the output.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.actions.is_empty() {
        let headers = [
            "PACKAGE",
            "VERSION",
            "ACTION",
            "FIXES",
            "SEVERITY",
            "EXPLOITED",
        ];
        let rows: Vec<_> = report.actions.iter().map(action).collect();
        lines.extend(table::lines(Some(&headers), &rows));
        lines.extend(report.actions.iter().filter_map(remaining));
        lines.push(String::new());
        let headers = [
            "FINDING",
            "SEVERITY",
            "EXPLOITED",
            "STATE",
            "FIXED IN",
            "PACKAGE",
            "VERSION",
            "URL",
            "TITLE",
        ];
        let mut findings: Vec<_> = report.findings(true).collect();
        findings.sort_by_key(|finding| {
            let urgency = (
                finding.kind == Kind::Malicious,
                finding.exploited == Exploited::Yes,
                finding.rating.severity,
            );
            (std::cmp::Reverse(urgency), &finding.subject, &finding.id)
        });
        let rows: Vec<_> = findings.into_iter().map(row).collect();
        lines.extend(table::lines(Some(&headers), &rows));
        lines.push(String::new());
    }
    lines.push(summary(report));
    lines.extend(not_counted(report));
    lines.push(String::new());
    lines.extend(sources(report));
    lines
}

/// What to do, for people.
pub(super) fn advice(action: &Action) -> String {
    let subject = &action.subject;
    match &action.advice {
        Advice::Remove => "Remove it: it is malicious".to_owned(),
        Advice::NoFix => "No fixed version is known".to_owned(),
        Advice::Upgrade(version) => {
            let version = escaped(version, CELL_LIMIT);
            match (&subject.ecosystem, subject.name.as_str()) {
                (Ecosystem::Go, "stdlib" | "toolchain") => {
                    let version = version.trim_start_matches("go").trim_start_matches('v');
                    format!("Rebuild with Go {version}")
                }
                _ => format!("Upgrade to {version}"),
            }
        }
    }
}

fn action(action: &Action) -> Vec<String> {
    let (fixes, all) = (action.fixes.len(), action.findings);
    vec![
        package(&action.subject),
        escaped(&action.subject.version, CELL_LIMIT),
        advice(action),
        format!("{fixes} of {all}"),
        action.severity.to_string(),
        action
            .exploited
            .map_or_else(|| "-".to_owned(), |count| count.to_string()),
    ]
}

/// What an upgrade leaves.
fn remaining(action: &Action) -> Option<String> {
    match &action.advice {
        Advice::Upgrade(version) if !action.remaining.is_empty() => Some(format!(
            "{} {} still has {}.",
            package(&action.subject),
            escaped(version, CELL_LIMIT),
            names(&action.remaining)
        )),
        Advice::Upgrade(_) | Advice::Remove | Advice::NoFix => None,
    }
}

/// The first names of a list, and how many more there are.
fn names(all: &[String]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_LIMIT).map(String::as_str).collect();
    let more = all.len().saturating_sub(NAMES_LIMIT);
    let shown = escaped(&shown.join(", "), 4 * CELL_LIMIT);
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let exploited = match finding.exploited {
        Exploited::Yes => "Yes",
        Exploited::No => "No",
        Exploited::Unknown => "-",
    };
    let state = match finding.kind {
        Kind::Malicious => "Malicious",
        Kind::Vulnerability | Kind::Informational(_) => finding.state.as_str(),
    };
    vec![
        finding.id.clone(),
        finding.rating.severity.to_string(),
        exploited.to_owned(),
        state.to_owned(),
        escaped(finding.state.fixed_version().unwrap_or("-"), CELL_LIMIT),
        package(&finding.subject),
        escaped(&finding.subject.version, CELL_LIMIT),
        url(finding),
        escaped(&finding.title, CELL_LIMIT),
    ]
}

fn summary(report: &Report) -> String {
    let packages = report.matches.subjects.len();
    let packages = format!(
        "{packages} {}",
        if packages == 1 { "package" } else { "packages" }
    );
    let mut severities: BTreeMap<Severity, usize> = BTreeMap::new();
    for finding in report.findings(true) {
        *severities.entry(finding.rating.severity).or_default() += 1;
    }
    let all: usize = severities.values().sum();
    if all == 0 {
        return format!("No findings in {packages}.");
    }
    let counts = severities
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {severity}"));
    let counts: Vec<_> = counts.collect();
    let of = report.actions.len();
    let findings = if all == 1 { "finding" } else { "findings" };
    let exploited = match &report.known_exploited {
        Some(_) => {
            let exploited = report
                .findings(true)
                .filter(|f| f.exploited == Exploited::Yes)
                .count();
            format!("Known to be exploited: {exploited}.")
        }
        None => "Whether they are exploited is unknown; set --known-exploited.".to_owned(),
    };
    format!(
        "{all} {findings} in {of} of {packages}: {}. {exploited}",
        counts.join(", ")
    )
}

/// What does not count, and why.
fn not_counted(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut others: BTreeMap<(&Subject, String), Vec<String>> = BTreeMap::new();
    for finding in report.findings(false) {
        match &finding.not_counted {
            Some(NotCounted::Informational(word)) => lines.push(format!(
                "Not counted: {} says {} {} is {}. This is information and no vulnerability.",
                finding.id,
                package(&finding.subject),
                escaped(&finding.subject.version, CELL_LIMIT),
                escaped(word, CELL_LIMIT)
            )),
            Some(why @ (NotCounted::Unimportant | NotCounted::KernelHeaders)) => {
                let of = others.entry((&finding.subject, why.to_string()));
                of.or_default().push(finding.id.clone());
            }
            None => {}
        }
    }
    for ((subject, why), findings) in others {
        lines.push(format!(
            "Not counted of {} {}, because {why}: {}.",
            package(subject),
            escaped(&subject.version, CELL_LIMIT),
            names(&findings)
        ));
    }
    let withdrawn = &report.matches.withdrawn;
    if !withdrawn.is_empty() {
        lines.push(format!(
            "Not counted, because their publishers withdrew them: {}.",
            names(withdrawn)
        ));
    }
    lines
}

/// What the result rests on.
fn sources(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut needed: Vec<_> = report
        .matches
        .subjects
        .iter()
        .map(|s| &s.ecosystem)
        .collect();
    needed.dedup();
    for ecosystem in needed {
        let name = ecosystem.to_string();
        lines.push(match report.advisories.read.get(ecosystem) {
            Some(read) => {
                let newest = read.newest.map_or_else(
                    || "of unknown age".to_owned(),
                    |time| format!("the newest of {}", time.strftime("%Y-%m-%d")),
                );
                format!("Advisories of {name}: {}, {newest}.", read.records)
            }
            None => format!("Advisories of {name}: none."),
        });
    }
    lines.extend(report.sources.iter().map(super::index::age));
    if !report.is_complete() {
        lines.push("The result is incomplete.".to_owned());
    }
    lines
}
