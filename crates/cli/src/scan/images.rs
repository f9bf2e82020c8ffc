//! The packages of images.
//!
//! Here: from layers to packages, and what is known about each image. Not here: where images come from (`image`), how
//! layers are read (`bailiff_image`), and what their files mean (`bailiff_scan::inventory`).
//! Invariant: what of an image could not be read is an error that names it, and removes no package.

use super::TEXT_LIMIT;
use super::args::ScanArgs;
use super::errors::Errors;
use super::image::{self, Environment, NothingSelected};
use super::packages::Inventory;
use crate::Error;
use bailiff_image::{LayerBlob, Progress, Sandbox, SandboxMode, Sandboxed, read_image};
use bailiff_oci::image::{BASE_NAME, Base, Image, LayerContent, base_layers};
use bailiff_response::messages::escaped;
use bailiff_scan::inventory::{Coverage, Located, inventory};
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Time before the first line about progress, and between lines.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
const MEGABYTE: u64 = 1_000_000;

/// What is known about an image that was scanned.
#[derive(Debug)]
pub(super) struct ScannedImage {
    /// What it was asked for as.
    pub(super) reference: String,
    /// The digest of its manifest, or what stands for it.
    pub(super) digest: String,
    /// Its platform, such as `linux/amd64`.
    pub(super) platform: String,
    /// Which of all packages are its own.
    pub(super) packages: Range<usize>,
    /// The number of its layers.
    pub(super) layers: usize,
    /// The number of the layers of its base, from the lowest. A guess; None if there is none.
    pub(super) base_layers: Option<u32>,
    /// The name of the base, as the image states it.
    pub(super) base_name: Option<String>,
    /// The releases of distributions that its packages are of.
    pub(super) distributions: Vec<String>,
    /// What of it is no package.
    pub(super) coverage: Coverage,
    /// Which sandbox the processes had that read it.
    pub(super) sandboxed: Sandboxed,
}

/// What the command line selected.
#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) scanned: Vec<ScannedImage>,
    /// What was selected and is no image.
    pub(super) nothing: Vec<NothingSelected>,
    /// Platforms that were not selected.
    pub(super) other_platforms: Vec<String>,
}

impl Images {
    /// Whether each part of the images has a package or is known to have none.
    pub(super) fn is_complete(&self) -> bool {
        self.scanned
            .iter()
            .all(|image| image.coverage.is_complete())
    }
}

/// Reads the packages of the images that the command line selects.
///
/// # Errors
/// If there is no image that can be read, or no layer of those that have one.
pub(super) fn gather(args: &ScanArgs, err: &mut impl Write) -> Result<Inventory, Error> {
    let gathered = image::gather(&args.image, &Environment::of_process(), err)?;
    let asked = args.image.image.as_deref().unwrap_or_default();
    let from = escaped(asked, TEXT_LIMIT);
    let mut errors = Errors::default();
    for fault in &gathered.faults {
        errors.add(&format!("all of {from}: {fault}"));
    }
    let mode = if args.no_sandbox {
        SandboxMode::Off
    } else {
        SandboxMode::Required
    };
    let mut located = Vec::new();
    let mut scanned = Vec::new();
    // Why no layer was read, of the first image of which none was.
    let mut unread = None;
    let mut is_read = false;
    let several = gathered.images.len() > 1;
    for image in gathered.images {
        let name = if several {
            format!("{} ({})", image.reference, image.platform)
        } else {
            image.reference.clone()
        };
        let (packages, mut image) = match scan(image, &name, mode, &mut errors, err) {
            Scanned::Read(packages, image) => {
                is_read = true;
                (packages, image)
            }
            Scanned::Nothing(image, cause) => {
                unread.get_or_insert(cause);
                (Vec::new(), image)
            }
        };
        // Owners are numbers of packages.
        let before = located.len();
        located.extend(packages.into_iter().map(|mut package: Located| {
            package.owner = package.owner.map(|owner| owner.saturating_add(before));
            package
        }));
        image.packages = before..located.len();
        scanned.push(image);
    }
    if let Some(cause) = unread.filter(|_| !is_read) {
        let cause = escaped(&cause, TEXT_LIMIT);
        return Err(Error::Input(format!(
            "cannot scan {from}: no layer was read: {cause}"
        )));
    }
    Ok(Inventory {
        from,
        packages: located.iter().map(|of| of.package.clone()).collect(),
        located,
        images: Some(Images {
            scanned,
            nothing: gathered.nothing,
            other_platforms: gathered.other_platforms,
        }),
        errors,
    })
}

