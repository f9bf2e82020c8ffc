//! Images whose files are made here, as databases and languages write them.
//!
//! Here: which packages they have, and what is said about the rest. Not here: real images (`crates/image`).

mod bounds;
mod copies;
mod evasions;
pub(super) mod image;
mod layers;
mod owners;
mod rpm;

use super::{BinaryKind, Inventory, Mark, inventory};
use crate::content::Fact;
use crate::content::java::{Archive, Artifact, Source};
use image::{Image, Node, text};

/// The packages, a line each: name, version, ecosystem, layer, owner and marks.
fn packages(inventory: &Inventory) -> Vec<String> {
    let lines = inventory.packages.iter().map(|located| {
        let package = &located.package;
        let source = package.source.as_ref();
        let source = source.map(|source| format!(" from {} {}", source.name, source.version));
        let layer = located
            .layer
            .map_or("-".to_owned(), |layer| layer.to_string());
        let owner = located
            .owner
            .and_then(|owner| inventory.packages.get(owner));
        let owner = owner.map(|owner| format!(" of {}", owner.package.name));
        let marks: Vec<_> = located
            .marks
            .iter()
            .map(|mark| format!(" {mark:?}"))
            .collect();
        format!(
            "{} {} {}{} layer {layer}{}{}",
            package.ecosystem,
            package.name,
            package.version,
            source.unwrap_or_default(),
            owner.unwrap_or_default(),
            marks.concat(),
        )
    });
    lines.collect()
}

/// What is said about the rest, a line each.
fn coverage(inventory: &Inventory) -> Vec<String> {
    let coverage = &inventory.coverage;
    let mut lines = Vec::new();
    for unidentified in &coverage.unidentified.first {
        let kind = match unidentified.kind {
            BinaryKind::Elf(_) => "ELF",
            BinaryKind::Java => "Java",
            BinaryKind::Packed => "Packed",
        };
        lines.push(format!("unidentified {kind} {}", unidentified.path));
    }
    for not_read in &coverage.not_read.first {
        lines.push(format!(
            "not read {} {}: {}",
            not_read.path, not_read.what, not_read.cause
        ));
    }
    for not_covered in &coverage.not_covered {
        lines.push(format!(
            "not covered {} {}: {}",
            not_covered.packages, not_covered.database, not_covered.cause
        ));
    }
    for (database, statements) in &coverage.conflicts {
        let statements: Vec<_> = statements
            .iter()
            .map(|statement| format!("{} says {}", statement.source, statement.release))
            .collect();
        lines.push(format!("conflict {database} {}", statements.join(", ")));
    }
    if let Some(statement) = &coverage.release_without_database {
        let (source, release) = (&statement.source, &statement.release);
        lines.push(format!("{source} says {release} without a database"));
    }
    for (database, layer) in &coverage.deleted_databases {
        lines.push(format!("deleted {database} after layer {layer}"));
    }
    for removed in &coverage.removed.first {
        lines.push(format!(
            "removed {} {} after layer {}",
            removed.name, removed.version, removed.last_layer
        ));
    }
    for list in &coverage.lists_without_package.first {
        lines.push(format!("list without package {list}"));
    }
    for package in &coverage.packages_without_files.first {
        lines.push(format!("without files {package}"));
    }
    assert_eq!(lines.is_empty(), coverage.is_complete());
    lines
}

/// `os-release` of Debian.
const DEBIAN_12: &str = "ID=debian\nVERSION_ID=\"12\"\n";

/// A stanza of dpkg.
fn stanza(name: &str, source: &str, version: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: {source}\n\
         Version: {version}\n\n"
    )
}

/// An ELF file without anything else, which differs by what follows.
fn elf(rest: &str) -> Node {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 3;
    bytes.extend(rest.as_bytes());
    Node::File(bytes)
}

/// A Debian image with a library and its database.
fn debian() -> Vec<(&'static str, Node)> {
    vec![
        ("etc/os-release", text(DEBIAN_12)),
        ("etc/debian_version", text("12.5\n")),
        (
            "var/lib/dpkg/status",
            text(&format!(
                "{}{}",
                stanza("base-files", "base-files", "12.4+deb12u5"),
                stanza("libssl3", "openssl", "3.0.9-1"),
            )),
        ),
        (
            "var/lib/dpkg/info/libssl3:amd64.list",
            text("/.\n/usr/lib/libssl.so.3\n/usr/share/doc/libssl3/copyright\n"),
        ),
        ("usr/lib/libssl.so.3", elf("libssl")),
    ]
}

