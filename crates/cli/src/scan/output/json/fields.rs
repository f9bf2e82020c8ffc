//! The fields of the result for programs.
//!
//! Here: names, types and descriptions, which are those of the schema. Not here: their words (`words`), those of images
//! (`images`), and what they have (`json`).
//! Invariant: `docs/scan.md` names each field. An `Option` is null if there is no value, and is never left out.

use super::images::Images;
use super::words::{
    ActionWord, KindWord, MarkWord, NotCountedWord, SeverityWord, SourceWord, StateWord,
    StatementWord, SupportWord,
};
use schemars::JsonSchema;
use serde::Serialize;

/// The result of `bailiff scan -o json`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScanResult")]
pub(super) struct Document<'a> {
    /// The version of the fields. It changes if a field changes its meaning.
    pub(super) schema_version: u32,
    /// What was read of the advisories of each ecosystem.
    pub(super) advisories: Vec<Advisories>,
    /// What could not be read or compared.
    pub(super) coverage: Coverage<'a>,
    /// The releases of distributions that the packages are of.
    pub(super) distributions: Vec<Distribution>,
    /// The index that the advisories are of. Null if they are of files.
    pub(super) index: Option<Index<'a>>,
    /// The images. Null for a list of packages.
    pub(super) images: Option<Images<'a>>,
    /// Entries of the list of findings to ignore that do nothing.
    pub(super) ignore_list: IgnoreList<'a>,
    /// What was looked up.
    pub(super) packages: Vec<Package<'a>>,
    /// All findings, also those that do not count.
    pub(super) findings: Vec<Finding<'a>>,
    /// What to do about the findings that count, the most urgent first.
    pub(super) actions: Vec<Action<'a>>,
}

/// What was read of the advisories of an ecosystem.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Advisories {
    /// The ecosystem, such as `PyPI` or `Debian:12`.
    pub(super) ecosystem: String,
    /// The number of records.
    pub(super) records: usize,
    /// The time of the newest record. Null if none has one.
    pub(super) newest_modified: Option<String>,
}

/// What could not be read or compared.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coverage<'a> {
    /// Whether there are packages, everything was read and could be compared, and no image has gaps.
    pub(super) complete: bool,
    /// Ecosystems of packages of which no advisory names a package.
    pub(super) ecosystems_without_advisories: Vec<String>,
    /// What could not be read: the first 100 of each kind of input.
    pub(super) errors: &'a [String],
    /// The number of all of these.
    pub(super) error_count: usize,
    /// When the catalog of known exploited vulnerabilities was released. Null if there is none, or it does not state it.
    pub(super) known_exploited_released: Option<&'a str>,
    /// Withdrawn advisories that would affect a package.
    pub(super) withdrawn: &'a [String],
}

/// A release of a distribution.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Distribution {
    /// The release, such as `Debian:12`.
    pub(super) ecosystem: String,
    /// Whether it gets fixes.
    pub(super) support: SupportWord,
    /// Its end. Null unless it has ended.
    pub(super) end: Option<End>,
}

/// The end of a release.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct End {
    /// The last day on which it got fixes for everybody.
    pub(super) last_day: String,
    /// The last day on which it gets fixes with a subscription. Null if there is no such day, or it is over.
    pub(super) last_day_with_subscription: Option<String>,
    /// Where the days are from.
    pub(super) source: &'static str,
}

/// The index that the advisories are of.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index<'a> {
    /// The sources that the packages need.
    pub(super) sources: Vec<Source<'a>>,
}

/// A source of the index.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "IndexSource")]
pub(super) struct Source<'a> {
    /// Its kind.
    pub(super) kind: SourceWord,
    /// The URL or path where it was read.
    pub(super) origin: &'a str,
    /// Records that were read.
    pub(super) records: u64,
    /// Records that could not be read.
    pub(super) unreadable: u64,
    /// The time of its newest record. Null if it has no times.
    pub(super) newest: Option<String>,
    /// When it was read.
    pub(super) retrieved: String,
}

/// Entries of the list of findings to ignore that do nothing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IgnoreList<'a> {
    /// Those past their last day.
    pub(super) expired: Vec<IgnoreEntry<'a>>,
    /// Those about no finding.
    pub(super) unmatched: Vec<IgnoreEntry<'a>>,
}

/// An entry of the list of findings to ignore.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IgnoreEntry<'a> {
    /// Its number, from 1.
    pub(super) entry: usize,
    /// The name of the vulnerability.
    pub(super) id: &'a str,
    /// The package.
    pub(super) package: PackageName<'a>,
    /// Why it is ignored.
    pub(super) reason: &'a str,
    /// The last day on which it applies, in UTC.
    pub(super) expires: String,
}

/// A package without a version.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackageName<'a> {
    /// The ecosystem, such as `PyPI` or `Debian:12`.
    pub(super) ecosystem: String,
    /// Its name.
    pub(super) name: &'a str,
}

