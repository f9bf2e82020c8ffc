//! What a sensor lost, in numbers, and when that is reported.
//!
//! Here: the causes, the note of the Event, and its intervals. Not here: counting (`metrics`), the Event (`coverage`),
//! what is not evaluated as a whole (`cluster/gaps`).
//! Invariant: what is lost is reported within [`FIRST`], or at the next of intervals that double up to [`LONGEST`], and
//! each report has all numbers since the sensor started.

use crate::metrics::{Metrics, NotEvaluated, NotRecorded};
use bailiff_api::event::EVIDENCE_LOST_INTERVAL;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// First interval between two reports, and longest one. The API server keeps an Event for an hour.
pub(crate) const FIRST: Duration = Duration::from_mins(1);
pub(crate) const LONGEST: Duration = EVIDENCE_LOST_INTERVAL;
/// Longest time until a report that failed is tried again.
const LONGEST_RETRY: Duration = Duration::from_mins(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Why an exec or a violation is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The exec was not evaluated.
    Exec(NotEvaluated),
    /// The violation is in no Incident.
    Violation(NotRecorded),
}

impl Cause {
    /// Those that the note names, in its order. An exec that a tenant made ambiguous is not lost but suspicious, and what a
    /// sensor cannot write at its end it cannot report either.
    const ALL: [Self; 7] = [
        Self::Exec(NotEvaluated::RingBufferFull),
        Self::Exec(NotEvaluated::QueueFull),
        Self::Exec(NotEvaluated::PodUnknown),
        Self::Exec(NotEvaluated::DecodeError),
        Self::Violation(NotRecorded::QueueFull),
        Self::Violation(NotRecorded::NamespaceLimit),
        Self::Violation(NotRecorded::Rejected),
    ];

    /// What follows "because"; none: it is not reported here.
    const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Exec(NotEvaluated::RingBufferFull) => "the ring buffer was full",
            Self::Exec(NotEvaluated::QueueFull) => "too many waited for their pod",
            Self::Exec(NotEvaluated::PodUnknown) => "their pod did not become known in time",
            Self::Exec(NotEvaluated::DecodeError) => "their record could not be decoded",
            Self::Violation(NotRecorded::QueueFull) => "too many waited to be written",
            Self::Violation(NotRecorded::NamespaceLimit) => {
                "too many of a namespace were recorded elsewhere"
            }
            Self::Violation(NotRecorded::Rejected) => "the API server rejected the Incident",
            Self::Exec(
                NotEvaluated::AmbiguousPod
                | NotEvaluated::UnrecognizedCgroup
                | NotEvaluated::CgroupTooDeep,
            )
            | Self::Violation(NotRecorded::Shutdown) => return None,
        })
    }

    const fn is_exec(self) -> bool {
        match self {
            Self::Exec(_) => true,
            Self::Violation(_) => false,
        }
    }

    fn count(self, metrics: &Metrics) -> u64 {
        match self {
            Self::Exec(reason) => metrics.count_of(reason),
            Self::Violation(reason) => metrics.count_not_recorded(reason),
        }
    }
}

/// The numbers of now, one for each cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses([u64; Cause::ALL.len()]);

impl Losses {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self(Cause::ALL.map(|cause| cause.count(metrics)))
    }

    /// For people; none where nothing is lost. `since`: when the sensor started.
    fn note(&self, since: Timestamp) -> Option<String> {
        let part = |execs: bool| {
            let causes = Cause::ALL.into_iter().zip(self.0);
            let mut total = 0_u64;
            let mut texts = Vec::new();
            for (cause, number) in causes.filter(|(cause, _)| cause.is_exec() == execs) {
                total = total.saturating_add(number);
                if let Some(text) = cause.text().filter(|_| number > 0) {
                    texts.push(format!("{number} because {text}"));
                }
            }
            (total, texts.join("; "))
        };
        let plural = |number: u64, word: &str| {
            let s = if number == 1 { "" } else { "s" };
            format!("{number} {word}{s}")
        };
        let ((execs, exec_texts), (violations, violation_texts)) = (part(true), part(false));
        let (what, causes, alerts) = match (execs > 0, violations > 0) {
            (false, false) => return None,
            (true, false) => (
                plural(execs, "exec"),
                format!("Execs: {exec_texts}."),
                "section BailiffExecsNotEvaluated",
            ),
            (false, true) => (
                plural(violations, "violation"),
                format!("Violations: {violation_texts}."),
                "section BailiffViolationsNotRecorded",
            ),
            (true, true) => (
                format!(
                    "{} and {}",
                    plural(execs, "exec"),
                    plural(violations, "violation")
                ),
                format!("Execs: {exec_texts}. Violations: {violation_texts}."),
                "sections BailiffExecsNotEvaluated and BailiffViolationsNotRecorded",
            ),
        };
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
        Some(format!(
            "Bailiff lost {what} on this node since {since}. {causes} For what to do, see the {alerts} of the runbook."
        ))
    }
}

/// When losses are reported.
#[derive(Debug)]
pub(crate) struct LossReports {
    since: Timestamp,
    reported: Losses,
    not_before: Instant,
    pause: Duration,
    retry: Duration,
}

impl LossReports {
    /// Of a sensor that starts.
    pub(crate) fn new(since: Timestamp, now: Instant) -> Self {
        Self {
            since,
            reported: Losses::default(),
            not_before: now,
            pause: FIRST,
            retry: FIRST_RETRY,
        }
    }

    /// The note of the Event that is due; none: nothing was lost since the last one, or its interval is not over.
    pub(crate) fn due(&mut self, losses: &Losses, now: Instant) -> Option<String> {
        if now < self.not_before {
            return None;
        }
        if *losses == self.reported {
            if now.duration_since(self.not_before) >= LONGEST {
                self.pause = FIRST;
            }
            return None;
        }
        losses.note(self.since)
    }

    /// The Event with these numbers was written.
    pub(crate) fn written(&mut self, losses: Losses, now: Instant) {
        self.reported = losses;
        self.retry = FIRST_RETRY;
        self.not_before = now + self.pause;
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
    }

    /// It could not be written. The next try has the numbers of then.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.not_before = now + self.retry;
        self.retry = self.retry.saturating_mul(2).min(LONGEST_RETRY);
    }
}

#[cfg(test)]
mod tests;
