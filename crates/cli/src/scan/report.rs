//! The result of `bailiff scan`.
//!
//! Here: findings, actions, what could not be read, and what the exit code is. Not here: matching (`bailiff_scan`), and
//! how the result is printed (`output`).
//! Invariant: what could not be read or compared removes no finding.

use super::advisories::Knowledge;
use super::args::{ScanArgs, UnknownSeverity};
use super::errors::Errors;
use super::images::Images;
use super::output::gaps;
use super::packages::Inventory;
use super::places::Places;
use bailiff_scan::action::{Action, actions};
use bailiff_scan::advisory::Kind;
use bailiff_scan::advisory::collection::Advisories;
use bailiff_scan::counting::{Counting, Standing};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::ignore::Entry;
use bailiff_scan::index::Source;
use bailiff_scan::inventory::settle;
use bailiff_scan::known_exploited::KnownExploited;
use bailiff_scan::matching::{Finding, Matches, match_packages};
use bailiff_scan::release::{Support, support};
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
    /// What is known about the images. None for a list of packages.
    pub(super) images: Option<Images>,
    /// The layers of the packages.
    pub(super) places: Places,
    pub(super) matches: Matches,
    pub(super) actions: Vec<Action>,
    pub(super) advisories: Advisories,
    pub(super) known_exploited: Option<KnownExploited>,
    /// The sources of the index that the packages need. None without an index.
    pub(super) sources: Option<Vec<Source>>,
    /// The releases of distributions that the packages are of, and whether they get fixes.
    pub(super) releases: Vec<(Ecosystem, Support)>,
    /// What decides which findings count.
    pub(super) counting: Counting,
    /// Ecosystems of packages for which there are no advisories.
    pub(super) without_advisories: Vec<String>,
    /// What could not be read.
    pub(super) errors: Errors,
}

impl Report {
    /// Matches the packages with what is known about them.
    pub(super) fn of(inventory: Inventory, knowledge: Knowledge, counting: Counting) -> Self {
        let Inventory {
            from,
            packages,
            located,
            images,
            mut errors,
        } = inventory;
        let Knowledge {
            advisories,
            known_exploited,
            index,
            errors: of_advisories,
        } = knowledge;
        errors.append(of_advisories);
        let of = |ecosystem: &_, name: &_| advisories.get(ecosystem, name);
        let mut matches = match_packages(&packages, of, known_exploited.as_ref());
        if let Some(cut) = matches.cut() {
            errors.add(&cut);
        }
        let unread = index
            .as_ref()
            .and_then(|index| index.describe(&mut matches));
        if let Some(unread) = unread {
            errors.add(&unread);
        }
        settle(&mut matches, &located, of);
        let without_advisories = matches.subjects.iter().map(|subject| &subject.ecosystem);
        let without_advisories: BTreeSet<_> = without_advisories
            .filter(|ecosystem| {
                let pro = ecosystem.with_subscription();
                let is_read = |ecosystem| advisories.read.contains_key(ecosystem);
                !is_read(ecosystem) && !pro.as_ref().is_some_and(is_read)
            })
            .collect();
        let ecosystems = matches.subjects.iter().map(|subject| &subject.ecosystem);
        let ecosystems: BTreeSet<_> = ecosystems.collect();
        let releases = ecosystems.into_iter().filter_map(|ecosystem| {
            match support(ecosystem, counting.today) {
                Support::NoReleases => None,
                support @ (Support::Supported(_) | Support::Ended(_) | Support::Unknown) => {
                    Some((ecosystem.clone(), support))
                }
            }
        });
        Self {
            from,
            releases: releases.collect(),
            places: Places::of(&matches, &located, images.as_ref()),
            images,
            actions: actions(&matches, &counting, of),
            without_advisories: without_advisories.iter().map(ToString::to_string).collect(),
            matches,
            advisories,
            known_exploited,
            sources: index.map(|index| index.sources),
            counting,
            errors,
        }
    }

    /// What it means for a release that it gets no more fixes, for people.
    pub(super) fn ended(&self) -> impl Iterator<Item = String> {
        self.releases
            .iter()
            .filter_map(|(release, support)| match support {
                Support::Ended(end) => Some(end.message(release)),
                Support::Supported(_) | Support::Unknown | Support::NoReleases => None,
            })
    }

    /// The gaps of the images, one for each kind.
    pub(super) fn gaps(&self) -> Vec<String> {
        self.images.iter().flat_map(gaps).collect()
    }

    /// The findings that count.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.matches.findings.iter();
        findings.filter(|finding| self.counting.counts(finding))
    }

    /// The findings that do not count, and why.
    pub(super) fn not_counted(&self) -> impl Iterator<Item = (&Finding, Standing<'_>)> {
        let findings = self.matches.findings.iter();
        let findings = findings.map(|finding| (finding, self.counting.standing(finding)));
        findings.filter(|(_, standing)| *standing != Standing::Counted)
    }

    /// The entries of the list of findings to ignore that are past their end.
    pub(super) fn expired(&self) -> impl Iterator<Item = &Entry> {
        self.counting.ignore.expired(self.counting.today)
    }

    /// The entries of the list of findings to ignore that are about no finding.
    pub(super) fn unmatched(&self) -> impl Iterator<Item = &Entry> {
        self.counting.ignore.unmatched(&self.matches.findings)
    }

    /// Whether there is something to match, everything was read, and could be compared with something.
    pub(super) fn is_complete(&self) -> bool {
        !self.matches.subjects.is_empty()
            && self.errors.count() == 0
            && self.images.as_ref().is_none_or(Images::is_complete)
            && self.without_advisories.is_empty()
    }

    /// The findings that meet `--fail-on`. None if it is not set.
    pub(super) fn failing(&self, args: &ScanArgs) -> Option<Failing> {
        let fail_on = args.fail_on?.severity();
        let mut failing = Failing::default();
        for finding in self.counted() {
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
            Some(_) if self.is_complete() || args.allow_incomplete => ScanOutcome::Done,
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
