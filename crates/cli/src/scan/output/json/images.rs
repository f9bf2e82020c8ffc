//! Images for programs.
//!
//! Here: the fields of images and their coverage, and what they have. Not here: what was found
//! (`bailiff_scan::inventory`).
//! Invariant: each kind of gap has a field with its number.

use super::super::super::images::{Images as FoundImages, ScannedImage};
use super::words::BinaryWord;
use bailiff_scan::inventory::{self, List};
use bailiff_scan::result::Covered;
use schemars::JsonSchema;
use serde::Serialize;

/// Entries of a list.
const ENTRIES_LIMIT: usize = 1000;

/// The images.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Images<'a> {
    /// Those that were scanned: one for each platform.
    scanned: Vec<Image<'a>>,
    /// What was selected and is no image.
    nothing_to_scan: Vec<NothingToScan<'a>>,
    /// Platforms that were not selected.
    other_platforms: &'a [String],
}

/// An image that was scanned.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    /// What it was asked for as.
    reference: &'a str,
    /// The digest of its manifest. Of a directory, one that Bailiff computes.
    digest: &'a str,
    /// Its platform, such as `linux/amd64`.
    platform: &'a str,
    /// The number of its layers.
    layers: usize,
    /// The number of the layers that are probably the base. Null if that is unknown.
    base_layers: Option<u32>,
    /// The name of the base, as the image states it. Null if it states none.
    base_name: Option<&'a str>,
    /// The releases of distributions that its packages are of.
    distributions: Vec<String>,
    /// How its layers were read.
    sandbox: String,
    /// What of it is no package.
    coverage: Coverage<'a>,
}

/// What was selected and is no image.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NothingToScan<'a> {
    /// What it was asked for as.
    reference: &'a str,
    /// The digest of its manifest.
    digest: String,
    /// What it is, such as `a Helm chart`.
    what: &'a str,
}

/// What of an image is no package, or could not be read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImageCoverage")]
struct Coverage<'a> {
    /// Whether each binary has a package, everything was read, and nothing contradicts.
    complete: bool,
    /// The number of ELF files and Java archives, also those in archives.
    binaries: usize,
    /// Binaries that belong to no package.
    unidentified: Entries<Unidentified<'a>>,
    /// Files, or parts of them, that could not be read.
    not_read: Entries<NotRead<'a>>,
    /// Databases whose packages are not matched.
    not_covered: Vec<NotCovered<'a>>,
    /// Databases whose release is named differently by several files.
    conflicts: Vec<Conflict<'a>>,
    /// The release of a distribution of whose packages there is no database. Null if there is none.
    release_without_database: Option<Statement<'a>>,
    /// Databases that a layer deleted.
    deleted_databases: Vec<DeletedDatabase>,
    /// Packages that a layer removed from a database, or gave another version there, and whose files stay.
    removed: Entries<Removed<'a>>,
    /// Lists of the files of packages that are not installed, and of which files are there.
    lists_without_package: Entries<&'a str>,
    /// Packages of a distribution that have a list of files, none of which is there.
    packages_without_files: Entries<&'a str>,
}

/// The first ones of many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "List_of_{T}")]
struct Entries<T> {
    /// The number of all.
    count: usize,
    /// The first 1,000.
    first: Vec<T>,
}

/// A binary that belongs to no package.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Unidentified<'a> {
    /// Its path; `!/` separates the path in an archive.
    path: &'a str,
    /// What it is.
    kind: BinaryWord,
}

/// A file of which something could not be read.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NotRead<'a> {
    /// Its path.
    path: &'a str,
    /// What it is, such as `dpkg database`.
    what: &'a str,
    /// Why it could not be read.
    cause: &'a str,
}

/// A database whose packages are not matched.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NotCovered<'a> {
    /// The database: `dpkg` or `apk`.
    database: String,
    /// The number of its packages.
    packages: usize,
    /// Why they are not matched.
    cause: &'a str,
}

