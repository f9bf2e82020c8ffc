//! `bailiff scan`: which known vulnerabilities packages have, and what to do about them.
//!
//! Here: flags and the run of the command. Not here: matching (`bailiff_scan`), reading advisories (`source`), the
//! output (`output`, `explain`).
//! Invariant: what could not be read or compared is reported, and removes no finding. Text of packages and advisories
//! is escaped before it reaches a terminal.

mod explain;
mod index;
mod json;
mod output;
pub(crate) mod source;
#[cfg(test)]
mod tests;

use crate::Error;
use bailiff_response::messages::escaped;
use bailiff_scan::action::{Action, actions};
use bailiff_scan::advisory::Kind;
use bailiff_scan::advisory::collection::{Advisories, Collection};
use bailiff_scan::known_exploited::{CATALOG_LIMIT, KnownExploited};
use bailiff_scan::matching::{Finding, Matches, match_packages};
use bailiff_scan::package::{Package, subjects};
use bailiff_scan::package_list::{self, LIST_LIMIT, PackageList};
use bailiff_scan::severity::Severity;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  bailiff scan --packages packages.json                            Match a list with the index
  bailiff scan --packages packages.json --advisories osv/          Match a list with advisories
  bailiff scan --packages - --advisories PyPI/all.zip -o json      Read the list from standard input
  bailiff scan --packages packages.json --advisories osv/ --fail-on high
  bailiff scan --packages packages.json --advisories osv/ --explain CVE-2021-44228

