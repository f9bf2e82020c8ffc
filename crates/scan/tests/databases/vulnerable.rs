//! Packages of vulnerable versions that dpkg and apk installed have the findings that other code has for them.
//!
//! Here: their roots as images, and the comparison with `data/distribution-findings.tsv`. Not here: how that was written
//! (`data/expected_distributions.py`).
//! Invariant: an installed package has exactly those findings, by its source package, and one that was removed has none.

use super::{build, empty_root, facts, install, remove};
use bailiff_scan::advisory::{Advisory, debian, debian_list, secdb};
use bailiff_scan::content::Fact;
use bailiff_scan::ecosystem::Ecosystem;
use bailiff_scan::inventory::{ContentDigest, FileId, Files, Found, inventory};
use bailiff_scan::matching::match_packages;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FINDINGS: &str = include_str!("../data/distribution-findings.tsv");
const SECDB: &str = include_str!("../data/secdb-v3.11-main.json");
const TRACKER: [&str; 2] = [
    include_str!("../data/debian-tracker.json"),
    include_str!("../data/debian-tracker-made.json"),
];
const UPDATES: &str = include_str!("../data/debian-updates.list");

/// The files of a root, as an image of one layer. It has no symbolic links.
struct Root(Vec<(Vec<u8>, Vec<Fact>)>);

impl Root {
    fn of(root: &Path) -> Self {
        let mut paths = Vec::new();
        files(root, &mut paths);
        let facts = paths.iter().map(|path| {
            let path = path.strip_prefix(root).unwrap().to_str().unwrap();
            (path.as_bytes().to_vec(), facts(root, path))
        });
        let mut facts: Vec<_> = facts.collect();
        facts.sort_by(|a, b| a.0.cmp(&b.0));
        Self(facts)
    }

    fn entries(&self) -> impl Iterator<Item = (&[u8], FileId)> {
        let numbered = (0..).zip(&self.0);
        numbered.map(|(ordinal, (path, _))| (&**path, FileId { layer: 0, ordinal }))
    }
}

impl Files for Root {
    fn walk(&self, visit: &mut dyn FnMut(&[u8], FileId)) {
        for (path, id) in self.entries() {
            visit(path, id);
        }
    }

    fn resolve(&self, path: &[u8]) -> Option<Found> {
        let below = [path, b"/"].concat();
        self.entries().find_map(|(own, id)| match own {
            own if own == path => Some(Found::File(id)),
            own if own.starts_with(&below) => Some(Found::Directory),
            _ => None,
        })
    }

    fn resolve_at(&self, _layer: u32, path: &[u8]) -> Option<Found> {
        self.resolve(path)
    }

    fn list_at(&self, _layer: u32, directory: &[u8], visit: &mut dyn FnMut(&[u8], FileId)) {
        let below = [directory, b"/"].concat();
        for (path, id) in self.entries() {
            match path.strip_prefix(&*below) {
                Some(name) if !name.contains(&b'/') => visit(name, id),
                Some(_) | None => {}
            }
        }
    }

    fn walk_layer(&self, _layer: u32, visit: &mut dyn FnMut(&[u8], FileId)) {
        self.walk(visit);
    }

    // In one layer, no file is a copy of another layer's.
    fn digest(&self, _id: FileId) -> Option<ContentDigest> {
        None
    }

    fn digests(&self, _visit: &mut dyn FnMut(FileId, &ContentDigest)) {}

    fn facts(&self, id: FileId) -> &[Fact] {
        let index = usize::try_from(id.ordinal).unwrap();
        &self.0[index].1
    }

    fn layers(&self) -> u32 {
        1
    }
}

