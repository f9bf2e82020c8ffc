//! Indexes that are built, damaged and read.

use super::builder::Builder;
use super::*;
use crate::advisory::collection::{Collection, Read};
use crate::advisory::osv;
use crate::severity::cve;
use proptest::prelude::*;
use std::io::Cursor;

mod damaged;
mod dates;
mod generated;

pub(super) const NOW: &str = "2026-11-30T00:00:00Z";
const RECORDS: &str = include_str!("../../tests/data/osv.jsonl");

pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// An index of these sources.
pub(super) fn built(sources: &[Vec<Advisory>]) -> Vec<u8> {
    built_after(sources, NOW, None)
}

pub(super) fn built_after(sources: &[Vec<Advisory>], now: &str, before: Option<&[u8]>) -> Vec<u8> {
    let before = before.map(|file| Index::open(file).unwrap());
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now.parse().unwrap(), before).unwrap();
    for (number, advisories) in sources.iter().enumerate() {
        let source = builder.source(SourceKind::Osv, format!("source {number}"));
        for advisory in advisories {
            builder.add(source, "record", advisory.clone()).unwrap();
        }
    }
    let built = builder.finish().unwrap();
    let file = file.into_inner();
    let index = Index::open(&file).unwrap();
    assert_eq!(
        (index.hash(), index.verify(), file.len() as u64),
        (built.hash, Ok(()), built.length)
    );
    file
}

pub(super) fn published() -> Vec<Advisory> {
    let records = RECORDS.lines();
    records
        .map(|record| osv::decode(record.as_bytes()).unwrap())
        .collect()
}

/// The packages that advisories name, without subscription.
pub(super) fn named(advisories: &[Advisory]) -> BTreeSet<(Ecosystem, String)> {
    let entries = advisories.iter().flat_map(|advisory| &advisory.affected);
    entries
        .map(|entry| (entry.ecosystem.without_subscription(), entry.name.clone()))
        .collect()
}

pub(super) fn record(id: &str, modified: &str, package: (&str, &str), fixed: &str) -> Advisory {
    let (ecosystem, name) = package;
    let record = format!(
        r#"{{"id": "{id}", "modified": "{modified}", "affected": [{{
            "package": {{"ecosystem": "{ecosystem}", "name": "{name}"}},
            "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "{fixed}"}}]}}]}}]}}"#
    );
    osv::decode(record.as_bytes()).unwrap()
}

#[test]
fn the_index_has_what_a_collection_has() {
    let records: Vec<_> = RECORDS.lines().collect();
    let packages = named(&published());
    let mut collection = Collection::of(packages.clone(), now());
    // Two sources have a part of the records in common.
    let parts = [&records[..150], &records[100..]];
    for part in parts {
        let source = collection.source();
        for record in part {
            collection.add(source, "record", record.as_bytes());
        }
    }
    let wanted = collection.collected();
    let decoded = |part: &[&str]| -> Vec<_> {
        let records = part.iter();
        records
            .map(|record| osv::decode(record.as_bytes()).unwrap())
            .collect()
    };
    let file = built(&parts.map(decoded));
    let found = Index::open(&file).unwrap().advisories(packages.clone());
    assert_eq!((found.failed, found.errors.len()), (0, 0));
    assert_eq!(found.read, wanted.read);
    let of_package = |all: &Advisories, ecosystem: &Ecosystem, name: &str| -> Vec<_> {
        let all = all.get(ecosystem, name).into_iter();
        let mut all: Vec<_> = all
            .map(|advisory| {
                let mut advisory = Advisory::clone(&advisory);
                // A collection keeps the entries of all packages.
                advisory.affected.retain(|e| {
                    e.name == name
                        && e.ecosystem.without_subscription() == ecosystem.without_subscription()
                });
                advisory
            })
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    };
    let mut count = 0;
    for (ecosystem, name) in packages {
        let pro = ecosystem.with_subscription();
        for ecosystem in [Some(ecosystem), pro].into_iter().flatten() {
            let want = of_package(&wanted, &ecosystem, &name);
            count += want.len();
            assert_eq!(
                of_package(&found, &ecosystem, &name),
                want,
                "{ecosystem}/{name}"
            );
        }
    }
    assert!(count > 250, "{count}");
}

