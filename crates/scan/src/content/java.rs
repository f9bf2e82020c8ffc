//! Archives of Java: jars, wars, nested and shaded jars, and the properties of unpacked ones.
//!
//! Here: which artifacts an archive identifies, and what its entries say that are read as files of an image are. Not
//! here: the format of archives (`archive`), what properties, manifests and names state (`names`), and which artifact a
//! name without a group is.
//! Invariant: pure, bounded. Archives are recognized by their content, whatever they are called. What cannot be read is
//! a fact, and hides nothing that was read.

mod archive;
#[cfg(test)]
mod made;
mod names;

use super::packed::{Format, Packed};
use super::stated::{self, Facts};
use super::{Content, Fact, Interest, METADATA_LIMIT, PACKAGES_LIMIT, ReadAs, npm, packed, python};
use archive::{ArchiveError, Directory, Entry, Part, Start};
use flate2::Decompress;
use names::{Manifest, Properties};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Cursor;

/// An archive, or one in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its path in the file, such as `BOOT-INF/lib/a.jar`; archives in archives are separated with `!/`. Empty if it is
    /// the file itself. Text that is not UTF-8 is replaced.
    pub path: String,
    /// The artifacts in it. Empty if nothing identifies any.
    pub artifacts: Vec<Artifact>,
}

/// An artifact of Maven in an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact {
    /// Its group. None if nothing names it: then the artifact is a guess, and can be one of any group.
    pub group: Option<String>,
    /// Its name.
    pub artifact: String,
    /// Its version. Empty if none could be read: then it cannot be compared.
    pub version: String,
    /// What identifies it.
    pub source: Source,
}

impl Artifact {
    /// The bytes of its text.
    fn text(&self) -> usize {
        let group = self.group.as_ref().map_or(0, String::len);
        group + self.artifact.len() + self.version.len()
    }
}

/// What identifies an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// Its `pom.properties`.
    PomProperties,
    /// The path of its `pom.xml`. The version is that of the manifest or of the file name.
    PomPath,
    /// The manifest of the archive.
    Manifest,
    /// The name of the archive alone.
    FileName,
}

/// Archives in archives in a file.
pub const DEPTH_LIMIT: usize = 4;
/// Entries of the directories of a file and of the archives in it.
pub const ENTRIES_LIMIT: usize = 1_000_000;
/// Bytes of a file that are inflated.
pub const INFLATED_LIMIT: u64 = 2 << 30;
/// Bytes of the names, versions and paths that are kept of a file.
pub const TEXT_LIMIT: usize = 32 << 20;
/// Bytes of compressed archives that are in memory at once, for each file.
pub const MEMORY_LIMIT: u64 = 128 << 20;

/// Bytes at the end of a file that [`can_end`] looks at.
pub const TAIL: u64 = archive::TAIL_SIZE;

/// What archives are called in messages.
const WHAT: &str = "Java archive";
const PROPERTIES_WHAT: &str = "properties of a Java archive";
/// Extensions of archives that class loaders of Java and its servers read. The content of others tells.
const EXTENSIONS: [&[u8]; 10] = [
    b"jar", b"war", b"ear", b"jpi", b"hpi", b"sar", b"par", b"kar", b"nar", b"aar",
];
/// Bytes of a script that can have an archive after it. Shorter files have none.
const SCRIPT_SIZE: u64 = 1024;
/// Bytes of an archive with an entry: its headers and its end. Shorter files have none.
const SMALLEST: u64 = (archive::LOCAL_SIZE + archive::HEADER_SIZE + archive::END_SIZE) as u64;
/// Bytes of the path of an archive in archives.
const PATH_LIMIT: usize = 4096;

/// The name of files that state an artifact, in a directory of Maven.
const PROPERTIES: &[u8] = b"pom.properties";

/// How a file is read.
pub(super) fn interest(of: ReadAs<'_>, size: u64, head: &[u8]) -> Interest {
    let path = of.path;
    // Archives can follow a program or a script that starts them. Java reads those, whatever is in front.
    let can_follow = if head.starts_with(b"#!") {
        size >= SCRIPT_SIZE
    } else {
        (of.is_executable || packed::is_program(head)) && size >= archive::END_SIZE as u64
    };
    if archive::is_start(head) || has_extension(path) || can_follow {
        Interest::Seek
    } else if names::of_maven_path(path, PROPERTIES).is_some() {
        Interest::Whole(METADATA_LIMIT)
    } else if size >= SMALLEST {
        // Java reads an archive behind any bytes, also if nothing says beforehand that there is one.
        Interest::Tail
    } else {
        Interest::None
    }
}

