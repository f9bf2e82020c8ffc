//! Images that the generator meets too rarely.
//!
//! Here: layers, and paths to look for in their tree. Not here: what must hold for them (`main`).
//! Invariant: each case is about one rule, and names what differs if it is not kept.

use crate::archive::{Member, Style};

/// The layers of an image, and paths to look for in it.
pub(crate) type Case = (Vec<Vec<Member>>, Vec<&'static str>);

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    [
        distributions(),
        whiteouts(),
        hard_links(),
        duplicates(),
        missing_directories(),
        symbolic_links(),
        cycles(),
        names(),
    ]
    .concat()
}

fn file(name: &str) -> Member {
    Member::file(name, format!("content of {name}"))
}

fn directory(name: &str) -> Member {
    Member::directory(name)
}

fn symlink(name: &str, target: &str) -> Member {
    Member::symlink(name, target)
}

fn hard_link(name: &str, target: &str) -> Member {
    Member::hard_link(name, target)
}

fn gnu(member: Member) -> Member {
    Member {
        style: Style::Gnu,
        ..member
    }
}

fn pax(member: Member) -> Member {
    Member {
        style: Style::Pax,
        ..member
    }
}

/// A chain of links that ends with a directory.
fn links(count: usize) -> Vec<Member> {
    let mut members: Vec<_> = (0..count)
        .map(|number| symlink(&format!("l{number}"), &format!("l{}", number + 1)))
        .collect();
    members.push(directory(&format!("l{count}")));
    members.push(file("l0/file"));
    members
}

/// Directories of distributions, and links to them.
fn distributions() -> Vec<Case> {
    vec![
        (
            vec![
                vec![
                    directory("usr"),
                    directory("usr/bin"),
                    symlink("bin", "usr/bin"),
                    file("bin/sh"),
                ],
                vec![file("bin/sh"), file("usr/bin/ls")],
                vec![
                    directory("usr"),
                    directory("usr/bin"),
                    file("usr/bin/sh"),
                    file("usr/bin/.wh.ls"),
                ],
            ],
            vec!["bin/sh", "usr/bin/sh", "bin", "bin/ls"],
        ),
        // A layer replaces the directory that a symbolic link of a lower layer leads to.
        (
            vec![
                vec![directory("lib64"), file("lib64/a"), symlink("lib", "lib64")],
                vec![directory("lib"), file("lib/b")],
                vec![file("lib/c")],
            ],
            vec!["lib/a", "lib/b", "lib64/a"],
        ),
    ]
}

/// Whiteouts, opaque directories, and what comes after them.
fn whiteouts() -> Vec<Case> {
    vec![
        (
            vec![
                vec![file("a/b/c"), file("a/b/d"), file("e")],
                vec![file("a/.wh.b"), file("a/b/new"), file(".wh.e")],
                vec![directory("a/b"), file("e")],
            ],
            vec!["a/b", "a/b/c", "a/b/new", "e"],
        ),
        (
            vec![
                vec![file("a/b"), file("a/c")],
                vec![file("a/d"), file("a/.wh..wh..opq"), file("a/e")],
                vec![file("a/f")],
            ],
            vec!["a/b", "a/d", "a/e", "a/f"],
        ),
        // The root is never opaque.
        (
            vec![vec![file("a")], vec![file(".wh..wh..opq"), file("b")]],
            vec!["a", "b"],
        ),
        // In the lowest layer, markers act on the layer itself.
        (
            vec![vec![
                file("a/b"),
                file("c/d/e"),
                file("f"),
                file("a/.wh.b"),
                directory("g"),
                file("g/h/i"),
                file("g/.wh..wh..opq"),
                file("c/.wh..wh..opq"),
                file(".wh.f"),
                file(".wh.f"),
            ]],
            vec!["a/b", "c/d", "f", "g/h"],
        ),
        (
            vec![vec![file("a")], vec![file(".wh.a"), file(".wh.a")]],
            vec![],
        ),
        (
            vec![vec![file("a")], vec![file("a"), file(".wh.a")]],
            vec![],
        ),
        (
            vec![vec![file("a")], vec![file(".wh.a"), file("a")]],
            vec!["a"],
        ),
    ]
}

