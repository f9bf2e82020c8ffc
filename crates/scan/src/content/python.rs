//! Metadata of Python distributions: dist-info, and egg-info as a file and as a directory.
//!
//! Here: what the metadata says, which files a distribution has, and the lists of copies in other distributions
//! (`_vendor/vendor.txt`). Not here: whether a distribution is still installed.
//! Invariant: pure, bounded. Names and versions are those of the headers, never of the description below them. What
//! cannot be read is a fact, and the name of the directory counts then.

use super::paths::{PATH_LIMIT, Paths};
use super::stated::{self, Facts, Values, lines};
use super::{Content, Fact, Interest, METADATA_LIMIT, whole};
use crate::ecosystem::Ecosystem;
use crate::version::Scheme;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// A distribution of Python.
///
/// Several files state one distribution: `METADATA`, and beside it `RECORD`. Each has a fact. They have equal names and
/// versions, unless the name of the directory and the metadata disagree: then each of the two counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Its name, in the normal form of PEP 503.
    pub name: String,
    /// Its version. Empty if none could be read: then it cannot be compared.
    pub version: String,
    /// What states it.
    pub source: Source,
    /// Whether it is a copy in another distribution, such as in `pip/_vendor`, or a wheel that is not installed.
    pub vendored: bool,
    /// Its files, relative to the directory that has its dist-info or egg-info. Empty if this file is no list of them.
    pub files: Paths,
    /// The path in the archive that has the metadata, as in [`java::Archive`](super::java::Archive). Empty if it is a
    /// file of the image.
    pub path_in_archive: String,
}

/// What states a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// The headers of `METADATA`, `PKG-INFO`, or an egg-info that is a file.
    Headers,
    /// The name of the dist-info or egg-info, which differs from the headers, or they cannot be read.
    DirectoryName,
    /// The list of its files, with the name of the directory.
    FileList,
    /// A list of the copies that a distribution has of others.
    VendorList,
}

/// Bytes of the paths of a distribution. Only hostile ones take more than their list.
const FILES_LIMIT: usize = 2 * METADATA_LIMIT;
/// Copies in a list of them. pip has some twenty.
const COPIES_LIMIT: usize = 1000;

/// What files of Python are called in messages.
const WHAT: &str = "Python metadata";

/// How a file is read.
pub(super) fn interest(path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    match Kind::of(path) {
        Some(_) => Interest::Whole(METADATA_LIMIT),
        None => Interest::None,
    }
}

/// Whether the name of a symbolic link gives a meaning to what it leads to.
pub(super) fn gives_meaning(link: &[u8]) -> bool {
    let name = link.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_directory = ends_with(name, b".dist-info")
        || ends_with(name, b".egg-info")
        || name.eq_ignore_ascii_case(b"EGG-INFO")
        || name == b"_vendor";
    is_directory || Kind::of(link).is_some()
}

/// Adds what a file says.
pub(super) fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let bytes = whole(WHAT, content, METADATA_LIMIT, facts);
    read_bytes(path, "", &bytes, facts);
}

/// Whether a file of an archive is read.
pub(super) fn is_read(path: &[u8]) -> bool {
    Kind::of(path).is_some()
}

