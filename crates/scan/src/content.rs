//! What the content of files says about the packages of an image.
//!
//! Here: which files are read, and the facts that are read from them, in a module for each kind of file. Not here: which
//! files an image has (`oci`, `image`), and what facts together mean (`inventory`).
//! Invariant: pure functions over bytes that strangers wrote. A file that cannot be read is a fact too, and what was
//! read of it before its fault counts.

pub mod apk;
pub mod dpkg;
pub mod elf;
pub mod go;
pub mod java;
pub mod npm;
pub mod packed;
pub mod paths;
pub mod python;
mod records;
pub mod release;
pub mod rust;
mod stated;
mod valid;

use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a package database.
pub const DATABASE_LIMIT: usize = 64 << 20;
/// Bytes of other metadata: build information, manifests, files about a release.
pub const METADATA_LIMIT: usize = 4 << 20;
/// Packages that one file names.
pub const PACKAGES_LIMIT: usize = 100_000;
/// Faults of one file that are named one by one. The others are counted.
pub const FAULTS_LIMIT: usize = 20;

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// It is not read.
    None,
    /// It is read with seeking if [`java::can_end`] says so of its last [`java::TAIL`] bytes. If it is too large to be
    /// kept, it says [`java::unread_end`] then. The same bytes tell of a file of which not all is read.
    Tail,
    /// It is read into memory, up to this number of bytes. Of a longer one, [`read`] needs at least one byte more, so
    /// that it says that the rest was not read; what is before it counts.
    Whole(usize),
    /// It is read with seeking.
    Seek,
}

/// As what a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAs<'a> {
    /// Its path, or that of a link to it, relative to the root of the image.
    pub path: &'a [u8],
    /// Whether its mode lets anyone execute it. False if that is unknown.
    pub is_executable: bool,
}

impl<'a> From<&'a [u8]> for ReadAs<'a> {
    /// A file that nobody can execute.
    fn from(path: &'a [u8]) -> Self {
        Self {
            path,
            is_executable: false,
        }
    }
}

/// A file that can be read at any position.
pub trait Content: Read + Seek {}
impl<T: Read + Seek> Content for T {}

/// What one file says. Most kinds of files have one fact for each package that they name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// It, or a part of it, could not be read.
    NotRead {
        /// What it is, such as `dpkg database`.
        what: String,
        /// Why it could not be read.
        cause: String,
    },
    /// The dpkg database has this package, and it is installed.
    Dpkg(dpkg::Package),
    /// A list of the files of a package of dpkg.
    DpkgFiles(dpkg::FileList),
    /// A file of a package of dpkg that is installed under another name.
    DpkgDiversion(dpkg::Diversion),
    /// The apk database has this package.
    Apk(apk::Package),
    /// It names the release of the distribution.
    Release(release::Release),
    /// It is an ELF file. Each one has this fact, whatever else is known about it.
    Elf(elf::Kind),
    /// It is a Go binary with build information.
    Go(go::BuildInfo),
    /// It is a Rust binary that names the crates that it is built from.
    Rust(Vec<rust::Crate>),
    /// It is the metadata of a Python distribution.
    Python(python::Distribution),
    /// It is the `package.json` of an npm package.
    Npm(npm::Package),
    /// It is an archive of Java, or has one. Each one has this fact, also if nothing identifies an artifact in it.
    Java(java::Archive),
    /// It is compressed, and has a program in it that is not read, or can have one.
    Packed(packed::Packed),
}

impl Fact {
    /// Whether a file that says it is a binary: a program, or what has one in it. Each one needs a package.
    #[must_use]
    pub fn is_of_binary(&self) -> bool {
        match self {
            Self::Elf(_) | Self::Java(_) | Self::Packed(_) => true,
            Self::NotRead { .. }
            | Self::Dpkg(_)
            | Self::DpkgFiles(_)
            | Self::DpkgDiversion(_)
            | Self::Apk(_)
            | Self::Release(_)
            | Self::Go(_)
            | Self::Rust(_)
            | Self::Python(_)
            | Self::Npm(_) => false,
        }
    }

    /// Whether a file that says it names packages of a language.
    #[must_use]
    pub fn is_of_language(&self) -> bool {
        match self {
            Self::Go(_) | Self::Rust(_) | Self::Python(_) | Self::Npm(_) | Self::Java(_) => true,
            Self::NotRead { .. }
            | Self::Dpkg(_)
            | Self::DpkgFiles(_)
            | Self::DpkgDiversion(_)
            | Self::Apk(_)
            | Self::Release(_)
            | Self::Elf(_)
            | Self::Packed(_) => false,
        }
    }

    /// Whether a file that says it is compared with others by its content: it is a binary, or a package of a language.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.is_of_binary() || self.is_of_language()
    }
}

/// Bytes at the begin of a file that [`interest`] looks at.
pub const HEAD: usize = 512;

type ReadFacts = fn(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact));

