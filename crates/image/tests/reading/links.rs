//! Databases that are reached through links.

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
    let content = read(&[archive.layer()], &sandbox(Confinement::Required, limits));
    assert_eq!(
        incomplete(&content),
        ["the image exceeds the limit of the number of links to files that have to be read"]
    );
    // Three of five paths have room.
    let names = ["0", "1", "2"].map(|name| ("x".to_owned(), format!("{name}.factsaid")));
    assert_eq!(facts(&content), names);
}
