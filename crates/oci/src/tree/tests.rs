//! Identity, limits, depth and memory. What layers show together is compared with containerd (`tests/layers`).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a panic is the report of a test"
)]

use super::*;
use crate::layer::EntryKind;

fn entry(path: &str, kind: EntryKind) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        kind,
        size: 0,
        mode: 0o644,
    }
}

fn file(path: &str) -> Entry {
    entry(path, EntryKind::File)
}

fn symlink(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Symlink(target.as_bytes().to_vec()))
}

fn hard_link(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::HardLink(target.as_bytes().to_vec()))
}

/// A tree of layers without faults.
fn tree(layers: &[&[Entry]]) -> Tree {
    let mut tree = Tree::new(&Limits::default());
    for entries in layers {
        tree.begin_layer();
        for (ordinal, entry) in (0..).zip(*entries) {
            tree.apply(ordinal, entry).unwrap();
        }
        tree.end_layer().unwrap();
    }
    tree
}

/// Paths with the layers and the numbers of their entries.
fn identities(view: View<'_>) -> Vec<String> {
    view.walk()
        .map(|(path, node)| {
            let FileId { layer, ordinal } = node.id;
            format!("{} {layer}:{ordinal}", path.escape_ascii())
        })
        .collect()
}

#[test]
fn a_path_has_the_entry_that_brought_its_content() {
    let tree = tree(&[
        &[
            entry("d", EntryKind::Directory),
            file("d/a"),
            file("e/f/g"),
            hard_link("d/b", "d/a"),
            symlink("s", "d/a"),
            hard_link("t", "s"),
        ],
        &[file("d/a"), hard_link("d/c", "d/a"), file("d/a")],
        &[entry("d/a", EntryKind::Whiteout)],
    ]);
    assert_eq!(
        identities(tree.view_to(1)),
        [
            "d 0:0",
            "d/a 0:1",
            "d/b 0:1",
            "e 0:2",
            "e/f 0:2",
            "e/f/g 0:2",
            "s 0:4",
            "t 0:4"
        ]
    );
    assert_eq!(
        identities(tree.view_to(2)),
        [
            "d 1:0",
            "d/a 1:2",
            "d/b 0:1",
            "d/c 1:0",
            "e 0:2",
            "e/f 0:2",
            "e/f/g 0:2",
            "s 0:4",
            "t 0:4"
        ]
    );
    assert_eq!(
        identities(tree.view()),
        [
            "d 2:0",
            "d/b 0:1",
            "d/c 1:0",
            "e 0:2",
            "e/f 0:2",
            "e/f/g 0:2",
            "s 0:4",
            "t 0:4"
        ]
    );
    assert_eq!(identities(tree.view_to(0)), [""; 0]);
    assert_eq!(identities(tree.view_to(9)), identities(tree.view()));
    let found = |view: View<'_>, path: &str| match view.resolve(path.as_bytes()) {
        Resolved::Found { path, node } => {
            let FileId { layer, ordinal } = node.id;
            format!("{} {layer}:{ordinal}", path.escape_ascii())
        }
        other => format!("{other:?}"),
    };
    assert_eq!(found(tree.view_to(1), "/t"), "d/a 0:1");
    assert_eq!(found(tree.view_to(2), "t"), "d/a 1:2");
    assert_eq!(found(tree.view(), "t"), "Missing");
    assert_eq!(found(tree.view(), "d/b/"), "Missing");
    assert_eq!(found(tree.view(), "d/b/.."), "Missing");
    assert_eq!(found(tree.view(), "/"), " 2:0");
    assert_eq!(found(tree.view(), ""), " 2:0");
    assert_eq!(found(tree.view_to(0), ""), "Missing");
}

#[test]
fn a_layer_has_its_files_whatever_others_show() {
    let tree = tree(&[
        &[
            file("d/a"),
            hard_link("d/b", "d/a"),
            file("d/gone/f"),
            file("d/gone"),
            symlink("s", "d/a"),
        ],
        &[
            file("d/a"),
            entry("d/b", EntryKind::Whiteout),
            entry("p", EntryKind::Other),
        ],
    ]);
    let of = |layer| {
        let files = tree.files_of(layer);
        let mut files: Vec<_> = files
            .map(|(path, id)| format!("{} {}:{}", path.escape_ascii(), id.layer, id.ordinal))
            .collect();
        files.sort();
        files
    };
    // The directory was replaced, and what was in it is gone with it.
    assert_eq!(of(0), ["d/a 0:0", "d/b 0:0", "d/gone 0:3"]);
    assert_eq!(of(1), ["d/a 1:0"]);
    assert_eq!(of(2), [""; 0]);
}

