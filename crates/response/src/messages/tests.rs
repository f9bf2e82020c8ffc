//! Every sentence, word for word.

use super::*;
use crate::tests::{evicted, incident, now};
use bailiff_api::Replacement;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

fn text(reason: NoActionReason) -> String {
    responded(
        &incident(),
        &Outcome::NoAction {
            reason,
            would: None,
        },
    )
}

#[test]
fn what_was_done_is_said_with_the_binding_that_asked_for_it() {
    assert_eq!(
        responded(&incident(), &evicted()),
        "pod web-1 was evicted, as RuntimePolicyBinding a asks"
    );
    let deleted = Outcome::Removed {
        action: ResponseAction::Delete,
        binding: "a".to_owned(),
        at: now(),
    };
    assert_eq!(
        responded(&incident(), &deleted),
        "pod web-1 was deleted, as RuntimePolicyBinding a asks"
    );
    let note = note(&incident(), &deleted, Regarding::Pod).unwrap();
    assert_eq!(note.reason, "DeletedByPolicy");
    assert!(
        note.text
            .contains("This pod was deleted; if a controller owns it, it makes a new one."),
        "{}",
        note.text
    );
}

#[test]
fn what_an_answer_waits_for_is_said() {
    let unconfined = "the shipped ValidatingAdmissionPolicy that confines Incidents is not in place (it is not there), so nobody knows who wrote this one";
    for (reason, want) in [
        (
            WaitReason::Cooldown,
            "another pod of the workload was taken away a short time ago; it is done when the cooldown of the binding is over",
        ),
        (
            WaitReason::RateLimited,
            "the binding has used up its evictions of this minute; it is done when there is room again",
        ),
        (
            WaitReason::DisruptionBudget(None),
            "a PodDisruptionBudget allows no disruption now; it is tried again",
        ),
        (
            WaitReason::DisruptionBudget(Some("web".to_owned())),
            "PodDisruptionBudget web allows no disruption now; it is tried again",
        ),
        (
            WaitReason::IncidentsNotProtected("it is not there".to_owned()),
            &format!("{unconfined}; it is looked at again"),
        ),
        (
            WaitReason::ApiRequestFailed("cannot read the pod: etcd\nis away".to_owned()),
            "cannot read the pod: etcd\\u{a}is away; it is tried again",
        ),
    ] {
        let outcome = Outcome::Waiting(reason);
        assert_eq!(responded(&incident(), &outcome), want);
        let note = note(&incident(), &outcome, Regarding::Pod).unwrap();
        assert_eq!((note.reason, note.warning), ("ResponseDelayed", true));
        assert!(
            note.text
                .contains(&format!("The pod runs on for now: {want}.")),
            "{}",
            note.text
        );
    }
}

#[test]
fn why_nothing_was_done_is_said() {
    let told = [
        (
            NoActionReason::EvaluationFailed,
            "an expression of the policy failed, which never leads to an eviction; mend the policy",
        ),
        (
            NoActionReason::Unmanaged,
            "the pod has no controller that would bring it back, and the binding does not set guardrails.evictUnmanaged",
        ),
        (
            NoActionReason::MirrorPod,
            "it is a static pod, which the kubelet would start again from its file on the node",
        ),
        (NoActionReason::BailiffPod, "it is a pod of Bailiff's own"),
        (
            NoActionReason::ExemptNamespace,
            "the namespace is exempt by Bailiff's configuration",
        ),
        (
            NoActionReason::PolicyChanged,
            "the policy or its binding was changed or deleted since",
        ),
        (
            NoActionReason::PodMismatch("the pod runs on another node".to_owned()),
            "the live pod does not agree with the Incident: the pod runs on another node",
        ),
        (
            NoActionReason::IncidentsNotProtected("it is not there".to_owned()),
            "the shipped ValidatingAdmissionPolicy that confines Incidents is not in place (it is not there), so nobody knows who wrote this one; restore it with `helm upgrade`",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(Some("web".to_owned())),
            "PodDisruptionBudget web allowed no disruption in time; evict the pod yourself when it does",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(None),
            "a PodDisruptionBudget allowed no disruption in time; evict the pod yourself when it does",
        ),
        (
            NoActionReason::MultipleDisruptionBudgets,
            "several PodDisruptionBudgets select the pod, and the Eviction API refuses such pods; leave one of them",
        ),
        (
            NoActionReason::RequestRejected("no\u{1b}[31m".to_owned()),
            "the API server refused: no\\u{1b}[31m",
        ),
    ];
    for (reason, want) in told {
        assert_eq!(text(reason.clone()), want);
        let outcome = Outcome::NoAction {
            reason,
            would: None,
        };
        let note = note(&incident(), &outcome, Regarding::Workload("Deployment")).unwrap();
        assert_eq!((note.reason, note.warning), ("PolicyViolation", true));
        assert!(
            note.text.contains(&format!("Nothing was done: {want}.")),
            "{}",
            note.text
        );
    }
    // People have nothing to learn from an Event about a pod that ends anyway.
    for (reason, want) in [
        (NoActionReason::PodNotFound, "the pod is no longer there"),
        (
            NoActionReason::AlreadyTerminating(None),
            "the pod was already ending or had ended",
        ),
        (
            NoActionReason::AlreadyTerminating(Some(now())),
            "the pod was already ending: the Eviction API was asked to take it away at 2026-01-01T00:00:00Z, and does not keep by whom",
        ),
    ] {
        assert_eq!(text(reason.clone()), want);
        let outcome = Outcome::NoAction {
            reason,
            would: None,
        };
        assert_eq!(note(&incident(), &outcome, Regarding::Pod), None);
    }
}

