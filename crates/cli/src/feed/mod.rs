//! `bailiff feed`: an index of advisories, for `bailiff scan`.
//!
//! Here: flags, and where an index is. Not here: building one (`build`), its content (`bailiff_scan::index`), and matching
//! (`scan`).
//! Invariant: an index is whole or not there. Text of feeds is escaped before it reaches a terminal.

mod build;
mod defaults;
mod download;
pub(crate) mod inspect;
pub(crate) mod map;
mod place;
mod records;
#[cfg(test)]
mod tests;

pub use place::SourceArg;

use crate::Error;
use bailiff_response::messages::escaped;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  bailiff feed build --defaults                           Download what is public, for all ecosystems
  bailiff feed build osv=osv/PyPI/all.zip kev=kev.json    Read files
  bailiff feed inspect                                    Show what the index was built from";

const BUILD_EXAMPLES: &str = "\
Examples:
  bailiff feed build --defaults
  bailiff feed build osv=https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip
  bailiff feed build osv=osv/ kev=known_exploited_vulnerabilities.json --file advisories.index
  bailiff feed build --defaults --previous old.index     Keep the days on which fixes were first known

KIND=PLACE is the kind of a source and where it is: an https URL, a file, or a directory. Kinds: osv,
alpine-secdb, debian-tracker, debian-list (DSA or DLA), kev (known exploited), cve-list, nvd.";

/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Flags of `bailiff feed`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct FeedArgs {
    #[command(subcommand)]
    command: FeedCommand,
}

/// The subcommands.
#[derive(Clone, Debug, clap::Subcommand)]
enum FeedCommand {
    /// Build an index of advisories
    Build(BuildArgs),
    /// Show what an index was built from, and check that it was not changed
    Inspect(InspectArgs),
}

/// Flags of `bailiff feed build`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub(crate) struct BuildArgs {
    /// Sources of advisories
    #[arg(value_name = "KIND=PLACE", required_unless_present = "defaults")]
    sources: Vec<SourceArg>,
    /// Download the public sources of all ecosystems, before the other sources
    #[arg(long)]
    defaults: bool,
    /// File to write. Defaults to the index that `bailiff scan` uses
    #[arg(short, long, value_name = "FILE", env = "BAILIFF_INDEX", value_parser = index_file)]
    file: Option<PathBuf>,
    /// Index that was built before. Fixes that it does not have get the day of today
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// Flags of `bailiff feed inspect`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// File of the index. Defaults to the one that `bailiff scan` uses
    #[arg(value_name = "FILE", env = "BAILIFF_INDEX")]
    index: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// A file that an index can be written to.
fn index_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("must be a file, because an index is not written to standard output".to_owned()),
        path => Ok(path.into()),
    }
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// Runs the command.
///
/// # Errors
/// If a source or an index cannot be read, or the index or the output not be written.
pub async fn run(args: &FeedArgs, out: &mut impl Write, err: &mut impl Write) -> Result<(), Error> {
    match &args.command {
        FeedCommand::Build(args) => {
            let downloader = download::Downloader::new().map_err(Error::Input)?;
            Box::pin(build::run(
                args,
                &downloader,
                jiff::Timestamp::now(),
                out,
                err,
            ))
            .await
        }
        FeedCommand::Inspect(args) => inspect::run(args, out),
    }
}

/// Where the index is: at the path that was given, otherwise at the one of `BAILIFF_INDEX`, otherwise in the directory
/// for caches.
///
/// # Errors
/// If none was given and there is no such directory.
pub(crate) fn index_path(given: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let of = |name: &str| std::env::var_os(name);
    let path =
        named_path(of("BAILIFF_INDEX")).or_else(|| default_path(of("XDG_CACHE_HOME"), of("HOME")));
    path.ok_or_else(|| {
        let error = "cannot find the directory for caches: HOME is not set; set --index, or --file of `bailiff feed build`";
        Error::Input(error.to_owned())
    })
}

/// The path of a variable that is set and not empty.
fn named_path(variable: Option<OsString>) -> Option<PathBuf> {
    variable.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// As the XDG base directory specification says: what is not absolute is ignored.
fn default_path(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute =
        |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute(cache).or_else(|| Some(absolute(home)?.join(".cache")));
    Some(cache?.join("bailiff").join("index"))
}

/// A path for people.
fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), TEXT_LIMIT)
}
