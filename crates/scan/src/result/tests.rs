//! Results of packages and advisories that are made here: the order of the steps, and what they have in common.

use super::*;
use crate::action::Advice;
use crate::advisory::collection::Collection;
use crate::ignore::IgnoreList;
use crate::index::{Builder, SourceKind};
use crate::inventory::Mark;
use crate::package::Source as SourcePackage;
use crate::severity::cve::CveRecord;
use crate::severity::{CveSource, Severity, Statement};
use jiff::Timestamp;
use jiff::civil::date;
use serde_json::{Value, json};
use std::io::Cursor;

const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

fn now() -> Timestamp {
    "2026-02-01T00:00:00Z".parse().unwrap()
}

fn package(ecosystem: &str, name: &str, version: &str) -> Located {
    Located {
        package: Package {
            ecosystem: Ecosystem::parse(ecosystem).unwrap(),
            name: name.to_owned(),
            version: version.to_owned(),
            source: None,
            path: None,
        },
        architecture: None,
        layer: Some(0),
        marks: Vec::new(),
        owner: None,
    }
}

/// Debian's package of a project of Python, and that project, which it installed.
fn installed(debian: &str, version: &str) -> Vec<Located> {
    let mut owner = package("Debian:12", "python3-web", debian);
    owner.package.source = Some(SourcePackage {
        name: "python-web".to_owned(),
        version: debian.to_owned(),
    });
    let mut project = package("PyPI", "web", version);
    project.owner = Some(0);
    vec![owner, project]
}

fn target(platform: &str, packages: Vec<Located>) -> Target {
    Target {
        platform: Some(platform.to_owned()),
        base_layers: Some(1),
        inventory: Inventory {
            packages,
            ..Inventory::default()
        },
    }
}

fn record(id: &str, package: (&str, &str), events: &Value, word: &str) -> Value {
    json!({
        "id": id,
        "aliases": ["CVE-2024-2"],
        "database_specific": {"severity": word},
        "affected": [{
            "package": {"ecosystem": package.0, "name": package.1},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }],
    })
}

fn below(version: &str) -> Value {
    json!([{"introduced": "0"}, {"fixed": version}])
}

/// What is known with these records.
fn knowledge(targets: &[Target], records: &[Value]) -> Knowledge<'static> {
    let wanted = subjects(targets.iter().flat_map(Target::packages));
    let wanted = wanted.into_iter().map(|of| (of.ecosystem, of.name));
    let mut collection = Collection::of(wanted, now());
    let source = collection.source();
    for record in records {
        collection.add(source, "record", record.to_string().as_bytes());
    }
    Knowledge {
        advisories: collection.collected(),
        ..Knowledge::default()
    }
}

fn result_of(targets: Vec<Target>, records: &[Value], counting: Counting) -> ScanResult {
    let knowledge = knowledge(&targets, records);
    assert_eq!(knowledge.advisories.errors, [""; 0]);
    scan(targets, knowledge, counting, Unread::default())
}

fn all() -> Counting {
    Counting::all(date(2026, 2, 1))
}

fn ignoring(id: &str, package: &str) -> Counting {
    let entry = json!({"id": id, "package": package, "reason": "r", "expires": "2026-12-31"});
    Counting {
        ignore: IgnoreList::of(vec![entry]).unwrap(),
        ..all()
    }
}

/// The packages of the findings that count, with their severities.
fn counted(result: &ScanResult) -> Vec<String> {
    let findings = result.counted();
    let findings = findings.map(|of| format!("{} {}", of.subject.name, of.rating.severity));
    findings.collect()
}

