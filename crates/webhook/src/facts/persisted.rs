//! What outlives the memory.
//!
//! Here: what the `ConfigMaps` have as far as it is known, what changed since, and when a change is worth a
//! write. Not here: their text and their room (`bailiff_oci::persisted`), and requests (`persistence`).
//! Invariant: what is persisted answers only in place of a registry that gives no answer: a tag within
//! `stale_if_error` of the last time that the registry confirmed it, a digest for 30 days. The registry was asked:
//! that Bailiff's own queue is full, as any tenant can fill it, is no such cause. It is a fact of one credential,
//! and answers nobody who asks with another one. After the Secret of the credential changed, it answers only the
//! namespaces whose pods had the image, within `stale_if_error`: tokens of some registries are replaced twice a day,
//! and the new one might see less, but these namespaces learn nothing that they did not know. What was persisted and is
//! not any more comes back only with a later admission.
//!
//! Admissions are recorded in both steps. Only the mutating one sees tags, and the API server checks quotas after both
//! (kube-apiserver v1.37, `AllOrderedPlugins`), so a namespace whose quota allows no pod can record, too. Therefore each
//! namespace has a budget of writes; what it admits beyond waits for a write that somebody else causes, or for its turn.

use super::key::Key;
use crate::budget::Budget;
use bailiff_oci::persisted::{
    CONFIG_MAPS, Carried, Changes, Due, Fact, FactKey, Facts, Fault, RETENTION_SECONDS, Read,
    Refresh, Users, encode,
};
use bailiff_oci::{Failure, ImageFacts, Lookup, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The longest time that is not written again if it changes.
const REFRESH: i64 = 24 * 3600;
/// The shortest.
const REFRESH_MIN: i64 = 60;
/// Most writes that a namespace causes at once: two of each `ConfigMap`.
const BURST: u32 = 16;
/// Time until it can cause another one.
const INTERVAL: Duration = Duration::from_mins(2);
/// So few facts can go at once because of their age, whichever part of all they are.
const OLD_MIN: usize = 8;

/// One moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) at: Instant,
    /// In seconds since 1970.
    pub(crate) seconds: i64,
}

impl Clock {
    /// A moment in seconds since 1970.
    fn seconds(&self, at: Instant) -> i64 {
        let after = at.saturating_duration_since(self.at).as_secs();
        let before = self.at.saturating_duration_since(at).as_secs();
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        self.seconds
            .saturating_add(signed(after))
            .saturating_sub(signed(before))
    }
}

/// What is known about a `ConfigMap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It was not read yet.
    #[default]
    NotRead,
    /// It was read.
    Read,
    /// There is none.
    Missing,
    /// What it has cannot be used.
    Corrupt,
}

/// What was read of a `ConfigMap`.
#[derive(Clone, Debug)]
pub(crate) enum Observed {
    /// It has these facts.
    Read { read: Read, bytes: usize },
    /// It has none that can be used.
    Corrupt,
    /// There is none.
    Missing,
}

/// What a write of a `ConfigMap` needs.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) data: BTreeMap<String, String>,
    facts: Facts,
    carried: Vec<Carried>,
    changes: Changes,
    /// The namespaces that caused it.
    causes: BTreeSet<Box<str>>,
    at: Instant,
}

/// Why a `ConfigMap` is not written: a clock that is ahead would remove what others use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "by the clock of this node, more than half of its answers are older than 30 days, and it is left as it is. Correct the clock. If it is right, remove the data of the ConfigMap"
)]
pub(crate) struct Aged;

#[derive(Debug, Default)]
struct Map {
    condition: Condition,
    stored: Facts,
    faults: Vec<Fault>,
    carried: Vec<Carried>,
    bytes: usize,
    changes: Changes,
}

/// How much is persisted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PersistedSize {
    pub(super) facts: usize,
    pub(super) bytes: usize,
    /// Facts that cannot be used.
    pub(super) faults: usize,
    /// `ConfigMaps` that cannot be used.
    pub(super) unusable: usize,
}

/// What is persisted, and what of it is to be written.
#[derive(Debug)]
pub(super) struct Persisted {
    stale_if_error: i64,
    clock: Clock,
    maps: [Map; CONFIG_MAPS.len()],
    budget: Budget,
}

impl Persisted {
    /// Nothing is read yet.
    pub(super) fn new(stale_if_error: Duration, clock: Clock) -> Self {
        Self {
            stale_if_error: i64::try_from(stale_if_error.as_secs()).unwrap_or(i64::MAX),
            clock,
            maps: Default::default(),
            budget: Budget::new(BURST, INTERVAL),
        }
    }

