//! Databases of packages that a layer deletes, shortens or changes.

use super::super::{DEBIAN_12, debian, elf, stanza};
use super::{BASE, Case, Node, REMOVED, SSL, stanzas, text, with};

/// A database with a later version of the library.
fn another_version() -> (&'static str, Node) {
    let stanzas = [
        stanza("base-files", "base-files", "12.4+deb12u5"),
        stanza("libssl3", "openssl", "99"),
    ];
    ("var/lib/dpkg/status", text(&stanzas.concat()))
}

pub(super) fn deleted_databases() -> Vec<Case> {
    vec![
        Case {
            name: "the database is deleted in the last layer",
            layers: vec![debian(), vec![("var/lib/dpkg", Node::Deleted)]],
            // Nothing says that the files of base-files were removed.
            packages: vec![
                "Debian:12 base-files 12.4+deb12u5 from base-files 12.4+deb12u5 layer 0 \
                 NotInDatabase",
                REMOVED,
            ],
            coverage: vec![
                "deleted dpkg after layer 0",
                "removed base-files 12.4+deb12u5 after layer 0",
                "removed libssl3 3.0.9-1 after layer 0",
            ],
        },
        Case {
            name: "the database is emptied in the last layer",
            layers: vec![debian(), vec![("var/lib/dpkg/status", text(""))]],
            packages: vec![
                "Debian:12 base-files 12.4+deb12u5 from base-files 12.4+deb12u5 layer 0 \
                 NotInDatabase",
                REMOVED,
            ],
            coverage: vec![
                "deleted dpkg after layer 0",
                "removed base-files 12.4+deb12u5 after layer 0",
                "removed libssl3 3.0.9-1 after layer 0",
                "list without package var/lib/dpkg/info/libssl3:amd64.list",
            ],
        },
        Case {
            name: "the database and the library are deleted",
            layers: vec![
                with("var/lib/dpkg/status", stanzas(&["libssl3"])),
                vec![("var/lib/dpkg", Node::Deleted), ("usr/lib", Node::Deleted)],
            ],
            packages: vec![],
            coverage: vec![
                "etc/os-release says Debian 12 without a database",
                "deleted dpkg after layer 0",
            ],
        },
    ]
}

pub(super) fn deleted_stanzas() -> Vec<Case> {
    vec![
        Case {
            name: "one stanza and its list are deleted and the library is kept",
            layers: vec![
                debian(),
                vec![
                    ("var/lib/dpkg/status", stanzas(&["base-files"])),
                    ("var/lib/dpkg/info", Node::Deleted),
                ],
            ],
            packages: vec![BASE, REMOVED],
            coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
        },
        Case {
            name: "the package is removed with its library",
            layers: vec![
                debian(),
                vec![
                    ("var/lib/dpkg/status", stanzas(&["base-files"])),
                    ("var/lib/dpkg/info", Node::Deleted),
                    ("usr/lib", Node::Deleted),
                ],
            ],
            packages: vec![BASE],
            coverage: vec![],
        },
        Case {
            name: "the package is replaced by one that has its files",
            layers: vec![
                debian(),
                vec![
                    (
                        "var/lib/dpkg/status",
                        stanzas(&["base-files", "libssl3t64"]),
                    ),
                    ("var/lib/dpkg/info", Node::Deleted),
                    (
                        "var/lib/dpkg/info/libssl3t64.list",
                        text("/usr/lib/libssl.so.3\n"),
                    ),
                ],
            ],
            // dpkg would have written the library again.
            packages: vec![
                BASE,
                "Debian:12 libssl3t64 1 from libssl3t64 1 layer 1",
                REMOVED,
            ],
            coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
        },
        Case {
            name: "one stanza is missing in the only layer",
            layers: vec![with("var/lib/dpkg/status", stanzas(&["base-files"]))],
            packages: vec![BASE],
            coverage: vec![
                "unidentified ELF usr/lib/libssl.so.3",
                "list without package var/lib/dpkg/info/libssl3:amd64.list",
            ],
        },
        Case {
            name: "a status file is deleted and its library is kept",
            layers: vec![
                vec![
                    ("etc/os-release", text(DEBIAN_12)),
                    ("var/lib/dpkg/status.d/libssl3", stanzas(&["libssl3"])),
                    ("var/lib/dpkg/status.d/base-files", stanzas(&["base-files"])),
                    (
                        "var/lib/dpkg/status.d/libssl3.md5sums",
                        text("0  usr/lib/libssl.so.3\n"),
                    ),
                    ("usr/lib/libssl.so.3", elf("a")),
                ],
                vec![
                    ("var/lib/dpkg/status.d/libssl3", Node::Deleted),
                    ("var/lib/dpkg/status.d/libssl3.md5sums", Node::Deleted),
                ],
            ],
            packages: vec![BASE, REMOVED],
            coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
        },
    ]
}

