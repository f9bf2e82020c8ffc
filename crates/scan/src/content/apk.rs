//! The database of apk: packages and their files.
//!
//! Here: `installed`, at its old and its new path. Not here: which release the packages are of.
//! Invariant: pure, bounded. A record that cannot be read is a fact with its number, and hides no other.

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
    /// The architecture that it was built for. None if the record does not say so.
    pub architecture: Option<String>,
    /// The package that it was built with (`o:`), which advisories name. None if the record does not say so.
    pub origin: Option<String>,
    /// Its files.
    pub paths: Paths,
}

/// The paths of the database: that of apk-tools 2, and that of apk-tools 3.
const PATHS: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];

const DATABASE: &str = "apk database";

/// How a file is read.
pub(super) fn interest(path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    if PATHS.contains(&path) {
        Interest::Whole(DATABASE_LIMIT)
    } else {
        Interest::None
    }
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let bytes = whole(DATABASE, content, DATABASE_LIMIT, facts);
    let mut faults = Faults::of(DATABASE);
    // A directory is written once and is part of the path of each of its files.
    let mut left = DATABASE_LIMIT;
    for (index, (number, record)) in records(&bytes).enumerate() {
        if index == PACKAGES_LIMIT {
            let cause = format!("it has more than the {PACKAGES_LIMIT} packages that are read");
            faults.add(cause, facts);
            break;
        }
        match package(record, &mut left) {
            Ok(package) => facts(Fact::Apk(package)),
            Err(cause) => faults.add(format!("record {number}: {cause}"), facts),
        }
    }
    if left == 0 {
        let cause = format!("its paths have more than the {DATABASE_LIMIT} bytes that are kept");
        faults.add(cause, facts);
    }
    faults.finish(facts);
}

/// The package of a record: a letter, a colon and a value on each line. `left` is how many bytes of paths are kept; it
/// becomes 0 if they do not suffice.
fn package(record: &[u8], left: &mut usize) -> Result<Package, String> {
    let (mut name, mut version, mut architecture, mut origin) = (None, None, None, None);
    let mut paths = Paths::default();
    // The directory of the files that follow.
    let mut directory: &[u8] = b"";
    for line in record.split(|byte| *byte == b'\n') {
        let [letter, b':', value @ ..] = line else {
            return Err("a line is no field".to_owned());
        };
        match letter {
            b'P' => set("name", &mut name, value)?,
            b'V' => set("version", &mut version, value)?,
            b'A' => set("architecture", &mut architecture, value)?,
            b'o' => set("origin", &mut origin, value)?,
            b'F' => directory = value,
            b'R' => {
                let size = directory.len() + 1 + value.len();
                *left = left.saturating_sub(size);
                if *left > 0 {
                    paths.push(&[directory, b"/", value].concat());
                }
            }
            _ => {}
        }
    }
    let name = text("name", name.ok_or("it has no name")?, NAME_LIMIT)?;
    let of = |cause: String| format!("package {name}: {cause}");
    let version = version.ok_or_else(|| of("it has no version".to_owned()))?;
    let version = text("version", version, VERSION_LIMIT).map_err(of)?;
    let optional = |field: &str, value: Option<&[u8]>, limit| {
        let value = value.filter(|value| !value.is_empty());
        value.map(|value| text(field, value, limit)).transpose()
    };
    Ok(Package {
        architecture: optional("architecture", architecture, VERSION_LIMIT).map_err(of)?,
        origin: optional("origin", origin, NAME_LIMIT).map_err(of)?,
        paths,
        version,
        name,
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is not expected is printed"
    )]

    use super::super::{interest, read};
    use super::*;
    use std::io::Cursor;

    fn shown(path: &str, text: &str) -> Vec<String> {
        let mut shown = Vec::new();
        read(
            path.as_bytes().into(),
            &mut Cursor::new(text),
            &mut |fact| {
                shown.push(match fact {
                    Fact::Apk(package) => {
                        let paths: Vec<_> =
                            package.paths.iter().map(String::from_utf8_lossy).collect();
                        let origin = package.origin.unwrap_or_else(|| "-".to_owned());
                        let (name, version) = (package.name, package.version);
                        format!("{name} {version} of {origin} {}", paths.join(" "))
                    }
                    Fact::NotRead { what, cause } => format!("{what}: {cause}"),
                    other => format!("{other:?}"),
                });
            },
        );
        shown
    }

    /// A made record in the form of apk-tools.
    const SSL: &str = "\
C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=
P:libssl3
V:3.1.0-r1
A:x86_64
S:1
T:SSL shared libraries
o:openssl
D:so:libc.musl-x86_64.so.1
F:lib
R:libssl.so.3
a:0:0:755
F:usr
F:usr/lib
R:libssl.so.3
F:
R:odd
";

    #[test]
    fn packages_have_their_origin_and_files() {
        let expected = ["libssl3 3.1.0-r1 of openssl lib/libssl.so.3 usr/lib/libssl.so.3 odd"];
        for path in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
            assert_eq!(shown(path, SSL), expected);
            assert_eq!(
                interest(path.as_bytes().into(), 1, b"C"),
                Interest::Whole(DATABASE_LIMIT)
            );
        }
        assert_eq!(
            interest(b"lib/apk/db/triggers".as_slice().into(), 1, b"C"),
            Interest::None
        );
    }

    #[test]
    fn a_record_that_cannot_be_read_is_named_and_hides_no_other() {
        let text = format!(
            "P:a\nV:1\nV:2\n\nP:b\n\nV:1\n\n\nx\n\nP:c\nV:1\no:d e\n\nP:f\nV:{}\n\n{SSL}",
            "1".repeat(VERSION_LIMIT + 1)
        );
        assert_eq!(
            shown("lib/apk/db/installed", &text),
            [
                "apk database: record 1: its version is set twice",
                "apk database: record 2: package b: it has no version",
                "apk database: record 3: it has no name",
                "apk database: record 4: a line is no field",
                "apk database: record 5: package c: its origin has other characters than printable ASCII",
                "apk database: record 6: package f: its version has more than 256 bytes",
                "libssl3 3.1.0-r1 of openssl lib/libssl.so.3 usr/lib/libssl.so.3 odd",
            ]
        );
    }

    #[test]
    fn a_long_directory_of_many_files_takes_bounded_memory() {
        let files = "R:a\n".repeat(20);
        let text = format!("P:a\nV:1\nF:{}\n{files}P:", "x".repeat(400));
        let record = text.strip_suffix("\nP:").unwrap().as_bytes();
        let mut left = 4_000;
        let a = package(record, &mut left).unwrap();
        assert_eq!((a.paths.iter().count(), left), (9, 0));
        // A path that fits exactly leaves more than nothing, because nothing says that it does not.
        let mut left = 403;
        let a = package(b"P:a\nV:1\nR:a", &mut left).unwrap();
        assert_eq!((a.paths.iter().count(), left), (1, 401));
        // The package itself counts.
        let a = package(record, &mut 0).unwrap();
        assert_eq!((a.paths.iter().count(), &*a.version), (0, "1"));
    }

    #[test]
    fn records_beyond_the_limit_are_reported() {
        let text = "P:a\nV:1\n\n".repeat(PACKAGES_LIMIT + 1);
        let facts = shown("lib/apk/db/installed", &text);
        assert_eq!(facts.len(), PACKAGES_LIMIT + 1);
        assert_eq!(
            facts.last().map(String::as_str),
            Some("apk database: it has more than the 100000 packages that are read")
        );
    }
}
