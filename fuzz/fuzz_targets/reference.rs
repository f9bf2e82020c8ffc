//! Law: a text is an image reference or has an error that can be printed; a reference, printed and
//! parsed again, is the same one, and can be allowed with a pattern. The CEL expression of whatever
//! is a pattern compiles.

#![no_main]

use bailiff_cel::{Env, Type};
use bailiff_oci::{
    InvalidReference, MAX_PATTERN_BYTES, MAX_REFERENCE_BYTES, Patterns, Reference, ShortNames,
};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static ENV: OnceLock<Env> = OnceLock::new();

/// The most memory that parsing takes, in bytes, however long the text is.
const MEMORY: u64 = 16 << 10;

fuzz_target!(|text: &str| {
    let mut parsed = None;
    let taken = allocation_counter::measure(|| {
        parsed = Some(Reference::parse(text, ShortNames::DockerHub));
    });
    assert!(taken.bytes_total < MEMORY, "{} bytes", taken.bytes_total);
    let rejected = Reference::parse(text, ShortNames::Rejected);
    match parsed.expect("the text was parsed") {
        Ok(reference) => {
            if !matches!(rejected, Err(InvalidReference::ShortName { .. })) {
                assert_eq!(rejected.as_ref(), Ok(&reference));
            }
            laws(&reference);
        }
        Err(error) => {
            printable(&error.to_string());
            assert_eq!(rejected, Err(error));
        }
    }
    match Patterns::parse(&[text]) {
        Ok(patterns) => {
            let env = ENV.get_or_init(|| Env::new([("repository", Type::String)]));
            let expression = patterns.to_cel("repository");
            assert!(env.compile(&expression).is_ok(), "{expression}");
        }
        Err(error) => {
            let source = std::error::Error::source(&error).expect("the pattern is invalid");
            printable(&source.to_string());
        }
    }
});

fn laws(reference: &Reference) {
    let normal = reference.to_string();
    assert!(normal.is_ascii() && normal.len() <= MAX_REFERENCE_BYTES);
    let again = Reference::parse(&normal, ShortNames::Rejected).expect("a normal form is valid");
    assert_eq!(again.to_string(), normal);
    assert_eq!(again.repository(), reference.repository());
    assert_eq!(
        (again.tag(), again.digest()),
        (reference.tag(), reference.digest())
    );
    assert_eq!(
        format!("{}/{}", reference.registry(), reference.path()),
        reference.repository()
    );
    let literal = reference.repository().to_owned();
    let below = format!("{}/**", reference.registry());
    for pattern in [literal, below] {
        if pattern.len() <= MAX_PATTERN_BYTES {
            let patterns = Patterns::parse(&[pattern]).expect("a repository is a pattern");
            assert!(patterns.matches(reference));
        }
    }
}

fn printable(message: &str) {
    assert!(message.len() < 300, "{message}");
    assert!(
        message.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{message}"
    );
}
