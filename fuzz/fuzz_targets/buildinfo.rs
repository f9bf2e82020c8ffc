//! Law: what a binary says that it is built from has names and versions that can be printed, and a part that cannot be
//! read hides none after it.
//!
//! An input begins with what it is: `G` for the version of Go and, after a line feed, the lines about modules; `R` for
//! entries of crates, one on each line; `J` for the JSON of all crates; `Z` for the section with them as it is stored.

#![no_main]

use bailiff_fuzz::{elf, facts};
use bailiff_scan::content::Fact;
use bailiff_scan::content::go::BuildInfo;
use bailiff_scan::content::rust::Crate;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use std::io::Write as _;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'G', rest)) => go(rest),
        Some((b'R', rest)) => crates(rest),
        Some((b'J', rest)) => drop(rust(&packed(rest))),
        Some((b'Z', rest)) => drop(rust(rest)),
        Some(_) | None => {}
    }
});

fn go(input: &[u8]) {
    let (version, lines) = facts::path_and_file(input).unwrap_or((input, b""));
    // A longer or empty one is no build information.
    let version = &version[..version.len().min(256)];
    let version = if version.is_empty() {
        b"go1.22"
    } else {
        version
    };
    let mark = [0; 16];
    let lines = [&mark, lines, b"\ndep\texample.org/last\tv1.2.3\n", &mark].concat();
    let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
    section.resize(32, 0);
    for text in [version, &lines] {
        let mut length = text.len();
        while length > 0x7f {
            section.push(length.to_le_bytes()[0] | 0x80);
            length >>= 7;
        }
        section.push(length.to_le_bytes()[0]);
        section.extend(text);
    }
    let read = facts::of(b"usr/bin/a", &elf::with(".go.buildinfo", &section));
    let of_go = read.iter().filter_map(|fact| match fact {
        Fact::Go(info) => Some(info),
        _ => None,
    });
    let [info] = of_go.collect::<Vec<&BuildInfo>>()[..] else {
        panic!("{read:?}");
    };
    facts::version(&info.go);
    for module in info.main.iter().chain(&info.dependencies) {
        facts::name(&module.path);
        facts::version(&module.version);
        module.replaces.iter().for_each(|path| facts::name(path));
    }
    let last = info.dependencies.last().expect("the last line is read");
    assert_eq!(
        (&*last.path, &*last.version, &last.replaces),
        ("example.org/last", "v1.2.3", &None)
    );
}

/// The crates of a section. None if the section cannot be read.
fn rust(section: &[u8]) -> Option<Vec<Crate>> {
    let read = facts::of(b"usr/bin/a", &elf::with(".dep-v0", section));
    assert!(matches!(read.first(), Some(Fact::Elf(_))));
    let mut of_rust = read.into_iter().filter_map(|fact| match fact {
        Fact::Rust(crates) => Some(crates),
        _ => None,
    });
    let crates = of_rust.next();
    assert!(of_rust.next().is_none());
    for of in crates.iter().flatten() {
        facts::name(&of.name);
        facts::version(&of.version);
    }
    crates
}

fn crates(input: &[u8]) {
    // What is no JSON, no UTF-8 or nested deeply makes all of the section unreadable.
    let is_entry = |line: &&[u8]| {
        let levels = line.iter().filter(|byte| matches!(byte, b'[' | b'{'));
        let is_json = |line| serde_json::from_str::<IgnoredAny>(line).is_ok();
        levels.count() < 32 && str::from_utf8(line).is_ok_and(is_json)
    };
    let mut text = b"{\"packages\":[".to_vec();
    for entry in input.split(|byte| *byte == b'\n').filter(is_entry) {
        text.extend(entry);
        text.push(b',');
    }
    text.extend(br#"{"name":"last","version":"1.0.0","source":"crates.io"}]}"#);
    let crates = rust(&packed(&text)).expect("each entry is JSON");
    let last = crates.last().expect("the last entry is read");
    assert_eq!(
        (&*last.name, &*last.version, last.is_of_crates_io),
        ("last", "1.0.0", true)
    );
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}
