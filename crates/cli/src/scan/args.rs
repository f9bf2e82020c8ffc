//! The flags of `bailiff scan`.
//!
//! Here: flags, their values and their help. Not here: what the command does with them.
//! Invariant: each flag is described in `docs/scan.md`.

use super::image::ImageArgs;
use bailiff_scan::severity::Severity;
use jiff::civil::Date;
use std::path::PathBuf;
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  bailiff scan nginx:1.27                                          Scan an image of a registry
  bailiff scan oci:build/image --fail-on high                      Scan an image that a build made
  bailiff scan docker-archive:image.tar --platform linux/arm64     Scan what docker save wrote
  bailiff scan --packages packages.json                            Match a list with the index
  bailiff scan --packages packages.json --advisories osv/          Match a list with advisories
  bailiff scan --packages - --advisories PyPI/all.zip -o json      Read the list from standard input
  bailiff scan --packages packages.json --advisories osv/ --fail-on high --ignore ignore.yaml
  bailiff scan nginx:1.27 -o sarif=scan.sarif -o json=scan.json    Print the table and write two files
  bailiff scan --packages packages.json --advisories osv/ --explain CVE-2021-44228

The list is JSON, [{\"ecosystem\": \"PyPI\", \"name\": \"django\", \"version\": \"3.2.1\"}], or has a package URL
on each line, pkg:pypi/django@3.2.1. Advisories have the format of OSV, such as the file all.zip of
each ecosystem that osv.dev publishes. The list of --ignore has an entry for each vulnerability of a
package: [{id: CVE-2021-44228, package: \"Maven/org.apache.logging.log4j:log4j-core\",
reason: Not reachable, expires: 2027-01-31}].

Exit codes: 0 done, 1 an error, 2 the command line is invalid, 3 a finding has the severity of
--fail-on, 4 none has, and the result is incomplete.";

/// Flags of `bailiff scan`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group = clap::ArgGroup::new("what").required(true).args(["image", "packages", "schema"])
)]
#[allow(clippy::struct_excessive_bools, reason = "each one is a flag")]
pub struct ScanArgs {
    /// The image, and how it is asked for.
    #[command(flatten)]
    pub image: ImageArgs,
    /// File with a list of packages; - for standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["platform", "plain_http", "registries", "pull_timeout", "no_sandbox"]
    )]
    pub packages: Option<PathBuf>,
    /// Read layers without a sandbox. Use it for images that you trust, where the kernel or another
    /// sandbox does not allow Bailiff's
    #[arg(long, requires = "image")]
    pub no_sandbox: bool,
    /// Advisories in the format of OSV: a file, a zip archive, or a directory of them with its
    /// subdirectories. Can be repeated. Defaults to the index
    #[arg(long, value_name = "PATH")]
    pub advisories: Vec<PathBuf>,
    /// Index that `bailiff feed build` wrote. Defaults to the file of the variable `BAILIFF_INDEX`,
    /// otherwise to the one in the directory for caches
    // Only the flag conflicts, so it has no `env`.
    #[arg(long, value_name = "FILE", conflicts_with = "advisories")]
    pub index: Option<PathBuf>,
    /// Catalog of vulnerabilities that are known to be exploited: the JSON file of CISA
    #[arg(long, value_name = "FILE")]
    pub known_exploited: Option<PathBuf>,
    /// Count only findings with a fixed version, and those of which it cannot be determined whether
    /// the package is affected
    #[arg(long)]
    pub only_fixed: bool,
    /// List of findings to ignore, as YAML or JSON. Each entry has id, package, reason and expires,
    /// the last day on which it applies
    #[arg(long, value_name = "FILE")]
    pub ignore: Option<PathBuf>,
    /// Lowest severity that fails the command. A malicious package always fails it then
    #[arg(long, value_name = "SEVERITY", ignore_case = true)]
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
    /// Day, in UTC, that counts as today: for entries of --ignore and for releases past their end
    #[arg(long, value_name = "DATE")]
    pub now: Option<Date>,
    /// Output format: table, json or sarif. With =FILE, it is written to a file and not printed. Can be
    /// repeated. Prints the table if each one has a file
    #[arg(short, long, value_name = "FORMAT[=FILE]")]
    pub output: Vec<Output>,
    /// Print the JSON Schema of -o json, and scan nothing
    #[arg(long, exclusive = true)]
    pub schema: bool,
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
    pub(super) fn severity(self) -> Severity {
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

/// An output: a format, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its format.
    pub format: Format,
    /// The file that it is written to. None for standard output.
    pub file: Option<PathBuf>,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = match text.split_once('=') {
            None => (text, None),
            Some((_, "")) => {
                return Err("must have a file after =, as in json=scan.json".to_owned());
            }
            Some((format, file)) => (format, Some(PathBuf::from(file))),
        };
        let mut formats = Format::ALL.into_iter();
        let format = formats.find(|known| known.as_str() == format);
        let format =
            format.ok_or("must be table, json or sarif, and can have a file: json=FILE")?;
        Ok(Self { format, file })
    }
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
    /// SARIF 2.1.0, as GitHub code scanning reads it.
    Sarif,
}

impl Format {
    /// All formats.
    const ALL: [Self; 3] = [Self::Table, Self::Json, Self::Sarif];

    /// The name on the command line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Sarif => "sarif",
        }
    }
}
