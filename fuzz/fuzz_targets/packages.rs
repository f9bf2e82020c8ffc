//! Law: a list of packages has packages whose names and versions have bounded lengths, and an error for each other
//! entry; or one error. A line that is no package URL hides no other.

#![no_main]

use bailiff_scan::package_list;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|list: &[u8]| {
    bailiff_fuzz::bounded(|| {
        read(list);
        let is_json = |byte: &u8| matches!(byte, b'[' | b'{');
        let text = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
        let first = text.trim_ascii_start().first();
        if !first.is_some_and(is_json) && str::from_utf8(text).is_ok() {
            let more = [list, b"\npkg:npm/%40a/last@1.0.0"].concat();
            let packages = read(&more).expect("it is a list of lines");
            let last = packages.last().expect("the last line is read");
            assert_eq!((&*last.name, &*last.version), ("@a/last", "1.0.0"));
        }
    });
});

/// The packages of a list. None if it is none.
fn read(list: &[u8]) -> Option<Vec<bailiff_scan::package::Package>> {
    let list = match package_list::read(list) {
        Ok(list) => list,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    assert!(list.errors.len() <= list.failed.min(100));
    for error in &list.errors {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 1000, "{text}");
    }
    for of in &list.packages {
        assert!((1..=1024).contains(&of.name.len()), "{:?}", of.name);
        assert!((1..=256).contains(&of.version.len()), "{:?}", of.version);
    }
    Some(list.packages)
}