/// What advisories are compared with: a source package of a distribution, or a package of a language.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LookedUp<'a> {
    /// The ecosystem, such as `PyPI` or `Debian:12`.
    pub(super) ecosystem: String,
    /// Its name.
    pub(super) name: &'a str,
    /// Its version.
    pub(super) version: &'a str,
}

/// What was looked up: a source package of a distribution, or a package of a language.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package<'a> {
    /// The ecosystem, such as `PyPI` or `Debian:12`.
    pub(super) ecosystem: String,
    /// Its name.
    pub(super) name: &'a str,
    /// Its version.
    pub(super) version: &'a str,
    /// The installed packages: those that were built from the source package, otherwise itself.
    pub(super) packages: &'a [String],
    /// Where they are.
    pub(super) paths: &'a [String],
    /// Their layers, from 1 for the lowest. Empty if they are unknown.
    pub(super) layers: Vec<u32>,
    /// The platforms of the images that have it.
    pub(super) platforms: Vec<String>,
    /// The packages of a distribution that installed it.
    pub(super) owners: Vec<String>,
    /// What is special about it.
    pub(super) marks: Vec<MarkWord>,
    /// Whether all of its layers are probably those of the base.
    pub(super) of_base: bool,
}

/// A vulnerability of a package, or something else that advisories state about it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding<'a> {
    /// The CVE. The name of an advisory if there is no CVE.
    pub(super) id: &'a str,
    /// All other names.
    pub(super) aliases: &'a [String],
    /// What it is.
    pub(super) kind: KindWord,
    /// The publisher's word for information. Null for other kinds.
    pub(super) informational: Option<&'a str>,
    /// Why it does not count. Null if it counts.
    pub(super) not_counted: Option<NotCountedWord>,
    /// The entry that ignores it. Null unless `notCounted` is `Ignored`.
    pub(super) ignored: Option<IgnoreEntry<'a>>,
    /// What of the distribution settles it. Null if nothing does.
    pub(super) settled: Option<Settled<'a>>,
    /// The packages of the distribution that installed the package and have the same finding, which counts. Empty if that
    /// is not so.
    pub(super) of_owner: &'a [String],
    /// The package.
    pub(super) package: LookedUp<'a>,
    /// Whether it can be fixed.
    pub(super) state: StateWord,
    /// The reason of the states `Unknown`, `Postponed`, `WontFix` and `EndOfLife`. Null if there is none.
    pub(super) state_reason: Option<&'a str>,
    /// The version that fixes it. Null if none is known.
    pub(super) fixed_version: Option<&'a str>,
    /// When that version was published. Null if that is unknown.
    pub(super) fix_date: Option<FixDate<'a>>,
    /// How severe it is.
    pub(super) severity: SeverityWord,
    /// Where the severity is from. Null if it is Unknown.
    pub(super) severity_source: Option<SeveritySource<'a>>,
    /// Whether it is known to be exploited. Null without a catalog.
    pub(super) known_exploited: Option<bool>,
    /// One line about it. Empty if there is none.
    pub(super) title: &'a str,
    /// The page about it.
    pub(super) url: String,
    /// The advisories that it rests on.
    pub(super) advisories: Vec<&'a str>,
}

/// Why the distribution that installed a package of a language has settled a finding of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Settled<'a> {
    /// The packages of the distribution, with their source package and its version.
    pub(super) owners: &'a [String],
    /// The advisories of the distribution that say that they are fixed or not affected.
    pub(super) advisories: &'a [String],
}

/// The day of a fix.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FixDate<'a> {
    /// The day.
    pub(super) date: String,
    /// The name of the announcement, or `index` for the first index that had it.
    pub(super) source: &'a str,
}

/// Where a severity is from.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeveritySource<'a> {
    /// The advisory, or the CVE.
    pub(super) advisory: &'a str,
    /// What states it.
    #[serde(rename = "type")]
    pub(super) kind: StatementWord,
    /// The vector or the word.
    pub(super) value: &'a str,
    /// The CVSS score with one decimal. Null for words.
    pub(super) score: Option<String>,
}

/// What to do about the findings of a package that count.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Action<'a> {
    /// The package.
    pub(super) package: LookedUp<'a>,
    /// What to do.
    #[serde(rename = "action")]
    pub(super) kind: ActionWord,
    /// The version to upgrade to. Null for other actions.
    pub(super) to_version: Option<&'a str>,
    /// The number of the findings of the package that count.
    pub(super) findings: usize,
    /// The findings that are gone then.
    pub(super) fixes: &'a [String],
    /// The findings that remain or are new then.
    pub(super) remaining: &'a [String],
    /// The highest severity of the findings.
    pub(super) severity: SeverityWord,
    /// How many of the findings are known to be exploited. Null without a catalog.
    pub(super) known_exploited: Option<usize>,
}
