//! Alpine's security database: which version of a package fixes which vulnerabilities.
//!
//! Here: a file of it, which is about one repository of one release, as JSON. Not here: where files are from.
//! Invariant: a package or an entry that cannot be read is reported and hides no other. A vulnerability that several
//! versions fix is fixed in the highest of them, and one that version `0` fixes was never in the package.

use super::osv::RecordError;
use super::{Advisory, Affected, Range, text};
use crate::ecosystem::Ecosystem;
use crate::json::{self, Members};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a file. Alpine's have about a megabyte.
pub const FILE_LIMIT: usize = 16 << 20;
/// Bytes of an entry. Each of its names can be a name of each of its CVEs.
const ENTRY_LIMIT: usize = 256;

#[derive(Deserialize)]
struct File<'a> {
    distroversion: String,
    #[serde(borrow)]
    packages: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    pkg: Package<'a>,
}

#[derive(Deserialize)]
struct Package<'a> {
    name: String,
    #[serde(borrow)]
    secfixes: Option<&'a RawValue>,
}

/// What a file says about one vulnerability.
#[derive(Default)]
struct Fixes {
    /// Its other names.
    aliases: BTreeSet<String>,
    /// The versions that fix it, by package.
    versions: BTreeMap<String, Vec<String>>,
}

/// Reads a file. `each` gets an advisory for each vulnerability, and an error for whatever cannot be read. The result is
/// the release that the file is about.
///
/// The names of the advisories are unique in the file, and other files have the same: each file must be a source of its
/// own.
///
/// # Errors
/// If the file exceeds a limit, is no such JSON, or does not name a release.
pub fn read(
    bytes: &[u8],
    mut each: impl FnMut(Result<Advisory, String>),
) -> Result<Ecosystem, RecordError> {
    let file: File<'_> = json::decode(bytes, FILE_LIMIT)?;
    let ecosystem =
        Ecosystem::parse(&format!("Alpine:{}", file.distroversion)).ok_or_else(|| {
            let rule = "be a release of Alpine, such as v3.18, of at most 32 characters";
            must("distroversion", rule.to_owned())
        })?;
    let mut fixes: BTreeMap<String, Fixes> = BTreeMap::new();
    for (index, item) in file.packages.unwrap_or_default().into_iter().enumerate() {
        if let Err(error) = add(item, &mut fixes, &mut each) {
            each(Err(format!("packages[{index}]: {error}")));
        }
    }
    for (name, fixes) in fixes {
        each(Ok(advisory(name, fixes, &ecosystem)));
    }
    Ok(ecosystem)
}

fn must(field: &str, rule: String) -> RecordError {
    let field = field.to_owned();
    RecordError::Field { field, rule }
}

/// Adds what is said about a package.
fn add(
    item: &RawValue,
    fixes: &mut BTreeMap<String, Fixes>,
    each: &mut impl FnMut(Result<Advisory, String>),
) -> Result<(), RecordError> {
    let Item { pkg } = json::decode(item.get().as_bytes(), FILE_LIMIT)?;
    if !(1..=NAME_LIMIT).contains(&pkg.name.len()) {
        return Err(must("pkg.name", format!("have 1 to {NAME_LIMIT} bytes")));
    }
    let secfixes = match pkg.secfixes.map(RawValue::get) {
        // A package without fixes.
        None | Some("null" | "[]") => return Ok(()),
        Some(text) => text,
    };
    let Members(versions) = json::decode(secfixes.as_bytes(), FILE_LIMIT)?;
    for (version, entries) in versions {
        let place = |cause: &dyn std::fmt::Display| {
            format!(
                "{} {}: {cause}",
                text::line(&pkg.name),
                text::line(&version)
            )
        };
        if !(1..=VERSION_LIMIT).contains(&version.len()) {
            each(Err(place(&format!(
                "the version must have 1 to {VERSION_LIMIT} bytes"
            ))));
            continue;
        }
        let entries: Option<Vec<&RawValue>> =
            match json::decode(entries.get().as_bytes(), FILE_LIMIT) {
                Ok(entries) => entries,
                Err(error) => {
                    each(Err(place(&error)));
                    continue;
                }
            };
        for entry in entries.unwrap_or_default() {
            let entry: String = match json::decode(entry.get().as_bytes(), FILE_LIMIT) {
                Ok(entry) => entry,
                Err(error) => {
                    each(Err(place(&error)));
                    continue;
                }
            };
            if entry.len() > ENTRY_LIMIT {
                each(Err(place(&format!(
                    "an entry must have at most {ENTRY_LIMIT} bytes"
                ))));
                continue;
            }
            let Names { cves, others } = Names::of(&entry);
            let (names, aliases) = match (cves.is_empty(), others.split_first()) {
                (false, _) => (cves, others.as_slice()),
                (true, Some((first, others))) => (vec![first.clone()], others),
                (true, None) => {
                    let entry = text::line(&entry);
                    each(Err(place(&format!("{entry:?} names no vulnerability"))));
                    continue;
                }
            };
            for name in names {
                let of = fixes.entry(name).or_default();
                of.aliases.extend(aliases.iter().cloned());
                let versions = of.versions.entry(pkg.name.clone()).or_default();
                versions.push(version.clone());
            }
        }
    }
    Ok(())
}

