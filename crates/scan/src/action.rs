//! What to do about findings.
//!
//! Here: the version of each package to upgrade to, and what that fixes. Not here: the findings (`matching`).
//! Invariant: the version of an upgrade is one that an advisory names, and the same matcher was asked about it.

use crate::advisory::{Advisory, Kind};
use crate::counting::Counting;
use crate::ecosystem::Ecosystem;
use crate::matching::{Exploited, Finding, Matches, Named, State};
use crate::package::Subject;
use crate::severity::Severity;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What to do about the vulnerabilities of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The package.
    pub subject: Arc<Subject>,
    /// What to do.
    pub advice: Advice,
    /// Names of the findings that are gone then, sorted.
    pub fixes: Vec<String>,
    /// Names of the findings that remain or are new then, sorted.
    pub remaining: Vec<String>,
    /// The number of the package's findings.
    pub findings: usize,
    /// The highest severity of the package's findings.
    pub severity: Severity,
    /// How many of the package's findings are known to be exploited. None if there is no catalog.
    pub exploited: Option<usize>,
}

/// What to do about a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Upgrade to this version, as the package writes it: the lowest one that has no vulnerability with a fixed version.
    Upgrade(String),
    /// Remove the package, because it is malicious.
    Remove,
    /// Upgrade with a subscription: only its builds fix a finding. They are numbered by themselves, so that none of their
    /// versions is named.
    Subscribe,
    /// Check whether the package is affected: that cannot be determined for any finding.
    Check,
    /// The package is affected, and no version is known that fixes a finding.
    NoFix,
}

/// The actions about the findings that count, the most urgent first: malicious packages, then by what is known to be
/// exploited, severity, and number of findings. A package without such findings has none.
#[must_use]
pub fn actions(
    matches: &Matches,
    counting: &Counting,
    advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
) -> Vec<Action> {
    let mut of_subject: BTreeMap<&Subject, Vec<&Finding>> = BTreeMap::new();
    for finding in matches
        .findings
        .iter()
        .filter(|finding| counting.counts(finding))
    {
        of_subject
            .entry(&finding.subject)
            .or_default()
            .push(finding);
    }
    let mut actions = Vec::new();
    let mut last: Option<Named> = None;
    for (subject, findings) in of_subject {
        let named = Named::after(last.take(), subject, &advisories);
        actions.extend(action(&findings, counting, &named));
        last = Some(named);
    }
    actions.sort_by_key(|action| {
        let is_malicious = action.advice == Advice::Remove;
        let exploited = action.exploited.unwrap_or(0);
        Reverse((is_malicious, exploited, action.severity, action.findings))
    });
    actions
}

/// The action for the findings of one package.
fn action(findings: &[&Finding], counting: &Counting, named: &Named) -> Option<Action> {
    let subject = &findings.first()?.subject;
    let before: BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let owned = |names: &BTreeSet<&str>| names.iter().map(|name| (*name).to_owned()).collect();
    let severity = findings.iter().map(|finding| finding.rating.severity).max();
    let is_known = findings
        .iter()
        .all(|finding| finding.exploited != Exploited::Unknown);
    let exploited = findings
        .iter()
        .filter(|f| f.exploited == Exploited::Yes)
        .count();
    let action = |advice, fixes, remaining| Action {
        subject: Arc::clone(subject),
        advice,
        fixes,
        remaining,
        findings: before.len(),
        severity: severity.unwrap_or(Severity::Unknown),
        exploited: is_known.then_some(exploited),
    };
    if findings
        .iter()
        .any(|finding| finding.kind == Kind::Malicious)
    {
        return Some(action(Advice::Remove, owned(&before), Vec::new()));
    }
    let Some((version, after)) = named.upgrade(subject, counting) else {
        let advice = without_upgrade(findings);
        return Some(action(advice, Vec::new(), owned(&before)));
    };
    let after = after.iter().filter(|finding| counting.counts(finding));
    let after: BTreeSet<&str> = after.map(|finding| finding.id.as_str()).collect();
    let fixes = before.difference(&after).copied().collect();
    let version = as_written(subject, version);
    Some(action(
        Advice::Upgrade(version),
        owned(&fixes),
        owned(&after),
    ))
}

/// What to do about findings of which no version that everybody gets fixes one.
fn without_upgrade(findings: &[&Finding]) -> Advice {
    let is_unknown = |finding: &&Finding| matches!(finding.state, State::Unknown(_));
    let has_subscription =
        |finding: &&Finding| matches!(finding.state, State::FixedWithSubscription(_));
    if findings.iter().any(has_subscription) {
        Advice::Subscribe
    } else if findings.iter().all(is_unknown) {
        Advice::Check
    } else {
        Advice::NoFix
    }
}

/// A version of an advisory as people write it for the package: those of Go modules begin with `v`, and advisories leave
/// it out.
fn as_written(subject: &Subject, version: String) -> String {
    let is_module = !matches!(subject.name.as_str(), "stdlib" | "toolchain");
    if subject.ecosystem == Ecosystem::Go && is_module && !version.starts_with('v') {
        format!("v{version}")
    } else {
        version
    }
}

#[cfg(test)]
mod tests;
