//! Everything that is known about images, or about a list of packages.
//!
//! Here: the order in which it is found out. Packages are matched with advisories; findings get what is known about
//! their CVEs; those that a distribution settled, and those that are another one's, are marked; what counts gives the
//! actions. Not here: each of these steps, where packages and advisories come from (`image`, `cli`), and how a result is
//! printed.
//! Invariant: pure, and facts alone. Nothing depends on what somebody accepts, so there is no verdict. What could not be
//! read or compared removes no finding, and makes the result incomplete.

mod of_owner;
mod places;
#[cfg(test)]
mod tests;
mod unread;

pub use places::{Place, Places};
pub use unread::Unread;

use crate::action::{Action, actions};
use crate::advisory::collection::Advisories;
use crate::counting::{Counting, Standing};
use crate::ecosystem::Ecosystem;
use crate::ignore::Entry;
use crate::index::{Index, IndexError, Source};
use crate::inventory::{Coverage, Inventory, Located, settle};
use crate::known_exploited::KnownExploited;
use crate::matching::{Finding, Matches, match_packages};
use crate::package::{Package, subjects};
use crate::release::{End, Support, support};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

/// What is scanned: an image for one platform, or a list of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The platform of the image, such as `linux/amd64`. None for a list.
    pub platform: Option<String>,
    /// The number of the layers of its base, from the lowest. A guess; None if there is none.
    pub base_layers: Option<u32>,
    /// Its packages, and what of it is no package.
    pub inventory: Inventory,
}

impl Target {
    /// A list of packages, of which nothing else is known.
    #[must_use]
    pub fn list(packages: Vec<Package>) -> Self {
        let packages = packages.into_iter().map(|package| Located {
            package,
            architecture: None,
            layer: None,
            marks: Vec::new(),
            owner: None,
        });
        Self {
            inventory: Inventory {
                packages: packages.collect(),
                ..Inventory::default()
            },
            ..Self::default()
        }
    }

    /// Its packages.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        self.inventory.packages.iter().map(|of| &of.package)
    }
}

/// What of a target is no package, and what is known about all of its packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The platform of the image, such as `linux/amd64`. None for a list.
    pub platform: Option<String>,
    /// The number of the layers of its base, from the lowest. A guess; None if there is none.
    pub base_layers: Option<u32>,
    /// The releases of distributions that its packages are of.
    pub distributions: Vec<Ecosystem>,
    /// What of it is no package.
    pub coverage: Coverage,
    /// Which of all packages are its own.
    packages: Range<usize>,
}

/// What is known about packages.
#[derive(Debug, Default)]
pub struct Knowledge<'a> {
    /// The advisories that name one of them.
    pub advisories: Advisories,
    /// The catalog of known exploited vulnerabilities. None if there is none.
    pub known_exploited: Option<KnownExploited>,
    /// The index that the advisories are of. None if they are of files.
    pub index: Option<OfIndex<'a>>,
    /// What else could not be read. The advisories have their own errors.
    pub unread: Unread,
}

/// An index, and what of it packages need.
#[derive(Clone, Debug)]
pub struct OfIndex<'a> {
    /// The index. It has the severities and titles of CVEs.
    pub index: Index<'a>,
    /// The sources with advisories of the ecosystems of the packages, and those about vulnerabilities of all.
    pub sources: Vec<Source>,
}

impl<'a> Knowledge<'a> {
    /// What an index has about packages. A part about one of them that cannot be read is an error of the advisories.
    ///
    /// # Errors
    /// If the list of sources or the catalog of known exploited vulnerabilities is damaged.
    pub fn of_index<'p>(
        index: Index<'a>,
        packages: impl IntoIterator<Item = &'p Package>,
    ) -> Result<Self, IndexError> {
        let subjects = subjects(packages);
        let is_needed = |source: &Source| {
            source.ecosystems.is_empty() || subjects.iter().any(|of| source.has(&of.ecosystem))
        };
        let sources = index.sources()?.into_iter().filter(is_needed).collect();
        let known_exploited = index.known_exploited()?;
        let wanted = subjects
            .iter()
            .map(|of| (of.ecosystem.clone(), of.name.clone()));
        Ok(Self {
            advisories: index.advisories(wanted),
            known_exploited,
            index: Some(OfIndex { index, sources }),
            unread: Unread::default(),
        })
    }
}

/// Everything that is known.
#[derive(Debug)]
pub struct ScanResult {
    /// The targets, in their order.
    pub targets: Vec<Covered>,
    /// Where the packages are.
    pub places: Places,
    /// What was looked up, and the findings with their states.
    pub matches: Matches,
    /// What to do about the findings that count, the most urgent first.
    pub actions: Vec<Action>,
    /// The advisories about the packages, and what was read of each ecosystem.
    pub advisories: Advisories,
    /// The catalog of known exploited vulnerabilities. None if there is none.
    pub known_exploited: Option<KnownExploited>,
    /// The sources of the index that the packages need, with their ages. None without an index.
    pub sources: Option<Vec<Source>>,
    /// The releases of distributions that the packages are of, and whether they get fixes.
    pub releases: Vec<(Ecosystem, Support)>,
    /// Ecosystems of packages for which there are no advisories.
    pub without_advisories: Vec<Ecosystem>,
    /// What decided which findings count.
    pub counting: Counting,
    /// What could not be read.
    pub unread: Unread,
}

