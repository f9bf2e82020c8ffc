//! The data of a `ConfigMap` with facts.
//!
//! Here: its text, and what a text is worth. Not here: what is in it (`super`), and what is not (`room`).
//! Invariant: whatever a text is, reading it is bounded. Facts whose hash is another one are not used; a fact
//! that cannot be used does not hide others. A line that another replica can read, because its clock is ahead or
//! its version is newer, stays in the text when this one writes it.

use super::room::fit;
use super::{BYTES_LIMIT, FACTS_LIMIT, Fact, FactKey, Facts, RETENTION_SECONDS, Users, add};
use crate::digest::Digest;
use crate::lookup::{ImageFacts, ManifestKind};
use crate::reference::{Reference, ShortNames};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Key of the facts: one in each line, as JSON.
const FACTS: &str = "facts";
/// Key of the SHA-256 of the facts.
const HASH: &str = "sha256";
/// Bytes of the data besides the lines.
pub(super) const FRAME_BYTES: usize = FACTS.len() + HASH.len() + 64;
/// Most bytes of a line. The longest that is written has less: a reference has at most 1 KiB, and its namespaces have
/// at most 600 bytes.
pub(super) const LINE_LIMIT: usize = 4 << 10;
/// How far a time can be in the future, because clocks differ, in seconds.
const CLOCK_LIMIT: i64 = 5 * 60;
/// Most lines that are kept without being used.
const CARRIED_LIMIT: usize = 64;
/// Most bytes of them.
const CARRIED_BYTES: usize = 64 << 10;

/// Why the facts of a `ConfigMap` are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// One of the two keys is missing.
    #[error("the key {FACTS} or {HASH} is missing")]
    Incomplete,
    /// The facts have another hash.
    #[error("the hash of the facts is not that of the key {HASH}")]
    Hash,
    /// The data has more than [`BYTES_LIMIT`] bytes.
    #[error("the data has more than 512 KiB")]
    TooLarge,
}

/// A line that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// What a `ConfigMap` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The facts that can be used.
    pub facts: Facts,
    /// Why others cannot be.
    pub faults: Vec<Fault>,
    /// Of these the lines that a write leaves as they are.
    pub carried: Vec<Carried>,
}

/// A line that is not used and stays as it is, because another replica can use it: its times are in the future by
/// the clock of this one, or it is of a newer version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// What it is about; none: it is of a newer version.
    pub key: Option<FactKey>,
    text: Box<str>,
}

/// Why a line is not used, and whether it stays.
struct Unusable {
    what: &'static str,
    /// Otherwise it goes with the next write.
    stays: bool,
    key: Option<FactKey>,
}

impl From<&'static str> for Unusable {
    fn from(what: &'static str) -> Self {
        Self {
            what,
            stays: false,
            key: None,
        }
    }
}

