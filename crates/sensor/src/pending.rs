//! Processes that wait for what is not known of their pod yet.
//!
//! Here: their order, and a bound on them. Not here: what they wait for (`state`).
//! Invariant: they are bounded in number and bytes: all of them, those of a namespace and those of a pod.
//! What has no room is the oldest of the pod that has most, in the namespace that has most, so that no
//! tenant takes the room of the others.

use std::collections::{BTreeMap, VecDeque};

/// Most processes that wait, and most bytes of them.
pub(crate) const TOTAL: Room = Room {
    entries: 4096,
    bytes: 8 << 20,
};
/// The same for one namespace, as far as the pods' namespaces are known, and for one pod.
const OF_A_NAMESPACE: Room = Room {
    entries: TOTAL.entries / 4,
    bytes: TOTAL.bytes / 4,
};
pub(crate) const OF_A_POD: Room = Room {
    entries: TOTAL.entries / 16,
    bytes: TOTAL.bytes / 16,
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

    /// How much of all room it is.
    fn share(self) -> usize {
        let entries = self.entries.saturating_mul(TOTAL.bytes / TOTAL.entries);
        entries.max(self.bytes)
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
    /// Of pods that are not known yet: empty, which is one namespace of its own.
    namespace: String,
    bytes: usize,
}

/// A queue, oldest first.
pub(crate) struct PendingQueue<T> {
    entries: VecDeque<Entry<T>>,
    used: Room,
    by_namespace: BTreeMap<String, BTreeMap<String, Room>>,
}

impl<T> Default for PendingQueue<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            used: Room::default(),
            by_namespace: BTreeMap::new(),
        }
    }
}

impl<T> PendingQueue<T> {
    /// Adds what takes so many bytes. The UIDs of the pods of what is dropped for it, each as often as
    /// something of it is; its own where there is no room for it at all.
    #[must_use]
    pub(crate) fn push(
        &mut self,
        pod_uid: &str,
        namespace: Option<&str>,
        bytes: usize,
        waiting: T,
    ) -> Vec<String> {
        if bytes > OF_A_POD.bytes {
            return vec![pod_uid.to_owned()];
        }
        let mut dropped = Vec::new();
        let namespace = namespace.unwrap_or_default().to_owned();
        let of_namespace = |queue: &Self| {
            let pods = queue.by_namespace.get(&namespace);
            pods.map(total).unwrap_or_default()
        };
        let of_pod = |queue: &Self| {
            let pods = queue.by_namespace.get(&namespace);
            pods.and_then(|pods| pods.get(pod_uid)).copied()
        };
        while of_pod(self).is_some_and(|room| !room.has(bytes, OF_A_POD)) {
            dropped.extend(self.drop_oldest(&namespace, pod_uid));
        }
        while !of_namespace(self).has(bytes, OF_A_NAMESPACE) {
            dropped.extend(self.drop_from(&namespace));
        }
        while !self.used.has(bytes, TOTAL) {
            let namespaces = self.by_namespace.iter();
            let most = namespaces.max_by_key(|(_, pods)| total(pods).share());
            let Some(most) = most.map(|(namespace, _)| namespace.clone()) else {
                break;
            };
            dropped.extend(self.drop_from(&most));
        }
        self.used.add(bytes);
        let pods = self.by_namespace.entry(namespace.clone()).or_default();
        pods.entry(pod_uid.to_owned()).or_default().add(bytes);
        self.entries.push_back(Entry {
            waiting,
            pod_uid: pod_uid.to_owned(),
            namespace,
            bytes,
        });
        dropped
    }

    /// Drops the oldest of the pod that has most in a namespace; the pod.
    fn drop_from(&mut self, namespace: &str) -> Option<String> {
        let pods = self.by_namespace.get(namespace)?;
        let (most, _) = pods.iter().max_by_key(|(_, room)| room.share())?;
        let most = most.clone();
        self.drop_oldest(namespace, &most)
    }

    fn drop_oldest(&mut self, namespace: &str, pod_uid: &str) -> Option<String> {
        let oldest = self
            .entries
            .iter()
            .position(|entry| entry.pod_uid == pod_uid && entry.namespace == namespace)?;
        let entry = self.entries.remove(oldest)?;
        self.forget(&entry.namespace, &entry.pod_uid, entry.bytes);
        Some(entry.pod_uid)
    }

    /// Takes those whose pod is chosen, oldest first; the others stay.
    pub(crate) fn take(&mut self, chosen: impl Fn(&str) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if chosen(&entry.pod_uid) {
                self.forget(&entry.namespace, &entry.pod_uid, entry.bytes);
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
                self.forget(&entry.namespace, &entry.pod_uid, entry.bytes);
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

    fn forget(&mut self, namespace: &str, pod_uid: &str, bytes: usize) {
        self.used.remove(bytes);
        let Some(pods) = self.by_namespace.get_mut(namespace) else {
            return;
        };
        if let Some(room) = pods.get_mut(pod_uid) {
            room.remove(bytes);
            if room.entries == 0 {
                pods.remove(pod_uid);
            }
        }
        if pods.is_empty() {
            self.by_namespace.remove(namespace);
        }
    }
}

/// What several pods take together.
fn total(pods: &BTreeMap<String, Room>) -> Room {
    pods.values().fold(Room::default(), |all, room| Room {
        entries: all.entries.saturating_add(room.entries),
        bytes: all.bytes.saturating_add(room.bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_and_a_namespace_that_are_full_lose_their_own_oldest() {
        let mut queue = PendingQueue::default();
        for number in 0..2 * TOTAL.entries {
            let dropped = queue.push("greedy", Some("shop"), 1, number);
            let expected = usize::from(number >= OF_A_POD.entries);
            assert_eq!(dropped, vec!["greedy"; expected]);
        }
        assert_eq!(queue.len(), OF_A_POD.entries);
        for number in 0..10 * OF_A_POD.entries {
            let pod = format!("p{}", number % 10);
            for dropped in queue.push(&pod, Some("shop"), 1, number) {
                assert!(dropped == "greedy" || dropped.starts_with('p'));
            }
        }
        assert_eq!(queue.len(), OF_A_NAMESPACE.entries);
        assert_eq!(queue.push("large", None, OF_A_POD.bytes + 1, 0), ["large"]);
        // The newest are there.
        let taken = queue.take(|pod| pod == "greedy");
        assert_eq!(taken.last(), Some(&(2 * TOTAL.entries - 1)));
        queue.take(|_| true);
        assert_eq!((queue.len(), queue.used), (0, Room::default()));
        assert!(queue.by_namespace.is_empty());
    }

    #[test]
    fn a_newcomer_takes_the_room_of_the_namespace_that_has_most() {
        let mut queue = PendingQueue::default();
        for (namespace, share) in [("a", 4), ("b", 4), ("c", 4), ("d", 3), ("e", 1)] {
            for pod in 0..share {
                let pod = format!("{namespace}{pod}");
                for number in 0..OF_A_POD.entries {
                    assert!(queue.push(&pod, Some(namespace), 1, number).is_empty());
                }
            }
        }
        assert_eq!(queue.used.entries, TOTAL.entries);
        for number in 0..100 {
            let dropped = queue.push("new", Some("new"), 1, number);
            assert_eq!(dropped.len(), 1);
            assert!(!dropped[0].starts_with(['d', 'e', 'n']), "{dropped:?}");
        }
        assert_eq!(queue.take(|pod| pod == "new").len(), 100);
        assert_eq!(queue.take(|pod| pod == "e0").len(), OF_A_POD.entries);
    }
}
