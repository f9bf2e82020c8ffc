//! The words of fields of the result for programs.
//!
//! Here: each closed set of words, with the meanings that the schema has. Not here: the fields.
//! Invariant: a new value of `bailiff_scan` does not compile here until it has a word.

use bailiff_scan::action::Advice;
use bailiff_scan::advisory::Kind;
use bailiff_scan::counting::Standing;
use bailiff_scan::index::SourceKind;
use bailiff_scan::inventory::{BinaryKind, Mark};
use bailiff_scan::matching::{NotCounted, State};
use bailiff_scan::severity::{CveSource, Severity, Statement};
use schemars::JsonSchema;
use serde::Serialize;

/// Whether a release gets fixes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Support")]
pub(super) enum SupportWord {
    /// It does.
    Supported,
    /// It gets no more fixes for everybody.
    Ended,
    /// Bailiff does not know the release.
    Unknown,
}

/// What a finding is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Kind")]
pub(super) enum KindWord {
    /// A vulnerability.
    Vulnerability,
    /// The package is malicious.
    Malicious,
    /// Information, such as that the package is unmaintained.
    Informational,
}

impl From<&Kind> for KindWord {
    fn from(kind: &Kind) -> Self {
        match kind {
            Kind::Vulnerability => Self::Vulnerability,
            Kind::Malicious => Self::Malicious,
            Kind::Informational(_) => Self::Informational,
        }
    }
}

/// Why a finding does not count.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NotCounted")]
pub(super) enum NotCountedWord {
    /// An entry of the list of findings to ignore says so.
    Ignored,
    /// It is information and no vulnerability.
    Informational,
    /// Debian rates the effect as unimportant.
    Unimportant,
    /// The packages are header files of the kernel and not the kernel.
    KernelHeaders,
    /// The distribution that installed the package says that this is fixed or not affected.
    Settled,
    /// The package of the distribution that installed the package has the same finding, which counts.
    OfOwner,
    /// No fixed version is known, and only findings with one count.
    NotFixed,
}

/// Why a finding does not count. None if it counts.
pub(super) fn not_counted(standing: Standing<'_>) -> Option<NotCountedWord> {
    Some(match standing {
        Standing::Counted => return None,
        Standing::Ignored(_) => NotCountedWord::Ignored,
        Standing::NotCounted(NotCounted::Informational(_)) => NotCountedWord::Informational,
        Standing::NotCounted(NotCounted::Unimportant) => NotCountedWord::Unimportant,
        Standing::NotCounted(NotCounted::KernelHeaders) => NotCountedWord::KernelHeaders,
        Standing::Settled(_) => NotCountedWord::Settled,
        Standing::OfOwner(_) => NotCountedWord::OfOwner,
        Standing::NotFixed => NotCountedWord::NotFixed,
    })
}

/// Whether a finding can be fixed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "State")]
pub(super) enum StateWord {
    /// The version is affected. An advisory names a fixed version.
    Fixed,
    /// The version is affected. The fixed version requires a subscription.
    FixedWithSubscription,
    /// The version is affected. No advisory names a fixed version.
    Open,
    /// The version is affected. Its publisher will fix it with a later update.
    Postponed,
    /// The version is affected. Its publisher will not fix it in this release.
    WontFix,
    /// The version is affected. Its publisher no longer supports the package in this release.
    EndOfLife,
    /// It cannot be determined whether the version is affected.
    Unknown,
}

impl From<&State> for StateWord {
    fn from(state: &State) -> Self {
        match state {
            State::Fixed(_) => Self::Fixed,
            State::FixedWithSubscription(_) => Self::FixedWithSubscription,
            State::Open => Self::Open,
            State::Postponed(_) => Self::Postponed,
            State::WontFix(_) => Self::WontFix,
            State::EndOfLife(_) => Self::EndOfLife,
            State::Unknown(_) => Self::Unknown,
        }
    }
}

/// How severe a finding is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Severity")]
pub(super) enum SeverityWord {
    /// No source rates it in a form that Bailiff reads.
    Unknown,
    /// A score below 4.0.
    Low,
    /// A score from 4.0.
    Medium,
    /// A score from 7.0.
    High,
    /// A score from 9.0.
    Critical,
}

impl From<Severity> for SeverityWord {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Unknown => Self::Unknown,
            Severity::Low => Self::Low,
            Severity::Medium => Self::Medium,
            Severity::High => Self::High,
            Severity::Critical => Self::Critical,
        }
    }
}