/// Whether a file can have an archive at its end. `tail` has its last [`TAIL`] bytes, or more, or all of them.
#[must_use]
pub fn can_end(tail: &[u8]) -> bool {
    archive::can_end(tail)
}

/// What is said of a file that [`can_end`] with an archive and of which nothing else is read.
#[must_use]
pub fn unread_end() -> Fact {
    Fact::Packed(Packed {
        path: String::new(),
        format: Format::Zip,
    })
}

/// Whether the name of a symbolic link gives a meaning to what it leads to.
pub(super) fn gives_meaning(link: &[u8]) -> bool {
    has_extension(link)
}

/// Whether a name is one of an archive of Java.
fn has_extension(path: &[u8]) -> bool {
    let file = path.rsplit(|byte| *byte == b'/').next();
    let extension = file.and_then(|file| {
        let dot = file.iter().rposition(|byte| *byte == b'.')?;
        file.get(dot + 1..)
    });
    extension.is_some_and(|own| EXTENSIONS.iter().any(|e| own.eq_ignore_ascii_case(e)))
}

/// Adds what a file says.
pub(super) fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let unpacked = names::of_maven_path(path, PROPERTIES);
    if unpacked.is_none() && !has_extension(path) && !has_archive(content) {
        return;
    }
    let bytes = unpacked.map(|_| super::whole(PROPERTIES_WHAT, content, METADATA_LIMIT, facts));
    let mut reader = Reader {
        facts: Facts::of(WHAT, facts),
        entries: ENTRIES_LIMIT,
        packages: PACKAGES_LIMIT,
        text: TEXT_LIMIT,
        is_cut: false,
        inflated: INFLATED_LIMIT,
        memory: MEMORY_LIMIT,
        inflate: Decompress::new(false),
    };
    if let (Some(names), Some(bytes)) = (unpacked, bytes) {
        reader.unpacked(&bytes, names);
    }
    match Part::all(content) {
        Ok(mut part) => reader.archive(&mut part, path, "", 0),
        Err(error) => reader.facts.fault(error.to_string()),
    }
    reader.end();
}

/// Whether a file has an archive, or that cannot be told. Most programs have none, and cost little more than this.
fn has_archive(content: &mut dyn Content) -> bool {
    let directory = Part::all(content).map(|mut part| Directory::find(&mut part));
    !matches!(directory, Ok(Err(ArchiveError::NoArchive)))
}

/// Reads a file with the archives in it, within limits that they share.
struct Reader<'a> {
    facts: Facts<'a>,
    /// Entries that can still be read.
    entries: usize,
    /// Packages that can still be kept.
    packages: usize,
    /// Bytes of text that can still be kept.
    text: usize,
    /// Whether some were not kept.
    is_cut: bool,
    /// Bytes that can still be inflated.
    inflated: u64,
    /// Bytes of archives that can still be in memory at once.
    memory: u64,
    inflate: Decompress,
}

/// What was read of an archive.
#[derive(Default)]
struct Read {
    /// What `pom.properties` state.
    artifacts: BTreeSet<Artifact>,
    /// Groups and artifacts in the paths of `pom.xml`.
    projects: BTreeSet<(String, String)>,
    /// Bytes of both.
    text: usize,
    manifest: Manifest,
    /// Whether it has something that archives of Java have.
    is_java: bool,
    /// Whether it names packages of other languages.
    has_packages: bool,
    /// Whether it has a program, or an entry of which nobody here can tell.
    has_program: bool,
}