#[test]
fn an_entry_of_a_subscription_stays_with_the_one_without() {
    let ubuntu = |pro: &str| {
        format!(r#"{{"package": {{"ecosystem": "Ubuntu:{pro}22.04:LTS", "name": "a"}}}}"#)
    };
    let record = format!(
        r#"{{"id": "X-1", "affected": [{}, {}]}}"#,
        ubuntu("Pro:"),
        ubuntu("")
    );
    let file = built(&[vec![osv::decode(record.as_bytes()).unwrap()]]);
    let index = Index::open(&file).unwrap();
    let [base, pro] =
        ["Ubuntu:22.04:LTS", "Ubuntu:Pro:22.04:LTS"].map(|name| Ecosystem::parse(name).unwrap());
    for ecosystem in [&base, &pro] {
        let found = index.get(ecosystem, "a").unwrap();
        let of: Vec<_> = found[0]
            .advisory
            .affected
            .iter()
            .map(|e| &e.ecosystem)
            .collect();
        assert_eq!((found.len(), of), (1, vec![&pro, &base]));
    }
    // The matcher asks for both, and takes what is the same once.
    let found = index.advisories([(base.clone(), "a".to_owned())]);
    let (base, pro) = (found.get(&base, "a"), found.get(&pro, "a"));
    assert!(base.len() == 1 && pro.len() == 1 && Arc::ptr_eq(&base[0], &pro[0]));
}

#[test]
fn of_a_source_the_newest_state_counts_and_of_two_each() {
    let package = ("npm", "a");
    let (old, new) = ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z");
    let elsewhere = record("X-2", new, ("npm", "b"), "2");
    for is_reversed in [false, true] {
        let mut first = vec![
            record("X-1", old, package, "1"),
            record("X-1", new, package, "2"),
            record("X-2", old, package, "1"),
            // The newest state no longer names the package.
            elsewhere.clone(),
        ];
        if is_reversed {
            first.reverse();
        }
        let second = vec![
            record("X-1", old, package, "1"),
            record("X-1", old, package, "9"),
        ];
        let third = vec![record("X-1", new, package, "2")];
        let file = built(&[first, second, third]);
        let found = Index::open(&file)
            .unwrap()
            .get(&Ecosystem::Npm, "a")
            .unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| {
                let fixed = found.advisory.affected[0].ranges[0].events[1]
                    .version()
                    .to_owned();
                let sources: Vec<_> = found.sources.iter().map(|source| source.0).collect();
                (found.advisory.id.as_str(), fixed, sources)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("X-1", "2".to_owned(), vec![0, 2]),
                ("X-1", "1".to_owned(), vec![1])
            ]
        );
    }
}

#[test]
fn a_source_says_what_was_read_of_it() {
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let source = builder.source(SourceKind::Osv, "PyPI/all.zip".to_owned());
    let kev = builder.source(SourceKind::KnownExploited, "kev.json".to_owned());
    for (id, modified) in [
        ("X-1", "2025-01-02T00:00:00Z"),
        ("X-2", "2026-12-02T00:00:00Z"),
    ] {
        let place = format!("{id}.json");
        builder
            .add(source, &place, record(id, modified, ("PyPI", "a"), "1"))
            .unwrap();
    }
    builder.fail(source, "X-3.json: it is nothing".to_owned());
    let catalog = r#"{"dateReleased": "2026-01-02T03:04:05Z", "vulnerabilities": [
        {"cveID": "CVE-2021-44228", "dateAdded": "2021-12-10"}, {"cveID": "CVE-2014-0160"}, {}]}"#;
    let catalog = KnownExploited::read(catalog.as_bytes()).unwrap();
    builder.add_known_exploited(kev, catalog.clone());
    let built = builder.finish().unwrap();
    assert_eq!(
        built.errors,
        [
            "X-2.json: modified: must not be in the future, and is 2026-12-02T00:00:00Z; any other state of X-2 in this source counts before this one",
            "X-3.json: it is nothing",
        ]
    );
    assert_eq!((built.failed, built.packages), (3, 1));
    let file = file.into_inner();
    let index = Index::open(&file).unwrap();
    assert_eq!(index.built(), now());
    assert_eq!(index.known_exploited().unwrap(), Some(catalog));
    let sources = index.sources().unwrap();
    assert_eq!(sources, built.sources);
    let newest = "2025-01-02T00:00:00Z".parse().ok();
    let read = Read { records: 2, newest };
    assert_eq!(
        sources[0],
        Source {
            kind: SourceKind::Osv,
            origin: "PyPI/all.zip".to_owned(),
            retrieved: now(),
            records: 2,
            unreadable: 2,
            newest,
            ecosystems: [(Ecosystem::PyPi, read)].into(),
        }
    );
    assert_eq!(
        (sources[1].records, sources[1].unreadable, sources[1].newest),
        (2, 1, "2026-01-02T03:04:05Z".parse().ok())
    );
    // What could not be read is an error for packages of the ecosystem alone, if the source has one.
    let of = |ecosystem| index.advisories([(ecosystem, "a".to_owned())]).errors;
    let of_catalog = "1 record of kev.json when the index was built";
    assert_eq!(
        of(Ecosystem::PyPi),
        [
            "2 records of PyPI/all.zip when the index was built",
            of_catalog
        ]
    );
    assert_eq!(of(Ecosystem::Npm), [of_catalog]);
}

