//! Compressed files and archives that have a program in them.
//!
//! Here: which of them are listed because nothing else tells what is in them. Not here: archives of zip, whose entries
//! are read (`java`), and which of the files belong to a package (`inventory`).
//! Invariant: pure, bounded. At most [`INFLATED`] bytes are inflated. If that is not enough to tell, the file is listed.
//!
//! Documentation, pages of manuals and data are compressed in most images, and nobody would read a list of them. So a
//! file of gzip, which can be inflated here, is listed if it begins with a program, and an archive of tar if it has one
//! anywhere. Others are listed where programs are: if they can be executed, are in a directory of programs and libraries,
//! or have the name of an archive. What has programs by its nature, such as a package of Debian, is always listed.

use super::{Content, Fact, HEAD, Interest, ReadAs};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// A compressed file, or an archive in one, that has a program in it or can have one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// The path of the archive in the file, as in [`super::java::Archive`]. Empty if it is the file itself.
    pub path: String,
    /// How it is compressed.
    pub format: Format,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// An archive of zip that is none of Java, of which no package is known.
    Zip,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
    /// bzip2.
    Bzip2,
    /// An archive of tar that is not compressed.
    Tar,
    /// A package of Debian.
    Deb,
    /// A package of RPM.
    Rpm,
    /// An archive of cpio.
    Cpio,
    /// 7z.
    SevenZip,
}

/// Bytes that are inflated of a file that is no archive.
const START: usize = 4 << 10;
/// Compressed bytes in which these have to be. Real files need a few thousand.
const INPUT: u64 = 128 << 10;
/// Bytes that are inflated of an archive.
const INFLATED: u64 = 32 << 20;
/// Bytes of a file of gzip or an archive that are kept. A larger one is not compared with others.
const KEPT: usize = (4 << 20) - 1;
/// How ELF files begin.
const ELF: &[u8] = b"\x7fELF";
/// How archives of zip that have files begin.
const ZIP: &[u8] = b"PK\x03\x04";
/// Where a tar archive has its name, and the name.
const TAR: (usize, &[u8]) = (257, b"ustar");
/// Bytes of a block of a tar archive. Files begin with one.
const BLOCK: usize = 512;
/// Bytes of an archive that are looked at together. A multiple of [`BLOCK`].
const CHUNK: usize = 64 << 10;
/// Ends of names of archives that are compressed in a way that is not inflated here.
const ARCHIVE_NAMES: [&[u8]; 8] = [
    b".tar.xz",
    b".txz",
    b".tar.zst",
    b".tzst",
    b".tar.bz2",
    b".tbz2",
    b".tbz",
    b".tar.zstd",
];
/// Directories of programs and libraries, in the root and in each of [`PREFIXES`].
const DIRECTORIES: [&[u8]; 6] = [
    b"bin/",
    b"sbin/",
    b"lib/",
    b"lib32/",
    b"lib64/",
    b"libexec/",
];
/// Directories that have such directories.
const PREFIXES: [&[u8]; 3] = [b"usr/local/", b"usr/", b""];
/// The directory of programs that have one of their own.
const OPTIONAL: &[u8] = b"opt/";

/// How a file is read.
pub(super) fn interest(of: ReadAs<'_>, _size: u64, head: &[u8]) -> Interest {
    match format(head) {
        Some(
            Format::Gzip
            | Format::Tar
            | Format::Deb
            | Format::Rpm
            | Format::Cpio
            | Format::SevenZip,
        ) => Interest::Whole(KEPT),
        Some(Format::Xz | Format::Zstd | Format::Bzip2)
            if of.is_executable || has_programs(of.path) || has_name(of.path) =>
        {
            Interest::Seek
        }
        Some(Format::Xz | Format::Zstd | Format::Bzip2 | Format::Zip) | None => Interest::None,
    }
}

