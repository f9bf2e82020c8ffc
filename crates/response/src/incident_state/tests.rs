//! What is settled of an Incident, and what is still open.

use super::*;
use crate::tests::{evicted, incident, incident_of, no_action, now, seconds, workload};
use serde_json::json;

/// An Incident whose conditions have these statuses; an empty one is not there.
fn with(answered: &str, recovered: &str, removed: bool) -> Incident {
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
    let response = removed.then_some(response);
    let status = json!({"conditions": conditions, "response": response});
    incident.status = Some(serde_json::from_value(status).unwrap());
    incident
}

#[test]
fn an_incident_is_open_until_its_answer_and_the_end_of_it_are_known() {
    for (answered, recovered, removed, open) in [
        ("", "", false, true),
        ("Unknown", "", false, true),
        ("False", "", false, false),
        ("True", "", false, false),
        ("True", "", true, true),
        ("True", "Unknown", true, true),
        ("True", "True", true, false),
        ("True", "False", true, false),
    ] {
        let incident = with(answered, recovered, removed);
        let what = format!("{answered:?} {recovered:?} {removed}");
        assert_eq!(is_open(&incident), open, "{what}");
        let known = |status| !["", "Unknown"].contains(&status);
        assert_eq!(is_final(&incident, types::RESPONDED), known(answered));
        assert_eq!(is_final(&incident, types::RECOVERED), known(recovered));
    }
    assert!(is_open(&incident()), "it has no status yet");
}

#[test]
fn what_became_of_the_workload_has_a_status_and_a_reason() {
    let replacement = Replacement {
        name: "web-2".to_owned(),
        uid: "new".to_owned(),
        node_name: "node-2".to_owned(),
        ready_time: Time(now()),
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
        let after = recovered(&with("True", "", true), &recovery, now());
        let told = after.conditions.iter().find(|c| c.type_ == "Recovered");
        let told = told.map(|c| (c.status.as_str(), c.reason.as_str()));
        assert_eq!(told, Some((status, reason)));
    }
}

#[test]
fn what_is_final_without_a_removal_counts_as_responded() {
    let status = |reason| no_action(reason).status();
    assert_eq!(status(NoActionReason::PodNotFound), "True");
    assert_eq!(status(NoActionReason::AuditOnly), "True");
    assert_eq!(status(NoActionReason::Unmanaged), "False");
    assert_eq!(Outcome::waiting(WaitReason::Cooldown).status(), "Unknown");
}

