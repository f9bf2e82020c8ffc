//! Law: an answer about a manifest has facts or a failure that can be printed. Facts have the digest
//! that was asked for and that the registry states, and one of the bytes: other bytes do not have it.
//!
//! An input has parts, separated with `|`: what is asked for (a digest, or anything else for a tag), the
//! media type, the digests that the registry states, separated with commas, and the body.

#![no_main]

use bailiff_oci::{Digest, Failure, ImageFacts, ManifestAnswer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut parts = input.splitn(4, '|');
    let asked = parts.next().and_then(|text| Digest::parse(text).ok());
    let content_type = parts.next();
    let digests: Vec<_> = parts
        .next()
        .map(|texts| texts.split(',').filter(|text| !text.is_empty()).collect())
        .unwrap_or_default();
    let body = parts.next().map(str::as_bytes);
    let answer = ManifestAnswer {
        content_type,
        digests,
    };
    if let Some(facts) = kept(answer.facts(asked.as_ref())).flatten() {
        laws(&facts, asked.as_ref(), &answer);
        assert!(!answer.digests.is_empty(), "a digest of nothing");
    }
    let (Some(body), Some(mut content)) = (body, kept(answer.content(asked.as_ref()))) else {
        return;
    };
    content.update(body);
    let mut other = content.clone();
    let Some(facts) = kept(content.finish()) else {
        return;
    };
    laws(&facts, asked.as_ref(), &answer);
    other.update(b"x");
    assert_ne!(other.finish().map(|facts| facts.digest), Ok(facts.digest));
});

/// The value, if there is one. A failure can be printed.
fn kept<T>(result: Result<T, Failure>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(failure) => {
            let message = failure.to_string();
            assert!(message.len() < 150, "{message}");
            assert!(
                message.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
                "{message}"
            );
            None
        }
    }
}

fn laws(facts: &ImageFacts, asked: Option<&Digest>, answer: &ManifestAnswer<'_>) {
    assert!(asked.is_none_or(|asked| *asked == facts.digest));
    let digest = facts.digest.as_str();
    assert!(answer.digests.iter().all(|text| text.trim() == digest));
}
