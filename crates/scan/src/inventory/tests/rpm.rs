//! Images with databases that are not read.

use super::image::{Image, Node, text};
use super::{DEBIAN_12, coverage, debian, inventory};

const FEDORA: &str = "ID=fedora\nPRETTY_NAME=\"Fedora Linux 40\"\n";

#[test]
fn an_image_with_a_database_of_rpm_is_incomplete() {
    for path in [
        "var/lib/rpm/rpmdb.sqlite",
        "var/lib/rpm/Packages",
        "usr/lib/sysimage/rpm/Packages.db",
    ] {
        let found = inventory(&Image::of(vec![vec![
            ("etc/os-release", text(FEDORA)),
            (path, text("a")),
        ]]));
        // There is a database, so nothing says that there is none.
        assert_eq!(
            coverage(&found),
            [format!(
                "not read {path} rpm database: Bailiff does not read packages of RPM; use the scanner of the distribution"
            )]
        );
    }
    // The directory alone has no packages.
    let mut files = debian();
    files.push(("var/lib/rpm/.rpm.lock", text("")));
    assert_eq!(coverage(&inventory(&Image::of(vec![files]))), [""; 0]);
}

#[test]
fn a_layer_that_deletes_a_database_of_rpm_hides_nothing() {
    let found = inventory(&Image::of(vec![
        vec![
            ("etc/os-release", text(DEBIAN_12)),
            ("var/lib/rpm/Packages", text("a")),
        ],
        vec![("opt/a", text("a"))],
        vec![("var/lib/rpm", Node::Deleted)],
    ]));
    assert_eq!(
        coverage(&found),
        [
            "not read var/lib/rpm/Packages rpm database: Bailiff does not read packages of RPM, and a layer above layer 2 \
             deletes it; use the scanner of the distribution"
        ]
    );
}