const DEBIAN_PACKAGES: [&str; 2] = [
    "Debian:12 base-files 12.4+deb12u5 from base-files 12.4+deb12u5 layer 0",
    "Debian:12 libssl3 3.0.9-1 from openssl 3.0.9-1 layer 0",
];

#[test]
fn packages_of_debian_have_their_source_and_own_their_files() {
    let found = inventory(&Image::of(vec![debian()]));
    assert_eq!(packages(&found), DEBIAN_PACKAGES);
    assert_eq!(coverage(&found), [""; 0]);
    assert_eq!(found.coverage.binaries, 1);
}

#[test]
fn packages_of_alpine_have_their_origin_and_own_their_files() {
    let database = "P:alpine-release\nV:3.18.4-r0\no:alpine-base\nA:x86_64\n\n\
                    P:libssl3\nV:3.1.0-r1\no:openssl\nA:x86_64\nF:lib\nR:libssl.so.3\n\n";
    for path in ["lib/apk/db/installed", "usr/lib/apk/db/installed"] {
        let found = inventory(&Image::of(vec![vec![
            ("etc/os-release", text("ID=alpine\nVERSION_ID=3.18.4\n")),
            ("etc/alpine-release", text("3.18.4\n")),
            (path, text(database)),
            ("lib/libssl.so.3", elf("a")),
        ]]));
        assert_eq!(
            packages(&found),
            [
                "Alpine:v3.18 alpine-release 3.18.4-r0 from alpine-base 3.18.4-r0 layer 0",
                "Alpine:v3.18 libssl3 3.1.0-r1 from openssl 3.1.0-r1 layer 0",
            ]
        );
        assert_eq!(coverage(&found), [""; 0]);
    }
}

#[test]
fn an_image_of_status_files_is_covered() {
    // The file of a package can have another name than the package.
    for (file, sums) in [
        (
            "var/lib/dpkg/status.d/libssl3",
            "var/lib/dpkg/status.d/libssl3.md5sums",
        ),
        (
            "var/lib/dpkg/status.d/ssl",
            "var/lib/dpkg/status.d/ssl.md5sums",
        ),
    ] {
        let found = inventory(&Image::of(vec![vec![
            ("usr/lib/os-release", text(DEBIAN_12)),
            ("etc/os-release", Node::Link("../usr/lib/os-release")),
            (
                file,
                text("Package: libssl3\nVersion: 3.0.9-1\nSource: openssl\n"),
            ),
            (
                sums,
                text("00000000000000000000000000000000  usr/lib/libssl.so.3\n"),
            ),
            ("usr/lib/libssl.so.3", elf("a")),
        ]]));
        assert_eq!(
            packages(&found),
            ["Debian:12 libssl3 3.0.9-1 from openssl 3.0.9-1 layer 0"]
        );
        assert_eq!(coverage(&found), [""; 0]);
    }
}

#[test]
fn what_no_package_explains_is_listed() {
    let mut files = debian();
    files.extend([
        ("opt/app", elf("app")),
        ("usr/lib/libssl.so.4", Node::Link("libssl.so.3")),
        ("opt/linked", Node::HardLink("usr/lib/libssl.so.3")),
        ("var/lib/dpkg/info/gone.list", text("/usr/lib/libgone.so\n")),
        ("usr/lib/libgone.so", elf("gone")),
        // Configuration stays when a package is removed.
        (
            "var/lib/dpkg/info/removed.list",
            text("/etc/removed.conf\n"),
        ),
        ("etc/removed.conf", text("a")),
        (
            "var/lib/dpkg/info/base-files.list",
            text("/usr/share/base\n"),
        ),
    ]);
    let found = inventory(&Image::of(vec![files]));
    assert_eq!(packages(&found), DEBIAN_PACKAGES);
    assert_eq!(
        coverage(&found),
        [
            "unidentified ELF opt/app",
            "unidentified ELF usr/lib/libgone.so",
            "list without package var/lib/dpkg/info/gone.list",
            "without files base-files 12.4+deb12u5",
        ]
    );
}

#[test]
fn files_that_images_leave_out_are_not_missing() {
    let mut files = debian();
    files.extend([
        (
            "var/lib/dpkg/info/base-files.list",
            text("/.\n/usr/share\n/usr/share/doc/base-files/copyright\n"),
        ),
        ("usr/share/other", text("a")),
    ]);
    assert_eq!(coverage(&inventory(&Image::of(vec![files]))), [""; 0]);
}