#[test]
fn an_audit_says_what_enforcement_would_have_come_to() {
    let answer = crate::PodRemoval {
        binding: "a".to_owned(),
        grace_period_seconds: None,
        eviction_deadline_seconds: 0,
    };
    let only = "Nothing was done, because the policy only audits here";
    for (would, want) in [
        (None, format!("{only}.")),
        (
            Some(Plan::Evict(answer)),
            format!("{only}; enforced, it would have evicted the pod."),
        ),
        (
            Some(Plan::NoAction {
                reason: NoActionReason::BailiffPod,
                would: None,
            }),
            format!(
                "{only}; enforced, it would have been held back: it is a pod of Bailiff's own."
            ),
        ),
        (
            Some(Plan::Requeue {
                reason: WaitReason::RateLimited,
                until: now(),
            }),
            format!(
                "{only}; enforced, it would have been held back: the binding has used up its evictions of this minute; it is done when there is room again."
            ),
        ),
    ] {
        let outcome = Outcome::NoAction {
            reason: NoActionReason::AuditOnly,
            would: would.map(Box::new),
        };
        let note = note(&incident(), &outcome, Regarding::Pod).unwrap();
        assert!(note.text.contains(&want), "{want}\n{}", note.text);
        assert_eq!(
            responded(&incident(), &outcome),
            "the bindings ask for Audit alone"
        );
    }
    assert_eq!(
        would_evict(&incident(), "a"),
        "with `responseActions: [Evict]` in RuntimePolicyBinding a, pod web-1 would have been evicted"
    );
    assert_eq!(
        would_hold(&Outcome::NoAction {
            reason: NoActionReason::BailiffPod,
            would: None
        }),
        "an eviction would not have been done: it is a pod of Bailiff's own"
    );
    assert_eq!(
        would_hold(&Outcome::Waiting(WaitReason::RateLimited)),
        "an eviction would have been held back: the binding has used up its evictions of this minute; it is done when there is room again"
    );
}

#[test]
fn what_became_of_the_workload_is_said() {
    let ready = Recovery::Ready(Replacement {
        name: "web-2".to_owned(),
        uid: "u".to_owned(),
        node_name: "node-2".to_owned(),
        ready_time: Time(now()),
    });
    for (recovery, want) in [
        (Recovery::Waiting, "waiting for the replacement to be Ready"),
        (
            ready.clone(),
            "pod web-2 on node node-2 took its place and is Ready",
        ),
        (
            Recovery::TimedOut(300),
            "no replacement was Ready within 300 seconds; see `kubectl describe` of the workload and of its newest pod",
        ),
        (
            Recovery::NoReplacementExpected(Some("Job".to_owned())),
            "the pod was not replaced: its Job makes no new pod; start it again if its work is still needed",
        ),
        (
            Recovery::NoReplacementExpected(None),
            "the pod was not replaced: it had no controller; create it again if it is still needed",
        ),
    ] {
        assert_eq!(recovered(&recovery), want);
        assert_eq!(
            recovered_note(&incident(), &recovery).is_some(),
            recovery == ready
        );
    }
    assert_eq!(
        recovered_note(&incident(), &ready).unwrap(),
        Note {
            reason: "ReplacementReady",
            warning: false,
            text: "Pod web-2 on node node-2 is Ready and took the place of web-1, which violated policy no-shells. More: kubectl describe incident inc-1 -n shop".to_owned(),
        }
    );
}

#[test]
fn a_policy_that_failed_is_said_to_have_judged_nothing() {
    let outcome = Outcome::NoAction {
        reason: NoActionReason::EvaluationFailed,
        would: None,
    };
    let mut incident = incident();
    incident.spec.container.name = None;
    incident.spec.process.origin = Origin::Unknown;
    let text = note(&incident, &outcome, Regarding::Pod).unwrap().text;
    assert!(
        text.starts_with(
            "Program /bin/sh was started in this pod, which policy no-shells could not judge."
        ),
        "{text}"
    );
}

#[test]
fn no_name_that_an_incident_claims_breaks_a_line_or_colours_a_terminal() {
    let mut forged = incident();
    let shown = "\\u{1b}[31m\\u{a}";
    for name in [&mut forged.spec.pod.name, &mut forged.spec.policy_ref.name] {
        *name = "\u{1b}[31m\n".to_owned();
    }
    forged.spec.container.name = Some("\u{1b}[31m\n".to_owned());
    let changed = Outcome::NoAction {
        reason: NoActionReason::PolicyChanged,
        would: None,
    };
    let event = |outcome, about| note(&forged, outcome, about).unwrap().text;
    let ready = Recovery::Ready(Replacement {
        name: "web-2".to_owned(),
        uid: "u".to_owned(),
        node_name: "node-1".to_owned(),
        ready_time: Time(now()),
    });
    for text in [
        responded(&forged, &evicted()),
        would_evict(&forged, "a"),
        event(&changed, Regarding::Pod),
        event(&changed, Regarding::Workload("Deployment")),
        recovered_note(&forged, &ready).unwrap().text,
    ] {
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains(shown), "{text}");
    }
}
