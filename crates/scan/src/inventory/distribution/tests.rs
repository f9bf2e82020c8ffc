//! What names of releases mean, and when they disagree.

use super::super::tests::image::{Image, text};
use super::*;

/// The releases, and what else is said, of files and the version of a package.
fn found(database: Database, files: &[(&'static str, &str)], package: &str) -> (String, String) {
    let nodes = files.iter().map(|(path, content)| (*path, text(content)));
    let image = Image::of(vec![nodes.collect()]);
    let (name, version) = package.split_once(' ').unwrap_or_default();
    let found = distribution(
        database,
        &image,
        &|wanted| (wanted == name).then(|| version.to_owned()),
        &[],
    );
    let names: Vec<_> = found.ecosystems.iter().map(ToString::to_string).collect();
    let statements = found.conflict.into_iter().flatten();
    let statements: Vec<_> = statements
        .map(|s| format!("{}: {}", s.source, s.release))
        .collect();
    let rest = found.not_covered.into_iter().chain(statements);
    (names.join(" "), rest.collect::<Vec<_>>().join("; "))
}

#[test]
fn releases_have_the_names_of_osv() {
    for (database, os, expected) in [
        (Database::Dpkg, "ID=debian\nVERSION_ID=12", "Debian:12"),
        (
            Database::Dpkg,
            "ID=ubuntu\nVERSION_ID=22.04",
            "Ubuntu:22.04:LTS",
        ),
        (
            Database::Dpkg,
            "ID=ubuntu\nVERSION_ID=23.04",
            "Ubuntu:23.04",
        ),
        (
            Database::Dpkg,
            "ID=ubuntu\nVERSION_ID=25.10",
            "Ubuntu:25.10",
        ),
        (
            Database::Apk,
            "ID=alpine\nVERSION_ID=3.18.4",
            "Alpine:v3.18",
        ),
    ] {
        let (names, rest) = found(database, &[("etc/os-release", os)], "");
        assert_eq!((&*names, &*rest), (expected, ""), "{os}");
    }
}

#[test]
fn what_names_no_release_with_advisories_is_not_covered() {
    let derived = |name: &str| {
        format!(
            "the packages are of {name}; advisories of the distribution that it is derived from do not cover them"
        )
    };
    let none = "no file names a release of Debian, Ubuntu or Alpine that fits".to_owned();
    for (database, os, expected) in [
        (
            Database::Dpkg,
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"",
            derived("linuxmint"),
        ),
        (
            Database::Apk,
            "ID=wolfi\nPRETTY_NAME=Wolfi",
            derived("Wolfi"),
        ),
        (
            Database::Dpkg,
            "VERSION_ID=12",
            derived("a distribution without a name"),
        ),
        (Database::Dpkg, "ID=debian", none.clone()),
        (
            Database::Apk,
            "ID=alpine\nVERSION_ID=3.21.0_alpha20240923",
            none,
        ),
    ] {
        let (names, rest) = found(database, &[("etc/os-release", os)], "");
        assert_eq!((&*names, rest), ("", expected), "{os}");
    }
}

#[test]
fn files_that_agree_are_no_conflict() {
    let os = |text| ("etc/os-release", text);
    for (database, files, package, expected) in [
        (
            Database::Dpkg,
            vec![
                os("ID=ubuntu\nVERSION_ID=22.04"),
                ("etc/debian_version", "bookworm/sid"),
                (
                    "etc/lsb-release",
                    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04",
                ),
            ],
            "base-files 12ubuntu4.4",
            "Ubuntu:22.04:LTS",
        ),
        (
            Database::Dpkg,
            vec![os("ID=debian"), ("etc/debian_version", "trixie/sid")],
            "base-files 13.6",
            "Debian:13",
        ),
        (
            Database::Dpkg,
            vec![("etc/debian_version", "11.2")],
            "base-files 11.1+deb11u2",
            "Debian:11",
        ),
        (
            Database::Apk,
            vec![("etc/alpine-release", "3.18.4")],
            "alpine-base 3.18.4-r0",
            "Alpine:v3.18",
        ),
        (
            Database::Apk,
            vec![],
            "alpine-release 3.20.1-r0",
            "Alpine:v3.20",
        ),
    ] {
        let (names, rest) = found(database, &files, package);
        assert_eq!((&*names, &*rest), (expected, ""), "{files:?}");
    }
}

#[test]
fn files_that_disagree_are_a_conflict_and_each_release_counts() {
    let os = |text| ("etc/os-release", text);
    for (database, files, package, expected, said) in [
        (
            Database::Dpkg,
            vec![
                os("ID=ubuntu\nVERSION_ID=24.04"),
                (
                    "etc/lsb-release",
                    "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04",
                ),
            ],
            "",
            "Ubuntu:24.04:LTS Ubuntu:22.04:LTS",
            "etc/os-release: Ubuntu 24.04; etc/lsb-release: Ubuntu 22.04",
        ),
        (
            Database::Dpkg,
            vec![
                os("ID=ubuntu\nVERSION_ID=24.04"),
                ("etc/debian_version", "12.5"),
            ],
            "base-files 12.4+deb12u5",
            "Ubuntu:24.04:LTS Debian:12",
            "etc/os-release: Ubuntu 24.04; etc/debian_version: Debian 12; package base-files: Debian 12",
        ),
        (
            Database::Dpkg,
            vec![
                os("ID=debian\nVERSION_ID=12"),
                ("usr/lib/os-release", "ID=debian\nVERSION_ID=11"),
            ],
            "",
            "Debian:12 Debian:11",
            "etc/os-release: Debian 12; usr/lib/os-release: Debian 11",
        ),
        (
            Database::Apk,
            vec![os("ID=debian\nVERSION_ID=12")],
            "alpine-release 3.18.4-r0",
            "Alpine:v3.18",
            "etc/os-release: Debian 12; package alpine-release: Alpine v3.18",
        ),
    ] {
        let (names, rest) = found(database, &files, package);
        assert_eq!((&*names, &*rest), (expected, said), "{files:?}");
    }
}
