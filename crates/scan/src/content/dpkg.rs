//! The database of dpkg: packages, the lists of their files, and diversions.
//!
//! Here: `status`, the files of `status.d` that images without dpkg have, `info/*.list`, `info/*.md5sums` and
//! `diversions`. Not here: which release the packages are of.
//! Invariant: pure, bounded. A package counts in each state in which files of it can be there. A stanza that cannot be
//! read is a fact with its number, and hides no other.

#[cfg(test)]
mod tests;

use super::paths::Paths;
use super::records::{Faults, records, set, text};
use super::{Content, DATABASE_LIMIT, Fact, Interest, PACKAGES_LIMIT, whole};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use serde::{Deserialize, Serialize};

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture that it was built for. None if the stanza does not say so.
    pub architecture: Option<String>,
    /// The source package that it was built from. If unset, that has its name and version.
    pub source: Option<Source>,
}

/// A source package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its version. If unset, that of the package.
    pub version: Option<String>,
}

/// The files of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// The package.
    pub package: String,
    /// The architecture, if packages of several architectures can be installed at once.
    pub architecture: Option<String>,
    /// Its files and directories.
    pub paths: Paths,
}

/// A file that is installed under another name, so that the file of another package does not replace it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// Its path in the package.
    pub from: Vec<u8>,
    /// Its path in the image.
    pub to: Vec<u8>,
    /// The package whose file is not diverted. None if it was diverted by hand.
    pub package: Option<String>,
}

/// The file that names the packages.
const STATUS: &[u8] = b"var/lib/dpkg/status";
/// The directory with a file for each package, in images that were made without dpkg.
const STATUS_D: &[u8] = b"var/lib/dpkg/status.d/";
/// The directory with the lists of files.
const INFO: &[u8] = b"var/lib/dpkg/info/";
/// The file that names the diversions.
const DIVERSIONS: &[u8] = b"var/lib/dpkg/diversions";

const DATABASE: &str = "dpkg database";
const FILE_LIST: &str = "dpkg file list";
const DIVERSION_LIST: &str = "dpkg diversions";

/// What a file of the database is.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// It has stanzas of packages.
    Packages,
    /// It has a path on each line.
    Files(&'a [u8]),
    /// It has a sum and a path on each line.
    Sums(&'a [u8]),
    /// It has three lines for each diversion.
    Diversions,
}

impl<'a> Part<'a> {
    fn of(path: &'a [u8]) -> Option<Self> {
        let is_name = |name: &&[u8]| !name.is_empty() && !name.contains(&b'/');
        if path == STATUS {
            return Some(Self::Packages);
        }
        if path == DIVERSIONS {
            return Some(Self::Diversions);
        }
        if let Some(name) = path.strip_prefix(STATUS_D).filter(is_name) {
            let sums = name.strip_suffix(b".md5sums").filter(is_name);
            return Some(sums.map_or(Self::Packages, Self::Sums));
        }
        let name = path.strip_prefix(INFO).filter(is_name)?;
        let files = name.strip_suffix(b".list").map(Self::Files);
        files.or_else(|| name.strip_suffix(b".md5sums").map(Self::Sums))
    }
}

/// How a file is read.
pub(super) fn interest(path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    Part::of(path).map_or(Interest::None, |_| Interest::Whole(DATABASE_LIMIT))
}

/// Adds what a file says.
pub(super) fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    match Part::of(path) {
        None => {}
        Some(Part::Packages) => {
            let bytes = whole(DATABASE, content, DATABASE_LIMIT, facts);
            packages(&bytes, facts);
        }
        Some(Part::Files(name)) => {
            let bytes = whole(FILE_LIST, content, DATABASE_LIMIT, facts);
            file_list(name, bytes.split(|byte| *byte == b'\n'), facts);
        }
        Some(Part::Sums(name)) => {
            let bytes = whole(FILE_LIST, content, DATABASE_LIMIT, facts);
            let lines = bytes.split(|byte| *byte == b'\n');
            // A sum, two spaces and a path.
            let paths = lines.map(|line| {
                let end = line.iter().position(|byte| *byte == b' ');
                let (_, path) = line.split_at(end.unwrap_or(line.len()));
                path.trim_ascii_start()
            });
            file_list(name, paths, facts);
        }
        Some(Part::Diversions) => {
            let bytes = whole(DIVERSION_LIST, content, DATABASE_LIMIT, facts);
            diversions(&bytes, facts);
        }
    }
}

/// Adds the packages of a database.
fn packages(bytes: &[u8], facts: &mut dyn FnMut(Fact)) {
    let mut faults = Faults::of(DATABASE);
    let mut count = 0;
    for (number, stanza) in records(bytes) {
        match package(stanza) {
            Ok(None) => {}
            Ok(Some(_)) if count == PACKAGES_LIMIT => {
                let cause = format!(
                    "it has more than the {PACKAGES_LIMIT} packages that are read, from stanza \
                     {number} on"
                );
                faults.add(cause, facts);
                break;
            }
            Ok(Some(package)) => {
                count += 1;
                facts(Fact::Dpkg(package));
            }
            Err(cause) => faults.add(format!("stanza {number}: {cause}"), facts),
        }
    }
    faults.finish(facts);
}

