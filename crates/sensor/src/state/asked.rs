//! Policies that are to be evaluated for the processes that run already.
//!
//! Here: which policies ask, for which processes, and when. Not here: evaluating them (`running`).
//! Invariant: a policy that asks is evaluated once for each process that is known and whose program is older than the
//! question: later ones are evaluated when they are executed. In a turn of the loop there are at most [`SLICE`] of them.

use crate::kernel::record::ProcessKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How long a policy waits: what it reads of pods and namespaces may have to be listed first.
const DELAY: Duration = Duration::from_secs(10);
/// Most processes of a turn.
const SLICE: usize = 64;

/// What was asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// UIDs of policies, each with the time of its question in ns since boot.
    next: BTreeMap<String, u64>,
    /// When they have their turn.
    at: Option<Instant>,
    now: BTreeMap<String, u64>,
    left: Vec<ProcessKey>,
}

impl Asked {
    /// A policy asks, by its UID; `since_boot` is now, in ns since boot.
    pub(super) fn ask(&mut self, policy_uid: String, since_boot: u64, now: Instant) {
        self.next.insert(policy_uid, since_boot);
        self.at = Some(now + DELAY);
    }

    /// The processes of this turn; all that run are asked for where there are new questions.
    pub(super) fn take(
        &mut self,
        now: Instant,
        running: impl FnOnce() -> Vec<ProcessKey>,
    ) -> Vec<ProcessKey> {
        if self.left.is_empty() {
            self.now.clear();
            if self.at.take_if(|at| *at <= now).is_some() {
                self.now = std::mem::take(&mut self.next);
                self.left = running();
            }
        }
        let rest = self.left.len().saturating_sub(SLICE);
        self.left.split_off(rest)
    }

    /// UIDs of the policies that are evaluated for a process whose program runs since a time, in ns since boot.
    pub(super) fn for_program_since(&self, since: u64) -> BTreeSet<String> {
        let older = self.now.iter().filter(|(_, asked)| since <= **asked);
        older.map(|(uid, _)| uid.clone()).collect()
    }
}

/// Nanoseconds since boot, suspend included, as in records of the kernel. A clock that cannot be read is as if every
/// program were older.
pub(super) fn uptime() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_nanos()).ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(count: u32) -> Vec<ProcessKey> {
        (0..count).map(|pid| ProcessKey { pid, start: 1 }).collect()
    }

    #[test]
    fn each_process_has_its_turn_once() {
        let (mut asked, mut now) = (Asked::default(), Instant::now());
        assert_eq!(asked.take(now, || panic!("nobody asks")), []);
        asked.ask("a".to_owned(), 5, now);
        assert_eq!(asked.take(now, || panic!("too early")), []);
        now += DELAY;
        let count = 3 * u32::try_from(SLICE).unwrap() + 7;
        let mut taken = asked.take(now, || processes(count));
        assert_eq!(taken.len(), SLICE);
        // One that asks meanwhile has its own turn, for all of them.
        asked.ask("b".to_owned(), 6, now);
        for _ in 0..3 {
            assert_eq!(asked.for_program_since(1), BTreeSet::from(["a".to_owned()]));
            taken.extend(asked.take(now + DELAY, || panic!("not yet")));
        }
        taken.sort_unstable();
        assert_eq!(taken, processes(count));
        assert_eq!(asked.take(now + DELAY, || processes(1)), processes(1));
        assert_eq!(asked.for_program_since(1), BTreeSet::from(["b".to_owned()]));
        assert_eq!(asked.take(now + DELAY, || panic!("once")), []);
    }

    #[test]
    fn a_program_that_was_executed_since_is_no_matter() {
        let (mut asked, now) = (Asked::default(), Instant::now());
        asked.ask("a".to_owned(), 5, now);
        asked.ask("b".to_owned(), 9, now);
        asked.take(now + DELAY, || processes(1));
        let of = |since| Vec::from_iter(asked.for_program_since(since));
        assert_eq!(of(0), ["a", "b"]);
        assert_eq!(of(5), ["a", "b"]);
        assert_eq!(of(6), ["b"]);
        assert!(of(10).is_empty());
    }
}
