//! `bailiff version`.
//!
//! Here: the version of this binary. Not here: the version in a cluster.
//! Invariant: the command needs no cluster.

use serde::Serialize;
use std::io::Write;

/// Version of the binary.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Release.
    pub version: &'static str,
    /// Commit of the source; empty if the build did not set it.
    pub commit: &'static str,
    /// Operating system and architecture.
    pub platform: String,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// One line for people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Flags of `bailiff version`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  bailiff version\n  bailiff version -o json")]
pub struct VersionArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Prints the version.
///
/// # Errors
/// If the output cannot be written.
pub fn run(
    args: &VersionArgs,
    version: &'static str,
    commit: &'static str,
    out: &mut impl Write,
) -> Result<(), crate::Error> {
    let built = Version {
        version,
        commit,
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&built)?)?,
        Output::Text if commit.is_empty() => {
            writeln!(out, "bailiff {version} ({})", built.platform)?;
        }
        Output::Text => writeln!(
            out,
            "bailiff {version} (commit {commit}, {})",
            built.platform
        )?,
    }
    Ok(())
}
