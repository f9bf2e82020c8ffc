//! Statuses that could not be written yet.
//!
//! Here: what was done and is not in a status yet, and how often a status was rejected, by the UID of
//! the Incident. Not here: the writes (`report`), when they are tried again (`bailiff_response`).
//! Invariant: what was done is kept until its status is written, is rejected for good, or its Incident
//! is gone; while there is much of it, nothing new is done. What can be planned again is not kept.

use bailiff_response::{Key, Outcome, Verified};
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

    /// Counts a rejection. Whether it was the last: the status is given up.
    pub(super) fn rejected(&mut self, incident_uid: &str) -> bool {
        if self.rejections.len() >= LIMIT && !self.rejections.contains_key(incident_uid) {
            return false;
        }
        let count = self.rejections.entry(incident_uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count >= REJECTED_TRIES
    }

    /// Its status will not be written.
    pub(super) fn give_up(&mut self, incident_uid: &str) {
        self.done.remove(incident_uid);
    }

    /// Its status was written, or its Incident is gone.
    pub(super) fn forget(&mut self, incident_uid: &str) {
        self.done.remove(incident_uid);
        self.rejections.remove(incident_uid);
    }

    /// Forgets the Incidents that do not exist.
    pub(super) fn retain(&mut self, present: &BTreeSet<String>) {
        self.done.retain(|uid, _| present.contains(uid));
        self.rejections.retain(|uid, _| present.contains(uid));
    }
}
