//! Databases and packages of languages that are reached through links.

use super::*;

/// What the file at the path of a database says, and as what it was read.
fn as_database(content: &ImageContent) -> Vec<(String, String)> {
    facts(content)
        .into_iter()
        .filter(|(_, fact)| fact.contains("var/lib/dpkg"))
        .collect()
}

fn one(path: &str, fact: &str) -> Vec<(String, String)> {
    vec![(path.to_owned(), fact.to_owned())]
}

#[test]
fn a_database_is_read_through_symbolic_and_hard_links() {
    for archive in [
        Archive::of(&[("opt/x", b"Package: a")]).symlink("var/lib/dpkg/status", "../../../opt/x"),
        Archive::of(&[("opt/x", b"Package: a")]).hard_link("var/lib/dpkg/status", "opt/x"),
        // Through a directory, and with an absolute target.
        Archive::of(&[("opt/d/status", b"Package: a")]).symlink("var/lib/dpkg", "/opt/d"),
    ] {
        let content = read(&[archive.layer()], &confined());
        assert_eq!(incomplete(&content), Vec::<String>::new());
        let found = as_database(&content);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, "var/lib/dpkg/statusPackage: a");
    }
}

#[test]
fn the_link_and_its_file_can_be_in_different_layers() {
    let layers = [
        Archive::of(&[("opt/x", b"Package: a"), ("opt/y", b"Package: b")]).layer(),
        Archive::new()
            .symlink("var/lib/dpkg/status", "/opt/x")
            .layer(),
        Archive::new()
            .symlink("var/lib/dpkg/status", "/opt/y")
            .layer(),
    ];
    let content = read(&layers, &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    // Also the database of the lower layers, which tells whose package it is.
    assert_eq!(
        as_database(&content),
        [
            (
                "opt/x".to_owned(),
                "var/lib/dpkg/statusPackage: a".to_owned()
            ),
            (
                "opt/y".to_owned(),
                "var/lib/dpkg/statusPackage: b".to_owned()
            ),
        ]
    );
}

#[test]
fn a_directory_of_databases_is_read_where_it_is() {
    let archive = Archive::of(&[("opt/d/base", b"Package: a"), ("opt/d/sub/x", b"no")])
        .symlink("var/lib/dpkg/status.d", "/opt/d");
    let content = read(&[archive.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(
        as_database(&content),
        one("opt/d/base", "var/lib/dpkg/status.d/basePackage: a")
    );
}

#[test]
fn a_file_that_is_known_under_its_own_path_is_read_as_a_database_too() {
    let archive =
        Archive::of(&[("opt/x.fact", b"Package: a")]).symlink("var/lib/dpkg/status", "/opt/x.fact");
    let content = read(&[archive.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(
        facts(&content),
        [
            ("opt/x.fact".to_owned(), "Package: a".to_owned()),
            (
                "opt/x.fact".to_owned(),
                "var/lib/dpkg/statusPackage: a".to_owned()
            ),
        ]
    );
}

#[test]
fn a_database_at_its_place_is_read_once() {
    let archive = Archive::of(&[("var/lib/dpkg/status", b"Package: a")])
        .symlink("link.fact", "var/lib/dpkg/status");
    let content = read(&[archive.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(facts(&content), one("var/lib/dpkg/status", "Package: a"));
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_no_files() {
    let archive = Archive::of(&[("a.fact", b"said")])
        .symlink("var/lib/dpkg/status", "/nowhere")
        .symlink("b.fact", "c.fact")
        .symlink("c.fact", "b.fact")
        .symlink("d.fact", "/../../../../a.fact");
    let content = read(&[archive.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(facts(&content), one("a.fact", "said"));
}

#[test]
fn what_links_take_is_bounded_and_reported() {
    let limits = Limits {
        link_bytes: 20,
        ..Limits::default()
    };
    let mut archive = Archive::of(&[("x", b"said")]);
    for number in 0..5 {
        archive = archive.symlink(&format!("{number}.fact"), "x");
    }
    let content = read(&[archive.layer()], &sandbox(SandboxMode::Required, limits));
    assert_eq!(
        incomplete(&content),
        ["the image exceeds the limit of the number of links to files that have to be read"]
    );
    // Three of five paths have room.
    let names = ["0", "1", "2"].map(|name| ("x".to_owned(), format!("{name}.factsaid")));
    assert_eq!(facts(&content), names);
}

const LODASH: &[u8] = br#"{"name": "lodash", "version": "4.17.4"}"#;
const JINJA: &[u8] = b"Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.11.2\n";
const SITE: &str = "usr/lib/python3/site-packages";

#[test]
fn a_package_of_a_language_is_read_through_a_link_to_its_directory() {
    let npm = |path: &str, name: &str| vec![format!("npm {name} 4.17.4 at {path} from 0")];
    let store = || Archive::of(&[("opt/store/l/package.json", LODASH)]);
    for (archive, expected) in [
        (
            store().symlink("app/node_modules/lodash", "../../opt/store/l"),
            npm("opt/store/l", "lodash"),
        ),
        // The directory of all packages.
        (
            store().symlink("app/node_modules", "/opt/store"),
            npm("opt/store/l", "lodash"),
        ),
        // The directory of a scope, and one above it.
        (
            store().symlink("app/node_modules/@a", "/opt/store"),
            npm("opt/store/l", "lodash"),
        ),
        (
            Archive::of(&[("opt/store/@a/l/package.json", LODASH)])
                .symlink("app/node_modules", "/opt/store"),
            npm("opt/store/@a/l", "lodash"),
        ),
        // Links behind a link, each of which has no meaning alone.
        (
            store()
                .symlink("app/node_modules", "/opt/first")
                .symlink("opt/first/@a", "../second")
                .symlink("opt/second/b", "/opt/third")
                .symlink("opt/third/package.json", "/opt/store/l/package.json"),
            npm("opt/store/l/package.json", "lodash")
                .into_iter()
                .map(|line| line.replace("/package.json", ""))
                .collect(),
        ),
        (
            Archive::of(&[("opt/d/hidden/METADATA", JINJA)])
                .symlink(&format!("{SITE}/Jinja2-2.11.2.dist-info"), "/opt/d/hidden"),
            vec!["PyPI jinja2 2.11.2 at opt/d/hidden/METADATA from 0".to_owned()],
        ),
    ] {
        assert_eq!(packages(&[archive.layer()]), expected);
    }
}

#[test]
fn a_package_of_a_language_that_is_unpacked_through_a_link_is_read() {
    let archive = Archive::of(&[("app/node_modules/x", b"")])
        .symlink("a", "app/node_modules")
        .file("a/lodash/package.json", LODASH);
    assert_eq!(
        packages(&[archive.layer()]),
        ["npm lodash 4.17.4 at app/node_modules/lodash from 0"]
    );
}

#[test]
fn directories_that_lead_in_circles_end() {
    let archive = Archive::of(&[("opt/store/l/package.json", LODASH)])
        .symlink("app/node_modules", "/opt/store")
        .symlink("opt/store/m", "/app/node_modules")
        .symlink("opt/store/@s", "/app")
        .symlink("opt/store/@t", "../store");
    assert_eq!(
        packages(&[archive.layer()]),
        ["npm lodash 4.17.4 at opt/store/l from 0"]
    );
}

#[test]
fn what_following_links_costs_is_bounded_and_reported() {
    let mut archive = Archive::of(&[("opt/l/package.json", LODASH)]);
    for number in 0..1000 {
        archive = archive.file(&format!("opt/l/{number}"), b"");
    }
    for number in 0..200 {
        archive = archive.symlink(&format!("app/node_modules/p{number}"), "/opt/l");
    }
    let layer = [archive.layer()];
    let with = |lookups| {
        let mut sandbox = real();
        sandbox.limits.link_lookups = lookups;
        let content = read(&layer, &sandbox);
        (incomplete(&content), inventory(&content).packages.len())
    };
    assert_eq!(with(300_000), (vec![], 1));
    // What was found before the limit counts.
    let message =
        "the image exceeds the limit of the number of links to files that have to be read";
    assert_eq!(with(10_000), (vec![message.to_owned()], 1));
    assert_eq!(with(10), (vec![message.to_owned()], 0));
}

const DEBIAN_12: &[u8] = b"ID=debian\nVERSION_ID=12\n";
const SSL: &[u8] = b"Package: libssl3\nVersion: 3.0.9-1\nSource: openssl\n";
const SUMS: &[u8] = b"00000000000000000000000000000000  usr/lib/libssl.so.3\n";

#[test]
fn a_directory_of_databases_that_a_later_layer_deletes_keeps_its_packages() {
    let base = || {
        Archive::of(&[
            ("etc/os-release", DEBIAN_12),
            ("usr/lib/libssl.so.3", b"library"),
        ])
    };
    let files = |archive: Archive, directory: &str| {
        archive
            .file(&format!("{directory}/libssl3"), SSL)
            .file(&format!("{directory}/libssl3.md5sums"), SUMS)
    };
    let place = "var/lib/dpkg/status.d";
    for layers in [
        // The directory is one, and is deleted with what it leads to.
        [
            files(base(), place),
            Archive::new().delete("var/lib/dpkg/status.d"),
        ],
        [
            files(base(), "opt/d").symlink(place, "/opt/d"),
            Archive::new().delete(place).delete("opt/d"),
        ],
        // The link alone is deleted.
        [
            files(base(), "opt/d")
                .symlink("var/lib/dpkg", "/opt/e")
                .symlink("opt/e/status.d", "../d"),
            Archive::new().delete("var/lib/dpkg").delete("opt/d"),
        ],
        // Its files are links.
        [
            files(base(), "opt/d")
                .symlink("var/lib/dpkg/status.d/libssl3", "/opt/d/libssl3")
                .symlink(
                    "var/lib/dpkg/status.d/libssl3.md5sums",
                    "/opt/d/libssl3.md5sums",
                ),
            Archive::new().delete(place).delete("opt/d"),
        ],
        // It is unpacked through a link.
        [
            files(
                base()
                    .file("var/lib/dpkg/status.d/x", b"")
                    .symlink("a", place),
                "a",
            ),
            Archive::new().delete(place),
        ],
    ] {
        let layers = layers.map(Archive::layer);
        assert_eq!(
            packages(&layers),
            [
                "Debian:12 libssl3 3.0.9-1 at var/lib/dpkg/status.d/libssl3 from 0 NotInDatabase",
                "deleted dpkg after 0",
                "removed libssl3 after 0",
            ]
        );
    }
}
