//! The matcher and code that shares nothing with it have the same findings for the data of Alpine and Debian.
//!
//! Here: the comparison. Not here: how the expected findings were written (`data/expected_distributions.py`).
//! Invariant: each version that was evaluated has exactly the findings of the table.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_scan::advisory::{Advisory, debian, debian_list, secdb};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::matching::match_packages;
use bailiff_scan::package::Package;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FINDINGS: &str = include_str!("data/distribution-findings.tsv");
const SECDB: [&str; 3] = [
    include_str!("data/secdb-v3.9-community.json"),
    include_str!("data/secdb-v3.11-main.json"),
    include_str!("data/secdb-made.json"),
];
const TRACKER: [&str; 2] = [
    include_str!("data/debian-tracker.json"),
    include_str!("data/debian-tracker-made.json"),
];
const UPDATES: &str = include_str!("data/debian-updates.list");

/// A package: ecosystem, name, version.
type Key = (String, String, String);

fn advisories() -> Vec<Arc<Advisory>> {
    let mut all = Vec::new();
    let mut add = |advisory: Result<Advisory, String>| all.push(Arc::new(advisory.unwrap()));
    for file in SECDB {
        secdb::read(file.as_bytes(), &mut add).unwrap();
    }
    for file in TRACKER {
        debian::read(file.as_bytes(), &mut add).unwrap();
    }
    debian_list::read(UPDATES.as_bytes(), &mut add).unwrap();
    all
}

fn expected() -> BTreeMap<Key, BTreeSet<String>> {
    let mut expected: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for line in FINDINGS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [ecosystem, name, version, rest @ ..] = &fields[..] else {
            panic!("{line}");
        };
        let key = (ecosystem.clone(), name.clone(), version.clone());
        let findings = expected.entry(key).or_default();
        if !rest.is_empty() {
            findings.insert(rest.join(" "));
        }
    }
    expected
}

#[test]
fn findings_are_those_of_the_table() {
    let mut by_name: BTreeMap<(Ecosystem, String), Vec<Arc<Advisory>>> = BTreeMap::new();
    for advisory in advisories() {
        let entries = advisory.affected.iter();
        let names: BTreeSet<_> = entries
            .map(|e| (e.ecosystem.clone(), e.name.clone()))
            .collect();
        for name in names {
            by_name.entry(name).or_default().push(Arc::clone(&advisory));
        }
    }
    let expected = expected();
    let packages = expected.keys().map(|(ecosystem, name, version)| Package {
        ecosystem: Ecosystem::parse(ecosystem).unwrap(),
        name: name.clone(),
        version: version.clone(),
        source: None,
        path: None,
    });
    let packages: Vec<_> = packages.collect();
    let of = |ecosystem: &Ecosystem, name: &str| {
        let key = (ecosystem.clone(), name.to_owned());
        by_name.get(&key).cloned().unwrap_or_default()
    };
    let mut found: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for package in &packages {
        let (ecosystem, name) = (package.ecosystem.to_string(), package.name.clone());
        found.insert((ecosystem, name, package.version.clone()), BTreeSet::new());
    }
    let matches = match_packages(&packages, of, None);
    let mut dates = 0;
    for finding in &matches.findings {
        let subject = &finding.subject;
        let key = (
            subject.ecosystem.to_string(),
            subject.name.clone(),
            subject.version.clone(),
        );
        let (state, fixed) = (
            finding.state.as_str(),
            finding.state.fixed_version().unwrap_or("-"),
        );
        found
            .get_mut(&key)
            .unwrap()
            .insert(format!("{} {state} {fixed}", finding.id));
        let entries = finding.evidence.iter().flat_map(|e| &e.advisory.affected);
        let mut days = entries.flat_map(|entry| &entry.fix_dates);
        dates += usize::from(days.any(|day| day.version == fixed));
    }
    let mut differences = Vec::new();
    for (key, want) in &expected {
        let got = &found[key];
        differences.extend(
            want.difference(got)
                .map(|f| format!("{key:?}: missing {f}")),
        );
        differences.extend(
            got.difference(want)
                .map(|f| format!("{key:?}: not expected {f}")),
        );
    }
    assert!(
        differences.is_empty(),
        "{}\n{} differences",
        differences.join("\n"),
        differences.len()
    );
    let count: usize = expected.values().map(BTreeSet::len).sum();
    assert!(count > 2000, "{count}");
    assert!(dates > 500, "{dates}");
}

#[test]
fn the_data_has_what_the_rules_are_about() {
    let updates = ["<not-affected>", "<end-of-life>", "regression update"];
    let alpine = ["XSA-2", "CVE-2017-17434-1", "CVE_2019-2426", r#""0""#];
    let debian = [
        "unimportant",
        "end-of-life",
        "undetermined",
        "ignored",
        "postponed",
    ];
    for (text, wanted) in [
        (UPDATES.to_owned(), &updates[..]),
        (SECDB.concat(), &alpine[..]),
        (TRACKER.concat(), &debian[..]),
    ] {
        for what in wanted {
            assert!(text.contains(what), "nothing has {what}");
        }
    }
}
