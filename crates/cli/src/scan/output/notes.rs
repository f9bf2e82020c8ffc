//! What people have to know besides the result, on standard error.
//!
//! Here: errors, entries of the list of findings to ignore that do nothing, and why the command fails. Not here: the
//! result in its formats (`table`, `json`, `sarif`).
//! Invariant: each line names what, where, and the next step.

use super::super::args::ScanArgs;
use super::super::report::{Report, ScanOutcome};
use super::super::{TEXT_LIMIT, shown};
use bailiff_response::messages::escaped;
use bailiff_scan::ignore::Entry;
use bailiff_scan::severity::Severity;

/// The lines.
pub(super) fn lines(args: &ScanArgs, report: &Report) -> Vec<String> {
    let mut lines = errors(report);
    lines.extend(ignore_list(args, report));
    lines.extend(reason(args, report));
    lines
}

/// What could not be read or compared.
fn errors(report: &Report) -> Vec<String> {
    let result = &report.result;
    let kept = result.unread.kept();
    let errors = kept
        .iter()
        .map(|error| format!("error: cannot read {}", escaped(error, TEXT_LIMIT)));
    let mut lines: Vec<_> = errors.collect();
    let more = result.unread.count().saturating_sub(kept.len());
    if more > 0 {
        lines.push(format!(
            "error: cannot read {more} more; fix the first ones and retry"
        ));
    }
    if result.matches.subjects.is_empty() && result.unread.count() == 0 {
        let remedy = if report.images.is_some() {
            "-o json lists what of it belongs to no package"
        } else {
            "check the command that writes the list"
        };
        lines.push(format!(
            "error: there are no packages in {}; {remedy}",
            report.from
        ));
    }
    let remedy = if result.sources.is_some() {
        "build the index again with a source of it: see `bailiff feed build --help`"
    } else {
        "add its advisories with --advisories"
    };
    for ecosystem in &result.without_advisories {
        lines.push(format!(
            "error: cannot match packages of {ecosystem}: no advisory names one; {remedy}"
        ));
    }
    let gaps = report.gaps().into_iter();
    lines.extend(gaps.map(|gap| format!("error: the result is incomplete: {gap}")));
    lines.extend(report.ended().map(|message| format!("warning: {message}")));
    lines
}

/// The entries of the list of findings to ignore that do nothing.
fn ignore_list(args: &ScanArgs, report: &Report) -> Vec<String> {
    let path = args.ignore.as_deref().map(shown).unwrap_or_default();
    let of = |entry: &Entry| {
        let package = format!("{}/{}", entry.ecosystem, entry.name);
        let package = escaped(&package, TEXT_LIMIT);
        format!(
            "warning: entry {} of {path} ({} of {package})",
            entry.number, entry.id
        )
    };
    let unmatched: Vec<_> = report.result.unmatched().collect();
    let expired = report.result.expired().map(|entry| {
        let effect = if unmatched.contains(&entry) {
            " and matches no finding; remove it"
        } else {
            ", so it ignores nothing; fix the finding, or renew the entry"
        };
        format!("{} expired on {}{effect}", of(entry), entry.expires)
    });
    let in_force = |entry: &&&Entry| entry.is_in_force(report.result.counting.today);
    let unmatched = unmatched.iter().filter(in_force);
    let unmatched = unmatched.map(|entry| format!("{} matches no finding; remove it", of(entry)));
    expired.chain(unmatched).collect()
}

/// Why the command fails.
fn reason(args: &ScanArgs, report: &Report) -> Option<String> {
    let fail_on = args.fail_on?.severity();
    match report.outcome(args) {
        ScanOutcome::Done => None,
        ScanOutcome::Incomplete => Some(
            "error: no finding meets --fail-on, but the result is incomplete; fix the errors above, or set --allow-incomplete"
                .to_owned(),
        ),
        ScanOutcome::Failed => {
            let failing = report.failing(args)?;
            let more = if fail_on == Severity::Critical { "" } else { " or higher" };
            let counts = [
                (failing.malicious, "malicious".to_owned()),
                (failing.severe, format!("of severity {fail_on}{more}")),
                (failing.unknown, "of unknown severity".to_owned()),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
            let all = failing.all();
            let findings = if all == 1 { "finding meets" } else { "findings meet" };
            let unknown = if failing.unknown > 0 {
                "; to leave out unknown severities, set --unknown-severity ignore"
            } else {
                ""
            };
            let level = fail_on.as_str().to_lowercase();
            Some(format!(
                "error: {all} {findings} --fail-on {level}: {}{unknown}",
                counts.join(", ")
            ))
        }
    }
}
