//! A database of apk says what apk says about it.
//!
//! Here: a database that apk-tools wrote, and its answer about it. apk-tools is in no registry of packages that builds
//! reach, so both are kept; `data/apk_database.sh` writes them. Not here: records that are made (`src/content/apk.rs`).
//! Invariant: each package, origin and file that apk names is read, and no other.

use bailiff_scan::content::{self, Fact};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::io::Cursor;

/// The database.
pub(crate) const INSTALLED: &str = include_str!("../data/apk-installed");
/// What apk says about it.
const ANSWER: &str = include_str!("../data/apk-query.json");

#[test]
fn a_database_that_apk_wrote_is_read_as_apk_reads_it() {
    let answer: Json = serde_json::from_str(ANSWER).unwrap();
    let mut expected = BTreeSet::new();
    for package in answer.as_array().unwrap() {
        let text = |field: &str| package[field].as_str().unwrap().to_owned();
        let files = package["contents"].as_array().unwrap().iter();
        let files: BTreeSet<_> = files.map(|file| file.as_str().unwrap()).collect();
        let files: Vec<_> = files.into_iter().collect();
        expected.insert(format!(
            "{} {} {} of {}: {}",
            text("name"),
            text("version"),
            text("arch"),
            text("origin"),
            files.join(" ")
        ));
    }
    assert!(expected.len() >= 4, "{expected:?}");
    let mut read = BTreeSet::new();
    let mut content = Cursor::new(INSTALLED);
    let path: &[u8] = b"lib/apk/db/installed";
    content::read(path.into(), &mut content, &mut |fact| {
        let Fact::Apk(package) = fact else {
            panic!("{fact:?}");
        };
        let paths = package.paths.iter();
        let paths: BTreeSet<_> = paths.map(|path| str::from_utf8(path).unwrap()).collect();
        let paths: Vec<_> = paths.into_iter().collect();
        read.insert(format!(
            "{} {} {} of {}: {}",
            package.name,
            package.version,
            package.architecture.unwrap(),
            package.origin.unwrap(),
            paths.join(" ")
        ));
    });
    assert_eq!(read, expected);
}
