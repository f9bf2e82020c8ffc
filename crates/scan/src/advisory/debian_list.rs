//! Debian's lists of security updates: DSA, and DLA for releases with long-term support.
//!
//! Here: a list as text. Not here: the security tracker (`debian`), and the numbers of releases (`release`).
//! Invariant: a line that cannot be read is reported with its number, and hides no other update.

use super::{Advisory, Affected, FixDate, Note, Range, debian, text};
use crate::ecosystem::Ecosystem;
use crate::package::{NAME_LIMIT, VERSION_LIMIT};
use crate::release;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Bytes of a list. Debian's have about a megabyte.
pub const LIST_LIMIT: usize = 16 << 20;
/// Packages, and vulnerabilities, of an update.
const UPDATE_LIMIT: usize = 10_000;

/// A list is larger than [`LIST_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {0} bytes, more than the {LIST_LIMIT} that are read")]
pub struct TooLarge(pub usize);

/// An update.
struct Update {
    id: String,
    date: Date,
    title: String,
    /// The vulnerabilities that it fixes.
    fixes: BTreeSet<String>,
    affected: Vec<Affected>,
}

/// Reads a list. `each` gets an advisory for each update, and an error for each line that cannot be read.
///
/// An update that corrects an update before it and names no vulnerability is no advisory.
///
/// # Errors
/// If the list exceeds a limit.
pub fn read(bytes: &[u8], mut each: impl FnMut(Result<Advisory, String>)) -> Result<(), TooLarge> {
    if bytes.len() > LIST_LIMIT {
        return Err(TooLarge(bytes.len()));
    }
    let mut update: Option<Update> = None;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let result = if line.starts_with('[') {
            if let Some(advisory) = update.take().and_then(Update::advisory) {
                each(Ok(advisory));
            }
            Update::begin(&line).map(|begun| update = Some(begun))
        } else {
            // The lines of an update that could not be read have no place.
            update
                .as_mut()
                .map_or(Ok(()), |update| update.add(line.trim()))
        };
        if let Err(cause) = result {
            each(Err(format!("line {}: {cause}", index + 1)));
        }
    }
    if let Some(advisory) = update.and_then(Update::advisory) {
        each(Ok(advisory));
    }
    Ok(())
}

impl Update {
    /// The first line: `[29 Mar 2023] DSA-5380-1 xorg-server - security update`.
    fn begin(line: &str) -> Result<Self, String> {
        let (date, rest) = line
            .trim_start_matches('[')
            .split_once(']')
            .ok_or("must have a date in brackets")?;
        let date = Date::strptime("%d %b %Y", date.trim())
            .map_err(|_format| "must have a date such as [29 Mar 2023]")?;
        let rest = rest.trim();
        let (id, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if !text::is_id(id) {
            return Err("must have a name such as DSA-5380-1 after the date".to_owned());
        }
        // Most updates are called so. It says nothing about the vulnerability.
        let says_nothing = rest.trim().ends_with("- security update");
        let title = if says_nothing {
            String::new()
        } else {
            text::line(rest)
        };
        Ok(Self {
            id: id.to_owned(),
            date,
            title,
            fixes: BTreeSet::new(),
            affected: Vec::new(),
        })
    }

    /// A line after the first one, without the space around it.
    fn add(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with("NOTE:") || line.starts_with("TODO:") {
            return Ok(());
        }
        if let Some(names) = line.strip_prefix('{') {
            for name in names.trim_end_matches('}').split_whitespace() {
                if !text::is_id(name) {
                    return Err("the names must be printable ASCII".to_owned());
                }
                if self.fixes.len() >= UPDATE_LIMIT {
                    return Err(format!("must have at most {UPDATE_LIMIT} vulnerabilities"));
                }
                self.fixes.insert(name.to_owned());
            }
            return Ok(());
        }
        let entry = self.package(line)?;
        if self.affected.len() >= UPDATE_LIMIT {
            return Err(format!("must have at most {UPDATE_LIMIT} packages"));
        }
        self.affected.push(entry);
        Ok(())
    }

    /// The line of a package: `[bullseye] - xorg-server 2:1.20.11-1+deb11u6`, or a mark such as `<not-affected>` in the
    /// place of the version, and a reason in parentheses.
    fn package(&self, line: &str) -> Result<Affected, String> {
        const FORM: &str = "must be a package such as [bullseye] - xorg-server 2:1.20.11-1+deb11u6";
        let (codename, rest) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once(']'))
            .ok_or(FORM)?;
        let number = release::debian_number(codename).ok_or_else(|| {
            let codename = text::line(codename);
            format!("{codename:?} is no release of Debian that Bailiff knows")
        })?;
        let rest = rest.trim_start().strip_prefix("- ").ok_or(FORM)?;
        let mut words = rest.split_whitespace();
        let (package, version) = words.next().zip(words.next()).ok_or(FORM)?;
        if package.len() > NAME_LIMIT || version.len() > VERSION_LIMIT {
            let limits = format!("{NAME_LIMIT} bytes and the version {VERSION_LIMIT}");
            return Err(format!("the name must have at most {limits}"));
        }
        let mut entry = Affected::of(Ecosystem::Debian(number.to_owned()), package.to_owned());
        let reason = || {
            let (_, reason) = rest.split_once('(').unwrap_or_default();
            text::line(reason.trim_end().trim_end_matches(')'))
        };
        let (range, note) = match version {
            "<not-affected>" => (Some(Range::before("0")), None),
            "<unfixed>" | "<no-dsa>" => (Some(Range::all()), None),
            "<postponed>" => (Some(Range::all()), Some(Note::Postponed(reason()))),
            "<ignored>" => (Some(Range::all()), Some(Note::WontFix(reason()))),
            "<end-of-life>" => (Some(Range::all()), Some(Note::EndOfLife(reason()))),
            "<undetermined>" => (None, Some(debian::undetermined())),
            mark if mark.starts_with('<') => {
                return Err(format!(
                    "{:?} is no mark that Bailiff knows",
                    text::line(mark)
                ));
            }
            version => {
                entry.fix_dates.push(FixDate {
                    version: version.to_owned(),
                    date: self.date,
                    source: self.id.clone(),
                });
                (Some(Range::before(version)), None)
            }
        };
        entry.ranges.extend(range);
        entry.notes.extend(note);
        Ok(entry)
    }

    /// The advisory. None if it names no package, or only corrects an update.
    fn advisory(self) -> Option<Advisory> {
        let corrects = self.fixes.is_empty() && self.title.contains("regression");
        if self.affected.is_empty() || corrects {
            return None;
        }
        let modified = self.date.to_zoned(TimeZone::UTC).ok();
        Some(Advisory {
            id: self.id,
            aliases: Vec::new(),
            upstream: self.fixes.into_iter().collect(),
            title: self.title,
            modified: modified.map(|time| time.timestamp()),
            withdrawn: false,
            statements: Vec::new(),
            affected: self.affected,
        })
    }
}

#[cfg(test)]
mod tests;
