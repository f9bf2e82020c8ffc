//! Whether a finding can be fixed.
//!
//! Here: the states, and which one advisories together give. Not here: what each advisory says about a version
//! (`advisory`).
//! Invariant: a fixed version counts before whatever a publisher says about fixing. A package of which one advisory says
//! that it is affected is never Unknown.

use super::{Advisory, Claim, Evidence};
use crate::advisory::Note;
use crate::version::Scheme;
use std::cmp::Ordering;

/// Whether a finding can be fixed. Reasons are one line as published, and empty if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is fixed in this version: the highest of those that advisories name.
    Fixed(String),
    /// It is fixed in this version, which requires a subscription.
    FixedWithSubscription(String),
    /// The package is affected, and no advisory names a fixed version.
    Open,
    /// The package is affected, and its publisher will fix it with a later update, for this reason.
    Postponed(String),
    /// The package is affected, and its publisher will not fix it in this release, for this reason.
    WontFix(String),
    /// The package is affected, and its publisher no longer supports it in this release, for this reason.
    EndOfLife(String),
    /// It cannot be determined whether the package is affected, for this reason.
    Unknown(String),
}

impl State {
    /// The name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Fixed(_) => "Fixed",
            Self::FixedWithSubscription(_) => "FixedWithSubscription",
            Self::Open => "Open",
            Self::Postponed(_) => "Postponed",
            Self::WontFix(_) => "WontFix",
            Self::EndOfLife(_) => "EndOfLife",
            Self::Unknown(_) => "Unknown",
        }
    }

    /// The fixed version. None if none is known.
    #[must_use]
    pub fn fixed_version(&self) -> Option<&str> {
        match self {
            Self::Fixed(version) | Self::FixedWithSubscription(version) => Some(version),
            Self::Open
            | Self::Postponed(_)
            | Self::WontFix(_)
            | Self::EndOfLife(_)
            | Self::Unknown(_) => None,
        }
    }

    /// The reason. None if there is none.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Postponed(reason)
            | Self::WontFix(reason)
            | Self::EndOfLife(reason)
            | Self::Unknown(reason) => Some(reason.as_str()).filter(|reason| !reason.is_empty()),
            Self::Fixed(_) | Self::FixedWithSubscription(_) | Self::Open => None,
        }
    }

    /// The state of a finding: with the fixed version that is highest, because each advisory has its own. `notes` has what
    /// the publisher of an advisory says about the package.
    pub(super) fn of<'a, N: Iterator<Item = &'a Note>>(
        scheme: Scheme,
        evidence: &'a [Evidence],
        notes: impl Fn(&'a Advisory) -> N,
    ) -> Self {
        let fixed_with = |subscription: bool| {
            let fixed = evidence
                .iter()
                .filter_map(|evidence| match &evidence.claim {
                    Claim::Affected {
                        fixed: Some(fixed),
                        needs_subscription,
                        ..
                    } if *needs_subscription == subscription => Some(fixed),
                    Claim::Affected { .. } | Claim::NotAffected | Claim::Unknown(_) => None,
                });
            highest(scheme, fixed)
        };
        if let Some(fixed) = fixed_with(false) {
            return Self::Fixed(fixed.clone());
        }
        if let Some(fixed) = fixed_with(true) {
            return Self::FixedWithSubscription(fixed.clone());
        }
        let mut affected = Vec::new();
        let mut unknown = None;
        for Evidence { advisory, claim } in evidence {
            match claim {
                Claim::Affected { .. } => affected.push(advisory),
                Claim::NotAffected => {}
                Claim::Unknown(cause) => unknown = unknown.or(Some(cause)),
            }
        }
        if let (true, Some(cause)) = (affected.is_empty(), unknown) {
            return Self::Unknown(cause.clone());
        }
        // The note that leaves the least hope is greatest.
        let notes = affected.into_iter().flat_map(|advisory| notes(advisory));
        match notes.max() {
            Some(Note::EndOfLife(reason)) => Self::EndOfLife(reason.clone()),
            Some(Note::WontFix(reason)) => Self::WontFix(reason.clone()),
            Some(Note::Postponed(reason)) => Self::Postponed(reason.clone()),
            Some(Note::Undetermined(_) | Note::Unimportant) | None => Self::Open,
        }
    }
}

/// The highest of versions. Of two that cannot be compared, the first one.
pub(super) fn highest<'a>(
    scheme: Scheme,
    versions: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    versions.reduce(|a, b| match scheme.compare(a, b) {
        Ok(Ordering::Less) => b,
        Ok(Ordering::Equal | Ordering::Greater) | Err(_) => a,
    })
}
