//! Findings are the same whether advisories are kept in memory or in an index.
//!
//! Here: the comparison. Not here: whether the findings are right (`findings.rs`).
//! Invariant: the index changes no finding and no action.

#![allow(clippy::unwrap_used, reason = "a panic is the report of a test")]

use bailiff_scan::action::actions;
use bailiff_scan::advisory::collection::{Advisories, Collection};
use bailiff_scan::advisory::osv;
use bailiff_scan::counting::Counting;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::index::{Builder, Index, SourceKind};
use bailiff_scan::matching::match_packages;
use bailiff_scan::package::Package;
use std::collections::BTreeSet;
use std::io::Cursor;

const RECORDS: &str = include_str!("data/osv.jsonl");
const FINDINGS: &str = include_str!("data/findings.tsv");

fn packages() -> Vec<Package> {
    let lines = FINDINGS.lines().filter(|line| !line.starts_with('#'));
    let packages: BTreeSet<_> = lines
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            (fields[0], fields[1], fields[2])
        })
        .collect();
    // An artifact whose group is not known.
    let any_group = ("Maven", "*:jackson-databind", "2.9.0");
    let packages = packages.into_iter().chain([any_group]);
    packages
        .map(|(ecosystem, name, version)| Package {
            ecosystem: Ecosystem::parse(ecosystem).unwrap(),
            name: name.to_owned(),
            version: version.to_owned(),
            source: None,
            path: None,
        })
        .collect()
}

/// What is found with these advisories, without advisories' entries about other packages, which an index leaves out.
fn found(packages: &[Package], advisories: &Advisories) -> Vec<String> {
    let of = |ecosystem: &Ecosystem, name: &str| advisories.get(ecosystem, name);
    let matches = match_packages(packages, of, None);
    let findings = matches.findings.iter().map(|finding| {
        let evidence = finding.evidence.iter();
        let evidence = evidence.map(|of| (&of.advisory.id, &of.claim));
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?}",
            finding.id,
            finding.subject,
            finding.kind,
            finding.state,
            finding.rating,
            finding.exploited,
            finding.aliases,
            finding.title,
            evidence.collect::<Vec<_>>()
        )
    });
    let withdrawn = matches.withdrawn.iter().cloned();
    let counting = Counting::all("2026-11-30".parse().unwrap());
    let actions = actions(&matches, &counting, of);
    let actions = actions.iter().map(|action| format!("{action:?}"));
    findings.chain(withdrawn).chain(actions).collect()
}

#[test]
fn findings_are_those_of_a_collection() {
    let packages = packages();
    let wanted = || {
        packages
            .iter()
            .map(|p| (p.ecosystem.clone(), p.name.clone()))
    };
    let now = "2026-11-30T00:00:00Z".parse().unwrap();
    let mut collection = Collection::of(wanted(), now);
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now, None).unwrap();
    let records: Vec<_> = RECORDS.lines().collect();
    // What both sources have is the same, but for one record that one of them withdrew.
    let withdrawn = records[0].replacen('{', r#"{"withdrawn": "2026-01-01T00:00:00Z", "#, 1);
    let mut second = records.clone();
    second[0] = &withdrawn;
    for records in [&records, &second] {
        let source = collection.source();
        let same = builder.source(SourceKind::Osv, "records".to_owned());
        for (index, record) in records.iter().enumerate() {
            let place = format!("line {}", index + 1);
            collection.add(source, &place, record.as_bytes());
            builder
                .add(same, &place, osv::decode(record.as_bytes()).unwrap())
                .unwrap();
        }
    }
    builder.finish().unwrap();
    let file = file.into_inner();
    let of_index = Index::open(&file).unwrap().advisories(wanted());
    assert_eq!(of_index.errors, [""; 0]);
    let of_collection = collection.collected();
    let want = found(&packages, &of_collection);
    let got = found(&packages, &of_index);
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
    assert!(want.len() > 2000, "{}", want.len());
    let of_any_group = |line: &&String| line.contains("*:jackson-databind");
    assert!(want.iter().filter(of_any_group).count() > 10);
}
