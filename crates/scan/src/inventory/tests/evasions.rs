//! Images that hide a package: it still counts, or what hides it is listed.

mod databases;

use super::image::{Image, Node, text};
use super::{DEBIAN_PACKAGES, coverage, debian, elf, inventory, packages, stanza};
use databases::{changed_databases, changed_fields, deleted_databases, deleted_stanzas};

/// An image, its packages and what is said about the rest.
struct Case {
    name: &'static str,
    layers: Vec<Vec<(&'static str, Node)>>,
    packages: Vec<&'static str>,
    coverage: Vec<&'static str>,
}

const BASE: &str = DEBIAN_PACKAGES[0];
const SSL: &str = DEBIAN_PACKAGES[1];

/// A Debian image, with a file replaced or added.
fn with(path: &'static str, node: Node) -> Vec<(&'static str, Node)> {
    let mut files = debian();
    files.retain(|(own, _)| *own != path);
    files.push((path, node));
    files
}

fn stanzas(names: &[&str]) -> Node {
    let all = names.iter().map(|name| match *name {
        "base-files" => stanza("base-files", "base-files", "12.4+deb12u5"),
        "libssl3" => stanza("libssl3", "openssl", "3.0.9-1"),
        other => stanza(other, other, "1"),
    });
    text(&all.collect::<String>())
}

const REMOVED: &str = "Debian:12 libssl3 3.0.9-1 from openssl 3.0.9-1 layer 0 NotInDatabase";

fn forged() -> Vec<Case> {
    let conflicting = |release: &str| -> &'static str {
        format!("Debian:{release} libssl3 3.0.9-1 from openssl 3.0.9-1 layer 0 ReleaseConflict")
            .leak()
    };
    let conflicting_base = |release: &str| -> &'static str {
        format!(
            "Debian:{release} base-files 12.4+deb12u5 from base-files 12.4+deb12u5 layer 0 \
             ReleaseConflict"
        )
        .leak()
    };
    vec![
        Case {
            name: "the release is forged in os-release",
            layers: vec![with("etc/os-release", text("ID=debian\nVERSION_ID=13\n"))],
            packages: vec![
                conflicting_base("13"),
                conflicting_base("12"),
                conflicting("13"),
                conflicting("12"),
            ],
            coverage: vec![
                "conflict dpkg etc/os-release says Debian 13, etc/debian_version says Debian 12, \
                 package base-files says Debian 12",
            ],
        },
        Case {
            name: "the distribution is forged",
            layers: vec![with(
                "etc/os-release",
                text("ID=alpine\nVERSION_ID=3.18.0\n"),
            )],
            packages: vec![conflicting_base("12"), conflicting("12")],
            coverage: vec![
                "conflict dpkg etc/os-release says Alpine v3.18, etc/debian_version says Debian \
                 12, package base-files says Debian 12",
            ],
        },
        Case {
            name: "nothing names the release",
            layers: vec![vec![("var/lib/dpkg/status", stanzas(&["libssl3"]))]],
            packages: vec![],
            coverage: vec![
                "not covered 1 dpkg: no file names a release of Debian, Ubuntu or Alpine that fits",
            ],
        },
        Case {
            name: "an owner is forged that is not installed",
            layers: vec![
                with(
                    "var/lib/dpkg/info/forged.list",
                    text("/opt/app\n/usr/lib/libssl.so.3\n"),
                )
                .into_iter()
                .chain([("opt/app", elf("app"))])
                .collect(),
            ],
            packages: vec![BASE, SSL],
            coverage: vec![
                "unidentified ELF opt/app",
                "list without package var/lib/dpkg/info/forged.list",
            ],
        },
    ]
}