impl Reader<'_> {
    /// Adds what an archive says. `path` is that of the file or of the entry, `within` that of the archive in the file.
    fn archive(&mut self, part: &mut Part<'_>, path: &[u8], within: &str, depth: usize) {
        let mut read = Read {
            is_java: has_extension(path),
            ..Read::default()
        };
        match Directory::find(part) {
            Ok(directory) => self.entries(part, directory, within, depth, &mut read),
            // Other files begin like an archive as well.
            Err(ArchiveError::NoArchive) if !read.is_java => return,
            Err(error) => self.fault(within, None, &error),
        }
        let Read {
            is_java,
            has_packages,
            has_program,
            ..
        } = read;
        if is_java && self.take(within.len()) {
            let artifacts = read.identified(&names::stem(path)).into_iter();
            let artifacts = artifacts.filter(|artifact| self.take(artifact.text()));
            let artifacts = artifacts.collect();
            let path = within.to_owned();
            self.facts.add(Fact::Java(Archive { path, artifacts }));
        }
        // A program belongs to the package that brings it, such as a native library in a wheel.
        let is_unknown = has_program && !has_packages && !is_java;
        if is_unknown && self.take(within.len()) {
            self.facts.add(Fact::Packed(Packed {
                path: within.to_owned(),
                format: Format::Zip,
            }));
        }
    }

    /// Adds what a `pom.properties` says that is a file by itself, as in an archive that was unpacked.
    fn unpacked(&mut self, bytes: &[u8], names: (&[u8], &[u8])) {
        let mut read = Read::default();
        self.properties(bytes, names, "", None, &mut read);
        if !read.artifacts.is_empty() && self.take(read.text) {
            self.facts.add(Fact::Java(Archive {
                path: String::new(),
                artifacts: read.artifacts.into_iter().collect(),
            }));
        }
    }

    /// Whether a package with this number of bytes of text can still be kept.
    fn take(&mut self, text: usize) -> bool {
        let left = (self.packages.checked_sub(1), self.text.checked_sub(text));
        let (Some(packages), Some(text)) = left else {
            self.is_cut = true;
            return false;
        };
        (self.packages, self.text) = (packages, text);
        true
    }

    /// Whether a package with this number of bytes of text can be kept of an archive, before it is known whether all
    /// of them can.
    fn has_room(&mut self, read: &mut Read, text: usize) -> bool {
        let count = read.artifacts.len().saturating_add(read.projects.len());
        read.text = read.text.saturating_add(text);
        let has_room = count < self.packages && read.text < self.text;
        self.is_cut |= !has_room;
        has_room
    }

    /// Says what was not kept.
    fn end(mut self) {
        if self.is_cut {
            let limit = TEXT_LIMIT >> 20;
            self.facts.fault(format!(
                "it has more than the {PACKAGES_LIMIT} packages, with {limit} MiB of names, versions and paths, that are read"
            ));
        }
        self.facts.end();
    }

    fn entries(
        &mut self,
        part: &mut Part<'_>,
        mut directory: Directory,
        within: &str,
        depth: usize,
        read: &mut Read,
    ) {
        loop {
            let entry = match directory.next(part) {
                Ok(Some(entry)) => entry,
                Ok(None) => return,
                Err(error) => return self.fault(within, None, &error),
            };
            let Some(left) = self.entries.checked_sub(1) else {
                let cause = format!("it has more than the {ENTRIES_LIMIT} entries that are read");
                return self.fault(within, None, &cause);
            };
            self.entries = left;
            if entry.name.ends_with(b".class") {
                read.is_java = true;
            } else if !entry.is_directory()
                && let Err(error) = self.entry(part, &entry, within, depth, read)
            {
                self.fault(within, Some(&entry), &error);
            }
        }
    }

    /// Adds what an entry says.
    fn entry(
        &mut self,
        part: &mut Part<'_>,
        entry: &Entry,
        within: &str,
        depth: usize,
        read: &mut Read,
    ) -> Result<(), ArchiveError> {
        let name = &*entry.name;
        let is_manifest = name.eq_ignore_ascii_case(b"META-INF/MANIFEST.MF");
        let properties = names::of_maven_path(name, PROPERTIES);
        let is_metadata = python::is_read(name) || npm::is_read(name);
        if let Some((group, artifact)) = names::of_maven_path(name, b"pom.xml") {
            let text = String::from_utf8_lossy;
            let names = (names::name(&text(group)), names::name(&text(artifact)));
            if let (Ok(group), Ok(artifact)) = names
                && self.has_room(read, group.len() + artifact.len())
            {
                read.projects.insert((group, artifact));
            }
            read.is_java = true;
            return Ok(());
        }
        if !is_manifest && properties.is_none() && !is_metadata {
            let start = if has_extension(name) {
                Start::Archive
            } else {
                entry.start(part, &mut self.inflate, &mut self.inflated)?
            };
            match start {
                Start::Archive => self.nested(part, entry, within, depth)?,
                Start::Program | Start::Unknown => read.has_program = true,
                Start::Other => {}
            }
            return Ok(());
        }
        if entry.has_other_name(part)? {
            let cause = "its header before the content has another name";
            self.fault(within, Some(entry), &cause);
        }
        let mut bytes = Vec::new();
        let outcome = self.inflated(part, entry, METADATA_LIMIT as u64, &mut bytes);
        if is_manifest {
            read.is_java = true;
            read.manifest = Manifest::of(&bytes);
        } else if let Some((group, artifact)) = properties {
            read.is_java = true;
            self.properties(&bytes, (group, artifact), within, Some(entry), read);
        } else {
            let path = joined(within, name);
            let mut add = |fact| {
                let text = match &fact {
                    Fact::Python(of) => of.name.len() + of.version.len() + of.files.size(),
                    Fact::Npm(of) => of.name.len() + of.version.len(),
                    Fact::NotRead { .. }
                    | Fact::Dpkg(_)
                    | Fact::DpkgFiles(_)
                    | Fact::DpkgDiversion(_)
                    | Fact::Apk(_)
                    | Fact::Release(_)
                    | Fact::Elf(_)
                    | Fact::Go(_)
                    | Fact::Rust(_)
                    | Fact::Java(_)
                    | Fact::Packed(_) => return self.facts.add(fact),
                };
                read.has_packages = true;
                if self.take(path.len() + text) {
                    self.facts.add(fact);
                }
            };
            python::read_bytes(name, &path, &bytes, &mut add);
            npm::read_bytes(name, &path, &bytes, &mut add);
        }
        outcome
    }

    /// Reads an entry, up to a limit.
    fn inflated(
        &mut self,
        part: &mut Part<'_>,
        entry: &Entry,
        limit: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        if self.inflated == 0 {
            return Err(ArchiveError::Damaged(archive::TOO_MUCH));
        }
        let limit = limit.min(self.inflated);
        let outcome = entry.read(part, limit.saturating_add(1), bytes);
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.inflated = self.inflated.saturating_sub(size);
        outcome?;
        if size > limit {
            return Err(ArchiveError::Damaged(if self.inflated == 0 {
                archive::TOO_MUCH
            } else {
                "it is larger than what is read of such an entry"
            }));
        }
        Ok(())
    }

    /// Adds what a `pom.properties` states, and what its path states if that is something else.
    fn properties(
        &mut self,
        bytes: &[u8],
        path: (&[u8], &[u8]),
        within: &str,
        entry: Option<&Entry>,
        read: &mut Read,
    ) {
        let properties = Properties::of(bytes);
        let mut faults = Vec::new();
        let mut fault = |cause: String| faults.push(cause);
        let groups = properties.groups.checked(names::name, &mut fault);
        let artifacts = properties.artifacts.checked(names::name, &mut fault);
        let mut versions = properties.versions.checked(names::version, &mut fault);
        if versions.is_empty() {
            fault("it has no version".to_owned());
            versions.push(String::new());
        }
        let mut named: BTreeSet<(String, String)> = groups
            .iter()
            .flat_map(|group| {
                artifacts
                    .iter()
                    .map(|artifact| (group.clone(), artifact.clone()))
            })
            .collect();
        let text = String::from_utf8_lossy;
        match (names::name(&text(path.0)), names::name(&text(path.1))) {
            (Ok(group), Ok(artifact)) => {
                named.insert((group, artifact));
            }
            (Err(cause), _) | (_, Err(cause)) => fault(cause),
        }
        for cause in faults {
            self.fault(within, entry, &cause);
        }
        for (group, artifact) in named {
            for version in &versions {
                let artifact = Artifact {
                    group: Some(group.clone()),
                    artifact: artifact.clone(),
                    version: version.clone(),
                    source: Source::PomProperties,
                };
                if self.has_room(read, artifact.text()) {
                    read.artifacts.insert(artifact);
                }
            }
        }
    }

    /// Adds what an archive in the archive says.
    fn nested(
        &mut self,
        part: &mut Part<'_>,
        entry: &Entry,
        within: &str,
        depth: usize,
    ) -> Result<(), ArchiveError> {
        if depth >= DEPTH_LIMIT {
            return Err(ArchiveError::Damaged(
                "it is more than 4 archives deep in the file",
            ));
        }
        // Its end is looked for, also if it takes no memory.
        self.inflated = self.inflated.saturating_sub(archive::TAIL_SIZE);
        if self.inflated == 0 {
            return Err(ArchiveError::Damaged(archive::TOO_MUCH));
        }
        let path = joined(within, &entry.name);
        if let Some(mut stored) = entry.stored(part)? {
            self.archive(&mut stored, &entry.name, &path, depth + 1);
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.inflated(part, entry, self.memory, &mut bytes)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.memory = self.memory.saturating_sub(size);
        let mut content = Cursor::new(bytes);
        match Part::all(&mut content) {
            Ok(mut part) => self.archive(&mut part, &entry.name, &path, depth + 1),
            Err(error) => self.fault(&path, None, &error),
        }
        self.memory = self.memory.saturating_add(size);
        Ok(())
    }

    /// Says what could not be read: an entry, or an archive.
    fn fault(&mut self, within: &str, entry: Option<&Entry>, cause: &dyn std::fmt::Display) {
        let place = match entry {
            Some(entry) => joined(within, &entry.name),
            None => within.to_owned(),
        };
        if place.is_empty() {
            self.facts.fault(cause.to_string());
        } else {
            self.facts
                .fault(format!("{}: {cause}", stated::shown(&place)));
        }
    }
}

