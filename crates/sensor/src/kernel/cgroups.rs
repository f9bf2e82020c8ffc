//! The paths of cgroups, which the kernel side tells once each.
//!
//! Here: which are remembered, and until when. Not here: what a path means (`process/identity`).
//! Invariant: memory is bounded by [`LIMIT`] paths of [`LIMIT_BYTES`] together, twice. Nothing is forgotten before the
//! kernel side tells all paths again, and what was told before that is there until as many were told again: records that
//! were on their way still have theirs. A cgroup that is not known all the same is an error, and never another's path.

use std::collections::HashMap;
use std::sync::Arc;

/// Most paths of a round.
const LIMIT: usize = 4096;
/// Most bytes of the paths of a round; a path has some 4 KiB at most.
const LIMIT_BYTES: usize = 1 << 20;

/// What was told of cgroups.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    /// In this round of telling, by the numbers of cgroups.
    now: HashMap<u64, Arc<str>>,
    bytes: usize,
    before: HashMap<u64, Arc<str>>,
}

impl Cgroups {
    /// A record has the path of a cgroup.
    pub(crate) fn is_told(&mut self, cgroup: u64, path: &str) {
        if self.now.get(&cgroup).is_none_or(|known| **known != *path) {
            self.bytes = self.bytes.saturating_add(path.len());
            self.now.insert(cgroup, path.into());
        }
    }

    /// The path of a cgroup. None: no record had it.
    pub(crate) fn path(&self, cgroup: u64) -> Option<&Arc<str>> {
        self.now.get(&cgroup).or_else(|| self.before.get(&cgroup))
    }

    /// Whether no more fit, so that a new round has to begin.
    pub(crate) fn is_full(&self) -> bool {
        self.now.len() >= LIMIT || self.bytes >= LIMIT_BYTES
    }

    /// The kernel side tells all paths again.
    pub(crate) fn begin_round(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(cgroups: &Cgroups, cgroup: u64) -> Option<&str> {
        cgroups.path(cgroup).map(|path| &**path)
    }

    #[test]
    fn a_path_is_known_until_the_round_after_the_one_in_which_it_was_told() {
        let mut cgroups = Cgroups::default();
        assert_eq!(path(&cgroups, 1), None);
        cgroups.is_told(1, "/a");
        cgroups.is_told(2, "/b");
        cgroups.begin_round();
        assert_eq!(
            (path(&cgroups, 1), path(&cgroups, 2)),
            (Some("/a"), Some("/b"))
        );
        cgroups.is_told(2, "/c");
        assert_eq!(path(&cgroups, 2), Some("/c"), "what is told later counts");
        cgroups.begin_round();
        assert_eq!((path(&cgroups, 1), path(&cgroups, 2)), (None, Some("/c")));
    }

    #[test]
    fn cgroups_without_end_take_bounded_memory() {
        for length in [10, 4000] {
            let mut cgroups = Cgroups::default();
            let (mut most, mut rounds) = (0, 0);
            for cgroup in 0..20_000 {
                cgroups.is_told(cgroup, &format!("{cgroup:0length$}"));
                let all = cgroups.now.values().chain(cgroups.before.values());
                most = most.max(if cgroup % 64 == 0 {
                    all.map(|path| path.len()).sum()
                } else {
                    0
                });
                if cgroups.is_full() {
                    cgroups.begin_round();
                    rounds += 1;
                }
                assert!(cgroups.now.len() + cgroups.before.len() <= 2 * LIMIT);
            }
            assert!(most <= 2 * (LIMIT_BYTES + 4096), "{most}");
            assert!(rounds >= 4, "{rounds}");
        }
    }

    #[test]
    fn a_path_that_is_told_again_takes_no_room() {
        let mut cgroups = Cgroups::default();
        for _ in 0..100_000 {
            cgroups.is_told(1, "/kubepods/pod/container");
        }
        assert!(!cgroups.is_full());
    }
}
