//! Whether the API server accepts anything at all.
//!
//! Here: when that changes, and when it is asked again. Not here: what is written (`write`), what an answer means
//! (`request`).
//! Invariant: while nothing is accepted, what failed before is tried by one request at a time, at intervals up to
//! [`LONGEST_PAUSE`], so that an API server that is overloaded gets few and what waits is written soon after it is back.
//! What was never tried waits for nothing.

use crate::pace::Pace;
use std::time::Duration;
use tokio::time::Instant;

/// First pause, which doubles, and longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an answer tells that the API server accepts something: what fails so soon after one fails by itself.
const ANSWERED_LATELY: Duration = Duration::from_secs(10);

/// What is known of the API server.
#[derive(Debug, Default)]
pub(super) struct Link {
    away: Option<Away>,
    /// When it accepted or rejected something last.
    answered: Option<Instant>,
}

/// Nothing was accepted since.
#[derive(Debug)]
struct Away {
    since: Instant,
    /// When the next one that failed before is tried; none: one is on its way.
    next: Option<Instant>,
    pause: Duration,
    reports: Pace,
}

impl Link {
    pub(super) const fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// When one that failed before may be tried again. None: not before the one that is on its way has an answer.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        self.away.as_ref().map_or(Some(now), |away| away.next)
    }

    /// One that failed before is on its way.
    pub(super) const fn retried(&mut self) {
        if let Some(away) = &mut self.away {
            away.next = None;
        }
    }

    /// A request that was sent at this time failed, and may succeed later. How long nothing was accepted, where that
    /// is to be reported.
    pub(super) fn failed(&mut self, sent: Instant, retry: bool, now: Instant) -> Option<Duration> {
        if self.away.is_none() {
            // Others are accepted: it is this one that fails.
            let lately = |at: Instant| at >= sent || now.duration_since(at) < ANSWERED_LATELY;
            if self.answered.is_some_and(lately) {
                return None;
            }
        }
        let away = self.away.get_or_insert_with(|| Away {
            since: sent,
            next: Some(now),
            pause: FIRST_PAUSE / 2,
            reports: Pace::default(),
        });
        if retry || away.pause < FIRST_PAUSE {
            away.pause = away.pause.saturating_mul(2).min(LONGEST_PAUSE);
            away.next = Some(now + away.pause);
        }
        away.reports
            .is_due(now)
            .then(|| now.duration_since(away.since))
    }

    /// The API server accepted or rejected something. For how long it had not, where that is news.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.answered = Some(now);
        let away = self.away.take()?;
        Some(now.duration_since(away.since))
    }

    /// Little time is left: what failed before is tried soon, also beside one that is on its way.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(away) = &mut self.away {
            let soon = now + FIRST_PAUSE;
            away.pause = FIRST_PAUSE;
            away.next = Some(away.next.map_or(soon, |next| next.min(soon)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_by_one_request_at_growing_intervals_and_reported_at_growing_ones()
    {
        let start = Instant::now();
        let mut link = Link::default();
        assert_eq!(link.next_retry(start), Some(start), "nothing failed");
        assert_eq!(link.failed(start, false, start), Some(Duration::ZERO));
        let (mut now, mut tried, mut reported) = (start, Vec::new(), Vec::new());
        while now < start + 120 * SECOND {
            now = link.next_retry(now).unwrap();
            link.retried();
            assert_eq!(link.next_retry(now), None, "one is on its way");
            tried.push(now.duration_since(start).as_millis());
            // Others that are tried for the first time change nothing.
            let others = link.failed(now, false, now);
            reported.extend(others.or(link.failed(now, true, now)).map(|d| d.as_secs()));
        }
        assert_eq!(
            tried.get(..7),
            Some(&[500, 1500, 3500, 7500, 15_500, 25_500, 35_500][..])
        );
        assert_eq!(reported, [15, 35, 75]);
        assert_eq!(link.answered(now), Some(now.duration_since(start)));
        assert_eq!(link.answered(now), None);
        assert_eq!(link.next_retry(now), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_fails_while_others_are_answered_says_nothing_of_the_api_server() {
        let start = Instant::now();
        let mut link = Link::default();
        assert_eq!(link.answered(start + SECOND), None);
        assert_eq!(
            link.failed(start + 2 * SECOND, false, start + 2 * SECOND),
            None
        );
        // It was sent before, and took long.
        assert_eq!(link.failed(start, false, start + 15 * SECOND), None);
        assert!(!link.is_away());
        assert!(
            link.failed(start + 2 * SECOND, false, start + 15 * SECOND)
                .is_some()
        );
        assert!(link.is_away());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_it_is_tried_soon() {
        let start = Instant::now();
        let mut link = Link::default();
        for _ in 0..10 {
            let _reported = link.failed(start, true, start);
        }
        assert_eq!(link.next_retry(start), Some(start + LONGEST_PAUSE));
        link.hurry(start);
        assert_eq!(link.next_retry(start), Some(start + FIRST_PAUSE));
        link.retried();
        link.hurry(start);
        assert_eq!(link.next_retry(start), Some(start + FIRST_PAUSE));
    }
}