impl Read {
    /// The artifacts of an archive with this name.
    fn identified(self, stem: &str) -> BTreeSet<Artifact> {
        let Self {
            mut artifacts,
            projects,
            text: _,
            manifest,
            is_java: _,
            has_packages: _,
            has_program: _,
        } = self;
        let of_file = names::of_file_name(stem);
        let stated = manifest.version();
        let of_file_version = of_file.as_ref().map(|(_, version)| version);
        for (group, artifact) in projects {
            let is_known = artifacts
                .iter()
                .any(|known| known.group.as_ref() == Some(&group) && known.artifact == artifact);
            if !is_known {
                let version = stated.as_ref().or(of_file_version).cloned();
                artifacts.insert(Artifact {
                    group: Some(group),
                    artifact,
                    version: version.unwrap_or_default(),
                    source: Source::PomPath,
                });
            }
        }
        let has_stated = !artifacts.is_empty();
        // If one of them has the version of the manifest, the manifest is about it.
        let is_about_stated = artifacts
            .iter()
            .any(|artifact| Some(&artifact.version) == stated.as_ref());
        let mut guess = |artifact: &str, version: &str, source, is_exact: bool| {
            let is_known = artifacts
                .iter()
                .any(|known| known.artifact == artifact && (!is_exact || known.version == version));
            if !is_known {
                artifacts.insert(Artifact {
                    group: None,
                    artifact: artifact.to_owned(),
                    version: version.to_owned(),
                    source,
                });
            }
        };
        if let Some((artifact, version)) = &of_file {
            guess(artifact, version, Source::FileName, true);
        }
        if let Some(version) = stated.as_ref().filter(|_| !is_about_stated) {
            // Bundles write versions in another way, so theirs differs also if it is the same.
            let is_exact = manifest.has_version_of_maven();
            for artifact in manifest.artifacts() {
                guess(&artifact, version, Source::Manifest, is_exact);
            }
            if of_file.is_none()
                && !has_stated
                && let Ok(artifact) = names::name(stem)
            {
                guess(&artifact, version, Source::Manifest, is_exact);
            }
        }
        artifacts
    }
}

/// The path of an entry in archives.
fn joined(within: &str, name: &[u8]) -> String {
    let mut path = String::from(within);
    if !within.is_empty() {
        path.push_str("!/");
    }
    path.push_str(&String::from_utf8_lossy(name));
    let mut end = path.len().min(PATH_LIMIT);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path.truncate(end);
    path
}

#[cfg(test)]
mod tests;
