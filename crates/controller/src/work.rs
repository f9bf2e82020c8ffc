//! Which Incidents need an answer now, and which are looked at again later.
//!
//! Here: the decision, from what the watch brings and the time. Not here: the watch and the
//! tasks (`dispatch`), and what an answer is (`answer`).
//! Invariant: an Incident is answered by one task at a time; each violation that goes on after
//! an answer is looked at once, at most every `again`, and none is forgotten.

use bailiff_api::Incident;
use bailiff_response::{is_open, needs_reevaluation};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// What identifies an Incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Key {
    /// None: it was not read from an API server.
    pub(crate) fn of(incident: &Incident) -> Option<Self> {
        let metadata = &incident.metadata;
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
        })
    }
}

/// When the last violation of a series was seen; none: there is no series.
type Seen = Option<Timestamp>;

fn seen(incident: &Incident) -> Seen {
    let series = incident.status.as_ref().and_then(|s| s.series.as_ref());
    series.map(|series| series.last_observed_time.0)
}

/// What an Incident needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A task. With `fresh` what the watch brought is the newest that there can be; else this
    /// replica may have written since, and it is read first.
    Answer {
        /// Whether it was never looked at here.
        fresh: bool,
    },
    /// Nothing now.
    Nothing,
}

/// The Incidents that are under way, and what is known of the others.
#[derive(Debug)]
pub(crate) struct Work {
    again: Duration,
    under_way: BTreeMap<String, UnderWay>,
    looked: BTreeMap<String, Looked>,
    later: BTreeMap<String, (Instant, Key, Seen)>,
}

#[derive(Debug)]
struct UnderWay {
    /// The last violation that the task knows of.
    seen: Seen,
    /// A later one, which came meanwhile.
    newer: Option<(Key, Seen)>,
}

#[derive(Debug)]
struct Looked {
    at: Instant,
    seen: Seen,
}

impl Work {
    /// Nothing is known yet; `again` is the least time between two looks at an Incident that was
    /// answered.
    pub(crate) fn new(again: Duration) -> Self {
        Self {
            again,
            under_way: BTreeMap::new(),
            looked: BTreeMap::new(),
            later: BTreeMap::new(),
        }
    }

    /// Takes note of an Incident as the watch brings it. One that needs an answer is under way
    /// from now on.
    pub(crate) fn learn(&mut self, incident: &Incident, now: Instant) -> Need {
        let Some(key) = Key::of(incident) else {
            return Need::Nothing;
        };
        let last = seen(incident);
        if let Some(under_way) = self.under_way.get_mut(&key.uid) {
            if needs_reevaluation(incident) && last > under_way.seen {
                under_way.newer = Some((key, last));
            }
            return Need::Nothing;
        }
        let looked = self.looked.get(&key.uid);
        let fresh = looked.is_none();
        if !is_open(incident) {
            let new = looked.is_none_or(|looked| last > looked.seen);
            if !needs_reevaluation(incident) || !new {
                return Need::Nothing;
            }
            let due = looked.map_or(now, |looked| looked.at + self.again);
            if due > now {
                self.later.insert(key.uid.clone(), (due, key, last));
                return Need::Nothing;
            }
        }
        self.begin(&key.uid, last);
        Need::Answer { fresh }
    }

    fn begin(&mut self, uid: &str, seen: Seen) {
        self.later.remove(uid);
        self.under_way
            .insert(uid.to_owned(), UnderWay { seen, newer: None });
    }

    /// When something is due next; none: never.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.later.values().map(|(due, ..)| *due).min()
    }

    /// The Incidents that are due; they are under way from now on, and are to be read first.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Key> {
        let due: Vec<_> = self
            .later
            .values()
            .filter(|(due, ..)| *due <= now)
            .map(|(_, key, seen)| (key.clone(), *seen))
            .collect();
        for (key, seen) in &due {
            self.begin(&key.uid, *seen);
        }
        due.into_iter().map(|(key, _)| key).collect()
    }

    /// A task ended in order.
    pub(crate) fn done(&mut self, uid: &str, now: Instant) {
        let Some(under_way) = self.under_way.remove(uid) else {
            return;
        };
        let seen = under_way.seen;
        self.looked.insert(uid.to_owned(), Looked { at: now, seen });
        if let Some((key, seen)) = under_way.newer {
            let due = now + self.again;
            self.later.insert(uid.to_owned(), (due, key, seen));
        }
    }

    /// A task failed; its Incident is looked at again.
    pub(crate) fn failed(&mut self, key: &Key, now: Instant) {
        self.done(&key.uid, now);
        let due = now + self.again;
        self.later.insert(key.uid.clone(), (due, key.clone(), None));
    }

    /// An Incident was deleted.
    pub(crate) fn gone(&mut self, uid: &str) {
        self.looked.remove(uid);
        self.later.remove(uid);
    }

    /// All Incidents that there are, by UID: others were deleted while the watch was broken.
    pub(crate) fn relisted(&mut self, present: &BTreeSet<String>) {
        self.looked.retain(|uid, _| present.contains(uid));
        self.later.retain(|uid, _| present.contains(uid));
    }
}

#[cfg(test)]
mod tests;
