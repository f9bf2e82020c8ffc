//! Losses by cause, and when they are reported.

use super::*;

fn since() -> Timestamp {
    "2026-01-01T00:00:00.5Z".parse().unwrap()
}

fn note(metrics: &Metrics) -> Option<String> {
    Losses::of(metrics).note(since())
}

#[test]
fn the_note_has_a_number_for_each_cause_and_says_where_the_remedies_are() {
    let metrics = Metrics::default();
    assert_eq!(note(&metrics), None);
    metrics.not_evaluated(NotEvaluated::RingBufferFull, 1);
    assert_eq!(
        note(&metrics).as_deref(),
        Some(
            "Bailiff lost 1 exec on this node since 2026-01-01T00:00:00Z. Execs: 1 because the ring buffer was full. For what to do, see the section BailiffExecsNotEvaluated of the runbook."
        )
    );
    metrics.not_evaluated(NotEvaluated::QueueFull, 12);
    metrics.not_recorded(NotRecorded::QueueFull, 40);
    // These have their own alerts, and are no losses.
    metrics.not_evaluated(NotEvaluated::AmbiguousPod, 5);
    metrics.not_recorded(NotRecorded::Shutdown, 5);
    assert_eq!(
        note(&metrics).as_deref(),
        Some(
            "Bailiff lost 13 execs and 40 violations on this node since 2026-01-01T00:00:00Z. Execs: 1 because the ring buffer was full; 12 because too many waited for their pod. Violations: 40 because too many waited to be written. For what to do, see the sections BailiffExecsNotEvaluated and BailiffViolationsNotRecorded of the runbook."
        )
    );
    let metrics = Metrics::default();
    metrics.not_recorded(NotRecorded::Rejected, 2);
    assert_eq!(
        note(&metrics).as_deref(),
        Some(
            "Bailiff lost 2 violations on this node since 2026-01-01T00:00:00Z. Violations: 2 because the API server rejected the Incident. For what to do, see the section BailiffViolationsNotRecorded of the runbook."
        )
    );
}

#[test]
fn each_cause_that_is_counted_has_a_text_and_all_together_are_no_longer_than_a_note() {
    for cause in Cause::ALL {
        assert!(cause.text().is_some(), "{cause:?}");
    }
    let all = Losses([u64::MAX / 8; Cause::ALL.len()]);
    let note = all.note(since()).unwrap();
    assert!(note.len() <= 900, "{} bytes", note.len());
}

#[tokio::test(start_paused = true)]
async fn losses_are_reported_at_once_and_at_growing_intervals_while_they_go_on() {
    let start = Instant::now();
    let minutes = |number: u64| start + Duration::from_mins(number);
    let mut reports = LossReports::new(since(), start);
    let mut lost = Losses::default();
    let mut reported = Vec::new();
    for minute in 0..400 {
        // It goes on for 200 minutes.
        if (5..205).contains(&minute) {
            lost.0[0] += 1;
        }
        if reports.due(&lost, minutes(minute)).is_some() {
            reports.written(lost.clone(), minutes(minute));
            reported.push(minute);
        }
    }
    assert_eq!(reported, [5, 6, 8, 12, 20, 36, 68, 128, 188, 248]);
    assert_eq!(reports.reported, lost, "the last report has all of it");
    lost.0[0] += 1;
    assert!(reports.due(&lost, minutes(400)).is_some());
    reports.written(lost.clone(), minutes(400));
    lost.0[0] += 1;
    assert!(
        reports.due(&lost, minutes(401)).is_some(),
        "an interval starts anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_that_fails_is_retried_with_the_numbers_of_then() {
    let start = Instant::now();
    let mut reports = LossReports::new(since(), start);
    let mut lost = Losses::default();
    lost.0[0] = 1;
    let mut tried = Vec::new();
    for second in 0..200 {
        let now = start + Duration::from_secs(second);
        if let Some(note) = reports.due(&lost, now) {
            let number = lost.0[0];
            assert!(
                note.starts_with(&format!("Bailiff lost {number} exec")),
                "{note}"
            );
            tried.push(second);
            reports.failed(now);
        }
        lost.0[0] += 1;
    }
    assert_eq!(tried, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}
