//! What is read of layers that are as they should be, or damaged.

use super::*;
use bailiff_image::Sandboxed;
use bailiff_oci::tree::Resolved;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that no compression makes shorter.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

#[test]
fn each_compression_has_the_same_facts_and_digests() {
    let tar = Archive::of(&[("a.fact", b"one"), ("usr/b", b"no"), ("usr/c.fact", b"two")]).bytes();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    for blob in [
        blob(&tar),
        compressed(&gzip(&tar), &tar),
        compressed(&zstd, &tar),
    ] {
        let mut last = None;
        let content = read_image(&[blob], &confined(), &mut |progress| last = Some(progress));
        assert_eq!(incomplete(&content), Vec::<String>::new());
        assert_eq!(
            facts(&content),
            pairs(&[("a.fact", "one"), ("usr/c.fact", "two")])
        );
        assert_eq!(content.unpacked, u64::try_from(tar.len()).unwrap());
        let last = last.unwrap();
        assert_eq!((last.layer, last.layers, last.read), (0, 1, last.size));
        assert!(matches!(content.sandboxed, Sandboxed::Yes(_)));
    }
}

#[test]
fn a_layer_that_an_image_has_several_times_is_read_once() {
    let bytes = Archive::of(&[("a.fact", b"lower"), ("b.fact", b"kept")]).bytes();
    let between = Archive::of(&[("a.fact", b"upper"), (".wh.b.fact", b"")]).layer();
    // The blob of the second one is not looked at.
    let again = || OpenLayer {
        file: file(b"something else"),
        ..blob(&bytes)
    };
    let content = read(&[blob(&bytes), between, again()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    let expected = pairs(&[("a.fact", "lower"), ("b.fact", "kept")]);
    assert_eq!(facts(&content), expected);
    assert!(content.files(3).all(|(_, id, _)| id.layer == 2));
    // What the configuration says about each of them is compared.
    let other = OpenLayer {
        diff_id: Some(digest(b"other")),
        ..again()
    };
    let content = read(&[blob(&bytes), other], &confined());
    let found = digest(&bytes);
    assert_eq!(
        incomplete(&content),
        [format!(
            "layer 2: the unpacked layer has the digest {found}, and not the one in the image's configuration"
        )]
    );
}

#[test]
fn a_layer_that_could_not_be_read_is_read_again() {
    let bytes = Archive::of(&[("a.fact", b"one")]).bytes();
    let damaged = || OpenLayer {
        file: file(b"something else"),
        ..blob(&bytes)
    };
    let content = read(&[damaged(), blob(&bytes), damaged()], &confined());
    assert_eq!(facts(&content), pairs(&[("a.fact", "one")]));
    let of = digest(b"something else");
    assert_eq!(
        incomplete(&content),
        [format!(
            "layer 1: the layer has the digest {of}, and not the one in the manifest; pull the image again"
        )]
    );
    // Without a digest, nothing says that two layers are the same.
    let unnamed = |text: &[u8]| OpenLayer {
        digest: None,
        diff_id: None,
        ..Archive::of(&[("a.fact", text)]).layer()
    };
    let content = read(&[unnamed(b"one"), unnamed(b"two")], &confined());
    assert_eq!(facts(&content), pairs(&[("a.fact", "two")]));
}

#[test]
fn facts_belong_to_the_file_of_their_layer() {
    let layers = [
        Archive::of(&[("a.fact", b"lower"), ("b.fact", b"kept")]).layer(),
        Archive::of(&[("a.fact", b"upper"), (".wh.b.fact", b"")]).layer(),
    ];
    let content = read(&layers, &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(facts(&content), pairs(&[("a.fact", "upper")]));
    let lower: Vec<_> = content
        .files(1)
        .map(|(path, id, _)| (path, id.layer))
        .collect();
    assert_eq!(
        lower,
        [(b"a.fact".to_vec(), 0), (b"b.fact".to_vec(), 0)],
        "the tree of the lowest layer"
    );
}

#[test]
fn a_large_file_is_read_at_any_position() {
    let mut large = noise(5 << 20);
    large.extend_from_slice(b"last");
    let layer = Archive::new()
        .file("large.seek", &large)
        .file("a.fact", b"after");
    let content = read(&[layer.layer()], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    let facts = facts(&content);
    for expected in [
        ("a.fact", "after".to_owned()),
        ("large.seek", format!("length{}", large.len())),
        ("large.seek", "endOk(()) last".to_owned()),
    ] {
        assert!(
            facts.contains(&(expected.0.to_owned(), expected.1)),
            "{facts:?}"
        );
    }
}

#[test]
fn a_file_beyond_the_spool_is_reported_and_read_as_far_as_it_goes() {
    let limits = Limits {
        spool: 5_000,
        ..Limits::default()
    };
    let large = [b"text ".repeat(1_200), b"rest".to_vec()].concat();
    let layer = Archive::new()
        .file("large.seek", &large)
        .file("z.fact", b"after");
    let content = read(&[layer.layer()], &sandbox(SandboxMode::Required, limits));
    assert_eq!(incomplete(&content), Vec::<String>::new());
    let facts = facts(&content);
    for expected in [
        "fileit has 6004 bytes, more than the 5000 that are read",
        "length5000",
        "after",
    ] {
        assert!(facts.iter().any(|(_, fact)| fact == expected), "{facts:?}");
    }
}

#[test]
fn another_digest_is_reported_and_removes_nothing() {
    let tar = Archive::of(&[("a.fact", b"said")]).bytes();
    let other = digest(b"other");
    let found = digest(&tar);
    for (blob, message) in [
        (
            OpenLayer {
                digest: Some(other.clone()),
                ..blob(&tar)
            },
            format!(
                "layer 1: the layer has the digest {found}, and not the one in the manifest; pull the image again"
            ),
        ),
        (
            OpenLayer {
                diff_id: Some(other),
                ..blob(&tar)
            },
            format!(
                "layer 1: the unpacked layer has the digest {found}, and not the one in the image's configuration"
            ),
        ),
    ] {
        let content = read(&[blob], &confined());
        assert_eq!(incomplete(&content), [message]);
        assert_eq!(facts(&content), pairs(&[("a.fact", "said")]));
    }
    // What nothing states is not compared.
    let unstated = OpenLayer {
        digest: None,
        diff_id: None,
        ..blob(&tar)
    };
    assert_eq!(
        incomplete(&read(&[unstated], &confined())),
        Vec::<String>::new()
    );
}

#[test]
fn a_damaged_layer_says_what_it_had_and_hides_no_other_layer() {
    let tar = Archive::of(&[
        ("a.fact", b"first"),
        ("b", &noise(200_000)),
        ("z.fact", b"last"),
    ])
    .bytes();
    let whole = gzip(&tar);
    let cut = whole.get(..whole.len() / 2).unwrap();
    // The blob has the digest that the manifest has: it was built like this.
    let built = compressed(cut, &tar);
    // The blob was damaged since.
    let damaged = OpenLayer {
        digest: Some(digest(&whole)),
        ..compressed(cut, &tar)
    };
    let upper = || Archive::of(&[("c.fact", b"upper")]).layer();
    let content = read(&[built, upper()], &confined());
    let causes = incomplete(&content);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(
        causes[0].starts_with("layer 1: cannot unpack the layer: "),
        "{causes:?}"
    );
    assert_eq!(
        facts(&content),
        pairs(&[("a.fact", "first"), ("c.fact", "upper")])
    );

    let content = read(&[damaged, upper()], &confined());
    assert_eq!(
        incomplete(&content),
        [format!(
            "layer 1: the layer has the digest {}, and not the one in the manifest; pull the image again",
            digest(cut)
        )]
    );
    assert_eq!(
        facts(&content),
        pairs(&[("a.fact", "first"), ("c.fact", "upper")])
    );
}

#[test]
fn an_image_without_layers_is_empty() {
    let content = read(&[], &confined());
    assert_eq!(incomplete(&content), Vec::<String>::new());
    assert_eq!(content.sandboxed, Sandboxed::Nothing);
    assert!(matches!(
        content.tree.view().resolve(b"etc"),
        Resolved::Missing
    ));
}
