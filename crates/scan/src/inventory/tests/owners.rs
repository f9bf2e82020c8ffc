//! A distribution settles findings of what it installed itself, and of nothing else.

use super::super::{Inventory, settle};
use super::image::{Image, Node, rust_binary, text};
use super::{DEBIAN_12, inventory, stanza};
use crate::advisory::osv;
use crate::matching::{Finding, match_packages};
use crate::package::Package;
use std::sync::Arc;

/// The advisory about the crate.
const OF_CRATE: &str = r#"{"id": "RUSTSEC-2020-0071", "aliases": ["CVE-2020-26235"], "affected": [{"package": {"ecosystem": "crates.io", "name": "time"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]}"#;

/// What Debian says about its source package.
fn of_debian(fields: &str, fixed: &str) -> String {
    format!(
        r#"{{"id": "DEBIAN-CVE-2020-26235", {fields} "upstream": ["CVE-2020-26235"], "affected": [{{"package": {{"ecosystem": "Debian:12", "name": "rust-time"}}, "ranges": [{{"type": "ECOSYSTEM", "events": [{{"introduced": "0"}}, {{"fixed": "{fixed}"}}]}}]}}]}}"#
    )
}

/// An image with a package that has a binary of Rust.
fn image(version: &str, more: Vec<(&'static str, Node)>) -> Inventory {
    let mut files = vec![
        ("etc/os-release", text(DEBIAN_12)),
        (
            "var/lib/dpkg/status",
            text(&stanza("rust-time-bin", "rust-time", version)),
        ),
        (
            "var/lib/dpkg/info/rust-time-bin.list",
            text("/usr/bin/time\n"),
        ),
        ("usr/bin/time", rust_binary()),
    ];
    files.extend(more);
    inventory(&Image::of(vec![files]))
}

/// The findings that stay, and those that are settled.
fn settled(inventory: &Inventory, records: &[&str]) -> (Vec<String>, Vec<Finding>) {
    let decoded = records.iter().map(|record| osv::decode(record.as_bytes()));
    let all: Vec<_> = decoded
        .map(|advisory| Arc::new(advisory.unwrap()))
        .collect();
    let naming = |ecosystem: &_, name: &str| {
        let named = all.iter().filter(|advisory| {
            let mut entries = advisory.affected.iter();
            entries.any(|entry| entry.ecosystem == *ecosystem && entry.name == name)
        });
        named.cloned().collect()
    };
    let packages: Vec<Package> = inventory
        .packages
        .iter()
        .map(|p| p.package.clone())
        .collect();
    let mut matches = match_packages(&packages, naming, None);
    settle(&mut matches, &inventory.packages, naming);
    let findings = matches.findings.into_iter();
    let (settled, stay): (Vec<_>, Vec<_>) = findings.partition(|f| f.settled.is_some());
    let stay = stay.iter();
    let stay = stay.map(|finding| format!("{} {}", finding.id, finding.subject.name));
    (stay.collect(), settled)
}

#[test]
fn what_the_distribution_has_fixed_in_its_own_package_is_settled() {
    let found = image("0.1.43-1+deb12u1", vec![]);
    let owner = found.packages[1]
        .owner
        .map(|owner| &*found.packages[owner].package.name);
    assert_eq!(owner, Some("rust-time-bin"));
    let debian = of_debian("", "0.1.43-1+deb12u1");
    let (stay, settled) = settled(&found, &[OF_CRATE, &debian]);
    assert_eq!(stay, [""; 0]);
    let [settled] = &*settled else {
        panic!("{settled:?}");
    };
    assert_eq!(settled.id, "CVE-2020-26235");
    let settled = settled.settled.as_ref().unwrap();
    assert_eq!(
        settled.owners,
        ["rust-time-bin (rust-time 0.1.43-1+deb12u1)"]
    );
    assert_eq!(settled.advisories, ["DEBIAN-CVE-2020-26235"]);
}

#[test]
fn nothing_else_settles_a_finding() {
    let fixed = of_debian("", "0.1.43-1");
    let later = of_debian("", "0.1.43-2");
    let withdrawn = of_debian(r#""withdrawn": "2024-01-01T00:00:00Z","#, "0.1.43-1");
    let earlier = of_debian("", "0.1.43~rc1-1");
    let other = fixed.replace("26235", "1");
    let copy = || vec![("opt/time", rust_binary())];
    let own = "CVE-2020-26235 time";
    for (name, found, debian, expected) in [
        ("no statement", image("0.1.43-1", vec![]), None, vec![own]),
        (
            "the version of the distribution is affected",
            image("0.1.43-1", vec![]),
            Some(&later),
            vec!["CVE-2020-26235 rust-time", own],
        ),
        (
            "the statement is withdrawn",
            image("0.1.43-1", vec![]),
            Some(&withdrawn),
            vec![own],
        ),
        (
            "the statement is about another vulnerability",
            image("0.1.43-1", vec![]),
            Some(&other),
            vec![own],
        ),
        (
            "a copy is not of the distribution",
            image("0.1.43-1", copy()),
            Some(&fixed),
            vec![own],
        ),
        (
            "the owner is of another version",
            image("0.1.45-1", vec![]),
            Some(&fixed),
            vec![own],
        ),
        (
            "the owner is of an earlier version",
            image("0.1.43~rc1-1", vec![]),
            Some(&earlier),
            vec![own],
        ),
        (
            "the release is not certain",
            image("0.1.43-1", vec![("etc/debian_version", text("11.2"))]),
            Some(&fixed),
            vec![own],
        ),
        (
            "the owner is not installed",
            image(
                "0.1.43-1",
                vec![(
                    "var/lib/dpkg/status",
                    text(
                        &stanza("rust-time-bin", "rust-time", "0.1.43-1")
                            .replace("install ok installed", "deinstall ok config-files"),
                    ),
                )],
            ),
            Some(&fixed),
            vec![own],
        ),
    ] {
        let mut records = vec![OF_CRATE];
        records.extend(debian.map(|record| &**record));
        let (stay, settled) = settled(&found, &records);
        assert_eq!(stay, expected, "{name}");
        assert_eq!(settled, [], "{name}");
    }
}

#[test]
fn a_forged_version_and_another_source_settle_nothing() {
    let own = "CVE-2020-26235 time";
    let fixed = of_debian("", "0.1.43-1");
    let older = of_debian("", "0.1.42-1");
    let foreign = fixed.replace("DEBIAN-CVE", "X-CVE");
    for (name, version, debian) in [
        ("the owner has another epoch", "9:0.1.43-1", &fixed),
        ("an earlier version is fixed", "0.1.43-1", &older),
        ("the statement is of another source", "0.1.43-1", &foreign),
    ] {
        let (stay, settled) = settled(&image(version, vec![]), &[OF_CRATE, debian]);
        assert_eq!(stay, [own], "{name}");
        assert_eq!(settled, [], "{name}");
    }
}

#[test]
fn a_package_owns_no_file_of_another_layer() {
    let base = || vec![("etc/os-release", text(DEBIAN_12))];
    let database = || {
        [
            (
                "var/lib/dpkg/status",
                text(&stanza("rust-time-bin", "rust-time", "0.1.43-1")),
            ),
            (
                "var/lib/dpkg/info/rust-time-bin.list",
                text("/usr/bin/time\n"),
            ),
        ]
    };
    let binary = || ("usr/bin/time", rust_binary());
    let with_database = || base().into_iter().chain(database()).collect::<Vec<_>>();
    let with_binary = || base().into_iter().chain([binary()]).collect::<Vec<_>>();
    for layers in [
        vec![with_database(), vec![binary()]],
        vec![with_binary(), database().to_vec()],
    ] {
        let found = inventory(&Image::of(layers));
        assert_eq!(found.packages.len(), 3);
        assert!(found.packages.iter().all(|package| package.owner.is_none()));
    }
}