/// Finds out everything about targets. `unread`: what of them could not be read.
#[must_use]
pub fn scan(
    targets: Vec<Target>,
    knowledge: Knowledge<'_>,
    counting: Counting,
    mut unread: Unread,
) -> ScanResult {
    let Knowledge {
        advisories,
        known_exploited,
        index,
        unread: of_knowledge,
    } = knowledge;
    let errors = advisories.errors.iter().map(String::as_str);
    unread.add_first(errors, advisories.failed);
    unread.append(of_knowledge);
    let (packages, targets) = joined(targets);
    let of = |ecosystem: &Ecosystem, name: &str| advisories.get(ecosystem, name);
    let all = packages.iter().map(|of| &of.package);
    let mut matches = match_packages(all, of, known_exploited.as_ref());
    if let Some(cut) = matches.cut() {
        unread.add(&cut);
    }
    let error = index
        .as_ref()
        .and_then(|of| describe(&mut matches, of.index));
    if let Some(error) = error {
        unread.add(&format!(
            "records about CVEs in the index: {error}; build it again"
        ));
    }
    settle(&mut matches, &packages, of);
    // What is settled, ignored or unimportant is nobody's finding any more.
    of_owner::mark(&mut matches, &packages, &counting);
    let ecosystems = matches.subjects.iter().map(|subject| &subject.ecosystem);
    let ecosystems: BTreeSet<&Ecosystem> = ecosystems.collect();
    let is_read = |ecosystem: &Ecosystem| {
        let pro = ecosystem.with_subscription();
        let read = &advisories.read;
        read.contains_key(ecosystem) || pro.is_some_and(|pro| read.contains_key(&pro))
    };
    let without_advisories = ecosystems.iter().filter(|ecosystem| !is_read(ecosystem));
    let releases =
        ecosystems
            .iter()
            .filter_map(|ecosystem| match support(ecosystem, counting.today) {
                Support::NoReleases => None,
                support @ (Support::Supported(_) | Support::Ended(_) | Support::Unknown) => {
                    Some(((*ecosystem).clone(), support))
                }
            });
    ScanResult {
        places: Places::of(&matches, &packages, &targets),
        actions: actions(&matches, &counting, of),
        without_advisories: without_advisories.copied().cloned().collect(),
        releases: releases.collect(),
        targets,
        matches,
        advisories,
        known_exploited,
        sources: index.map(|of| of.sources),
        counting,
        unread,
    }
}

/// The packages of all targets. Their owners are numbers of all packages.
fn joined(targets: Vec<Target>) -> (Vec<Located>, Vec<Covered>) {
    let mut packages: Vec<Located> = Vec::new();
    let mut covered = Vec::with_capacity(targets.len());
    for target in targets {
        let before = packages.len();
        let Inventory {
            packages: own,
            distributions,
            coverage,
        } = target.inventory;
        packages.extend(own.into_iter().map(|mut of: Located| {
            of.owner = of.owner.map(|owner| owner.saturating_add(before));
            of
        }));
        covered.push(Covered {
            platform: target.platform,
            base_layers: target.base_layers,
            distributions,
            coverage,
            packages: before..packages.len(),
        });
    }
    (packages, covered)
}

/// Adds what an index knows about CVEs, whatever package has them. The error of a part of it that cannot be read; None
/// if all could.
fn describe(matches: &mut Matches, index: Index<'_>) -> Option<IndexError> {
    let unread = RefCell::new(None);
    matches.describe(|id| {
        index.cve(id).unwrap_or_else(|error| {
            *unread.borrow_mut() = Some(error);
            None
        })
    });
    unread.into_inner()
}

impl ScanResult {
    /// The findings that count.
    pub fn counted(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.matches.findings.iter();
        findings.filter(|finding| self.counting.counts(finding))
    }

    /// The findings that do not count, and why.
    pub fn not_counted(&self) -> impl Iterator<Item = (&Finding, Standing<'_>)> {
        let findings = self.matches.findings.iter();
        let findings = findings.map(|finding| (finding, self.counting.standing(finding)));
        findings.filter(|(_, standing)| *standing != Standing::Counted)
    }

    /// The releases that get no more fixes.
    pub fn ended(&self) -> impl Iterator<Item = (&Ecosystem, &End)> {
        let releases = self.releases.iter();
        releases.filter_map(|(release, support)| match support {
            Support::Ended(end) => Some((release, end)),
            Support::Supported(_) | Support::Unknown | Support::NoReleases => None,
        })
    }

    /// The entries of the list of findings to ignore that are past their end.
    pub fn expired(&self) -> impl Iterator<Item = &Entry> {
        self.counting.ignore.expired(self.counting.today)
    }

    /// The entries of the list of findings to ignore that are about no finding.
    pub fn unmatched(&self) -> impl Iterator<Item = &Entry> {
        self.counting.ignore.unmatched(&self.matches.findings)
    }

    /// Whether there is something to match, everything was read, could be compared with something, and each part of an
    /// image has a package or is known to have none.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.matches.subjects.is_empty()
            && self.unread.count() == 0
            && self.targets.iter().all(|of| of.coverage.is_complete())
            && self.without_advisories.is_empty()
    }
}