#[test]
fn a_vulnerability_of_a_package_and_its_owner_counts_once() {
    let targets = vec![target("linux/amd64", installed("2.0-1", "2.0"))];
    let records = [
        record(
            "DEBIAN-CVE-2024-2",
            ("Debian:12", "python-web"),
            &below("2.0-2"),
            "LOW",
        ),
        record("GHSA-2", ("PyPI", "web"), &below("2.1"), "HIGH"),
    ];
    let result = result_of(targets.clone(), &records, all());
    // The one that counts is as severe as the other one.
    assert_eq!(counted(&result), ["python-web High"]);
    let [(finding, Standing::OfOwner(owners))] = &result.not_counted().collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", result.matches.findings);
    };
    assert_eq!(
        (&*finding.subject.name, &owners[..]),
        ("web", &["python3-web (python-web 2.0-1)".to_owned()][..])
    );
    let [action] = &result.actions[..] else {
        panic!("{:?}", result.actions);
    };
    assert_eq!(
        (&*action.subject.name, &action.advice, action.severity),
        (
            "python-web",
            &Advice::Upgrade("2.0-2".to_owned()),
            Severity::High
        )
    );
    // What is not counted for the owner counts for the package.
    let result = result_of(
        targets.clone(),
        &records,
        ignoring("CVE-2024-2", "Debian:12/python-web"),
    );
    assert_eq!(counted(&result), ["web High"]);
    let result = result_of(targets, &records, ignoring("CVE-2024-2", "PyPI/web"));
    assert_eq!(counted(&result), ["python-web Low"]);
}

#[test]
fn other_findings_of_an_owner_hide_none_of_the_package() {
    let both = ["python-web Low", "web High"];
    let fixed = below("2.0-2");
    let of_owner = |events: &Value| {
        record(
            "DEBIAN-CVE-2024-2",
            ("Debian:12", "python-web"),
            events,
            "LOW",
        )
    };
    let copy = || {
        let mut packages = installed("2.0-1", "2.0");
        packages.push(package("PyPI", "web", "2.0"));
        packages
    };
    let uncertain = || {
        let mut packages = installed("2.0-1", "2.0");
        packages[0].marks.push(Mark::ReleaseConflict);
        packages
    };
    let mut unimportant = of_owner(&fixed);
    unimportant["affected"][0]["ecosystem_specific"] = json!({"urgency": "unimportant"});
    let mut other = of_owner(&fixed);
    other["aliases"] = json!(["CVE-2024-3"]);
    other["id"] = json!("DEBIAN-CVE-2024-3");
    for (name, packages, debian, expected) in [
        ("a copy has no owner", copy(), of_owner(&fixed), &both[..]),
        (
            "another upstream version",
            installed("2.2-1", "2.0"),
            of_owner(&below("2.2-2")),
            &both,
        ),
        (
            "the release is not certain",
            uncertain(),
            of_owner(&fixed),
            &both,
        ),
        (
            "another vulnerability",
            installed("2.0-1", "2.0"),
            other,
            &both,
        ),
        (
            "one that does not count",
            installed("2.0-1", "2.0"),
            unimportant,
            &["web High"],
        ),
        (
            "one of which it is unknown",
            installed("2.0-1", "2.0"),
            of_owner(&below("?")),
            &both,
        ),
    ] {
        let records = [
            debian,
            record("GHSA-2", ("PyPI", "web"), &below("2.1"), "HIGH"),
        ];
        let result = result_of(vec![target("linux/amd64", packages)], &records, all());
        let findings = &result.matches.findings;
        assert!(findings.iter().all(|of| of.of_owner.is_empty()), "{name}");
        assert_eq!(counted(&result), expected, "{name}");
    }
}