/// Adds what the first [`METADATA_LIMIT`] bytes of a file say, which can be part of an archive.
pub(super) fn read_bytes(
    path: &[u8],
    path_in_archive: &str,
    bytes: &[u8],
    facts: &mut dyn FnMut(Fact),
) {
    let Some(kind) = Kind::of(path) else {
        return;
    };
    let mut facts = Facts::of(WHAT, facts);
    // An egg is installed as an archive, a wheel is not.
    let is_wheel = !path_in_archive.is_empty() && !path.starts_with(b"EGG-INFO/");
    let is_vendored = is_vendored(path) || is_wheel;
    let add = |facts: &mut Facts<'_>, (name, version): (String, String), source, files| {
        facts.add(Fact::Python(Distribution {
            name,
            version,
            source,
            vendored: is_vendored || source == Source::VendorList,
            files,
            path_in_archive: path_in_archive.to_owned(),
        }));
    };
    match kind {
        Kind::Headers(directory) => {
            let all = stated_by_headers(bytes, directory, &mut facts);
            for (stated, source) in all {
                add(&mut facts, stated, source, Paths::default());
            }
        }
        Kind::Record(directory) | Kind::InstalledFiles(directory) => {
            let Some(stated) = of_directory(directory) else {
                facts.fault("the name of its directory has no name and version");
                facts.end();
                return;
            };
            let files = match kind {
                Kind::InstalledFiles(_) => installed_files(bytes, directory),
                Kind::Headers(_) | Kind::Record(_) | Kind::VendorList => record(bytes, path),
            };
            if files.size() > FILES_LIMIT {
                facts.fault("its files have longer paths than are read");
            }
            add(&mut facts, stated, Source::FileList, files);
        }
        Kind::VendorList => {
            let copies = vendor_list(bytes);
            if copies.len() > COPIES_LIMIT {
                let cause = format!("it lists more than the {COPIES_LIMIT} copies that are read");
                facts.fault(cause);
            }
            for stated in copies.into_iter().take(COPIES_LIMIT) {
                add(&mut facts, stated, Source::VendorList, Paths::default());
            }
        }
    }
    facts.end();
}

