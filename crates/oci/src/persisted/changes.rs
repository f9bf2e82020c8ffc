//! What changed since a `ConfigMap` was read.
//!
//! Here: admissions and answers of registries, as they are added to what the `ConfigMap` has, and when they are
//! worth a write. Not here: the write (`webhook`).
//! Invariant: adding changes again changes nothing, so a write that conflicted is repeated with what the
//! `ConfigMap` has by then. What a registry contradicted is not in the result. Changes are bounded.

use super::content::FRAME_BYTES;
use super::room::fit;
use super::{FACTS_LIMIT, Fact, FactKey, Facts, Users, add};
use std::collections::BTreeMap;

/// How old a time in a `ConfigMap` gets before it is written again, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// That of a tag, whose answer is used for a short time alone.
    pub tag: i64,
    /// That of a digest.
    pub digest: i64,
}

/// A change that is worth a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<'a> {
    /// What it is about.
    pub key: &'a FactKey,
    /// The namespaces whose pods were admitted; none: the registry contradicted the image.
    pub users: Option<&'a Users>,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<FactKey, Change>);

/// What changed about an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Change {
    /// When the registry said that there is no such image, or not for this credential.
    contradicted: Option<i64>,
    /// What was admitted since.
    admitted: Option<Fact>,
}

impl Change {
    /// What there is about the image, with what the `ConfigMap` has.
    fn applied(&self, key: &FactKey, stored: Option<&Fact>) -> Option<Fact> {
        let stored = stored.filter(|fact| self.contradicted < Some(fact.confirmed));
        match (stored, &self.admitted) {
            (Some(stored), Some(admitted)) => {
                Some(stored.clone().merged(admitted.clone(), &key.image))
            }
            (one, other) => one.or(other.as_ref()).cloned(),
        }
    }
}

impl Changes {
    /// A pod with an image was admitted.
    pub fn admit(&mut self, key: FactKey, fact: Fact, now: i64) {
        let image = key.image.clone();
        let change = self.0.entry(key).or_default();
        if change.contradicted >= Some(fact.confirmed) {
            return;
        }
        change.admitted = Some(match change.admitted.take() {
            Some(before) => before.merged(fact, &image),
            None => fact,
        });
        // Twice as many, so that one in many makes room, and not each.
        if self.0.len() > FACTS_LIMIT.saturating_mul(2) {
            self.fit(now);
        }
    }

    /// The registry said at a time that there is no such image, or not for this credential.
    pub fn contradict(&mut self, key: FactKey, now: i64) {
        let change = self.0.entry(key).or_default();
        change.contradicted = change.contradicted.max(Some(now));
        change.admitted = change.admitted.take().filter(|fact| fact.confirmed > now);
        if self.0.len() > FACTS_LIMIT.saturating_mul(2) {
            self.fit(now);
        }
    }

    /// A fact that the `ConfigMap` had is not in it any more: a registry contradicted it, or somebody removed it.
    /// What was admitted until now does not bring it back; what is admitted from now on is new.
    pub fn forget(&mut self, key: &FactKey) {
        if let Some(change) = self.0.get_mut(key) {
            change.admitted = None;
            if change.contradicted.is_none() {
                self.0.remove(key);
            }
        }
    }

    /// Leaves as much as a `ConfigMap` has room for.
    fn fit(&mut self, now: i64) {
        let admitted = self.0.iter().filter_map(|(key, change)| {
            let fact = change.admitted.clone()?;
            Some((key.clone(), fact))
        });
        let mut left: Facts = admitted.collect();
        fit(&mut left, 0, FRAME_BYTES, now);
        let mut contradicted = 0_usize;
        self.0.retain(|key, change| {
            if change.admitted.is_some() {
                return left.contains_key(key);
            }
            contradicted = contradicted.saturating_add(1);
            contradicted <= FACTS_LIMIT / 2
        });
    }

    /// What there is about an image, with what the `ConfigMap` has.
    #[must_use]
    pub fn applied_to(&self, key: &FactKey, stored: Option<&Fact>) -> Option<Fact> {
        match self.0.get(key) {
            Some(change) => change.applied(key, stored),
            None => stored.cloned(),
        }
    }

    /// What the `ConfigMap` has after these changes, before what has no room goes.
    #[must_use]
    pub fn applied(&self, stored: &Facts) -> Facts {
        let mut facts = stored.clone();
        for (key, change) in &self.0 {
            let stored = facts.remove(key);
            if let Some(fact) = change.applied(key, stored.as_ref()) {
                add(&mut facts, key.clone(), fact);
            }
        }
        facts
    }

    /// Those that are worth a write: of an image that is new or has another digest, of one that was contradicted, and
    /// of one with a time that is too old.
    pub fn due<'a>(
        &'a self,
        stored: &'a Facts,
        refresh: Refresh,
    ) -> impl Iterator<Item = Due<'a>> + 'a {
        self.0.iter().filter_map(move |(key, change)| {
            let before = stored.get(key);
            let is_due = match (before, change.applied(key, before)) {
                (None, None) => false,
                (None, Some(_)) | (Some(_), None) => true,
                (Some(before), Some(after)) => {
                    let longest = if key.is_tag() {
                        refresh.tag
                    } else {
                        refresh.digest
                    };
                    let is_old = |before: i64, after: i64| after.saturating_sub(before) >= longest;
                    before.facts != after.facts
                        || is_old(before.confirmed, after.confirmed)
                        || is_old(before.last_admitted, after.last_admitted)
                }
            };
            let users = change.admitted.as_ref().map(|fact| &fact.users);
            is_due.then_some(Due { key, users })
        })
    }

    /// Whether any is worth a write.
    #[must_use]
    pub fn are_due(&self, stored: &Facts, refresh: Refresh) -> bool {
        self.due(stored, refresh).next().is_some()
    }

    /// Whether a registry contradicted what there was about an image.
    #[must_use]
    pub fn contradict_fact(&self, key: &FactKey) -> bool {
        self.0
            .get(key)
            .is_some_and(|change| change.contradicted.is_some())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes those that were written; what came since stays.
    pub fn remove(&mut self, written: &Self) {
        for (key, change) in &written.0 {
            if self.0.get(key) == Some(change) {
                self.0.remove(key);
            }
        }
    }
}
