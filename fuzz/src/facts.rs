//! What files of an image say, for the targets that read them.
//!
//! Here: reading one file within bounds, and laws that each kind of file has. Not here: the kinds.
//! Invariant: what a file states can be printed, or it is a fault.

use bailiff_scan::content::{self, Fact};
use std::io::Cursor;

/// The facts of a file at a path. Faults can be printed.
pub fn of(path: &[u8], file: &[u8]) -> Vec<Fact> {
    let mut facts = Vec::new();
    super::bounded(|| {
        content::read(path.into(), &mut Cursor::new(file), &mut |fact| {
            facts.push(fact)
        });
    });
    for fact in &facts {
        if let Fact::NotRead { cause, .. } = fact {
            assert!(cause.len() < 500, "{cause}");
            assert!(cause.chars().all(|c| !c.is_control()), "{cause:?}");
        }
    }
    facts
}

/// The path of an input, and the file.
pub fn path_and_file(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((&input[..end], &input[end + 1..]))
}

/// A name can be printed.
pub fn name(name: &str) {
    assert!((1..=1024).contains(&name.len()), "{name:?}");
    assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
}

/// A version can be printed. It is empty if it could not be read.
pub fn version(version: &str) {
    assert!(version.len() <= 256, "{version:?}");
    assert!(
        version.bytes().all(|byte| byte.is_ascii_graphic()),
        "{version:?}"
    );
}