/// Hard links, which name what the same layer has.
fn hard_links() -> Vec<Case> {
    vec![
        (vec![vec![file("a")], vec![hard_link("b", "a")]], vec![]),
        (
            vec![vec![
                file("a"),
                hard_link("b", "a"),
                hard_link("c", "/b"),
                hard_link("d", "./x/../c"),
                file("a"),
                symlink("s", "a"),
                hard_link("t", "s"),
                hard_link("u", "b/."),
                hard_link("v", "b/"),
            ]],
            vec!["t", "d"],
        ),
        (vec![vec![directory("a"), hard_link("b", "a")]], vec![]),
        (vec![vec![file("a"), hard_link("a", "a")]], vec![]),
        (vec![vec![file("a"), hard_link("b", "a/..")]], vec![]),
        (vec![vec![file("a"), hard_link("b", "")]], vec![]),
        (vec![vec![symlink("b", "")]], vec![]),
        // A hard link to a whiteout is one.
        (
            vec![
                vec![file("a"), file("b")],
                vec![Member::new(b'3', "a"), hard_link("b", "a")],
            ],
            vec!["a", "b"],
        ),
    ]
}

/// Entries of one layer with the same name, and directories that are gone at the end.
fn duplicates() -> Vec<Case> {
    vec![
        (
            vec![vec![
                file("a"),
                directory("a"),
                file("a/b"),
                directory("a"),
                file("a/c"),
            ]],
            vec!["a/b"],
        ),
        // A directory that is gone at the end.
        (vec![vec![directory("a"), file("a")]], vec!["a"]),
        (vec![vec![directory("a"), symlink("a", "b")]], vec![]),
        (
            vec![vec![directory("b"), directory("a"), symlink("a", "b")]],
            vec!["a"],
        ),
        (vec![vec![directory("a/b"), file("a")]], vec![]),
        (
            vec![vec![
                directory("a"),
                symlink("s", "a"),
                directory("s/b"),
                file("s"),
            ]],
            vec![],
        ),
        (
            vec![vec![
                directory("a"),
                symlink("s", "a"),
                directory("s/b"),
                directory("s"),
            ]],
            vec![],
        ),
        (
            vec![vec![
                directory("a"),
                symlink("s", "a"),
                directory("s/b"),
                directory("s"),
                directory("s/b"),
            ]],
            vec!["s/b", "a/b"],
        ),
        (vec![vec![directory("a"), file(".wh.a")]], vec![]),
        // The entry of a directory is looked for by its own path, which leads to something else in the end.
        (
            vec![vec![
                symlink("c/up", ".."),
                directory("c/up/lib/a"),
                file("lib"),
                file(".wh.c"),
                file("c/up/lib/a"),
            ]],
            vec!["c/up/lib/a", "lib"],
        ),
        // What was in a directory does not come back with it.
        (
            vec![vec![
                directory("a"),
                file("a/b"),
                file("a"),
                directory("a"),
                hard_link("h", "a/b"),
            ]],
            vec![],
        ),
    ]
}

/// Directories without an entry, below something else in a lower layer.
fn missing_directories() -> Vec<Case> {
    vec![
        (vec![vec![file("a")], vec![file("a/b")]], vec!["a/b"]),
        (vec![vec![file("a")], vec![file("a/b/c")]], vec![]),
        (
            vec![vec![file("a")], vec![directory("a"), file("a/b/c")]],
            vec![],
        ),
        (
            vec![
                vec![file("a")],
                vec![directory("a"), directory("a/b"), file("a/b/c")],
            ],
            vec!["a/b/c"],
        ),
        (
            vec![vec![file("a/b")], vec![file(".wh.a")], vec![file("a/b/c")]],
            vec![],
        ),
        (
            vec![vec![file("a")], vec![file("b")], vec![file("a/b/c")]],
            vec![],
        ),
        (
            vec![vec![file("a")], vec![file("a/x")], vec![file("a/b/c")]],
            vec![],
        ),
        (
            vec![vec![file("a")], vec![file("a/b")], vec![file("a/b/c")]],
            vec![],
        ),
        (
            vec![vec![symlink("a", "c"), file("c/b")], vec![file("a/b/x")]],
            vec!["a/b/x"],
        ),
        (
            vec![vec![symlink("a", "c"), file("c/b")], vec![file("a/b/x/y")]],
            vec![],
        ),
        (vec![vec![symlink("a", "a")], vec![file("a/b/x/y")]], vec![]),
        (
            vec![
                vec![symlink("a", "/c/d"), file("c/d/b/x")],
                vec![file("a/b/x/y")],
            ],
            vec![],
        ),
    ]
}

