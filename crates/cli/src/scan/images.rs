//! The packages of images.
//!
//! Here: from layers to packages, and what is known about each image. Not here: where images come from (`image`), how
//! layers are read (`bailiff_image`), and what their files mean (`bailiff_scan::inventory`).
//! Invariant: what of an image could not be read is an error that names it, and removes no package.

use super::TEXT_LIMIT;
use super::args::ScanArgs;
use super::image::{self, Environment, NothingSelected};
use super::packages::Packages;
use crate::Error;
use bailiff_image::{OpenLayer, Progress, Sandbox, SandboxMode, Sandboxed, read_image};
use bailiff_oci::image::{BASE_NAME, Base, Image, LayerContent, base_layers};
use bailiff_response::messages::escaped;
use bailiff_scan::inventory::inventory;
use bailiff_scan::result::{Target, Unread};
use std::io::Write;
use std::time::{Duration, Instant};

/// Time before the first line about progress, and between lines.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
const MEGABYTE: u64 = 1_000_000;

/// What is known about an image that was scanned, besides its packages.
#[derive(Debug)]
pub(super) struct ScannedImage {
    /// What it was asked for as.
    pub(super) reference: String,
    /// The digest of its manifest, or what stands for it.
    pub(super) digest: String,
    /// The number of its layers.
    pub(super) layers: usize,
    /// The name of the base, as the image states it.
    pub(super) base_name: Option<String>,
    /// Which sandbox the processes had that read it.
    pub(super) sandboxed: Sandboxed,
}

/// What the command line selected.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// The images, in the order of the targets.
    pub(super) scanned: Vec<ScannedImage>,
    /// What was selected and is no image.
    pub(super) nothing: Vec<NothingSelected>,
    /// Platforms that were not selected.
    pub(super) other_platforms: Vec<String>,
}

/// Reads the packages of the images that the command line selects.
///
/// # Errors
/// If there is no image that can be read, or no layer of those that have one.
pub(super) fn gather(args: &ScanArgs, err: &mut impl Write) -> Result<Packages, Error> {
    let gathered = image::gather(&args.image, &Environment::of_process(), err)?;
    let asked = args.image.image.as_deref().unwrap_or_default();
    let from = escaped(asked, TEXT_LIMIT);
    let mut errors = Unread::default();
    for fault in &gathered.faults {
        errors.add(&format!("all of {from}: {fault}"));
    }
    let mode = if args.no_sandbox {
        SandboxMode::Off
    } else {
        SandboxMode::Required
    };
    let mut targets = Vec::new();
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
        let (target, image, cause) = scan(image, &name, mode, &mut errors, err);
        match cause {
            None => is_read = true,
            Some(cause) => unread = unread.or(Some(cause)),
        }
        targets.push(target);
        scanned.push(image);
    }
    if let Some(cause) = unread.filter(|_| !is_read) {
        let cause = escaped(&cause, TEXT_LIMIT);
        return Err(Error::Input(format!(
            "cannot scan {from}: no layer was read: {cause}"
        )));
    }
    Ok(Packages {
        from,
        targets,
        images: Some(Images {
            scanned,
            nothing: gathered.nothing,
            other_platforms: gathered.other_platforms,
        }),
        unread: errors,
    })
}

/// Reads the layers of an image. The text is the first cause if there are layers, and none was read.
fn scan(
    image: Image,
    name: &str,
    mode: SandboxMode,
    errors: &mut Unread,
    err: &mut impl Write,
) -> (Target, ScannedImage, Option<String>) {
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
                blobs.push(OpenLayer {
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
            Ok(file) => blobs.push(OpenLayer {
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
        layers: count,
        base_name: base_name.cloned(),
        sandboxed: content.sandboxed,
    };
    let target = Target {
        platform: Some(image.platform),
        base_layers: base,
        inventory: found,
    };
    (target, scanned, first.filter(|_| !is_read))
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
