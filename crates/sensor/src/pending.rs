//! Processes that wait for what is not known of their pod yet.
//!
//! Here: their order, and a bound on them. Not here: what they wait for (`state`).
//! Invariant: they are bounded in bytes: all of them, those of a namespace and those of a pod. What has no room is the
//! oldest of the pod that has most, in the namespace that has most. As long as at most 255 pods wait, no pod loses
//! anything of its first [`GUARANTEED_BYTES`], whatever others do.

use std::collections::{BTreeMap, VecDeque};

/// Most bytes of all.
const TOTAL_BYTES: usize = 16 << 20;
/// What is guaranteed to each pod.
const GUARANTEED_BYTES: usize = 64 << 10;
/// Most bytes of a pod.
const OF_A_POD: usize = TOTAL_BYTES / 16;
/// Most bytes of a namespace beyond what is guaranteed to its pods, as far as the pods' namespaces are known.
const OF_A_NAMESPACE: usize = TOTAL_BYTES / 4;

struct Entry<T> {
    waiting: T,
    /// Its place among all.
    number: u64,
    bytes: usize,
}

struct PodQueue<T> {
    /// Of a pod that is not known yet: empty, which is one namespace of its own.
    namespace: String,
    /// Oldest first.
    entries: VecDeque<Entry<T>>,
    bytes: usize,
}

impl<T> PodQueue<T> {
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.entries.pop_front().map_or(0, |entry| entry.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        bytes
    }
}

/// A queue, oldest first.
pub(crate) struct PendingQueue<T> {
    /// By their UIDs; each has something that waits.
    pods: BTreeMap<String, PodQueue<T>>,
    bytes: usize,
    numbered: u64,
}

impl<T> Default for PendingQueue<T> {
    fn default() -> Self {
        Self {
            pods: BTreeMap::new(),
            bytes: 0,
            numbered: 0,
        }
    }
}

/// What several pods have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    /// Beyond what is guaranteed to each.
    beyond: usize,
    bytes: usize,
}

impl Share {
    fn of(bytes: usize) -> Self {
        Self {
            beyond: bytes.saturating_sub(GUARANTEED_BYTES),
            bytes,
        }
    }

