//! Which versions an advisory affects.
//!
//! Here: ranges, enumerated versions, and what ends a range. Not here: the orders of versions (`version`).
//! Invariant: a version that cannot be compared is `Unknown`, unless the advisory affects all versions or names this
//! one. It is never `NotAffected`.

use super::{Affected, Event, Note, Range};
use crate::ecosystem::Ecosystem;
use crate::version::{Incomparable, Operand, Versions};
use std::cmp::Ordering;
use std::fmt;

/// What an advisory says about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The version is affected.
    Affected {
        /// The lowest version above all affected ranges that contain the version. None if no such version is known.
        fixed: Option<String>,
        /// Why it is affected.
        cause: Cause,
    },
    /// The version is not affected.
    NotAffected,
    /// That cannot be determined, for this reason.
    Unknown(String),
}

/// Why a version is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A range contains it.
    Range {
        /// The first version of the range. `0` is before all versions.
        introduced: String,
        /// Where the range ends.
        end: End,
    },
    /// The advisory lists the version.
    Listed,
}

/// Where a range ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nowhere: all later versions are affected.
    Open,
    /// Before this version, in which the vulnerability is fixed.
    Fixed(String),
    /// After this version. No version is known in which the vulnerability is fixed.
    LastAffected(String),
    /// Before this version. No version is known in which the vulnerability is fixed.
    Before(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Range { introduced, end } = self else {
            return f.write_str("it is one of the listed versions");
        };
        if introduced == "0" {
            f.write_str("all versions")?;
        } else {
            write!(f, "versions from {introduced}")?;
        }
        match end {
            End::Open if introduced == "0" => f.write_str(" are affected"),
            End::Open => f.write_str(" on are affected"),
            End::Fixed(version) => write!(f, " before {version} are affected"),
            End::LastAffected(version) => {
                write!(
                    f,
                    " up to {version} are affected, and no fixed version is known"
                )
            }
            End::Before(version) => {
                write!(
                    f,
                    " before {version} are affected, and no fixed version is known"
                )
            }
        }
    }
}

/// Where a version is in relation to a range.
enum Position<'a> {
    Outside,
    Inside { introduced: &'a str, end: EndOf<'a> },
    Unknown(String),
}

/// Where a range ends: an [`End`] of an advisory.
#[derive(Clone, Copy)]
enum EndOf<'a> {
    Open,
    Fixed(&'a str),
    LastAffected(&'a str),
    Before(&'a str),
}

impl From<EndOf<'_>> for End {
    fn from(end: EndOf<'_>) -> Self {
        match end {
            EndOf::Open => Self::Open,
            EndOf::Fixed(version) => Self::Fixed(version.to_owned()),
            EndOf::LastAffected(version) => Self::LastAffected(version.to_owned()),
            EndOf::Before(version) => Self::Before(version.to_owned()),
        }
    }
}

impl<'a> From<&'a End> for EndOf<'a> {
    fn from(end: &'a End) -> Self {
        match end {
            End::Open => Self::Open,
            End::Fixed(version) => Self::Fixed(version),
            End::LastAffected(version) => Self::LastAffected(version),
            End::Before(version) => Self::Before(version),
        }
    }
}

impl From<Incomparable> for Position<'_> {
    fn from(cause: Incomparable) -> Self {
        Self::Unknown(cause.to_string())
    }
}

/// The reason if there are only ranges of commits.
const NOTHING_TO_COMPARE: &str = "the advisory names no versions of the package";
/// The reason if a pseudo-version is compared with a version of another numbering.
const OTHER_NUMBERING: &str =
    "the advisory numbers versions differently than Go, which has no tag for this commit";

impl Affected {
    /// What the advisory says about a version of this package.
    #[must_use]
    pub fn evaluate(&self, version: &str) -> Verdict {
        let scheme = &Versions::of(self.ecosystem.scheme());
        let mut inside = Vec::new();
        let mut unknown = None;
        let custom = self.custom_positions(scheme, version);
        for position in self
            .ranges
            .iter()
            .flat_map(|r| positions(&r.events, scheme, version))
        {
            match position {
                Position::Inside {
                    end: EndOf::Open, ..
                } if !self.custom_ranges.is_empty() => {}
                Position::Inside {
                    introduced,
                    end: EndOf::Open,
                } => match self.within_last_known(scheme, version, introduced) {
                    Ok(Some(end)) => inside.push((introduced, end)),
                    Ok(None) => {}
                    Err(cause) => unknown = Some(cause.to_string()),
                },
                Position::Inside { introduced, end } => inside.push((introduced, end)),
                Position::Outside => {}
                Position::Unknown(cause) => unknown = Some(cause),
            }
        }
        for position in custom {
            match position {
                Position::Inside { introduced, end } => inside.push((introduced, end)),
                Position::Outside => {}
                Position::Unknown(cause) => unknown = Some(cause),
            }
        }
        if let Some(verdict) = affected(inside, scheme) {
            return verdict;
        }
        match self.is_listed(scheme, version) {
            Ok(true) => {
                return Verdict::Affected {
                    fixed: None,
                    cause: Cause::Listed,
                };
            }
            Ok(false) => {}
            Err(cause) => unknown = Some(cause.to_string()),
        }
        if self.ranges.is_empty() && self.custom_ranges.is_empty() && self.versions.is_empty() {
            unknown = Some(self.undetermined().unwrap_or(NOTHING_TO_COMPARE).to_owned());
        }
        unknown.map_or(Verdict::NotAffected, Verdict::Unknown)
    }

