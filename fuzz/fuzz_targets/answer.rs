//! Law: whatever the process that reads a layer answers, what is believed of it is about that layer: paths inside the
//! root, facts of files that it read, no more entries than requested, and nothing after its end. It takes bounded memory.
//!
//! An input begins with a byte of options: 1 for a process that was to be in a sandbox, 2 for one that was to read two files
//! alone, 4 for an answer as it is. Otherwise, the parts of the answer follow, each after a byte with its length.

#![no_main]

use bailiff_image::report::{FRAME_LIMIT, Hash, Reader, Writer};
use bailiff_oci::layer::{EntryKind, Limits};
use bailiff_oci::tree::Tree;
use libfuzzer_sys::fuzz_target;
use report::{Frame, Work};
use validate::{Checker, Expected};

/// What the module of the crate names.
mod report {
    pub(crate) use bailiff_image::report::{Done, Frame, NotRead, Work};
}
#[allow(
    dead_code,
    reason = "some causes are those of whoever reads the answer"
)]
#[path = "../../crates/image/src/validate.rs"]
mod validate;

/// The most memory that an answer takes, in bytes.
const MEMORY: u64 = 16 << 20;
/// Entries that were requested.
const ENTRIES: u32 = 8;
/// Bytes of the blob, and of its content.
const SIZE: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((options, parts)) = input.split_first() else {
        return;
    };
    let answer = if options & 4 == 4 {
        parts.to_vec()
    } else {
        framed(parts)
    };
    let taken = allocation_counter::measure(|| believed(*options, &answer));
    assert!(taken.bytes_max < MEMORY, "{} bytes", taken.bytes_max);
});

/// The parts, each after its length as the reader expects it.
fn framed(mut parts: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    while let Some((length, rest)) = parts.split_first() {
        let (part, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        let length = u32::try_from(part.len()).expect("it has at most 255 bytes");
        answer.extend(length.to_le_bytes());
        answer.extend(part);
        parts = rest;
    }
    answer
}

fn believed(options: u8, answer: &[u8]) {
    let work = if options & 2 == 2 {
        Work::Files(vec![(1, b"a".to_vec()), (3, b"b".to_vec())])
    } else {
        Work::All {
            blob: Hash::Sha256,
            content: Hash::Sha256,
        }
    };
    let mut checker = Checker::new(Expected {
        sandboxed: options & 1 == 1,
        work: &work,
        size: SIZE,
        unpacked: SIZE,
        entries: ENTRIES,
    });
    let mut tree = Tree::new(&Limits::default());
    tree.begin_layer();
    let mut reader = Reader::new(answer);
    let (mut entries, mut files, mut progress) = (0, Vec::new(), 0);
    while let Ok(Some((frame, length))) = reader.frame() {
        assert!(length <= FRAME_LIMIT);
        let ended = checker.ended();
        if checker.check(&frame).is_err() {
            break;
        }
        assert!(!ended, "something follows the end");
        again(&frame);
        match frame {
            Frame::Started(sandbox) => assert_eq!(sandbox.is_some(), options & 1 == 1),
            Frame::NotSandboxed(_) => {}
            Frame::Progress(read) => {
                assert!(read > progress && read <= SIZE);
                progress = read;
            }
            Frame::Entry { entry, read } => {
                assert!(matches!(work, Work::All { .. }) && entries < ENTRIES);
                assert!(!read || entry.kind == EntryKind::File);
                if entry.kind == EntryKind::File {
                    files.push(entries);
                }
                // What has no place in the tree is reported.
                drop(tree.apply(entries, &entry));
                entries += 1;
                assert_eq!(checker.last(), entries.checked_sub(1));
            }
            Frame::Fact { ordinal, fact } => {
                assert!(fact.is_valid());
                is_of_a_file(&work, &files, ordinal);
            }
            Frame::Content { ordinal, digest: _ } => {
                is_of_a_file(&work, &files, ordinal);
            }
            Frame::Done(done) => assert!(done.unpacked <= SIZE),
            Frame::NotRead { .. } => {}
        }
    }
    drop(tree.end_layer());
    for (path, _) in tree.view().walk() {
        let is_inside = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
        assert!(path.split(|byte| *byte == b'/').all(is_inside), "{path:?}");
    }
}

fn is_of_a_file(work: &Work, files: &[u32], ordinal: u32) {
    match work {
        Work::All { .. } => assert_eq!(files.last(), Some(&ordinal)),
        Work::Files(_) => assert!([1, 3].contains(&ordinal)),
    }
}

/// A part that was read can be written, and is the same when it is read again.
fn again(frame: &Frame) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    assert!(writer.write(frame).expect("memory can be written"));
    writer.flush().expect("memory can be written");
    drop(writer);
    let read = Reader::new(&*bytes).frame().expect("it was written");
    assert_eq!(read.map(|(frame, _)| frame).as_ref(), Some(frame));
}
