//! Law: whatever the bytes of an index are, its parts can be read or have an error, and a lookup takes bounded memory.
//!
//! An input changes bytes of an index that was built: each three of its bytes are an offset and a value. The checks of
//! the parts are written again, as somebody does who writes an index; without that, each change ends there.

#![no_main]

use bailiff_scan::advisory::osv;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::index::{Builder, Index, SourceKind};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::LazyLock;

/// The most memory that a lookup takes, in bytes. The index has a few kilobytes, and each list of it can be named often.
const MEMORY: u64 = 64 << 20;
/// Where the header ends, and the first head begins.
const PARTS: usize = 120;
/// Bytes of a slot.
const SLOT: usize = 16;

struct Base {
    file: Vec<u8>,
    heads: Vec<usize>,
    packages: BTreeSet<(Ecosystem, String)>,
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let records = include_str!("../../crates/scan/tests/data/osv.jsonl").lines();
    let mut file = Cursor::new(Vec::new());
    let now = "2026-01-01T00:00:00Z".parse().expect("it is a time");
    let mut builder = Builder::new(&mut file, now, None).expect("memory can be written");
    let source = builder.source(SourceKind::Osv, "osv".to_owned());
    let mut packages = BTreeSet::new();
    for record in records.step_by(20) {
        let advisory = osv::decode(record.as_bytes()).expect("it is a record");
        let entries = advisory.affected.iter();
        packages.extend(entries.map(|e| (e.ecosystem.clone(), e.name.clone())));
        builder
            .add(source, "", advisory)
            .expect("memory can be written");
    }
    builder.finish().expect("memory can be written");
    let file = file.into_inner();
    let heads = heads(&file);
    let mut sealed = file.clone();
    seal(&mut sealed, &heads);
    assert!(sealed == file, "sealing is not what building does");
    Base {
        file,
        heads,
        packages,
    }
});

fuzz_target!(|changes: &[u8]| {
    let mut file = BASE.file.clone();
    let room = file.len() - PARTS;
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        file[PARTS + at % room] = change[2];
    }
    seal(&mut file, &BASE.heads);
    let index = Index::open(&file).expect("the header is as it was");
    drop(index.sources());
    drop(index.known_exploited());
    for (ecosystem, name) in &BASE.packages {
        let taken = allocation_counter::measure(|| {
            let Ok(found) = index.get(ecosystem, name) else {
                return;
            };
            for found in found {
                for entry in &found.advisory.affected {
                    drop(entry.evaluate("1.0"));
                }
            }
        });
        assert!(taken.bytes_max < MEMORY, "{} bytes", taken.bytes_max);
    }
});

/// A number of a file.
fn number(file: &[u8], at: usize, bytes: usize) -> usize {
    let bytes = file[at..at + bytes].iter().rev();
    bytes.fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Where the heads are: they follow each other from the first part on, until the first block.
fn heads(file: &[u8]) -> Vec<usize> {
    let (slots, count) = (number(file, 64, 8), number(file, 72, 8));
    let blocks = (0..count).map(|slot| number(file, slots + slot * SLOT, 8));
    let end = blocks.min().unwrap_or(slots);
    let mut heads = Vec::new();
    let mut at = PARTS;
    while at < end {
        heads.push(at);
        at += 8 + number(file, at, 4);
    }
    heads
}

/// Writes the checks of a file again.
fn seal(file: &mut [u8], heads: &[usize]) {
    let check = |parts: &[&[u8]]| {
        let mut check = crc32fast::Hasher::new();
        for part in parts {
            check.update(part);
        }
        check.finalize().to_le_bytes()
    };
    for at in heads.iter().copied() {
        let length = number(file, at, 4);
        if let Some(head) = file.get(at + 8..at + 8 + length) {
            let of = check(&[&(at as u64).to_le_bytes(), head]);
            file[at + 4..at + 8].copy_from_slice(&of);
        }
    }
    let (slots, count) = (number(file, 64, 8), number(file, 72, 8));
    for slot in 0..count {
        let at = slots + slot * SLOT;
        let (offset, length) = (number(file, at, 8), number(file, at + 8, 4));
        let end = offset.saturating_add(length);
        if let Some(block) = file.get(offset..end) {
            let of = check(&[&(slot as u64).to_le_bytes(), &file[at..at + 12], block]);
            file[at + 12..at + SLOT].copy_from_slice(&of);
        }
    }
    for at in [80, 100] {
        let (offset, length) = (number(file, at, 8), number(file, at + 8, 8));
        let of = check(&[&file[offset..offset + length]]);
        file[at + 16..at + 20].copy_from_slice(&of);
    }
    let of = check(&[&file[..12], &file[48..PARTS]]);
    file[12..16].copy_from_slice(&of);
}
