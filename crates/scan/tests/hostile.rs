//! Records that somebody damaged have an error or a verdict.
//!
//! Here: published records with bytes replaced. Not here: what records mean (`findings.rs`).
//! Invariant: no record panics, and no name of an advisory can control a terminal.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_scan::advisory::osv;
use proptest::prelude::*;

const RECORDS: &str = include_str!("data/osv.jsonl");

/// Pieces that have a meaning in records.
const PIECES: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "0",
    "-1",
    "1e999",
    "\\u001b",
    "\\ud800",
    "\u{1b}",
    "introduced",
    "fixed",
    "last_affected",
    "limit",
    "MAL-",
    "CVE-",
    "<",
    "<=",
    "v0.0.0-",
    "*",
];

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_record_has_an_error_or_a_verdict(
        index in 0_usize..1000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, 0..PIECES.len()), 0..4),
        version in "[v0-9.a-z+~:-]{0,12}",
    ) {
        let count = RECORDS.lines().count();
        let mut record = RECORDS.lines().nth(index % count).unwrap().as_bytes().to_vec();
        for (at, removed, piece) in changes {
            let at = at.index(record.len());
            let end = (at + removed).min(record.len());
            record.splice(at..end, PIECES[piece].bytes());
        }
        match osv::decode(&record) {
            Ok(advisory) => {
                for name in advisory.names() {
                    prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
                }
                for entry in &advisory.affected {
                    drop(entry.evaluate(&version));
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
