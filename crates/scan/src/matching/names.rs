//! Which advisories are about one vulnerability.
//!
//! Here: the names of the findings that an advisory is part of. Not here: whether the package is affected.
//! Invariant: two CVEs are never one finding, also if an advisory is about both.

use crate::advisory::{Advisory, cve};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// For each advisory about a package the names of its findings: its CVEs; without one the CVE of the advisories that it
/// names or that name it, as far as these have exactly one; otherwise the first name of the advisories that name each
/// other.
pub(super) fn findings(advisories: &[Arc<Advisory>]) -> Vec<Vec<String>> {
    let cves: Vec<BTreeSet<&str>> = advisories
        .iter()
        .map(|advisory| advisory.names().filter_map(cve).collect())
        .collect();
    let single = |cves: &BTreeSet<&str>| match cves.len() {
        1 => cves.first().map(|cve| (*cve).to_owned()),
        _ => None,
    };
    // The one CVE of each advisory, by the advisory's name and by the names that it gives.
    let mut of_advisory: BTreeMap<&str, String> = BTreeMap::new();
    let mut named_by: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (advisory, cves) in advisories.iter().zip(&cves) {
        let Some(cve) = single(cves) else {
            continue;
        };
        for name in advisory.names() {
            named_by.entry(name).or_default().insert(cve.clone());
        }
        of_advisory.insert(&advisory.id, cve);
    }
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    let mut without: Vec<usize> = Vec::new();
    for (index, (advisory, cves)) in advisories.iter().zip(&cves).enumerate() {
        let mut names: BTreeSet<String> = cves.iter().map(|cve| (*cve).to_owned()).collect();
        if names.is_empty() {
            names.extend(
                advisory
                    .names()
                    .filter_map(|name| of_advisory.get(name))
                    .cloned(),
            );
            names.extend(
                named_by
                    .get(advisory.id.as_str())
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        if names.is_empty() {
            without.push(index);
        }
        found.push(names);
    }
    for (index, name) in groups(advisories, &without) {
        found[index].insert(name);
    }
    let found = found.into_iter();
    found.map(|names| names.into_iter().collect()).collect()
}

/// The advisories that name each other, with the first of their own names.
fn groups(advisories: &[Arc<Advisory>], members: &[usize]) -> Vec<(usize, String)> {
    // Each advisory's group is that of its parent; the first one of a group is its own parent.
    let mut parents: BTreeMap<usize, usize> = members.iter().map(|&m| (m, m)).collect();
    let mut first_with: BTreeMap<&str, usize> = BTreeMap::new();
    for &member in members {
        for name in advisories[member].names() {
            let other = *first_with.entry(name).or_insert(member);
            let (a, b) = (root(&mut parents, member), root(&mut parents, other));
            parents.insert(a.max(b), a.min(b));
        }
    }
    let mut names: BTreeMap<usize, &str> = BTreeMap::new();
    for &member in members {
        let id = advisories[member].id.as_str();
        let name = names.entry(root(&mut parents, member)).or_insert(id);
        *name = id.min(*name);
    }
    let of_group = members.iter().map(|&member| {
        let name = names.get(&root(&mut parents, member)).copied();
        (member, name.unwrap_or_default().to_owned())
    });
    of_group.collect()
}

/// The first advisory of a group. Shortens the way to it.
fn root(parents: &mut BTreeMap<usize, usize>, mut member: usize) -> usize {
    while let Some(&parent) = parents.get(&member) {
        if parent == member {
            break;
        }
        let above = parents.get(&parent).copied().unwrap_or(parent);
        parents.insert(member, above);
        member = above;
    }
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory(id: &str, aliases: &[&str], upstream: &[&str]) -> Arc<Advisory> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Arc::new(Advisory {
            id: id.to_owned(),
            aliases: owned(aliases),
            upstream: owned(upstream),
            title: String::new(),
            modified: None,
            withdrawn: false,
            statements: Vec::new(),
            affected: Vec::new(),
        })
    }

    fn of(advisories: &[Arc<Advisory>]) -> Vec<String> {
        findings(advisories)
            .iter()
            .map(|names| names.join(" "))
            .collect()
    }

    #[test]
    fn a_cve_can_have_the_prefix_of_a_database() {
        for (name, want) in [
            ("CVE-2021-3782", Some("CVE-2021-3782")),
            ("UBUNTU-CVE-2021-3782", Some("CVE-2021-3782")),
            ("DEBIAN-CVE-2021-12345", Some("CVE-2021-12345")),
            ("CVE-2021-", None),
            ("CVE-21-3782", None),
            ("CVE-2021-3782x", None),
            ("notCVE-2021-3782", None),
            ("x-CVE-2021-3782", None),
            ("GHSA-aaaa-bbbb-cccc", None),
        ] {
            assert_eq!(cve(name), want, "{name}");
        }
    }

    #[test]
    fn advisories_about_one_cve_are_one_finding() {
        assert_eq!(
            of(&[
                advisory("GHSA-1", &["CVE-2021-1"], &[]),
                advisory("GO-1", &["GHSA-1", "CVE-2021-1"], &[]),
                advisory("UBUNTU-CVE-2021-1", &[], &["CVE-2021-1"]),
                // This one names no CVE, and neither does the advisory that names it.
                advisory("GHSA-2", &["GHSA-1"], &[]),
                advisory("PYSEC-1", &[], &[]),
                advisory("GHSA-3", &["CVE-2021-1", "PYSEC-1"], &[]),
            ]),
            ["CVE-2021-1"; 6]
        );
    }

    #[test]
    fn an_advisory_about_two_cves_joins_nothing() {
        assert_eq!(
            of(&[
                advisory("USN-1", &[], &["UBUNTU-CVE-2021-1", "UBUNTU-CVE-2021-2"]),
                advisory("GHSA-1", &["CVE-2021-1"], &[]),
                advisory("GHSA-2", &["CVE-2021-2"], &[]),
                // Which of the two it is about is unknown, so it is a finding of its own.
                advisory("GHSA-3", &["USN-1"], &[]),
            ]),
            [
                "CVE-2021-1 CVE-2021-2",
                "CVE-2021-1",
                "CVE-2021-2",
                "GHSA-3"
            ]
        );
    }

    #[test]
    fn advisories_without_a_cve_are_one_finding_if_they_name_each_other() {
        assert_eq!(
            of(&[
                advisory("GHSA-2", &[], &[]),
                advisory("MAL-1", &[], &["X-1"]),
                advisory("GHSA-1", &["GHSA-2", "X-1"], &[]),
                advisory("GHSA-4", &[], &[]),
            ]),
            ["GHSA-1", "GHSA-1", "GHSA-1", "GHSA-4"]
        );
    }
}