/// Adds what a file says.
pub(super) fn read(_path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let mut head = Vec::new();
    // A file that cannot be read is none that is compressed; the caller has read the same bytes before.
    drop(Read::take(&mut *content, HEAD as u64).read_to_end(&mut head));
    let Some(format) = format(&head) else {
        return;
    };
    let is_listed = match format {
        Format::Gzip => content.rewind().is_err() || has_program(content),
        Format::Tar => content.rewind().is_err() || archive_has_program(content, KEPT as u64),
        Format::Zip => false,
        Format::Xz
        | Format::Zstd
        | Format::Bzip2
        | Format::Deb
        | Format::Rpm
        | Format::Cpio
        | Format::SevenZip => true,
    };
    if is_listed {
        facts(Fact::Packed(Packed {
            path: String::new(),
            format,
        }));
    }
}

/// Whether these bytes begin as a program.
pub(super) fn is_program(start: &[u8]) -> bool {
    start.starts_with(ELF)
}

/// The format of a file that begins with these bytes. None for archives of zip.
fn format(head: &[u8]) -> Option<Format> {
    match head {
        // Deflate is the only method of gzip.
        [0x1f, 0x8b, 8, ..] => Some(Format::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Format::Bzip2),
        [0xed, 0xab, 0xee, 0xdb, ..] => Some(Format::Rpm),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(Format::SevenZip),
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..] => Some(Format::Cpio),
        // Archives of ar without its first member are libraries for linkers.
        _ if head.starts_with(b"!<arch>\ndebian-binary") => Some(Format::Deb),
        _ if is_tar(head) => Some(Format::Tar),
        _ => None,
    }
}

/// Whether these bytes begin as an archive of tar.
fn is_tar(start: &[u8]) -> bool {
    let (at, name) = TAR;
    start.get(at..).is_some_and(|rest| rest.starts_with(name))
}

/// Whether programs are expected at a path.
fn has_programs(path: &[u8]) -> bool {
    let prefix = PREFIXES.iter().find(|prefix| path.starts_with(prefix));
    let rest = prefix.and_then(|prefix| path.strip_prefix(*prefix));
    let rest = rest.unwrap_or(path);
    path.starts_with(OPTIONAL)
        || DIRECTORIES
            .iter()
            .any(|directory| rest.starts_with(directory))
}

