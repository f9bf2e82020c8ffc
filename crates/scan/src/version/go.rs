//! Versions of Go modules, of the standard library and of toolchains.
//!
//! Here: how they become semantic versions. Not here: replaced modules, which have a version of their own.
//! Invariant: a build from a working tree (`(devel)`) has no version.

use super::Reason;
use super::number::{split, split_digits};
use semver::{Prerelease, Version};

/// The first minor version of Go 1 whose first release has a patch number (`go1.21.0`). From it on a toolchain without
/// one (`go1.21`) is the language and earlier than all releases.
const FIRST_WITH_PATCH: u64 = 21;

/// Reads the version of a module, with or without `v`, or of a toolchain, which starts with `go`.
pub(super) fn parse(text: &str) -> Result<Version, Reason> {
    if text.starts_with("(devel)") || text.starts_with("devel") {
        return Err("a build from a working tree has no version".into());
    }
    if let Some(toolchain) = text.strip_prefix("go") {
        return parse_toolchain(toolchain);
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    if !text.contains(['-', '+']) {
        // `v1` and `v1.2` are short forms, which have no pre-release and no build metadata.
        let missing = match text.split('.').count() {
            1 => ".0.0",
            2 => ".0",
            _ => "",
        };
        return semantic(&format!("{text}{missing}"));
    }
    semantic(text)
}

fn semantic(text: &str) -> Result<Version, Reason> {
    Version::parse(text).map_err(|error| error.to_string().into())
}

/// Reads what follows `go` in the version of a toolchain: `1`, `1.20`, `1.20.3`, `1.21rc2`. A vendor's suffix after `-`
/// or a space (`-acme`, ` X:boringcrypto`) is left out, as `go/version` does.
fn parse_toolchain(text: &str) -> Result<Version, Reason> {
    let invalid = || Reason::from("a toolchain is go1.20, go1.20.3 or go1.20rc1");
    let (text, _) = split(text, |c| c != '-' && c != ' ');
    let (major, rest) = number(text).ok_or_else(invalid)?;
    let mut version = Version::new(major, 0, 0);
    let Some(rest) = rest.strip_prefix('.') else {
        return if rest.is_empty() {
            Ok(version)
        } else {
            Err(invalid())
        };
    };
    let (minor, rest) = number(rest).ok_or_else(invalid)?;
    version.minor = minor;
    if rest.is_empty() {
        if minor >= FIRST_WITH_PATCH {
            version.pre = prerelease("0")?;
        }
        return Ok(version);
    }
    if let Some(rest) = rest.strip_prefix('.') {
        let (patch, rest) = number(rest).ok_or_else(invalid)?;
        version.patch = patch;
        return if rest.is_empty() {
            Ok(version)
        } else {
            Err(invalid())
        };
    }
    let (kind, rest) = split(rest, |c| c.is_ascii_lowercase());
    version.pre = match (kind, number(rest)) {
        ("", _) => return Err(invalid()),
        (_, None) if rest.is_empty() => prerelease(kind)?,
        (_, Some((number, ""))) => prerelease(&format!("{kind}.{number}"))?,
        _ => return Err(invalid()),
    };
    Ok(version)
}

fn prerelease(text: &str) -> Result<Prerelease, Reason> {
    Prerelease::new(text).map_err(|error| error.to_string().into())
}

/// The number at the start of a text, and the rest. It has no leading zero.
fn number(text: &str) -> Option<(u64, &str)> {
    let (run, rest) = split_digits(text);
    let leading_zero = run.len() > 1 && run.starts_with('0');
    run.parse()
        .ok()
        .filter(|_| !leading_zero)
        .map(|number| (number, rest))
}
