//! The matcher and code that shares nothing with it have the same findings for published advisories.
//!
//! Here: the comparison. Not here: how the expected findings were written (`data/expected.py`).
//! Invariant: each version that was evaluated has exactly the findings of the table.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_scan::advisory::Kind;
use bailiff_scan::advisory::collection::{Advisories, Collection};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::matching::match_packages;
use bailiff_scan::package::Package;
use std::collections::{BTreeMap, BTreeSet};

const RECORDS: &str = include_str!("data/osv.jsonl");
const FINDINGS: &str = include_str!("data/findings.tsv");

/// A package: ecosystem, name, version.
type Key<'a> = (&'a str, &'a str, &'a str);

fn expected() -> BTreeMap<Key<'static>, BTreeSet<String>> {
    let mut expected: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in FINDINGS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split('\t').collect();
        let findings = expected
            .entry((fields[0], fields[1], fields[2]))
            .or_default();
        if let [_, _, _, finding, state, fixed] = fields[..] {
            findings.insert(format!("{finding} {state} {fixed}"));
        }
    }
    expected
}

fn package((ecosystem, name, version): Key<'_>) -> Package {
    Package {
        ecosystem: Ecosystem::parse(ecosystem).unwrap(),
        name: name.to_owned(),
        version: version.to_owned(),
        source: None,
        path: None,
    }
}

fn advisories(packages: &[Package]) -> Advisories {
    let wanted = packages
        .iter()
        .map(|p| (p.ecosystem.clone(), p.name.clone()));
    let now = "2026-11-30T00:00:00Z".parse().unwrap();
    let mut collection = Collection::of(wanted, now);
    let source = collection.source();
    for (index, record) in RECORDS.lines().enumerate() {
        collection.add(source, &format!("line {}", index + 1), record.as_bytes());
    }
    collection.collected()
}

#[test]
fn findings_are_those_of_the_table() {
    let expected = expected();
    let packages: Vec<_> = expected.keys().copied().map(package).collect();
    let advisories = advisories(&packages);
    assert_eq!(advisories.errors, [""; 0]);
    let of = |ecosystem: &Ecosystem, name: &str| advisories.get(ecosystem, name);
    let matches = match_packages(&packages, of, None);
    let mut found: BTreeMap<(String, &str, &str), BTreeSet<String>> = BTreeMap::new();
    for finding in &matches.findings {
        let subject = &finding.subject;
        let state = finding.state.as_str();
        let fixed = finding.state.fixed_version().unwrap_or("-");
        // Where a fix requires a subscription, the table has no opinion.
        let is_of_pro = finding.evidence.iter().any(|evidence| {
            let mut entries = evidence.advisory.affected.iter();
            entries.any(|e| {
                Some(&e.ecosystem) == subject.ecosystem.with_subscription().as_ref()
                    && e.name == subject.name
            })
        });
        if is_of_pro {
            continue;
        }
        let key = (
            subject.ecosystem.to_string(),
            subject.name.as_str(),
            subject.version.as_str(),
        );
        found
            .entry(key)
            .or_default()
            .insert(format!("{} {state} {fixed}", finding.id));
    }
    let mut differences = Vec::new();
    let mut count = 0;
    for ((ecosystem, name, version), want) in &expected {
        let none = BTreeSet::new();
        let got = found
            .get(&((*ecosystem).to_owned(), *name, *version))
            .unwrap_or(&none);
        count += want.len();
        // Where the table does not compare fixed versions, each one is right.
        let is_found = |want: &String| match want.strip_suffix("? ?") {
            Some(finding) => got.iter().any(|got| got.starts_with(finding)),
            None => got.contains(want),
        };
        let is_wanted = |got: &String| {
            let finding = got.split(' ').next().unwrap_or_default();
            want.contains(got) || want.contains(&format!("{finding} ? ?"))
        };
        for missing in want.iter().filter(|want| !is_found(want)) {
            differences.push(format!("{ecosystem}/{name} {version}: missing {missing}"));
        }
        for more in got.iter().filter(|got| !is_wanted(got)) {
            differences.push(format!("{ecosystem}/{name} {version}: not expected {more}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{}\n{} differences",
        differences.join("\n"),
        differences.len()
    );
    assert!(count > 1000, "{count}");
}

#[test]
fn the_records_have_what_the_rules_are_about() {
    for (what, text) in [
        ("withdrawn records", r#""withdrawn":"2"#),
        ("ranges of commits", r#""type":"GIT""#),
        ("custom ranges", r#""custom_ranges""#),
        (
            "ends beside a range",
            r#""last_known_affected_version_range""#,
        ),
        ("information", r#""informational":"un"#),
        ("packages of a subscription", r#""Ubuntu:Pro:"#),
    ] {
        assert!(RECORDS.contains(text), "no record has {what}");
    }
    let kinds = |name: &str| -> Vec<Kind> {
        let of = advisories(&[package(("crates.io", name, "0.1.0"))]);
        let of = of.get(&Ecosystem::CratesIo, name);
        let entries = of.iter().flat_map(|advisory| &advisory.affected);
        entries.map(|entry| entry.kind.clone()).collect()
    };
    // Unsound code without a CVE is information. That with one is a vulnerability, and so is what RustSec calls
    // unmaintained because of one.
    assert!(kinds("tokio").contains(&Kind::Informational("unsound".to_owned())));
    assert_eq!(kinds("failure"), [Kind::Vulnerability, Kind::Vulnerability]);
}
