//! Layers that take more than they can have.

use super::*;

fn first() -> Vec<(String, String)> {
    pairs(&[("a.fact", "first")])
}

#[test]
fn no_more_is_unpacked_than_the_limit() {
    let mut limits = Limits::default();
    limits.layer.unpacked = 1 << 20;
    let tar = Archive::new()
        .file("a.fact", b"first")
        .file("zeros", &vec![0; 4 << 20])
        .file("z.fact", b"last")
        .bytes();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&tar).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    let content = read(
        &[compressed(&bomb, &tar)],
        &sandbox(SandboxMode::Required, limits),
    );
    assert_eq!(
        incomplete(&content),
        ["layer 1: cannot unpack the layer: it has more than 1048576 bytes once it is unpacked"]
    );
    assert_eq!(facts(&content), first());
}

#[test]
fn no_more_entries_are_read_than_the_limit() {
    let mut limits = Limits::default();
    limits.layer.entries = 3;
    let archive = Archive::of(&[
        ("a.fact", b"first"),
        ("b", b""),
        ("c", b""),
        ("d.fact", b"last"),
    ]);
    let content = read(&[archive.layer()], &sandbox(SandboxMode::Required, limits));
    assert_eq!(
        incomplete(&content),
        ["layer 1: cannot unpack the layer: there are more than 3 entries"]
    );
    assert_eq!(facts(&content), first());
}

#[test]
fn a_large_window_is_not_kept() {
    let tar = Archive::of(&[("a.fact", b"first")]).bytes();
    // A frame whose header announces a window of 128 MiB, and one block that is the end.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    let content = read(&[compressed(&frame, &tar)], &confined());
    assert_eq!(
        incomplete(&content),
        [
            "layer 1: cannot unpack the layer: its zstd data requires a window of more than 67108864 bytes"
        ]
    );
}

#[test]
fn an_extended_header_is_bounded() {
    let mut archive = Archive::of(&[("a.fact", b"first")]);
    let mut header = Archive::header(tar::EntryType::XHeader, 8 << 20);
    header.set_path("pax").unwrap();
    header.set_cksum();
    archive
        .0
        .append(&header, vec![b'x'; 8 << 20].as_slice())
        .unwrap();
    let content = read(&[archive.layer()], &confined());
    let causes = incomplete(&content);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(
        causes[0]
            .starts_with("layer 1: cannot unpack the layer: an extended header has more than "),
        "{causes:?}"
    );
    assert_eq!(facts(&content), first());
}

#[test]
fn facts_are_bounded_by_number_and_size() {
    let archive = || Archive::of(&[("a.many", b""), ("b.fact", b"last")]).layer();
    for (limits, expected, message) in [
        (
            Limits {
                facts: 500,
                ..Limits::default()
            },
            500,
            "the image exceeds the limit of the number of facts that its files state",
        ),
        (
            Limits {
                fact_bytes: 1_000,
                ..Limits::default()
            },
            0,
            "the image exceeds the limit of the size of what its files state",
        ),
    ] {
        let content = read(&[archive()], &sandbox(SandboxMode::Required, limits));
        assert_eq!(incomplete(&content), [message]);
        let count = facts(&content).len();
        assert!(count >= 40, "{count}");
        assert!(expected == 0 || count == expected, "{count}");
    }
}

#[test]
fn a_fact_that_is_too_large_is_reported_and_hides_no_other() {
    let archive = Archive::of(&[("a.long.fact", b"short"), ("b.fact", b"last")]);
    let content = read(&[archive.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(
        facts(&content),
        pairs(&[
            ("a.long.fact", "short"),
            ("a.long.fact", "filea part of it is larger than 4194304"),
            ("b.fact", "last"),
        ])
    );
}

#[test]
fn layers_beyond_the_limit_are_reported() {
    let limits = Limits {
        layers: 2,
        ..Limits::default()
    };
    let layer = |path: &str| Archive::of(&[(path, path.as_bytes())]).layer();
    let content = read(
        &[layer("a.fact"), layer("b.fact"), layer("c.fact")],
        &sandbox(SandboxMode::Required, limits),
    );
    assert_eq!(
        incomplete(&content),
        ["the image exceeds the limit of the number of layers"]
    );
    assert_eq!(
        facts(&content),
        pairs(&[("a.fact", "a.fact"), ("b.fact", "b.fact")])
    );
}

#[test]
fn all_layers_together_have_a_limit_of_cpu_time() {
    let limits = Limits {
        cpu_seconds: 1,
        cpu_image: 0,
        ..Limits::default()
    };
    let spin = || Archive::of(&[("before.fact", b"before"), ("attack/spin", b"")]).layer();
    let last = Archive::of(&[("z.fact", b"last")]).layer();
    // Each takes the two seconds of a layer, and the image has one.
    let content = read(
        &[spin(), spin(), last],
        &sandbox(SandboxMode::Required, limits),
    );
    assert_eq!(
        incomplete(&content),
        [
            "layer 1: the process that reads the layer exceeded its CPU time",
            "the image exceeds the limit of the CPU time of all layers"
        ]
    );
    assert_eq!(
        facts(&content).first(),
        pairs(&[("attack/spin", "attackbegins")]).first()
    );
    assert!(!facts(&content).contains(&("z.fact".to_owned(), "last".to_owned())));
}