/// What a line of each version has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfAnyVersion {
    last_admitted: i64,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    endpoint: &'a str,
    image: &'a str,
    digest: &'a str,
    kind: Kind,
    #[serde(default, skip_serializing_if = "is_false")]
    named_by_policy: bool,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    credential: &'a str,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    credential_version: &'a str,
    /// Absent: several.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    /// Of several those that are known. A version that does not know the field loses it.
    #[serde(borrow, default, skip_serializing_if = "BTreeSet::is_empty")]
    namespaces: BTreeSet<&'a str>,
    confirmed: i64,
    first_admitted: i64,
    last_admitted: i64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Kind {
    Manifest,
    Index,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Reads the data of the `ConfigMap` with this number at a time. Without data it has no facts.
///
/// # Errors
/// The facts cannot be used.
pub fn read(
    number: usize,
    data: Option<&BTreeMap<String, String>>,
    now: i64,
) -> Result<Read, Corrupt> {
    let Some(data) = data.filter(|data| !data.is_empty()) else {
        return Ok(Read::default());
    };
    let (Some(text), Some(hash)) = (data.get(FACTS), data.get(HASH)) else {
        return Err(Corrupt::Incomplete);
    };
    if text.len().saturating_add(FRAME_BYTES) > BYTES_LIMIT {
        return Err(Corrupt::TooLarge);
    }
    if hash_of(text) != *hash {
        return Err(Corrupt::Hash);
    }
    let mut found = Read::default();
    let mut carried_bytes = 0_usize;
    for (at, line) in text.lines().enumerate() {
        let number_of_line = at.saturating_add(1);
        let fault = |what| Fault {
            line: number_of_line,
            what,
        };
        if at >= FACTS_LIMIT {
            found.faults.push(fault("there are more than 512 facts"));
            break;
        }
        match decode(number, line, now) {
            Ok((key, fact)) => add(&mut found.facts, key, fact),
            Err(Unusable { what, stays, key }) => {
                found.faults.push(fault(what));
                let bytes = carried_bytes.saturating_add(line.len()).saturating_add(1);
                if stays && found.carried.len() < CARRIED_LIMIT && bytes <= CARRIED_BYTES {
                    carried_bytes = bytes;
                    let text = line.into();
                    found.carried.push(Carried { key, text });
                }
            }
        }
    }
    Ok(found)
}

/// The data of a `ConfigMap` with these facts and lines at a time, and which facts have room in it.
#[must_use]
pub fn encode(
    mut facts: Facts,
    carried: &[Carried],
    now: i64,
) -> (BTreeMap<String, String>, Facts) {
    let lines = carried.iter().map(|line| format!("{}\n", line.text));
    let kept: String = lines.collect();
    let frame = FRAME_BYTES.saturating_add(kept.len());
    fit(&mut facts, carried.len(), frame, now);
    let text: String = facts
        .iter()
        .filter_map(|(key, fact)| line(key, fact))
        .chain([kept])
        .collect();
    let hash = hash_of(&text);
    let data = BTreeMap::from([(FACTS.to_owned(), text), (HASH.to_owned(), hash)]);
    (data, facts)
}

/// The line of a fact; none: it is one that no registry can cause.
pub(super) fn line(key: &FactKey, fact: &Fact) -> Option<String> {
    let namespaces = match &fact.users {
        Users::One(_) => BTreeSet::new(),
        Users::Several(known) => known.iter().map(|name| &**name).collect(),
    };
    let line = Line {
        endpoint: &key.endpoint,
        image: &key.image,
        digest: fact.facts.digest.as_str(),
        kind: match fact.facts.kind {
            ManifestKind::Manifest => Kind::Manifest,
            ManifestKind::Index => Kind::Index,
        },
        named_by_policy: key.named_by_policy,
        credential: &key.credential,
        credential_version: &fact.credential_version,
        namespace: fact.users.only(),
        namespaces,
        confirmed: fact.confirmed,
        first_admitted: fact.first_admitted,
        last_admitted: fact.last_admitted,
    };
    let mut text = serde_json::to_string(&line).ok()?;
    text.push('\n');
    (text.len() <= LINE_LIMIT).then_some(text)
}

fn decode(number: usize, text: &str, now: i64) -> Result<(FactKey, Fact), Unusable> {
    if text.len() > LINE_LIMIT {
        return Err("it has more than 4 KiB".into());
    }
    let latest = now.saturating_add(CLOCK_LIMIT);
    let Ok(line) = serde_json::from_str::<Line<'_>>(text) else {
        let of_any = serde_json::from_str::<OfAnyVersion>(text).ok();
        let earliest = now.saturating_sub(RETENTION_SECONDS);
        let stays = of_any.is_some_and(|line| (earliest..=latest).contains(&line.last_admitted));
        return Err(Unusable {
            what: "it is not a fact",
            stays,
            key: None,
        });
    };
    let reference = Reference::parse(line.image, ShortNames::DockerHub)
        .ok()
        .ok_or("its image is invalid")?;
    if reference.to_string() != line.image {
        return Err("its image is not in the normal form".into());
    }
    let digest = Digest::parse(line.digest)
        .ok()
        .ok_or("its digest is invalid")?;
    if reference
        .digest()
        .is_some_and(|of_image| *of_image != digest)
    {
        return Err("its digest is not that of its image".into());
    }
    let times = [line.first_admitted, line.last_admitted, line.confirmed];
    if times.iter().any(|time| *time < 0) {
        return Err("a time of it is not possible".into());
    }
    let key = FactKey {
        endpoint: line.endpoint.into(),
        image: line.image.into(),
        named_by_policy: line.named_by_policy,
        credential: line.credential.into(),
    };
    if key.config_map() != number {
        return Err("it belongs to another ConfigMap".into());
    }
    if times.iter().any(|time| *time > latest) {
        return Err(Unusable {
            what: "a time of it is in the future",
            stays: true,
            key: Some(key),
        });
    }
    let users = if let Some(namespace) = line.namespace {
        Users::One(namespace.into())
    } else {
        let known = line.namespaces.iter().map(|&name| name.into());
        Users::several(known.collect(), line.image)
    };
    let fact = Fact {
        facts: ImageFacts {
            digest,
            kind: match line.kind {
                Kind::Manifest => ManifestKind::Manifest,
                Kind::Index => ManifestKind::Index,
            },
        },
        credential_version: line.credential_version.into(),
        // Else a clock that is ahead has it used for longer.
        confirmed: line.confirmed.min(now),
        first_admitted: line.first_admitted,
        last_admitted: line.last_admitted,
        users,
    };
    Ok((key, fact))
}

/// The SHA-256 of a text.
pub(super) fn hash_of(text: &str) -> String {
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing into a string does not fail.
        let _written = write!(digits, "{byte:02x}");
    }
    digits
}
