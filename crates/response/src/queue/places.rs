//! Where each Incident is, in all indexes of the queue.
//!
//! Here: moving an Incident from one place to another. Not here: when one is moved, and which is next
//! (`super`).
//! Invariant: an entry is in exactly the indexes of its place; a namespace is among the turns if and only
//! if something of it is ready.

use super::{Entry, Namespace, Place, Queue, Summary};
use jiff::Timestamp;

impl Queue {
    pub(super) fn insert(&mut self, summary: Summary) {
        let uid = summary.key.uid.clone();
        let of_pod = self.by_pod.entry(summary.pod_uid.clone()).or_default();
        of_pod.insert(uid.clone());
        let last_turn = &mut self.last_turn;
        let name = summary.pod_namespace.clone();
        let namespace = self.namespaces.entry(name).or_insert_with(|| {
            *last_turn += 1;
            Namespace {
                turn: *last_turn,
                ..Namespace::default()
            }
        });
        namespace.entries += 1;
        let (reason, since) = summary.waiting.clone().unzip();
        let entry = Entry {
            count: summary.count,
            summary,
            // Nothing is indexed yet.
            place: Place::Running,
            finished: None,
            closed: false,
            changed: false,
            reason,
            since,
            limited: None,
            failures: 0,
        };
        self.entries.insert(uid, entry);
    }

    /// Moves an entry, in all indexes.
    pub(super) fn place(&mut self, uid: &str, place: Place) {
        let Some(mut entry) = self.entries.remove(uid) else {
            return;
        };
        self.leave(uid, &entry);
        entry.place = place;
        match place {
            Place::Ready => {
                let name = &entry.summary.pod_namespace;
                if let Some(namespace) = self.namespaces.get_mut(name) {
                    let created = entry.summary.created;
                    namespace.ready.insert((created, uid.to_owned()));
                    self.turns.insert((namespace.turn, name.clone()));
                }
            }
            Place::Later(at) | Place::Idle(at) => {
                self.timed.insert((at, uid.to_owned()));
            }
            Place::Running => {}
        }
        self.entries.insert(uid.to_owned(), entry);
    }

    /// Takes an entry out of the index of its place.
    pub(super) fn leave(&mut self, uid: &str, entry: &Entry) {
        match entry.place {
            Place::Ready => {
                let name = &entry.summary.pod_namespace;
                if let Some(namespace) = self.namespaces.get_mut(name) {
                    let created = entry.summary.created;
                    namespace.ready.remove(&(created, uid.to_owned()));
                    if namespace.ready.is_empty() {
                        self.turns.remove(&(namespace.turn, name.clone()));
                    }
                }
            }
            Place::Later(at) | Place::Idle(at) => {
                self.timed.remove(&(at, uid.to_owned()));
            }
            Place::Running => {}
        }
    }

    /// Makes ready what is due, and forgets what is idle for long enough.
    pub(super) fn pop_due(&mut self, now: Timestamp) {
        while let Some((at, uid)) = self.timed.first()
            && *at <= now
        {
            let uid = uid.clone();
            match self.entries.get(&uid).map(|e| e.place) {
                Some(Place::Later(_)) => self.place(&uid, Place::Ready),
                Some(Place::Idle(_) | Place::Ready | Place::Running) | None => self.deleted(&uid),
            }
        }
    }

    /// Makes ready what waits for a limit: one may have room before its time.
    pub(super) fn examine_limited(&mut self) {
        let limited = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.limited.is_some() && matches!(entry.place, Place::Later(_)));
        let limited: Vec<_> = limited.map(|(uid, _)| uid.clone()).collect();
        for uid in limited {
            self.place(&uid, Place::Ready);
        }
    }

    /// A namespace goes to the end of the turns.
    pub(super) fn serve(&mut self, name: &str) {
        let Some(namespace) = self.namespaces.get_mut(name) else {
            return;
        };
        self.turns.remove(&(namespace.turn, name.to_owned()));
        self.last_turn += 1;
        namespace.turn = self.last_turn;
        if !namespace.ready.is_empty() {
            self.turns.insert((namespace.turn, name.to_owned()));
        }
    }
}
