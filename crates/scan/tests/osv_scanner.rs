//! Bailiff and osv-scanner have the same findings for the same advisories and packages, but for listed differences.
//!
//! Here: the comparison with its answers, `data/osv-scanner.tsv`. Not here: osv-scanner itself. It takes minutes to
//! build, so `make conformance` runs it and compares its answers with the file; `data/osv_scanner.py` writes them.
//! Invariant: each difference is in `data/osv-scanner-differences.tsv` with its reason, and the list has no other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is the report of a test"
)]

use bailiff_scan::advisory::collection::{Advisories, Collection};
use bailiff_scan::advisory::{Advisory, debian_list, secdb};
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::matching::{Claim, Named, State, match_packages};
use bailiff_scan::package::{Package, Subject};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

const ANSWERS: &str = include_str!("data/osv-scanner.tsv");
const DIFFERENCES: &str = include_str!("data/osv-scanner-differences.tsv");
/// Advisories in the format of OSV; those of the second file are made.
const RECORDS: [&str; 2] = [
    include_str!("data/osv.jsonl"),
    include_str!("data/osv-made.jsonl"),
];
const SECDB: [&str; 3] = [
    include_str!("data/secdb-v3.9-community.json"),
    include_str!("data/secdb-v3.11-main.json"),
    include_str!("data/secdb-made.json"),
];
const UPDATES: &str = include_str!("data/debian-updates.list");
/// Packages that other code has findings for.
const FINDINGS: [&str; 2] = [
    include_str!("data/findings.tsv"),
    include_str!("data/distribution-findings.tsv"),
];

/// Ecosystem, name and version of a package.
type Key = (String, String, String);

/// What Bailiff says about a vulnerability of a package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Affected,
    Unknown,
}

