//! Decoding takes memory in proportion to the text.
//!
//! Here: records that are made of what takes the most memory for its text. Not here: what records mean
//! (`findings.rs`), and damaged ones (`hostile.rs`).
//! Invariant: no record takes more than a few times its own size, whether it is an advisory or an error.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_scan::advisory::osv;
use bailiff_scan::known_exploited::KnownExploited;
use bailiff_scan::package_list;

/// The most memory for a byte of text, in bytes.
const FACTOR: u64 = 16;
/// Bytes of a text whose memory grows with it.
const SIZE: usize = 128 << 10;
/// Bytes of a text that has more items than are kept.
const LARGE: usize = 1 << 20;

/// A text of about `size` bytes: the item repeated between its beginning and its end.
fn filled(size: usize, begin: &str, item: &str, end: &str) -> Vec<u8> {
    let count = (size - begin.len() - end.len()) / (item.len() + 1);
    let items = vec![item; count].join(",");
    format!("{begin}{items}{end}").into_bytes()
}

fn is_bounded(text: &[u8], decode: impl FnOnce(&[u8])) {
    let taken = allocation_counter::measure(|| decode(text));
    let size = u64::try_from(text.len()).unwrap();
    let shown = String::from_utf8_lossy(&text[..120]);
    assert!(
        taken.bytes_max < FACTOR * size,
        "{} bytes for {size}: {shown}",
        taken.bytes_max
    );
}

#[test]
fn a_record_takes_a_few_times_its_size() {
    let package = r#""package": {"ecosystem": "npm", "name": "a"}"#;
    let of_package = |field: &str| format!(r#"{{"id": "X-1", "affected": [{{{package}, {field}"#);
    let ranges = r#""ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}"#;
    for (begin, item, end) in [
        (r#"{"id": "X-1", "aliases": ["#.to_owned(), r#""""#, "]}"),
        (r#"{"id": "X-1", "upstream": ["#.to_owned(), r#""a""#, "]}"),
        (r#"{"id": "X-1", "affected": ["#.to_owned(), "{}", "]}"),
        (r#"{"id": "X-1", "severity": ["#.to_owned(), "{}", "]}"),
        (
            r#"{"id": "X-1", "severity": ["#.to_owned(),
            r#"{"type":"Ubuntu","score":"low"}"#,
            "]}",
        ),
        (
            r#"{"id": "X-1", "database_specific": ["#.to_owned(),
            "0",
            "]}",
        ),
        (r#"{"id": "X-1", "x": ["#.to_owned(), "[]", "]}"),
        (of_package(r#""versions": ["#), r#""""#, "]}]}"),
        (of_package(r#""versions": ["#), r#""1""#, "]}]}"),
        (of_package(r#""severity": ["#), "{}", "]}]}"),
        (of_package(r#""database_specific": ["#), "{}", "]}]}"),
        (
            of_package(r#""ecosystem_specific": {"x": 0, "custom_ranges": ["#),
            r#"{"type":""}"#,
            "]}}]}",
        ),
        (of_package(r#""ranges": ["#), r#"{"type":""}"#, "]}]}"),
        (of_package(r#""ranges": ["#), r#"{"type":"SEMVER"}"#, "]}]}"),
        (
            of_package(r#""ranges": ["#),
            r#"{"type":"GIT","events":[{"fixed":""}]}"#,
            "]}]}",
        ),
        (format!("{},", of_package(ranges)), "{}", "]}]}]}"),
        (
            format!("{},", of_package(ranges)),
            r#"{"fixed":"1"}"#,
            "]}]}]}",
        ),
        (
            r#"{"id": "X-1", "affected": ["#.to_owned(),
            r#"{"package":{"ecosystem":"npm","name":"a"},"versions":["1"]}"#,
            "]}",
        ),
        (
            r#"{"id": "X-1", "affected": ["#.to_owned(),
            r#"{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}"#,
            "]}",
        ),
    ] {
        let is_large = begin.ends_with(r#""affected": ["#);
        let text = filled(if is_large { LARGE } else { SIZE }, &begin, item, end);
        is_bounded(&text, |text| drop(osv::decode(text)));
    }
}

#[test]
fn a_catalog_and_a_list_take_a_few_times_their_size() {
    for item in ["0", "{}", r#"{"cveID":""}"#] {
        let text = filled(SIZE, r#"{"vulnerabilities": ["#, item, "]}");
        is_bounded(&text, |text| drop(KnownExploited::read(text)));
    }
    for item in ["0", "{}"] {
        let text = filled(LARGE, "[", item, "]");
        is_bounded(&text, |text| drop(package_list::read(text)));
    }
    let lines = "x\n".repeat(SIZE / 2).into_bytes();
    is_bounded(&lines, |text| drop(package_list::read(text)));
}