/// A database whose release is named differently by several files.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Conflict<'a> {
    /// The database: `dpkg` or `apk`.
    database: String,
    /// What each file states.
    statements: Vec<Statement<'a>>,
}

/// What a file or a package states about the release.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReleaseStatement")]
struct Statement<'a> {
    /// The path of the file, or the package.
    source: &'a str,
    /// The distribution and its release, such as `Debian 12`.
    release: &'a str,
}

/// A database that a layer deleted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DeletedDatabase {
    /// The database: `dpkg` or `apk`.
    database: String,
    /// The last layer that has it, from 1.
    layer: u32,
}

/// A package that a layer removed from its database, or gave another version there, and whose files stay.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Removed<'a> {
    /// Its name.
    name: &'a str,
    /// Its version.
    version: &'a str,
    /// The last layer whose database has it, from 1.
    last_layer: u32,
}

/// The images, and those of them that were scanned.
pub(super) fn of<'a>(
    images: &'a FoundImages,
    scanned: impl Iterator<Item = (&'a ScannedImage, &'a Covered)>,
) -> Images<'a> {
    let scanned = scanned.map(|(image, covered)| Image {
        reference: &image.reference,
        digest: &image.digest,
        platform: covered.platform.as_deref().unwrap_or_default(),
        layers: image.layers,
        base_layers: covered.base_layers,
        base_name: image.base_name.as_deref(),
        distributions: covered
            .distributions
            .iter()
            .map(ToString::to_string)
            .collect(),
        sandbox: image.sandboxed.to_string(),
        coverage: coverage(&covered.coverage),
    });
    let nothing = images.nothing.iter().map(|of| NothingToScan {
        reference: &of.reference,
        digest: of.digest.to_string(),
        what: &of.what,
    });
    Images {
        scanned: scanned.collect(),
        nothing_to_scan: nothing.collect(),
        other_platforms: &images.other_platforms,
    }
}

fn coverage(of: &inventory::Coverage) -> Coverage<'_> {
    let not_covered = of.not_covered.iter().map(|of| NotCovered {
        database: of.database.to_string(),
        packages: of.packages,
        cause: &of.cause,
    });
    let conflicts = of.conflicts.iter().map(|(database, statements)| Conflict {
        database: database.to_string(),
        statements: statements.iter().map(statement).collect(),
    });
    let deleted = of.deleted_databases.iter();
    let deleted = deleted.map(|(database, layer)| DeletedDatabase {
        database: database.to_string(),
        layer: layer.saturating_add(1),
    });
    Coverage {
        complete: of.is_complete(),
        binaries: of.binaries,
        unidentified: entries(&of.unidentified, |file| Unidentified {
            path: &file.path,
            kind: file.kind.into(),
        }),
        not_read: entries(&of.not_read, |file| NotRead {
            path: &file.path,
            what: &file.what,
            cause: &file.cause,
        }),
        not_covered: not_covered.collect(),
        conflicts: conflicts.collect(),
        release_without_database: of.release_without_database.as_ref().map(statement),
        deleted_databases: deleted.collect(),
        removed: entries(&of.removed, |of| Removed {
            name: &of.name,
            version: &of.version,
            last_layer: of.last_layer.saturating_add(1),
        }),
        lists_without_package: entries(&of.lists_without_package, String::as_str),
        packages_without_files: entries(&of.packages_without_files, String::as_str),
    }
}

fn statement(of: &inventory::Statement) -> Statement<'_> {
    Statement {
        source: &of.source,
        release: &of.release,
    }
}

/// The first entries of a list, and how many there are.
fn entries<'a, T, E>(of: &'a List<T>, entry: impl Fn(&'a T) -> E) -> Entries<E> {
    Entries {
        count: of.count,
        first: of.first.iter().take(ENTRIES_LIMIT).map(entry).collect(),
    }
}