/// What states a severity.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SeverityType")]
pub(super) enum StatementWord {
    /// The priority that Ubuntu gives it.
    UbuntuPriority,
    /// A CVSS vector of the advisory.
    #[serde(rename = "CVSS")]
    Cvss,
    /// A word of the database that published the advisory.
    Word,
    /// A CVSS vector of the organization that assigned the CVE.
    #[serde(rename = "CVSS-CNA")]
    Cna,
    /// A CVSS vector of CISA.
    #[serde(rename = "CVSS-CISA-ADP")]
    CisaAdp,
    /// A CVSS vector of the National Vulnerability Database.
    #[serde(rename = "CVSS-NVD")]
    Nvd,
}

/// What states a severity, and the vector or the word.
pub(super) fn statement(statement: &Statement) -> (StatementWord, &str) {
    match statement {
        Statement::UbuntuPriority(word) => (StatementWord::UbuntuPriority, word),
        Statement::Cvss(_, vector) => (StatementWord::Cvss, vector),
        Statement::Word(word) => (StatementWord::Word, word),
        Statement::Cve(CveSource::Cna, _, vector) => (StatementWord::Cna, vector),
        Statement::Cve(CveSource::CisaAdp, _, vector) => (StatementWord::CisaAdp, vector),
        Statement::Cve(CveSource::Nvd, _, vector) => (StatementWord::Nvd, vector),
    }
}

/// What to do about a package.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ActionType")]
pub(super) enum ActionWord {
    /// Upgrade to `toVersion`.
    Upgrade,
    /// Remove the package: it is malicious.
    Remove,
    /// Upgrade with a subscription: only its builds fix a finding.
    Subscribe,
    /// Check whether the package is affected: that cannot be determined for any finding.
    Check,
    /// The package is affected, and no version is known that fixes a finding.
    NoFix,
}

impl From<&Advice> for ActionWord {
    fn from(advice: &Advice) -> Self {
        match advice {
            Advice::Upgrade(_) => Self::Upgrade,
            Advice::Remove => Self::Remove,
            Advice::Subscribe => Self::Subscribe,
            Advice::Check => Self::Check,
            Advice::NoFix => Self::NoFix,
        }
    }
}

/// What is special about a package.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Mark")]
pub(super) enum MarkWord {
    /// A copy is in another package.
    Vendored,
    /// Its group is not known, so that advisories of any group are possible.
    AnyGroup,
    /// It might not be of the registry, which can have another package of its name.
    OtherSource,
    /// A layer removed it from the database or gave it another version there, and its files stay.
    NotInDatabase,
    /// Files disagree about the release, so that it counts for each.
    ReleaseConflict,
}

impl From<Mark> for MarkWord {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Vendored => Self::Vendored,
            Mark::AnyGroup => Self::AnyGroup,
            Mark::OtherSource => Self::OtherSource,
            Mark::NotInDatabase => Self::NotInDatabase,
            Mark::ReleaseConflict => Self::ReleaseConflict,
        }
    }
}

/// What a source of an index has, and in which form.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SourceKind")]
pub(super) enum SourceWord {
    /// Advisories in the format of OSV.
    Osv,
    /// Fixed versions of Alpine.
    AlpineSecdb,
    /// Debian's security tracker.
    DebianTracker,
    /// A list of security updates of Debian.
    DebianList,
    /// CISA's catalog of known exploited vulnerabilities.
    Kev,
    /// Records of CVEs.
    CveList,
    /// Severities of the National Vulnerability Database.
    Nvd,
}

impl From<SourceKind> for SourceWord {
    fn from(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Osv => Self::Osv,
            SourceKind::AlpineSecdb => Self::AlpineSecdb,
            SourceKind::DebianTracker => Self::DebianTracker,
            SourceKind::DebianList => Self::DebianList,
            SourceKind::KnownExploited => Self::Kev,
            SourceKind::CveList => Self::CveList,
            SourceKind::Nvd => Self::Nvd,
        }
    }
}

/// What a binary is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BinaryKind")]
pub(super) enum BinaryWord {
    /// An ELF file.
    #[serde(rename = "ELF")]
    Elf,
    /// An archive of Java.
    Java,
    /// A compressed file that has a program, or can have one.
    Compressed,
}

impl From<BinaryKind> for BinaryWord {
    fn from(kind: BinaryKind) -> Self {
        match kind {
            BinaryKind::Elf(_) => Self::Elf,
            BinaryKind::Java => Self::Java,
            BinaryKind::Packed => Self::Compressed,
        }
    }
}
