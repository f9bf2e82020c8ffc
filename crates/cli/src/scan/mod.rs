//! `bailiff scan`: which known vulnerabilities packages have, and what to do about them.
//!
//! Here: the run of the command. Not here: flags (`args`), where packages (`packages`) and advisories (`advisories`) come
//! from, matching (`bailiff_scan`), the result (`report`) and how it is printed (`output`).
//! Invariant: what could not be read or compared is reported, and removes no finding. Text of packages and advisories
//! is escaped before it reaches a terminal.

mod advisories;
mod args;
mod errors;
mod files;
mod output;
mod packages;
mod report;
#[cfg(test)]
mod tests;

pub use args::{FailOn, Output, ScanArgs, UnknownSeverity};
pub use report::ScanOutcome;

use crate::Error;
use bailiff_response::messages::escaped;
use jiff::Timestamp;
use report::Report;
use std::io::{Read, Write};
use std::path::Path;

/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Runs the command.
///
/// # Errors
/// If the list, the catalog or all advisories cannot be read, or the output cannot be written.
pub fn run(
    args: &ScanArgs,
    input: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<ScanOutcome, Error> {
    run_at(args, Timestamp::now(), input, out, err)
}

/// Runs the command at this time.
fn run_at(
    args: &ScanArgs,
    now: Timestamp,
    input: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<ScanOutcome, Error> {
    let inventory = packages::gather(args, input)?;
    let knowledge = advisories::gather(args, &inventory.packages, now)?;
    let report = Report::of(inventory, knowledge);
    output::write(args, &report, out)?;
    write_errors(&report, err)?;
    Ok(report.outcome(args))
}

/// Writes what could not be read or compared.
fn write_errors(report: &Report, err: &mut impl Write) -> Result<(), Error> {
    let kept = report.errors.kept();
    for error in kept {
        writeln!(err, "error: cannot read {error}")?;
    }
    let more = report.errors.count().saturating_sub(kept.len());
    if more > 0 {
        writeln!(
            err,
            "error: cannot read {more} more; fix the first ones and retry"
        )?;
    }
    for ecosystem in &report.without_advisories {
        writeln!(
            err,
            "error: cannot match packages of {ecosystem}: no advisory names one; add its advisories with --advisories"
        )?;
    }
    Ok(())
}

/// A path for people.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), TEXT_LIMIT)
}
