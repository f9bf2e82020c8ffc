//! Statuses that could not be written yet.
//!
//! Here: what was done and is not in a status yet, and how often a status was rejected, by the UID of
//! the Incident. Not here: the writes (`report`), when they are tried again (`bailiff_response`).
//! Invariant: what was done is kept until its status is written, is rejected for good, or its Incident
//! is gone; while there is much of it, nothing new is done. What can be planned again is not kept.

use bailiff_response::{Key, Outcome, Verified};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// So many statuses of what was done can wait to be written, and one more for each slot.
const LIMIT: usize = 1_000;
/// So often a status is written that admission or a missing permission rejects: either can be repaired
/// meanwhile, as during an upgrade.
const REJECTED_TRIES: u32 = 8;

/// What was done, and is in no status yet.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) key: Key,
    pub(super) verified: Verified,
    pub(super) outcome: Outcome,
    /// The Incident had no response before.
    pub(super) first: bool,
}

/// What is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    done: BTreeMap<String, Done>,
    rejections: BTreeMap<String, u32>,
}

impl Unwritten {
    /// Keeps what was done; another outcome is planned again.
    pub(super) fn keep(&mut self, done: Done) {
        match done.outcome {
            Outcome::Removed { .. } | Outcome::Shortened { .. } => {
                self.done.insert(done.key.uid.clone(), done);
            }
            Outcome::Waiting { .. } | Outcome::NoAction { .. } => {}
        }
    }

    /// What was done about an Incident.
    pub(super) fn done(&self, incident_uid: &str) -> Option<&Done> {
        self.done.get(incident_uid)
    }

    /// All that was done.
    pub(super) fn all(&self) -> Vec<Done> {
        self.done.values().cloned().collect()
    }

    /// Whether nothing new is to be done before some of it is written.
    pub(super) fn is_full(&self) -> bool {
        self.done.len() >= LIMIT
    }

    /// Counts a rejection. Whether it was the last: the status is given up. So it is where too many are
    /// counted already: none is written without end.
    pub(super) fn rejected(&mut self, incident_uid: &str) -> bool {
        if self.rejections.len() >= LIMIT && !self.rejections.contains_key(incident_uid) {
            return true;
        }
        let count = self.rejections.entry(incident_uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count >= REJECTED_TRIES
    }

    /// Its status was written or will not be, or its Incident was deleted.
    pub(super) fn forget(&mut self, incident_uid: &str) {
        self.done.remove(incident_uid);
        self.rejections.remove(incident_uid);
    }

    /// The status of an Incident records a response of this time: what was done then is written, though
    /// the response to the write was lost.
    pub(super) fn is_recorded(&mut self, incident_uid: &str, response: Timestamp) {
        let of_done = self.done.get(incident_uid).map(|done| match done.outcome {
            Outcome::Removed { at, .. } | Outcome::Shortened { at, .. } => Some(at),
            Outcome::Waiting { .. } | Outcome::NoAction { .. } => None,
        });
        // A status has microseconds.
        let at = of_done.flatten().map(Timestamp::as_microsecond);
        if at == Some(response.as_microsecond()) {
            self.done.remove(incident_uid);
        }
    }

    /// Forgets the Incidents that do not exist.
    pub(super) fn retain(&mut self, present: &BTreeSet<String>) {
        self.done.retain(|uid, _| present.contains(uid));
        self.rejections.retain(|uid, _| present.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_status_is_written_without_end() {
        let mut unwritten = Unwritten::default();
        let mut tries = |uid: &str| (1..100).find(|_| unwritten.rejected(uid));
        assert_eq!(tries("a"), Some(8));
        for number in 1..LIMIT {
            unwritten.rejected(&number.to_string());
        }
        assert!(unwritten.rejected("one too many"));
        // What is given up makes room.
        unwritten.forget("a");
        assert!(!unwritten.rejected("one too many"));
    }

    #[test]
    fn what_a_status_records_waits_no_longer() {
        let at: Timestamp = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
        let done = |uid: &str| Done {
            key: Key {
                namespace: "shop".to_owned(),
                name: "inc".to_owned(),
                uid: uid.to_owned(),
            },
            verified: Verified::default(),
            outcome: Outcome::Shortened {
                binding: "a".to_owned(),
                at,
                grace_period_seconds: 1,
            },
            first: true,
        };
        let mut unwritten = Unwritten::default();
        unwritten.keep(done("a"));
        unwritten.keep(done("b"));
        // The response before it is none of this one.
        unwritten.is_recorded("a", "2025-12-31T23:00:00Z".parse().unwrap());
        assert!(unwritten.done("a").is_some());
        unwritten.is_recorded("a", "2026-01-01T00:00:00.123456Z".parse().unwrap());
        assert!(unwritten.done("a").is_none());
        assert!(unwritten.done("b").is_some());
    }
}
