//! Limits, compressions and damage. What entries are is compared with containerd (`tests/layers`).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is the report of a test"
)]

#[path = "../../tests/layers/archive.rs"]
#[allow(dead_code, reason = "another test uses the rest")]
mod archive;

use super::*;
use archive::{Member as Written, Style, archive as written};
use flate2::write::GzEncoder;
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8], window: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(window).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The paths of a layer, and how it ends.
fn read(bytes: &[u8], limits: &Limits) -> (Vec<String>, Result<u64, String>) {
    let mut layer = Layer::new(bytes, limits);
    let mut paths = Vec::new();
    loop {
        match layer.next() {
            Ok(Some(entry)) => paths.push(entry.path.escape_ascii().to_string()),
            Ok(None) => return (paths, Ok(layer.unpacked())),
            Err(cause) => {
                assert_eq!(layer.next(), Err(cause.clone()), "the error is not kept");
                let content = layer.content().read(&mut [0; 8]);
                assert!(content.is_err());
                return (paths, Err(cause.to_string()));
            }
        }
    }
}

fn end(bytes: &[u8], limits: &Limits) -> String {
    match read(bytes, limits).1 {
        Ok(unpacked) => format!("{unpacked} bytes"),
        Err(message) => message,
    }
}

fn two_files() -> Vec<u8> {
    written(&[Written::file("a", [b'x'; 600]), Written::file("b", "y")])
}

#[test]
fn the_first_bytes_tell_the_compression() {
    let bytes = two_files();
    assert_eq!(bytes.len(), 4 * 512 + 512 + 1024 - 512 + 512);
    for packed in [
        bytes.clone(),
        gzip(&bytes),
        zstd(&bytes, 20),
        [gzip(&bytes[..700]), gzip(&bytes[700..])].concat(),
        [
            zstd(&bytes[..700], 20),
            b"\x5f\x2a\x4d\x18\x02\0\0\0xy".to_vec(),
            zstd(&bytes[700..], 20),
        ]
        .concat(),
        [b"\x50\x2a\x4d\x18\0\0\0\0".to_vec(), zstd(&bytes, 20)].concat(),
    ] {
        let (paths, end) = read(&packed, &Limits::default());
        assert_eq!(paths, ["a", "b"]);
        assert_eq!(end, Ok(3584));
    }
    assert_eq!(read(b"", &Limits::default()), (vec![], Ok(0)));
}

#[test]
fn what_is_damaged_is_reported_and_what_was_read_before_counts() {
    let bytes = two_files();
    let limits = Limits::default();
    let cut = |bytes: &[u8], left: usize| bytes[..bytes.len() - left].to_vec();
    let mut checksum = gzip(&bytes);
    let at = checksum.len() - 5;
    checksum[at] ^= 1;
    let mut header = bytes.clone();
    header[1536] ^= 1;
    let mut after_end = bytes.clone();
    after_end[3583] = 1;
    for (name, bytes, paths, message) in [
        (
            "cut content",
            bytes[..700].to_vec(),
            vec!["a"],
            "its tar archive ends within an entry",
        ),
        (
            "cut header",
            bytes[..1600].to_vec(),
            vec!["a"],
            "its tar archive ends within an entry",
        ),
        // As in Go, which takes the end of the padding for that of the archive.
        (
            "cut padding",
            bytes[..1200].to_vec(),
            vec!["a"],
            "1200 bytes",
        ),
        (
            "checksum of a header",
            header,
            vec!["a"],
            "its tar archive has an invalid header: its checksum is wrong",
        ),
        (
            "after the end",
            after_end,
            vec!["a", "b"],
            "its tar archive has an invalid header: it follows the end of the archive",
        ),
        (
            "cut gzip",
            cut(&gzip(&bytes), 4),
            vec!["a", "b"],
            "its gzip data is damaged: unexpected end of file",
        ),
        (
            "checksum of gzip",
            checksum,
            vec!["a", "b"],
            "its gzip data is damaged: corrupt gzip stream does not have a matching checksum",
        ),
        (
            "after gzip",
            [gzip(&bytes), b"something else".to_vec()].concat(),
            vec!["a", "b"],
            "its gzip data is damaged: invalid gzip header",
        ),
        (
            "cut zstd",
            cut(&zstd(&bytes, 20), 4),
            vec![],
            "its zstd data is damaged: incomplete frame",
        ),
        (
            "after zstd",
            [zstd(&bytes, 20), b"something else".to_vec()].concat(),
            vec!["a", "b"],
            "its zstd data is damaged: Unknown frame descriptor",
        ),
    ] {
        let (found, _) = read(&bytes, &limits);
        assert_eq!(end(&bytes, &limits), message, "{name}");
        assert_eq!(found, paths, "{name}");
    }
}

