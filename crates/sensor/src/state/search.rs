//! When the processes that run already are searched for.
//!
//! Here: the runs of a search, and how it ends. Not here: running the BPF program (`kernel/loader`), what is done with
//! what it finds (`running`).
//! Invariant: a search is due at the start and after each loss. It is complete only if a run saw every process and none
//! was left of which no record tells; a search that ends otherwise is incomplete, with a cause, until a later one is
//! complete. Runs are bounded.

use crate::kernel::running::{Search, SearchEnd, SearchError};
use std::time::Duration;
use tokio::time::Instant;

/// Least time between two searches: a tenant can cause losses without end, and a run looks at each process of the node.
const PAUSE: Duration = Duration::from_secs(10);
/// Most runs of a search. As many find 262,144 processes, or wait more than four minutes for room in the ring.
const RUNS_LIMIT: u32 = 1024;
/// Time from an incomplete search to the next one, where nothing is lost before.
const RETRY: Duration = Duration::from_mins(10);

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Another run is due.
    Continues,
    /// Each process of a pod that runs has a record.
    Complete {
        /// How many were told of by the whole search.
        told: u64,
    },
    /// The search ended before.
    Incomplete {
        /// Why, for people.
        cause: String,
    },
}

/// The search of now, or the next one.
#[derive(Debug)]
pub(super) struct RunningSearch {
    wanted: bool,
    not_before: Option<Instant>,
    runs: u32,
    told: u64,
    retry_at: Option<Instant>,
}

impl RunningSearch {
    /// Nothing is known of what started before the sensor.
    pub(super) const fn at_start() -> Self {
        Self {
            wanted: true,
            not_before: None,
            runs: 0,
            told: 0,
            retry_at: None,
        }
    }

    /// Records were lost: what started then may run on. A search that is under way finds that, too, as it ends only with
    /// a run that begins later.
    pub(super) const fn request(&mut self) {
        self.wanted = true;
    }

    /// Whether a run is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let passed = |at: Instant| now >= at;
        self.wanted && self.not_before.is_none_or(passed) || self.retry_at.is_some_and(passed)
    }

    /// A run ended.
    pub(super) fn ran(&mut self, ran: Result<Search, SearchError>, now: Instant) -> Progress {
        self.runs = self.runs.saturating_add(1);
        let search = match ran {
            Ok(search) => search,
            Err(error) => return self.incomplete(error.to_string(), now),
        };
        self.told = self.told.saturating_add(u64::from(search.told));
        match search.end {
            SearchEnd::Complete => {
                let told = self.told;
                self.end(now);
                Progress::Complete { told }
            }
            SearchEnd::More | SearchEnd::RingFull if self.runs < RUNS_LIMIT => Progress::Continues,
            SearchEnd::More => self.incomplete(
                "new ones started faster than they were found".to_owned(),
                now,
            ),
            SearchEnd::RingFull => {
                let cause = "the ring buffer stayed full; increase sensor.ringBufferBytes";
                self.incomplete(cause.to_owned(), now)
            }
            SearchEnd::Cut => {
                self.incomplete("the node has more than 65,536 processes".to_owned(), now)
            }
            SearchEnd::NoRoom => {
                let cause = "pods have more processes than the sensor tracks";
                self.incomplete(cause.to_owned(), now)
            }
            SearchEnd::NoFirstProcess => {
                let cause = "the first process of the node could not be found";
                self.incomplete(cause.to_owned(), now)
            }
        }
    }

    fn incomplete(&mut self, cause: String, now: Instant) -> Progress {
        self.end(now);
        self.retry_at = Some(now + RETRY);
        Progress::Incomplete { cause }
    }

    fn end(&mut self, now: Instant) {
        self.wanted = false;
        self.not_before = Some(now + PAUSE);
        self.retry_at = None;
        self.runs = 0;
        self.told = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ended(told: u32, end: SearchEnd) -> Search {
        Search { told, end }
    }

    #[test]
    fn a_search_goes_on_until_a_run_leaves_none() {
        let (mut search, now) = (RunningSearch::at_start(), Instant::now());
        assert!(search.is_due(now), "nothing is known at the start");
        for end in [SearchEnd::More, SearchEnd::RingFull, SearchEnd::More] {
            assert_eq!(search.ran(Ok(ended(256, end)), now), Progress::Continues);
            assert!(search.is_due(now), "{end:?}");
        }
        let complete = Progress::Complete { told: 3 * 256 + 7 };
        assert_eq!(search.ran(Ok(ended(7, SearchEnd::Complete)), now), complete);
        assert!(!search.is_due(now + PAUSE), "nothing was lost since");
    }

    #[test]
    fn losses_without_end_cause_a_search_at_an_interval() {
        let (mut search, mut now) = (RunningSearch::at_start(), Instant::now());
        let mut runs = 0;
        for _ in 0..400 {
            search.request();
            if search.is_due(now) {
                runs += 1;
                let complete = Progress::Complete { told: 1 };
                assert_eq!(search.ran(Ok(ended(1, SearchEnd::Complete)), now), complete);
            }
            now += Duration::from_millis(250);
        }
        assert_eq!(runs, 10, "in 100 seconds");
    }

    #[test]
    fn a_search_that_does_not_end_is_given_up() {
        for (end, want) in [
            (
                SearchEnd::More,
                "new ones started faster than they were found",
            ),
            (
                SearchEnd::RingFull,
                "the ring buffer stayed full; increase sensor.ringBufferBytes",
            ),
        ] {
            let (mut search, now) = (RunningSearch::at_start(), Instant::now());
            for _ in 1..RUNS_LIMIT {
                assert_eq!(search.ran(Ok(ended(1, end)), now), Progress::Continues);
            }
            let cause = want.to_owned();
            assert_eq!(
                search.ran(Ok(ended(1, end)), now),
                Progress::Incomplete { cause }
            );
            assert!(!search.is_due(now + PAUSE));
        }
    }

    #[test]
    fn what_could_not_be_searched_is_searched_again_until_it_is_complete() {
        for (ran, want) in [
            (
                Ok(ended(9, SearchEnd::Cut)),
                "the node has more than 65,536 processes",
            ),
            (
                Ok(ended(9, SearchEnd::NoRoom)),
                "pods have more processes than the sensor tracks",
            ),
            (
                Ok(ended(0, SearchEnd::NoFirstProcess)),
                "the first process of the node could not be found",
            ),
            (
                Err(SearchError::NoLoop),
                "the kernel lacks the BPF function bpf_loop, which Linux 5.17 introduced",
            ),
        ] {
            let (mut search, now) = (RunningSearch::at_start(), Instant::now());
            let cause = want.to_owned();
            assert_eq!(search.ran(ran, now), Progress::Incomplete { cause });
            assert!(
                !search.is_due(now + PAUSE),
                "{want}: nothing was lost since"
            );
            assert!(search.is_due(now + RETRY), "{want}: tried again");
            let later = now + RETRY;
            let complete = Progress::Complete { told: 1 };
            assert_eq!(
                search.ran(Ok(ended(1, SearchEnd::Complete)), later),
                complete
            );
            assert!(!search.is_due(later + RETRY), "{want}: found since");
        }
    }
}
