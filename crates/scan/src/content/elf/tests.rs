//! ELF files that are made here, of each class and byte order. `tests/binaries.rs` has real ones.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not expected is printed"
)]

use super::super::{Fact, interest, read};
use super::*;
use flate2::Compression;
use flate2::read::ZlibEncoder;
use std::io::{Cursor, Read as _};

/// An ELF file that is made: its parts are sections that are loaded as writable data.
struct Made<'a> {
    is_64: bool,
    is_big_endian: bool,
    has_sections: bool,
    parts: &'a [(&'a str, &'a [u8])],
}

/// The address of the first byte of a file.
const BASE: u64 = 0x40_0000;
/// The bytes before the first part.
const START: usize = 64;

struct Out {
    bytes: Vec<u8>,
    is_big_endian: bool,
    word: usize,
}

impl Out {
    fn put(&mut self, size: usize, value: u64) {
        let bytes = value.to_be_bytes();
        let bytes = &bytes[8 - size..];
        if self.is_big_endian {
            self.bytes.extend(bytes);
        } else {
            self.bytes.extend(bytes.iter().rev());
        }
    }

    fn words(&mut self, values: &[u64]) {
        for value in values {
            self.put(self.word, *value);
        }
    }

    fn align(&mut self) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        self.bytes.len() as u64
    }
}

impl Made<'_> {
    fn bytes(&self) -> Vec<u8> {
        let word = if self.is_64 { 8 } else { 4 };
        let mut out = Out {
            bytes: vec![0; START],
            is_big_endian: self.is_big_endian,
            word,
        };
        let mut names = vec![0];
        let mut placed = Vec::new();
        for (name, data) in self.parts {
            let offset = out.align();
            out.bytes.extend(*data);
            placed.push((names.len() as u64, offset, data.len() as u64));
            names.extend(name.as_bytes());
            names.push(0);
        }
        let names_offset = out.align();
        out.bytes.extend(&names);
        let segments = out.align();
        for (_, offset, size) in &placed {
            // Type LOAD, flags RW.
            out.put(4, 1);
            if self.is_64 {
                out.put(4, 6);
            }
            out.words(&[*offset, BASE + offset, 0, *size, *size]);
            if !self.is_64 {
                out.put(4, 6);
            }
            out.words(&[16]);
        }
        let sections = out.align();
        out.bytes.resize(out.bytes.len() + 4 * 4 + 6 * word, 0);
        let all = placed.iter().copied();
        for (name, offset, size) in all.chain([(0, names_offset, names.len() as u64)]) {
            // Type PROGBITS.
            out.put(4, name);
            out.put(4, 1);
            out.words(&[0, BASE + offset, offset, size]);
            out.put(4, 0);
            out.put(4, 0);
            out.words(&[16, 0]);
        }
        let mut header = Out {
            bytes: vec![0x7f, b'E', b'L', b'F', if self.is_64 { 2 } else { 1 }, 1, 1],
            ..out
        };
        let body = std::mem::take(&mut out.bytes);
        header.bytes[5] = if self.is_big_endian { 2 } else { 1 };
        header.bytes.resize(16, 0);
        let count = self.parts.len() as u64;
        header.put(2, 3);
        header.put(2, 0);
        header.put(4, 1);
        let (table, sections_count) = if self.has_sections {
            (sections, count + 2)
        } else {
            (0, 0)
        };
        header.words(&[0, segments, table]);
        header.put(4, 0);
        let (header_size, entry) = if self.is_64 { (64, 56) } else { (52, 32) };
        for value in [
            header_size,
            entry,
            count,
            (4 * 4 + 6 * word) as u64,
            sections_count,
            sections_count.saturating_sub(1),
        ] {
            header.put(2, value);
        }
        let mut bytes = header.bytes;
        bytes.resize(START, 0);
        bytes.extend(&body[START..]);
        bytes
    }
}

/// The lines about modules, with the 16 bytes around them that Go writes.
fn framed(lines: &str) -> Vec<u8> {
    [&[1; 16], lines.as_bytes(), &[2; 16]].concat()
}