/// An image, and what was found in it.
enum Scanned {
    /// The packages of layers that were read, or of an image that has none.
    Read(Vec<Located>, ScannedImage),
    /// There are layers, and none was read: the first cause.
    Nothing(ScannedImage, String),
}

/// Reads the layers of an image.
fn scan(
    image: Image,
    name: &str,
    mode: SandboxMode,
    errors: &mut Errors,
    err: &mut impl Write,
) -> Scanned {
    for fault in &image.faults {
        errors.add(&format!("all of {name}: {fault}"));
    }
    let base = match base_layers(&image.config.history, image.layers.len()) {
        Base::Guessed { layers } => u32::try_from(layers).ok(),
        Base::Unknown => None,
    };
    let count = image.layers.len();
    let mut blobs = Vec::new();
    let mut first = None;
    let mut has_files = false;
    for (number, layer) in image.layers.into_iter().enumerate() {
        let cause = match layer.content {
            LayerContent::File(file) => {
                has_files = true;
                blobs.push(LayerBlob {
                    digest: layer.digest,
                    diff_id: layer.diff_id,
                    size: layer.size,
                    file: file.file,
                });
                continue;
            }
            LayerContent::Unavailable(cause) => cause,
        };
        let cause = format!("layer {}: {cause}", number.saturating_add(1));
        errors.add(&format!("all of {name}: {cause}"));
        first.get_or_insert(cause);
        // The layers above it keep their numbers.
        match tempfile::tempfile() {
            Ok(file) => blobs.push(LayerBlob {
                digest: None,
                diff_id: None,
                size: 0,
                file,
            }),
            Err(error) => {
                errors.add(&format!(
                    "the layers of {name} from {} on: {}",
                    number.saturating_add(2),
                    image::not_stored("a layer", &error)
                ));
                break;
            }
        }
    }
    let mut reporter = Reporter::new(name, err);
    let sandbox = Sandbox::new(mode);
    let content = read_image(&blobs, &sandbox, &mut |progress| reporter.report(progress));
    for incomplete in &content.incomplete {
        errors.add(&format!("all of {name}: {incomplete}"));
    }
    let first = first.or_else(|| content.incomplete.first().map(ToString::to_string));
    let is_read = has_files && content.sandboxed != Sandboxed::Nothing;
    let found = inventory(&content);
    let annotations = &image.config.annotations;
    let base_name = annotations
        .get(BASE_NAME)
        .or_else(|| image.config.labels.get(BASE_NAME));
    let scanned = ScannedImage {
        reference: image.reference,
        digest: image.digest.to_string(),
        platform: image.platform,
        packages: 0..found.packages.len(),
        layers: count,
        base_layers: base,
        base_name: base_name.cloned(),
        distributions: found
            .distributions
            .iter()
            .map(ToString::to_string)
            .collect(),
        coverage: found.coverage,
        sandboxed: content.sandboxed,
    };
    match first {
        Some(cause) if !is_read => Scanned::Nothing(scanned, cause),
        Some(_) | None => Scanned::Read(found.packages, scanned),
    }
}

/// Writes lines about the layers that are read, if that takes long.
struct Reporter<'a, W> {
    name: &'a str,
    err: &'a mut W,
    last: Instant,
}

impl<'a, W: Write> Reporter<'a, W> {
    fn new(name: &'a str, err: &'a mut W) -> Self {
        Self {
            name,
            err,
            last: Instant::now(),
        }
    }

    fn report(&mut self, progress: Progress) {
        if self.last.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.last = Instant::now();
        let Progress {
            layer,
            layers,
            read,
            size,
        } = progress;
        let (number, read, size) = (layer.saturating_add(1), read / MEGABYTE, size / MEGABYTE);
        let name = escaped(self.name, TEXT_LIMIT);
        // Progress that cannot be written does not stop the work.
        drop(writeln!(
            self.err,
            "reading layer {number} of {layers} of {name}: {read} of {size} MB"
        ));
    }
}
