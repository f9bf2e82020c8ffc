//! Images have the tree that containerd gives them, and a layer that containerd rejects cannot be unpacked
//! (`conformance/layers`).
//!
//! `BAILIFF_LAYER_ORACLE` names the oracle's program, as `hack/layer-oracle.sh` prints it; `IMAGES` says how many are
//! generated.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is the report of a test"
)]

mod archive;
mod compare;
mod cost;
mod generated;
mod known;

use compare::compare;
use generated::Image;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::process::Command;

#[test]
fn generated_images_have_the_tree_that_containerd_gives_them() {
    let count = std::env::var("IMAGES").map_or(800, |count| count.parse().unwrap());
    let seed: u64 = std::env::var("PROPTEST_RNG_SEED").map_or(1, |seed| seed.parse().unwrap());
    let images: Vec<_> = (0..count)
        .map(|number| generated::image(seed.wrapping_mul(1 << 32).wrapping_add(number)))
        .collect();
    let counts = compare(&images);
    eprintln!("{counts:#?}");
    assert!(counts["accepted"] > images.len() / 2, "{counts:#?}");
    assert!(counts.len() > 20, "{counts:#?}");
}

/// What the generator meets too rarely.
#[test]
fn known_images_have_the_tree_that_containerd_gives_them() {
    let images: Vec<_> = known::cases()
        .iter()
        .map(|(layers, paths)| Image::of(layers, paths))
        .collect();
    let counts = compare(&images);
    eprintln!("{counts:#?}");
    assert!(counts["accepted"] > images.len() / 2, "{counts:#?}");
    assert!(counts.len() > 10, "{counts:#?}");
}

/// Archives as GNU tar writes them, and packed as gzip and zstd are.
#[test]
fn archives_of_tar_have_the_tree_that_containerd_gives_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let long = root.join("n".repeat(120)).join("m".repeat(150));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("file"), "a file with a long path").unwrap();
    fs::write(root.join("é"), "a file with another name").unwrap();
    fs::hard_link(root.join("é"), long.join("linked")).unwrap();
    std::os::unix::fs::symlink("/x".repeat(80), root.join("symlink")).unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    for at in [70_000, 300_000] {
        sparse.write_all_at(b"some data", at).unwrap();
    }
    sparse.set_len(1_000_000).unwrap();
    let mut images = Vec::new();
    for options in [
        &["--format=gnu"][..],
        &["--format=oldgnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=gnu", "--gzip"],
        &["--format=posix", "--zstd"],
    ] {
        let tar = Command::new("tar")
            .args(options)
            .args(["--create", "--directory"])
            .arg(&root)
            .arg(".")
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        images.push(Image {
            layers: vec![tar.stdout],
            paths: vec!["symlink".into(), "é/../sparse".into(), "é".into()],
            members: Vec::new(),
        });
    }
    let counts = compare(&images);
    eprintln!("{counts:#?}");
    // containerd does not unpack the old format of sparse files.
    let old = "has the type 83, which containerd does not unpack".to_owned();
    assert_eq!(counts, [("accepted".to_owned(), 7), (old, 1)].into());
}