/// The fields of a stanza that are read.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(stanza: &'a [u8]) -> Result<Self, String> {
        let mut fields = Self::default();
        // Whether the line before this one belongs to a field that is read.
        let mut is_read = false;
        for line in stanza.split(|byte| *byte == b'\n') {
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if is_read && !line.trim_ascii().is_empty() {
                    return Err("a field of one line has several".to_owned());
                }
                continue;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                return Err("a line is no field".to_owned());
            };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let name = name.trim_ascii_end();
            is_read = true;
            if name.eq_ignore_ascii_case(b"Package") {
                set("name", &mut fields.name, value)?;
            } else if name.eq_ignore_ascii_case(b"Version") {
                set("version", &mut fields.version, value)?;
            } else if name.eq_ignore_ascii_case(b"Architecture") {
                set("architecture", &mut fields.architecture, value)?;
            } else if name.eq_ignore_ascii_case(b"Source") {
                set("source package", &mut fields.source, value)?;
            } else if name.eq_ignore_ascii_case(b"Status") {
                set("status", &mut fields.status, value)?;
            } else {
                is_read = false;
            }
        }
        Ok(fields)
    }

    /// Whether files of the package can be there. A stanza without a status, as in `status.d`, and a state that dpkg
    /// does not have, are of a package that is installed.
    fn is_installed(&self) -> bool {
        let Some(status) = self.status else {
            return true;
        };
        let words = status.split(u8::is_ascii_whitespace);
        let state = words.filter(|word| !word.is_empty()).nth(2);
        !matches!(state, Some(b"not-installed" | b"config-files"))
    }
}

/// The package of a stanza. None if it is not installed.
fn package(stanza: &[u8]) -> Result<Option<Package>, String> {
    let fields = Fields::of(stanza)?;
    if !fields.is_installed() {
        return Ok(None);
    }
    let required = |field: &str, value: Option<&[u8]>, limit| {
        let value = value.ok_or_else(|| format!("it has no {field}"))?;
        text(field, value, limit)
    };
    let name = required("name", fields.name, NAME_LIMIT)?;
    let of = |cause: String| format!("package {name}: {cause}");
    let version = required("version", fields.version, VERSION_LIMIT).map_err(of)?;
    let optional = |field: &str, value: Option<&[u8]>| {
        let value = value.filter(|value| !value.is_empty());
        value.map(|value| text(field, value, VERSION_LIMIT))
    };
    Ok(Some(Package {
        architecture: optional("architecture", fields.architecture)
            .transpose()
            .map_err(of)?,
        source: fields.source.map(source).transpose().map_err(of)?,
        version,
        name,
    }))
}

/// The source package: `name` or `name (version)`.
fn source(value: &[u8]) -> Result<Source, String> {
    let Some(open) = value.iter().position(|byte| *byte == b'(') else {
        let name = text("source package", value, NAME_LIMIT)?;
        return Ok(Source {
            name,
            version: None,
        });
    };
    let (name, version) = value.split_at(open);
    let name = text("source package", name, NAME_LIMIT)?;
    let version = version.strip_prefix(b"(").unwrap_or_default();
    let version = version
        .strip_suffix(b")")
        .ok_or("the version of its source package has no end")?;
    let version = text("source version", version, VERSION_LIMIT)?;
    Ok(Source {
        name,
        version: Some(version),
    })
}

/// Adds the list of the files of a package, which is named as the list is: `bash` or `libc6:amd64`.
fn file_list<'a>(name: &[u8], paths: impl Iterator<Item = &'a [u8]>, facts: &mut dyn FnMut(Fact)) {
    let (package, architecture) = match name.iter().position(|byte| *byte == b':') {
        None => (name, None),
        Some(colon) => {
            let (package, architecture) = name.split_at(colon);
            (package, architecture.get(1..))
        }
    };
    let package = text("name", package, NAME_LIMIT);
    let architecture = architecture.map(|value| text("architecture", value, VERSION_LIMIT));
    let list = package.and_then(|package| {
        Ok(FileList {
            package,
            architecture: architecture.transpose()?,
            paths: Paths::default(),
        })
    });
    match list {
        Ok(mut list) => {
            paths.for_each(|path| list.paths.push(path));
            facts(Fact::DpkgFiles(list));
        }
        Err(cause) => facts(super::not_read(FILE_LIST, cause)),
    }
}

/// Adds diversions: three lines each, the path in the package, the path in the image, and the package whose file is not
/// diverted or `:`.
fn diversions(bytes: &[u8], facts: &mut dyn FnMut(Fact)) {
    let mut faults = Faults::of(DIVERSION_LIST);
    let lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .take(PACKAGES_LIMIT.saturating_mul(3).saturating_add(1))
        .collect();
    let mut triples = lines.chunks_exact(3);
    for (index, triple) in triples.by_ref().enumerate() {
        let [from, to, package] = triple else {
            continue;
        };
        let package = match *package {
            b":" => Ok(None),
            name => text("package", name, NAME_LIMIT).map(Some),
        };
        match package {
            Ok(package) => facts(Fact::DpkgDiversion(Diversion {
                from: relative(from),
                to: relative(to),
                package,
            })),
            Err(cause) => faults.add(format!("diversion {}: {cause}", index + 1), facts),
        }
    }
    if triples.remainder().iter().any(|line| !line.is_empty()) {
        faults.add(
            "the last diversion is not complete, or there are too many",
            facts,
        );
    }
    faults.finish(facts);
}

/// A path relative to the root.
fn relative(path: &[u8]) -> Vec<u8> {
    let start = path.iter().position(|byte| *byte != b'/');
    path.get(start.unwrap_or(path.len())..)
        .unwrap_or_default()
        .to_vec()
}