pub(super) fn changed_databases() -> Vec<Case> {
    vec![
        Case {
            name: "the database is missing in the only layer",
            layers: vec![vec![
                ("etc/os-release", text(DEBIAN_12)),
                ("usr/lib/libssl.so.3", elf("a")),
            ]],
            packages: vec![],
            coverage: vec![
                "unidentified ELF usr/lib/libssl.so.3",
                "etc/os-release says Debian 12 without a database",
            ],
        },
        Case {
            name: "a stanza has another version and its library is kept",
            layers: vec![debian(), vec![another_version()]],
            packages: vec![
                BASE,
                "Debian:12 libssl3 99 from openssl 99 layer 1",
                REMOVED,
            ],
            coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
        },
        Case {
            name: "the package is upgraded",
            layers: vec![
                debian(),
                vec![another_version(), ("usr/lib/libssl.so.3", elf("new"))],
            ],
            packages: vec![BASE, "Debian:12 libssl3 99 from openssl 99 layer 1"],
            coverage: vec![],
        },
    ]
}

/// A layer that changes the stanza of the library, and its list to one with another name.
fn changed(stanza: &str, list: &'static str) -> Vec<(&'static str, Node)> {
    let base = super::super::stanza("base-files", "base-files", "12.4+deb12u5");
    vec![
        ("var/lib/dpkg/status", text(&format!("{base}{stanza}"))),
        ("var/lib/dpkg/info", Node::Deleted),
        (list, text("/usr/lib/libssl.so.3\n")),
    ]
}

pub(super) fn changed_fields() -> Vec<Case> {
    let case = |name, layer, package: Option<&'static str>| Case {
        name,
        layers: vec![debian(), layer],
        packages: [BASE].into_iter().chain(package).chain([REMOVED]).collect(),
        coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
    };
    let list = "var/lib/dpkg/info/libssl3:amd64.list";
    let without_list = vec![
        ("var/lib/dpkg/info", Node::Deleted),
        ("var/lib/dpkg/status", stanzas(&["base-files", "libssl3"])),
    ];
    vec![
        case(
            "the stanza has another source",
            changed(&stanza("libssl3", "zzz", "3.0.9-1"), list),
            Some("Debian:12 libssl3 3.0.9-1 from zzz 3.0.9-1 layer 1"),
        ),
        case(
            "the stanza has another version of its source",
            changed(&stanza("libssl3", "openssl (9.9)", "3.0.9-1"), list),
            Some("Debian:12 libssl3 3.0.9-1 from openssl 9.9 layer 1"),
        ),
        case(
            "the stanza has another architecture and version",
            changed(
                &stanza("libssl3", "openssl", "99").replace("amd64", "all"),
                "var/lib/dpkg/info/libssl3.list",
            ),
            Some("Debian:12 libssl3 99 from openssl 99 layer 1"),
        ),
        case(
            "the stanza is deleted and another package claims the library",
            changed("", "var/lib/dpkg/info/base-files.list"),
            None,
        ),
        Case {
            name: "the list is deleted before the stanza",
            layers: vec![
                debian(),
                without_list,
                vec![("var/lib/dpkg/status", stanzas(&["base-files"]))],
            ],
            packages: vec![BASE, REMOVED],
            coverage: vec!["removed libssl3 3.0.9-1 after layer 0"],
        },
        Case {
            name: "a package leads to the library of another one and is upgraded",
            layers: vec![
                debian()
                    .into_iter()
                    .filter(|(path, _)| *path != "var/lib/dpkg/status")
                    .chain([
                        (
                            "var/lib/dpkg/status",
                            stanzas(&["base-files", "libssl3", "dev"]),
                        ),
                        ("var/lib/dpkg/info/dev.list", text("/usr/lib/libssl.so\n")),
                        ("usr/lib/libssl.so", Node::Link("libssl.so.3")),
                    ])
                    .collect(),
                vec![(
                    "var/lib/dpkg/status",
                    text(&format!(
                        "{}{}{}",
                        stanza("base-files", "base-files", "12.4+deb12u5"),
                        stanza("libssl3", "openssl", "3.0.9-1"),
                        stanza("dev", "dev", "2"),
                    )),
                )],
            ],
            packages: vec![BASE, SSL, "Debian:12 dev 2 from dev 2 layer 1"],
            coverage: vec![],
        },
        Case {
            name: "the library is replaced above its package",
            layers: vec![debian(), vec![("usr/lib/libssl.so.3", elf("old"))]],
            packages: vec![BASE, SSL],
            coverage: vec!["unidentified ELF usr/lib/libssl.so.3"],
        },
    ]
}
