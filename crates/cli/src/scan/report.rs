//! The result of `bailiff scan`.
//!
//! Here: findings, actions, what could not be read, and what the exit code is. Not here: matching (`bailiff_scan`), and
//! how the result is printed (`output`).
//! Invariant: what could not be read or compared removes no finding.

use super::advisories::Knowledge;
use super::args::{ScanArgs, UnknownSeverity};
use super::errors::Errors;
use super::packages::Inventory;
use bailiff_scan::action::{Action, actions, is_counted};
use bailiff_scan::advisory::Kind;
use bailiff_scan::advisory::collection::Advisories;
use bailiff_scan::known_exploited::KnownExploited;
use bailiff_scan::matching::{Finding, Matches, match_packages};
use bailiff_scan::severity::Severity;
use std::collections::BTreeSet;

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
    pub(super) matches: Matches,
    pub(super) actions: Vec<Action>,
    pub(super) advisories: Advisories,
    pub(super) known_exploited: Option<KnownExploited>,
    /// Ecosystems of packages for which there are no advisories.
    pub(super) without_advisories: Vec<String>,
    /// What could not be read.
    pub(super) errors: Errors,
}

impl Report {
    /// Matches the packages with what is known about them.
    pub(super) fn of(inventory: Inventory, knowledge: Knowledge) -> Self {
        let Inventory {
            from,
            packages,
            mut errors,
        } = inventory;
        let Knowledge {
            advisories,
            known_exploited,
            errors: of_advisories,
        } = knowledge;
        errors.append(of_advisories);
        let of = |ecosystem: &_, name: &_| advisories.get(ecosystem, name);
        let matches = match_packages(&packages, of, known_exploited.as_ref());
        let without_advisories = matches.subjects.iter().map(|subject| &subject.ecosystem);
        let without_advisories: BTreeSet<_> = without_advisories
            .filter(|ecosystem| {
                let pro = ecosystem.with_subscription();
                let is_read = |ecosystem| advisories.read.contains_key(ecosystem);
                !is_read(ecosystem) && !pro.as_ref().is_some_and(is_read)
            })
            .collect();
        Self {
            from,
            actions: actions(&matches, of),
            without_advisories: without_advisories.iter().map(ToString::to_string).collect(),
            matches,
            advisories,
            known_exploited,
            errors,
        }
    }

    /// The findings that count, and those that do not.
    pub(super) fn findings(&self, are_counted: bool) -> impl Iterator<Item = &Finding> {
        let findings = self.matches.findings.iter();
        findings.filter(move |finding| is_counted(&finding.kind) == are_counted)
    }

    /// Whether everything was read and could be compared with something.
    pub(super) fn is_complete(&self) -> bool {
        self.errors.count() == 0 && self.without_advisories.is_empty()
    }

    /// The outcome with these flags.
    pub(super) fn outcome(&self, args: &ScanArgs) -> ScanOutcome {
        let Some(fail_on) = args.fail_on else {
            return ScanOutcome::Done;
        };
        let fails = |finding: &Finding| match (&finding.kind, finding.rating.severity) {
            (Kind::Malicious, _) => true,
            (Kind::Vulnerability | Kind::Informational(_), Severity::Unknown) => {
                args.unknown_severity == UnknownSeverity::Count
            }
            (Kind::Vulnerability | Kind::Informational(_), severity) => {
                severity >= fail_on.severity()
            }
        };
        if self.findings(true).any(fails) {
            ScanOutcome::Failed
        } else if self.is_complete() || args.allow_incomplete {
            ScanOutcome::Done
        } else {
            ScanOutcome::Incomplete
        }
    }
}
