//! The paths of cgroups, which the kernel side tells once each.
//!
//! Here: which are remembered, and when the kernel side has to tell them again. Not here: what a path means
//! (`process/identity`).
//! Invariant: memory is bounded by [`LIMIT`] cgroups and [`LIMIT_BYTES`] of paths, twice. A pod that has many cgroups
//! loses those of its own, oldest first, and no other pod's. All paths are told again before any is forgotten, and what
//! was told before is there until the ring was read to its end: records that were on their way still have theirs. A
//! cgroup that is not known all the same is an error, and never another's path.

use crate::process::identity::ends_of;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Most cgroups of a round.
const LIMIT: usize = 16_384;
/// Most bytes of the paths of a round. Cgroups below one container share its path.
const LIMIT_BYTES: usize = 1 << 20;
/// Most cgroups of a pod in a round: as many as the kernel side remembers of all pods (`cgroups` in `bpf/text.h`). What
/// is forgotten here is forgotten there, too, and told again.
const OF_A_POD: usize = 8192;
/// Most bytes that are kept of a path that names no pod.
const NO_POD_BYTES: usize = 256;

/// What was told of a cgroup.
#[derive(Debug)]
struct Told {
    path: Arc<str>,
    /// Since it was the oldest of its pod, or ever.
    used: bool,
}

/// What was told since all paths had to be told again.
#[derive(Debug, Default)]
struct Round {
    /// By the numbers of cgroups.
    told: HashMap<u64, Told>,
    /// Each path once.
    paths: HashSet<Arc<str>>,
    /// Of the paths.
    bytes: usize,
    /// The cgroups of each pod, by the path of the pod's cgroup, oldest first. Those of no pod: an empty path.
    by_pod: BTreeMap<String, VecDeque<u64>>,
}

impl Round {
    fn is_full(&self) -> bool {
        self.told.len() >= LIMIT || self.bytes >= LIMIT_BYTES
    }

    fn insert(&mut self, cgroup: u64, path: &str, pod: &str) {
        let path = self.shared(path);
        // By the record that has its path.
        let told = Told { path, used: true };
        if let Some(earlier) = self.told.insert(cgroup, told) {
            return self.release(&earlier.path);
        }
        if let Some(cgroups) = self.by_pod.get_mut(pod) {
            cgroups.push_back(cgroup);
        } else {
            let cgroups = VecDeque::from([cgroup]);
            self.by_pod.insert(pod.to_owned(), cgroups);
        }
    }

    fn shared(&mut self, path: &str) -> Arc<str> {
        if let Some(known) = self.paths.get(path) {
            return Arc::clone(known);
        }
        let path: Arc<str> = path.into();
        self.bytes = self.bytes.saturating_add(path.len());
        self.paths.insert(Arc::clone(&path));
        path
    }

    /// A cgroup has this path no more.
    fn release(&mut self, path: &Arc<str>) {
        // The caller has it, and the set.
        if Arc::strong_count(path) == 2 && self.paths.remove(path) {
            self.bytes = self.bytes.saturating_sub(path.len());
        }
    }

    fn of_pod(&self, pod: &str) -> usize {
        self.by_pod.get(pod).map_or(0, VecDeque::len)
    }

    fn pod_with_most(&self) -> Option<String> {
        let most = self
            .by_pod
            .iter()
            .max_by_key(|(_, cgroups)| cgroups.len())?;
        Some(most.0.clone())
    }

    /// Forgets the oldest cgroup of a pod. One that was used since it was the oldest before is the newest instead.
    fn forget_oldest(&mut self, pod: &str) {
        let Some(cgroups) = self.by_pod.get_mut(pod) else {
            return;
        };
        let mut forgotten = None;
        while let Some(cgroup) = cgroups.pop_front() {
            match self.told.get_mut(&cgroup) {
                Some(told) if told.used => {
                    told.used = false;
                    cgroups.push_back(cgroup);
                }
                Some(_) | None => {
                    forgotten = self.told.remove(&cgroup);
                    break;
                }
            }
        }
        if cgroups.is_empty() {
            self.by_pod.remove(pod);
        }
        if let Some(told) = forgotten {
            self.release(&told.path);
        }
    }
}

/// What was told of cgroups.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    now: Round,
    before: HashMap<u64, Told>,
    /// The ring was read to its end since the round began: no record from before that is on its way.
    ring_was_empty: bool,
    /// A record's cgroup was not known.
    missing: bool,
    /// A round began for that, and no path came since.
    asked: bool,
}

impl Cgroups {
    /// A record has the path of a cgroup.
    pub(crate) fn is_told(&mut self, cgroup: u64, path: &str) {
        self.asked = false;
        let (path, pod) = kept_of(path);
        let known = self.now.told.get(&cgroup);
        if known.is_some_and(|known| *known.path == *path) {
            return;
        }
        if self.now.of_pod(pod) >= OF_A_POD {
            self.now.forget_oldest(pod);
        }
        // A round would begin, but for the records that are on their way.
        while self.now.is_full() {
            let Some(most) = self.now.pod_with_most() else {
                break;
            };
            self.now.forget_oldest(&most);
        }
        self.now.insert(cgroup, path, pod);
    }

    /// The path of a cgroup, up to that of its container, or of its pod if it is in none. None: no record had it.
    pub(crate) fn path(&mut self, cgroup: u64) -> Option<&str> {
        let told = match self.now.told.get_mut(&cgroup) {
            Some(told) => {
                told.used = true;
                Some(&*told)
            }
            None => self.before.get(&cgroup),
        };
        // One round is enough for all errors before its first path.
        self.missing |= told.is_none() && !self.asked;
        told.map(|told| &*told.path)
    }

    /// Each record that was in the ring was read.
    pub(crate) fn ring_is_empty(&mut self) {
        self.ring_was_empty = true;
    }

    /// Whether the kernel side has to tell all paths again: no more fit, or one is missing. Not as long as records from
    /// before the last round may come.
    pub(crate) fn must_begin_round(&self) -> bool {
        self.ring_was_empty && (self.missing || self.now.is_full())
    }

    /// The kernel side tells all paths again.
    pub(crate) fn begin_round(&mut self) {
        self.before = std::mem::take(&mut self.now).told;
        self.asked |= self.missing;
        self.missing = false;
        self.ring_was_empty = false;
    }
}

/// What is kept of a path, and the path of its pod's cgroup; empty: it names none. Nothing else of it is read, and what
/// processes of a pod make below their container can be as long as they like.
fn kept_of(path: &str) -> (&str, &str) {
    if let Some(ends) = ends_of(path) {
        let kept = path.get(..ends.container).unwrap_or(path);
        return (kept, path.get(..ends.pod).unwrap_or(path));
    }
    let mut end = 0_usize;
    for part in path.split_inclusive('/') {
        let longer = end.saturating_add(part.len());
        if longer > NO_POD_BYTES {
            break;
        }
        end = longer;
    }
    // A path begins with `/`, so it has a first part.
    (path.get(..end).unwrap_or_default(), "")
}

#[cfg(test)]
mod tests;
