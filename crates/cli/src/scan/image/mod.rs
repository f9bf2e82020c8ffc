//! Where an image comes from: a registry, a layout, an archive or a directory.
//!
//! Here: flags, and what they select. Not here: what manifests mean (`bailiff_oci::image`), the content of layers
//! (`bailiff_image`).
//! Invariant: only what the command line names is asked or opened. Documents are verified before they are read. What
//! of an image could not be read is a fault of it, and hides no other part.

mod archive;
mod beneath;
mod credentials;
mod directory;
mod docker_archive;
mod files;
mod holes;
mod layout;
mod place;
mod registry;
mod resolve;
#[cfg(test)]
mod tests;

pub use credentials::Environment;

use crate::Error;
use bailiff_oci::Digest;
use bailiff_oci::image::{Image, InvalidPlatform, Platform, Wanted};
use bailiff_response::messages::escaped;
use place::Place;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Characters of a text.
const TEXT_LIMIT: usize = 400;

/// Which image is scanned.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ImageArgs {
    /// Image to scan: a reference such as nginx:1.27, or oci:PATH[:TAG|@DIGEST] for a layout or an archive of one,
    /// docker-archive:PATH[:REFERENCE] for what `docker save` writes, dir:PATH for a root file system
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Platform of the image to scan, such as linux/arm64, or all. Defaults to Linux on the architecture of this
    /// machine
    #[arg(long, value_name = "PLATFORM", requires = "image")]
    pub platform: Option<PlatformArg>,
    /// Ask the registry without TLS. Defaults to TLS, except for a registry on this machine (localhost)
    #[arg(long, requires = "image")]
    pub plain_http: bool,
    /// File with the configuration of registries, as the webhook reads it: their authorities, mirrors, and hosts for
    /// tokens
    #[arg(long, value_name = "FILE", requires = "image")]
    pub registries: Option<PathBuf>,
    /// Longest time for pulling the layers of an image, such as 90m. Defaults to 1h
    #[arg(long, value_name = "DURATION", requires = "image", value_parser = duration)]
    pub pull_timeout: Option<Duration>,
}

/// A duration as `15s`, `5m` or `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let duration = parsed.ok().and_then(|d| Duration::try_from(d).ok());
    let duration = duration.filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "must be a duration such as 15s, 5m or 1h".to_owned())
}

/// Platforms that are scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformArg {
    /// All.
    All,
    /// One.
    One(Platform),
}

impl std::str::FromStr for PlatformArg {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        Platform::parse(&text.to_ascii_lowercase()).map(Self::One)
    }
}

/// What was found where the command line says.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The images to scan.
    pub images: Vec<Image>,
    /// What was selected and is no image.
    pub nothing: Vec<NothingSelected>,
    /// Platforms that were not selected, in order.
    pub other_platforms: Vec<String>,
    /// Number of attestations beside the images.
    pub attestations: usize,
    /// What could not be read beside the images, for people. Each makes the result incomplete.
    pub faults: Vec<String>,
}

/// What is no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingSelected {
    /// What it was asked for as.
    pub reference: String,
    /// Its digest.
    pub digest: Digest,
    /// What it is, for people, such as `a Helm chart`.
    pub what: String,
}

/// Gets the images that the command line selects. Their layers are in files that only this process has, or that were
/// opened for reading.
///
/// # Errors
/// The command line is invalid, or there is no image that can be read.
pub fn gather(
    args: &ImageArgs,
    environment: &Environment,
    err: &mut impl Write,
) -> Result<Gathered, Error> {
    let text = args.image.as_deref().unwrap_or_default();
    let found = match Place::parse(text) {
        Ok(place) => gather_from(&place, args, environment, err),
        Err(cause) => Err(cause),
    };
    found.map_err(|cause| {
        let (text, cause) = (escaped(text, TEXT_LIMIT), escaped(&cause, 4 * TEXT_LIMIT));
        Error::Input(format!("cannot scan {text}: {cause}"))
    })
}

/// The error is a cause and a remedy, which are not escaped.
fn gather_from(
    place: &Place,
    args: &ImageArgs,
    environment: &Environment,
    err: &mut impl Write,
) -> Result<Gathered, String> {
    let wanted = match &args.platform {
        Some(PlatformArg::All) => Wanted::All,
        Some(PlatformArg::One(platform)) => Wanted::Named(platform.clone()),
        None => Wanted::Machine(machine()),
    };
    match place {
        Place::Registry(reference) => registry::gather(reference, &wanted, args, environment, err)
            .map_err(|cause| {
                let text = args.image.as_deref().unwrap_or_default();
                match place::meant(text) {
                    Some(remedy) => format!("{cause}; {remedy}"),
                    None => cause,
                }
            }),
        Place::Layout { path, name } => layout::gather(path, name, &wanted),
        Place::DockerArchive { path, name } => {
            docker_archive::gather(path, name.as_deref(), &wanted)
        }
        Place::Directory(_) if args.platform.is_some() => {
            Err("a directory does not say its platform; remove --platform".to_owned())
        }
        Place::Directory(path) => directory::gather(path),
    }
}

/// Linux on this machine.
fn machine() -> Platform {
    Platform::of_machine(std::env::consts::ARCH, cfg!(target_endian = "little"))
}

/// What cannot be stored, and what to do.
pub(super) fn not_stored(what: &str, error: &std::io::Error) -> String {
    let remedy = match error.kind() {
        std::io::ErrorKind::NotFound => "that exists and has space",
        _ => "with more space",
    };
    format!("cannot store {what}: {error}; set TMPDIR to a directory {remedy}")
}

/// A file of this process that is open for reading alone, and has a position of its own.
fn reopened(file: &impl std::os::fd::AsRawFd) -> std::io::Result<std::fs::File> {
    std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