/// Whether a file has the name of an archive.
fn has_name(path: &[u8]) -> bool {
    let mut names = ARCHIVE_NAMES.iter();
    names.any(|name| {
        let end = path.len().checked_sub(name.len());
        let end = end.and_then(|at| path.get(at..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(name))
    })
}

/// Whether a file of gzip begins with a program, or with an archive of tar that has one anywhere. True if that cannot be
/// told: nothing can be inflated, not before the limit of compressed bytes, or not to the end of the archive.
fn has_program(content: &mut dyn Content) -> bool {
    // Each of its members is content, as gunzip reads it.
    let mut inflated = MultiGzDecoder::new(content.take(INPUT));
    let mut start = vec![0; START];
    let (count, outcome) = fill(&mut inflated, &mut start);
    start.truncate(count);
    let mut input = inflated.into_inner();
    if outcome.is_err() && (input.limit() == 0 || start.is_empty()) {
        return true;
    }
    if is_program(&start) {
        return true;
    }
    if !is_tar(&start) {
        return false;
    }
    let content = input.get_mut();
    content.rewind().is_err() || archive_has_program(&mut MultiGzDecoder::new(content), INFLATED)
}

/// Whether an archive of tar has a program, or something that can have one. True if that cannot be told: it has more than
/// this number of bytes, or cannot be read. Whatever its headers say, the content of each file begins with a block.
fn archive_has_program(archive: &mut dyn Read, limit: u64) -> bool {
    let mut left = limit;
    let mut chunk = vec![0; CHUNK];
    loop {
        let (count, outcome) = fill(archive, &mut chunk);
        let read = chunk.get(..count).unwrap_or_default();
        let mut blocks = read.chunks(BLOCK);
        if outcome.is_err() || blocks.any(can_have_program) {
            return true;
        }
        if count < CHUNK {
            return false;
        }
        let Some(rest) = left.checked_sub(CHUNK as u64) else {
            return true;
        };
        left = rest;
    }
}

/// Whether a file in an archive that begins with this block is a program, or can have one.
fn can_have_program(block: &[u8]) -> bool {
    let is_compressed = format(block).is_some_and(|format| match format {
        // What follows in the archive tells.
        Format::Tar => false,
        // Other data begins like this as well. gzip has five flags.
        Format::Gzip => block.get(3).is_some_and(|flags| *flags < 1 << 5),
        Format::Zip
        | Format::Xz
        | Format::Zstd
        | Format::Bzip2
        | Format::Deb
        | Format::Rpm
        | Format::Cpio
        | Format::SevenZip => true,
    });
    is_program(block) || block.starts_with(ZIP) || is_compressed
}

/// Reads until there is no more room. Returns how many bytes were read, and why there are not more if it is no end.
fn fill(from: &mut dyn Read, into: &mut [u8]) -> (usize, io::Result<()>) {
    let mut count = 0;
    while let Some(room) = into.get_mut(count..).filter(|room| !room.is_empty()) {
        match from.read(room) {
            Ok(0) => break,
            Ok(read) => count = count.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Err(error)),
        }
    }
    (count, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{Cursor, Write as _};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A tar archive of a directory and a file.
    fn tar(file: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 2 * BLOCK];
        for block in [0, BLOCK] {
            bytes[block + 257..block + 262].copy_from_slice(b"ustar");
        }
        bytes.extend_from_slice(file);
        bytes
    }

    /// Whether a file is listed.
    fn is_listed(of: ReadAs<'_>, bytes: &[u8]) -> bool {
        let head = &bytes[..bytes.len().min(HEAD)];
        if interest(of, bytes.len() as u64, head) == Interest::None {
            return false;
        }
        let mut facts = Vec::new();
        read(of.path, &mut Cursor::new(bytes), &mut |fact| {
            facts.push(fact);
        });
        facts.len() == 1
    }

    #[test]
    fn a_file_of_gzip_is_listed_if_it_begins_with_a_program() {
        let program = [ELF, &[1; 9000]].concat();
        for (bytes, expected) in [
            (gzip(&program), true),
            (gzip(&tar(&program)), true),
            (gzip(b"text"), false),
            (gzip(&tar(b"text")), false),
            (gzip(b""), false),
            // The second member begins with the program.
            ([gzip(b""), gzip(&program)].concat(), true),
            // What does not begin with a program is data that can have any bytes.
            (gzip(&[&[0; BLOCK][..], ELF].concat()), false),
            (b"\x1f\x8b\x08 no more".to_vec(), true),
            (b"\x1f\x8b".to_vec(), false),
        ] {
            let of = b"srv/a".as_slice().into();
            assert_eq!(is_listed(of, &bytes), expected, "{:?}", bytes.get(..20));
        }
    }

    #[test]
    fn a_program_far_behind_in_a_file_of_gzip_is_listed() {
        let program = gzip(ELF);
        for (length, expected) in [(1000, true), (1 << 20, true)] {
            // The header has a name, which ends with a zero.
            let mut bytes = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
            bytes.resize(bytes.len() + length, b'a');
            bytes.push(0);
            bytes.extend_from_slice(&program[10..]);
            let of = b"srv/a".as_slice().into();
            assert_eq!(is_listed(of, &bytes), expected, "{length}");
        }
    }

    #[test]
    fn an_archive_of_tar_is_listed_if_it_has_a_program_anywhere() {
        let text = vec![b'a'; 100 * BLOCK];
        let with = |file: &[u8]| tar(&[&text, file].concat());
        for (name, archive, expected) in [
            ("a program", with(ELF), true),
            ("text", with(b"text"), false),
            (
                "a program within a file",
                with(&[&b"x"[..], ELF].concat()),
                false,
            ),
            ("an archive of zip", with(ZIP), true),
            ("a compressed file", with(b"\x1f\x8b\x08\0"), true),
            ("data like one", with(b"\x1f\x8b\x08\xff"), false),
            ("an archive of tar with text", with(&tar(b"text")), false),
            ("an archive of tar with a program", with(&tar(ELF)), true),
            ("a package of RPM", with(b"\xed\xab\xee\xdb"), true),
        ] {
            let half = archive.len() / 2;
            let (begin, end) = archive.split_at(half);
            let members = [gzip(begin), gzip(end)].concat();
            let damaged = {
                let mut bytes = gzip(&archive);
                bytes.truncate(bytes.len() - 20);
                bytes
            };
            let of = || b"srv/a".as_slice().into();
            assert_eq!(is_listed(of(), &archive), expected, "{name}");
            assert_eq!(is_listed(of(), &gzip(&archive)), expected, "{name}");
            assert_eq!(is_listed(of(), &members), expected, "{name}");
            assert!(is_listed(of(), &damaged), "{name}");
        }
    }

    #[test]
    fn an_archive_of_tar_that_is_too_large_to_tell_is_listed() {
        let limit = 2 * CHUNK as u64;
        for (size, expected) in [(2 * CHUNK, false), (3 * CHUNK, true)] {
            let archive = gzip(&vec![0; size]);
            let mut inflated = MultiGzDecoder::new(&*archive);
            assert_eq!(
                archive_has_program(&mut inflated, limit),
                expected,
                "{size}"
            );
        }
        for (size, expected) in [(KEPT - CHUNK, false), (KEPT + 1, true)] {
            let mut archive = tar(b"");
            archive.resize(size, 0);
            let of = b"srv/a.tar".as_slice().into();
            assert_eq!(is_listed(of, &archive), expected, "{size}");
        }
    }

    #[test]
    fn what_has_programs_by_its_nature_is_listed() {
        for (begin, expected) in [
            (&b"!<arch>\ndebian-binary   1342943816"[..], true),
            (b"!<arch>\n/               0", false),
            (b"\xed\xab\xee\xdb\x03\x00", true),
            (b"070701000002D1", true),
            (b"0707060000", false),
            (b"7z\xbc\xaf\x27\x1c\x00\x04", true),
            (b"7zip", false),
        ] {
            let of = b"srv/a".as_slice().into();
            assert_eq!(is_listed(of, begin), expected, "{}", begin.escape_ascii());
        }
    }

    #[test]
    fn other_formats_are_listed_where_programs_are_and_by_the_names_of_archives() {
        for magic in [&b"\xfd7zXZ\0"[..], b"\x28\xb5\x2f\xfd", b"BZh9"] {
            let bytes = [magic, b"data"].concat();
            for (path, is_executable, expected) in [
                ("usr/bin/a", false, true),
                ("usr/local/lib/x/a.so.xz", false, true),
                ("lib/modules/a.ko", false, true),
                ("opt/a", false, true),
                ("usr/share/doc/a.xz", false, false),
                ("usr/share/doc/a.xz", true, true),
                ("var/lib/apt/lists/a", false, false),
                ("srv/opt/a", false, false),
                ("srv/a.tar.xz", false, true),
                ("srv/A.TZST", false, true),
                ("srv/a.tar.bz2", false, true),
                ("srv/tar.xz", false, false),
            ] {
                let of = ReadAs {
                    path: path.as_bytes(),
                    is_executable,
                };
                assert_eq!(is_listed(of, &bytes), expected, "{path}");
            }
        }
        let of = b"opt/a".as_slice().into();
        assert!(!is_listed(of, b"BZip"));
    }
}
