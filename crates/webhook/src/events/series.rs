//! Which Events exist, so that repeats are counted with one request.
//!
//! Here: an LRU cache of what this replica saw of them last. Not here: writing and counting (`bailiff_kube::events`).
//! Invariant: what is remembered is bounded. What is forgotten costs requests, and changes no count.

use bailiff_kube::events::Shared;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// Most Events that are remembered, of at most 1.5 KiB.
const REMEMBERED_LIMIT: usize = 1024;

/// UID of the object, and the note.
pub(super) type SeriesKey = (String, String);

#[derive(Debug, Default)]
pub(super) struct Series {
    events: BTreeMap<SeriesKey, (Shared, Instant)>,
    /// By the last use. Equal times are possible, and the key makes them different.
    by_use: BTreeSet<(Instant, SeriesKey)>,
}

impl Series {
    /// The Event as it was last seen; none: it is not remembered.
    pub(super) fn get(&self, key: &SeriesKey) -> Option<Shared> {
        self.events.get(key).map(|(event, _)| event.clone())
    }

    /// An Event was written.
    pub(super) fn put(&mut self, key: SeriesKey, event: Shared, now: Instant) {
        if let Some((_, used)) = self.events.insert(key.clone(), (event, now)) {
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
