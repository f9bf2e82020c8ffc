//! A file is of the package that installed its bytes, whatever entry of the tree has them, and of no other.

use super::image::{Image, Node, text};
use super::{DEBIAN_12, DEBIAN_PACKAGES, coverage, debian, elf, inventory, packages, stanza};

type Layer = Vec<(&'static str, Node)>;

const LIBRARY: &str = "usr/lib/libssl.so.3";
const LIST: &str = "var/lib/dpkg/info/libssl3:amd64.list";
const BASE: &str = DEBIAN_PACKAGES[0];
const SSL: &str = DEBIAN_PACKAGES[1];
const REMOVED: &str = "Debian:12 libssl3 3.0.9-1 from openssl 3.0.9-1 layer 0 NotInDatabase";
const UPGRADED: &str = "Debian:12 libssl3 99 from openssl 99 layer 1";
const UNIDENTIFIED: &str = "unidentified ELF usr/lib/libssl.so.3";

/// The bytes of the library that the package has.
fn library() -> Node {
    elf("libssl")
}

/// The database with this version of the library, or without it.
fn database(version: Option<&str>) -> (&'static str, Node) {
    let base = stanza("base-files", "base-files", "12.4+deb12u5");
    let ssl = version.map(|version| stanza("libssl3", "openssl", version));
    let all = base + &ssl.unwrap_or_default();
    ("var/lib/dpkg/status", text(&all))
}

/// A Debian image below these layers: its packages and what is said about the rest.
#[track_caller]
fn expect(name: &str, above: Vec<Layer>, expected: &[&str], gaps: &[&str]) {
    let layers = std::iter::once(debian()).chain(above).collect();
    expect_of(name, layers, expected, gaps);
}

#[track_caller]
fn expect_of(name: &str, layers: Vec<Layer>, expected: &[&str], gaps: &[&str]) {
    let found = inventory(&Image::of(layers));
    assert_eq!(packages(&found), expected, "{name}");
    assert_eq!(coverage(&found), gaps, "{name}");
}

#[test]
fn the_same_bytes_have_their_package() {
    let all = [BASE, SSL];
    for (name, above) in [
        (
            "a layer stores the library again, as chown does",
            vec![vec![(LIBRARY, library())]],
        ),
        (
            "two layers do",
            vec![vec![(LIBRARY, library())], vec![(LIBRARY, library())]],
        ),
        (
            "it is copied in the layer of the package",
            vec![vec![("opt/a", text("a"))], vec![("opt/b", library())]],
        ),
        (
            "it is copied and the first one is deleted",
            vec![vec![
                ("opt/b", library()),
                (LIBRARY, Node::Deleted),
                ("usr/lib/x", text("x")),
            ]],
        ),
        (
            "something else was in its place",
            vec![vec![(LIBRARY, elf("evil"))], vec![(LIBRARY, library())]],
        ),
    ] {
        let gaps: &[&str] = match name {
            "it is copied and the first one is deleted" => &["without files libssl3 3.0.9-1"],
            _ => &[],
        };
        expect(name, above, &all, gaps);
    }
}

#[test]
fn a_name_of_a_hard_link_that_an_overlay_breaks_has_its_package() {
    let mut files = debian();
    files.retain(|(path, _)| *path != LIST);
    files.push((LIST, text("/usr/lib/libssl.so.3\n/usr/lib/libssl.so\n")));
    files.push(("usr/lib/libssl.so", Node::HardLink(LIBRARY)));
    let above = vec![("usr/lib/libssl.so", library())];
    expect_of("one name", vec![files, above], &[BASE, SSL], &[]);
}

#[test]
fn other_bytes_under_the_path_of_a_package_are_listed() {
    for (name, above) in [
        ("a byte is changed", vec![vec![(LIBRARY, elf("libssL"))]]),
        ("a byte more", vec![vec![(LIBRARY, elf("libssl\0"))]]),
        (
            "the same other bytes twice",
            vec![vec![(LIBRARY, elf("evil"))], vec![(LIBRARY, elf("evil"))]],
        ),
        (
            "a sum of the database states them",
            vec![vec![
                (LIBRARY, elf("evil")),
                (
                    "var/lib/dpkg/info/libssl3:amd64.md5sums",
                    text("7f3fd3a1b1e0ad0d4d6b87bd4dbb5b43  usr/lib/libssl.so.3\n"),
                ),
            ]],
        ),
        (
            "they replace the same ones",
            vec![vec![(LIBRARY, library())], vec![(LIBRARY, elf("evil"))]],
        ),
    ] {
        expect(name, above, &[BASE, SSL], &[UNIDENTIFIED]);
    }
    // The package is there before, so that it installed nothing that a later layer has at its paths.
    let above = vec![
        vec![(LIBRARY, elf("evil"))],
        vec![("opt/evil", elf("evil")), (LIBRARY, library())],
    ];
    let gap = "unidentified ELF opt/evil";
    expect("a copy of what was there once", above, &[BASE, SSL], &[gap]);
}

#[test]
fn an_old_library_that_is_stored_again_has_its_old_package() {
    let removed = "removed libssl3 3.0.9-1 after layer 0";
    let upgrade = || vec![database(Some("99")), (LIBRARY, elf("new"))];
    expect(
        "in its place",
        vec![upgrade(), vec![(LIBRARY, library())]],
        &[BASE, UPGRADED, REMOVED],
        &[removed],
    );
    expect(
        "elsewhere, before the new one is stored again",
        vec![
            upgrade(),
            vec![("opt/libssl.so", library())],
            vec![(LIBRARY, elf("new"))],
        ],
        &[BASE, UPGRADED, REMOVED],
        &[removed],
    );
    expect(
        "the package is removed and its library stored again",
        vec![vec![
            database(None),
            (LIST, Node::Deleted),
            (LIBRARY, library()),
        ]],
        &[BASE, REMOVED],
        &[removed],
    );
    expect(
        "the last layer of its database is found",
        vec![
            vec![("opt/a", text("a"))],
            vec![
                database(None),
                (LIST, Node::Deleted),
                (LIBRARY, Node::Deleted),
            ],
            vec![("opt/b", library())],
        ],
        &[BASE, REMOVED],
        &["removed libssl3 3.0.9-1 after layer 1"],
    );
}

#[test]
fn a_version_that_counts_has_the_bytes_that_it_shares_with_an_old_one() {
    let upgrade = vec![database(Some("99")), (LIBRARY, library())];
    let stored_again = vec![(LIBRARY, library()), ("opt/a", library())];
    expect(
        "an upgrade that changes nothing in the library",
        vec![upgrade, stored_again],
        &[BASE, UPGRADED],
        &[],
    );
}

#[test]
fn a_diverted_path_has_no_bytes_of_the_package() {
    let mut files = debian();
    files.extend([
        (
            "var/lib/dpkg/diversions",
            text("/usr/lib/libssl.so.3\n/usr/lib/libssl.so.3.distrib\nother\n"),
        ),
        ("usr/lib/libssl.so.3.distrib", elf("diverted")),
    ]);
    let above = vec![("opt/copy", library())];
    expect_of(
        "diverted",
        vec![files, above],
        &[BASE, SSL],
        &["unidentified ELF opt/copy", UNIDENTIFIED],
    );
}

#[test]
fn a_package_of_alpine_has_its_bytes() {
    let database = "P:libssl3\nV:3.1.0-r1\no:openssl\nA:x86_64\nF:lib\nR:libssl.so.3\n\n";
    let layers = vec![
        vec![
            ("etc/os-release", text("ID=alpine\nVERSION_ID=3.18.4\n")),
            ("lib/apk/db/installed", text(database)),
            ("lib/libssl.so.3", elf("a")),
        ],
        vec![("lib/libssl.so.3", elf("a")), ("opt/a", elf("b"))],
    ];
    expect_of(
        "apk",
        layers,
        &["Alpine:v3.18 libssl3 3.1.0-r1 from openssl 3.1.0-r1 layer 0"],
        &["unidentified ELF opt/a"],
    );
}

#[test]
fn an_owner_keeps_what_it_installed_if_it_is_stored_again() {
    const METADATA: &str = "usr/lib/python3/dist-packages/web-2.0.dist-info/METADATA";
    let metadata = |more: &str| {
        let text = format!("Metadata-Version: 2.1\nName: Web\nVersion: 2.0\n{more}");
        (METADATA, self::text(&text))
    };
    let base = || {
        vec![
            ("etc/os-release", text(DEBIAN_12)),
            (
                "var/lib/dpkg/status",
                text(&stanza("python3-web", "python-web", "2.0-1")),
            ),
            (
                "var/lib/dpkg/info/python3-web.list",
                text("/usr/lib/python3/dist-packages/web-2.0.dist-info/METADATA\n"),
            ),
            metadata(""),
        ]
    };
    let debian = "Debian:12 python3-web 2.0-1 from python-web 2.0-1 layer 0";
    for (name, above, expected) in [
        (
            "the same",
            metadata(""),
            "PyPI web 2.0 layer 0 of python3-web",
        ),
        (
            "another one",
            metadata("Summary: a\n"),
            "PyPI web 2.0 layer 0",
        ),
    ] {
        expect_of(name, vec![base(), vec![above]], &[debian, expected], &[]);
    }
    // What is elsewhere is not what the distribution takes care of.
    let copy = (
        "app/site-packages/web-2.0.dist-info/METADATA",
        metadata("").1,
    );
    expect_of(
        "a copy",
        vec![base(), vec![copy]],
        &[
            debian,
            "PyPI web 2.0 layer 1",
            "PyPI web 2.0 layer 0 of python3-web",
        ],
        &[],
    );
}

#[test]
fn what_is_looked_up_does_not_grow_with_copies() {
    let lookups = |copies: usize| {
        let mut layers = vec![debian()];
        layers.extend((0..copies).map(|_| vec![(LIBRARY, library())]));
        let image = Image::of(layers);
        assert_eq!(coverage(&inventory(&image)), [""; 0]);
        image.lookups.get()
    };
    let (few, many) = (lookups(1), lookups(41));
    // Each layer is asked for its databases.
    assert!(many < few + 41 * 20, "{few} {many}");
}
