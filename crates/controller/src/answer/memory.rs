//! What an answer remembers from one round to the next.
//!
//! Here: pauses that grow, since when something holds, what was asked for. Not here: what is
//! done with it (`answer`).
//! Invariant: what was asked for without a clear word of the API server is forgotten only when
//! it is known whether it was done.

use crate::config::Config;
use bailiff_api::ResponseAction;
use bailiff_response::{Outcome, Owner, PodRemoval, WaitReason};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// An answer that was asked of the API server, and noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) action: ResponseAction,
    pub(super) answer: PodRemoval,
    pub(super) owner: Owner,
    pub(super) at: Timestamp,
}

impl Asked {
    /// What it comes to once it is known to be done.
    pub(super) fn done(self) -> Outcome {
        Outcome::Removed {
            action: self.action,
            binding: self.answer.binding,
            at: self.at,
        }
    }
}

/// The memory of one answer.
#[derive(Debug)]
pub(super) struct Memory {
    /// Asked for, and nobody knows whether it was done.
    pub(super) asked: Option<Asked>,
    first_pause: Duration,
    longest_pause: Duration,
    look_again: Duration,
    patience: Duration,
    pause: Duration,
    blocked: Option<(Instant, Duration)>,
    unconfined: Option<Instant>,
}

impl Memory {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            asked: None,
            first_pause: config.eviction_initial_backoff,
            longest_pause: config.eviction_max_backoff,
            look_again: config.incident_recheck_interval,
            patience: config.protection_timeout,
            pause: config.eviction_initial_backoff,
            blocked: None,
            unconfined: None,
        }
    }

    /// The pause before what could not be done is tried again: twice the one before.
    pub(super) fn longer_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(self.longest_pause);
        pause
    }

    /// The pause of a plan that waits.
    pub(super) fn wait(
        &mut self,
        reason: &WaitReason,
        until: Timestamp,
        now: Timestamp,
    ) -> Duration {
        match reason {
            WaitReason::ApiRequestFailed(_) | WaitReason::IncidentsNotProtected(_) => {
                self.longer_pause()
            }
            WaitReason::Cooldown | WaitReason::RateLimited | WaitReason::DisruptionBudget(_) => {
                self.pause = self.first_pause;
                let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                // The pod may end by itself long before the time.
                left.min(self.look_again)
            }
        }
    }

    /// The pause before a budget is asked again; none: it was waited for long enough.
    pub(super) fn budget_pause(&mut self, timeout: Duration) -> Option<Duration> {
        let first = (Instant::now(), self.first_pause);
        let (since, pause) = self.blocked.get_or_insert(first);
        let left = timeout.saturating_sub(since.elapsed());
        if left.is_zero() {
            return None;
        }
        let now = (*pause).min(left);
        *pause = pause.saturating_mul(2).min(self.longest_pause);
        Some(now)
    }

    /// Whether it is still too soon to give up because Incidents are not confined: an upgrade
    /// changes their protection before the new controller leads.
    pub(super) fn is_patient(&mut self) -> bool {
        let since = *self.unconfined.get_or_insert_with(Instant::now);
        since.elapsed() < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit_and_begin_anew_after_another_reason() {
        let mut memory = Memory::new(&Config::default());
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let could_not = WaitReason::ApiRequestFailed(String::new());
        let pauses: Vec<_> = (0..7)
            .map(|_| memory.wait(&could_not, now, now).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        let until = now + jiff::SignedDuration::from_secs(9);
        assert_eq!(memory.wait(&WaitReason::Cooldown, until, now), seconds(9));
        let until = now + jiff::SignedDuration::from_secs(900);
        assert_eq!(memory.wait(&WaitReason::Cooldown, until, now), seconds(30));
        assert_eq!(memory.longer_pause(), seconds(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_waited_for_up_to_the_timeout() {
        let mut memory = Memory::new(&Config::default());
        let mut waited = Vec::new();
        while let Some(pause) = memory.budget_pause(seconds(10)) {
            waited.push(pause.as_secs());
            tokio::time::advance(pause).await;
        }
        assert_eq!(waited, [1, 2, 4, 3], "not beyond the timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgrade_is_borne_for_a_while() {
        let mut memory = Memory::new(&Config::default());
        assert!(memory.is_patient());
        tokio::time::advance(seconds(119)).await;
        assert!(memory.is_patient());
        tokio::time::advance(seconds(1)).await;
        assert!(!memory.is_patient());
    }
}