/// A file that says something about distributions. The path has its dist-info or egg-info.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// Headers about one distribution.
    Headers(&'a [u8]),
    /// `RECORD`: the files, relative to the directory above.
    Record(&'a [u8]),
    /// `installed-files.txt`: the files, relative to the egg-info.
    InstalledFiles(&'a [u8]),
    /// The copies that a distribution has of others.
    VendorList,
}

impl<'a> Kind<'a> {
    fn of(path: &'a [u8]) -> Option<Self> {
        let mut parts = path.rsplit(|byte| *byte == b'/');
        let file = parts.next()?;
        let directory = parts.next().unwrap_or_default();
        if ends_with(file, b".egg-info") && file.len() > b".egg-info".len() {
            return Some(Self::Headers(file));
        }
        let described = if directory.eq_ignore_ascii_case(b"EGG-INFO") {
            // The directory above is the egg.
            Some(parts.next().unwrap_or_default())
        } else {
            let is = [&b".dist-info"[..], b".egg-info"]
                .iter()
                .any(|end| ends_with(directory, end));
            is.then_some(directory)
        };
        match (file, described) {
            (b"METADATA" | b"PKG-INFO", Some(directory)) => Some(Self::Headers(directory)),
            (b"RECORD", Some(directory)) => Some(Self::Record(directory)),
            (b"installed-files.txt", Some(directory)) => Some(Self::InstalledFiles(directory)),
            (b"vendor.txt" | b"vendored.txt", None) if directory == b"_vendor" => {
                Some(Self::VendorList)
            }
            _ => None,
        }
    }
}

/// Tools do not distinguish the case of these endings.
fn ends_with(name: &[u8], end: &[u8]) -> bool {
    let start = name.len().checked_sub(end.len());
    let own = start.and_then(|start| name.get(start..));
    own.is_some_and(|own| own.eq_ignore_ascii_case(end))
}

/// Whether a path is in another distribution: below a directory for copies, or below a directory that is itself below
/// that of the distributions.
fn is_vendored(path: &[u8]) -> bool {
    let parts: Vec<_> = path.split(|byte| *byte == b'/').collect();
    let is_copies = |part: &&[u8]| {
        matches!(
            *part,
            b"_vendor" | b"vendor" | b"_vendored" | b"vendored" | b"_vendored_packages"
        )
    };
    let is_root = |part: &&[u8]| matches!(*part, b"site-packages" | b"dist-packages");
    let Some(root) = parts.iter().rposition(is_root) else {
        return parts.iter().any(is_copies);
    };
    let below = parts.get(root + 1..).unwrap_or_default();
    if below.iter().any(is_copies) {
        return true;
    }
    match below {
        [egg, information, _] if information.eq_ignore_ascii_case(b"EGG-INFO") => {
            !ends_with(egg, b".egg")
        }
        [_, _, _, ..] => true,
        [] | [_] | [_, _] => false,
    }
}

/// The name and version in the name of a dist-info, egg-info or egg, such as `Jinja2-2.11.2.dist-info` or
/// `zope.event-4.5-py3.9.egg-info`.
fn of_directory(directory: &[u8]) -> Option<(String, String)> {
    let directory = str::from_utf8(directory).ok()?;
    let (stem, _) = directory.rsplit_once('.')?;
    let mut parts: Vec<_> = stem.split('-').collect();
    let is_python = |part: &&str| {
        let version = part.strip_prefix("py");
        version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    // The version of Python and the platform follow.
    if let Some(end) = parts.iter().skip(2).position(is_python) {
        parts.truncate(end + 2);
    }
    let version = parts.pop()?;
    let name = normal_name(&parts.join("-")).ok()?;
    // A hyphen of the version is written so.
    let version = stated::version(&version.replace('_', "-")).ok()?;
    Some((name, version))
}

/// A name in its normal form.
///
/// # Errors
/// If it is no name of PEP 508.
fn normal_name(text: &str) -> Result<String, String> {
    let name = stated::name(text, "-_.")?;
    if name.starts_with(['-', '_', '.']) || name.ends_with(['-', '_', '.']) {
        return Err(format!("its name is {}", stated::shown(&name)));
    }
    Ok(Ecosystem::PyPi.normal_name(&name).into_owned())
}

/// The distributions that headers state, and that of the name of the directory if it is another one.
fn stated_by_headers(
    bytes: &[u8],
    directory: &[u8],
    facts: &mut Facts<'_>,
) -> Vec<((String, String), Source)> {
    let headers = Headers::of(bytes);
    let of_directory = of_directory(directory);
    let names = headers
        .names
        .checked(normal_name, |cause| facts.fault(cause));
    let versions = headers
        .versions
        .checked(stated::version, |cause| facts.fault(cause));
    if headers.names.iter().next().is_none() {
        facts.fault("it has no header Name");
    }
    if headers.versions.iter().next().is_none() {
        facts.fault("it has no header Version");
    }
    let mut all = Vec::new();
    for name in &names {
        for version in &versions {
            all.push(((name.clone(), version.clone()), Source::Headers));
        }
        let is_of_directory = of_directory.as_ref().is_some_and(|(own, _)| own == name);
        if versions.is_empty() && !is_of_directory {
            all.push(((name.clone(), String::new()), Source::Headers));
        }
    }
    if let Some(stated) = of_directory {
        let is_known = all.iter().any(|(other, _)| is_same(other, &stated));
        if !is_known {
            all.push((stated, Source::DirectoryName));
        }
    } else if names.is_empty()
        && let Some(name) = name_of_directory(directory)
    {
        for version in versions
            .iter()
            .cloned()
            .chain(versions.is_empty().then(String::new))
        {
            all.push(((name.clone(), version), Source::DirectoryName));
        }
    }
    all
}

/// The name in the name of an egg-info without a version.
fn name_of_directory(directory: &[u8]) -> Option<String> {
    let (stem, _) = str::from_utf8(directory).ok()?.rsplit_once('.')?;
    normal_name(stem).ok()
}

/// Whether two distributions are equal, also if the version is written in another way.
fn is_same(a: &(String, String), b: &(String, String)) -> bool {
    let is_version = || Scheme::Pep440.compare(&a.1, &b.1) == Ok(Ordering::Equal);
    a.0 == b.0 && (a.1 == b.1 || is_version())
}

/// What the headers state, as the library of Python reads them: they end with an empty line, or a line that is none.
#[derive(Default)]
struct Headers {
    names: Values,
    versions: Values,
}

impl Headers {
    fn of(bytes: &[u8]) -> Self {
        let mut headers = Self::default();
        let mut open: Option<(Field, Vec<u8>)> = None;
        // A mark of the byte order is not part of a header.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for line in lines(bytes) {
            if line.is_empty() {
                break;
            }
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                if let Some((_, value)) = &mut open {
                    value.push(b' ');
                    value.extend_from_slice(line.trim_ascii());
                }
                continue;
            }
            headers.close(open.take());
            if line.starts_with(b"From ") {
                continue;
            }
            let mut parts = line.splitn(2, |byte| *byte == b':');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
                break;
            };
            if !name.iter().all(u8::is_ascii_graphic) {
                break;
            }
            let field = if name.eq_ignore_ascii_case(b"Name") {
                Some(Field::Name)
            } else if name.eq_ignore_ascii_case(b"Version") {
                Some(Field::Version)
            } else {
                None
            };
            open = field.map(|field| (field, value.to_vec()));
        }
        headers.close(open);
        headers
    }

    fn close(&mut self, header: Option<(Field, Vec<u8>)>) {
        let Some((field, value)) = header else {
            return;
        };
        let value = String::from_utf8_lossy(&value).trim().to_owned();
        match field {
            Field::Name => self.names.push(value),
            Field::Version => self.versions.push(value),
        }
    }
}

