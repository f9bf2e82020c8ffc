//! Law: a file that names the release says one thing, with values of bounded length, or why it cannot be read. The last
//! of several values counts, whatever is before it.
//!
//! An input is the path of a file and, after a line feed, its content.

#![no_main]

use bailiff_fuzz::facts;
use bailiff_scan::content::Fact;
use bailiff_scan::content::release::{Lsb, Os, Release};
use libfuzzer_sys::fuzz_target;

/// Bytes of a value.
const VALUE: usize = 256;

fuzz_target!(|input: &[u8]| {
    let Some((path, file)) = facts::path_and_file(input) else {
        return;
    };
    if let Some(release) = release(path, file) {
        bounded(release);
    }
    let last: &[u8] = match path {
        b"etc/os-release" | b"usr/lib/os-release" => b"\nID=last\n",
        b"etc/lsb-release" => b"\nDISTRIB_ID=last\n",
        _ => return,
    };
    if str::from_utf8(file).is_ok() {
        let id = match release(path, &[file, last].concat()) {
            Some(Release::Os(Os { id, .. }) | Release::Lsb(Lsb { id, .. })) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id.as_deref(), Some("last"));
    }
});

/// What the file says. None if it cannot be read, or is another one.
fn release(path: &[u8], file: &[u8]) -> Option<Release> {
    let mut read = facts::of(path, file).into_iter();
    let release = read.find_map(|fact| match fact {
        Fact::Release(release) => Some(release),
        _ => None,
    });
    let is_release = |fact: Fact| matches!(fact, Fact::Release(_));
    assert!(!read.any(is_release), "it says two things");
    release
}

fn bounded(release: Release) {
    let values: Vec<String> = match release {
        Release::Os(os) => {
            assert!(os.like.len() <= 16);
            let values = [os.id, os.version_id, os.codename, os.pretty_name];
            values.into_iter().flatten().chain(os.like).collect()
        }
        Release::Debian(value) | Release::Alpine(value) => vec![value],
        Release::Lsb(lsb) => {
            let values = [lsb.id, lsb.release, lsb.codename];
            values.into_iter().flatten().collect()
        }
    };
    for value in values {
        assert!(value.len() <= VALUE, "{value:?}");
    }
}