/// The files below a directory.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Adds a file to a root.
fn add(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// What is found in a root: the source package, its version, the vulnerability, its state and the fixed version.
fn found(root: &Path, distribution: &str) -> BTreeSet<String> {
    let mut advisories: BTreeMap<(Ecosystem, String), Vec<Arc<Advisory>>> = BTreeMap::new();
    let mut keep = |advisory: Result<Advisory, String>| {
        let advisory = Arc::new(advisory.unwrap());
        let entries = advisory.affected.iter();
        let names: BTreeSet<_> = entries
            .map(|entry| (entry.ecosystem.clone(), entry.name.clone()))
            .collect();
        for name in names {
            let of_name = advisories.entry(name).or_default();
            of_name.push(Arc::clone(&advisory));
        }
    };
    secdb::read(SECDB.as_bytes(), &mut keep).unwrap();
    for file in TRACKER {
        debian::read(file.as_bytes(), &mut keep).unwrap();
    }
    debian_list::read(UPDATES.as_bytes(), &mut keep).unwrap();
    let inventory = inventory(&Root::of(root));
    let distributions: Vec<_> = inventory
        .distributions
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(distributions, [distribution]);
    let packages = inventory.packages.into_iter().map(|of| of.package);
    let packages: Vec<_> = packages.collect();
    let of = |ecosystem: &Ecosystem, name: &str| {
        let key = (ecosystem.clone(), name.to_owned());
        advisories.get(&key).cloned().unwrap_or_default()
    };
    let findings = match_packages(&packages, of, None).findings.into_iter();
    let shown = findings.map(|finding| {
        let fixed = finding.state.fixed_version().unwrap_or("-");
        format!(
            "{} {} {} {} {fixed}",
            finding.subject.name,
            finding.subject.version,
            finding.id,
            finding.state.as_str()
        )
    });
    shown.collect()
}

/// What the table has for source packages and versions.
fn expected(distribution: &str, packages: &[(&str, &str)]) -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    for (name, version) in packages {
        let begin = format!("{distribution}\t{name}\t{version}");
        let lines: Vec<_> = FINDINGS
            .lines()
            .filter_map(|line| line.strip_prefix(&*begin))
            .collect();
        assert!(lines.contains(&""), "{begin} was not evaluated");
        let findings = lines.iter().filter_map(|line| line.strip_prefix('\t'));
        expected.extend(
            findings.map(|finding| format!("{name} {version} {}", finding.replace('\t', " "))),
        );
    }
    expected
}

#[test]
fn packages_that_dpkg_installed_have_the_findings_of_their_versions() {
    let (folder, root) = empty_root("vulnerable");
    let package = |name: &str, control: &str, file: &str| {
        let control = format!("Architecture: all\n{control}\n");
        build(&folder, name, &control, &[file])
    };
    let archives = [
        // Built again without a change: advisories name the version of the source package.
        package(
            "libssl1.1",
            "Source: openssl (1.1.1d-0+deb10u5)\nVersion: 1.1.1d-0+deb10u5+b1",
            "usr/lib/libssl.so.1.1",
        ),
        package(
            "libcurl4",
            "Source: curl\nVersion: 7.64.0-4+deb10u2",
            "usr/lib/libcurl.so.4",
        ),
        package("sudo", "Version: 1.8.27-1+deb10u3", "usr/bin/sudo"),
        package(
            "xserver-common",
            "Source: xorg-server\nVersion: 2:1.20.4-1+deb10u1",
            "etc/X11/xserver.conf",
        ),
        // No advisory names it.
        package("unnamed", "Version: 1:0-1", "usr/share/unnamed"),
    ];
    install(&root, &archives);
    remove(&root, "xserver-common");
    add(&root, "etc/os-release", "ID=debian\nVERSION_ID=\"10\"\n");
    let expected = expected(
        "Debian:10",
        &[
            ("openssl", "1.1.1d-0+deb10u5"),
            ("curl", "7.64.0-4+deb10u2"),
            ("sudo", "1.8.27-1+deb10u3"),
        ],
    );
    assert!(expected.len() > 20, "{}", expected.len());
    assert_eq!(found(&root, "Debian:10"), expected);
}

#[test]
fn packages_that_apk_installed_have_the_findings_of_their_versions() {
    let (_folder, root) = empty_root("apk");
    fs::remove_dir_all(root.join("var")).unwrap();
    add(&root, "lib/apk/db/installed", super::apk::INSTALLED);
    add(&root, "etc/os-release", "ID=alpine\nVERSION_ID=3.11.3\n");
    add(&root, "etc/alpine-release", "3.11.3\n");
    let expected = expected(
        "Alpine:v3.11",
        &[
            ("busybox", "1.29.3-r10"),
            ("sqlite", "3.28.0-r0"),
            ("wget", "1.19.5-r0"),
        ],
    );
    assert!(expected.len() >= 4, "{expected:?}");
    assert_eq!(found(&root, "Alpine:v3.11"), expected);
}
