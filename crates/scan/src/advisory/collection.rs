//! The advisories that name certain packages, out of all that are published.
//!
//! Here: which records are kept, and what was read. Not here: files and archives of records (`cli`).
//! Invariant: memory is bounded by the records that name a wanted package. A record that cannot be decoded is counted
//! and hides no other.

use super::Advisory;
use super::osv;
use crate::ecosystem::Ecosystem;
use jiff::Timestamp;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Errors that are kept. Further ones are counted.
const ERRORS_LIMIT: usize = 100;

/// The advisories that name certain packages.
#[derive(Debug, Default)]
pub struct Collection {
    /// The names that advisories are kept for.
    wanted: BTreeMap<Ecosystem, BTreeSet<String>>,
    kept: BTreeMap<String, Arc<Advisory>>,
    read: BTreeMap<Ecosystem, Read>,
    errors: Vec<String>,
    failed: usize,
}

/// What was read of an ecosystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Records that name a package of it.
    pub records: usize,
    /// When the newest one was changed. None if no record says so.
    pub newest: Option<Timestamp>,
}

impl Collection {
    /// Keeps advisories for these packages: an ecosystem, and a name in its normal form.
    #[must_use]
    pub fn of(packages: impl IntoIterator<Item = (Ecosystem, String)>) -> Self {
        let mut wanted: BTreeMap<Ecosystem, BTreeSet<String>> = BTreeMap::new();
        for (ecosystem, name) in packages {
            if let Some(pro) = ecosystem.with_subscription() {
                wanted.entry(pro).or_default().insert(name.clone());
            }
            wanted.entry(ecosystem).or_default().insert(name);
        }
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Adds a record of OSV. `place` is where it is from, for messages.
    pub fn add(&mut self, place: &str, record: &[u8]) {
        let advisory = match osv::decode(record) {
            Ok(advisory) => advisory,
            Err(cause) => {
                self.fail(format!("{place}: {cause}"));
                return;
            }
        };
        let mut is_wanted = false;
        let mut seen = BTreeSet::new();
        for entry in &advisory.affected {
            let wanted = self.wanted.get(&entry.ecosystem);
            is_wanted |= wanted.is_some_and(|names| names.contains(&entry.name));
            if seen.insert(&entry.ecosystem) {
                let read = self.read.entry(entry.ecosystem.clone()).or_default();
                read.records += 1;
                read.newest = read.newest.max(advisory.modified);
            }
        }
        if is_wanted {
            match self.kept.entry(advisory.id.clone()) {
                Entry::Vacant(entry) => drop(entry.insert(Arc::new(advisory))),
                // Two sources can have two states of one record.
                Entry::Occupied(mut entry) if entry.get().modified < advisory.modified => {
                    drop(entry.insert(Arc::new(advisory)));
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    /// Adds an error about records that could not be read.
    pub fn fail(&mut self, error: String) {
        self.failed += 1;
        if self.errors.len() < ERRORS_LIMIT {
            self.errors.push(error);
        }
    }

    /// Ends the collection.
    #[must_use]
    pub fn collected(self) -> Advisories {
        let mut by_name: BTreeMap<Ecosystem, BTreeMap<String, Vec<Arc<Advisory>>>> =
            BTreeMap::new();
        for advisory in self.kept.into_values() {
            let names: BTreeSet<_> = advisory
                .affected
                .iter()
                .map(|e| (&e.ecosystem, &e.name))
                .collect();
            for (ecosystem, name) in names {
                let wanted = self.wanted.get(ecosystem);
                if wanted.is_some_and(|names| names.contains(name)) {
                    let of_ecosystem = by_name.entry(ecosystem.clone()).or_default();
                    let of_name = of_ecosystem.entry(name.clone()).or_default();
                    of_name.push(Arc::clone(&advisory));
                }
            }
        }
        Advisories {
            by_name,
            read: self.read,
            errors: self.errors,
            failed: self.failed,
        }
    }
}

/// Advisories by the package that they name.
#[derive(Debug, Default)]
pub struct Advisories {
    by_name: BTreeMap<Ecosystem, BTreeMap<String, Vec<Arc<Advisory>>>>,
    /// What was read of each ecosystem.
    pub read: BTreeMap<Ecosystem, Read>,
    /// What could not be read, up to a limit.
    pub errors: Vec<String>,
    /// The number of all errors.
    pub failed: usize,
}

impl Advisories {
    /// The advisories that name a package, by its normal name.
    #[must_use]
    pub fn get(&self, ecosystem: &Ecosystem, name: &str) -> Vec<Arc<Advisory>> {
        let of_ecosystem = self.by_name.get(ecosystem);
        of_ecosystem
            .and_then(|names| names.get(name))
            .cloned()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, modified: &str, ecosystem: &str, name: &str) -> Vec<u8> {
        let text = format!(
            r#"{{"id": "{id}", "modified": "{modified}", "affected": [{{"package": {{"ecosystem": "{ecosystem}", "name": "{name}"}}}}, {{"package": {{"ecosystem": "Go", "name": "other"}}}}]}}"#
        );
        text.into_bytes()
    }

    fn ids(advisories: &Advisories, ecosystem: &str, name: &str) -> Vec<String> {
        let ecosystem = Ecosystem::parse(ecosystem).unwrap();
        let of = advisories.get(&ecosystem, name);
        of.iter().map(|advisory| advisory.id.clone()).collect()
    }

    #[test]
    fn records_that_name_a_wanted_package_are_kept() {
        let wanted =
            |ecosystem: &str, name: &str| (Ecosystem::parse(ecosystem).unwrap(), name.to_owned());
        let mut collection = Collection::of([
            wanted("PyPI", "zope-interface"),
            wanted("Ubuntu:22.04:LTS", "unzip"),
        ]);
        let day = "2025-01-02T00:00:00Z";
        collection.add("a", &record("X-1", day, "PyPI", "Zope.Interface"));
        collection.add(
            "b",
            &record("X-2", "2025-03-02T00:00:00Z", "PyPI", "django"),
        );
        collection.add("c", &record("X-3", day, "Ubuntu:Pro:22.04:LTS", "unzip"));
        collection.add("d", &record("X-4", day, "Ubuntu:24.04:LTS", "unzip"));
        collection.add("e", b"{}");
        collection.add("f", &record("X-5", day, "NuGet", "unzip"));
        collection.fail("g: gone".to_owned());
        let of = collection.collected();
        assert_eq!(ids(&of, "PyPI", "zope-interface"), ["X-1"]);
        assert_eq!(ids(&of, "PyPI", "django"), [""; 0]);
        assert_eq!(ids(&of, "Go", "other"), [""; 0]);
        assert_eq!(ids(&of, "Ubuntu:Pro:22.04:LTS", "unzip"), ["X-3"]);
        assert_eq!(ids(&of, "Ubuntu:22.04:LTS", "unzip"), [""; 0]);
        let read: Vec<_> = of
            .read
            .iter()
            .map(|(e, r)| format!("{e} {} {}", r.records, r.newest.unwrap()))
            .collect();
        assert_eq!(
            read,
            [
                "Ubuntu:Pro:22.04:LTS 1 2025-01-02T00:00:00Z",
                "Ubuntu:24.04:LTS 1 2025-01-02T00:00:00Z",
                "PyPI 2 2025-03-02T00:00:00Z",
                "Go 5 2025-03-02T00:00:00Z",
            ]
        );
        assert_eq!(
            of.errors,
            ["e: missing field `id` at line 1 column 2", "g: gone"]
        );
        assert_eq!(of.failed, 2);
    }

    #[test]
    fn of_two_states_of_a_record_the_newer_one_is_kept() {
        let (old, new) = ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z");
        for order in [[old, new], [new, old]] {
            let mut collection = Collection::of([(Ecosystem::Npm, "a".to_owned())]);
            for day in order {
                collection.add("x", &record("X-1", day, "npm", "a"));
            }
            let of = collection.collected().get(&Ecosystem::Npm, "a");
            assert_eq!(of.len(), 1);
            assert_eq!(of[0].modified, Some(new.parse().unwrap()));
        }
    }

    #[test]
    fn errors_are_kept_up_to_a_limit_and_counted_beyond() {
        let mut collection = Collection::default();
        for _ in 0..150 {
            collection.add("x", b"");
        }
        let of = collection.collected();
        assert_eq!((of.errors.len(), of.failed), (100, 150));
    }
}
