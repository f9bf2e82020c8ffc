//! Law: an answer about a manifest has facts or a failure that can be printed. Facts have the digest
//! that was asked for and that the registry states, and one of the bytes: other bytes do not have it.
//!
//! An input has parts, separated with `|`: what is asked for (a digest, or anything else for a tag), the
//! media type, the digests that the registry states, separated with commas, and the body, which the
//! answer to HEAD does not have.

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
        digests: digests.clone(),
        body,
    };
    let head = ManifestAnswer {
        body: None,
        ..answer.clone()
    };
    if let Some(facts) = facts(&head, asked.as_ref()) {
        laws(&facts, asked.as_ref(), &digests);
        assert!(!digests.is_empty(), "a digest of nothing");
    }
    let Some(body) = body else {
        return;
    };
    let Some(facts) = facts(&answer, asked.as_ref()) else {
        assert!(answer.facts(asked.as_ref()).is_err(), "a body says nothing");
        return;
    };
    laws(&facts, asked.as_ref(), &digests);
    let other = [body, b"x"].concat();
    let lie = ManifestAnswer {
        body: Some(&other),
        ..answer
    };
    assert_eq!(lie.facts(Some(&facts.digest)), Err(Failure::DigestMismatch));
});

fn facts(answer: &ManifestAnswer<'_>, asked: Option<&Digest>) -> Option<ImageFacts> {
    match answer.facts(asked) {
        Ok(facts) => facts,
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

fn laws(facts: &ImageFacts, asked: Option<&Digest>, stated: &[&str]) {
    assert!(asked.is_none_or(|asked| *asked == facts.digest));
    assert!(
        stated
            .iter()
            .all(|text| text.trim() == facts.digest.as_str())
    );
}
