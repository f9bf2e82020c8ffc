//! The advisories that name certain packages, out of all that are published.
//!
//! Here: which records are kept, and what was read. Not here: files and archives of records (`cli`).
//! Invariant: memory is bounded by the records that name a wanted package, and by a limit for each source and for all.
//! A record that cannot be decoded or kept is counted and hides no other. No source removes or replaces the record of
//! another one.

use super::osv;
use super::{Advisory, Affected};
use crate::ecosystem::Ecosystem;
use crate::matching::groups;
use crate::matching::is_name;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Errors that are kept. Further ones are counted.
pub(crate) const ERRORS_LIMIT: usize = 100;
/// Bytes of the advisories that are kept.
pub const KEPT_LIMIT: usize = 1 << 30;
/// Bytes of the advisories that are kept of one source, so that one cannot take the place of the others.
pub const SOURCE_LIMIT: usize = KEPT_LIMIT / 4;
/// Ecosystems, such as releases of distributions, that are counted although no package is of them.
pub(crate) const ECOSYSTEMS_LIMIT: usize = 10_000;
/// How far after now a record can say that it was changed.
const FUTURE_LIMIT: SignedDuration = SignedDuration::from_hours(24);

/// Where records are from: a file, an archive, or the files of a directory. See [`Collection::source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(usize);

/// The advisories that name certain packages.
#[derive(Debug)]
pub struct Collection {
    /// The names that advisories are kept for.
    wanted: BTreeMap<Ecosystem, BTreeSet<String>>,
    /// The vulnerability that somebody asks about, and whether a record about it was read.
    asked: Option<(String, bool)>,
    /// When the collection is made.
    now: Timestamp,
    /// The newest state of each record in each source, by name. Sources that have the same one share it.
    kept: BTreeMap<String, BTreeMap<Source, Arc<Advisory>>>,
    /// The bytes that are kept of each source.
    sources: Vec<usize>,
    source_limit: usize,
    kept_limit: usize,
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
    /// Keeps advisories for these packages: an ecosystem, and a name in its normal form. A record cannot be newer than
    /// `now`, with a day for clocks that differ.
    #[must_use]
    pub fn of(packages: impl IntoIterator<Item = (Ecosystem, String)>, now: Timestamp) -> Self {
        let mut wanted: BTreeMap<Ecosystem, BTreeSet<String>> = BTreeMap::new();
        for (ecosystem, name) in packages {
            if let Some(pro) = ecosystem.with_subscription() {
                wanted.entry(pro).or_default().insert(name.clone());
            }
            wanted.entry(ecosystem).or_default().insert(name);
        }
        Self {
            wanted,
            asked: None,
            now,
            kept: BTreeMap::new(),
            sources: Vec::new(),
            source_limit: SOURCE_LIMIT,
            kept_limit: KEPT_LIMIT,
            read: BTreeMap::new(),
            errors: Vec::new(),
            failed: 0,
        }
    }

    /// Notes whether a record about this vulnerability is read, whichever packages it names.
    pub fn ask(&mut self, id: &str) {
        self.asked = Some((id.to_owned(), false));
    }

    /// A new source. Within one, the newest state of a record counts. Of two, each state counts: whoever publishes the
    /// second one must not be able to withdraw what the first one says.
    pub fn source(&mut self) -> Source {
        self.sources.push(0);
        Source(self.sources.len() - 1)
    }

    /// Adds a record of OSV. `place` is where it is from, for messages.
    pub fn add(&mut self, source: Source, place: &str, record: &[u8]) {
        let mut advisory = match osv::decode(record) {
            Ok(advisory) => advisory,
            Err(cause) => {
                self.fail(format!("{place}: {cause}"));
                return;
            }
        };
        if let Some(error) = without_future(&mut advisory, self.now) {
            self.fail(format!("{place}: {error}"));
        }
        if let Some((id, is_read)) = &mut self.asked {
            *is_read = *is_read || advisory.names().any(|name| is_name(name, id));
        }
        let mut seen = BTreeSet::new();
        for entry in &advisory.affected {
            if seen.insert(&entry.ecosystem) {
                self.count(&entry.ecosystem, advisory.modified);
            }
        }
        let wanted = &self.wanted;
        advisory.affected.retain(|entry| {
            let names = wanted.get(&entry.ecosystem);
            let mut keys = groups::keys(&entry.ecosystem, &entry.name);
            names.is_some_and(|names| keys.any(|key| names.contains(&*key)))
        });
        if !advisory.affected.is_empty() {
            self.keep(source, place, advisory);
        }
    }

