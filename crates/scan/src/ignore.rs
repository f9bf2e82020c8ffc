//! Findings that somebody decided to ignore.
//!
//! Here: the entries of a list, and which findings they are about. Not here: reading the file (`cli`), and what else does
//! not count (`counting`).
//! Invariant: an entry has a reason and an end. It is about one vulnerability of one package. A malicious package is
//! ignored only if the names of all advisories that call it malicious are in the list.

use crate::advisory::{Advisory, Kind};
use crate::ecosystem::Ecosystem;
use crate::matching::Finding;
use crate::package::NAME_LIMIT;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value as Json;

/// Bytes of a list.
pub const LIST_LIMIT: usize = 4 << 20;
/// Entries of a list.
const ENTRIES_LIMIT: usize = 10_000;
/// Bytes of the name of a vulnerability.
const ID_LIMIT: usize = 256;
/// Characters of a reason.
const REASON_LIMIT: usize = 1_000;

/// Findings to ignore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreList {
    /// The entries, in the order of the list.
    pub entries: Vec<Entry>,
}

/// A vulnerability of a package to ignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the list, from 1 on.
    pub number: usize,
    /// Any name of the vulnerability. Upper and lower case are the same.
    pub id: String,
    /// Where the package comes from.
    pub ecosystem: Ecosystem,
    /// The name that advisories have for it: for distributions the source package.
    pub name: String,
    /// Why it is ignored: one line or more.
    pub reason: String,
    /// The last day on which it is ignored, in UTC.
    pub expires: Date,
}

/// Why a list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// An entry cannot be used.
    #[error("entry {number}: {cause}")]
    Entry {
        /// Its place in the list, from 1 on.
        number: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// It has too many entries.
    #[error("it has {0} entries, more than the {ENTRIES_LIMIT} that are read")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    package: String,
    reason: String,
    expires: String,
}

impl IgnoreList {
    /// The list with these entries, as they are written.
    ///
    /// # Errors
    /// If an entry lacks a field, has another one, or a field has no usable value. An entry that would be skipped would
    /// go unnoticed.
    pub fn of(written: Vec<Json>) -> Result<Self, IgnoreError> {
        if written.len() > ENTRIES_LIMIT {
            return Err(IgnoreError::TooMany(written.len()));
        }
        let entries = written.into_iter().enumerate().map(|(index, written)| {
            let number = index + 1;
            let entry = serde_json::from_value(written).map_err(|error| error.to_string());
            entry
                .and_then(|written| Entry::of(number, written))
                .map_err(|cause| IgnoreError::Entry { number, cause })
        });
        let entries = entries.collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// The first entry because of which a finding is ignored on this day. None if it is not ignored.
    #[must_use]
    pub fn ignoring(&self, finding: &Finding, today: Date) -> Option<&Entry> {
        let of_package = || {
            let entries = self.entries.iter();
            entries.filter(|entry| entry.is_in_force(today) && entry.is_of_package(finding))
        };
        match finding.kind {
            Kind::Vulnerability | Kind::Informational(_) => {
                of_package().find(|entry| entry.names(finding))
            }
            // Somebody who publishes another name of a malicious package must not be able to hide it.
            Kind::Malicious => {
                let mut ignoring = malicious(finding)
                    .map(|advisory| of_package().find(|entry| entry.is_called(&advisory.id)));
                let first = ignoring.next()?;
                ignoring.all(|entry| entry.is_some()).then_some(first?)
            }
        }
    }

    /// The entries that are past their end on this day.
    pub fn expired(&self, today: Date) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| !entry.is_in_force(today))
    }

    /// The entries that are about none of these findings.
    pub fn unmatched<'a>(&'a self, findings: &[Finding]) -> impl Iterator<Item = &'a Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| !findings.iter().any(|finding| entry.is_about(finding)))
    }
}

/// The advisories that call the package of a finding malicious.
fn malicious(finding: &Finding) -> impl Iterator<Item = &Advisory> {
    let advisories = finding.evidence.iter().map(|evidence| &*evidence.advisory);
    advisories.filter(|advisory| {
        let mut affected = advisory.affected.iter();
        affected.any(|affected| affected.kind == Kind::Malicious)
    })
}

impl Entry {
    fn of(number: usize, written: Written) -> Result<Self, String> {
        let Written {
            id,
            package,
            reason,
            expires,
        } = written;
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=ID_LIMIT).contains(&id.len()) || !is_id(&id) {
            return Err(
                "id: must be the name of a vulnerability, such as CVE-2021-44228".to_owned(),
            );
        }
        let parsed = package.split_once('/').and_then(|(ecosystem, name)| {
            let is_name = (1..=NAME_LIMIT).contains(&name.len());
            is_name.then_some((Ecosystem::of_package(ecosystem), name))
        });
        let (ecosystem, name) = match parsed {
            Some((Ok(ecosystem), name)) => (ecosystem, name),
            Some((Err(error), _)) => return Err(format!("package: {error}")),
            None => {
                return Err(
                    "package: must be written as in the output, such as PyPI/django or Debian:12/openssl"
                        .to_owned(),
                );
            }
        };
        if reason.trim().is_empty() || reason.chars().count() > REASON_LIMIT {
            return Err(format!("reason: must have 1 to {REASON_LIMIT} characters"));
        }
        let date: Option<Date> = expires.parse().ok();
        let Some(date) = date.filter(|date| date.to_string() == expires) else {
            return Err("expires: must be a day, such as 2027-01-31".to_owned());
        };
        Ok(Self {
            number,
            id,
            name: ecosystem.normal_name(name).into_owned(),
            ecosystem,
            reason,
            expires: date,
        })
    }

    /// Whether it is not past its end.
    #[must_use]
    pub fn is_in_force(&self, today: Date) -> bool {
        today <= self.expires
    }

    fn is_called(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
    }

    fn is_of_package(&self, finding: &Finding) -> bool {
        self.name == finding.subject.name && self.ecosystem == finding.subject.ecosystem
    }

    /// Whether its name is one of a finding.
    fn names(&self, finding: &Finding) -> bool {
        let mut names = std::iter::once(&finding.id).chain(&finding.aliases);
        names.any(|name| self.is_called(name))
    }

    /// Whether it is about a finding, in force or not. About a malicious package it is by an advisory that calls it that.
    fn is_about(&self, finding: &Finding) -> bool {
        self.is_of_package(finding)
            && match finding.kind {
                Kind::Vulnerability | Kind::Informational(_) => self.names(finding),
                Kind::Malicious => malicious(finding).any(|advisory| self.is_called(&advisory.id)),
            }
    }
}

#[cfg(test)]
mod tests;