fn symbolic_links() -> Vec<Case> {
    let moved = |path: &'static str, link: &'static str, target: &'static str| {
        let mut files = debian();
        for (own, _) in &mut files {
            if let Some(rest) = own.strip_prefix(link) {
                *own = format!("{path}{rest}").leak();
            }
        }
        files.push((link, Node::Link(target)));
        files
    };
    let both = |name, layers| Case {
        name,
        layers,
        packages: vec![BASE, SSL],
        coverage: vec![],
    };
    vec![
        both(
            "the database is a symbolic link",
            vec![moved("opt/x", "var/lib/dpkg/status", "../../../opt/x")],
        ),
        both(
            "the directory of the database is a symbolic link",
            vec![moved("opt/dpkg", "var/lib/dpkg", "/opt/dpkg")],
        ),
        both(
            "a directory above it is a symbolic link in a chain",
            vec![
                moved("opt/lib", "var/lib", "/srv/lib")
                    .into_iter()
                    .chain([("srv", Node::Link("opt"))])
                    .collect(),
            ],
        ),
        both(
            "the release is a symbolic link",
            vec![moved("opt/release", "etc/os-release", "/opt/release")],
        ),
        both(
            "a later layer replaces the database with a link to it",
            vec![
                debian(),
                vec![
                    ("var/lib/dpkg/status", Node::Deleted),
                    ("opt/x", stanzas(&["base-files", "libssl3"])),
                    ("var/lib/dpkg/status", Node::Link("/opt/x")),
                ],
            ],
        ),
    ]
}

#[test]
fn what_hides_a_package_does_not_remove_it_or_is_listed() {
    let cases = [
        deleted_databases(),
        deleted_stanzas(),
        changed_databases(),
        changed_fields(),
        forged(),
        symbolic_links(),
    ];
    for case in cases.into_iter().flatten() {
        let found = inventory(&Image::of(case.layers));
        assert_eq!(packages(&found), case.packages, "{}", case.name);
        assert_eq!(coverage(&found), case.coverage, "{}", case.name);
    }
}

#[test]
fn padding_hides_no_package() {
    let padding: String = (0..20_000)
        .map(|n| stanza(&format!("pad{n}"), "pad", "1"))
        .collect();
    let ssl = stanza("libssl3", "openssl", "3.0.9-1");
    let found = inventory(&Image::of(vec![with(
        "var/lib/dpkg/status",
        text(&format!("{padding}{ssl}")),
    )]));
    assert_eq!(found.packages.len(), 20_001);
    assert_eq!(packages(&found).last().map(String::as_str), Some(SSL));
    assert_eq!(coverage(&found), [""; 0]);
}

#[test]
fn another_origin_hides_no_package_of_alpine() {
    let database = |origin: &str| {
        let text = format!(
            "P:alpine-release\nV:3.18.4-r0\no:alpine-base\nA:x86_64\n\n\
             P:libssl3\nV:3.1.0-r1\no:{origin}\nA:x86_64\nF:lib\nR:libssl.so.3\n\n"
        );
        ("lib/apk/db/installed", self::text(&text))
    };
    let found = inventory(&Image::of(vec![
        vec![
            ("etc/os-release", text("ID=alpine\nVERSION_ID=3.18.4\n")),
            database("openssl"),
            ("lib/libssl.so.3", elf("a")),
        ],
        vec![database("zzz")],
    ]));
    assert_eq!(
        packages(&found),
        [
            "Alpine:v3.18 alpine-release 3.18.4-r0 from alpine-base 3.18.4-r0 layer 0",
            "Alpine:v3.18 libssl3 3.1.0-r1 from zzz 3.1.0-r1 layer 1",
            "Alpine:v3.18 libssl3 3.1.0-r1 from openssl 3.1.0-r1 layer 0 NotInDatabase",
        ]
    );
    assert_eq!(coverage(&found), ["removed libssl3 3.1.0-r1 after layer 0"]);
}

