//! How the result is printed.
//!
//! Here: what the formats have in common. Not here: the formats (`table`, `json`, `explain`), and the result (`report`).
//! Invariant: text of packages and advisories is escaped before it reaches a terminal.

mod explain;
mod json;
mod table;

use super::args::{Output, ScanArgs};
use super::report::Report;
use crate::Error;
use bailiff_response::messages::escaped;
use bailiff_scan::matching::Finding;
use bailiff_scan::package::Subject;
use std::io::Write;

/// Characters of a cell.
const CELL_LIMIT: usize = 120;

/// Writes the result in the format of the flags.
pub(super) fn write(args: &ScanArgs, report: &Report, out: &mut impl Write) -> Result<(), Error> {
    if let Some(id) = &args.explain {
        for line in explain::lines(id, report) {
            writeln!(out, "{line}")?;
        }
    } else {
        match args.output {
            Output::Table => {
                for line in table::lines(report) {
                    writeln!(out, "{line}")?;
                }
            }
            Output::Json => writeln!(out, "{}", json::text(report)?)?,
        }
    }
    out.flush()?;
    Ok(())
}

/// The package, for people: where it is from, and its name.
fn package(subject: &Subject) -> String {
    escaped(
        &format!("{}/{}", subject.ecosystem, subject.name),
        CELL_LIMIT,
    )
}

/// The page about a finding.
fn url(finding: &Finding) -> String {
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
