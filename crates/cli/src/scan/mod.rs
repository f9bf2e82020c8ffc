//! `bailiff scan`: which known vulnerabilities packages have, and what to do about them.
//!
//! Here: the run of the command. Not here: flags (`args`), where packages (`packages`) and advisories (`advisories`) come
//! from, which findings count (`counting`), everything that is found out (`bailiff_scan::result`), what the exit code is
//! (`report`), and how the result is printed (`output`).
//! Invariant: what could not be read or compared is reported, and removes no finding. Text of packages and advisories
//! is escaped before it reaches a terminal.

mod advisories;
mod args;
mod counting;
pub(crate) mod files;
pub mod image;
mod images;
mod index;
mod output;
mod packages;
mod report;
#[cfg(test)]
mod tests;

pub use args::{FailOn, Format, Output, ScanArgs, UnknownSeverity};
pub use report::ScanOutcome;

use crate::Error;
use crate::pipe::UntilClosed;
use bailiff_response::messages::escaped;
use bailiff_scan::result;
use jiff::Timestamp;
use jiff::tz::Offset;
use output::Destinations;
use packages::Packages;
use report::Report;
use std::io::{Read, Write};
use std::path::Path;

/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Runs the command.
///
/// # Errors
/// If the list, the catalog, the findings to ignore or all advisories cannot be read, or an output cannot be written. A
/// pipe that is closed early is no error.
pub fn run(
    args: &ScanArgs,
    input: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<ScanOutcome, Error> {
    let (out, err) = (&mut UntilClosed::new(out), &mut UntilClosed::new(err));
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
    if args.schema {
        output::write_schema(out)?;
        return Ok(ScanOutcome::Done);
    }
    let today = args
        .now
        .unwrap_or_else(|| Offset::UTC.to_datetime(now).date());
    let counting = counting::gather(args, today)?;
    // Before an image is pulled, which takes long.
    let opened = advisories::open(args)?;
    let destinations = Destinations::open(args)?;
    let Packages {
        from,
        targets,
        images,
        unread,
    } = packages::gather(args, input, err)?;
    let knowledge = advisories::gather(args, &opened, &targets, now)?;
    let report = Report {
        from,
        images,
        result: result::scan(targets, knowledge, counting, unread),
    };
    output::write(args, &report, destinations, out, err)?;
    Ok(report.outcome(args))
}

/// A path for people.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), TEXT_LIMIT)
}
