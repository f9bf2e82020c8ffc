//! What is remembered of answers, and for how long.

use super::*;
use crate::tests::incident;
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn answers_are_found_by_workload_and_by_binding_oldest_first() {
    let mut ledger = Ledger::default();
    ledger.reserve(Some("web"), "a", at(20));
    ledger.reserve(Some("web"), "b", at(10));
    ledger.reserve(Some("api"), "a", at(15));
    ledger.reserve(None, "a", at(5));
    let history = ledger.history(Some("web"), &["a", "unused"]);
    assert_eq!(history.last_of_workload, Some(at(20)));
    let of_a = vec![at(5), at(15), at(20)];
    assert_eq!(history.by_binding, [("a".to_owned(), of_a)]);
    assert_eq!(ledger.history(None, &[]), History::default());
}

#[test]
fn what_is_taken_back_limits_nothing_and_nothing_else_goes_with_it() {
    let mut ledger = Ledger::default();
    ledger.reserve(Some("web"), "a", at(1));
    let before = ledger.history(Some("web"), &["a"]);
    ledger.reserve(Some("web"), "a", at(2));
    ledger.release(Some("web"), "a", at(2));
    assert_eq!(ledger.history(Some("web"), &["a"]), before);
    ledger.release(Some("other"), "b", at(1));
    assert_eq!(ledger.history(Some("web"), &["a"]), before);
}

#[test]
fn what_incidents_say_was_done_is_learned() {
    let mut ledger = Ledger::default();
    let mut incident = incident();
    ledger.restore(&incident);
    assert_eq!(ledger.history(Some("web"), &["a"]), History::default());
    let status = json!({
        "response": {"action": "Evict", "bindingName": "a", "time": "1970-01-01T00:00:07.000000Z"},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "web"},
    });
    incident.status = Some(serde_json::from_value(status).unwrap());
    ledger.restore(&incident);
    let history = ledger.history(Some("web"), &["a"]);
    assert_eq!(history.last_of_workload, Some(at(7)));
    assert_eq!(history.by_binding, [("a".to_owned(), vec![at(7)])]);
}

#[test]
fn what_limits_nothing_any_more_is_forgotten() {
    let mut ledger = Ledger::default();
    ledger.reserve(Some("web"), "a", at(0));
    let kept = |ledger: &Ledger| {
        let history = ledger.history(Some("web"), &["a"]);
        (
            history.last_of_workload.is_some(),
            !history.by_binding.is_empty(),
        )
    };
    let (minute, day) = (RATE_WINDOW.as_secs(), LONGEST_COOLDOWN.as_secs());
    for (second, want) in [
        (minute - 1, (true, true)),
        (minute, (true, false)),
        (day - 1, (true, false)),
        (day, (false, false)),
    ] {
        ledger.prune(at(second));
        assert_eq!(kept(&ledger), want, "after {second} s");
    }
}
