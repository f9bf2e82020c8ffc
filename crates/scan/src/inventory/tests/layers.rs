//! The layer of a package is the lowest from which on it stays.

use super::image::{Image, Node, text};
use super::{DEBIAN_12, inventory, packages, stanza};
use crate::content::go::{BuildInfo, Module};
use crate::content::{Fact, elf};

fn database(packages: &[(&str, &str)]) -> (&'static str, Node) {
    let stanzas: Vec<_> = packages
        .iter()
        .map(|(name, version)| stanza(name, name, version))
        .collect();
    ("var/lib/dpkg/status", text(&stanzas.concat()))
}

#[test]
fn a_package_is_of_the_layer_that_installed_it_although_each_layer_writes_the_database() {
    let release = ("etc/os-release", text(DEBIAN_12));
    let found = inventory(&Image::of(vec![
        vec![
            release,
            database(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]),
        ],
        vec![database(&[("a", "1"), ("b", "2"), ("d", "1"), ("e", "1")])],
        vec![("opt/x", text("x"))],
        vec![database(&[
            ("a", "1"),
            ("b", "2"),
            ("c", "1"),
            ("d", "2"),
            ("e", "1"),
        ])],
        vec![database(&[
            ("a", "1"),
            ("b", "2"),
            ("c", "1"),
            ("d", "1"),
            ("e", "1"),
        ])],
    ]));
    let expected = [
        // It stays.
        "Debian:12 a 1 from a 1 layer 0",
        // It has another version from layer 1 on.
        "Debian:12 b 2 from b 2 layer 1",
        // It was removed and installed again.
        "Debian:12 c 1 from c 1 layer 3",
        // It was upgraded and downgraded again.
        "Debian:12 d 1 from d 1 layer 4",
        "Debian:12 e 1 from e 1 layer 1",
    ];
    assert_eq!(packages(&found), expected);
}

#[test]
fn a_package_for_another_architecture_is_another_package() {
    let of = |architecture: &str| {
        let stanza = stanza("a", "a", "1").replace("amd64", architecture);
        ("var/lib/dpkg/status", text(&stanza))
    };
    let release = ("etc/os-release", text(DEBIAN_12));
    let found = inventory(&Image::of(vec![
        vec![release, of("amd64")],
        vec![of("i386")],
    ]));
    assert_eq!(packages(&found), ["Debian:12 a 1 from a 1 layer 1"]);
}

#[test]
fn packages_of_a_file_are_of_the_layer_from_which_on_the_file_names_them() {
    let binary = |go: &str, version: &str| {
        let module = Module {
            path: "golang.org/x/net".to_owned(),
            version: version.to_owned(),
            replaces: None,
        };
        let info = BuildInfo {
            go: go.to_owned(),
            main: None,
            dependencies: vec![module],
        };
        let facts = vec![Fact::Elf(elf::Kind::Executable), Fact::Go(info)];
        ("app", Node::Says(facts))
    };
    let found = inventory(&Image::of(vec![
        vec![binary("go1.19", "v0.1.0")],
        vec![("opt/x", text("x"))],
        vec![binary("go1.20", "v0.1.0")],
        vec![binary("go1.20", "v0.1.0"), ("other", Node::HardLink("app"))],
    ]));
    assert_eq!(
        packages(&found),
        [
            "Go stdlib go1.20 layer 2",
            "Go golang.org/x/net v0.1.0 layer 0",
            "Go stdlib go1.20 layer 3",
            "Go golang.org/x/net v0.1.0 layer 3",
        ]
    );
    let paths: Vec<_> = found
        .packages
        .iter()
        .map(|p| p.package.path.as_deref())
        .collect();
    assert_eq!(
        paths,
        [Some("app"), Some("app"), Some("other"), Some("other")]
    );
}
