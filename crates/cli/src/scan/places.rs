//! In which layers packages are.
//!
//! Here: the layers of what is looked up, and whether they are those of the base. Not here: how they were found
//! (`bailiff_scan::inventory`).
//! Invariant: the base is a guess, and decides nothing but the advice.

use super::images::Images;
use bailiff_scan::inventory::{Located, Mark};
use bailiff_scan::matching::Matches;
use bailiff_scan::package::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// Where what is looked up is, in all images.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Layers, from 0 on.
    layers: BTreeSet<u32>,
    /// The packages of a distribution that installed it.
    pub(super) owners: BTreeSet<String>,
    /// The platforms of its images.
    pub(super) platforms: BTreeSet<String>,
    /// What is special about a copy of it.
    pub(super) marks: BTreeSet<Mark>,
}

/// The layers of packages.
#[derive(Debug, Default)]
pub(super) struct Places {
    of_subject: BTreeMap<Subject, Place>,
    /// Whether there are several images.
    pub(super) several: bool,
    /// The number of the layers of the base. None if it is unknown, or there are several images.
    base: Option<u32>,
}

impl Places {
    /// The layers of what was looked up.
    pub(super) fn of(matches: &Matches, located: &[Located], images: Option<&Images>) -> Self {
        let scanned = images.map_or(&[][..], |images| &images.scanned);
        let mut of_package: BTreeMap<_, Place> = BTreeMap::new();
        for (number, of) in located.iter().enumerate() {
            let package = &of.package;
            let (name, version) = match &package.source {
                Some(source) => (&source.name, &source.version),
                None => (&package.name, &package.version),
            };
            let place = of_package
                .entry((&package.ecosystem, name, version))
                .or_default();
            place.layers.extend(of.layer);
            place.marks.extend(&of.marks);
            let owner = of.owner.and_then(|owner| located.get(owner));
            let owner = owner.map(|of| format!("{} {}", of.package.name, of.package.version));
            place.owners.extend(owner);
            let image = scanned
                .iter()
                .find(|image| image.packages.contains(&number));
            place
                .platforms
                .extend(image.map(|image| image.platform.clone()));
        }
        let of_subject = matches.subjects.iter().filter_map(|subject| {
            let key = (&subject.ecosystem, &subject.name, &subject.version);
            Some((Subject::clone(subject), of_package.get(&key)?.clone()))
        });
        let base = match scanned {
            [image] => image.base_layers,
            _ => None,
        };
        Self {
            of_subject: of_subject.collect(),
            base,
            several: scanned.len() > 1,
        }
    }

    /// Where a package is. None if that is unknown.
    pub(super) fn place(&self, subject: &Subject) -> Option<&Place> {
        self.of_subject.get(subject)
    }

    /// The layers of a package, from 1 for the lowest. Empty if they are unknown.
    pub(super) fn layers(&self, subject: &Subject) -> Vec<u32> {
        let layers = self
            .place(subject)
            .into_iter()
            .flat_map(|place| &place.layers);
        layers.map(|layer| layer.saturating_add(1)).collect()
    }

    /// Whether all of its layers are those of the base, as it is guessed.
    pub(super) fn is_of_base(&self, subject: &Subject) -> bool {
        let layers = self.layers(subject);
        !layers.is_empty()
            && self
                .base
                .is_some_and(|base| layers.iter().all(|l| *l <= base))
    }
}
