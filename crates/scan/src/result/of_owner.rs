//! Vulnerabilities that a package of a language and the package of the distribution that installed it both have.
//!
//! Here: which of the two findings counts. Not here: what the distribution settled (`inventory::settle`).
//! Invariant: a vulnerability counts once, and never less. The finding of the language is the owner's only if each copy
//! has an owner with its upstream version, and each of these owners has a finding of the same vulnerability that counts
//! and says as much. That one has the higher severity of both. The finding of the owner counts, because what fixes the
//! file is the next version of the owner.

use crate::advisory::Kind;
use crate::counting::Counting;
use crate::ecosystem::Ecosystem;
use crate::inventory::{Located, Mark, is_of_upstream};
use crate::matching::{Finding, Matches, State};
use crate::severity::Rating;
use std::collections::{BTreeSet, HashMap};

/// What is looked up for a package: ecosystem, name and version.
type LookedUp<'a> = (&'a Ecosystem, &'a str, &'a str);

/// Marks the findings of languages that are those of their owners. `packages` are those that were matched.
pub(super) fn mark(matches: &mut Matches, packages: &[Located], counting: &Counting) {
    let mut copies: HashMap<LookedUp<'_>, Vec<Option<&Located>>> = HashMap::new();
    for located in packages {
        if located.package.source.is_none() {
            let owner = located.owner.and_then(|owner| packages.get(owner));
            let copies = copies.entry(located.package.looked_up()).or_default();
            copies.push(owner);
        }
    }
    // Without owners there is nothing to compare.
    copies.retain(|_, owners| owners.iter().all(Option::is_some));
    if copies.is_empty() {
        return;
    }
    let all = matches.findings.iter().enumerate();
    let by_name: HashMap<_, _> = all
        .clone()
        .map(|(number, finding)| ((finding.subject.looked_up(), &*finding.id), number))
        .collect();
    let mut marked = Vec::new();
    for (number, finding) in all {
        let Some(owners) = copies.get(&finding.subject.looked_up()) else {
            continue;
        };
        if finding.kind != Kind::Vulnerability || !counting.counts(finding) {
            continue;
        }
        let mut of_owners = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut is_of_owners = true;
        for owner in owners.iter().flatten() {
            let looked_up = owner.package.looked_up();
            let other = by_name.get(&(looked_up, &*finding.id));
            let other = other.and_then(|number| Some((*number, matches.findings.get(*number)?)));
            match other {
                Some((other, of_owner))
                    if !owner.marks.contains(&Mark::ReleaseConflict)
                        && is_of_upstream(looked_up.2, &finding.subject.version)
                        && counting.counts(of_owner)
                        && says_as_much(of_owner, finding) =>
                {
                    of_owners.insert(other);
                    let package = &owner.package;
                    names.insert(format!(
                        "{} ({} {})",
                        package.name, looked_up.1, looked_up.2
                    ));
                }
                Some(_) | None => is_of_owners = false,
            }
        }
        if is_of_owners {
            marked.push((number, of_owners, names));
        }
    }
    for (number, of_owners, names) in marked {
        let Some(finding) = matches.findings.get_mut(number) else {
            continue;
        };
        finding.of_owner = names.into_iter().collect();
        let rating = finding.rating.clone();
        for number in of_owners {
            if let Some(of_owner) = matches.findings.get_mut(number) {
                let ratings = [of_owner.rating.clone(), rating.clone()];
                of_owner.rating = Rating::most_severe(ratings);
            }
        }
    }
}

/// Whether the finding of an owner says that its package is affected, if that of the language does.
fn says_as_much(of_owner: &Finding, finding: &Finding) -> bool {
    let is_unknown = |finding: &Finding| matches!(finding.state, State::Unknown(_));
    of_owner.kind == Kind::Vulnerability && (!is_unknown(of_owner) || is_unknown(finding))
}
