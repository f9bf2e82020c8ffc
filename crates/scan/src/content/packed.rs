//! Compressed files that have a program in them.
//!
//! Here: which compressed files are listed because nothing else tells what is in them. Not here: archives of zip, whose
//! entries are read (`java`), and which of the files belong to a package (`inventory`).
//! Invariant: pure, bounded. At most [`START`] bytes are inflated. If that is not enough to tell, the file is listed.
//!
//! Documentation, pages of manuals and data are compressed in most images, and nobody would read a list of them. So a
//! file of gzip, which can be inflated here, is listed if it begins with a program. Others are listed where programs are:
//! if they can be executed, or are in a directory of programs and libraries.

use super::{Content, Fact, HEAD, Interest, ReadAs};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use std::io::Read;

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
}

/// Bytes that are inflated.
const START: u64 = 4 << 10;
/// Compressed bytes in which these have to be. Real files need a few thousand.
const INPUT: u64 = 128 << 10;
/// Bytes of a file of gzip that are kept. A larger one is not compared with others.
const KEPT: usize = (4 << 20) - 1;
/// How ELF files begin.
const ELF: &[u8] = b"\x7fELF";
/// Where a tar archive has its name, and the name.
const TAR: (usize, &[u8]) = (257, b"ustar");
/// Bytes of a block of a tar archive. Files begin with one.
const BLOCK: usize = 512;
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
        Some(Format::Gzip) => Interest::Whole(KEPT),
        Some(Format::Xz | Format::Zstd | Format::Bzip2)
            if of.is_executable || has_programs(of.path) =>
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
        Format::Zip => false,
        Format::Xz | Format::Zstd | Format::Bzip2 => true,
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
        _ => None,
    }
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

/// Whether a file of gzip begins with a program, or with a tar archive that does. True if that cannot be told: nothing
/// can be inflated, or not before the limit of compressed bytes.
fn has_program(content: &mut dyn Content) -> bool {
    let mut input = content.take(INPUT);
    let mut start = Vec::new();
    let outcome = GzDecoder::new(&mut input)
        .take(START)
        .read_to_end(&mut start);
    let (at, name) = TAR;
    let is_tar = start.get(at..).is_some_and(|rest| rest.starts_with(name));
    let is_unknown = outcome.is_err() && (input.limit() == 0 || start.is_empty());
    is_unknown || is_program(&start) || (is_tar && start.chunks(BLOCK).any(is_program))
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
    fn other_formats_are_listed_where_programs_are() {
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
