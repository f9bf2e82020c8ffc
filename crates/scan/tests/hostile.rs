//! Records that somebody damaged have an error or a verdict.
//!
//! Here: published records and files with bytes replaced. Not here: what records mean (`findings.rs`, `distributions.rs`).
//! Invariant: no record panics, and no name of an advisory can control a terminal.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_scan::advisory::{Advisory, debian, debian_list, osv, secdb};
use bailiff_scan::severity::cve;
use proptest::prelude::*;

const RECORDS: &str = include_str!("data/osv.jsonl");
const SECDB: &str = include_str!("data/secdb-made.json");
const TRACKER: &str = include_str!("data/debian-tracker.json");
const UPDATES: &str = include_str!("data/debian-updates.list");
const CVES: &str = include_str!("data/cve-list.jsonl");
const NVD: &str = include_str!("data/nvd.json");

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

/// Replaces pieces of a text.
fn damaged(text: &str, changes: Vec<(prop::sample::Index, usize, usize)>) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for (at, removed, piece) in changes {
        let at = at.index(text.len());
        let end = (at + removed).min(text.len());
        text.splice(at..end, PIECES[piece].bytes());
    }
    text
}

/// What holds for each advisory and each error.
fn check(advisory: Result<Advisory, String>, version: &str) {
    match advisory {
        Ok(advisory) => {
            for name in advisory.names() {
                assert!(
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()),
                    "{name:?}"
                );
            }
            for entry in &advisory.affected {
                drop(entry.evaluate(version));
            }
        }
        Err(error) => assert!(!error.is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_data_of_distributions_has_errors_or_verdicts(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, 0..PIECES.len()), 1..4),
        version in "[v0-9.a-z+~:-]{0,12}",
    ) {
        let each = |advisory| check(advisory, &version);
        if let Err(error) = secdb::read(&damaged(SECDB, changes.clone()), each) {
            prop_assert!(!error.to_string().is_empty());
        }
        if let Err(error) = debian::read(&damaged(TRACKER, changes.clone()), each) {
            prop_assert!(!error.to_string().is_empty());
        }
        debian_list::read(&damaged(UPDATES, changes.clone()), each).unwrap();
        for record in CVES.lines() {
            if let Ok(record) = cve::decode(&damaged(record, changes.clone())) {
                prop_assert!(record.id.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
        drop(cve::read_nvd(&damaged(NVD, changes), |record| match record {
            Ok(record) => assert!(record.id.bytes().all(|byte| byte.is_ascii_graphic())),
            Err(error) => assert!(!error.is_empty()),
        }));
    }
}