    /// How old a time gets. That of a tag must be younger than its answer is used, after a restart too.
    fn refresh(&self) -> Refresh {
        Refresh {
            tag: (self.stale_if_error / 4).clamp(REFRESH_MIN, REFRESH),
            digest: REFRESH,
        }
    }

    /// A pod with an image was admitted that the registry confirmed then.
    pub(super) fn admit(
        &mut self,
        key: &Key,
        facts: ImageFacts,
        confirmed: Instant,
        namespace: &str,
        now: Instant,
    ) {
        let fact = Fact {
            facts,
            credential_version: key.credential_version().into(),
            confirmed: self.clock.seconds(confirmed),
            first_admitted: self.clock.seconds(now),
            last_admitted: self.clock.seconds(now),
            users: Users::One(namespace.into()),
        };
        self.change(key, fact);
    }

    /// A pod with an image was admitted by what is persisted alone.
    pub(super) fn admit_again(&mut self, key: &Key, namespace: &str, now: Instant) {
        if let Some(known) = self.fact(key) {
            let now = self.clock.seconds(now);
            let again = Fact {
                last_admitted: now.max(known.last_admitted),
                users: Users::One(namespace.into()),
                ..known
            };
            self.change(key, again);
        }
    }

    fn change(&mut self, key: &Key, fact: Fact) {
        let key = key.of_fact();
        if let Some(map) = self.maps.get_mut(key.config_map()) {
            let now = fact.last_admitted;
            map.changes.admit(key, fact, now);
        }
    }

    /// The registry said that there is no such image, or not for this credential. That holds for what it said to
    /// other versions of it before, too.
    pub(super) fn contradict(&mut self, key: &Key, now: Instant) {
        let now = self.clock.seconds(now);
        let key = key.of_fact();
        // What is not known needs no room.
        if let Some(map) = self.maps.get_mut(key.config_map())
            && (map.changes.applied_to(&key, map.stored.get(&key)).is_some()
                || map
                    .carried
                    .iter()
                    .any(|line| line.key.as_ref() == Some(&key)))
        {
            map.changes.contradict(key, now);
        }
    }

    fn fact(&self, key: &Key) -> Option<Fact> {
        let key = key.of_fact();
        let map = self.maps.get(key.config_map())?;
        map.changes.applied_to(&key, map.stored.get(&key))
    }

    /// What is persisted about an image, because its registry gives no answer. None: the cause is that of an
    /// answer, the registry was not asked, the fact is too old, or the registry contradicted it at a later time. What
    /// it said to another version of the credential is for a namespace that had the image then, and not without one.
    pub(super) fn last_known(
        &self,
        key: &Key,
        namespace: Option<&str>,
        contradicted: Option<Instant>,
        cause: &Failure,
        now: Instant,
    ) -> Option<Lookup> {
        let was_asked = *cause != Failure::Overloaded;
        if self.stale_if_error == 0 || !was_asked || !cause.is_without_answer() {
            return None;
        }
        let fact = self.fact(key)?;
        if contradicted.is_some_and(|at| self.clock.seconds(at) >= fact.confirmed) {
            return None;
        }
        let is_of_version = *fact.credential_version == *key.credential_version();
        if !is_of_version && !namespace.is_some_and(|namespace| fact.users.has(namespace)) {
            return None;
        }
        let age = self
            .clock
            .seconds(now)
            .saturating_sub(fact.confirmed)
            .max(0);
        let longest = if key.is_tag || !is_of_version {
            self.stale_if_error
        } else {
            RETENTION_SECONDS
        };
        (age <= longest).then(|| Lookup::Found {
            facts: fact.facts,
            source: Source::LastKnown {
                age: Duration::from_secs(age.unsigned_abs()),
                last_admitted: Some(fact.last_admitted),
                cause: cause.clone(),
            },
        })
    }

    /// An answer as a namespace is told it: when an image was admitted last is nothing that others learn.
    pub(super) fn told(&self, key: &Key, namespace: &str, mut lookup: Lookup) -> Lookup {
        if let Lookup::Found {
            source: Source::LastKnown { last_admitted, .. },
            ..
        } = &mut lookup
            && last_admitted.is_some()
        {
            let fact = self.fact(key);
            let of = fact.as_ref().and_then(|fact| fact.users.only());
            *last_admitted = last_admitted.filter(|_| of == Some(namespace));
        }
        lookup
    }

