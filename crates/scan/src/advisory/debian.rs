//! Debian's security tracker: the state of each vulnerability in each release.
//!
//! Here: the JSON file of the tracker. Not here: Debian's lists of security updates (`debian_list`), and the numbers of
//! releases (`release`).
//! Invariant: a vulnerability or release that cannot be read is reported and hides no other. A state that the tracker
//! does not know, or that Bailiff does not know, is `Undetermined`, and never not affected.

use super::{Advisory, Affected, Note, Range, text};
use crate::ecosystem::Ecosystem;
use crate::json::{self, JsonError, Members};
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use crate::release;
use crate::severity::Statement;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Bytes of the file. Debian's has about 80 MB.
pub const FILE_LIMIT: usize = 512 << 20;
/// Vulnerabilities of packages. Debian has some hundred thousand.
const ISSUES_LIMIT: usize = 5_000_000;
/// Packages and releases of one vulnerability.
const STATES_LIMIT: usize = 20_000;

/// A vulnerability in a package.
#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    releases: Option<&'a RawValue>,
}

/// The state in a release.
#[derive(Deserialize)]
struct State {
    status: Option<String>,
    fixed_version: Option<String>,
    urgency: Option<String>,
    nodsa: Option<String>,
    nodsa_reason: Option<String>,
}

/// Reads the file. `each` gets an advisory for each vulnerability, and an error for whatever cannot be read.
///
/// # Errors
/// If the file exceeds a limit, or is no JSON object.
pub fn read(bytes: &[u8], mut each: impl FnMut(Result<Advisory, String>)) -> Result<(), JsonError> {
    let Members(packages) = json::decode(bytes, FILE_LIMIT)?;
    let mut of_id: BTreeMap<String, Vec<(&str, &RawValue)>> = BTreeMap::new();
    let mut left = ISSUES_LIMIT;
    for (package, issues) in &packages {
        let shown = text::line(package);
        if !(1..=NAME_LIMIT).contains(&package.len()) {
            each(Err(format!(
                "{shown}: the name must have 1 to {NAME_LIMIT} bytes"
            )));
            continue;
        }
        match json::decode(issues.get().as_bytes(), FILE_LIMIT) {
            Ok(Members(issues)) => {
                let Some(rest) = left.checked_sub(issues.len()) else {
                    let cause = format!(
                        "with the packages before it, it has more than {ISSUES_LIMIT} vulnerabilities; its own are not read"
                    );
                    each(Err(format!("{shown}: {cause}")));
                    continue;
                };
                left = rest;
                for (id, issue) in issues {
                    of_id.entry(id).or_default().push((package, issue));
                }
            }
            Err(error) => each(Err(format!("{shown}: {error}"))),
        }
    }
    for (id, issues) in of_id {
        if !text::is_id(&id) {
            let id = text::line(&id);
            each(Err(format!(
                "{id}: the name must be printable ASCII without spaces"
            )));
            continue;
        }
        let advisory = advisory(id, &issues, &mut |error| each(Err(error)));
        each(Ok(advisory));
    }
    Ok(())
}