#[test]
fn a_reader_that_fails_is_not_taken_for_damaged_data() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk\nis gone"))
        }
    }
    let bytes = two_files();
    for packed in [bytes.clone(), gzip(&bytes), zstd(&bytes, 20)] {
        for length in [0, 5, packed.len() - 1] {
            let mut layer = Layer::new(packed[..length].chain(Failing), &Limits::default());
            let cause = loop {
                match layer.next() {
                    Ok(entry) => assert!(entry.is_some(), "the layer ended"),
                    Err(cause) => break cause.to_string(),
                }
            };
            assert_eq!(cause, r"its bytes cannot be read: the disk\nis gone");
        }
    }
}

#[test]
fn limits_have_names_and_what_was_read_before_counts() {
    let bytes = two_files();
    let limits = |unpacked, entries| Limits {
        unpacked,
        entries,
        ..Limits::default()
    };
    assert_eq!(end(&bytes, &limits(3584, 2)), "3584 bytes");
    let unpacked = "it has more than 3583 bytes once it is unpacked";
    let (paths, end_of_it) = read(&gzip(&bytes), &limits(3583, 2));
    assert_eq!(paths, ["a", "b"]);
    assert_eq!(end_of_it.unwrap_err(), unpacked);
    assert_eq!(read(&bytes, &limits(512, 2)).0, ["a"]);
    assert_eq!(
        end(&bytes, &limits(3584, 1)),
        "there are more than 1 entries"
    );
    assert_eq!(read(&bytes, &limits(3584, 1)).0, ["a"]);

    let gnu = |name: Vec<u8>| Written {
        style: Style::Gnu,
        ..Written::file(name, "")
    };
    let path = |length: usize| written(&[gnu(vec![b'p'; length])]);
    assert_eq!(read(&path(4096), &Limits::default()).0, ["p".repeat(4096)]);
    let message = "a path has more than 4096 bytes";
    assert_eq!(end(&path(4097), &Limits::default()), message);

    for style in [Style::Gnu, Style::Pax] {
        let long = Written {
            style,
            ..Written::file(vec![b'/'; (1 << 20) - 20], "")
        };
        assert_eq!(end(&written(&[long]), &Limits::default()), "1050624 bytes");
        let longer = Written {
            style,
            ..Written::file(vec![b'/'; 1 << 20], "")
        };
        assert_eq!(
            end(&written(&[longer]), &Limits::default()),
            "an extended header has more than 1048576 bytes"
        );
    }
    assert_eq!(end(&zstd(&bytes, 26), &Limits::default()), "3584 bytes");
    assert_eq!(
        end(&zstd(&bytes, 27), &Limits::default()),
        "its zstd data requires a window of more than 67108864 bytes"
    );
}

/// Limits cannot be raised.
#[test]
fn the_highest_limits_are_constants() {
    let limits = Limits {
        unpacked: u64::MAX,
        entries: u32::MAX,
        names: u64::MAX,
        lookups: 1,
    };
    let holes = Written {
        style: Style::Pax,
        records: [
            "GNU.sparse.map=0,0",
            "GNU.sparse.numblocks=1",
            "GNU.sparse.size=34359738369",
        ]
        .map(|record| record.as_bytes().to_vec())
        .to_vec(),
        ..Written::file("a", "")
    };
    assert_eq!(
        end(&written(&[holes]), &limits),
        "it has more than 34359738368 bytes once it is unpacked"
    );
}

/// An announced size takes no memory, and a sparse file takes none for its holes.
#[test]
fn memory_is_bounded() {
    let announced = Written {
        size: Some(1 << 30),
        ..Written::new(b'x', "a")
    };
    let mut holes = Written {
        style: Style::Pax,
        ..Written::file("a", "")
    };
    holes.records = [
        "GNU.sparse.map=0,0",
        "GNU.sparse.numblocks=1",
        "GNU.sparse.size=17179869184",
    ]
    .map(|record| record.as_bytes().to_vec())
    .to_vec();
    for bytes in [
        written(&[announced]),
        written(&[holes]),
        gzip(&vec![0; 4 << 20]),
        written(&[Written::file("a", vec![b'x'; 4 << 20])]),
    ] {
        let taken = allocation_counter::measure(|| {
            drop(read(&bytes, &Limits::default()));
        });
        assert!(taken.bytes_max < 400 << 10, "{}", taken.bytes_max);
    }
}

#[test]
fn an_observer_is_shown_all_bytes_once() {
    // More than one buffer, and bytes after the end of the archive, which belong to its digest.
    let mut bytes = written(&[
        Written::file("a", vec![b'x'; 200_000]),
        Written::file("b", "y"),
    ]);
    bytes.extend([b'z'; 5000]);
    for packed in [bytes.clone(), gzip(&bytes), zstd(&bytes, 20)] {
        let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let observed = std::rc::Rc::clone(&seen);
        let mut layer = Layer::observed(packed.as_slice(), &Limits::default(), move |part| {
            observed.borrow_mut().extend_from_slice(part);
        });
        while let Some(entry) = layer.next().unwrap() {
            // Of one file, a part is read; the other one is skipped.
            if entry.path == b"a" {
                layer.content().read_exact(&mut [0; 700]).unwrap();
            }
        }
        assert!(*seen.borrow() == bytes);
    }
}