#[test]
fn faults_have_messages_and_the_layer_goes_on() {
    let mut tree = Tree::new(&Limits::default());
    tree.apply(0, &file("lower")).unwrap();
    tree.begin_layer();
    for (ordinal, (entry, message)) in (0..).zip([
        (file("f"), ""),
        (entry("d", EntryKind::Directory), ""),
        (symlink("loop", "loop"), ""),
        (file("f/a"), "entry \"f/a\" has a path through something that is not a directory"),
        (file("loop/a"), "entry \"loop/a\" has a path through too many symbolic links"),
        (hard_link("h", "lower"), "entry \"h\" is a hard link to something that its layer does not have"),
        (hard_link("h", "d"), "entry \"h\" is a hard link to a directory"),
        (entry("f", EntryKind::Whiteout), "entry \"f\" is a whiteout of something in its own layer"),
        (symlink("s", ""), "entry \"s\" is a symbolic link with an invalid target"),
        (
            file("lower/x/y"),
            "entry \"lower/x/y\" has a parent directory without an entry, below something in a lower layer that is \
             not a directory",
        ),
        (file("a//b"), "entry \"a//b\" has an invalid path"),
        (file("/b"), "entry \"/b\" has an invalid path"),
        (file("../b"), "entry \"../b\" has an invalid path"),
        (file("b\0"), "entry \"b\\x00\" has an invalid path"),
        (file(""), "entry \"\" has an invalid path"),
        (
            file(&"n".repeat(256)),
            &*format!("entry \"...{}\" has a path component of more than 255 bytes", "n".repeat(120)),
        ),
        (file("last"), ""),
    ]) {
        let result = tree.apply(ordinal, &entry);
        assert_eq!(result.map_or_else(|cause| cause.to_string(), |()| String::new()), message);
    }
    tree.apply(17, &file("d")).unwrap();
    tree.end_layer().unwrap();
    tree.apply(18, &entry("g", EntryKind::Directory)).unwrap();
    tree.apply(19, &symlink("g", "nothing")).unwrap();
    assert_eq!(
        tree.end_layer().unwrap_err().to_string(),
        "entry \"g\" is a directory that its layer removes later"
    );
    let Resolved::Found { node, .. } = tree.view().resolve(b"last") else {
        panic!("it is not there")
    };
    assert_eq!(
        node.id,
        FileId {
            layer: 1,
            ordinal: 16
        }
    );
}

#[test]
fn limits_have_names() {
    let limited = |limits: &Limits, entries: &[Entry]| {
        let mut tree = Tree::new(limits);
        (0..).zip(entries).find_map(|(ordinal, entry)| {
            Some((ordinal, tree.apply(ordinal, entry).err()?.to_string()))
        })
    };
    let limits = Limits {
        entries: 4,
        names: 20,
        ..Limits::default()
    };
    let entries = [file("a/b/c"), file("a/b/d"), file("a/b/e")];
    // Two directories count.
    assert_eq!(
        limited(&limits, &entries),
        Some((2, "there are more than 4 entries".to_owned()))
    );
    let long = "t".repeat(20);
    let message = "the names in the image have more than 20 bytes".to_owned();
    assert_eq!(
        limited(&limits, &[symlink("a", &long)]),
        Some((0, message.clone()))
    );
    assert_eq!(limited(&limits, &[file(&long)]), Some((0, message.clone())));
    assert_eq!(
        limited(&limits, &[file(&format!("{long}/a"))]),
        Some((0, message))
    );

    // Each link leads through the one before it twice.
    let chain = |limits: &Limits| {
        let mut entries = vec![entry("d", EntryKind::Directory), symlink("l0", "d")];
        for number in 1..100 {
            entries.push(symlink(&format!("l{number}"), &format!("l{}", number - 1)));
        }
        entries.push(file("l99/x"));
        limited(limits, &entries)
    };
    assert_eq!(chain(&Limits::default()), None);
    let limits = Limits {
        lookups: 50,
        ..Limits::default()
    };
    let message =
        "its symbolic links and missing directories require more than 50 lookups".to_owned();
    assert_eq!(chain(&limits), Some((101, message)));
}

