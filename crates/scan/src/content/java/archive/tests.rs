//! Which entries an archive has, and what they contain.

use super::super::made::{Made, Written, end};
use super::*;
use proptest::prelude::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// The entries with their content, or what is wrong.
fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut content = Cursor::new(bytes);
    let mut part = Part::all(&mut content).unwrap();
    let mut directory = Directory::find(&mut part).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    while let Some(entry) = directory.next(&mut part).map_err(|e| e.to_string())? {
        let mut content = Vec::new();
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        entry
            .read(&mut part, 1 << 20, &mut content)
            .map_err(|error| format!("{name}: {error}"))?;
        entries.push((name, content));
    }
    Ok(entries)
}

#[test]
fn each_place_of_an_end_is_found_the_last_one_first() {
    for length in END_SIZE..60 {
        let last = length - END_SIZE;
        for at in 0..length {
            let mut tail = vec![0; length];
            for (byte, place) in END.iter().zip(tail.get_mut(at..).unwrap()) {
                *place = *byte;
            }
            let expected: Vec<_> = Some(at).filter(|at| *at <= last).into_iter().collect();
            assert_eq!(ends(&tail).collect::<Vec<_>>(), expected, "{length}");
        }
    }
    let tail = END.repeat(8);
    assert_eq!(ends(&tail).collect::<Vec<_>>(), [8, 4, 0]);
}

fn names(bytes: &[u8]) -> Result<String, String> {
    let names = |entries: Vec<(String, _)>| {
        let names: Vec<_> = entries.into_iter().map(|(name, _)| name).collect();
        names.join(" ")
    };
    read(bytes).map(names)
}

fn two() -> Made {
    Made::new().stored("a", b"A").deflated("b", b"BBBBBBBB")
}

#[test]
fn entries_are_read_whatever_is_around_them() {
    let expected = Ok(vec![
        ("a".to_owned(), b"A".to_vec()),
        ("b".to_owned(), b"BBBBBBBB".to_vec()),
    ]);
    assert_eq!(read(&two().end()), expected);
    assert_eq!(read(&two().end_with(b"a comment")), expected);
    assert_eq!(read(&two().end_of_zip64()), expected);
    let script = Made::after(b"#!/bin/sh\nexec java -jar $0\n");
    let script = script.stored("a", b"A").deflated("b", b"BBBBBBBB");
    assert_eq!(read(&script.clone().end()), expected);
    assert_eq!(read(&script.end_of_zip64()), expected);
    let mut followed = two().end();
    followed.extend_from_slice(&[b'x'; 1000]);
    assert_eq!(read(&followed), expected);
    let zip64 = Written {
        zip64: true,
        extra: b"\x75\x70\x01\x00x",
        ..Written::default()
    };
    let large = Made::after(b"x").written("a", b"A", zip64);
    assert_eq!(
        read(&large.deflated("b", b"BBBBBBBB").end_of_zip64()),
        expected
    );
}

#[test]
fn the_end_is_the_one_that_java_takes() {
    // An end in the comment, with an empty directory.
    let comment = [&end(0, 0, 0, b"")[..], b"x"].concat();
    assert_eq!(names(&two().end_with(&comment)).as_deref(), Ok("a b"));
    // An end after the archive, with a directory that is not there.
    let mut followed = two().end();
    followed.extend(end(1, 46, 0, b""));
    followed.push(b'x');
    assert_eq!(names(&followed).as_deref(), Ok("a b"));
    // The last of two archives counts.
    let both = [Made::new().stored("hidden", b"").end(), two().end()].concat();
    assert_eq!(names(&both).as_deref(), Ok("a b"));
    // The end of zip64 counts only if the other one agrees.
    let mut disagrees = two().end_of_zip64();
    let count = disagrees.len() - 14;
    disagrees[count..count + 4].fill(7);
    assert!(names(&disagrees).is_err());
}

#[test]
fn the_name_of_an_entry_is_that_of_the_directory() {
    // A field with another name, as Info-ZIP writes it.
    let mut field = b"\x75\x70".to_vec();
    field.extend([6, 0, 1, 0, 0, 0, 0, b'x']);
    let how = Written {
        extra: &field,
        local_name: Some("innocuous"),
        ..Written::default()
    };
    let bytes = Made::new().written("a", b"A", how).end();
    assert_eq!(read(&bytes), Ok(vec![("a".to_owned(), b"A".to_vec())]));
    let mut content = Cursor::new(&bytes);
    let mut part = Part::all(&mut content).unwrap();
    let mut directory = Directory::find(&mut part).unwrap();
    let entry = directory.next(&mut part).unwrap().unwrap();
    assert!(entry.has_other_name(&mut part).unwrap());
}

