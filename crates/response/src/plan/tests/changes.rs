//! What becomes of an Incident that waited while a policy, a binding or the switch changed.

use super::*;

#[test]
fn a_changed_expression_is_evaluated_again_and_a_cancelled_response_is_final() {
    for (reevaluation, want) in [
        (Some(Reevaluation::StillViolates), "Evict"),
        (
            Some(Reevaluation::NoLongerViolates),
            responded::POLICY_CHANGED,
        ),
        (
            Some(Reevaluation::NeedsNextExec),
            responded::WAITING_FOR_NEXT_EXEC,
        ),
        (
            Some(Reevaluation::Failed("no such key".to_owned())),
            responded::WAITING_FOR_NEXT_EXEC,
        ),
        (None, responded::API_REQUEST_FAILED),
    ] {
        let facts = with_policy(|p| {
            p.generation = 2;
            p.reevaluation.clone_from(&reevaluation);
        });
        assert_eq!(reason(&plan(&facts, now())), want, "{reevaluation:?}");
    }
    for (waits_for, want) in [
        (None, responded::AUDIT_ONLY),
        (Some(responded::API_REQUEST_FAILED), responded::AUDIT_ONLY),
        (Some(responded::COOLDOWN), responded::POLICY_CHANGED),
        (
            Some(responded::WAITING_FOR_DISRUPTION_BUDGET),
            responded::POLICY_CHANGED,
        ),
    ] {
        let mut facts = with_bindings(&[binding("a", ResponseAction::Audit)]);
        facts.waiting = waits_for.map(waiting);
        assert_eq!(reason(&plan(&facts, now())), want, "{waits_for:?}");
    }
}

#[test]
fn what_waited_because_of_the_switch_and_is_old_is_closed() {
    let off = responded::RESPONSES_SWITCHED_OFF;
    for (waits_for, age, want) in [
        (off, 3600, "Evict"),
        (off, 3601, responded::VIOLATION_TOO_OLD),
        (responded::WAITING_FOR_DISRUPTION_BUDGET, 36_000, "Evict"),
    ] {
        let facts = with(|f| {
            f.waiting = Some(waiting(waits_for));
            f.violation.last_recorded = now() - seconds(age);
        });
        assert_eq!(reason(&plan(&facts, now())), want, "{waits_for} {age}");
        let still_off = Facts {
            switch: Switch::Audit,
            ..facts
        };
        assert_eq!(reason(&plan(&still_off, now())), off);
    }
}