/// A difference without the versions that have it: what it is, ecosystem, name, vulnerability.
type Difference = (&'static str, String, String, String);

fn key(line: &str) -> (Key, &str) {
    let mut fields = line.splitn(4, '\t');
    let mut next = || fields.next().unwrap_or_default();
    let key = (next().to_owned(), next().to_owned(), next().to_owned());
    (key, next())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// What osv-scanner found for each package.
fn answers() -> BTreeMap<Key, BTreeSet<String>> {
    let answers = lines(ANSWERS).map(key);
    let names = |names: &str| names.split_whitespace().map(str::to_owned).collect();
    answers.map(|(key, found)| (key, names(found))).collect()
}

fn records(packages: &BTreeSet<(Ecosystem, String)>) -> Advisories {
    let now = "2026-11-30T00:00:00Z".parse().unwrap();
    let mut collection = Collection::of(packages.iter().cloned(), now);
    let source = collection.source();
    for record in RECORDS.iter().flat_map(|file| file.lines()) {
        collection.add(source, record, record.as_bytes());
    }
    let advisories = collection.collected();
    assert_eq!(advisories.errors, [""; 0]);
    advisories
}

/// What Bailiff says about a package of a language or of Ubuntu: each advisory by its name.
fn of_records((ecosystem, name, version): &Key, advisories: &Advisories) -> BTreeMap<String, Says> {
    let subject = Subject {
        ecosystem: Ecosystem::parse(ecosystem).unwrap(),
        name: name.clone(),
        version: version.clone(),
        packages: Vec::new(),
        paths: Vec::new(),
    };
    let named = Named::of(&subject, |ecosystem, name| advisories.get(ecosystem, name));
    let claims = named.claims(version);
    let said = claims.filter_map(|(advisory, claim)| match claim {
        Claim::Affected { .. } => Some((advisory.id.clone(), Says::Affected)),
        Claim::Unknown(_) => Some((advisory.id.clone(), Says::Unknown)),
        Claim::NotAffected => None,
    });
    said.collect()
}

/// What Bailiff says about packages of Alpine and Debian: each finding by its name. osv-scanner does not read what these
/// publish, so it gets the same in the format of OSV, which other code converts.
fn of_distributions<'a>(
    keys: impl Iterator<Item = &'a Key>,
) -> BTreeMap<Key, BTreeMap<String, Says>> {
    let mut advisories: BTreeMap<(Ecosystem, String), Vec<Arc<Advisory>>> = BTreeMap::new();
    let mut add = |advisory: Result<Advisory, String>| {
        let advisory = Arc::new(advisory.unwrap());
        let entries = advisory.affected.iter();
        let names: BTreeSet<_> = entries
            .map(|entry| (entry.ecosystem.clone(), entry.name.clone()))
            .collect();
        for name in names {
            advisories
                .entry(name)
                .or_default()
                .push(Arc::clone(&advisory));
        }
    };
    for file in SECDB {
        secdb::read(file.as_bytes(), &mut add).unwrap();
    }
    debian_list::read(UPDATES.as_bytes(), &mut add).unwrap();
    let packages: Vec<_> = keys
        .map(|(ecosystem, name, version)| Package {
            ecosystem: Ecosystem::parse(ecosystem).unwrap(),
            name: name.clone(),
            version: version.clone(),
            source: None,
            path: None,
        })
        .collect();
    let of = |ecosystem: &Ecosystem, name: &str| {
        let key = (ecosystem.clone(), name.to_owned());
        advisories.get(&key).cloned().unwrap_or_default()
    };
    let mut said: BTreeMap<Key, BTreeMap<String, Says>> = BTreeMap::new();
    for finding in match_packages(&packages, of, None).findings {
        let subject = &finding.subject;
        let key = (
            subject.ecosystem.to_string(),
            subject.name.clone(),
            subject.version.clone(),
        );
        let says = match finding.state {
            State::Unknown(_) => Says::Unknown,
            State::Fixed(_)
            | State::FixedWithSubscription(_)
            | State::Open
            | State::Postponed(_)
            | State::WontFix(_)
            | State::EndOfLife(_) => Says::Affected,
        };
        said.entry(key).or_default().insert(finding.id, says);
    }
    said
}

/// What Bailiff says about each package.
fn said(keys: &BTreeSet<Key>) -> BTreeMap<Key, BTreeMap<String, Says>> {
    let is_of_list = |(ecosystem, ..): &&Key| {
        ecosystem.starts_with("Alpine:") || ecosystem.starts_with("Debian:")
    };
    let mut said = of_distributions(keys.iter().filter(is_of_list));
    let others: Vec<_> = keys.iter().filter(|key| !is_of_list(key)).collect();
    let names = others.iter().map(|(ecosystem, name, _)| {
        let ecosystem = Ecosystem::parse(ecosystem).unwrap();
        (ecosystem, name.clone())
    });
    let advisories = records(&names.collect());
    for key in others {
        said.insert(key.clone(), of_records(key, &advisories));
    }
    said
}

/// The versions of each difference.
fn differences() -> BTreeMap<Difference, BTreeSet<String>> {
    let answers = answers();
    let said = said(&answers.keys().cloned().collect());
    let mut differences: BTreeMap<Difference, BTreeSet<String>> = BTreeMap::new();
    let nothing = BTreeMap::new();
    for (key, theirs) in &answers {
        let ours = said.get(key).unwrap_or(&nothing);
        let names: BTreeSet<&String> = ours.keys().chain(theirs).collect();
        for name in names {
            let what = match (ours.get(name), theirs.contains(name)) {
                (Some(Says::Affected), true) | (None, false) => continue,
                (Some(Says::Affected), false) => "only Bailiff",
                (None, true) => "only osv-scanner",
                (Some(Says::Unknown), true) => "Unknown, and affected for osv-scanner",
                (Some(Says::Unknown), false) => "Unknown, and not affected for osv-scanner",
            };
            let (ecosystem, package, version) = key.clone();
            let difference = (what, ecosystem, package, name.clone());
            differences.entry(difference).or_default().insert(version);
        }
    }
    differences
}

#[test]
fn findings_are_those_of_osv_scanner_but_for_the_listed_differences() {
    let mut reasons = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for line in DIFFERENCES.lines() {
        if let Some(reason) = line.strip_prefix("# reason ") {
            let (name, text) = reason.split_once(": ").unwrap();
            assert!(text.ends_with('.'), "{line}");
            reasons.insert(name, 0);
        } else if !line.starts_with('#') {
            let (reason, difference) = line.split_once('\t').unwrap();
            let uses = reasons.get_mut(reason);
            *uses.unwrap_or_else(|| panic!("{reason:?} is not explained: {line}")) += 1;
            assert!(listed.insert(difference.to_owned()), "twice: {line}");
        }
    }
    for (reason, uses) in reasons {
        assert!(uses > 0, "no difference has the reason {reason:?}");
    }
    let found: BTreeSet<String> = differences()
        .into_iter()
        .map(|((what, ecosystem, package, name), versions)| {
            let versions = versions.into_iter().collect::<Vec<_>>().join(" ");
            format!("{what}\t{ecosystem}\t{package}\t{name}\t{versions}")
        })
        .collect();
    let mut report = String::new();
    for line in found.difference(&listed) {
        writeln!(report, "not listed:\t{line}").unwrap();
    }
    for line in listed.difference(&found) {
        writeln!(report, "no longer a difference:\t{line}").unwrap();
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn the_answers_are_about_this_data() {
    let mut hash = Sha256::new();
    for file in RECORDS.iter().chain(&SECDB).chain([&UPDATES]) {
        hash.update(file);
    }
    let mut digits = String::new();
    for byte in hash.finalize() {
        write!(digits, "{byte:02x}").unwrap();
    }
    let first = ANSWERS.lines().next().unwrap();
    let expected = format!("# osv-scanner 2.5.0, SHA-256 of the advisories {digits}");
    assert_eq!(
        first, expected,
        "run osv_scanner.py in crates/scan/tests/data"
    );
    let answers = answers();
    let packages = FINDINGS.iter().flat_map(|file| lines(file));
    for (package, _) in packages.map(key) {
        assert!(answers.contains_key(&package), "{package:?}");
    }
    let of = |ecosystem: &str| {
        let answers = answers.iter();
        let of = answers.filter(|((of, ..), _)| of.split(':').next() == Some(ecosystem));
        let found: usize = of.map(|(_, found)| found.len()).sum();
        found
    };
    for (ecosystem, least) in [
        ("Alpine", 500),
        ("crates.io", 50),
        ("Debian", 500),
        ("Go", 200),
        ("Maven", 300),
        ("npm", 10),
        ("PyPI", 300),
        ("Ubuntu", 10),
    ] {
        assert!(of(ecosystem) >= least, "{ecosystem}: {}", of(ecosystem));
    }
}
