//! How much memory the pods of recovering workloads take.
//!
//! Here: one budget in bytes for all workloads, and the part of it that one has. Not here: what is kept
//! of a pod (`pods`), and when a workload is watched (`super`).
//! Invariant: all pods together take at most [`TOTAL`] bytes, however many there are. A small workload
//! always has room; a large one that has none waits, and is next when there is.

use super::WATCHES;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1 << 10;
/// Bytes that the pods of each watched workload can always take.
pub(super) const FREE: usize = 128 * KIB;
/// Most bytes that the pods of a workload take; a replacement among further ones is not found.
pub(super) const WORKLOAD_LIMIT: usize = 8 * 1024 * KIB;
/// Bytes that watched workloads share beyond what each can always take.
const SHARED: usize = 16 * 1024 * KIB;
/// Most bytes of all. One workload at a time is also read once, at its deadline and without a watch.
const TOTAL: usize = WATCHES * FREE + SHARED + WORKLOAD_LIMIT;
/// A quarter of the memory that the controller can have.
const _: () = assert!(TOTAL <= 32 * 1024 * KIB);

/// What bounds the workloads that recover.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Workloads that are watched.
    pub(super) watches: Arc<Semaphore>,
    /// KiB that they share.
    pub(super) shared: Arc<Semaphore>,
    /// Workloads that are read once.
    pub(super) reads: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            watches: Arc::new(Semaphore::new(WATCHES)),
            shared: Arc::new(Semaphore::new(SHARED / KIB)),
            reads: Arc::new(Semaphore::new(1)),
        }
    }
}

/// What a workload has of the budget.
#[derive(Debug)]
pub(super) enum Share {
    /// A watched one: what it can always take, and what it got beyond that.
    Watched {
        shared: Arc<Semaphore>,
        held: Option<OwnedSemaphorePermit>,
    },
    /// One that is read once: all that one can take.
    Whole,
}

impl Share {
    /// What every watched workload has.
    pub(super) fn free(limits: &Limits) -> Self {
        Self::Watched {
            shared: Arc::clone(&limits.shared),
            held: None,
        }
    }

    /// All that one workload can take, when it is there: the first that asks has it first, and meanwhile
    /// no other gets more. None: the limits no longer exist.
    pub(super) async fn whole(limits: &Limits) -> Option<Self> {
        let shared = Arc::clone(&limits.shared);
        let held = Arc::clone(&shared).acquire_many_owned(kib(WORKLOAD_LIMIT));
        Some(Self::Watched {
            held: Some(held.await.ok()?),
            shared,
        })
    }

    /// Whether it is enough for pods of so many bytes, perhaps with more of what is shared.
    pub(super) fn covers(&mut self, bytes: usize) -> bool {
        let (shared, held) = match self {
            Self::Whole => return bytes <= WORKLOAD_LIMIT,
            Self::Watched { shared, held } => (shared, held),
        };
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.saturating_sub(FREE).div_ceil(KIB);
        let lacks = wanted.saturating_sub(has);
        if lacks == 0 {
            return true;
        }
        let more = Arc::clone(shared).try_acquire_many_owned(kib(lacks * KIB));
        let Ok(more) = more else {
            return false;
        };
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        true
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / KIB).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn all_workloads_have_one_budget_and_the_one_that_waits_is_next() {
        let limits = Limits::default();
        let left = || limits.shared.available_permits() * KIB;
        let mut large: Vec<_> = (0..2).map(|_| Share::free(&limits)).collect();
        for share in &mut large {
            assert!(share.covers(FREE), "it is always there");
            assert!(share.covers(WORKLOAD_LIMIT));
            assert!(share.covers(FREE), "what it has once it keeps");
        }
        assert_eq!(left(), 2 * FREE);
        let mut small = Share::free(&limits);
        assert!(small.covers(2 * FREE));
        assert!(!small.covers(4 * FREE));
        // Who waits for everything gets it before another gets more.
        let mut waits = Box::pin(Share::whole(&limits));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(!small.covers(2 * FREE + 1));
        large.pop();
        let mut whole = waits.now_or_never().flatten().unwrap();
        assert!(whole.covers(WORKLOAD_LIMIT));
        drop((large, whole, small));
        assert_eq!(left(), SHARED);
    }

    #[test]
    fn what_is_read_once_has_a_limit_of_its_own() {
        assert!(Share::Whole.covers(WORKLOAD_LIMIT));
        assert!(!Share::Whole.covers(WORKLOAD_LIMIT + 1));
    }
}
