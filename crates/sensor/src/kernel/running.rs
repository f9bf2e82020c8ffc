//! What a search for the processes that run already came to.
//!
//! Here: the meaning of what the BPF program returns, and why there is no search. Not here: running the program
//! (`loader/running`), when that is done (`state/search`).
//! Invariant: a search that did not see every process never counts as complete.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing
)]

use crate::kernel::definition::running;

/// One run of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Of how many processes it told.
    pub told: u32,
    /// Where it ended.
    pub end: SearchEnd,
}

/// Where a run of a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchEnd {
    /// At the last process of the node: of each process of a pod there is a record.
    Complete,
    /// It told of as many as one run tells of. The next one goes on.
    More,
    /// A record found no room in the ring. The next one goes on.
    RingFull,
    /// At the last process of the node. Some processes have no record, or the next search has another of them, because
    /// there is no room to remember them.
    NoRoom,
    /// There are more processes than a run looks at, or their list could not be read to its end.
    Cut,
    /// The first process of the machine could not be found: it looked at nothing.
    NoFirstProcess,
}

/// Why there is no search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The kernel is too old.
    #[error("the kernel lacks the BPF function bpf_loop, which Linux 5.17 introduced")]
    NoLoop,
    /// The kernel rejected the program; why.
    #[error("cannot load the BPF program running_processes: {0}")]
    Rejected(String),
    /// The program could not be run; why.
    #[error("cannot run the BPF program running_processes: {0}")]
    Failed(String),
}

impl Search {
    /// From what the program returned.
    pub(crate) const fn of(value: u32) -> Self {
        let bits = running::WITHOUT_FIRST
            | running::MORE
            | running::RING_FULL
            | running::CUT
            | running::NO_ROOM;
        let end = if value & running::WITHOUT_FIRST != 0 {
            SearchEnd::NoFirstProcess
        } else if value & running::CUT != 0 {
            SearchEnd::Cut
        } else if value & running::RING_FULL != 0 {
            SearchEnd::RingFull
        } else if value & running::MORE != 0 {
            SearchEnd::More
        } else if value & running::NO_ROOM != 0 {
            SearchEnd::NoRoom
        } else {
            SearchEnd::Complete
        };
        Self {
            told: value & !bits,
            end,
        }
    }
}

impl SearchError {
    /// Why the kernel does not load the program: by what its verifier wrote, else by the reason that is known of its
    /// answer. It names a function that it does not know by its number (Linux 5.15, `kernel/bpf/verifier.c`,
    /// `check_helper_call`; number 181, `include/uapi/linux/bpf.h`).
    pub(crate) fn of_load(verifier: &str, reason: &dyn std::fmt::Display) -> Self {
        if verifier.contains("func unknown#181") {
            Self::NoLoop
        } else {
            Self::Rejected(reason.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_did_not_see_all_is_never_complete() {
        let ended = |value: u32| {
            let search = Search::of(value);
            (search.told, search.end)
        };
        assert_eq!(ended(0), (0, SearchEnd::Complete));
        assert_eq!(ended(70), (70, SearchEnd::Complete));
        assert_eq!(ended(256 | running::MORE), (256, SearchEnd::More));
        assert_eq!(ended(3 | running::RING_FULL), (3, SearchEnd::RingFull));
        assert_eq!(ended(3 | running::CUT), (3, SearchEnd::Cut));
        assert_eq!(ended(3 | running::NO_ROOM), (3, SearchEnd::NoRoom));
        assert_eq!(
            ended(running::WITHOUT_FIRST),
            (0, SearchEnd::NoFirstProcess)
        );
    }

    #[test]
    fn a_kernel_that_is_too_old_is_named() {
        let because = |verifier| SearchError::of_load(verifier, &"it lacks BPF").to_string();
        assert_eq!(
            because("22: (85) call unknown#181\ninvalid func unknown#181\nprocessed 20 insns"),
            "the kernel lacks the BPF function bpf_loop, which Linux 5.17 introduced"
        );
        assert_eq!(
            because(""),
            "cannot load the BPF program running_processes: it lacks BPF"
        );
    }
}