    fn count(&mut self, ecosystem: &Ecosystem, modified: Option<Timestamp>) {
        let is_counted = self.read.contains_key(ecosystem)
            || self.read.len() < ECOSYSTEMS_LIMIT
            || self.wanted.contains_key(ecosystem);
        if is_counted {
            let read = self.read.entry(ecosystem.clone()).or_default();
            read.records += 1;
            read.newest = read.newest.max(modified);
        }
    }

    /// Keeps the newer of two states of a source, if there is space for it.
    fn keep(&mut self, source: Source, place: &str, advisory: Advisory) {
        let states = self.kept.get(&advisory.id);
        let old = states.and_then(|states| states.get(&source));
        if old.is_some_and(|old| old.modified >= advisory.modified) {
            return;
        }
        let freed = old.map_or(0, |old| size(old));
        let same = states.and_then(|states| states.values().find(|state| ***state == advisory));
        let state = same.map_or_else(|| Arc::new(advisory), Arc::clone);
        let all: usize = self.sources.iter().sum();
        let size = size(&state);
        let kept = &mut self.sources[source.0];
        let (of_source, of_all) = (*kept - freed + size, all - freed + size);
        let cause = if of_source > self.source_limit {
            let limit = self.source_limit >> 20;
            format!(
                "it would be more than the {limit} MiB of advisories that are kept of one path or archive"
            )
        } else if of_all > self.kept_limit {
            let limit = self.kept_limit >> 20;
            format!("it would be more than the {limit} MiB of advisories that are kept")
        } else {
            *kept = of_source;
            let states = self.kept.entry(state.id.clone()).or_default();
            states.insert(source, state);
            return;
        };
        self.fail(format!("{place}: {cause}"));
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
        for advisory in self.kept.into_values().flat_map(distinct) {
            let entries = advisory.affected.iter();
            let names: BTreeSet<_> = entries
                .flat_map(|e| groups::keys(&e.ecosystem, &e.name).map(|key| (&e.ecosystem, key)))
                .collect();
            for (ecosystem, name) in names {
                let wanted = self.wanted.get(ecosystem);
                if wanted.is_some_and(|names| names.contains(&*name)) {
                    let of_ecosystem = by_name.entry(ecosystem.clone()).or_default();
                    let of_name = of_ecosystem.entry(name.into_owned()).or_default();
                    of_name.push(Arc::clone(&advisory));
                }
            }
        }
        Advisories {
            by_name,
            read: self.read,
            is_asked_read: self.asked.is_some_and(|(_, is_read)| is_read),
            errors: self.errors,
            failed: self.failed,
        }
    }
}

/// Removes the time at which an advisory was changed if that is in the future, and says so.
pub(crate) fn without_future(advisory: &mut Advisory, now: Timestamp) -> Option<String> {
    let latest = now.checked_add(FUTURE_LIMIT).unwrap_or(Timestamp::MAX);
    let modified = advisory.modified.filter(|time| *time > latest)?;
    advisory.modified = None;
    Some(format!(
        "modified: must not be in the future, and is {modified}; any other state of {} in this source counts before this one",
        advisory.id
    ))
}

/// The states of a record that differ, in the order of the sources.
fn distinct(states: BTreeMap<Source, Arc<Advisory>>) -> impl Iterator<Item = Arc<Advisory>> {
    let mut seen = BTreeSet::new();
    let states = states.into_values();
    states.filter(move |state| seen.insert(Arc::as_ptr(state)))
}

/// The bytes that an advisory takes, without what an allocator adds.
pub(crate) fn size(advisory: &Advisory) -> usize {
    size_of_val(advisory)
        + advisory.id.len()
        + advisory.title.len()
        + texts_size(&advisory.aliases)
        + texts_size(&advisory.upstream)
        + size_of_val(&*advisory.statements)
        + advisory.affected.iter().map(entry_size).sum::<usize>()
}

/// The bytes that an entry of an advisory takes, without what an allocator adds.
pub(crate) fn entry_size(entry: &Affected) -> usize {
    let ranges = entry.ranges.iter().chain(&entry.custom_ranges);
    let events = ranges.map(|range| {
        let versions: usize = range.events.iter().map(|event| event.version().len()).sum();
        size_of_val(range) + size_of_val(&*range.events) + versions
    });
    let dates = entry.fix_dates.iter();
    let dates = dates.map(|date| date.version.len() + date.source.len());
    let notes = entry.notes.iter().map(|note| note.reason().len());
    size_of_val(entry)
        + entry.name.len()
        + size_of_val(&*entry.statements)
        + events.sum::<usize>()
        + entry.versions.size()
        + size_of_val(&*entry.notes)
        + notes.sum::<usize>()
        + size_of_val(&*entry.fix_dates)
        + dates.sum::<usize>()
}