#[test]
fn a_diverted_file_has_its_package() {
    let mut files = debian();
    files.extend([
        (
            "var/lib/dpkg/diversions",
            text("/usr/lib/libssl.so.3\n/usr/lib/libssl.so.3.distrib\nother\n"),
        ),
        ("usr/lib/libssl.so.3.distrib", elf("diverted")),
    ]);
    let found = inventory(&Image::of(vec![files]));
    assert_eq!(coverage(&found), ["unidentified ELF usr/lib/libssl.so.3"]);
}

#[test]
fn a_derivative_is_not_covered_by_its_parent() {
    let mut files = debian();
    files[0].1 = text("ID=kali\nID_LIKE=debian\nPRETTY_NAME=\"Kali Linux\"\n");
    let found = inventory(&Image::of(vec![files]));
    assert_eq!(packages(&found), [""; 0]);
    assert_eq!(
        coverage(&found),
        [
            "not covered 2 dpkg: the packages are of Kali Linux; advisories of the distribution \
             that it is derived from do not cover them"
        ]
    );
}

#[test]
fn files_of_packages_of_languages_are_identified() {
    let site = "usr/lib/python3/site-packages/";
    let found = inventory(&Image::of(vec![vec![
        (
            "usr/lib/python3/site-packages/X-1.0.dist-info/METADATA",
            text("Metadata-Version: 2.1\nName: X\nVersion: 1.0\n"),
        ),
        (
            "usr/lib/python3/site-packages/X-1.0.dist-info/RECORD",
            text("x/x.so,sha256=a,1\n../../../bin/x,sha256=a,1\n"),
        ),
        ("usr/lib/python3/site-packages/x/x.so", elf("a")),
        ("usr/bin/x", elf("b")),
        ("usr/lib/python3/site-packages/x/y.so", elf("c")),
        (
            "app/node_modules/@a/b/package.json",
            text("{\"name\": \"@a/b\", \"version\": \"2.0.0\"}"),
        ),
        ("app/node_modules/@a/b/build/b.node", elf("d")),
        ("app/node_modules/@a/c.node", elf("e")),
    ]]));
    assert_eq!(
        packages(&found),
        ["npm @a/b 2.0.0 layer 0", "PyPI x 1.0 layer 0"]
    );
    let paths: Vec<_> = found
        .packages
        .iter()
        .map(|located| located.package.path.clone().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "app/node_modules/@a/b".to_owned(),
            format!("{site}X-1.0.dist-info")
        ]
    );
    assert_eq!(
        coverage(&found),
        [
            "unidentified ELF app/node_modules/@a/c.node",
            "unidentified ELF usr/lib/python3/site-packages/x/y.so",
        ]
    );
}

#[test]
fn archives_of_java_have_a_package_each_or_are_listed() {
    let archive = |path: &str, group: Option<&str>, artifacts: &[&str]| {
        let artifacts = artifacts.iter().map(|artifact| Artifact {
            group: group.map(str::to_owned),
            artifact: (*artifact).to_owned(),
            version: "1.0".to_owned(),
            source: Source::PomProperties,
        });
        Fact::Java(Archive {
            path: path.to_owned(),
            artifacts: artifacts.collect(),
        })
    };
    let found = inventory(&Image::of(vec![vec![(
        "app.war",
        Node::Says(vec![
            archive("", None, &["app"]),
            archive("lib/a.jar", Some("org.a"), &["a", "shaded"]),
            archive("lib/b.jar", None, &[]),
        ]),
    )]]));
    assert_eq!(
        packages(&found),
        [
            "Maven *:app 1.0 layer 0 AnyGroup",
            "Maven org.a:a 1.0 layer 0",
            "Maven org.a:shaded 1.0 layer 0",
        ]
    );
    assert_eq!(
        found.packages[1].package.path.as_deref(),
        Some("app.war!/lib/a.jar")
    );
    assert_eq!(coverage(&found), ["unidentified Java app.war!/lib/b.jar"]);
    // Each archive is a binary, as in the list of those without a package.
    assert_eq!(found.coverage.binaries, 3);
}

#[test]
fn crates_of_other_sources_are_marked() {
    let found = inventory(&Image::of(vec![vec![("usr/bin/a", image::rust_binary())]]));
    assert_eq!(
        packages(&found),
        [
            "crates.io own 0.1.0 layer 0 OtherSource",
            "crates.io time 0.1.43 layer 0",
        ]
    );
    assert_eq!(coverage(&found), [""; 0]);
    assert_eq!(found.packages[0].marks, [Mark::OtherSource]);
}
