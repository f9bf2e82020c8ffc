//! The result of `bailiff scan`.
//!
//! Here: what the command line adds to the result: where it is from, and what the exit code is. Not here: everything that
//! is found out (`bailiff_scan::result`), and how it is printed (`output`).
//! Invariant: what could not be read or compared removes no finding.

use super::args::{ScanArgs, UnknownSeverity};
use super::images::{Images, ScannedImage};
use super::output::gaps;
use bailiff_scan::advisory::Kind;
use bailiff_scan::result::{Covered, ScanResult};
use bailiff_scan::severity::Severity;

/// How the result is told to CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOutcome {
    /// No finding has the severity of `--fail-on`, or it is not set.
    Done,
    /// A finding has it.
    Failed,
    /// No finding has it, and the result is incomplete.
    Incomplete,
}

impl ScanOutcome {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 3,
            Self::Incomplete => 4,
        }
    }
}

/// The result of the command.
pub(super) struct Report {
    /// Where the packages are from, for people.
    pub(super) from: String,
    /// What is known about the images besides. None for a list of packages.
    pub(super) images: Option<Images>,
    /// What was found out.
    pub(super) result: ScanResult,
}

impl Report {
    /// The images that were scanned, with what of them is no package.
    pub(super) fn scanned(&self) -> impl Iterator<Item = (&ScannedImage, &Covered)> {
        let images = self.images.iter().flat_map(|images| &images.scanned);
        images.zip(&self.result.targets)
    }

    /// What it means for releases that they get no more fixes, for people.
    pub(super) fn ended(&self) -> impl Iterator<Item = String> {
        let ended = self.result.ended();
        ended.map(|(release, end)| end.message(release))
    }

    /// The gaps of the images, one for each kind.
    pub(super) fn gaps(&self) -> Vec<String> {
        let gaps = self
            .scanned()
            .flat_map(|(image, covered)| gaps(image, covered));
        gaps.collect()
    }

    /// The findings that meet `--fail-on`. None if it is not set.
    pub(super) fn failing(&self, args: &ScanArgs) -> Option<Failing> {
        let fail_on = args.fail_on?.severity();
        let mut failing = Failing::default();
        for finding in self.result.counted() {
            match (&finding.kind, finding.rating.severity) {
                (Kind::Malicious, _) => failing.malicious += 1,
                (Kind::Vulnerability | Kind::Informational(_), Severity::Unknown) => {
                    if args.unknown_severity == UnknownSeverity::Count {
                        failing.unknown += 1;
                    }
                }
                (Kind::Vulnerability | Kind::Informational(_), severity) => {
                    failing.severe += usize::from(severity >= fail_on);
                }
            }
        }
        Some(failing)
    }

    /// The outcome with these flags.
    pub(super) fn outcome(&self, args: &ScanArgs) -> ScanOutcome {
        match self.failing(args) {
            None => ScanOutcome::Done,
            Some(failing) if failing.all() > 0 => ScanOutcome::Failed,
            Some(_) if self.result.is_complete() || args.allow_incomplete => ScanOutcome::Done,
            Some(_) => ScanOutcome::Incomplete,
        }
    }
}

/// How many findings meet `--fail-on`, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failing {
    /// Malicious packages.
    pub(super) malicious: usize,
    /// Findings that have the severity or a higher one.
    pub(super) severe: usize,
    /// Findings of unknown severity, if these count.
    pub(super) unknown: usize,
}

impl Failing {
    pub(super) fn all(self) -> usize {
        self.malicious + self.severe + self.unknown
    }
}
