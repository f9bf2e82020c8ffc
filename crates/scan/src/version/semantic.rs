//! Semantic versions: those of crates.io, and those of npm, which reads them loosely.
//!
//! Here: how both are read. Not here: versions of Go (`go`).
//! Invariant: what npm reads is made a strict version first, and both have the order of the crate `semver`.

use super::Reason;
use super::number::{split, split_digits};
use semver::{BuildMetadata, Prerelease, Version};

/// The most that a number of an npm version can be: JavaScript's `Number.MAX_SAFE_INTEGER`.
const MAX_NPM_NUMBER: u64 = (1 << 53) - 1;

/// Reads a version of crates.io.
pub(super) fn cargo(text: &str) -> Result<Version, Reason> {
    Version::parse(text).map_err(|error| error.to_string().into())
}

/// Reads a version as npm's `semver` reads what is installed (`loose`): after spaces, `v` and `=`, with leading zeros,
/// and with a pre-release that needs no `-` before it.
pub(super) fn npm(text: &str) -> Result<Version, Reason> {
    let space = |c: char| c.is_ascii_whitespace();
    let text = text
        .trim_matches(space)
        .trim_start_matches(|c: char| c == 'v' || c == '=' || space(c));
    let (major, rest) = npm_number(text)?;
    let (minor, rest) = npm_number(after_dot(rest)?)?;
    let (patch, rest) = npm_number(after_dot(rest)?)?;
    let (pre, build) = match rest.split_once('+') {
        Some((pre, build)) => (pre, Some(build)),
        None => (rest, None),
    };
    if build.is_some_and(|build| !are_identifiers(build)) {
        return Err(
            "the build metadata must consist of letters, digits and -, divided by .".into(),
        );
    }
    Ok(Version {
        major,
        minor,
        patch,
        pre: npm_prerelease(pre)?,
        build: BuildMetadata::EMPTY,
    })
}

fn npm_number(text: &str) -> Result<(u64, &str), Reason> {
    let (run, rest) = split_digits(text);
    if run.is_empty() {
        return Err("it must start with three numbers, divided by .".into());
    }
    let number = run.parse().ok().filter(|number| *number <= MAX_NPM_NUMBER);
    let number =
        number.ok_or_else(|| Reason::from(format!("a number must be at most {MAX_NPM_NUMBER}")))?;
    Ok((number, rest))
}

fn after_dot(text: &str) -> Result<&str, Reason> {
    text.strip_prefix('.')
        .ok_or_else(|| "it must start with three numbers, divided by .".into())
}

fn npm_prerelease(text: &str) -> Result<Prerelease, Reason> {
    if text.is_empty() {
        return Ok(Prerelease::EMPTY);
    }
    // A `-` belongs to the first identifier if nothing is left without it.
    let candidates = [text.strip_prefix('-').unwrap_or(text), text];
    let strict = candidates
        .into_iter()
        .find(|text| are_identifiers(text))
        .map(|text| {
            let identifiers: Vec<_> = text.split('.').map(without_leading_zeros).collect();
            identifiers.join(".")
        });
    strict
        .and_then(|text| Prerelease::new(&text).ok())
        .ok_or_else(|| "the pre-release must consist of letters, digits and -, divided by .".into())
}

fn are_identifiers(text: &str) -> bool {
    text.split('.').all(|identifier| {
        let (_, rest) = split(identifier, |c| c.is_ascii_alphanumeric() || c == '-');
        !identifier.is_empty() && rest.is_empty()
    })
}

/// An identifier as a strict version has it: a number without leading zeros.
fn without_leading_zeros(identifier: &str) -> &str {
    let (_, rest) = split_digits(identifier);
    let kept = identifier.trim_start_matches('0');
    match (rest, kept) {
        ("", "") => "0",
        ("", _) => kept,
        _ => identifier,
    }
}
