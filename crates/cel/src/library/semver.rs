//! Semantic versions (k8s.io/apiserver, pkg/cel/library/semverlib.go, on blang/semver).
//!
//! Here: parsing, normalization, order. Not here: versions of packages, which follow other rules.
//! Invariant: build metadata does not count in comparisons.

use super::{Opaque, Outcome, Row, fail, no_overload, quoted};
use crate::value::Value;
use std::cmp::Ordering;
use std::fmt;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { name: "semver", run: to_semver, overloads: &[("string_to_semver", "(string) -> semver"), ("string_bool_to_semver", "(string, bool) -> semver")] },
    Row { name: "isSemver", run: is_semver, overloads: &[("is_semver_string", "(string) -> bool"), ("is_semver_string_bool", "(string, bool) -> bool")] },
    Row { name: "isGreaterThan", run: |a| holds(a, Ordering::is_gt), overloads: &[("semver_is_greater_than", "semver.(semver) -> bool")] },
    Row { name: "isLessThan", run: |a| holds(a, Ordering::is_lt), overloads: &[("semver_is_less_than", "semver.(semver) -> bool")] },
    Row { name: "compareTo", run: compare_to, overloads: &[("semver_compare_to", "semver.(semver) -> int")] },
    Row { name: "major", run: |a| part(a, 0), overloads: &[("semver_major", "semver.() -> int")] },
    Row { name: "minor", run: |a| part(a, 1), overloads: &[("semver_minor", "semver.() -> int")] },
    Row { name: "patch", run: |a| part(a, 2), overloads: &[("semver_patch", "semver.() -> int")] },
];

/// A version.
#[derive(Clone, Debug, Default)]
pub struct Version {
    numbers: [u64; 3],
    pre_release: Vec<Identifier>,
    build: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    // Numbers come before words.
    Number(u64),
    Word(String),
}

impl Version {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Version string empty".to_owned());
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("No Major.Minor.Patch elements found".to_owned());
        };
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (patch, pre_release) = match rest.split_once('-') {
            Some((patch, pre)) => (patch, Some(pre)),
            None => (rest, None),
        };
        let numbers = [
            number(major, "major")?,
            number(minor, "minor")?,
            number(patch, "patch")?,
        ];
        let pre_release = pre_release
            .map(|text| text.split('.').map(identifier).collect())
            .transpose()?
            .unwrap_or_default();
        let mut metadata = Vec::new();
        for part in build.iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty".to_owned());
            }
            if !part.bytes().all(is_allowed) {
                return Err(format!(
                    "Invalid character(s) found in build meta data {}",
                    quoted(part)
                ));
            }
            metadata.push(part.to_owned());
        }
        Ok(Self {
            numbers,
            pre_release,
            build: metadata,
        })
    }

    /// Reads it leniently: `v1.02` is `1.2.0`.
    fn parse_normalized(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text
            .splitn(3, '.')
            .map(|part| {
                if part.len() < 2 {
                    return part.to_owned();
                }
                let trimmed = part.trim_start_matches('0');
                if trimmed.starts_with(|c: char| c.is_ascii_digit()) {
                    trimmed.to_owned()
                } else {
                    format!("0{trimmed}")
                }
            })
            .collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                return Err("short version cannot contain PreRelease/Build meta data".to_owned());
            }
            parts.resize(3, "0".to_owned());
        }
        Self::parse(&parts.join("."))
    }

    pub(super) fn bytes(&self) -> usize {
        let words = self.pre_release.iter().filter_map(|part| match part {
            Identifier::Word(word) => Some(word),
            Identifier::Number(_) => None,
        });
        let words = words.chain(&self.build).map(String::len);
        let parts = self.pre_release.len().saturating_add(self.build.len());
        words.fold(parts, usize::saturating_add)
    }

    /// The order of two; what is before a release comes before it.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let numbers = self.numbers.cmp(&other.numbers);
        numbers.then_with(
            || match (self.pre_release.is_empty(), other.pre_release.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.pre_release.cmp(&other.pre_release),
            },
        )
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn number(text: &str, which: &str) -> Result<u64, String> {
    let name = || {
        format!(
            "{}{}",
            which.get(..1).unwrap_or("").to_uppercase(),
            which.get(1..).unwrap_or("")
        )
    };
    if text.is_empty() {
        return Err("strconv.ParseUint: parsing \"\": invalid syntax".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "Invalid character(s) found in {which} number {}",
            quoted(text)
        ));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!(
            "{} number must not contain leading zeroes {}",
            name(),
            quoted(text)
        ));
    }
    text.parse().map_err(|_| {
        format!(
            "strconv.ParseUint: parsing {}: value out of range",
            quoted(text)
        )
    })
}

fn identifier(text: &str) -> Result<Identifier, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!(
                "Numeric PreRelease version must not contain leading zeroes {}",
                quoted(text)
            ));
        }
        let value = text.parse().map_err(|_| {
            format!(
                "strconv.ParseUint: parsing {}: value out of range",
                quoted(text)
            )
        })?;
        return Ok(Identifier::Number(value));
    }
    if text.bytes().all(is_allowed) {
        return Ok(Identifier::Word(text.to_owned()));
    }
    Err(format!(
        "Invalid character(s) found in prerelease {}",
        quoted(text)
    ))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (place, part) in self.pre_release.iter().enumerate() {
            f.write_str(if place == 0 { "-" } else { "." })?;
            match part {
                Identifier::Number(number) => write!(f, "{number}")?,
                Identifier::Word(word) => f.write_str(word)?,
            }
        }
        for (place, part) in self.build.iter().enumerate() {
            write!(f, "{}{part}", if place == 0 { "+" } else { "." })?;
        }
        Ok(())
    }
}

fn version<'v>(value: &'v Value<'_>) -> Option<&'v Version> {
    match value {
        Value::Opaque(value) => match &**value {
            Opaque::Semver(version) => Some(version),
            _ => None,
        },
        _ => None,
    }
}

fn parsed(arguments: &[Value<'_>]) -> Option<Result<Version, String>> {
    match arguments {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => {
            Some(Version::parse(text))
        }
        [Value::String(text), Value::Bool(true)] => Some(Version::parse_normalized(text)),
        _ => None,
    }
}

fn to_semver<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    match parsed(arguments) {
        Some(Ok(version)) => Ok(Value::opaque(Opaque::Semver(version))),
        Some(Err(error)) => fail(error),
        None => no_overload(),
    }
}

fn is_semver<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    parsed(arguments).map_or_else(no_overload, |version| Ok(Value::Bool(version.is_ok())))
}

fn order(arguments: &[Value<'_>]) -> Option<Ordering> {
    match arguments {
        [a, b] => Some(version(a)?.compare(version(b)?)),
        _ => None,
    }
}

fn holds<'a>(arguments: &[Value<'a>], test: fn(Ordering) -> bool) -> Outcome<'a> {
    order(arguments).map_or_else(no_overload, |order| Ok(Value::Bool(test(order))))
}

fn compare_to<'a>(arguments: &[Value<'a>]) -> Outcome<'a> {
    order(arguments).map_or_else(no_overload, |order| {
        Ok(Value::Int(match order {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }))
    })
}

fn part<'a>(arguments: &[Value<'a>], which: usize) -> Outcome<'a> {
    let found = arguments.first().and_then(version);
    match found.and_then(|version| version.numbers.get(which)) {
        Some(number) => Ok(Value::Int(number.cast_signed())),
        None => no_overload(),
    }
}
