//! Answers that no reading process gives.

use super::*;
use bailiff_image::{Cause, Invalid};

fn lie(name: &str) -> ImageContent {
    let mut sandbox = confined();
    sandbox.program = program(&["lie", name]);
    sandbox.limits.layer.entries = 1000;
    read(&[Archive::new().layer()], &sandbox)
}

/// The fact that some lies tell before they are noticed.
fn told() -> Vec<(String, String)> {
    vec![("a".to_owned(), "lietold".to_owned())]
}

#[test]
fn nothing_of_an_answer_counts_from_its_first_impossible_part_on() {
    for (name, cause) in [
        ("begin", Invalid::Begin),
        ("unsandboxed", Invalid::NotSandboxed),
        ("twice", Invalid::Begin),
        ("parent", Invalid::Path),
        ("absolute", Invalid::Path),
        ("slashes", Invalid::Path),
        ("empty", Invalid::Path),
        ("zero", Invalid::Path),
        ("long", Invalid::Path),
        ("target", Invalid::Target),
        ("directory-size", Invalid::Size),
        ("size", Invalid::Size),
        ("read-directory", Invalid::Fact),
        ("mode", Invalid::Mode),
        ("fact-before", Invalid::Fact),
        ("fact-of-other", Invalid::Fact),
        ("fact-of-later", Invalid::Fact),
        ("digest-of-other", Invalid::Fact),
        ("fact-content", Invalid::FactContent),
        ("no-digest", Invalid::Digest),
        ("long-digest", Invalid::Digest),
        ("unpacked", Invalid::Size),
        ("progress-beyond", Invalid::Progress),
        ("progress-again", Invalid::Progress),
        ("endless", Invalid::Entries),
    ] {
        let content = lie(name);
        let causes: Vec<_> = content.incomplete.iter().map(|i| &i.cause).collect();
        assert_eq!(causes, [&Cause::Answer(cause)], "{name}");
        assert_eq!(facts(&content), [], "{name}");
    }
}

#[test]
fn what_came_before_the_impossible_part_counts() {
    for (name, message) in [
        (
            "large",
            "the answer of the process that reads the layer is invalid: a part of it is too large; the layer might \
             have taken over the process",
        ),
        (
            "malformed",
            "the answer of the process that reads the layer is invalid: a part of it cannot be decoded; the layer \
             might have taken over the process",
        ),
        (
            "trailing",
            "the answer of the process that reads the layer is invalid: a part of it cannot be decoded; the layer \
             might have taken over the process",
        ),
        (
            "cut",
            "the process that reads the layer ended before it had read everything",
        ),
        (
            "silent",
            "the process that reads the layer ended before it had read everything",
        ),
    ] {
        let content = lie(name);
        assert_eq!(
            incomplete(&content),
            [format!("layer 1: {message}")],
            "{name}"
        );
        assert_eq!(facts(&content), told(), "{name}");
    }
    let content = lie("after-end");
    let last = content
        .incomplete
        .last()
        .map(|incomplete| &incomplete.cause);
    assert_eq!(last, Some(&Cause::Answer(Invalid::AfterEnd)));
    assert_eq!(facts(&content), told());
}

#[test]
fn a_lie_about_a_digest_is_reported() {
    let content = lie("digest");
    let zeros = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        incomplete(&content),
        [
            format!(
                "layer 1: the layer has the digest {zeros}, and not the one in the manifest; pull the image again"
            ),
            format!(
                "layer 1: the unpacked layer has the digest {zeros}, and not the one in the image's configuration"
            ),
        ]
    );
    assert_eq!(facts(&content), told());
}
