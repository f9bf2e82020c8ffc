//! The crates that a Rust binary is built from, as cargo-auditable stores them.
//!
//! Here: the content of the section `.dep-v0`: JSON, compressed with zlib
//! (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>). Not here: where the section is in a
//! file (`elf`).
//! Invariant: pure, bounded. A crate that cannot be read is reported, and hides no other.

use super::records::{Faults, text};
use super::{Fact, METADATA_LIMIT, PACKAGES_LIMIT};
use crate::json;
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use flate2::read::ZlibDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::io::Read;

/// A crate in a binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is of crates.io. Others are of a registry, a repository or a directory that the binary does not name.
    pub is_of_crates_io: bool,
}

/// What is read, for messages.
pub(super) const WHAT: &str = "crates of a Rust binary";

#[derive(Deserialize)]
struct Audit {
    packages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: String,
    /// `runtime` if it is unset. A crate that only builds others is not part of the binary.
    kind: Option<String>,
}

/// Adds the crates of a section. Those that the binary was only built with are not part of it.
pub(super) fn read(section: &[u8], facts: &mut dyn FnMut(Fact)) {
    let mut faults = Faults::of(WHAT);
    let mut text = Vec::new();
    let more = METADATA_LIMIT as u64 + 1;
    let inflated = ZlibDecoder::new(section).take(more).read_to_end(&mut text);
    if let Err(error) = inflated {
        return faults.add(format!("they cannot be inflated: {error}"), facts);
    }
    let audit: Audit = match json::decode(&text, METADATA_LIMIT) {
        Ok(audit) => audit,
        Err(error) => return faults.add(error.to_string(), facts),
    };
    let mut crates = Vec::new();
    for (index, entry) in audit.packages.iter().enumerate() {
        let entry = json::decode::<Entry>(entry.get().as_bytes(), METADATA_LIMIT);
        match entry
            .map_err(|error| error.to_string())
            .and_then(|entry| of(&entry))
        {
            Ok(None) => {}
            Ok(Some(_)) if crates.len() == PACKAGES_LIMIT => {
                let cause = format!("there are more than the {PACKAGES_LIMIT} that are read");
                faults.add(cause, facts);
                break;
            }
            Ok(Some(of)) => crates.push(of),
            Err(cause) => faults.add(format!("crate {}: {cause}", index + 1), facts),
        }
    }
    faults.finish(facts);
    facts(Fact::Rust(crates));
}

/// The crate of an entry. None if it is not part of the binary.
fn of(entry: &Entry) -> Result<Option<Crate>, String> {
    if entry.kind.as_deref() == Some("build") {
        return Ok(None);
    }
    Ok(Some(Crate {
        name: text("name", entry.name.as_bytes(), NAME_LIMIT)?,
        version: text("version", entry.version.as_bytes(), VERSION_LIMIT)?,
        is_of_crates_io: entry.source == "crates.io",
    }))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::wildcard_enum_match_arm,
        reason = "what is not expected is printed"
    )]

    use super::*;
    use flate2::Compression;
    use flate2::read::ZlibEncoder;

    fn section(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ZlibEncoder::new(text.as_bytes(), Compression::default());
        encoder.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn shown(section: &[u8]) -> Vec<String> {
        let mut shown = Vec::new();
        read(section, &mut |fact| match fact {
            Fact::Rust(crates) => shown.extend(
                crates
                    .into_iter()
                    .map(|of| format!("{} {} {}", of.name, of.version, of.is_of_crates_io)),
            ),
            Fact::NotRead { what, cause } => shown.push(format!("{what}: {cause}")),
            other => shown.push(format!("{other:?}")),
        });
        shown
    }

    #[test]
    fn crates_of_the_binary_are_read_and_a_faulty_one_hides_no_other() {
        let text = r#"{"packages": [
            {"name": "a", "version": "1.0.0", "source": "local", "root": true, "dependencies": [1]},
            {"name": "time", "version": "0.1.43", "source": "crates.io"},
            {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
            {"name": "new", "version": "1.0.0", "source": "git", "kind": "other"},
            {"name": "", "version": "1.0.0", "source": "git"},
            {"name": 1}
        ], "format": 8}"#;
        assert_eq!(
            shown(&section(text)),
            [
                "crates of a Rust binary: crate 5: its name is empty",
                "crates of a Rust binary: crate 6: name: invalid type: integer `1`, expected a \
                 string at line 1 column 10",
                "a 1.0.0 false",
                "time 0.1.43 true",
                "new 1.0.0 false",
            ]
        );
    }

    #[test]
    fn what_inflates_beyond_the_limit_is_not_decoded() {
        let text = format!("{{\"packages\": [{}]}}", " ".repeat(METADATA_LIMIT));
        assert_eq!(
            shown(&section(&text)),
            [
                "crates of a Rust binary: it has 4194305 bytes, more than the 4194304 that are \
                 read"
            ]
        );
    }

    #[test]
    fn what_is_no_stream_is_reported() {
        assert_eq!(
            shown(b"x"),
            ["crates of a Rust binary: they cannot be inflated: incomplete deflate stream"]
        );
        let mut damaged = section("{\"packages\": []}");
        damaged.truncate(damaged.len() - 1);
        assert_eq!(shown(&damaged).len(), 1);
    }
}