    /// A `ConfigMap` was read at this time.
    pub(super) fn observe(&mut self, number: usize, observed: Observed, clock: Clock) {
        self.clock = clock;
        let Some(map) = self.maps.get_mut(number) else {
            return;
        };
        let mut changes = std::mem::take(&mut map.changes);
        let is_stored = |key: &FactKey| match &observed {
            Observed::Read { read, .. } => {
                let mut carried = read.carried.iter();
                read.facts.contains_key(key) || carried.any(|line| line.key.as_ref() == Some(key))
            }
            Observed::Corrupt | Observed::Missing => false,
        };
        // Another replica can know of a contradiction, and an operator can have removed it.
        for gone in map.stored.keys().filter(|key| !is_stored(key)) {
            changes.forget(gone);
        }
        *map = match observed {
            Observed::Read { read, bytes } => Map {
                condition: Condition::Read,
                stored: read.facts,
                faults: read.faults,
                carried: read.carried,
                bytes,
                changes,
            },
            Observed::Corrupt => Map {
                condition: Condition::Corrupt,
                changes,
                ..Map::default()
            },
            Observed::Missing => Map {
                condition: Condition::Missing,
                changes,
                ..Map::default()
            },
        };
    }

    /// What is known about a `ConfigMap`.
    pub(super) fn condition(&self, number: usize) -> Condition {
        self.maps
            .get(number)
            .map_or(Condition::Missing, |map| map.condition)
    }

    /// What to write into a `ConfigMap`. None: it is not worth a write yet, or it cannot be written. The last time,
    /// each change is.
    ///
    /// # Errors
    /// More than half of what it has would go because of its age.
    pub(super) fn to_write(
        &self,
        number: usize,
        is_last: bool,
        now: Instant,
    ) -> Result<Option<Write>, Aged> {
        let Some(map) = self.maps.get(number) else {
            return Ok(None);
        };
        match map.condition {
            Condition::NotRead | Condition::Missing => return Ok(None),
            Condition::Read | Condition::Corrupt => {}
        }
        let mut carried = map.carried.clone();
        carried.retain(|line| {
            let key = line.key.as_ref();
            !key.is_some_and(|key| map.changes.contradict_fact(key))
        });
        let is_shorter = carried.len() < map.carried.len();
        let due: Vec<_> = map.changes.due(&map.stored, self.refresh()).collect();
        let is_worth = |due: &Due<'_>| self.has_budget(due.users, now);
        let is_due = if is_last {
            !map.changes.is_empty()
        } else {
            is_shorter || due.iter().any(is_worth)
        };
        if !is_due {
            return Ok(None);
        }
        let at = now;
        let (applied, now) = (map.changes.applied(&map.stored), self.clock.seconds(now));
        let known = applied
            .iter()
            .filter(|(key, _)| map.stored.contains_key(key));
        let old = known.filter(|(_, fact)| !fact.is_kept(now)).count();
        if old >= OLD_MIN && old > map.stored.len() / 2 {
            return Err(Aged);
        }
        let (data, facts) = encode(applied, &carried, now);
        // Of what has no room, nothing is written.
        let has_room = |due: &&Due<'_>| due.users.is_none() || facts.contains_key(due.key);
        let due: Vec<_> = due.iter().filter(has_room).collect();
        let is_due = if is_last {
            facts != map.stored || map.condition == Condition::Corrupt
        } else {
            due.iter().any(|due| is_worth(due))
        };
        if !is_due && !is_shorter {
            return Ok(None);
        }
        let users = due.iter().filter_map(|due| due.users);
        let causes = users.flat_map(Users::known).map(Into::into);
        Ok(Some(Write {
            causes: if is_last {
                BTreeSet::new()
            } else {
                causes.collect()
            },
            data,
            facts,
            carried,
            changes: map.changes.clone(),
            at,
        }))
    }

    /// Whether a change of these namespaces can cause a write: one of them has budget left. What a registry
    /// contradicted always can.
    fn has_budget(&self, users: Option<&Users>, now: Instant) -> bool {
        users.is_none_or(|users| {
            let mut known = users.known();
            known.any(|namespace| self.budget.has(namespace, now))
        })
    }

    /// A `ConfigMap` was written.
    pub(super) fn written(&mut self, number: usize, write: Write) {
        for namespace in &write.causes {
            // One that has none left only joined the others.
            self.budget.take(namespace, write.at);
        }
        if let Some(map) = self.maps.get_mut(number) {
            map.changes.remove(&write.changes);
            map.condition = Condition::Read;
            map.bytes = bytes(&write.data);
            map.stored = write.facts;
            map.faults = Vec::new();
            map.carried = write.carried;
        }
    }

    pub(super) fn size(&self) -> PersistedSize {
        let mut size = PersistedSize::default();
        for map in &self.maps {
            size.facts += map.stored.len();
            size.bytes += map.bytes;
            size.faults += map.faults.len();
            size.unusable += match map.condition {
                Condition::Read => 0,
                Condition::NotRead | Condition::Missing | Condition::Corrupt => 1,
            };
        }
        size
    }
}

/// Bytes of the data of a `ConfigMap`.
pub(crate) fn bytes(data: &BTreeMap<String, String>) -> usize {
    data.iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests;
