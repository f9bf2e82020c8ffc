//! Artifacts of Maven whose group is not known.
//!
//! Here: the name that stands for an artifact of any group, and what advisories say about it. Not here: how artifacts
//! are guessed (`content::java`).
//! Invariant: a guess is never affected and never fixed. If an advisory affects the artifact of one group, it is
//! unknown whether the package is affected.

use super::{Claim, combined};
use crate::advisory::{Advisory, Verdict};
use crate::ecosystem::Ecosystem;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The group of the names that stand for any group. No group is called so.
const ANY: &str = "*";

/// The name of an artifact of Maven whose group is not known, such as `*:log4j-core`. Advisories about the artifact of
/// each group are about it.
#[must_use]
pub fn any_group(artifact: &str) -> String {
    format!("{ANY}:{artifact}")
}

/// The artifact of a name that stands for any group. None if it is another name.
#[must_use]
pub fn artifact_of_any_group<'a>(ecosystem: &Ecosystem, name: &'a str) -> Option<&'a str> {
    match name.split_once(':') {
        Some((ANY, artifact)) if *ecosystem == Ecosystem::Maven => Some(artifact),
        Some(_) | None => None,
    }
}

/// The names under which an advisory that names a package is looked up: that name, and for Maven the artifact of any
/// group.
pub fn keys<'a>(ecosystem: &Ecosystem, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    let is_maven = *ecosystem == Ecosystem::Maven;
    let artifact = artifact(name).filter(|_| is_maven).map(any_group);
    std::iter::once(Cow::Borrowed(name)).chain(artifact.map(Cow::Owned))
}

/// The artifact in the name of a package of Maven.
fn artifact(name: &str) -> Option<&str> {
    name.split_once(':').map(|(_, artifact)| artifact)
}

/// Whether an entry with this name is about the package, in one ecosystem.
pub(super) fn is_about(ecosystem: &Ecosystem, entry: &str, package: &str) -> bool {
    entry == package
        || artifact_of_any_group(ecosystem, package).is_some_and(|own| artifact(entry) == Some(own))
}

/// What an advisory says about a version of an artifact of any group.
pub(super) fn claim(advisory: &Advisory, package: &str, version: &str) -> Claim {
    let of_maven = || {
        let entries = advisory.affected.iter();
        entries.filter(|entry| entry.ecosystem == Ecosystem::Maven)
    };
    let names: BTreeSet<&str> = of_maven()
        .map(|entry| entry.name.as_str())
        .filter(|name| is_about(&Ecosystem::Maven, name, package))
        .collect();
    let mut unknown = None;
    for name in names {
        let entries = of_maven().filter(|entry| entry.name == name);
        match combined(entries, version) {
            Some(Verdict::Affected { fixed, cause: _ }) => {
                let fixed = match fixed {
                    Some(fixed) => format!(" and fixed in {}", shown(&fixed)),
                    None => String::new(),
                };
                let name = shown(name);
                return Claim::Unknown(format!(
                    "the group of the artifact is not known; {name} is affected{fixed}"
                ));
            }
            Some(Verdict::Unknown(cause)) => {
                let name = shown(name);
                unknown = unknown.or(Some(format!(
                    "the group of the artifact is not known; if it is {name}: {cause}"
                )));
            }
            Some(Verdict::NotAffected) | None => {}
        }
    }
    unknown.map_or(Claim::NotAffected, Claim::Unknown)
}

/// The text as printable ASCII.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_ascii_graphic() {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}
