//! Where each Incident is, in all indexes of the queue.
//!
//! Here: moving an Incident from one place to another. Not here: when one is moved, and which is next
//! (`super`).
//! Invariant: an entry is in exactly the indexes of its place; a namespace is among the turns if and only
//! if something of it is ready.

use super::lines::remove_waiting;
use super::{Entry, Namespace, Place, Queue, Summary, Timed};
use crate::ledger::Limit;
use bailiff_api::condition::responded;
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
        let cooling = summary
            .workload
            .clone()
            .filter(|_| reason.as_deref() == Some(responded::COOLDOWN));
        let entry = Entry {
            count: summary.count,
            summary,
            cooling,
            // Nothing is indexed yet.
            place: Place::Running,
            finished: None,
            closed: false,
            changed: false,
            reason,
            since,
            failures: 0,
        };
        if let Some(workload) = entry.cooling.clone() {
            let waiting = self.waiting.entry(Limit::Workload(workload)).or_default();
            waiting.insert(entry.rank());
        }
        self.entries.insert(uid, entry);
    }

    /// Moves an entry, in all indexes.
    pub(super) fn place(&mut self, uid: &str, place: Place) {
        let Some(mut entry) = self.entries.remove(uid) else {
            return;
        };
        self.leave(uid, &entry);
        if entry.place == Place::Ready {
            entry.cooling = None;
        }
        entry.place = place;
        match place {
            Place::Ready => {
                let (name, pod_uid) = (&entry.summary.pod_namespace, &entry.summary.pod_uid);
                if let Some(namespace) = self.namespaces.get_mut(name) {
                    namespace.ready.insert(pod_uid, entry.rank());
                }
                self.update_turn(name);
            }
            Place::Later(at) | Place::Idle(at) => {
                self.timed.insert((at, Timed::Entry(uid.to_owned())));
            }
            Place::InLine(line) => self.stand_in_line(line, &entry),
            Place::Running => {}
        }
        self.entries.insert(uid.to_owned(), entry);
    }

    /// Takes an entry out of the index of its place.
    pub(super) fn leave(&mut self, uid: &str, entry: &Entry) {
        match entry.place {
            Place::Ready => {
                let (name, pod_uid) = (&entry.summary.pod_namespace, &entry.summary.pod_uid);
                if let Some(namespace) = self.namespaces.get_mut(name) {
                    namespace.ready.remove(pod_uid, &entry.rank());
                }
                self.update_turn(name);
                if let Some(workload) = &entry.cooling {
                    let limit = Limit::Workload(workload.clone());
                    remove_waiting(&mut self.waiting, &limit, &entry.rank());
                }
            }
            Place::Later(at) | Place::Idle(at) => {
                self.timed.remove(&(at, Timed::Entry(uid.to_owned())));
            }
            Place::InLine(line) => self.leave_line(line, entry),
            Place::Running => {}
        }
    }

    /// Makes ready what is due, and forgets what is idle for long enough.
    pub(super) fn pop_due(&mut self, now: Timestamp) {
        while let Some((at, due)) = self.timed.first()
            && *at <= now
        {
            match due.clone() {
                Timed::Line(number) => self.change_line(number, |line| line.due = None),
                Timed::Entry(uid) => match self.entries.get(&uid).map(|e| e.place) {
                    Some(Place::Later(_)) => self.place(&uid, Place::Ready),
                    Some(Place::Idle(_) | Place::Ready | Place::InLine(_) | Place::Running)
                    | None => self.deleted(&uid),
                },
            }
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
        self.update_turn(name);
    }

    /// A namespace has a turn if and only if something of it is ready.
    pub(super) fn update_turn(&mut self, name: &str) {
        let Some(namespace) = self.namespaces.get(name) else {
            return;
        };
        let turn = (namespace.turn, name.to_owned());
        if namespace.ready.is_empty() && namespace.ready_lines.is_empty() {
            self.turns.remove(&turn);
        } else {
            self.turns.insert(turn);
        }
    }
}