#[test]
fn what_an_index_knows_about_a_cve_is_part_of_all_that_follows() {
    let targets = vec![target("linux/amd64", installed("2.0-1", "2.0"))];
    let mut file = Cursor::new(Vec::new());
    let mut builder = Builder::new(&mut file, now(), None).unwrap();
    let source = builder.source(SourceKind::Osv, "osv".to_owned());
    for record in [
        record(
            "DEBIAN-CVE-2024-2",
            ("Debian:12", "python-web"),
            &below("2.0-1"),
            "",
        ),
        record("GHSA-2", ("PyPI", "web"), &below("2.1"), ""),
        record("GHSA-3", ("npm", "a"), &below("2.0.0"), ""),
    ] {
        let advisory = crate::advisory::osv::decode(record.to_string().as_bytes()).unwrap();
        builder.add(source, "record", advisory).unwrap();
    }
    let cves = builder.source(SourceKind::Nvd, "nvd".to_owned());
    builder.add_cve(
        cves,
        "record",
        CveRecord {
            id: "CVE-2024-2".to_owned(),
            is_rejected: false,
            title: "A title".to_owned(),
            statements: vec![Statement::of_cve(CveSource::Nvd, CRITICAL).unwrap()],
        },
    );
    builder.finish().unwrap();
    let file = file.into_inner();
    let index = Index::open(&file).unwrap();
    let of = |targets: Vec<Target>| {
        let packages = targets.iter().flat_map(Target::packages);
        let knowledge = Knowledge::of_index(index, packages).unwrap();
        scan(targets, knowledge, all(), Unread::default())
    };
    // The distribution fixed it, so nothing is to be done.
    let result = of(targets);
    assert_eq!((counted(&result), result.actions.len()), (Vec::new(), 0));
    let list = Target::list(vec![package("npm", "a", "1.0.0").package]);
    let result = of(vec![list]);
    assert_eq!(counted(&result), ["a Critical"]);
    assert_eq!(result.actions[0].severity, Severity::Critical);
    assert_eq!(result.matches.findings[0].title, "A title");
    // Of the sources, those that the packages need and those about all of them.
    let sources = result.sources.iter().flatten();
    let sources: Vec<_> = sources.map(|of| &*of.origin).collect();
    assert_eq!(sources, ["osv", "nvd"]);
    assert!(result.is_complete());
}

#[test]
fn owners_and_platforms_are_those_of_each_image() {
    let other = vec![package("npm", "a", "1.0.0"), package("npm", "b", "1.0.0")];
    let result = result_of(
        vec![
            target("linux/arm64", other),
            target("linux/amd64", installed("2.0-1", "2.0")),
        ],
        &[],
        all(),
    );
    let shown = result.matches.subjects.iter().map(|subject| {
        let place = result.places.place(subject).unwrap();
        let texts = |of: &BTreeSet<String>| of.iter().cloned().collect::<Vec<_>>().join(",");
        let (owners, platforms) = (texts(&place.owners), texts(&place.platforms));
        // Images have their bases, so that no package is of the one of all.
        assert!(!result.places.is_of_base(subject));
        format!("{}: {owners} {platforms}", subject.name)
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "python-web:  linux/amd64",
            "web: python3-web 2.0-1 linux/amd64",
            "a:  linux/arm64",
            "b:  linux/arm64",
        ]
    );
}

#[test]
fn each_gap_makes_the_result_incomplete() {
    let records = [record("GHSA-3", ("npm", "a"), &below("1.0.0"), "")];
    let list = || Target::list(vec![package("npm", "a", "1.0.0").package]);
    let complete = |targets: Vec<Target>, unread: &[&str]| {
        let knowledge = knowledge(&targets, &records);
        let mut errors = Unread::default();
        errors.add_first(unread.iter().copied(), unread.len());
        scan(targets, knowledge, all(), errors).is_complete()
    };
    assert!(complete(vec![list()], &[]));
    assert!(!complete(vec![list()], &["a layer"]));
    assert!(!complete(vec![Target::default()], &[]));
    let without = Target::list(vec![package("Go", "a", "v1.0.0").package]);
    assert!(!complete(vec![list(), without], &[]));
    let mut gap = Target::default();
    gap.inventory.coverage.deleted_databases = vec![(crate::inventory::Database::Apk, 0)];
    assert!(!complete(vec![list(), gap], &[]));
}

#[test]
fn errors_have_a_bounded_length_and_each_counts() {
    let mut errors = Unread::default();
    let long = "\u{1f980}".repeat(2000);
    let many: Vec<&str> = std::iter::repeat_n(&*long, 150).collect();
    errors.add_first(many, 500);
    errors.add("another");
    let kept = errors.kept();
    assert_eq!((kept.len(), errors.count()), (101, 501));
    assert!(kept.iter().all(|error| error.chars().count() <= 1000));
    assert_eq!(kept[100], "another");
}