/// A header that is kept.
enum Field {
    Name,
    Version,
}

/// The files of a `RECORD`: the first field of each line of CSV. The last one can exceed [`FILES_LIMIT`].
fn record(bytes: &[u8], path: &[u8]) -> Paths {
    // To the root from the directory that has the dist-info.
    let parts = path.split(|byte| *byte == b'/').count();
    let depth = parts.saturating_sub(2);
    let to_root = b"../".repeat(depth.min(PATH_LIMIT / 3));
    let mut paths = Paths::default();
    for line in lines(bytes) {
        if paths.size() > FILES_LIMIT {
            break;
        }
        let field = match line.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => line
                .split(|byte| *byte == b',')
                .next()
                .unwrap_or_default()
                .to_vec(),
        };
        match field.strip_prefix(b"/") {
            Some(absolute) => paths.push(&[&*to_root, absolute].concat()),
            None => paths.push(&field),
        }
    }
    paths
}

/// A field of CSV after its first quotation mark.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        // Two of them stand for one.
        if *byte == b'"' && bytes.next_if(|next| **next == b'"').is_none() {
            break;
        }
        field.push(*byte);
    }
    field
}

/// The files of an `installed-files.txt`, relative to the directory that has the egg-info. The last one can exceed
/// [`FILES_LIMIT`].
fn installed_files(bytes: &[u8], directory: &[u8]) -> Paths {
    let mut paths = Paths::default();
    for line in lines(bytes) {
        if paths.size() > FILES_LIMIT {
            break;
        }
        match line.strip_prefix(b"../") {
            Some(path) => paths.push(path),
            None if line.is_empty() || line.starts_with(b"/") => {}
            None => paths.push(&[directory, b"/", line].concat()),
        }
    }
    paths
}

/// The copies that a list names in lines such as `urllib3==1.26.20`, with comments and indentation.
fn vendor_list(bytes: &[u8]) -> Vec<(String, String)> {
    let pinned = lines(bytes).filter_map(|line| {
        let line = str::from_utf8(line).ok()?;
        let line = line.split(['#', ';']).next()?;
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next()?;
        // Options, such as hashes, follow the version.
        let version = version.split_ascii_whitespace().next()?;
        Some((normal_name(name).ok()?, stated::version(version).ok()?))
    });
    pinned.take(COPIES_LIMIT + 1).collect()
}

#[cfg(test)]
mod tests;
