//! What dpkg's files say, read as dpkg reads them.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not expected is printed"
)]

use super::super::{FAULTS_LIMIT, Fact, interest, not_read, read};
use super::*;
use std::io::Cursor;

fn facts_of(path: &str, text: &str) -> Vec<Fact> {
    let mut facts = Vec::new();
    read(
        path.as_bytes().into(),
        &mut Cursor::new(text),
        &mut |fact| {
            facts.push(fact);
        },
    );
    facts
}

/// The facts of a database, a line each.
fn shown(text: &str) -> Vec<String> {
    let facts = facts_of("var/lib/dpkg/status", text).into_iter();
    let shown = facts.map(|fact| match fact {
        Fact::Dpkg(package) => {
            let source = package.source.map(|source| {
                let version = source.version.unwrap_or_else(|| "same".to_owned());
                format!(" from {} {version}", source.name)
            });
            let architecture = package.architecture.unwrap_or_else(|| "-".to_owned());
            let (name, version) = (package.name, package.version);
            format!(
                "{name} {version} {architecture}{}",
                source.unwrap_or_default()
            )
        }
        Fact::NotRead { what, cause } => format!("{what}: {cause}"),
        other => format!("{other:?}"),
    });
    shown.collect()
}

#[test]
fn packages_with_files_count() {
    let text = "\
Package: libssl3
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: openssl
Version: 3.0.9-1
Description: a library
 of several lines
 .
 Version: 9

Package: libssl-bin
Status: hold ok installed
Architecture: amd64
Source: openssl (3.0.9-1)
Version: 3.0.9-1+b1

Package: removed
Status: deinstall ok config-files
Version: 1

Package: unknown
Status: purge ok not-installed

Package: half
Status: install reinstreq half-installed
Version: 2

package: odd
STATUS: install ok broken
version:3
";
    assert_eq!(
        shown(text),
        [
            "libssl3 3.0.9-1 amd64 from openssl same",
            "libssl-bin 3.0.9-1+b1 amd64 from openssl 3.0.9-1",
            "half 2 -",
            "odd 3 -",
        ]
    );
}

#[test]
fn a_stanza_that_cannot_be_read_is_named_and_hides_no_other() {
    let long = "1".repeat(VERSION_LIMIT + 1);
    let text = format!(
        "\
Package: a
Version: 1
Version: 2

Package: b
Status: install ok installed

Version: 1

no field

Package: c\u{1b}[2J
Version: 1

Package: d
Version: {long}

Package: e
Version: 1
 2

Package: f
Source: g (1
Version: 1

Package: g
Version: 1
 \nPackage: h
Version: 1

Package: openssl
Version: 3.0.9-1"
    );
    assert_eq!(
        shown(&text),
        [
            "dpkg database: stanza 1: its version is set twice",
            "dpkg database: stanza 2: package b: it has no version",
            "dpkg database: stanza 3: it has no name",
            "dpkg database: stanza 4: a line is no field",
            "dpkg database: stanza 5: its name has other characters than printable ASCII",
            "dpkg database: stanza 6: package d: its version has more than 256 bytes",
            "dpkg database: stanza 7: a field of one line has several",
            "dpkg database: stanza 8: package f: the version of its source package has no end",
            "dpkg database: stanza 9: its name is set twice",
            "openssl 3.0.9-1 -",
        ]
    );
}

#[test]
fn a_package_after_many_others_counts_up_to_the_limit() {
    let padding = "Package: a\nVersion: 1\n\n".repeat(20_000);
    let facts = shown(&format!("{padding}Package: openssl\nVersion: 3.0.9-1\n"));
    assert_eq!(facts.len(), 20_001);
    assert_eq!(facts.last().map(String::as_str), Some("openssl 3.0.9-1 -"));

    let facts = shown(&"Package: a\nVersion: 1\n\n".repeat(PACKAGES_LIMIT + 1));
    assert_eq!(facts.len(), PACKAGES_LIMIT + 1);
    assert_eq!(
        facts.last().map(String::as_str),
        Some(
            "dpkg database: it has more than the 100000 packages that are read, from stanza \
             100001 on"
        )
    );

    let facts = shown(&"Package: a\n\n".repeat(FAULTS_LIMIT + 5));
    assert_eq!(facts.len(), FAULTS_LIMIT + 1);
    assert_eq!(
        facts.last().map(String::as_str),
        Some("dpkg database: 5 more parts could not be read")
    );
}

#[test]
fn the_file_of_a_package_in_an_image_without_dpkg_is_read() {
    let facts = facts_of(
        "var/lib/dpkg/status.d/tzdata",
        "Package: tzdata\nVersion: 1\n",
    );
    assert_eq!(facts.len(), 1);
    assert!(matches!(&facts[0], Fact::Dpkg(package) if package.name == "tzdata"));
}

#[test]
fn lists_of_files_have_the_package_and_the_paths() {
    let listed = |path: &str, text: &str| {
        let facts = facts_of(path, text).into_iter();
        let shown = facts.map(|fact| match fact {
            Fact::DpkgFiles(list) => {
                let paths: Vec<_> = list.paths.iter().map(String::from_utf8_lossy).collect();
                format!("{} {:?} {paths:?}", list.package, list.architecture)
            }
            other => format!("{other:?}"),
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(
        listed("var/lib/dpkg/info/bash.list", "/.\n/bin\n/bin/bash\n"),
        [r#"bash None ["bin", "bin/bash"]"#]
    );
    assert_eq!(
        listed("var/lib/dpkg/info/libc6:amd64.list", "/lib/libc.so.6"),
        [r#"libc6 Some("amd64") ["lib/libc.so.6"]"#]
    );
    let sums = "d41d8cd98f00b204e9800998ecf8427e  usr/bin/a b\nbad\n";
    for path in [
        "var/lib/dpkg/info/a.md5sums",
        "var/lib/dpkg/status.d/a.md5sums",
    ] {
        assert_eq!(listed(path, sums), [r#"a None ["usr/bin/a b"]"#]);
    }
    assert_eq!(
        listed("var/lib/dpkg/info/a\u{7f}.list", "/bin/a"),
        [format!(
            "{:?}",
            not_read(
                "dpkg file list",
                "its name has other characters than printable ASCII"
            )
        )]
    );
}

#[test]
fn diversions_are_read_three_lines_each() {
    let text = "/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n/c\n";
    let diversion = |from: &[u8], to: &[u8], package: Option<&str>| {
        Fact::DpkgDiversion(Diversion {
            from: from.to_vec(),
            to: to.to_vec(),
            package: package.map(str::to_owned),
        })
    };
    assert_eq!(
        facts_of("var/lib/dpkg/diversions", text),
        [
            diversion(b"bin/sh", b"bin/sh.distrib", Some("dash")),
            diversion(b"a", b"b", None),
            not_read(
                "dpkg diversions",
                "the last diversion is not complete, or there are too many"
            ),
        ]
    );
}

#[test]
fn other_files_are_not_read() {
    for path in [
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/status.d/",
        "var/lib/dpkg/status.d/a/b",
        "var/lib/dpkg/info/bash.postinst",
        "opt/var/lib/dpkg/status",
    ] {
        assert_eq!(
            interest(path.as_bytes().into(), 1, b"P"),
            Interest::None,
            "{path}"
        );
    }
    let whole = Interest::Whole(DATABASE_LIMIT);
    assert_eq!(
        interest(b"var/lib/dpkg/status".as_slice().into(), 1, b"P"),
        whole
    );
}
