//! Where packages are.
//!
//! Here: the layers, owners and platforms of what is looked up, and whether its layers are those of the base. Not here:
//! how they were found (`inventory`).
//! Invariant: the base is a guess, and decides nothing but the advice.

use super::Covered;
use crate::inventory::{Located, Mark};
use crate::matching::Matches;
use crate::package::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// Where what is looked up is, in all targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Layers, from 0 on.
    layers: BTreeSet<u32>,
    /// The packages of a distribution that installed it, with their versions.
    pub owners: BTreeSet<String>,
    /// The platforms of its images.
    pub platforms: BTreeSet<String>,
    /// What is special about a copy of it.
    pub marks: BTreeSet<Mark>,
}

/// Where packages are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    of_subject: BTreeMap<Subject, Place>,
    /// Whether there are several targets.
    several: bool,
    /// The number of the layers of the base. None if it is unknown, or there are several targets.
    base: Option<u32>,
}

impl Places {
    /// Where what was looked up is. `packages` has those of all targets.
    pub(super) fn of(matches: &Matches, packages: &[Located], targets: &[Covered]) -> Self {
        let mut of_package: BTreeMap<_, Place> = BTreeMap::new();
        for target in targets {
            let own = packages.get(target.packages.clone()).unwrap_or_default();
            for of in own {
                let place = of_package.entry(of.package.looked_up()).or_default();
                place.layers.extend(of.layer);
                place.marks.extend(&of.marks);
                let owner = of.owner.and_then(|owner| packages.get(owner));
                let owner = owner.map(|of| format!("{} {}", of.package.name, of.package.version));
                place.owners.extend(owner);
                place.platforms.extend(target.platform.clone());
            }
        }
        let of_subject = matches.subjects.iter().filter_map(|subject| {
            let place = of_package.get(&subject.looked_up())?;
            Some((Subject::clone(subject), place.clone()))
        });
        let base = match targets {
            [target] => target.base_layers,
            _ => None,
        };
        Self {
            of_subject: of_subject.collect(),
            base,
            several: targets.len() > 1,
        }
    }

    /// Where a package is. None if that is unknown.
    #[must_use]
    pub fn place(&self, subject: &Subject) -> Option<&Place> {
        self.of_subject.get(subject)
    }

    /// Whether there are several targets, so that the platforms of a package say something.
    #[must_use]
    pub const fn are_of_several(&self) -> bool {
        self.several
    }

    /// The layers of a package, from 1 for the lowest. Empty if they are unknown.
    #[must_use]
    pub fn layers(&self, subject: &Subject) -> Vec<u32> {
        let layers = self
            .place(subject)
            .into_iter()
            .flat_map(|place| &place.layers);
        layers.map(|layer| layer.saturating_add(1)).collect()
    }

    /// Whether all of its layers are those of the base, as it is guessed.
    #[must_use]
    pub fn is_of_base(&self, subject: &Subject) -> bool {
        let layers = self.layers(subject);
        !layers.is_empty()
            && self
                .base
                .is_some_and(|base| layers.iter().all(|l| *l <= base))
    }
}