/// Build information with its strings in it, as from Go 1.18 on.
fn inline(version: &str, lines: &str) -> Vec<u8> {
    let mut bytes = GO_MAGIC.to_vec();
    bytes.extend([0, 2]);
    bytes.extend([0; 16]);
    for text in [version.as_bytes(), &framed(lines)] {
        let mut length = text.len();
        while length >= 0x80 {
            bytes.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        bytes.push(length.to_le_bytes()[0]);
        bytes.extend(text);
    }
    bytes
}

/// Build information with the addresses of its strings, in the first part of a file.
fn pointers(is_64: bool, is_big_endian: bool, version: &str, lines: &str) -> Vec<u8> {
    let word = if is_64 { 8 } else { 4 };
    let at = |offset: usize| BASE + (START + offset) as u64;
    let lines = framed(lines);
    let strings = 32 + 4 * word;
    let mut out = Out {
        bytes: GO_MAGIC.to_vec(),
        is_big_endian,
        word,
    };
    out.bytes
        .extend([if is_64 { 8 } else { 4 }, u8::from(is_big_endian)]);
    out.words(&[at(32), at(32 + 2 * word)]);
    out.bytes.resize(32, 0);
    out.words(&[at(strings), version.len() as u64]);
    out.words(&[at(strings + version.len()), lines.len() as u64]);
    out.bytes.extend(version.as_bytes());
    out.bytes.extend(lines);
    out.bytes
}

fn facts(bytes: &[u8]) -> Vec<Fact> {
    let mut facts = Vec::new();
    read(
        b"usr/bin/a".as_slice().into(),
        &mut Cursor::new(bytes),
        &mut |fact| {
            facts.push(fact);
        },
    );
    facts
}

/// The facts of a file without the first one, which is that it is an ELF file.
fn shown(bytes: &[u8]) -> Vec<String> {
    let mut facts = facts(bytes).into_iter();
    assert!(matches!(facts.next(), Some(Fact::Elf(_))));
    let shown = facts.map(|fact| match fact {
        Fact::Go(info) => {
            let modules = info.main.iter().chain(&info.dependencies);
            let modules: Vec<_> = modules
                .map(|m| format!("{} {}", m.path, m.version))
                .collect();
            format!("{}: {}", info.go, modules.join(", "))
        }
        Fact::Rust(crates) => {
            let crates: Vec<_> = crates
                .iter()
                .map(|c| format!("{} {}", c.name, c.version))
                .collect();
            crates.join(", ")
        }
        Fact::NotRead { what, cause } => format!("{what}: {cause}"),
        other => format!("{other:?}"),
    });
    shown.collect()
}

const LINES: &str = "mod\texample.org/a\tv1.0.0\ndep\tgolang.org/x/net\tv0.1.0\n";
const EXPECTED: &str = "go1.20: example.org/a v1.0.0, golang.org/x/net v0.1.0";

#[test]
fn build_information_of_both_forms_is_read_in_each_class_and_byte_order() {
    for (is_64, is_big_endian) in [(false, false), (false, true), (true, false), (true, true)] {
        for info in [
            inline("go1.20", LINES),
            pointers(is_64, is_big_endian, "go1.20", LINES),
        ] {
            // The name of the section, or whether there are sections at all, does not matter.
            for (name, has_sections) in [(".go.buildinfo", true), (".x", true), ("", false)] {
                let made = Made {
                    is_64,
                    is_big_endian,
                    has_sections,
                    parts: &[(name, &info)],
                };
                assert_eq!(
                    shown(&made.bytes()),
                    [EXPECTED],
                    "{is_64} {is_big_endian} {name}"
                );
            }
        }
    }
}

fn made(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let made = Made {
        is_64: true,
        is_big_endian: false,
        has_sections: true,
        parts,
    };
    made.bytes()
}

#[test]
fn what_only_begins_as_build_information_does_not_hide_it() {
    let mut forged = Vec::new();
    for _ in 1..PLACES_LIMIT {
        forged.extend(GO_MAGIC);
        // A length that no file has.
        forged.extend([8, 2]);
        forged.extend([0xff; 32]);
    }
    let info = inline("go1.20", LINES);
    for name in [".x", ".go.buildinfo"] {
        let bytes = made(&[(name, &forged), (".go.buildinfo", &info)]);
        assert_eq!(shown(&bytes), [EXPECTED], "{name}");
    }
}

#[test]
fn a_go_binary_without_build_information_is_reported() {
    let expected = ["Go build information: the file is built by Go and has no build information"];
    for section in [".gopclntab", ".note.go.buildid"] {
        assert_eq!(shown(&made(&[(section, b"x")])), expected);
    }
    let mut cut = inline("go1.20", LINES);
    cut.truncate(34);
    assert_eq!(
        shown(&made(&[(".gopclntab", b"x"), (".go.buildinfo", &cut)])),
        expected
    );
    assert_eq!(shown(&made(&[(".text", b"x")])), [""; 0]);
}

#[test]
fn modules_without_the_end_of_their_frame_are_read_and_reported() {
    let mut info = inline("go1.20", LINES);
    info.truncate(info.len() - 1);
    let beyond = "Go build information: the modules: a part of them is beyond their end";
    assert_eq!(
        shown(&made(&[(".go.buildinfo", &info)])),
        [beyond, EXPECTED]
    );
    // No newline before the end: the last line is not whole.
    let odd = format!("{LINES}dep\tgolang.org/x/text\tv0.3.");
    let reported = "Go build information: the modules: they do not end as they must";
    for info in [
        inline("go1.20", &odd),
        pointers(true, false, "go1.20", &odd),
    ] {
        assert_eq!(
            shown(&made(&[(".go.buildinfo", &info)])),
            [reported, EXPECTED]
        );
    }
}

#[test]
fn what_precedes_the_limit_of_modules_counts() {
    let long = format!("{LINES}#{}\n", "x".repeat(METADATA_LIMIT));
    let reported =
        "Go build information: the modules: they have more than the 4194304 bytes that are read";
    for info in [
        inline("go1.20", &long),
        pointers(true, false, "go1.20", &long),
    ] {
        assert_eq!(
            shown(&made(&[(".go.buildinfo", &info)])),
            [reported, EXPECTED]
        );
    }
}

#[test]
fn a_program_without_modules_is_read() {
    let mut inline = inline("go1.20", "");
    // Only the length of the frame, which is empty.
    inline.truncate(inline.len() - 33);
    inline.push(0);
    assert_eq!(shown(&made(&[(".go.buildinfo", &inline)])), ["go1.20: "]);
}

#[test]
fn crates_of_a_rust_binary_are_read() {
    let text = br#"{"packages": [{"name": "time", "version": "0.1.43", "source": "crates.io"}]}"#;
    let mut section = Vec::new();
    let mut encoder = ZlibEncoder::new(&text[..], Compression::default());
    encoder.read_to_end(&mut section).unwrap();
    let other: &[u8] = b"x";
    assert_eq!(
        shown(&made(&[(".dep-v0", other), (".dep-v0", &section)])),
        [
            "crates of a Rust binary: they cannot be inflated: incomplete deflate stream",
            "time 0.1.43"
        ]
    );
}

#[test]
fn a_file_that_ends_anywhere_is_an_elf_file() {
    let info = inline("go1.20", LINES);
    let bytes = made(&[(".go.buildinfo", &info), (".dep-v0", b"x")]);
    for length in 4..bytes.len() {
        let facts = facts(&bytes[..length]);
        assert!(matches!(facts[0], Fact::Elf(_)), "{length}");
        assert!(facts.len() > 1, "{length}: nothing is said about the rest");
    }
    assert_eq!(shown(&bytes[..20]), ["ELF file: its header cannot be read"]);
}

#[test]
fn a_table_with_too_many_or_other_entries_is_not_read() {
    let info = inline("go1.20", LINES);
    let bytes = made(&[(".go.buildinfo", &info)]);
    let with = |at: usize, value: [u8; 2]| {
        let mut bytes = bytes.clone();
        bytes[at..at + 2].copy_from_slice(&value);
        shown(&bytes)
    };
    // The number of sections is beyond the end; segments suffice to find the build information.
    assert_eq!(
        with(60, [0xff, 0xff]),
        [
            "ELF file: its sections: a part of it is beyond its end",
            EXPECTED
        ]
    );
    assert_eq!(
        with(58, [1, 0]),
        [
            "ELF file: its sections: their entries have another size",
            EXPECTED
        ]
    );
    assert_eq!(
        with(62, [9, 0]),
        ["ELF file: its sections: they have no names", EXPECTED]
    );
    assert_eq!(
        with(54, [1, 0]),
        [
            "ELF file: its segments: their entries have another size",
            EXPECTED
        ]
    );
}

#[test]
fn only_elf_files_are_read() {
    assert_eq!(
        interest(b"a".as_slice().into(), 5, b"\x7fELF\x02"),
        Interest::Seek
    );
    assert_eq!(
        interest(b"a".as_slice().into(), 5, b"\x7fELG\x02"),
        Interest::None
    );
}
