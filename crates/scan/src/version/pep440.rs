//! Versions of Python packages (PEP 440).
//!
//! Here: how they are read. Not here: names of packages.
//! Invariant: a version from before PEP 440 is no version, as in `packaging` since 22.0. Numbers have 64 bits.

use super::Reason;
use pep440_rs::Version;

pub(super) fn parse(text: &str) -> Result<Version, Reason> {
    // The messages of the library quote the text without a bound.
    text.parse()
        .ok()
        .ok_or_else(|| "it is no version of PEP 440".into())
}
