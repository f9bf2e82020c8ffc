//! npm packages as they are installed: `package.json` in `node_modules`.
//!
//! Here: what the `package.json` directly below `node_modules`, or below a scope there, states. Not here: lock files,
//! and `package.json` elsewhere, which describes a project or a part of a package.
//! Invariant: pure, bounded. Of a file that cannot be read, the name of the directory counts, with no version.

use super::stated::{self, Facts, Values};
use super::{Content, Fact, Interest, METADATA_LIMIT, whole};
use crate::json;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A package of npm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name, with its scope.
    pub name: String,
    /// Its version. Empty if none could be read: then it cannot be compared.
    pub version: String,
    /// The package that has it in its own `node_modules`, such as `npm`. None if it is no part of another one.
    pub bundled_in: Option<String>,
    /// The path in the archive that has it, as in [`java::Archive`](super::java::Archive). Empty if it is a file of the
    /// image.
    pub path_in_archive: String,
}

/// What a `package.json` is called in messages.
const WHAT: &str = "npm package";
/// Bytes of a name. npm has no longer ones.
const NAME_LIMIT: usize = 214;

/// How a file is read.
pub(super) fn interest(path: &[u8], _size: u64, _head: &[u8]) -> Interest {
    match Place::of(path) {
        Some(_) => Interest::Whole(METADATA_LIMIT),
        None => Interest::None,
    }
}

/// Whether the name of a symbolic link gives a meaning to what it leads to.
pub(super) fn gives_meaning(link: &[u8]) -> bool {
    let mut parts: Vec<_> = link.split(|byte| *byte == b'/').collect();
    let is_directory = match parts.as_slice() {
        [.., b"node_modules"] => true,
        [.., b"node_modules", scope] => scope.starts_with(b"@"),
        _ => false,
    };
    is_directory || Place::of(link).is_some() || package(&mut parts).is_some()
}

/// Adds what a file says.
pub(super) fn read(path: &[u8], content: &mut dyn Content, facts: &mut dyn FnMut(Fact)) {
    let bytes = whole(WHAT, content, METADATA_LIMIT, facts);
    read_bytes(path, "", &bytes, facts);
}

/// Whether a file of an archive is read.
pub(super) fn is_read(path: &[u8]) -> bool {
    Place::of(path).is_some()
}

/// Adds what the first [`METADATA_LIMIT`] bytes of a file say, which can be part of an archive.
pub(super) fn read_bytes(
    path: &[u8],
    path_in_archive: &str,
    bytes: &[u8],
    facts: &mut dyn FnMut(Fact),
) {
    let Some(place) = Place::of(path) else {
        return;
    };
    let mut facts = Facts::of(WHAT, facts);
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    // A replaced byte is longer than it was.
    let stated = json::decode::<Stated>(text.as_bytes(), METADATA_LIMIT * 3);
    let stated = stated.unwrap_or_else(|error| {
        facts.fault(error.to_string());
        Stated::default()
    });
    let mut names = stated.names.checked(name, |cause| facts.fault(cause));
    if names.is_empty() {
        // Node finds a package by its directory.
        match name(&place.name) {
            Ok(name) => names.push(name),
            Err(cause) => facts.fault(cause),
        }
    }
    let mut versions = stated
        .versions
        .checked(stated::version, |cause| facts.fault(cause));
    if versions.is_empty() {
        versions.push(String::new());
    }
    for name in &names {
        for version in &versions {
            facts.add(Fact::Npm(Package {
                name: name.clone(),
                version: version.clone(),
                bundled_in: place.bundled_in.clone(),
                path_in_archive: path_in_archive.to_owned(),
            }));
        }
    }
    facts.end();
}

/// Where a package is installed.
struct Place {
    /// The name of its directory, with that of the scope above.
    name: String,
    /// The package whose `node_modules` has it.
    bundled_in: Option<String>,
}

impl Place {
    fn of(path: &[u8]) -> Option<Self> {
        let mut parts: Vec<_> = path.split(|byte| *byte == b'/').collect();
        if parts.pop()? != b"package.json" {
            return None;
        }
        let name = package(&mut parts)?;
        let bundled_in = package(&mut parts);
        Some(Self { name, bundled_in })
    }
}

/// Removes a package directly below `node_modules` from the end of a path. None if it does not end with one.
fn package(parts: &mut Vec<&[u8]>) -> Option<String> {
    let of = |parts: &[&[u8]]| String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
    let is_scope = |part: &[u8]| part.starts_with(b"@");
    // npm keeps its own files in directories such as .bin and .cache.
    let is_name = |part: &[u8]| !part.is_empty() && !part.starts_with(b".") && !is_scope(part);
    let (name, count) = match parts.as_slice() {
        [.., b"node_modules", name] if is_name(name) => (of(&[name]), 2),
        [.., b"node_modules", scope, name] if is_scope(scope) && is_name(name) => {
            (of(&[scope, name]), 3)
        }
        _ => return None,
    };
    parts.truncate(parts.len().saturating_sub(count));
    Some(name)
}

/// A name as npm has it, also one of its early days.
///
/// # Errors
/// If it is none.
fn name(text: &str) -> Result<String, String> {
    let name = stated::name(text, "-_.~!'()*@/")?;
    let error = || format!("its name is {}", stated::shown(&name));
    let own = match name.strip_prefix('@') {
        Some(scoped) => {
            let (scope, own) = scoped.split_once('/').ok_or_else(error)?;
            if scope.is_empty() || scope.contains('@') {
                return Err(error());
            }
            own
        }
        None => &name,
    };
    if name.len() > NAME_LIMIT || own.is_empty() || own.starts_with('.') || own.contains(['@', '/'])
    {
        return Err(error());
    }
    Ok(name)
}

/// The fields that are kept. JSON has a field several times if its author wants programs to differ.
#[derive(Default)]
struct Stated {
    names: Values,
    versions: Values,
}

impl<'de> Deserialize<'de> for Stated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Stated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stated, A::Error> {
                let mut stated = Stated::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let value = map.next_value::<&'de RawValue>()?;
                    let values = match &*key {
                        "name" => &mut stated.names,
                        "version" => &mut stated.versions,
                        _ => continue,
                    };
                    // What is no text is no name and no version.
                    values.push(serde_json::from_str(value.get()).unwrap_or_default());
                }
                Ok(stated)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
