//! The work and the memory that an image costs grow with its size, not with its square.

use super::super::bounded;
use super::image::{Image, Node, text};
use super::{DEBIAN_12, coverage, inventory};
use crate::content::go::{BuildInfo, Module};
use crate::content::{Fact, elf};

/// Stanzas of one package with many versions.
fn versions(count: usize) -> Node {
    let all = (0..count).map(|n| format!("Package: a\nVersion: 1.{n}\n\n"));
    text(&all.collect::<Vec<_>>().concat())
}

fn paths(count: usize) -> String {
    let all = (0..count).map(|n| format!("/u/{n}\n"));
    all.collect::<Vec<_>>().concat()
}

#[test]
fn a_list_beside_a_file_with_many_stanzas_is_looked_up_once() {
    let image = Image::of(vec![vec![
        ("etc/os-release", text(DEBIAN_12)),
        ("var/lib/dpkg/status.d/x", versions(200)),
        ("var/lib/dpkg/status.d/x.md5sums", text("0  usr/lib/x\n")),
        ("usr/lib/x", text("x")),
    ]]);
    let found = inventory(&image);
    assert_eq!(found.packages.len(), 200);
    assert!(image.lookups.get() < 1000, "{}", image.lookups.get());
}

#[test]
fn a_list_of_a_package_with_many_versions_is_looked_up_once_in_each_layer() {
    let image = Image::of(vec![
        vec![
            ("etc/os-release", text(DEBIAN_12)),
            ("var/lib/dpkg/status", versions(200)),
            ("var/lib/dpkg/info/a.list", text(&paths(200))),
        ],
        vec![("var/lib/dpkg/status", versions(100))],
    ]);
    let found = inventory(&image);
    assert_eq!(found.packages.len(), 100);
    assert!(image.lookups.get() < 3000, "{}", image.lookups.get());
}

#[test]
fn databases_are_not_looked_up_again_in_each_layer() {
    let mut files = vec![("etc/os-release", text(DEBIAN_12))];
    for n in 0..50 {
        let path: &str = format!("var/lib/dpkg/status.d/p{n}").leak();
        files.push((path, text(&format!("Package: p{n}\nVersion: 1\n"))));
    }
    let mut layers = vec![files];
    layers.extend((0..50).map(|_| vec![("opt/x", text("x"))]));
    let image = Image::of(layers);
    assert_eq!(inventory(&image).packages.len(), 50);
    assert!(image.lookups.get() < 500, "{}", image.lookups.get());
}

/// A binary that has modules.
fn binary(modules: usize) -> Node {
    let module = |n| Module {
        path: format!("example.com/{n}"),
        version: "v1.0.0".to_owned(),
        replaces: None,
    };
    Node::Says(vec![
        Fact::Elf(elf::Kind::Executable),
        Fact::Go(BuildInfo {
            go: "go1.20".to_owned(),
            main: None,
            dependencies: (1..modules).map(module).collect(),
        }),
    ])
}

#[test]
fn packages_of_a_file_are_named_under_few_of_its_paths() {
    let mut files = vec![("a/0", binary(2))];
    files.extend((0..150).map(|n| (&*format!("a/h{n}").leak(), Node::HardLink("a/0"))));
    files.push(("b", binary(3)));
    let found = inventory(&Image::of(vec![files]));
    assert_eq!(found.packages.len(), 100 * 2 + 3);
    assert_eq!(coverage(&found), [""; 0]);
}

#[test]
fn packages_above_the_limit_are_a_gap() {
    let files = vec![
        ("a", binary(4)),
        ("a2", Node::HardLink("a")),
        ("b", binary(4)),
    ];
    // Each file counts before the other paths of one.
    let found = bounded(&Image::of(vec![files.clone()]), 8);
    let paths: Vec<_> = found.packages.iter().map(|p| &p.package.path).collect();
    assert_eq!(
        paths.iter().filter(|p| p.as_deref() == Some("b")).count(),
        4
    );
    let cause = "more than 8 packages are named; the rest are left out";
    assert_eq!(coverage(&found), [format!("not read a2 packages: {cause}")]);
    let found = bounded(&Image::of(vec![files]), 6);
    assert_eq!(found.packages.len(), 6);
    let cause = "more than 6 packages are named; the rest are left out";
    assert_eq!(coverage(&found), [format!("not read b packages: {cause}")]);
}