The list is JSON, [{\"ecosystem\": \"PyPI\", \"name\": \"django\", \"version\": \"3.2.1\"}], or has a package URL
on each line, pkg:pypi/django@3.2.1. Advisories have the format of OSV, such as the file all.zip of
each ecosystem that osv.dev publishes.

Exit codes: 0 done, 1 an error, 2 the command line is invalid, 3 a finding has the severity of
--fail-on, 4 none has, and the result is incomplete.";

/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Flags of `bailiff scan`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ScanArgs {
    /// File with a list of packages; - for standard input
    #[arg(long, value_name = "FILE", required = true)]
    pub packages: PathBuf,
    /// Advisories in the format of OSV: a file, a zip archive, or a directory of them with its
    /// subdirectories. Can be repeated. Defaults to the index
    #[arg(long, value_name = "PATH")]
    pub advisories: Vec<PathBuf>,
    /// Index that `bailiff feed build` wrote. Defaults to the one in the directory for caches. Not
    /// used with --advisories
    #[arg(long, value_name = "FILE", env = "BAILIFF_INDEX")]
    pub index: Option<PathBuf>,
    /// Catalog of vulnerabilities that are known to be exploited: the JSON file of CISA
    #[arg(long, value_name = "FILE")]
    pub known_exploited: Option<PathBuf>,
    /// Lowest severity that fails the command. A malicious package always fails it then
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
    /// Whether a finding of unknown severity fails the command
    #[arg(long, value_name = "MODE", default_value = "count")]
    pub unknown_severity: UnknownSeverity,
    /// Succeed if the result is incomplete and no finding fails the command
    #[arg(long)]
    pub allow_incomplete: bool,
    /// Vulnerability to explain: what each advisory about it says about each package
    #[arg(long, value_name = "ID", conflicts_with_all = ["output", "fail_on"])]
    pub explain: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Output,
}

/// Lowest severity that fails the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// All severities.
    Low,
    /// Medium, High and Critical.
    Medium,
    /// High and Critical.
    High,
    /// Critical.
    Critical,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// Whether a finding of unknown severity fails the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UnknownSeverity {
    /// It does.
    #[default]
    Count,
    /// It does not.
    Ignore,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}

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
struct Report {
    matches: Matches,
    actions: Vec<Action>,
    advisories: Advisories,
    known_exploited: Option<KnownExploited>,
    /// The sources of the index that the packages need. Empty without an index.
    sources: Vec<bailiff_scan::index::Source>,
    /// Ecosystems of packages for which there are no advisories.
    without_advisories: Vec<String>,
    /// What could not be read.
    errors: Vec<String>,
    /// The number of errors, also of those that are not listed.
    failed: usize,
}

impl Report {
    /// The findings that count, and those that do not.
    fn findings(&self, are_counted: bool) -> impl Iterator<Item = &Finding> {
        let findings = self.matches.findings.iter();
        findings.filter(move |finding| finding.not_counted.is_none() == are_counted)
    }

    /// Whether everything was read and could be compared with something.
    fn is_complete(&self) -> bool {
        self.failed == 0 && self.without_advisories.is_empty()
    }

    fn outcome(&self, args: &ScanArgs) -> ScanOutcome {
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
    let PackageList { packages, errors } = read_packages(&args.packages, input)?;
    let known_exploited = match &args.known_exploited {
        Some(path) => Some(read_catalog(path)?),
        None => None,
    };
    let (advisories, mut of_index) = known(args, &packages, now)?;
    let of_catalog = |of: &mut index::OfIndex| of.known_exploited.take();
    let known_exploited = known_exploited.or_else(|| of_index.as_mut().and_then(of_catalog));
    let of = |ecosystem: &_, name: &_| advisories.get(ecosystem, name);
    if let Some(id) = &args.explain {
        for line in explain::lines(id, &packages, &advisories, known_exploited.as_ref()) {
            writeln!(out, "{line}")?;
        }
    }
    let mut matches = match_packages(&packages, of, known_exploited.as_ref());
    let unread = of_index.as_ref().and_then(|of| of.describe(&mut matches));
    let without_advisories = matches.subjects.iter().map(|subject| &subject.ecosystem);
    let without_advisories: BTreeSet<_> = without_advisories
        .filter(|ecosystem| {
            let pro = ecosystem.with_subscription();
            let is_read = |ecosystem| advisories.read.contains_key(ecosystem);
            !is_read(ecosystem) && !pro.as_ref().is_some_and(is_read)
        })
        .collect();
    let unreadable = known_exploited.as_ref().map_or(0, |known| known.unreadable);
    let unreadable = (unreadable > 0)
        .then(|| format!("{unreadable} entries of the catalog of known exploited vulnerabilities"));
    let unreadable: Vec<_> = unreadable.into_iter().chain(unread).collect();
    let failed = errors.len() + advisories.failed + unreadable.len();
    let errors = errors.iter().chain(&advisories.errors).chain(&unreadable);
    let report = Report {
        actions: actions(&matches, of),
        without_advisories: without_advisories.iter().map(ToString::to_string).collect(),
        errors: errors.map(|error| escaped(error, TEXT_LIMIT)).collect(),
        failed,
        matches,
        advisories,
        known_exploited,
        sources: of_index.map_or_else(Vec::new, |of| of.sources),
    };
    if args.explain.is_none() {
        match args.output {
            Output::Table => {
                for line in output::lines(&report) {
                    writeln!(out, "{line}")?;
                }
            }
            Output::Json => writeln!(out, "{}", json::text(&report)?)?,
        }
    }
    out.flush()?;
    for error in &report.errors {
        writeln!(err, "error: cannot read {error}")?;
    }
    if report.failed > report.errors.len() {
        let more = report.failed - report.errors.len();
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
    Ok(report.outcome(args))
}

/// What is known about the packages, in the files of `--advisories` or else in the index.
fn known(
    args: &ScanArgs,
    packages: &[Package],
    now: Timestamp,
) -> Result<(Advisories, Option<index::OfIndex>), Error> {
    if args.advisories.is_empty() {
        let path = crate::feed::index_path(args.index.as_deref())?;
        let mut of = index::gather(&path, packages)?;
        return Ok((std::mem::take(&mut of.advisories), Some(of)));
    }
    let wanted = subjects(packages)
        .into_iter()
        .map(|s| (s.ecosystem, s.name));
    let mut collection = Collection::of(wanted, now);
    for path in &args.advisories {
        source::read(path, &mut collection);
    }
    let advisories = collection.collected();
    if advisories.read.is_empty() {
        return Err(Error::Input(no_advisories(args, &advisories)));
    }
    Ok((advisories, None))
}

fn no_advisories(args: &ScanArgs, advisories: &Advisories) -> String {
    let paths: Vec<_> = args.advisories.iter().map(|path| shown(path)).collect();
    let cause = match advisories.errors.first() {
        Some(error) => format!("cannot read {}", escaped(error, TEXT_LIMIT)),
        None => "there are no records of an ecosystem that Bailiff knows".to_owned(),
    };
    format!(
        "cannot read advisories of {}: {cause}; set --advisories to files of OSV, such as all.zip of an ecosystem",
        paths.join(", ")
    )
}

/// A path for people.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), TEXT_LIMIT)
}

fn read_packages(path: &Path, input: &mut impl Read) -> Result<PackageList, Error> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let limit = u64::try_from(LIST_LIMIT).unwrap_or(u64::MAX);
        let read = input.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        source::bytes(path, LIST_LIMIT)
    };
    let list = match bytes {
        Ok(bytes) => package_list::read(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    list.map_err(|cause| {
        let (path, cause) = (shown(path), escaped(&cause, TEXT_LIMIT));
        Error::Input(format!(
            "cannot read the packages of {path}: {cause}; see `bailiff scan --help` for the format"
        ))
    })
}

fn read_catalog(path: &Path) -> Result<KnownExploited, Error> {
    let catalog = match source::bytes(path, CATALOG_LIMIT) {
        Ok(bytes) => KnownExploited::read(&bytes).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    catalog.map_err(|cause| {
        let (path, cause) = (shown(path), escaped(&cause, TEXT_LIMIT));
        Error::Input(format!(
            "cannot read the known exploited vulnerabilities of {path}: {cause}; set --known-exploited to CISA's JSON file"
        ))
    })
}
