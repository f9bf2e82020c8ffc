//! What is settled of an Incident, and what is still open.

use super::*;
use crate::tests::incident;
use serde_json::json;

/// An Incident whose conditions have these statuses; an empty one is not there.
fn with(answered: &str, recovered: &str, taken_away: bool) -> Incident {
    let mut incident = incident();
    let conditions: Vec<_> = [("Responded", answered), ("Recovered", recovered)]
        .into_iter()
        .filter(|(_, status)| !status.is_empty())
        .map(|(type_, status)| {
            json!({"type": type_, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .collect();
    let response =
        json!({"action": "Evict", "bindingName": "a", "time": "2026-01-01T00:00:00.000000Z"});
    let response = taken_away.then_some(response);
    let status = json!({"conditions": conditions, "response": response});
    incident.status = Some(serde_json::from_value(status).unwrap());
    incident
}

#[test]
fn an_incident_is_open_until_its_answer_and_the_end_of_it_are_known() {
    for (answered, recovered, taken_away, open) in [
        ("", "", false, true),
        ("Unknown", "", false, true),
        ("False", "", false, false),
        ("True", "", false, false),
        ("True", "", true, true),
        ("True", "Unknown", true, true),
        ("True", "True", true, false),
        ("True", "False", true, false),
    ] {
        let incident = with(answered, recovered, taken_away);
        let what = format!("{answered:?} {recovered:?} {taken_away}");
        assert_eq!(is_open(&incident), open, "{what}");
        let known = |status| !["", "Unknown"].contains(&status);
        assert_eq!(is_final(&incident, types::RESPONDED), known(answered));
        assert_eq!(is_final(&incident, types::RECOVERED), known(recovered));
    }
    assert!(is_open(&incident()), "it has no status yet");
}

#[test]
fn what_became_of_the_workload_is_told_by_status_and_reason() {
    let replacement = Replacement {
        name: "web-2".to_owned(),
        uid: "new".to_owned(),
        node_name: "node-2".to_owned(),
        ready_time: Time(crate::tests::now()),
    };
    for (recovery, status, reason) in [
        (Recovery::Waiting, "Unknown", "WaitingForReplacement"),
        (Recovery::Ready(replacement), "True", "ReplacementReady"),
        (
            Recovery::TimedOut(300),
            "False",
            "ReplacementDeadlineExceeded",
        ),
        (
            Recovery::NoReplacementExpected(None),
            "False",
            "NoReplacementExpected",
        ),
    ] {
        assert_eq!((recovery.status(), recovery.reason()), (status, reason));
        let after = recovered(&with("True", "", true), &recovery, crate::tests::now());
        let told = after.conditions.iter().find(|c| c.type_ == "Recovered");
        let told = told.map(|c| (c.status.as_str(), c.reason.as_str()));
        assert_eq!(told, Some((status, reason)));
    }
}

#[test]
fn what_is_done_for_good_without_an_eviction_counts_as_answered() {
    let status = |reason| {
        let outcome = Outcome::NoAction {
            reason,
            would: None,
        };
        outcome.status()
    };
    assert_eq!(status(NoActionReason::PodNotFound), "True");
    assert_eq!(status(NoActionReason::AuditOnly), "True");
    assert_eq!(status(NoActionReason::Unmanaged), "False");
    assert_eq!(Outcome::Waiting(WaitReason::Cooldown).status(), "Unknown");
}