/// Symbolic links through symbolic links, and outside.
fn symbolic_links() -> Vec<Case> {
    vec![
        (
            vec![vec![
                directory("q/r/e"),
                symlink("d", "q/r"),
                symlink("a", "d/e"),
                symlink("q/r/e/l", "../z"),
                file("a/l/x"),
                symlink("out", "../../.."),
                file("out/y"),
                symlink("abs", "/out/q"),
                file("abs/z"),
            ]],
            vec!["a/l/x", "out/y", "abs/z", "q/z"],
        ),
        (
            vec![vec![
                directory("p/q"),
                directory("m/n"),
                symlink("x", "p/q"),
                symlink("y", "x/../k"),
                file("y/first"),
                symlink("e", "/m/n"),
                symlink("m/n/l", "../z"),
                symlink("a", "e"),
                file("a/l/second"),
                file("m/../y/third"),
            ]],
            vec!["y", "y/first", "a/l/second"],
        ),
    ]
}

/// Symbolic links to each other, and many of them.
fn cycles() -> Vec<Case> {
    vec![
        (
            vec![vec![symlink("a", "b"), symlink("b", "a"), file("a/c")]],
            vec![],
        ),
        (
            vec![vec![symlink("a", "b"), symlink("b", "a")]],
            vec!["a", "a/b", "b/.."],
        ),
        (
            vec![vec![symlink("a", "b"), file("a/c")]],
            vec!["a/c", "b/c"],
        ),
        (vec![links(39)], vec!["l0/file"]),
        (vec![links(40)], vec!["l0/file"]),
        (vec![links(41)], vec!["l0/file"]),
        (vec![links(255)], vec!["l250/file"]),
        (vec![links(256)], vec![]),
        (vec![links(257)], vec![]),
    ]
}

/// Names and paths of any length.
fn names() -> Vec<Case> {
    let long = "l".repeat(200);
    let deep = "d/".repeat(200);
    vec![
        (
            vec![vec![
                gnu(file(&format!("{long}/{long}"))),
                pax(file(&format!("{long}/x{long}"))),
                gnu(hard_link("short", &format!("{long}/{long}"))),
                pax(symlink("link", &format!("{long}/{long}"))),
                gnu(file(&format!("{deep}f"))),
            ]],
            vec!["link", "short"],
        ),
        (vec![vec![gnu(file(&"n".repeat(255)))]], vec![]),
        (vec![vec![gnu(file(&"n".repeat(256)))]], vec![]),
        (
            vec![vec![gnu(directory(&format!("{}/a", "n".repeat(256))))]],
            vec![],
        ),
        (
            vec![
                vec![file("a")],
                vec![gnu(file(&format!(".wh.{}", "n".repeat(255))))],
            ],
            vec![],
        ),
        (
            vec![
                vec![file("a")],
                vec![gnu(file(&format!(".wh.{}", "n".repeat(256))))],
            ],
            vec![],
        ),
        (vec![vec![gnu(symlink("s", &"t".repeat(4095)))]], vec!["s"]),
        (vec![vec![gnu(symlink("s", &"t".repeat(4096)))]], vec![]),
        // Whiteouts without a name.
        (vec![vec![file("a/.wh.")]], vec![]),
        (vec![vec![file("a/.wh..")]], vec![]),
        (vec![vec![file("a/.wh...")]], vec![]),
        (vec![vec![file("a")], vec![file(".wh....")]], vec!["a"]),
        (
            vec![
                vec![file("a")],
                vec![file(".wh..wh.b"), file(".wh..wh..opq/c")],
            ],
            vec!["a"],
        ),
        // A directory with a size has no content.
        (
            vec![vec![
                Member {
                    size: Some(512),
                    ..directory("a")
                },
                file("a/b"),
            ]],
            vec!["a/b"],
        ),
    ]
}