    /// Why the publisher does not say which versions are affected. None if it gives no reason.
    fn undetermined(&self) -> Option<&str> {
        self.notes.iter().find_map(|note| match note {
            Note::Undetermined(reason) => Some(reason.as_str()),
            Note::Unimportant | Note::Postponed(_) | Note::WontFix(_) | Note::EndOfLife(_) => None,
        })
    }

    /// Where the version is in the custom ranges.
    fn custom_positions<'a>(
        &'a self,
        scheme: &Versions<'a>,
        version: &'a str,
    ) -> Vec<Position<'a>> {
        let events = || self.custom_ranges.iter().flat_map(|range| &range.events);
        // A commit without a tag comes before all tags, whenever it was made. It says something only about other
        // such commits.
        let is_untagged = |version: &str| {
            let version = version.strip_prefix('v').unwrap_or(version);
            version.starts_with("0.0.0-")
        };
        let has_tags =
            || events().any(|event| event.version() != "0" && !is_untagged(event.version()));
        if self.ecosystem == Ecosystem::Go && is_untagged(version) && has_tags() {
            return vec![Position::Unknown(OTHER_NUMBERING.to_owned())];
        }
        self.custom_ranges
            .iter()
            .flat_map(|range| positions(&range.events, scheme, version))
            .collect()
    }

    /// Where an open range that contains the version ends. None if it ends before the version.
    fn within_last_known<'a>(
        &'a self,
        scheme: &Versions<'a>,
        version: &'a str,
        introduced: &'a str,
    ) -> Result<Option<EndOf<'a>>, Incomparable> {
        let Some(end) = &self.last_known else {
            return Ok(Some(EndOf::Open));
        };
        let (last, is_last_affected) = match end {
            End::Open => return Ok(Some(EndOf::Open)),
            End::LastAffected(last) => (last, true),
            End::Before(first) | End::Fixed(first) => (first, false),
        };
        // An end before the beginning is of another range.
        if introduced != "0" && scheme.compare(last, introduced)? == Ordering::Less {
            return Ok(Some(EndOf::Open));
        }
        let is_inside = match scheme.compare(version, last)? {
            Ordering::Less => true,
            Ordering::Equal => is_last_affected,
            Ordering::Greater => false,
        };
        Ok(is_inside.then(|| end.into()))
    }

    /// Whether the list of versions contains the version.
    fn is_listed<'a>(&self, scheme: &Versions<'a>, version: &'a str) -> Result<bool, Incomparable> {
        if self.versions.iter().any(|listed| listed == version) {
            return Ok(true);
        }
        if !self.versions.is_empty() {
            // Without an order, it could be any of them.
            scheme.compare(version, version)?;
        }
        for listed in self.versions.iter() {
            // Most are others at first sight. Parsing each one takes longer than everything else of an advisory.
            if !scheme.can_be_equal(version, listed) {
                continue;
            }
            match scheme.compare_once(version, listed) {
                Ok(Ordering::Equal) => return Ok(true),
                Ok(Ordering::Less | Ordering::Greater) => {}
                // A listed version that cannot be compared differs from one that can.
                Err(cause) => match cause.operand() {
                    Operand::First => return Err(cause),
                    Operand::Second => {}
                },
            }
        }
        Ok(false)
    }
}

/// The verdict of the ranges that contain the version. None if there are none.
fn affected<'a>(inside: Vec<(&'a str, EndOf<'a>)>, scheme: &Versions<'a>) -> Option<Verdict> {
    let mut fixed: Option<&str> = None;
    let mut shown: Option<(&str, EndOf<'_>)> = None;
    let mut is_fixed = true;
    for (introduced, end) in inside {
        if let EndOf::Fixed(version) = end {
            let is_higher = fixed
                // Both are ends of ranges that contain the version, so they were compared.
                .is_none_or(|fixed| {
                    matches!(scheme.compare(version, fixed), Ok(Ordering::Greater))
                });
            if is_higher {
                fixed = Some(version);
                if is_fixed {
                    shown = Some((introduced, end));
                }
            }
        } else {
            if is_fixed {
                shown = Some((introduced, end));
            }
            is_fixed = false;
        }
    }
    let (introduced, end) = shown?;
    Some(Verdict::Affected {
        fixed: fixed.filter(|_| is_fixed).map(str::to_owned),
        cause: Cause::Range {
            introduced: introduced.to_owned(),
            end: end.into(),
        },
    })
}

impl Event {
    /// The version at which it happens.
    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Introduced(version)
            | Self::Fixed(version)
            | Self::LastAffected(version)
            | Self::Limit(version) => version,
        }
    }

    /// Whether a range ends here.
    fn is_end(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::LastAffected(_) => true,
            Self::Introduced(_) | Self::Limit(_) => false,
        }
    }

    /// Whether a version is past the end that this event is.
    fn is_passed<'a>(
        &'a self,
        scheme: &Versions<'a>,
        version: &'a str,
    ) -> Result<bool, Incomparable> {
        Ok(match self {
            Self::Fixed(fixed) => scheme.compare(version, fixed)? != Ordering::Less,
            Self::LastAffected(last) => scheme.compare(version, last)? == Ordering::Greater,
            Self::Introduced(_) | Self::Limit(_) => false,
        })
    }
}