#[test]
fn damage_is_an_error_and_hides_no_entry_before_it() {
    let error = |bytes: &[u8]| names(bytes).unwrap_err();
    let none = "it is no archive: it has no directory at its end";
    assert_eq!(error(b""), none);
    assert_eq!(error(b"PK\x03\x04"), none);
    assert_eq!(error(&two().end()[..80]), none);
    let hidden = [&b"x"[..], &end(0, 0, 0, b"")].concat();
    assert_eq!(
        error(&hidden),
        "its directory is empty, and it has other content"
    );
    assert_eq!(
        error(&end(1, 100, 0, b"")),
        "its directory is larger than what is before its end"
    );
    let mut far = two().end();
    let offset = far.len() - 6;
    far[offset..offset + 4].fill(0x7f);
    assert_eq!(error(&far), "its directory is not where its end says");
    assert_eq!(
        error(&two().in_directory(&[0; 46]).end()),
        "its directory has something else than entries"
    );
    assert_eq!(
        error(&two().in_directory(b"PK\x01\x02").end()),
        "its directory ends within an entry"
    );
    let how = |flags, method| Written {
        flags,
        method,
        ..Written::default()
    };
    let entry = |how| Made::new().stored("a", b"").written("b", b"B", how).end();
    assert_eq!(error(&entry(how(1, 8))), "b: it is encrypted");
    assert_eq!(
        error(&entry(how(0, 93))),
        "b: it is compressed in a way that Java does not know"
    );
    let corrupt = Made::new().written("b", b"\xff\xff", how(0, 8)).end();
    assert!(error(&corrupt).starts_with("b: it cannot be read: "));
    let maximum = Written {
        zip64: true,
        ..Written::default()
    };
    let mut short = Made::new().written("a", b"A", maximum).end();
    // The field is no longer one of zip64.
    let field = short.windows(4).position(|bytes| bytes == [1, 0, 24, 0]);
    short[field.unwrap()] = 2;
    assert_eq!(
        error(&short),
        "an entry of its directory has no size or position"
    );
    let ends = vec![end(0, 0, 1, b"x"); 300].concat();
    assert_eq!(
        error(&[ends.as_slice(), b"y"].concat()),
        "it has too many places that look like its end"
    );
}

#[test]
fn an_archive_is_recognized_in_an_entry() {
    let of = |made: Made| {
        let bytes = made.end();
        let mut content = Cursor::new(bytes);
        let mut part = Part::all(&mut content).unwrap();
        let mut directory = Directory::find(&mut part).unwrap();
        let mut inflate = Decompress::new(false);
        let mut found = Vec::new();
        while let Some(entry) = directory.next(&mut part).unwrap() {
            let start = entry.start(&mut part, &mut inflate, &mut (1 << 20));
            found.push(start.map_err(|error| error.to_string()));
        }
        found
    };
    let inner = two().end();
    let made = Made::new()
        .stored("a.txt", &inner)
        .deflated("b.txt", &inner)
        .deflated("c", b"text")
        .deflated("d", b"")
        .stored("e", b"PK\x03\x04");
    assert_eq!(
        of(made),
        [
            Ok(Start::Archive),
            Ok(Start::Archive),
            Ok(Start::Other),
            Ok(Start::Other),
            Ok(Start::Other)
        ]
    );
    let encrypted = Written {
        flags: 1,
        ..Written::default()
    };
    let zstd = Written {
        method: 93,
        ..Written::default()
    };
    let made = Made::new()
        .stored("a", b"\x7fELF\x02")
        .deflated("b", b"\x7fELF\x02")
        .stored("c", b"\x7fEL")
        .written("d", b"text", encrypted)
        .written("e", b"text", zstd);
    assert_eq!(
        of(made),
        [
            Ok(Start::Program),
            Ok(Start::Program),
            Ok(Start::Other),
            Ok(Start::Unknown),
            Ok(Start::Unknown)
        ]
    );
    let deflate = |content: &[u8]| {
        let how = Written {
            method: 8,
            ..Written::default()
        };
        Made::new().written("a", content, how)
    };
    // Blocks without content are in front of it.
    let empty = b"\x00\x00\x00\xff\xff";
    let compressed = super::super::made::deflated(&inner);
    let padded = |count| [&empty.repeat(count)[..], &compressed].concat();
    assert_eq!(of(deflate(&padded(5000))), [Ok(Start::Archive)]);
    let cause = "it begins with too much that has no content".to_owned();
    assert_eq!(of(deflate(&padded(50_000))), [Err(cause)]);
    assert_eq!(of(deflate(b"\xff\xff")), [Ok(Start::Other)]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_another_program_writes_is_read(
        entries in prop::collection::btree_map("[a-zA-Z/.-]{1,12}", (prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>()), 0..6),
        prefix in prop::collection::vec(any::<u8>(), 0..40),
        comment in "[a-z]{0,10}",
    ) {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut expected = Vec::new();
        for (name, (content, is_deflated, is_large)) in entries {
            let method = if is_deflated {
                zip::CompressionMethod::Deflated
            } else {
                zip::CompressionMethod::Stored
            };
            let options = SimpleFileOptions::default().compression_method(method).large_file(is_large);
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(&content).unwrap();
            expected.push((name, content));
        }
        writer.set_comment(comment).unwrap();
        let archive = writer.finish().unwrap().into_inner();
        let is_empty = expected.is_empty();
        let bytes = [prefix, archive].concat();
        let found = read(&bytes);
        if is_empty && found.is_err() {
            prop_assert!(bytes.len() > 22);
        } else {
            prop_assert_eq!(found, Ok(expected));
        }
    }

    #[test]
    fn damaged_archives_have_entries_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        is_large in any::<bool>(),
    ) {
        let made = Made::after(b"ab").stored("a", b"A").deflated("b", &two().end());
        let mut bytes = if is_large { made.end_of_zip64() } else { made.end() };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match read(&bytes) {
            Ok(entries) => prop_assert!(entries.len() < 10),
            Err(error) => prop_assert!(!error.is_empty()),
        }
    }
}
