//! What is answered when, in paused time.

use super::*;
use crate::testing::incident;
use serde_json::{Value, json};

const AGAIN: Duration = Duration::from_secs(30);

fn audited(last_seen: &str) -> Incident {
    incident(&json!({
        "conditions": [{"type": "Responded", "status": "True", "reason": "AuditOnly", "message": "", "lastTransitionTime": "2026-01-01T00:00:10Z"}],
        "series": {"count": 2, "lastObservedTime": format!("2026-01-01T00:00:{last_seen}.000000Z"), "policyGeneration": 1, "bindingRefs": []},
    }))
}

fn open() -> Incident {
    incident(&Value::Null)
}

const FIRST: Need = Need::Answer { fresh: true };
const AGAIN_READ: Need = Need::Answer { fresh: false };

#[tokio::test(start_paused = true)]
async fn an_incident_is_answered_by_one_task_at_a_time() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    assert_eq!(work.learn(&open(), now), FIRST);
    assert_eq!(work.learn(&open(), now), Need::Nothing, "it is under way");
    work.done("inc-uid", now);
    // This replica may have written meanwhile: what the watch brings can be older.
    assert_eq!(work.learn(&open(), now), AGAIN_READ);
}

#[tokio::test(start_paused = true)]
async fn one_violation_after_an_answer_is_looked_at_when_the_time_has_come() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    assert_eq!(work.learn(&open(), now), FIRST);
    work.done("inc-uid", now);
    assert_eq!(
        work.learn(&audited("05"), now),
        Need::Nothing,
        "before the answer"
    );
    assert_eq!(work.next_due(), None);

    let second = now + Duration::from_secs(1);
    assert_eq!(
        work.learn(&audited("15"), second),
        Need::Nothing,
        "too soon"
    );
    assert_eq!(
        work.next_due(),
        Some(now + AGAIN),
        "and nothing else brings it"
    );
    assert!(work.due(now + AGAIN - Duration::from_millis(1)).is_empty());
    let keys = work.due(now + AGAIN);
    assert_eq!(keys, [Key::of(&open()).unwrap()]);
    assert!(work.due(now + AGAIN).is_empty(), "it is under way");

    // It ends with the same answer: the same violation is not looked at again and again.
    work.done("inc-uid", now + AGAIN);
    assert_eq!(work.learn(&audited("15"), now + 3 * AGAIN), Need::Nothing);
    assert_eq!(work.next_due(), None);
    assert_eq!(work.learn(&audited("16"), now + 3 * AGAIN), AGAIN_READ);
}

#[tokio::test(start_paused = true)]
async fn a_violation_while_the_answer_is_under_way_is_not_forgotten() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    work.learn(&open(), now);
    assert_eq!(work.learn(&audited("15"), now), Need::Nothing);
    work.done("inc-uid", now);
    assert_eq!(work.next_due(), Some(now + AGAIN));
}

#[tokio::test(start_paused = true)]
async fn what_a_former_leader_answered_is_looked_at_once_when_it_goes_on() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    assert_eq!(work.learn(&audited("15"), now), FIRST);
    work.done("inc-uid", now);
    assert_eq!(work.learn(&audited("15"), now + 2 * AGAIN), Need::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_failed_is_tried_again() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    work.learn(&open(), now);
    let key = Key::of(&open()).unwrap();
    work.failed(&key, now);
    assert_eq!(work.due(now + AGAIN), [key]);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_forgotten_also_when_nobody_told() {
    let (mut work, now) = (Work::new(AGAIN), Instant::now());
    for told in [true, false] {
        work.learn(&open(), now);
        work.done("inc-uid", now);
        work.learn(&audited("15"), now);
        assert!(!work.looked.is_empty() && !work.later.is_empty());
        if told {
            work.gone("inc-uid");
        } else {
            work.relisted(&BTreeSet::from(["other".to_owned()]));
        }
        assert!(work.looked.is_empty() && work.later.is_empty(), "{told}");
    }
    work.learn(&open(), now);
    work.done("inc-uid", now);
    work.relisted(&BTreeSet::from(["inc-uid".to_owned()]));
    assert!(!work.looked.is_empty(), "what is there still stays");
}
