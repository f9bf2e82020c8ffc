//! What becomes of an Incident that waited while a policy, a binding or the switch changed.

use super::*;
use bailiff_api::PauseReason;

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
    let not_protected = || WaitReason::IncidentsNotProtected("it does not exist".to_owned());
    let budget = || WaitReason::DisruptionBudget(None);
    for (waits, want) in [
        (vec![], responded::AUDIT_ONLY),
        (vec![failed()], responded::AUDIT_ONLY),
        (vec![not_protected()], responded::AUDIT_ONLY),
        (vec![WaitReason::Cooldown], responded::POLICY_CHANGED),
        (vec![budget()], responded::POLICY_CHANGED),
        (
            vec![WaitReason::WaitingForNextExec(None)],
            responded::POLICY_CHANGED,
        ),
        // What fails meanwhile does not end it.
        (
            vec![WaitReason::Cooldown, failed()],
            responded::POLICY_CHANGED,
        ),
        (
            vec![budget(), not_protected(), failed()],
            responded::POLICY_CHANGED,
        ),
    ] {
        let mut facts = with_bindings(&[binding("a", ResponseAction::Audit)]);
        facts.waiting = waited(&waits);
        assert_eq!(reason(&plan(&facts, now())), want, "{waits:?}");
    }
}

#[test]
fn what_waited_because_of_the_switch_and_is_old_is_closed() {
    let off = || WaitReason::ResponsesSwitchedOff(None);
    let too_old = responded::VIOLATION_TOO_OLD;
    let next_exec = || WaitReason::WaitingForNextExec(None);
    for (waits, age, want) in [
        (vec![off()], 3600, "Evict"),
        (vec![off()], 3601, too_old),
        (vec![WaitReason::DisruptionBudget(None)], 36_000, "Evict"),
        (vec![failed()], 36_000, "Evict"),
        // What fails or is decided earlier does not end the effect of the switch.
        (vec![off(), failed()], 3600, "Evict"),
        (vec![off(), failed()], 18_000, too_old),
        (
            vec![failed(), off(), next_exec(), failed()],
            18_000,
            too_old,
        ),
        // The response went on, and waited for something else.
        (vec![off(), WaitReason::Cooldown, failed()], 18_000, "Evict"),
        (vec![off(), WaitReason::Cooldown, off()], 18_000, too_old),
    ] {
        let facts = with(|f| {
            f.waiting = waited(&waits);
            f.violation.last_recorded = now() - seconds(age);
        });
        assert_eq!(reason(&plan(&facts, now())), want, "{waits:?} {age}");
        let still_off = Facts {
            switch: Switch::Audit,
            ..facts
        };
        let got = plan(&still_off, now());
        assert_eq!(reason(&got), responded::RESPONSES_SWITCHED_OFF);
    }
}

#[test]
fn what_waited_for_a_person_and_is_old_is_closed_when_it_goes_on() {
    let pause = || WaitReason::PolicyPaused(paused());
    let not_protected = || WaitReason::IncidentsNotProtected("it does not exist".to_owned());
    let off = || WaitReason::ResponsesSwitchedOff(None);
    let old = |waits: &[WaitReason], age| {
        with(|f| {
            f.waiting = waited(waits);
            f.violation.last_recorded = now() - seconds(age);
        })
    };
    for (waits, pause) in [
        (vec![pause()], PauseReason::PolicyPaused),
        (vec![pause(), failed()], PauseReason::PolicyPaused),
        (
            vec![off(), not_protected()],
            PauseReason::ResponsesSwitchedOff,
        ),
        (vec![off(), pause()], PauseReason::PolicyPaused),
        (vec![pause(), not_protected()], PauseReason::PolicyPaused),
    ] {
        assert_eq!(reason(&plan(&old(&waits, 3600), now())), "Evict");
        let too_old = Plan::NoAction {
            reason: NoActionReason::ViolationTooOld(pause),
            would: None,
        };
        assert_eq!(plan(&old(&waits, 3601), now()), too_old, "{waits:?}");
    }
    // An upgrade that replaces the protection closes nothing.
    assert_eq!(
        reason(&plan(&old(&[not_protected()], 36_000), now())),
        "Evict"
    );
    // As long as it is paused it waits.
    let mut facts = old(&[pause()], 36_000);
    facts.paused = vec![paused()];
    assert_eq!(reason(&plan(&facts, now())), responded::POLICY_PAUSED);
    let mut facts = old(&[not_protected()], 36_000);
    facts.protection = Protection::Missing;
    let got = plan(&facts, now());
    assert_eq!(reason(&got), responded::INCIDENTS_NOT_PROTECTED);
}