#[test]
fn what_could_not_be_read_of_a_source_without_an_ecosystem_is_an_error_for_each_package() {
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let source = builder.source(SourceKind::Osv, "npm.zip".to_owned());
    builder.fail(source, "X-1.json: it is nothing".to_owned());
    let kev = builder.source(SourceKind::KnownExploited, "kev.json".to_owned());
    builder.fail(kev, "it is nothing".to_owned());
    builder.finish().unwrap();
    let file = file.into_inner();
    let index = Index::open(&file).unwrap();
    assert_eq!(
        index.advisories([(Ecosystem::Npm, "a".to_owned())]).errors,
        [
            "1 record of npm.zip when the index was built",
            "1 record of kev.json when the index was built"
        ]
    );
    // Nothing is needed of it.
    assert_eq!(index.advisories([]).errors, [""; 0]);
}

#[test]
fn an_index_of_nothing_has_nothing() {
    let file = built(&[]);
    let index = Index::open(&file).unwrap();
    assert_eq!(index.get(&Ecosystem::Npm, "a"), Ok(Vec::new()));
    assert_eq!(
        (index.sources(), index.known_exploited()),
        (Ok(Vec::new()), Ok(None))
    );
}

#[test]
fn a_source_takes_no_space_from_others() {
    let package = ("npm", "a");
    let day = "2025-01-02T00:00:00Z";
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let of = |id: &str| record(id, day, package, "1");
    builder.package_limit = 2 * crate::advisory::collection::entry_size(&of("X-1").affected[0]);
    let (full, other) = (
        builder.source(SourceKind::Osv, "full".to_owned()),
        builder.source(SourceKind::Osv, "other".to_owned()),
    );
    for id in ["X-1", "X-2", "X-3"] {
        builder.add(full, id, of(id)).unwrap();
    }
    // Of a record that there is no space for, the state before stays.
    let newer = record("X-2", "2025-01-03T00:00:00Z", package, "2");
    builder.add(full, "X-2", newer).unwrap();
    builder.add(other, "X-4", of("X-4")).unwrap();
    builder.source_limit = 0;
    builder
        .add(other, "X-5", record("X-5", day, ("npm", "b"), "1"))
        .unwrap();
    let built = builder.finish().unwrap();
    let limit = "it would be more than the 0 MiB of advisories";
    assert_eq!(
        built.errors,
        [
            format!("X-3: {limit} about npm/a that are kept of one source"),
            format!("X-2: {limit} about npm/a that are kept of one source"),
            format!("X-5: {limit} that are kept of one source"),
        ]
    );
    let file = file.into_inner();
    let found = Index::open(&file)
        .unwrap()
        .get(&Ecosystem::Npm, "a")
        .unwrap();
    let ids: Vec<_> = found
        .iter()
        .map(|found| found.advisory.id.as_str())
        .collect();
    assert_eq!(ids, ["X-1", "X-2", "X-4"]);
}

#[test]
fn what_is_known_about_a_cve_is_found_by_its_name() {
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let list = builder.source(SourceKind::CveList, "cves".to_owned());
    let nvd = builder.source(SourceKind::Nvd, "nvd.json".to_owned());
    let lines = include_str!("../../tests/data/cve-list.jsonl").lines();
    let mut want: BTreeMap<String, CveRecord> = BTreeMap::new();
    let mut add = |builder: &mut Builder<'_, _>, source, record: CveRecord| {
        builder.add_cve(source, "record", record.clone());
        match want.get_mut(&record.id) {
            Some(before) => before.merge(record),
            None => drop(want.insert(record.id.clone(), record)),
        }
    };
    for line in lines {
        add(&mut builder, list, cve::decode(line.as_bytes()).unwrap());
    }
    let records = include_bytes!("../../tests/data/nvd.json");
    cve::read_nvd(records, |record| add(&mut builder, nvd, record.unwrap())).unwrap();
    // An advisory about the same CVE is something else.
    let id = want.keys().next().unwrap().clone();
    let advisory = record(&id, "2025-01-02T00:00:00Z", ("npm", &id), "1");
    builder.add(list, "record", advisory).unwrap();
    let built = builder.finish().unwrap();
    assert_eq!(built.packages, 1);
    let file = file.into_inner();
    let index = Index::open(&file).unwrap();
    assert!(want.values().any(|of| of.statements.len() > 1), "{want:?}");
    for (id, want) in want {
        assert_eq!(index.cve(&id), Ok(Some(want)));
    }
    assert_eq!(index.cve("CVE-1999-0001"), Ok(None));
    assert_eq!(index.get(&Ecosystem::Npm, &id).unwrap().len(), 1);
}
