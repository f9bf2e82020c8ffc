//! `bailiff version`.
//!
//! Here: what was built. Not here: what runs in a cluster.
//! Invariant: it needs no cluster.

use serde::Serialize;
use std::io::Write;

/// What was built.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Version of the program.
    pub version: &'static str,
    /// Commit that it was built from; empty where it was built without one.
    pub commit: &'static str,
    /// Architecture and operating system.
    pub platform: String,
}

/// Shape of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A line for people.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// Flags of `bailiff version`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  bailiff version\n  bailiff version -o json")]
pub struct VersionArgs {
    /// Shape of the output
    #[arg(short, long, value_name = "SHAPE", default_value = "text")]
    pub output: Output,
}

/// Prints the version.
///
/// # Errors
/// When the output can't be written.
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