fn texts_size(texts: &[String]) -> usize {
    let bytes: usize = texts.iter().map(String::len).sum();
    bytes + size_of_val(texts)
}

/// Advisories by the package that they name.
#[derive(Debug, Default)]
pub struct Advisories {
    by_name: BTreeMap<Ecosystem, BTreeMap<String, Vec<Arc<Advisory>>>>,
    /// What was read of each ecosystem.
    pub read: BTreeMap<Ecosystem, Read>,
    /// Whether a record was read about the vulnerability that [`Collection::ask`] names.
    pub is_asked_read: bool,
    /// What could not be read, up to a limit.
    pub errors: Vec<String>,
    /// The number of all errors.
    pub failed: usize,
}

impl Advisories {
    /// Adds an advisory that names a package.
    pub(crate) fn insert(&mut self, ecosystem: Ecosystem, name: String, advisory: Arc<Advisory>) {
        let names = self.by_name.entry(ecosystem).or_default();
        names.entry(name).or_default().push(advisory);
    }

    /// The advisories that name a package, by its normal name. That of an artifact of Maven whose group is not known is
    /// [`groups::any_group`].
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

    const NOW: &str = "2025-06-01T00:00:00Z";

    fn collection(names: &[(&str, &str)]) -> (Collection, Source) {
        let wanted = names
            .iter()
            .map(|(ecosystem, name)| (Ecosystem::parse(ecosystem).unwrap(), (*name).to_owned()));
        let mut collection = Collection::of(wanted, NOW.parse().unwrap());
        let source = collection.source();
        (collection, source)
    }

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
    fn records_about_an_artifact_of_any_group_are_kept() {
        let any = groups::any_group("log4j-core");
        let (mut collection, source) = collection(&[("Maven", &any), ("Maven", "org.a:b")]);
        let day = "2025-01-02T00:00:00Z";
        for (id, ecosystem, name) in [
            ("X-1", "Maven", "org.apache:log4j-core"),
            ("X-2", "Maven", "org.other:log4j-core"),
            ("X-3", "Maven", "org.apache:log4j-api"),
            ("X-4", "npm", "org.apache:log4j-core"),
            ("X-5", "Maven", "org.a:b"),
            ("X-6", "Maven", "org.c:b"),
        ] {
            collection.add(source, id, &record(id, day, ecosystem, name));
        }
        let of = collection.collected();
        assert_eq!(ids(&of, "Maven", &any), ["X-1", "X-2"]);
        assert_eq!(ids(&of, "Maven", "org.a:b"), ["X-5"]);
        assert_eq!(ids(&of, "Maven", "org.apache:log4j-core"), [""; 0]);
        assert_eq!(of.errors, [""; 0]);
    }

