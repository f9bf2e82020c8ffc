//! What of an image is no package, and how it was read.
//!
//! Here: the text, and the fields for programs. Not here: what was found (`bailiff_scan::inventory`).
//! Invariant: text of images is escaped. Each kind of gap has a line with its number.

use super::super::images::{Images, ScannedImage};
use super::{CELL_LIMIT, counted, names, names_of};
use bailiff_response::messages::escaped;
use bailiff_scan::inventory::{BinaryKind, Coverage, List, Statement};
use serde_json::{Value as Json, json};

/// Names in a list.
const NAMES_LIMIT: usize = 5;
/// Entries of a list for programs.
const ENTRIES_LIMIT: usize = 1000;

/// The lines about all images.
pub(super) fn lines(images: &Images) -> Vec<String> {
    let mut lines = Vec::new();
    for image in &images.scanned {
        lines.push(about(image));
        let coverage = coverage(&image.coverage);
        lines.extend(coverage.into_iter().map(|line| format!("  {line}")));
    }
    for nothing in &images.nothing {
        lines.push(format!(
            "Nothing to scan: {} is {}.",
            escaped(&nothing.reference, CELL_LIMIT),
            escaped(&nothing.what, CELL_LIMIT)
        ));
    }
    if !images.other_platforms.is_empty() {
        lines.push(format!(
            "Other platforms, not scanned: {}. Set --platform to one of them, or to all.",
            names(&images.other_platforms, 2 * NAMES_LIMIT)
        ));
    }
    lines
}

/// An image, and how it was read.
fn about(image: &ScannedImage) -> String {
    let layers = counted(image.layers, "layer");
    let base = match image.base_layers {
        None => "the base is unknown".to_owned(),
        Some(1) => "layer 1 is probably the base".to_owned(),
        Some(base) => format!("layers 1 to {base} are probably the base"),
    };
    let name = image.base_name.as_ref();
    let name = name.map_or_else(String::new, |name| {
        format!(", which the image calls {}", escaped(name, CELL_LIMIT))
    });
    format!(
        "Image {} ({}, {}): {layers}; {base}{name}; {}.",
        escaped(&image.reference, CELL_LIMIT),
        escaped(&image.platform, CELL_LIMIT),
        escaped(&image.digest, CELL_LIMIT),
        image.confined
    )
}

/// What of an image is no package.
fn coverage(of: &Coverage) -> Vec<String> {
    let mut lines = Vec::new();
    if !of.unidentified.is_empty() {
        let paths = of.unidentified.first.iter();
        lines.push(format!(
            "{} of {} belong to no package, so nothing is known about them: {}.",
            counted(of.unidentified.count, "file"),
            counted(of.binaries, "binary"),
            first(paths.map(|file| file.path.clone()), of.unidentified.count)
        ));
    }
    for not_read in of.not_read.first.iter().take(NAMES_LIMIT) {
        lines.push(format!(
            "Not read: {} {}: {}.",
            escaped(&not_read.what, CELL_LIMIT),
            escaped(&not_read.path, CELL_LIMIT),
            escaped(&not_read.cause, CELL_LIMIT)
        ));
    }
    if of.not_read.count > NAMES_LIMIT {
        let more = of.not_read.count.saturating_sub(NAMES_LIMIT);
        lines.push(format!("Not read: {more} more; -o json lists them."));
    }
    for not_covered in &of.not_covered {
        lines.push(format!(
            "Not matched: {} of {}: {}.",
            counted(not_covered.packages, "package"),
            not_covered.database,
            escaped(&not_covered.cause, 2 * CELL_LIMIT)
        ));
    }
    for (database, statements) in &of.conflicts {
        lines.push(format!(
            "Files disagree about the release of {database}, so its packages count for each: {}.",
            stated(statements)
        ));
    }
    if let Some(release) = &of.release_without_database {
        lines.push(format!(
            "{} names {}, and there is no database of its packages.",
            escaped(&release.source, CELL_LIMIT),
            escaped(&release.release, CELL_LIMIT)
        ));
    }
    for (database, layer) in &of.deleted_databases {
        lines.push(format!(
            "Layer {} deletes the database of {database}. The packages of the layers below it count.",
            layer.saturating_add(1)
        ));
    }
    if !of.removed.is_empty() {
        let removed = of.removed.first.iter();
        let removed = removed.map(|package| format!("{} {}", package.name, package.version));
        lines.push(format!(
            "Removed from the database while their files stay, and counted: {}.",
            first(removed, of.removed.count)
        ));
    }
    if !of.lists_without_package.is_empty() {
        lines.push(format!(
            "Lists of files of packages that are not installed: {}.",
            first(
                of.lists_without_package.first.iter().cloned(),
                of.lists_without_package.count
            )
        ));
    }
    if !of.packages_without_files.is_empty() {
        lines.push(format!(
            "Packages of whose files none is there: {}.",
            first(
                of.packages_without_files.first.iter().cloned(),
                of.packages_without_files.count
            )
        ));
    }
    lines
}