/// The advisory about one vulnerability.
fn advisory(name: String, issues: &[(&str, &RawValue)], fail: &mut dyn FnMut(String)) -> Advisory {
    let mut affected = Vec::new();
    let mut title = String::new();
    for (package, issue) in issues {
        let place = format!("{} {name}", text::line(package));
        let issue: Issue<'_> = match json::decode(issue.get().as_bytes(), FILE_LIMIT) {
            Ok(issue) => issue,
            Err(error) => {
                fail(format!("{place}: {error}"));
                continue;
            }
        };
        if title.is_empty() {
            let description = issue.description.map(RawValue::get).unwrap_or_default();
            // One that is no text is none.
            let description = serde_json::from_str::<String>(description).unwrap_or_default();
            title = text::line(&description);
        }
        let releases = match issue.releases.map(RawValue::get) {
            // A vulnerability of a package that is in no release.
            None | Some("null" | "[]") => continue,
            Some(text) => json::decode(text.as_bytes(), FILE_LIMIT),
        };
        let Members(releases) = match releases {
            Ok(releases) => releases,
            Err(error) => {
                fail(format!("{place}: releases: {error}"));
                continue;
            }
        };
        for (codename, state) in releases {
            // A release that is newer than the table has no number yet, so that no image is of it.
            let Some(number) = release::debian_number(&codename) else {
                continue;
            };
            let state = json::decode::<State>(state.get().as_bytes(), FILE_LIMIT);
            let state = state.map_err(|error| error.to_string());
            match state.and_then(|state| state.affected(number, package)) {
                Ok(_) if affected.len() >= STATES_LIMIT => {
                    let cause = format!(
                        "the vulnerability has more than {STATES_LIMIT} states; this one and the ones after it are not read"
                    );
                    fail(format!("{place}: {cause}"));
                    break;
                }
                Ok(entry) => affected.push(entry),
                Err(error) => fail(format!("{place} {}: {error}", text::line(&codename))),
            }
        }
    }
    // OSV calls the advisory of Debian about a CVE so. Others have temporary names, such as TEMP-0517018-A83CE6.
    let (id, upstream) = match name.strip_prefix("CVE-") {
        Some(_) => (format!("DEBIAN-{name}"), vec![name]),
        None => (name, Vec::new()),
    };
    Advisory {
        id,
        aliases: Vec::new(),
        upstream,
        title,
        modified: None,
        withdrawn: false,
        statements: Vec::new(),
        affected,
    }
}

impl State {
    fn affected(self, release: &str, package: &str) -> Result<Affected, String> {
        let mut entry = Affected::of(Ecosystem::Debian(release.to_owned()), package.to_owned());
        if let Some(version) = &self.fixed_version
            && !(1..=VERSION_LIMIT).contains(&version.len())
        {
            return Err(format!(
                "fixed_version: must have 1 to {VERSION_LIMIT} bytes"
            ));
        }
        let fixed = self.fixed_version.as_deref();
        match (self.status.as_deref(), fixed) {
            // The version 0 is before all versions: the release never had it.
            (Some("resolved"), Some(fixed)) => entry.ranges.push(Range::before(fixed)),
            (Some("open"), Some(fixed)) if fixed != "0" => entry.ranges.push(Range::before(fixed)),
            (Some("open"), _) => entry.ranges.push(Range::all()),
            (Some("undetermined"), _) => entry.notes.push(undetermined()),
            (status, _) => {
                let status = text::line(status.unwrap_or_default());
                let reason =
                    format!("Debian's tracker gives the status {status:?} without a version");
                entry.notes.push(Note::Undetermined(reason));
            }
        }
        let reason = text::line(self.nodsa.as_deref().unwrap_or_default());
        match self.nodsa_reason.as_deref() {
            Some("ignored") => entry.notes.push(Note::WontFix(reason)),
            Some("postponed") => entry.notes.push(Note::Postponed(reason)),
            // Without an advisory of its own, it can still be fixed in a point release.
            Some(_) | None => {}
        }
        let (word, note) = self.urgency.as_deref().map(urgency).unwrap_or_default();
        entry.statements.extend(word);
        entry.notes.extend(note);
        Ok(entry)
    }
}

/// Nobody has determined it yet.
pub(super) fn undetermined() -> Note {
    Note::Undetermined("Debian has not determined whether the package is affected".to_owned())
}

/// What Debian's urgency says: a severity, or something else about the vulnerability. An asterisk marks one that was
/// taken from the National Vulnerability Database.
pub(super) fn urgency(word: &str) -> (Option<Statement>, Option<Note>) {
    match word.trim_end_matches('*') {
        "unimportant" => (None, Some(Note::Unimportant)),
        "end-of-life" => (None, Some(Note::EndOfLife(String::new()))),
        word @ ("low" | "medium" | "high") => (Statement::of_word(word), None),
        // "not yet assigned".
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests;