    #[test]
    fn records_that_name_a_wanted_package_are_kept() {
        let names = [("PyPI", "zope-interface"), ("Ubuntu:22.04:LTS", "unzip")];
        let (mut collection, source) = collection(&names);
        let day = "2025-01-02T00:00:00Z";
        collection.add(source, "a", &record("X-1", day, "PyPI", "Zope.Interface"));
        collection.add(
            source,
            "b",
            &record("X-2", "2025-03-02T00:00:00Z", "PyPI", "django"),
        );
        collection.add(
            source,
            "c",
            &record("X-3", day, "Ubuntu:Pro:22.04:LTS", "unzip"),
        );
        collection.add(
            source,
            "d",
            &record("X-4", day, "Ubuntu:24.04:LTS", "unzip"),
        );
        collection.add(source, "e", b"{}");
        collection.add(source, "f", &record("X-5", day, "NuGet", "unzip"));
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
    fn a_record_about_what_is_asked_is_noted_also_if_it_is_not_kept() {
        let day = "2025-01-02T00:00:00Z";
        for (asked, want) in [("cve-2025-1", true), ("CVE-2025-2", false)] {
            let (mut collection, source) = collection(&[("npm", "a")]);
            collection.ask(asked);
            for id in ["UBUNTU-CVE-2025-1", "X-1"] {
                collection.add(source, id, &record(id, day, "npm", "b"));
            }
            assert_eq!(collection.collected().is_asked_read, want, "{asked}");
        }
    }

    #[test]
    fn of_two_states_of_a_record_the_newer_one_is_kept() {
        let (old, new) = ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z");
        for order in [[old, new], [new, old]] {
            let (mut collection, source) = collection(&[("npm", "a")]);
            for day in order {
                collection.add(source, "x", &record("X-1", day, "npm", "a"));
            }
            let of = collection.collected().get(&Ecosystem::Npm, "a");
            assert_eq!(of.len(), 1);
            assert_eq!(of[0].modified, Some(new.parse().unwrap()));
        }
    }

    #[test]
    fn errors_are_kept_up_to_a_limit_and_counted_beyond() {
        let (mut collection, source) = collection(&[]);
        for _ in 0..150 {
            collection.add(source, "x", b"");
        }
        let of = collection.collected();
        assert_eq!((of.errors.len(), of.failed), (100, 150));
    }

    /// A record of `npm/a` that was withdrawn.
    fn withdrawn(id: &str, modified: &str) -> Vec<u8> {
        let record = String::from_utf8(record(id, modified, "npm", "a")).unwrap();
        let withdrawn = r#"{"withdrawn": "2025-01-01T00:00:00Z", "#;
        record.replacen('{', withdrawn, 1).into_bytes()
    }

    #[test]
    fn a_source_does_not_replace_the_record_of_another() {
        let (old, new) = ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z");
        for is_first in [true, false] {
            let (mut collection, mut real) = collection(&[("npm", "a")]);
            let mut second = collection.source();
            if !is_first {
                std::mem::swap(&mut real, &mut second);
            }
            collection.add(real, "x", &record("X-1", old, "npm", "a"));
            collection.add(second, "y", &withdrawn("X-1", new));
            // What both have is one state.
            collection.add(real, "x", &record("X-2", old, "npm", "a"));
            collection.add(second, "y", &record("X-2", old, "npm", "a"));
            let of = collection.collected();
            assert_eq!(of.failed, 0);
            let of = of.get(&Ecosystem::Npm, "a");
            let mut states: Vec<_> = of.iter().map(|a| (a.id.as_str(), a.withdrawn)).collect();
            states.sort_unstable();
            assert_eq!(states, [("X-1", false), ("X-1", true), ("X-2", false)]);
        }
    }

    #[test]
    fn a_record_of_the_future_is_reported_and_counts_least() {
        for is_first in [true, false] {
            let (mut collection, source) = collection(&[("npm", "a")]);
            let (real, future) = ("2025-01-02T00:00:00Z", "2025-06-02T00:00:01Z");
            if is_first {
                collection.add(source, "y", &withdrawn("X-1", future));
            }
            collection.add(source, "x", &record("X-1", real, "npm", "a"));
            if !is_first {
                collection.add(source, "y", &withdrawn("X-1", future));
            }
            // A day is for clocks that differ.
            collection.add(
                source,
                "z",
                &record("X-2", "2025-06-02T00:00:00Z", "npm", "a"),
            );
            let of = collection.collected();
            let error = "y: modified: must not be in the future, and is 2025-06-02T00:00:01Z; any other state of X-1 in this source counts before this one";
            assert_eq!(of.errors, [error]);
            let newest = of.read[&Ecosystem::Npm].newest.unwrap().to_string();
            assert_eq!(newest, "2025-06-02T00:00:00Z");
            let of = of.get(&Ecosystem::Npm, "a");
            let states: Vec<_> = of.iter().map(|a| (a.id.as_str(), a.withdrawn)).collect();
            assert_eq!(states, [("X-1", false), ("X-2", false)]);
        }
    }

    #[test]
    fn a_source_does_not_take_the_space_of_others() {
        let day = "2025-01-02T00:00:00Z";
        let (mut collection, full) = collection(&[("npm", "a")]);
        let record = |id: &str| record(id, day, "npm", "a");
        let bytes = size(&osv::decode(&record("X-1")).unwrap());
        // Of the decoded record, only the entry of the wanted package is kept.
        collection.source_limit = bytes;
        collection.kept_limit = 2 * bytes;
        let (second, third) = (collection.source(), collection.source());
        for id in ["X-1", "X-2", "X-3"] {
            collection.add(full, id, &record(id));
        }
        collection.add(second, "second", &record("X-4"));
        collection.add(third, "third", &record("X-5"));
        collection.add(third, "third", &record("X-6"));
        let of = collection.collected();
        assert_eq!(ids(&of, "npm", "a"), ["X-1", "X-4", "X-5"]);
        assert_eq!(of.errors.len(), 3);
    }
}
