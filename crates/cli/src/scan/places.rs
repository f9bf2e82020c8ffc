//! In which layers packages are.
//!
//! Here: the layers of what is looked up, and whether they are those of the base. Not here: how they were found
//! (`bailiff_scan::inventory`).
//! Invariant: the base is a guess, and decides nothing but the advice.

use super::images::Images;
use bailiff_scan::inventory::Located;
use bailiff_scan::matching::Matches;
use bailiff_scan::package::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// The layers of packages.
#[derive(Debug, Default)]
pub(super) struct Places {
    of_subject: BTreeMap<Subject, BTreeSet<u32>>,
    /// The number of the layers of the base. None if it is unknown, or there are several images.
    base: Option<u32>,
}

impl Places {
    /// The layers of what was looked up.
    pub(super) fn of(matches: &Matches, located: &[Located], images: Option<&Images>) -> Self {
        let mut of_package: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for of in located {
            let package = &of.package;
            let (name, version) = match &package.source {
                Some(source) => (&source.name, &source.version),
                None => (&package.name, &package.version),
            };
            let layers = of_package
                .entry((&package.ecosystem, name, version))
                .or_default();
            layers.extend(of.layer);
        }
        let of_subject = matches.subjects.iter().filter_map(|subject| {
            let key = (&subject.ecosystem, &subject.name, &subject.version);
            let layers = of_package.get(&key).filter(|layers| !layers.is_empty())?;
            Some((Subject::clone(subject), layers.clone()))
        });
        let base = match images.map(|images| images.scanned.as_slice()) {
            Some([image]) => image.base_layers,
            Some(_) | None => None,
        };
        Self {
            of_subject: of_subject.collect(),
            base,
        }
    }

    /// The layers of a package, from 1 for the lowest. Empty if they are unknown.
    pub(super) fn layers(&self, subject: &Subject) -> Vec<u32> {
        let layers = self.of_subject.get(subject).into_iter().flatten();
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