/// Why results about images are incomplete: one text for each kind of gap of an image.
pub(in super::super) fn gaps(images: &Images) -> Vec<String> {
    let mut all = Vec::new();
    for image in &images.scanned {
        let of = &image.coverage;
        let name = format!("{} ({})", image.reference, image.platform);
        let name = escaped(&name, CELL_LIMIT);
        let mut add = |gap: String| all.push(format!("{name}: {}", escaped(&gap, 4 * CELL_LIMIT)));
        if let Some(file) = of.unidentified.first.first() {
            add(format!(
                "{} of {} in no package, such as {}",
                counted(of.unidentified.count, "file"),
                counted(of.binaries, "binary"),
                file.path
            ));
        }
        if let Some(file) = of.not_read.first.first() {
            add(format!(
                "{} not read, such as {} {}: {}",
                counted(of.not_read.count, "file"),
                file.what,
                file.path,
                file.cause
            ));
        }
        for of in &of.not_covered {
            let packages = counted(of.packages, "package");
            add(format!(
                "{packages} of {} not matched: {}",
                of.database, of.cause
            ));
        }
        for (database, _) in &of.conflicts {
            add(format!("files disagree about the release of {database}"));
        }
        if let Some(release) = &of.release_without_database {
            add(format!(
                "{} names {}, and there is no database of its packages",
                release.source, release.release
            ));
        }
        for (database, layer) in &of.deleted_databases {
            let layer = layer.saturating_add(1);
            add(format!("layer {layer} deletes the database of {database}"));
        }
        if let Some(removed) = of.removed.first.first() {
            add(format!(
                "{} removed from the database while files stay, such as {} {}",
                counted(of.removed.count, "package"),
                removed.name,
                removed.version
            ));
        }
        if let Some(path) = of.lists_without_package.first.first() {
            add(format!(
                "{} of files of packages that are not installed, such as {path}",
                counted(of.lists_without_package.count, "list")
            ));
        }
        if let Some(package) = of.packages_without_files.first.first() {
            add(format!(
                "{} of whose files none is there, such as {package}",
                counted(of.packages_without_files.count, "package")
            ));
        }
    }
    all
}

/// What files say about the release.
fn stated(statements: &[Statement]) -> String {
    let statements = statements
        .iter()
        .map(|of| format!("{} says {}", of.source, of.release));
    let statements: Vec<_> = statements.collect();
    names(&statements, NAMES_LIMIT)
}

/// The first of a list of which there are `count`.
fn first(items: impl Iterator<Item = String>, count: usize) -> String {
    let shown: Vec<_> = items.take(NAMES_LIMIT).collect();
    names_of(&shown, count)
}

/// The images, for programs.
pub(super) fn json(images: &Images) -> Json {
    let scanned = images.scanned.iter().map(|image| {
        let of = &image.coverage;
        json!({
            "reference": image.reference,
            "digest": image.digest,
            "platform": image.platform,
            "layers": image.layers,
            "baseLayers": image.base_layers,
            "baseName": image.base_name,
            "distributions": image.distributions,
            "confinement": image.confined.to_string(),
            "coverage": {
                "complete": of.is_complete(),
                "binaries": of.binaries,
                "unidentified": list(&of.unidentified, |file| json!({
                    "path": file.path,
                    "kind": kind(file.kind),
                })),
                "notRead": list(&of.not_read, |file| json!({
                    "path": file.path, "what": file.what, "cause": file.cause,
                })),
                "notCovered": of.not_covered.iter().map(|of| json!({
                    "database": of.database.to_string(), "packages": of.packages, "cause": of.cause,
                })).collect::<Vec<_>>(),
                "conflicts": of.conflicts.iter().map(|(database, statements)| json!({
                    "database": database.to_string(),
                    "statements": statements.iter().map(|of| json!({
                        "source": of.source, "release": of.release,
                    })).collect::<Vec<_>>(),
                })).collect::<Vec<_>>(),
                "releaseWithoutDatabase": of.release_without_database.as_ref().map(|of| json!({
                    "source": of.source, "release": of.release,
                })),
                "deletedDatabases": of.deleted_databases.iter().map(|(database, layer)| json!({
                    "database": database.to_string(), "layer": layer.saturating_add(1),
                })).collect::<Vec<_>>(),
                "removed": list(&of.removed, |of| json!({
                    "name": of.name, "version": of.version, "lastLayer": of.last_layer.saturating_add(1),
                })),
                "listsWithoutPackage": list(&of.lists_without_package, |path| json!(path)),
                "packagesWithoutFiles": list(&of.packages_without_files, |name| json!(name)),
            },
        })
    });
    let nothing = images.nothing.iter().map(
        |of| json!({"reference": of.reference, "digest": of.digest.to_string(), "what": of.what}),
    );
    json!({
        "scanned": scanned.collect::<Vec<_>>(),
        "nothingToScan": nothing.collect::<Vec<_>>(),
        "otherPlatforms": images.other_platforms,
    })
}

/// What a binary is called.
fn kind(of: BinaryKind) -> &'static str {
    match of {
        BinaryKind::Elf(_) => "ELF",
        BinaryKind::Java => "Java",
        BinaryKind::Packed => "Compressed",
    }
}

/// The first entries of a list, and how many there are.
fn list<T>(of: &List<T>, entry: impl Fn(&T) -> Json) -> Json {
    json!({
        "count": of.count,
        "first": of.first.iter().take(ENTRIES_LIMIT).map(entry).collect::<Vec<_>>(),
    })
}
