//! Processes that wait for what is not known of their pod yet.
//!
//! Here: their order, and a bound on them. Not here: what they wait for (`state`).
//! Invariant: they are bounded in number and bytes, all of them and those of one pod, so that no pod
//! takes the room of the others.

use std::collections::{HashMap, VecDeque};

/// Most processes that wait, and most bytes of them.
pub(crate) const TOTAL: Room = Room {
    entries: 4096,
    bytes: 8 << 20,
};
/// The same for one pod.
pub(crate) const OF_A_POD: Room = Room {
    entries: TOTAL.entries / 4,
    bytes: TOTAL.bytes / 4,
};

/// A number of entries and of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Room {
    fn has(self, bytes: usize, within: Self) -> bool {
        self.entries < within.entries && self.bytes.saturating_add(bytes) <= within.bytes
    }

    fn add(&mut self, bytes: usize) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn remove(&mut self, bytes: usize) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

struct Entry<T> {
    waiting: T,
    pod_uid: String,
    bytes: usize,
}

/// A queue, oldest first.
pub(crate) struct PendingQueue<T> {
    entries: VecDeque<Entry<T>>,
    used: Room,
    by_pod: HashMap<String, Room>,
}

impl<T> Default for PendingQueue<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            used: Room::default(),
            by_pod: HashMap::new(),
        }
    }
}

impl<T> PendingQueue<T> {
    /// Adds what takes so many bytes; false where there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, pod_uid: &str, bytes: usize, waiting: T) -> bool {
        let of_pod = self.by_pod.get(pod_uid).copied().unwrap_or_default();
        if !self.used.has(bytes, TOTAL) || !of_pod.has(bytes, OF_A_POD) {
            return false;
        }
        self.used.add(bytes);
        self.by_pod
            .entry(pod_uid.to_owned())
            .or_default()
            .add(bytes);
        self.entries.push_back(Entry {
            waiting,
            pod_uid: pod_uid.to_owned(),
            bytes,
        });
        true
    }

    /// Takes those whose pod is chosen, oldest first; the others stay.
    pub(crate) fn take(&mut self, chosen: impl Fn(&str) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if chosen(&entry.pod_uid) {
                self.forget(&entry.pod_uid, entry.bytes);
                taken.push(entry.waiting);
            } else {
                self.entries.push_back(entry);
            }
        }
        taken
    }

    /// Drops those that are not kept; how many.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) -> usize {
        let before = self.entries.len();
        for entry in std::mem::take(&mut self.entries) {
            if keep(&entry.waiting) {
                self.entries.push_back(entry);
            } else {
                self.forget(&entry.pod_uid, entry.bytes);
            }
        }
        before.saturating_sub(self.entries.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn forget(&mut self, pod_uid: &str, bytes: usize) {
        self.used.remove(bytes);
        if let Some(room) = self.by_pod.get_mut(pod_uid) {
            room.remove(bytes);
            if room.entries == 0 {
                self.by_pod.remove(pod_uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pod_leaves_room_for_others() {
        let mut queue = PendingQueue::default();
        let filled = (0..2 * TOTAL.entries)
            .filter(|n| queue.push("greedy", 1, *n))
            .count();
        assert_eq!(filled, OF_A_POD.entries);
        assert!(queue.push("other", OF_A_POD.bytes, 0));
        assert!(!queue.push("other", 1, 0), "its bytes are used up");
        for pod in 0..10 {
            let _fits = queue.push(&format!("p{pod}"), OF_A_POD.bytes, 0);
        }
        assert!(queue.used.bytes <= TOTAL.bytes);
        assert!(!queue.push("new", OF_A_POD.bytes, 0));
        assert_eq!(queue.take(|pod| pod == "greedy").len(), OF_A_POD.entries);
        assert!(queue.push("greedy", 1, 7));
        assert_eq!(queue.retain(|n| *n == 7), queue_len_without(&queue));
        assert_eq!(
            (queue.len(), queue.used, queue.by_pod.len()),
            (
                1,
                Room {
                    entries: 1,
                    bytes: 1
                },
                1
            )
        );
    }

    /// What was dropped: all that waited but one.
    fn queue_len_without(queue: &PendingQueue<usize>) -> usize {
        // Three pods had room for all their bytes beside the greedy one.
        assert_eq!(queue.len(), 1);
        3
    }
}
