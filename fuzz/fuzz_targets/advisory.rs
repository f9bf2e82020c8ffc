//! Law: a record is an advisory or an error that can be printed, and takes memory in proportion to its text. What an
//! advisory says about a version is part of a finding unless it is that the version is not affected, or the advisory was
//! withdrawn. A second record removes no advisory from a finding of the first one.
//!
//! An input is a version and up to two records of OSV, with tabs between them.

#![no_main]

use bailiff_scan::action::actions;
use bailiff_scan::advisory::{Advisory, osv};
use bailiff_scan::counting::Counting;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::matching::{Claim, Matches, Named, match_packages};
use bailiff_scan::package::Package;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most memory that decoding takes for a byte of text, and in any case.
const MEMORY: (u64, u64) = (16, 64 << 10);

fuzz_target!(|text: &str| {
    let mut fields = text.splitn(3, '\t');
    let version = fields.next().unwrap_or_default();
    let advisories: Vec<_> = fields.filter_map(decoded).map(Arc::new).collect();
    let named = advisories.iter().flat_map(|advisory| &advisory.affected);
    let packages: BTreeSet<_> = named.map(|entry| (&entry.ecosystem, &entry.name)).collect();
    let packages: Vec<_> = packages
        .into_iter()
        .map(|(ecosystem, name)| Package {
            ecosystem: ecosystem.clone(),
            name: name.clone(),
            version: version.to_owned(),
            source: None,
            path: None,
        })
        .collect();
    let all = found(&packages, &advisories);
    for number in 0..advisories.len() {
        let of_one = found(&packages, &advisories[number..=number]);
        assert!(of_one.is_subset(&all), "{of_one:?} {all:?}");
    }
});

/// The advisory. An error can be printed.
fn decoded(record: &str) -> Option<Advisory> {
    let mut decoded = None;
    let taken = allocation_counter::measure(|| decoded = Some(osv::decode(record.as_bytes())));
    let (factor, least) = MEMORY;
    let size = u64::try_from(record.len()).expect("a length");
    assert!(
        taken.bytes_max <= factor * size + least,
        "{} bytes",
        taken.bytes_max
    );
    match decoded? {
        Ok(advisory) => {
            let is_printable = |name: &str| name.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(advisory.names().all(is_printable));
            assert!(!advisory.title.contains('\n'));
            Some(advisory)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// What each advisory that is part of a finding says, by package and name of the advisory.
fn found(packages: &[Package], advisories: &[Arc<Advisory>]) -> BTreeSet<(String, String, String)> {
    let naming = |ecosystem: &Ecosystem, name: &str| {
        let names = |advisory: &&Arc<Advisory>| {
            let mut entries = advisory.affected.iter();
            entries.any(|entry| entry.ecosystem == *ecosystem && entry.name == name)
        };
        advisories.iter().filter(names).cloned().collect::<Vec<_>>()
    };
    let matches = match_packages(packages, naming, None);
    let today = "2026-01-01".parse().expect("a day");
    drop(actions(&matches, &Counting::all(today), naming));
    let mut found = BTreeSet::new();
    for subject in &matches.subjects {
        let package = format!("{}/{}", subject.ecosystem, subject.name);
        for (advisory, claim) in Named::of(subject, naming).claims(&subject.version) {
            if claim == Claim::NotAffected {
                continue;
            }
            assert!(
                is_evidence(&matches, advisory, &claim),
                "{package} {}",
                advisory.id
            );
            found.insert((package.clone(), advisory.id.clone(), format!("{claim:?}")));
        }
    }
    found
}

/// Whether what an advisory says is part of a finding.
fn is_evidence(matches: &Matches, advisory: &Arc<Advisory>, claim: &Claim) -> bool {
    let mut evidence = matches
        .findings
        .iter()
        .flat_map(|finding| &finding.evidence);
    evidence.any(|part| Arc::ptr_eq(&part.advisory, advisory) && part.claim == *claim)
}
