//! What measurements of `bailiff scan` have in common.
//!
//! Here: flags, the middle of times, and the line about a bound. Not here: what is measured (`image`, `scan`).
//! Invariant: a bound and whether it was met stand on the same line.

use std::path::PathBuf;
use std::time::Duration;

/// The program that is measured.
#[derive(clap::Args)]
pub(crate) struct Program {
    /// The program `bailiff`.
    #[arg(long)]
    pub(crate) bailiff: PathBuf,
}

/// The median.
pub(crate) fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Prints a bound, and whether it was met.
pub(crate) fn said(what: &str, is_met: bool, measured: &str) {
    let met = if is_met { "met" } else { "MISSED" };
    println!("- {what}: {measured}, {met}");
}
