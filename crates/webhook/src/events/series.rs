//! Which Events exist, so that repeats are counted.
//!
//! Here: counts. Not here: writing (`events`).
//! Invariant: an equal Event about an object is written once and then counted, as long as the API server
//! keeps it; what is remembered is bounded, and what is forgotten is written anew.

use bailiff_kube::events::Written;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long the API server keeps an Event after its last change, unless it is set otherwise.
const KEPT: Duration = Duration::from_hours(1);
/// Most Events that are remembered, of at most 1.5 KiB.
const REMEMBERED_LIMIT: usize = 1024;

/// UID of the object, and the note.
pub(super) type SeriesKey = (String, String);

/// An Event that exists, and how many equal ones there are with the next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) written: Written,
    pub(super) count: i32,
}

#[derive(Debug, Default)]
pub(super) struct Series {
    events: BTreeMap<SeriesKey, (Written, i32, Instant)>,
    /// By the last use. Equal times are possible, and the key makes them different.
    by_use: BTreeSet<(Instant, SeriesKey)>,
}

impl Series {
    /// The Event that counts another equal one; none: it has to be written.
    pub(super) fn next(&mut self, key: &SeriesKey, now: Instant) -> Option<Repeat> {
        let (written, count, used) = self.events.get_mut(key)?;
        self.by_use.remove(&(*used, key.clone()));
        if now - *used >= KEPT {
            self.events.remove(key);
            return None;
        }
        *count = count.saturating_add(1);
        *used = now;
        self.by_use.insert((now, key.clone()));
        Some(Repeat {
            written: written.clone(),
            count: *count,
        })
    }

    /// An Event was written.
    pub(super) fn begun(&mut self, key: SeriesKey, written: Written, now: Instant) {
        if let Some((_, _, used)) = self.events.insert(key.clone(), (written, 1, now)) {
            self.by_use.remove(&(used, key.clone()));
        }
        self.by_use.insert((now, key));
        while self.events.len() > REMEMBERED_LIMIT
            && let Some((_, least)) = self.by_use.pop_first()
        {
            self.events.remove(&least);
        }
    }
}