/// Where the version is in relation to each part of a range. Publishers write the parts in any order; each begins with
/// `Introduced`, and its ends follow. Where they do not follow, any end above the beginning can be its end.
fn positions<'a>(
    events: &'a [Event],
    scheme: &Versions<'a>,
    version: &'a str,
) -> Vec<Position<'a>> {
    let mut positions = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let Event::Introduced(introduced) = event else {
            continue;
        };
        let own = events[index + 1..]
            .iter()
            .take_while(|event| event.is_end());
        let own: Vec<_> = own.collect();
        let (ends, are_own) = if own.is_empty() {
            (
                events.iter().filter(|event| event.is_end()).collect(),
                false,
            )
        } else {
            (own, true)
        };
        let part = Part {
            introduced,
            ends,
            are_own,
        };
        positions.push(
            part.position(scheme, version)
                .unwrap_or_else(Position::from),
        );
    }
    within_limits(events, scheme, version, positions)
}

/// A part of a range.
struct Part<'a> {
    introduced: &'a str,
    /// Events that can end it.
    ends: Vec<&'a Event>,
    /// Whether the events are the ends of this part alone.
    are_own: bool,
}

impl<'a> Part<'a> {
    fn position(
        &self,
        scheme: &Versions<'a>,
        version: &'a str,
    ) -> Result<Position<'a>, Incomparable> {
        let is_before = |version: &'a str| -> Result<bool, Incomparable> {
            Ok(self.introduced != "0"
                && scheme.compare(version, self.introduced)? == Ordering::Less)
        };
        if is_before(version)? {
            return Ok(Position::Outside);
        }
        let mut first: Option<&'a Event> = None;
        let mut incomparable = None;
        for end in &self.ends {
            match self.ends_at(end, scheme).and_then(|ends| {
                Ok(if ends {
                    Some(end.is_passed(scheme, version)?)
                } else {
                    None
                })
            }) {
                Ok(None) => {}
                Ok(Some(true)) => return Ok(Position::Outside),
                Ok(Some(false)) => {
                    let is_earlier = match first {
                        Some(first) => {
                            scheme.compare(end.version(), first.version())? == Ordering::Less
                        }
                        None => true,
                    };
                    if is_earlier {
                        first = Some(end);
                    }
                }
                Err(cause) => incomparable = Some(cause),
            }
        }
        if let Some(cause) = incomparable {
            return Err(cause);
        }
        let end = match first {
            Some(Event::Fixed(version)) => EndOf::Fixed(version),
            Some(Event::LastAffected(version)) => EndOf::LastAffected(version),
            // All its ends are before its beginning, so it is empty.
            Some(Event::Introduced(_) | Event::Limit(_)) | None if self.are_own => {
                return Ok(Position::Outside);
            }
            Some(Event::Introduced(_) | Event::Limit(_)) | None => EndOf::Open,
        };
        let introduced = self.introduced;
        Ok(Position::Inside { introduced, end })
    }

    /// Whether an event is after the beginning, so that it can be the end.
    fn ends_at(&self, end: &'a Event, scheme: &Versions<'a>) -> Result<bool, Incomparable> {
        if self.introduced == "0" {
            return Ok(end.version() != "0");
        }
        let order = scheme.compare(end.version(), self.introduced)?;
        Ok(match end {
            Event::LastAffected(_) => order != Ordering::Less,
            Event::Fixed(_) => order == Ordering::Greater,
            Event::Introduced(_) | Event::Limit(_) => false,
        })
    }
}

/// The positions, if the version is below one of the limits or there are none.
fn within_limits<'a>(
    events: &'a [Event],
    scheme: &Versions<'a>,
    version: &'a str,
    positions: Vec<Position<'a>>,
) -> Vec<Position<'a>> {
    let mut has_limits = false;
    for event in events {
        let Event::Limit(limit) = event else {
            continue;
        };
        has_limits = true;
        if limit == "*" {
            return positions;
        }
        match scheme.compare(version, limit) {
            Ok(Ordering::Less) => return positions,
            Ok(Ordering::Equal | Ordering::Greater) => {}
            Err(cause) => return vec![cause.into()],
        }
    }
    if has_limits { Vec::new() } else { positions }
}

impl Range {
    /// Whether it says anything: it begins somewhere.
    #[must_use]
    pub fn begins(&self) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event, Event::Introduced(_)))
    }
}

#[cfg(test)]
mod tests;