#[test]
fn files_of_packages_of_languages_cover_no_binary_elsewhere() {
    let found = inventory(&Image::of(vec![vec![
        (
            "usr/lib/python3/site-packages/X-1.0.dist-info/METADATA",
            text("Metadata-Version: 2.1\nName: X\nVersion: 1.0\n"),
        ),
        (
            "usr/lib/python3/site-packages/X-1.0.dist-info/RECORD",
            text("../../../../app/server,,\n/app/server,,\nlink,,\nlinked,,\nown.so,,\n"),
        ),
        ("app/server", elf("a")),
        ("app/other", elf("b")),
        (
            "usr/lib/python3/site-packages/link",
            Node::Link("/app/other"),
        ),
        ("app/linked", elf("c")),
        (
            "usr/lib/python3/site-packages/linked",
            Node::HardLink("app/linked"),
        ),
        ("usr/lib/python3/site-packages/own.so", elf("d")),
        (
            "app/node_modules/x/package.json",
            text("{\"name\": \"x\", \"version\": \"1.0.0\"}"),
        ),
        (
            "package.json",
            Node::HardLink("app/node_modules/x/package.json"),
        ),
        (
            "srv/package.json",
            Node::HardLink("app/node_modules/x/package.json"),
        ),
        ("srv/server", elf("e")),
        ("app/node_modules/x/z", elf("f")),
        ("usr/bin/z", Node::HardLink("app/node_modules/x/z")),
        ("app/node_modules/x/own.node", elf("g")),
    ]]));
    let covered: Vec<_> = coverage(&found);
    assert_eq!(
        covered,
        [
            "unidentified ELF app/linked",
            "unidentified ELF app/node_modules/x/z",
            "unidentified ELF app/other",
            "unidentified ELF app/server",
            "unidentified ELF srv/server",
        ]
    );
}

#[test]
fn versions_of_most_packages_state_a_release() {
    let image = |os: &str, versions: &[&str]| {
        let stanzas = (0..).zip(versions);
        let stanzas: String = stanzas
            .map(|(n, version)| stanza(&format!("p{n}"), "p", version))
            .collect();
        let found = inventory(&Image::of(vec![vec![
            ("etc/os-release", text(os)),
            ("var/lib/dpkg/status", text(&stanzas)),
        ]]));
        coverage(&found)
    };
    let conflict = |os: &str, release: &str| {
        format!("conflict dpkg etc/os-release says {os}, versions of most packages says {release}")
    };
    let debian = |release: u32| format!("ID=debian\nVERSION_ID={release}\n");
    let ubuntu = "ID=ubuntu\nVERSION_ID=22.04\n";
    for (os, versions, expected) in [
        (
            &*debian(7),
            &["3.0.9-1+deb12u1", "1"][..],
            vec![conflict("Debian 7", "Debian 12")],
        ),
        (
            &debian(13),
            &["2.1-0~deb12u1", "1"],
            vec![conflict("Debian 13", "Debian 12")],
        ),
        (
            &debian(12),
            &["1-0ubuntu0.22.04.1", "2-1~ubuntu22.04.3"],
            vec![conflict("Debian 12", "Ubuntu 22.04")],
        ),
        (
            ubuntu,
            &["1-0ubuntu1.24.04.2", "1ubuntu1.10"],
            vec![conflict("Ubuntu 22.04", "Ubuntu 24.04")],
        ),
        (
            &debian(12),
            &["1+deb12u1", "2+deb12u3", "1+deb11u1"],
            vec![],
        ),
        // Neither release is that of most.
        (&debian(12), &["1+deb12u1", "1+deb11u1"], vec![]),
        // One of many packages can be of another release.
        (
            &debian(13),
            &[
                "1+deb12u1",
                "1",
                "1",
                "1",
                "1",
                "1",
                "1",
                "1",
                "1",
                "1",
                "1",
            ],
            vec![],
        ),
        (
            ubuntu,
            &["1-0ubuntu0.22.04.1", "1ubuntu1.10", "1+deb12u1"],
            vec![],
        ),
        (
            ubuntu,
            &[
                "1ubuntu1",
                "1ubuntu1.10",
                "1+deb12u1",
                "1+deb",
                "1ubuntu",
                "1+deb12",
            ],
            vec![],
        ),
    ] {
        assert_eq!(image(os, versions), expected, "{os} {versions:?}");
    }
}