#[test]
fn violations_that_continue_are_counted_not_timed() {
    let with = |status: &str, reason: &str, count: i64, observed: Option<i64>| {
        let status = json!({
            "conditions": [{"type": "Responded", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-02T00:00:10Z"}],
            // The sensor's time says nothing.
            "series": {"count": count, "lastObservedTime": "2036-01-01T00:00:00.000000Z",
                "policyGeneration": 1, "bindingRefs": []},
            "observedCount": observed,
        });
        needs_reevaluation(&incident_of(&json!({"status": status})))
    };
    for (status, reason, want) in [
        ("True", responded::AUDIT_ONLY, true),
        ("False", responded::UNMANAGED, true),
        ("False", responded::MULTIPLE_DISRUPTION_BUDGETS, true),
        ("False", responded::VIOLATION_TOO_OLD, true),
        ("Unknown", responded::INCIDENTS_NOT_PROTECTED, false),
        ("True", responded::EVICTED, false),
        ("True", responded::DELETED, false),
        ("True", responded::GRACE_PERIOD_SHORTENED, false),
        ("True", responded::POD_NOT_FOUND, false),
        ("True", responded::ALREADY_TERMINATING, false),
        ("True", responded::EVALUATION_FAILED, false),
        ("True", responded::FOUND_RUNNING, false),
    ] {
        assert_eq!(with(status, reason, 4, Some(3)), want, "{status} {reason}");
        assert_eq!(with(status, reason, 2, None), want, "{status} {reason}");
        assert!(!with(status, reason, 3, Some(3)), "{status} {reason}");
        assert!(!with(status, reason, 1, None), "{status} {reason}");
    }
    assert!(!needs_reevaluation(&incident()), "nothing was decided yet");
    // What a decision took into account is recorded with it.
    let series = json!({"count": 7, "lastObservedTime": "2026-01-01T00:00:00.000000Z",
        "policyGeneration": 1, "bindingRefs": []});
    let incident = incident_of(&json!({"status": {"series": series}}));
    let after = |outcome| apply_outcome(&incident, &Verified::default(), &outcome, now());
    assert_eq!(
        after(no_action(NoActionReason::Unmanaged)).observed_count,
        Some(7)
    );
    assert_eq!(
        after(Outcome::waiting(WaitReason::Cooldown)).observed_count,
        None
    );
}

#[test]
fn the_phase_follows_the_conditions_and_transitions_keep_their_time() {
    let mut incident = incident();
    let later = now() + seconds(5);
    let nothing = Verified::default();
    let cooldown = Outcome::waiting(WaitReason::Cooldown);
    incident.status = Some(apply_outcome(&incident, &nothing, &cooldown, now()));
    let webhook = Outcome::waiting(WaitReason::BlockedByWebhook("no".to_owned()));
    let status = apply_outcome(&incident, &nothing, &webhook, later);
    assert_eq!(status.conditions[0].last_transition_time.0, now());
    assert_eq!(status.phase, Some(Phase::Waiting));
    let verified = Verified {
        workload: Some(workload("w")),
        started: Some(now()),
    };
    incident.status = Some(apply_outcome(&incident, &verified, &evicted(), later));
    let status = incident.status.clone().unwrap();
    assert_eq!(status.conditions[0].last_transition_time.0, later);
    assert_eq!(status.phase, Some(Phase::Recovering));
    assert_eq!(status.workload_ref.unwrap().uid, "w");
    assert_eq!(status.pod_start_time, Some(Time(now())));
    assert_eq!(status.response.unwrap().grace_period_seconds, Some(30));
    let status = recovered(&incident, &Recovery::TimedOut(300), later);
    assert_eq!(status.phase, Some(Phase::Unresolved));
    let shortened = Outcome::Shortened {
        binding: "a".to_owned(),
        at: now(),
        grace_period_seconds: 30,
    };
    let status = apply_outcome(&crate::tests::incident(), &nothing, &shortened, later);
    assert_eq!(
        (status.phase, status.response),
        (Some(Phase::Resolved), None)
    );
}

#[test]
fn a_wait_keeps_its_start_and_its_deadline_only_while_it_holds() {
    let mut incident = incident();
    let mut written = Vec::new();
    let budget = |deadline| Outcome::Waiting {
        reason: WaitReason::DisruptionBudget(None),
        deadline: Some(now() + seconds(deadline)),
    };
    for (second, outcome) in [
        (0, Outcome::waiting(WaitReason::Cooldown)),
        (10, budget(610)),
        (
            20,
            Outcome::waiting(WaitReason::ApiRequestFailed(String::new())),
        ),
        (30, Outcome::waiting(WaitReason::ResponsesSwitchedOff(None))),
        (40, evicted()),
    ] {
        let at = now() + seconds(second);
        let status = apply_outcome(&incident, &Verified::default(), &outcome, at);
        written.push(status.waiting.clone().map(|w| {
            assert_eq!(w.start_time.0, now());
            let deadline = w.deadline.map(|d| d.0.duration_since(now()).as_secs());
            (w.reason, deadline)
        }));
        incident.status = Some(status);
    }
    let waits = |reason: &str, deadline| Some((reason.to_owned(), deadline));
    assert_eq!(
        written,
        [
            waits(responded::COOLDOWN, None),
            waits(responded::WAITING_FOR_DISRUPTION_BUDGET, Some(610)),
            waits(responded::API_REQUEST_FAILED, Some(610)),
            waits(responded::RESPONSES_SWITCHED_OFF, None),
            None,
        ]
    );
}
