//! Whose execs were lost because the ring was full, or because a pod had its part of it.
//!
//! Here: pods by the numbers that the kernel side counts by. Not here: metrics, which name no pods (`state`).
//! Invariant: memory is bounded by the entries of the kernel's map, and by the pods that are known.

use std::collections::{BTreeMap, HashMap};

/// Most pods that are named at a time: those that lost most.
const NAMED_LIMIT: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Losses {
    /// UIDs of pods by the numbers of their shares.
    pods: HashMap<u64, String>,
    /// What was lost up to now, by share.
    before: HashMap<u64, u64>,
}

impl Losses {
    /// The records of a pod take this share.
    pub(super) fn learn(&mut self, share: u64, pod_uid: &str) {
        if share != 0 && self.pods.get(&share).is_none_or(|known| known != pod_uid) {
            self.pods.insert(share, pod_uid.to_owned());
        }
    }

    /// How many shares are known.
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    /// Keeps the pods that are known.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.pods.retain(|_, uid| is_known(uid));
    }

    /// Which pods lost how many execs since the last time, most first. None: no record of theirs had room.
    pub(super) fn since_last(&mut self, now: Vec<(u64, u64)>) -> Vec<(Option<String>, u64)> {
        let mut by_pod: BTreeMap<Option<&String>, u64> = BTreeMap::new();
        for (share, lost) in &now {
            let before = self.before.get(share).copied().unwrap_or_default();
            // The kernel counts one that it forgot from 0 again.
            let grown = lost.checked_sub(before).unwrap_or(*lost);
            if grown > 0 {
                let sum = by_pod.entry(self.pods.get(share)).or_default();
                *sum = sum.saturating_add(grown);
            }
        }
        let mut pods: Vec<_> = by_pod
            .into_iter()
            .map(|(uid, lost)| (uid.cloned(), lost))
            .collect();
        pods.sort_by_key(|(_, lost)| std::cmp::Reverse(*lost));
        pods.truncate(NAMED_LIMIT);
        self.before = now.into_iter().collect();
        pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_named_with_what_they_lost_since_the_last_time() {
        let mut losses = Losses::default();
        // A guaranteed pod has a share for each container.
        for (share, uid) in [(1, "a"), (2, "a"), (3, "b"), (0, "c")] {
            losses.learn(share, uid);
        }
        let pod = |uid: &str, lost| (Some(uid.to_owned()), lost);
        let now = vec![(1, 4), (2, 5), (3, 20), (9, 2)];
        assert_eq!(
            losses.since_last(now.clone()),
            [pod("b", 20), pod("a", 9), (None, 2)]
        );
        assert_eq!(losses.since_last(now), []);
        // One was forgotten, and counted from 0 again.
        assert_eq!(losses.since_last(vec![(1, 4), (3, 7)]), [pod("b", 7)]);
        losses.retain(|uid| uid == "a");
        assert_eq!(losses.since_last(vec![(3, 8)]), [(None, 1)]);
        for share in 10..20 {
            losses.learn(share, &share.to_string());
        }
        let many = (10..20).map(|share| (share, share)).collect();
        let named = losses.since_last(many);
        assert_eq!(named.len(), NAMED_LIMIT);
        assert_eq!(named[0], pod("19", 19));
    }
}
