//! Packages of languages that packages of a distribution installed.
//!
//! Here: which findings of theirs the distribution has settled. Not here: who owns a file (`databases`).
//! Invariant: only a statement of the distribution about the same vulnerability, in the source package of an installed
//! owner with the same upstream version that it fixed, settles a finding, and only if each copy of the package has such an
//! owner. What is settled stays a finding.

use super::{Located, Mark};
use crate::advisory::{Advisory, Event, Kind};
use crate::ecosystem::Ecosystem;
use crate::matching::{Claim, Finding, Matches, Named, Settled};
use crate::package::{Package, Subject, subjects};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Marks the findings that the distribution has settled. `packages` are those that were matched; `advisories` has those
/// that name a package, given its ecosystem and normal name.
pub fn settle(
    matches: &mut Matches,
    packages: &[Located],
    advisories: impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
) {
    let mut copies: HashMap<(&Ecosystem, &str, &str), Vec<Option<&Located>>> = HashMap::new();
    for located in packages {
        let Package {
            ecosystem,
            name,
            version,
            source,
            ..
        } = &located.package;
        if source.is_none() {
            let owner = located.owner.and_then(|owner| packages.get(owner));
            let copies = copies.entry((ecosystem, name, version)).or_default();
            copies.push(owner);
        }
    }
    for finding in &mut matches.findings {
        let subject = &finding.subject;
        let key = (&subject.ecosystem, &*subject.name, &*subject.version);
        let copies = copies.get(&key).map(Vec::as_slice).unwrap_or_default();
        let settlement = settlement(finding, copies, &advisories);
        finding.settled = settlement.map(|(owners, advisories)| Settled {
            owners: owners.into_iter().collect(),
            advisories: advisories.into_iter().collect(),
        });
    }
}

/// The owners of all copies and the advisories that settle a finding. None if it is not settled.
fn settlement(
    finding: &Finding,
    copies: &[Option<&Located>],
    advisories: &impl Fn(&Ecosystem, &str) -> Vec<Arc<Advisory>>,
) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    if finding.kind != Kind::Vulnerability || copies.is_empty() {
        return None;
    }
    let (mut owners, mut settling) = (BTreeSet::new(), BTreeSet::new());
    for owner in copies {
        let owner = (*owner)?;
        let package = &owner.package;
        // If the release is not certain, neither is what its distribution says.
        if owner.marks.contains(&Mark::ReleaseConflict) {
            return None;
        }
        let of = subjects(std::slice::from_ref(package));
        let of = of.first()?;
        if !is_of_upstream(&of.version, &finding.subject.version) {
            return None;
        }
        let named = Named::of(of, advisories);
        let ids = std::iter::once(&finding.id).chain(&finding.aliases);
        let claims = ids.flat_map(|name| named.claims_about(name, &of.version));
        let mut is_settled = false;
        for (advisory, claim) in claims.filter(|(advisory, _)| !advisory.withdrawn) {
            match claim {
                Claim::NotAffected => {
                    if !is_of_distribution(&advisory.id) || !fixes_upstream(advisory, of) {
                        continue;
                    }
                    is_settled = true;
                    settling.insert(advisory.id.clone());
                }
                Claim::Affected { .. } | Claim::Unknown(_) => return None,
            }
        }
        if !is_settled {
            return None;
        }
        owners.insert(format!("{} ({} {})", package.name, of.name, of.version));
    }
    Some((owners, settling))
}

/// Whether an advisory is one of a distribution. Other sources do not know what it built.
fn is_of_distribution(id: &str) -> bool {
    let prefixes = ["DEBIAN-", "DSA-", "DLA-", "UBUNTU-", "USN-", "ALPINE-"];
    prefixes.iter().any(|prefix| id.starts_with(prefix))
}

/// Whether an advisory names a version that fixes the package and has its epoch and upstream version. A version that was
/// forged only has to be higher.
fn fixes_upstream(advisory: &Advisory, of: &Subject) -> bool {
    let own = epoch_and_upstream(&of.version);
    let entries = advisory.affected.iter();
    let entries = entries.filter(|entry| entry.ecosystem == of.ecosystem && entry.name == of.name);
    let mut events = entries
        .flat_map(|entry| &entry.ranges)
        .flat_map(|range| &range.events);
    events.any(|event| match event {
        Event::Fixed(version) => epoch_and_upstream(version) == own,
        Event::Introduced(_) | Event::LastAffected(_) | Event::Limit(_) => false,
    })
}

/// The epoch and the upstream version of a source package.
fn epoch_and_upstream(version: &str) -> (&str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    (
        epoch,
        rest.rsplit_once('-').map_or(rest, |(upstream, _)| upstream),
    )
}

/// Whether the version of a source package, such as `3:3.2.19-1+deb12u1`, has this upstream version. A file that has
/// another one is not what the distribution built, whatever its lists of files say.
pub(crate) fn is_of_upstream(source: &str, upstream: &str) -> bool {
    let source = source.split_once(':').map_or(source, |(_, rest)| rest);
    let rest = upstream
        .strip_prefix('v')
        .into_iter()
        .chain([upstream])
        .find_map(|upstream| source.strip_prefix(upstream));
    // The revision, or what the distribution adds, follows. After `~` it is an earlier version.
    rest.is_some_and(|rest| {
        !upstream.is_empty() && matches!(rest.chars().next(), None | Some('-' | '+'))
    })
}