/// The advisory about one vulnerability. A version below any of the fixed ones is affected, so the highest one fixes it.
fn advisory(name: String, fixes: Fixes, ecosystem: &Ecosystem) -> Advisory {
    let affected = fixes.versions.into_iter().map(|(package, versions)| {
        let mut entry = Affected::of(ecosystem.clone(), package);
        entry.ranges = versions.iter().map(|fixed| Range::before(fixed)).collect();
        entry
    });
    // OSV calls the advisory of Alpine about a CVE so.
    let (id, upstream) = match name.strip_prefix("CVE-") {
        Some(_) => (format!("ALPINE-{name}"), vec![name]),
        None => (name, Vec::new()),
    };
    Advisory {
        id,
        aliases: fixes.aliases.into_iter().collect(),
        upstream,
        title: String::new(),
        modified: None,
        withdrawn: false,
        statements: Vec::new(),
        affected: affected.collect(),
    }
}

/// The names in an entry. People write entries: `CVE-2018-7542 XSA-256`, `CVE-????-????? XSA-295`, `CVE_2019-2426`,
/// `CVE 2018-16859`, `CVE-2019-19451.patch`, `CVE-2017-17434-1`, `CVE-2018-14466 (AFS/RX)`.
struct Names {
    /// The CVEs. Each is a vulnerability.
    cves: Vec<String>,
    /// Other names. They are names of each of the CVEs, or of one vulnerability without a CVE.
    others: Vec<String>,
}

impl Names {
    fn of(entry: &str) -> Self {
        let mut names = Self {
            cves: Vec::new(),
            others: Vec::new(),
        };
        let separates = |c: char| c.is_whitespace() || ",;/()[]+\"'".contains(c);
        let mut words = entry.split(separates).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let joined = word
                .eq_ignore_ascii_case("CVE")
                .then(|| words.clone().next())
                .flatten()
                .map(|next| format!("CVE-{next}"));
            let word = joined.as_deref().unwrap_or(word);
            let (list, name) = match cve(word) {
                Some(cve) => (&mut names.cves, cve),
                None if is_name(word) => {
                    let name = word.trim_end_matches(['.', ':']);
                    (&mut names.others, name.to_owned())
                }
                None => continue,
            };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        names
    }
}

/// The CVE at the beginning of a word, in its normal form.
fn cve(word: &str) -> Option<String> {
    let prefix = word.get(..4)?;
    if !prefix.eq_ignore_ascii_case("CVE-") && !prefix.eq_ignore_ascii_case("CVE_") {
        return None;
    }
    let (year, rest) = word.get(4..)?.split_once(['-', '_'])?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let (number, rest) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = (4..=19).contains(&number.len());
    let is_end = !rest.starts_with(|c: char| c.is_alphanumeric());
    (is_year && is_number && is_end).then(|| format!("CVE-{year}-{number}"))
}

/// Whether a word is the name of a vulnerability, such as `XSA-295`, `GHSA-wfm5-v35h-vwf4` or `TALOS-2017-0499`.
fn is_name(word: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    text::is_id(word)
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(is_allowed)
        && word.contains('-')
        && word.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
