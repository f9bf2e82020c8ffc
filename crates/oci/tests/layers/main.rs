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