    fn add(&mut self, other: Self) {
        self.beyond = self.beyond.saturating_add(other.beyond);
        self.bytes = self.bytes.saturating_add(other.bytes);
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
        let namespace = namespace.unwrap_or_default();
        let mut dropped = Vec::new();
        if let Some(pod) = self.pods.get_mut(pod_uid)
            && pod.namespace != namespace
        {
            namespace.clone_into(&mut pod.namespace);
        }
        while let Some(victim) = self.victim(pod_uid, namespace, bytes) {
            let freed = self.pods.get_mut(&victim).map(PodQueue::drop_oldest);
            let Some(freed) = freed else {
                // Its own pod, of which nothing waits: nothing is smaller than what is new.
                dropped.push(victim);
                return dropped;
            };
            self.bytes = self.bytes.saturating_sub(freed);
            self.remove_if_empty(&victim);
            dropped.push(victim);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let entry = Entry {
            waiting,
            number: self.numbered,
            bytes,
        };
        self.numbered = self.numbered.saturating_add(1);
        if let Some(pod) = self.pods.get_mut(pod_uid) {
            pod.bytes = pod.bytes.saturating_add(bytes);
            pod.entries.push_back(entry);
        } else {
            let pod = PodQueue {
                namespace: namespace.to_owned(),
                entries: VecDeque::from([entry]),
                bytes,
            };
            self.pods.insert(pod_uid.to_owned(), pod);
        }
        dropped
    }

    /// The pod that loses its oldest, so that so many bytes more have room for a pod; none: they have. It is a pod of
    /// which something waits, or the one that they are for.
    fn victim(&self, pod_uid: &str, namespace: &str, bytes: usize) -> Option<String> {
        let of_pod = self.pods.get(pod_uid).map_or(0, |pod| pod.bytes);
        let with_new = of_pod.saturating_add(bytes);
        if with_new > OF_A_POD {
            return Some(pod_uid.to_owned());
        }
        let is_over = self.bytes.saturating_add(bytes) > TOTAL_BYTES;
        if !is_over && with_new <= GUARANTEED_BYTES {
            return None;
        }
        let others = self.pods.iter().filter(|(uid, _)| *uid != pod_uid);
        let others = others.map(|(uid, pod)| (uid.as_str(), pod.namespace.as_str(), pod.bytes));
        let all = others.chain([(pod_uid, namespace, with_new)]);
        let mut of_namespace = Share::default();
        for (_, _, bytes) in all.clone().filter(|(_, of, _)| *of == namespace) {
            of_namespace.add(Share::of(bytes));
        }
        let from = if of_namespace.beyond > OF_A_NAMESPACE {
            namespace
        } else if is_over {
            // The one that has most beyond what is guaranteed; if none has any, the one that has most.
            let mut namespaces: BTreeMap<&str, Share> = BTreeMap::new();
            for (_, of, bytes) in all.clone() {
                namespaces.entry(of).or_default().add(Share::of(bytes));
            }
            let most = namespaces.into_iter().max_by_key(|(_, share)| *share)?;
            most.0
        } else {
            return None;
        };
        let pods = all.filter(|(_, namespace, _)| *namespace == from);
        let most = pods.max_by_key(|(_, _, bytes)| *bytes)?;
        Some(most.0.to_owned())
    }

    fn remove_if_empty(&mut self, pod_uid: &str) {
        if self
            .pods
            .get(pod_uid)
            .is_some_and(|pod| pod.entries.is_empty())
        {
            self.pods.remove(pod_uid);
        }
    }

    /// Takes all of the pods that are chosen by their UID and their oldest, oldest first; the others stay.
    pub(crate) fn take(&mut self, chosen: impl Fn(&str, &T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        self.pods.retain(|uid, pod| {
            let oldest = pod.entries.front();
            let stays = oldest.is_none_or(|oldest| !chosen(uid, &oldest.waiting));
            if !stays {
                self.bytes = self.bytes.saturating_sub(pod.bytes);
                taken.extend(pod.entries.drain(..));
            }
            stays
        });
        taken.sort_by_key(|entry| entry.number);
        taken.into_iter().map(|entry| entry.waiting).collect()
    }

    /// Drops those that are not kept; how many.
    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) -> usize {
        let mut dropped = 0_usize;
        self.pods.retain(|_, pod| {
            let mut freed = 0_usize;
            pod.entries.retain(|entry| {
                let stays = keep(&entry.waiting);
                if !stays {
                    freed = freed.saturating_add(entry.bytes);
                    dropped = dropped.saturating_add(1);
                }
                stays
            });
            pod.bytes = pod.bytes.saturating_sub(freed);
            self.bytes = self.bytes.saturating_sub(freed);
            !pod.entries.is_empty()
        });
        dropped
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pods.values().map(|pod| pod.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: usize = 4 << 10;

    /// Pushes so many entries; the pods of what was dropped, each once.
    fn push(
        queue: &mut PendingQueue<u32>,
        pod: &str,
        namespace: Option<&str>,
        count: u32,
    ) -> Vec<String> {
        let mut dropped = Vec::new();
        for number in 0..count {
            dropped.extend(queue.push(pod, namespace, ENTRY, number));
        }
        dropped.sort();
        dropped.dedup();
        let bytes: usize = queue.pods.values().map(|pod| pod.bytes).sum();
        assert_eq!(queue.bytes, bytes);
        assert!(bytes <= TOTAL_BYTES);
        dropped
    }

    fn entries(queue: &PendingQueue<u32>, pod: &str) -> usize {
        queue.pods.get(pod).map_or(0, |pod| pod.entries.len())
    }

    #[test]
    fn a_pod_that_is_full_loses_its_own_oldest() {
        let mut queue = PendingQueue::default();
        assert!(push(&mut queue, "other", Some("shop"), 16).is_empty());
        let most = u32::try_from(OF_A_POD / ENTRY).unwrap();
        assert!(push(&mut queue, "greedy", Some("shop"), most).is_empty());
        assert_eq!(push(&mut queue, "greedy", Some("shop"), 2000), ["greedy"]);
        assert_eq!(entries(&queue, "other"), 16);
        // The newest are there.
        let taken = queue.take(|pod, _| pod == "greedy");
        assert_eq!(taken, (2000 - most..2000).collect::<Vec<_>>());
        assert_eq!(queue.push("large", None, OF_A_POD + 1, 0), ["large"]);
        assert_eq!(queue.retain(|number| *number < 10), 6);
        assert_eq!((entries(&queue, "other"), queue.bytes), (10, 10 * ENTRY));
        assert_eq!(queue.retain(|_| false), 10);
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn no_pod_loses_what_is_guaranteed_to_it() {
        for of_one_namespace in [false, true] {
            let mut queue = PendingQueue::default();
            let mut lost = Vec::new();
            // 15 pods take all that they can get, before and after 240 others.
            let greedy = |queue: &mut PendingQueue<u32>, count: u32| {
                let mut lost = Vec::new();
                for pod in 0..15 {
                    let own = format!("n{pod}");
                    let namespace = if of_one_namespace { "shop" } else { &own };
                    lost.extend(push(queue, &format!("greedy{pod}"), Some(namespace), count));
                }
                lost
            };
            lost.extend(greedy(&mut queue, 256));
            for pod in 0..240 {
                let namespace = (pod % 3 > 0).then_some("shop");
                lost.extend(push(&mut queue, &format!("modest{pod}"), namespace, 16));
            }
            lost.extend(greedy(&mut queue, 25));
            assert!(lost.iter().all(|pod| pod.starts_with("greedy")), "{lost:?}");
            for pod in 0..240 {
                assert_eq!(entries(&queue, &format!("modest{pod}")), 16, "{pod}");
            }
            for pod in 0..15 {
                assert!(entries(&queue, &format!("greedy{pod}")) >= 15, "{pod}");
            }
        }
    }

    #[test]
    fn a_namespace_loses_its_own_beyond_its_share() {
        let mut queue = PendingQueue::default();
        for pod in 0..8 {
            push(&mut queue, &format!("a{pod}"), Some("a"), 256);
        }
        let bytes: usize = queue.pods.values().map(|pod| pod.bytes).sum();
        assert_eq!(bytes, (4 << 20) + 8 * (64 << 10));
        // The namespaces of others have room for as much.
        for namespace in ["b", "c"] {
            for pod in 0..4 {
                let pod = format!("{namespace}{pod}");
                assert!(push(&mut queue, &pod, Some(namespace), 256).is_empty());
            }
        }
    }

    #[test]
    fn what_waits_for_many_pods_comes_in_its_order() {
        let mut queue = PendingQueue::default();
        for number in 0..100 {
            let pod = format!("p{}", number % 7);
            assert!(queue.push(&pod, None, ENTRY, number).is_empty());
        }
        let oldest = queue.take(|_, oldest| *oldest < 2);
        let want = (0..100).filter(|number| number % 7 < 2);
        assert_eq!(oldest, want.collect::<Vec<_>>());
        assert_eq!(queue.len(), 100 - oldest.len());
        assert_eq!(queue.take(|_, _| true).len(), 100 - oldest.len());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn more_pods_than_are_guaranteed_anything_lose_what_most_have() {
        let mut queue = PendingQueue::default();
        for pod in 0..300 {
            // Of a namespace that is not known.
            push(&mut queue, &format!("p{pod}"), None, 16);
        }
        assert!(
            push(&mut queue, "new", Some("shop"), 16)
                .iter()
                .all(|pod| pod.starts_with('p'))
        );
        assert_eq!(entries(&queue, "new"), 16);
    }
}