/// A kind of files.
struct Reader {
    interest: fn(of: ReadAs<'_>, size: u64, head: &[u8]) -> Interest,
    read: ReadFacts,
}

const READERS: [Reader; 8] = [
    Reader {
        interest: |of, size, head| dpkg::interest(of.path, size, head),
        read: dpkg::read,
    },
    Reader {
        interest: |of, size, head| apk::interest(of.path, size, head),
        read: apk::read,
    },
    Reader {
        interest: |of, size, head| release::interest(of.path, size, head),
        read: release::read,
    },
    Reader {
        interest: |of, size, head| elf::interest(of.path, size, head),
        read: elf::read,
    },
    Reader {
        interest: |of, size, head| python::interest(of.path, size, head),
        read: python::read,
    },
    Reader {
        interest: |of, size, head| npm::interest(of.path, size, head),
        read: npm::read,
    },
    Reader {
        interest: java::interest,
        read: java::read,
    },
    Reader {
        interest: packed::interest,
        read: packed::read,
    },
];

/// How a file is read; `head` has its first [`HEAD`] bytes, or all of them. A database that is a symbolic link is read
/// under the path of the link ([`PLACES`]).
#[must_use]
pub fn interest(of: ReadAs<'_>, size: u64, head: &[u8]) -> Interest {
    let interests = READERS
        .iter()
        .map(|reader| (reader.interest)(of, size, head));
    interests.max().unwrap_or(Interest::None)
}

/// Adds what a file says. A file that is of several kinds is read as each of them: none hides another.
pub fn read(of: ReadAs<'_>, content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let (size, head) = match start(content) {
        Ok(start) => start,
        Err(error) => return facts(not_read("file", error.to_string())),
    };
    for reader in &READERS {
        if (reader.interest)(of, size, &head) == Interest::None {
            continue;
        }
        match content.rewind() {
            Ok(()) => (reader.read)(of.path, content, facts),
            Err(error) => facts(not_read("file", error.to_string())),
        }
    }
}

/// The size of a file and its first [`HEAD`] bytes.
fn start(content: &mut dyn Content) -> io::Result<(u64, Vec<u8>)> {
    let size = content.seek(SeekFrom::End(0))?;
    content.rewind()?;
    let mut head = Vec::new();
    content.take(HEAD as u64).read_to_end(&mut head)?;
    Ok((size, head))
}

/// Paths of an image that have a meaning wherever they lead. If one of them, or a directory above it, is a symbolic
/// link, the file that it leads to has to be read under the path here. A path with `/` at its end is a directory whose
/// files are read.
pub const PLACES: &[&str] = &[
    "var/lib/dpkg/status",
    "var/lib/dpkg/status.d/",
    "var/lib/dpkg/info/",
    "var/lib/dpkg/diversions",
    "lib/apk/db/installed",
    "usr/lib/apk/db/installed",
    "etc/os-release",
    "usr/lib/os-release",
    "etc/debian_version",
    "etc/alpine-release",
    "etc/lsb-release",
];

/// Whether a symbolic link at this path gives a meaning to what it leads to, as in `node_modules/lodash`. A file that it
/// leads to has to be read under the path of the link as well. Of a directory, the files in it, up to [`LINK_DEPTH`]
/// levels, have to be read under that path as far as they have an [`interest`] there.
#[must_use]
pub fn gives_meaning(link: &[u8]) -> bool {
    python::gives_meaning(link) || npm::gives_meaning(link) || java::gives_meaning(link)
}

/// Levels of directories behind a link that [`gives_meaning`]: those of `@scope/name/package.json`.
pub const LINK_DEPTH: usize = 3;

/// A part of a file that could not be read.
pub(crate) fn not_read(what: &str, cause: impl Into<String>) -> Fact {
    Fact::NotRead {
        what: what.to_owned(),
        cause: cause.into(),
    }
}

/// The first `limit` bytes of a file. A fact says if there are more, or if reading them failed; what was read before
/// counts.
pub(crate) fn whole(
    what: &str,
    content: &mut dyn Content,
    limit: usize,
    facts: &mut dyn FnMut(Fact),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    if let Err(error) = content.take(more).read_to_end(&mut bytes) {
        facts(not_read(what, error.to_string()));
    }
    if bytes.len() > limit {
        bytes.truncate(limit);
        let cause = format!("it has more than the {limit} bytes that are read");
        facts(not_read(what, cause));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_precedes_the_limit_of_a_file_counts() {
        for (text, limit, expected, said) in [
            ("abc", 4, "abc", None),
            ("abcd", 4, "abcd", None),
            (
                "abcdef",
                4,
                "abcd",
                Some("it has more than the 4 bytes that are read"),
            ),
        ] {
            let mut causes = Vec::new();
            let bytes = whole("file", &mut Cursor::new(text), limit, &mut |fact| {
                if let Fact::NotRead { cause, .. } = fact {
                    causes.push(cause);
                }
            });
            assert_eq!(bytes, expected.as_bytes());
            assert_eq!(causes.first().map(String::as_str), said);
        }
    }

    #[test]
    fn a_file_of_several_kinds_is_read_as_each_of_them() {
        let mut facts = Vec::new();
        let path = b"var/lib/dpkg/status".as_slice().into();
        let text = "\x7fELF\n\nPackage: a\nVersion: 1\n";
        assert_eq!(interest(path, 30, text.as_bytes()), Interest::Seek);
        read(path, &mut Cursor::new(text), &mut |fact| facts.push(fact));
        assert!(facts.iter().any(|fact| matches!(fact, Fact::Dpkg(_))));
        assert!(facts.iter().any(|fact| matches!(fact, Fact::Elf(_))));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_fact() {
        struct Faulty;
        impl Read for Faulty {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("fault"))
            }
        }
        impl Seek for Faulty {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(1)
            }
        }
        let mut facts = Vec::new();
        read(
            b"etc/os-release".as_slice().into(),
            &mut Faulty,
            &mut |fact| facts.push(fact),
        );
        assert_eq!(facts, [not_read("file", "fault")]);
    }
}