/// What would take the product of entries, depth and layers ends at the limit of lookups.
#[test]
fn hostile_layers_end_at_the_limit_of_lookups() {
    let deep = "d/".repeat(400);
    let limits = Limits {
        lookups: 300_000,
        ..Limits::default()
    };
    let mut tree = Tree::new(&limits);
    for _ in 0..20 {
        tree.begin_layer();
        tree.apply(0, &file(&format!("{deep}f"))).unwrap();
    }
    tree.begin_layer();
    let end = (0..100_000).find_map(|number| {
        tree.apply(number, &file(&format!("{deep}{number}/f")))
            .err()
    });
    assert_eq!(
        end.unwrap().to_string(),
        "its symbolic links and missing directories require more than 300000 lookups"
    );
}

/// Nothing recurses, whatever the depth.
#[test]
fn the_deepest_path_is_found() {
    let deepest = format!("{}e", "d/".repeat(2_047));
    assert_eq!(deepest.len(), 4_095);
    let work = move || {
        let tree = tree(&[&[file(&deepest)], &[file(&deepest)]]);
        assert_eq!(tree.view().walk().count(), 2_048);
        let Resolved::Found { path, node } = tree.view().resolve(deepest.as_bytes()) else {
            panic!("it is not there")
        };
        assert_eq!(path, deepest.as_bytes());
        assert_eq!(
            node.id,
            FileId {
                layer: 1,
                ordinal: 0
            }
        );
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}

/// What was removed does not come back with a directory of the same name.
#[test]
fn a_new_directory_has_nothing_of_the_one_before() {
    let directory = || entry("a", EntryKind::Directory);
    let layers: [&[Entry]; 1] = [&[
        directory(),
        file("a/b"),
        file("a"),
        directory(),
        file("a/c"),
        entry("a", EntryKind::Opaque),
        file("a"),
        directory(),
    ]];
    let mut tree = tree(&layers);
    assert_eq!(identities(tree.view()), ["a 0:7"]);
    assert_eq!(tree.view().resolve(b"a/b"), Resolved::Missing);
    assert!(tree.apply(8, &hard_link("h", "a/b")).is_err());
}

/// 4 million entries take less than 256 MiB with the process around them.
#[test]
fn an_entry_takes_few_bytes() {
    const ENTRIES: u32 = 300_000;
    let taken = allocation_counter::measure(|| {
        let mut tree = Tree::new(&Limits::default());
        tree.begin_layer();
        for number in 0..ENTRIES {
            let path = format!("directory{}/file-{number}", number % 100);
            tree.apply(number, &file(&path)).unwrap();
        }
        tree.end_layer().unwrap();
        std::hint::black_box(&tree);
    });
    let bytes = taken.bytes_max / u64::from(ENTRIES);
    assert!(bytes < 56, "{bytes} bytes for each entry");
}

/// A walk keeps the paths that it still has to show, and no more.
#[test]
fn a_walk_takes_few_bytes() {
    let entries: Vec<_> = (0..50_000)
        .map(|number| file(&format!("f{number}")))
        .collect();
    let tree = tree(&[&entries]);
    let taken = allocation_counter::measure(|| {
        assert_eq!(tree.view().walk().count(), 50_000);
    });
    assert!(taken.bytes_max / 50_000 < 16, "{}", taken.bytes_max);
}

#[test]
fn lookups_are_counted_for_each_layer_that_has_the_directory() {
    let tree = tree(&[
        &[file("a/b/c"), symlink("link", "a/b/c")],
        &[file("a/x"), symlink("to", "link")],
    ]);
    assert!(!tree.is_linked());
    for (path, needed) in [
        // The root and `a` are in two layers, `a/b` in one.
        ("a/b/c", 5),
        ("link", 7),
        ("to", 9),
        ("a/missing", 4),
    ] {
        let view = tree.view();
        let mut left = needed;
        let found = view.resolve_within(path.as_bytes(), &mut left);
        assert_eq!(
            (&found, left),
            (&view.resolve(path.as_bytes()), 0),
            "{path}"
        );
        let mut left = needed - 1;
        let found = view.resolve_within(path.as_bytes(), &mut left);
        assert_eq!((found, left), (Resolved::TooManyLinks, 0), "{path}");
    }
}

#[test]
fn an_entry_that_is_elsewhere_than_its_path_says_is_known() {
    let tree = tree(&[&[file("a/b"), symlink("link", "a"), file("link/c")]]);
    assert!(tree.is_linked());
    let names: Vec<_> = tree.view().list(b"link").map(|(name, _)| name).collect();
    assert_eq!(names, [b"b", b"c"]);
}
