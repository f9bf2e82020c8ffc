//! Reading images in real processes.
//!
//! Here: layers that are archives of their own, read by the process of `tests/child`, which is the real one with
//! readers that attack. Not here: how archives are unpacked and layers applied (`bailiff_oci`), and what files mean
//! (`bailiff_scan`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

mod confined;
mod evasions;
mod layers;
mod lies;
mod limits;
mod links;

use bailiff_image::{
    ImageContent, Limits, OpenLayer, Program, Sandbox, SandboxMode, child, read_image,
};
use bailiff_oci::Digest;
use bailiff_scan::content::{Fact, Interest, ReadAs};
use bailiff_scan::inventory::inventory;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek as _, Write as _};

/// The program of `tests/child`, with arguments of its own.
fn program(arguments: &[&str]) -> Program {
    Program {
        path: env!("CARGO_BIN_EXE_bailiff-image-child").into(),
        arguments: arguments.iter().map(Into::into).collect(),
    }
}

/// What the readers of the program of `tests/child` know by its path, as far as links are followed.
fn interest(of: ReadAs<'_>, _size: u64, _head: &[u8]) -> Interest {
    let path = of.path;
    let known = path.ends_with(b".fact")
        || path == b"var/lib/dpkg/status"
        || path.starts_with(b"var/lib/dpkg/status.d/");
    if known {
        Interest::Whole(1 << 20)
    } else {
        Interest::None
    }
}

fn sandbox(mode: SandboxMode, limits: Limits) -> Sandbox {
    let mut sandbox = Sandbox::new(mode);
    sandbox.program = program(&[child::SUBCOMMAND]);
    sandbox.readers.interest = interest;
    sandbox.limits = limits;
    sandbox
}

fn confined() -> Sandbox {
    sandbox(SandboxMode::Required, Limits::default())
}

/// With the readers of the real program.
fn real() -> Sandbox {
    let mut sandbox = Sandbox::new(SandboxMode::Required);
    sandbox.program = program(&["real"]);
    sandbox
}

/// A tar archive in the making.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// An archive of these files.
    fn of(files: &[(&str, &[u8])]) -> Self {
        let mut archive = Self::new();
        for (path, content) in files {
            archive = archive.file(path, content);
        }
        archive
    }

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header
    }

    fn file(mut self, path: &str, content: &[u8]) -> Self {
        let size = u64::try_from(content.len()).unwrap();
        let mut header = Self::header(tar::EntryType::Regular, size);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    fn executable(mut self, path: &str, content: &[u8]) -> Self {
        let size = u64::try_from(content.len()).unwrap();
        let mut header = Self::header(tar::EntryType::Regular, size);
        header.set_mode(0o755);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    fn symlink(mut self, path: &str, target: &str) -> Self {
        let mut header = Self::header(tar::EntryType::Symlink, 0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn delete(self, path: &str) -> Self {
        let (directory, name) = path.rsplit_once('/').unwrap_or_default();
        self.file(&format!("{directory}/.wh.{name}"), b"")
    }

    fn hard_link(mut self, path: &str, target: &str) -> Self {
        let mut header = Self::header(tar::EntryType::Link, 0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn layer(self) -> OpenLayer {
        blob(&self.bytes())
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    Digest::parse(&text).unwrap()
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// A layer that is not compressed.
fn blob(bytes: &[u8]) -> OpenLayer {
    OpenLayer {
        digest: Some(digest(bytes)),
        diff_id: Some(digest(bytes)),
        size: u64::try_from(bytes.len()).unwrap(),
        file: file(bytes),
    }
}

/// A layer whose blob is not its content.
fn compressed(bytes: &[u8], content: &[u8]) -> OpenLayer {
    OpenLayer {
        diff_id: Some(digest(content)),
        ..blob(bytes)
    }
}

fn read(layers: &[OpenLayer], sandbox: &Sandbox) -> ImageContent {
    read_image(layers, sandbox, &mut |_progress| {})
}

/// What the files of an image say, each with its path.
fn facts(content: &ImageContent) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, _id, facts) in content.files(content.tree.layers()) {
        for fact in facts {
            #[allow(
                irrefutable_let_patterns,
                reason = "the readers of the tests state nothing else"
            )]
            let Fact::NotRead { what, cause } = fact else {
                panic!("{fact:?}");
            };
            let path = String::from_utf8_lossy(&path);
            let what = if *what == path { "" } else { what };
            found.push((path.into_owned(), format!("{what}{cause}")));
        }
    }
    found
}

/// The packages of an image, each with its path, layer and marks, and then what is said about the rest.
fn packages(layers: &[OpenLayer]) -> Vec<String> {
    let content = read(layers, &real());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    let found = inventory(&content);
    let mut lines = Vec::new();
    for located in &found.packages {
        let of = &located.package;
        let mut line = format!("{} {} {}", of.ecosystem, of.name, of.version);
        if let Some(owner) = located.owner.and_then(|owner| found.packages.get(owner)) {
            write!(line, " of {}", owner.package.name).unwrap();
        }
        let path = of.path.as_deref().unwrap_or_default();
        write!(line, " at {path} from {}", located.layer.unwrap()).unwrap();
        for mark in &located.marks {
            write!(line, " {mark:?}").unwrap();
        }
        lines.push(line);
    }
    let coverage = &found.coverage;
    let unidentified = coverage.unidentified.first.iter();
    lines.extend(unidentified.map(|binary| format!("unidentified {}", binary.path)));
    let not_read = coverage.not_read.first.iter();
    lines.extend(not_read.map(|file| format!("not read {}: {}", file.path, file.cause)));
    let not_covered = coverage.not_covered.iter();
    lines.extend(not_covered.map(|of| format!("not covered {} {}", of.packages, of.database)));
    for (database, statements) in &coverage.conflicts {
        let said = statements.iter().map(|said| said.release.clone());
        lines.push(format!(
            "conflict {database} {}",
            said.collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(said) = &coverage.release_without_database {
        lines.push(format!("{} without a database", said.release));
    }
    for (database, layer) in &coverage.deleted_databases {
        lines.push(format!("deleted {database} after {layer}"));
    }
    let removed = coverage.removed.first.iter();
    lines.extend(removed.map(|of| format!("removed {} after {}", of.name, of.last_layer)));
    let lists = coverage.lists_without_package.first.iter();
    lines.extend(lists.map(|list| format!("list without package {list}")));
    let without = coverage.packages_without_files.first.iter();
    lines.extend(without.map(|package| format!("without files {package}")));
    assert_eq!(
        coverage.is_complete(),
        lines.len() == found.packages.len(),
        "{lines:?}"
    );
    lines
}

/// Facts to compare with.
fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(path, fact)| ((*path).to_owned(), (*fact).to_owned()))
        .collect()
}

/// The messages about what is incomplete.
fn incomplete(content: &ImageContent) -> Vec<String> {
    content.incomplete.iter().map(ToString::to_string).collect()
}
