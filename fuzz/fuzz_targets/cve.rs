//! Law: a record about a CVE has a name that can be printed and a bounded number of statements, each with a score, or an
//! error. A rejected CVE has none.
//!
//! An input is read as a record of the CVE list, as a page of the National Vulnerability Database, and as CISA's catalog of
//! known exploited vulnerabilities.

#![no_main]

use bailiff_scan::known_exploited::KnownExploited;
use bailiff_scan::severity::cve::{self, CveRecord};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    bailiff_fuzz::bounded(|| {
        match cve::decode(text) {
            Ok(record) => laws(&record),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let each = |record: Result<CveRecord, String>| match record {
            Ok(record) => laws(&record),
            Err(error) => assert!(!error.is_empty()),
        };
        if let Err(error) = cve::read_nvd(text, each) {
            assert!(!error.to_string().is_empty());
        }
        match KnownExploited::read(text) {
            Ok(catalog) => assert!(catalog.names().all(|(name, _)| catalog.contains(name))),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
});

fn laws(record: &CveRecord) {
    assert!(record.id.starts_with("CVE-"));
    assert!(record.id.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(record.statements.len() <= 32);
    assert!(!record.is_rejected || record.statements.is_empty());
    for statement in &record.statements {
        assert!(
            statement
                .score()
                .is_some_and(|score| (0.0..=10.0).contains(&score))
        );
    }
}
