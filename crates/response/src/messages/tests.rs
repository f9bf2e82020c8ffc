//! Every sentence, word for word.

mod hostile;

use super::*;
use crate::dry_run::Would;
use crate::facts::Owner;
use crate::guard::{Outlook, Watch};
use crate::queue::Ahead;
use crate::tests::{evicted, incident, incident_of, no_action, now, paused};
use bailiff_api::{Replacement, WorkloadReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

const ADVICE: &str = "If you started this process, use another approach or ask the policy owner for an exemption. Details: kubectl describe incident inc-1 -n shop";

fn on_pod(outcome: &Outcome) -> Note {
    note(&incident(), outcome, Regarding::Pod).unwrap()
}

#[test]
fn a_removal_names_the_binding_that_requires_it() {
    let of = |action| Outcome::Removed {
        action,
        binding: "a".to_owned(),
        at: now(),
        grace_period_seconds: 30,
        released: false,
    };
    for (action, reason, verb) in [
        (ResponseAction::Evict, "EvictedByPolicy", "evicted"),
        (ResponseAction::Delete, "DeletedByPolicy", "deleted"),
    ] {
        let outcome = of(action);
        assert_eq!(
            responded(&incident(), &outcome),
            format!("Bailiff {verb} pod web-1, as RuntimePolicyBinding a requires.")
        );
        let about = "Process /bin/sh, started through exec in container app";
        assert_eq!(
            on_pod(&outcome),
            Note {
                reason,
                warning: true,
                text: format!(
                    "{about}, violates policy no-shells. Bailiff {verb} this pod. If a controller owns it, the controller creates a replacement. {ADVICE}"
                ),
            }
        );
        assert_eq!(
            note(&incident(), &outcome, Regarding::Workload("Deployment"))
                .unwrap()
                .text,
            format!(
                "{about} of pod web-1, violates policy no-shells. Bailiff {verb} the pod. This Deployment creates a replacement if it needs one. {ADVICE}"
            )
        );
    }
}

#[test]
fn a_shortened_termination_names_the_new_period() {
    let outcome = Outcome::Shortened {
        binding: "a".to_owned(),
        at: now(),
        grace_period_seconds: 30,
    };
    assert_eq!(
        responded(&incident(), &outcome),
        "Pod web-1 was already terminating. Bailiff shortened its grace period to 30 seconds, as RuntimePolicyBinding a requires."
    );
    let text = on_pod(&outcome).text;
    let want = "violates policy no-shells. This pod was already terminating. Bailiff shortened its grace period to 30 seconds. If you";
    assert!(text.contains(want), "{text}");
}

#[test]
fn what_a_response_waits_for() {
    let retries = "Bailiff retries automatically.";
    let unprotected = "The author of this Incident cannot be verified: ValidatingAdmissionPolicy bailiff-incident-protection is missing or modified (it does not exist). Restore it with `helm upgrade`.";
    for (reason, want) in [
        (
            WaitReason::Cooldown,
            "Another pod of this workload was removed recently. Bailiff retries when the cooldown period ends.".to_owned(),
        ),
        (
            WaitReason::RateLimited(RateLimit::Binding("a".to_owned())),
            format!("RuntimePolicyBinding a reached maxEvictionsPerMinute. {retries}"),
        ),
        (
            WaitReason::RateLimited(RateLimit::Namespace),
            format!("Bailiff reached the limit of removals a minute in this namespace. {retries}"),
        ),
        (
            WaitReason::RateLimited(RateLimit::Cluster),
            format!("Bailiff reached the limit of removals a minute in this cluster. {retries}"),
        ),
        (
            WaitReason::DisruptionBudget(None),
            "A PodDisruptionBudget blocks the eviction. Bailiff retries until the eviction deadline.".to_owned(),
        ),
        (
            WaitReason::DisruptionBudget(Some("web".to_owned())),
            "PodDisruptionBudget web blocks the eviction. Bailiff retries until the eviction deadline.".to_owned(),
        ),
        (
            WaitReason::BlockedByWebhook("not\nnow".to_owned()),
            "An admission webhook rejected the request with \"not\\u{a}now\". Bailiff retries until the eviction deadline.".to_owned(),
        ),
        (
            WaitReason::PermissionMissing("create pods/eviction in namespace shop".to_owned()),
            format!("The Bailiff controller lacks the permission to create pods/eviction in namespace shop. Restore its ClusterRole with `helm upgrade`. {retries}"),
        ),
        (
            WaitReason::IncidentsNotProtected("it does not exist".to_owned()),
            format!("{unprotected} {retries}"),
        ),
        (
            WaitReason::ResponsesSwitchedOff(None),
            "Responses are switched off in ConfigMap bailiff-response. Bailiff responds when its mode is Enforce again.".to_owned(),
        ),
        (
            WaitReason::ResponsesSwitchedOff(Some("not found".to_owned())),
            "ConfigMap bailiff-response does not say whether responses are switched on (not found). Bailiff responds when its mode is Enforce.".to_owned(),
        ),
        (
            WaitReason::CircuitBreakerOpen { until: now() },
            "Replacements of this workload violate the policy as soon as they start. Bailiff pauses its responses to this workload until 2026-01-02T00:00:00Z. Fix the workload or the policy.".to_owned(),
        ),
        (
            WaitReason::PolicyPaused(paused()),
            "RuntimePolicyBinding a is paused because it would remove pods of too many workloads. Its condition Paused contains the command to resume it.".to_owned(),
        ),
        (
            WaitReason::WaitingForNextExec(None),
            "The policy changed, and this Incident lacks what its expressions read. Bailiff evaluates the next exec in the pod.".to_owned(),
        ),
        (
            WaitReason::WaitingForNextExec(Some("no such key: x".to_owned())),
            "The policy changed and could not be evaluated for this process (no such key: x). Bailiff evaluates the next exec in the pod.".to_owned(),
        ),
        (
            WaitReason::ApiRequestFailed("cannot read the pod: etcd\nis away".to_owned()),
            format!("A request to the API server failed (cannot read the pod: etcd\\u{{a}}is away). {retries}"),
        ),
    ] {
        let outcome = Outcome::waiting(reason);
        assert_eq!(responded(&incident(), &outcome), want);
        let note = on_pod(&outcome);
        assert_eq!((note.reason, note.warning), ("ResponseDelayed", true));
        let text = note.text;
        assert!(text.contains(&format!("The pod keeps running for now. {want} If you")), "{text}");
    }
}

#[test]
fn why_bailiff_took_no_action() {
    let name = || Some("web".to_owned());
    for (reason, want) in [
        (
            NoActionReason::Unmanaged,
            "The pod has no controller that would create a replacement, and the binding sets guardrails.unmanagedPodPolicy to Skip.",
        ),
        (
            NoActionReason::MirrorPod,
            "The pod is a static pod, which the kubelet would start again from its file on the node.",
        ),
        (NoActionReason::BailiffPod, "The pod belongs to Bailiff."),
        (
            NoActionReason::ExemptNamespace,
            "The namespace is exempt, so Bailiff never removes its pods.",
        ),
        (
            NoActionReason::CriticalPod,
            "The pod has a critical priority class, which protects it in this namespace.",
        ),
        (
            NoActionReason::PolicyChanged,
            "The policy or its binding was changed or deleted, and no longer asks for this response. If the pod violates the current policy again, Bailiff responds again.",
        ),
        (
            NoActionReason::PodMismatch("the pod runs on another node".to_owned()),
            "The Incident does not match the pod: the pod runs on another node.",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(Blocker::DisruptionBudget(name())),
            "PodDisruptionBudget web blocked the eviction until the deadline. Check the budget, then evict the pod manually.",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(Blocker::DisruptionBudget(None)),
            "A PodDisruptionBudget blocked the eviction until the deadline. Check the budget, then evict the pod manually.",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(Blocker::Webhook("no".to_owned())),
            "An admission webhook rejected the request until the deadline with \"no\". Check the webhook, then evict the pod manually.",
        ),
        (
            NoActionReason::EvictionDeadlineExceeded(Blocker::NoAnswer),
            "The API server did not respond to the eviction until the deadline. Check the admission webhooks for evictions, then evict the pod manually.",
        ),
        (
            NoActionReason::MultipleDisruptionBudgets,
            "More than one PodDisruptionBudget selects the pod, which the Eviction API does not support. Delete all but one. Bailiff retries at the next violation.",
        ),
        (
            NoActionReason::RequestRejected("no\u{1b}[31m".to_owned()),
            "The API server rejected the request with \"no\\u{1b}[31m\".",
        ),
        (
            NoActionReason::ViolationTooOld(PauseReason::ResponsesSwitchedOff),
            "The violation became too old while responses were switched off. If the pod violates the policy again, Bailiff responds again.",
        ),
        (
            NoActionReason::ViolationTooOld(PauseReason::PolicyPaused),
            "The violation became too old while its RuntimePolicyBinding was paused. If the pod violates the policy again, Bailiff responds again.",
        ),
    ] {
        let outcome = no_action(reason);
        assert_eq!(responded(&incident(), &outcome), want);
        let note = note(&incident(), &outcome, Regarding::Workload("Deployment")).unwrap();
        assert_eq!((note.reason, note.warning), ("PolicyViolation", true));
        let text = note.text;
        assert!(
            text.contains(&format!("Bailiff took no action. {want} If you")),
            "{text}"
        );
    }
}

#[test]
fn a_pod_that_ends_anyway_has_no_event() {
    // People have nothing to learn from one.
    for (reason, want) in [
        (NoActionReason::PodNotFound, "The pod no longer exists."),
        (
            NoActionReason::AlreadyTerminating(None),
            "The pod was already terminating or finished.",
        ),
        (
            NoActionReason::AlreadyTerminating(Some(now())),
            "The pod was already terminating: it was evicted at 2026-01-02T00:00:00Z. The API server does not record which client evicted it.",
        ),
    ] {
        let outcome = no_action(reason);
        assert_eq!(responded(&incident(), &outcome), want);
        assert_eq!(note(&incident(), &outcome, Regarding::Pod), None);
    }
}

#[test]
fn an_audit_says_what_enforcement_would_have_done() {
    let audits = "Bailiff took no action because the binding only audits.";
    let binding = || "a".to_owned();
    let not_checked = || Would::NotChecked {
        binding: binding(),
        why: "webhook \u{1b}x hangs".to_owned(),
    };
    let nothing = "With Evict, Bailiff would take no action. The pod belongs to Bailiff.";
    let later = "With Evict, Bailiff would take no action yet. PodDisruptionBudget web blocks the eviction. Bailiff retries until the eviction deadline.";
    let budget = WaitReason::DisruptionBudget(Some("web".to_owned()));
    for (would, in_event, in_status) in [
        (
            Would::Evict { binding: binding() },
            "With Evict, Bailiff would evict the pod.",
            "With Evict in RuntimePolicyBinding a, Bailiff would evict pod web-1.",
        ),
        (
            not_checked(),
            "With Evict, Bailiff would request the eviction of the pod. Whether PodDisruptionBudgets and admission webhooks allow it was not checked.",
            "With Evict in RuntimePolicyBinding a, Bailiff would request the eviction of pod web-1. Whether PodDisruptionBudgets and admission webhooks allow it was not checked (webhook \\u{1b}x hangs).",
        ),
        (
            Would::NoAction(NoActionReason::BailiffPod),
            nothing,
            nothing,
        ),
        (Would::Wait(budget), later, later),
    ] {
        assert_eq!(dry_run(&incident(), &would), in_status);
        let outcome = Outcome::NoAction {
            reason: NoActionReason::AuditOnly,
            would: Some(would),
        };
        let text = on_pod(&outcome).text;
        assert!(
            text.contains(&format!("{audits} {in_event} If you")),
            "{text}"
        );
        assert_eq!(responded(&incident(), &outcome), "The bindings only audit.");
    }
    let alone = on_pod(&no_action(NoActionReason::AuditOnly)).text;
    assert!(alone.contains(&format!("{audits} If you")), "{alone}");
}

#[test]
fn a_preview_names_what_goes_before_a_response() {
    let some = |of_workload, in_namespace, elsewhere| {
        let counts = Ahead {
            of_workload,
            in_namespace,
            elsewhere,
        };
        ahead(counts, "shop")
    };
    assert_eq!(
        some(0, 0, 0),
        "No response waits for a limit before this one."
    );
    let turns = "Namespaces take turns, and within one the oldest Incident is first.";
    assert_eq!(
        some(1, 2, 0),
        format!(
            "1 response waits for the cooldown period of this workload. 2 responses wait for a limit of removals a minute in namespace shop. {turns}"
        )
    );
    assert_eq!(
        some(0, 0, 30),
        format!("30 responses wait for a limit of removals a minute in other namespaces. {turns}")
    );
}

#[test]
fn a_preview_names_what_the_guard_comes_to() {
    let text = |watch| {
        outlook(&Outlook {
            binding: "a".to_owned(),
            watch,
        })
    };
    let watched = |max_workloads| Watch::Watched {
        until: now(),
        workloads: 3,
        max_workloads,
    };
    for (watch, want) in [
        (
            Watch::Resumed,
            "Annotation bailiff.dev/resume resumed RuntimePolicyBinding a, so it is not paused.",
        ),
        (
            Watch::Paused(paused()),
            "RuntimePolicyBinding a is paused: it would remove pods of 12 workloads instead of at most 10 within 10 minutes.",
        ),
        (
            watched(Some(12)),
            "Until 2026-01-02T00:00:00Z, RuntimePolicyBinding a is paused if it would remove pods of more than 12 workloads within 10 minutes. So far, there are 3.",
        ),
        (
            watched(None),
            "Until 2026-01-02T00:00:00Z, RuntimePolicyBinding a is paused if it would remove pods of more than 10 workloads and 10 % of the matched ones within 10 minutes. So far, there are 3.",
        ),
        (
            Watch::Ended,
            "RuntimePolicyBinding a and its policy are older than 24 hours, so the binding is not paused.",
        ),
    ] {
        assert_eq!(text(watch), want);
    }
}

#[test]
fn a_pod_that_was_released_from_its_workload_is_not_said_to_be_replaced() {
    let outcome = Outcome::Removed {
        action: ResponseAction::Evict,
        binding: "a".to_owned(),
        at: now(),
        grace_period_seconds: 30,
        released: true,
    };
    let text = |regarding| note(&incident(), &outcome, regarding).unwrap().text;
    assert_eq!(
        text(Regarding::Pod),
        format!(
            "Process /bin/sh, started through exec in container app, violates policy no-shells. Bailiff evicted this pod. It was released from its workload after the violation, so nothing creates a replacement. {ADVICE}"
        )
    );
    assert_eq!(
        text(Regarding::Workload("Deployment")),
        format!(
            "Process /bin/sh, started through exec in container app of pod web-1, violates policy no-shells. Bailiff evicted the pod. It was released from this Deployment after the violation, so the Deployment creates no replacement. {ADVICE}"
        )
    );
}

#[test]
fn what_became_of_the_workload() {
    let ready = Recovery::Ready(Replacement {
        name: "web-2".to_owned(),
        uid: "u".to_owned(),
        node_name: "node-2".to_owned(),
        ready_time: Time(now()),
    });
    for (recovery, want) in [
        (
            Recovery::Waiting,
            "Waiting for a replacement to become Ready.",
        ),
        (
            ready.clone(),
            "Pod web-2 on node node-2 replaced the removed pod and is Ready.",
        ),
        (
            Recovery::TimedOut(300),
            "No replacement became Ready within 300 seconds. Check the workload and its newest pod with `kubectl describe`.",
        ),
        (
            Recovery::NoReplacementExpected(Some("Job".to_owned())),
            "The Job creates no replacement. Recreate it if you still need its work.",
        ),
        (
            Recovery::NoReplacementExpected(None),
            "The pod had no controller, so nothing creates a replacement. Recreate the pod if you still need it.",
        ),
        (
            Recovery::Released,
            "The pod was released from its workload before Bailiff removed it, so nothing creates a replacement.",
        ),
    ] {
        assert_eq!(recovered(&recovery), want);
        let has_note = recovered_note(&incident(), &recovery).is_some();
        assert_eq!(has_note, recovery == ready);
    }
    assert_eq!(
        recovered_note(&incident(), &ready).unwrap(),
        Note {
            reason: "ReplacementReady",
            warning: false,
            text: "Pod web-2 on node node-2 is Ready and replaced pod web-1, which violated policy no-shells. Details: kubectl describe incident inc-1 -n shop".to_owned(),
        }
    );
    assert_eq!(
        NOTHING_TO_REPLACE,
        "Bailiff removed no pod, so no replacement is needed."
    );
}

#[test]
fn a_paused_binding_says_how_to_resume_it() {
    let resume = "Check the policy and the Incidents. To resume, run: kubectl annotate runtimepolicybinding a bailiff.dev/resume=3/1 --overwrite";
    let want = format!(
        "This binding would remove pods of 12 workloads instead of at most 10 within 10 minutes, so its responses wait. {resume}"
    );
    assert_eq!(super::paused(&paused()), want);
    let note = paused_note(&paused());
    assert_eq!(
        (note.reason, note.warning, note.text),
        ("BindingPaused", true, want)
    );
    assert_eq!(
        resumed(3, 1),
        "Annotation bailiff.dev/resume=3/1 resumed the responses of this binding."
    );
}

#[test]
fn who_creates_a_replacement() {
    let web = WorkloadReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: String::new(),
    };
    for (owner, want) in [
        (
            Owner::Released(web.clone()),
            "The pod was released from Deployment web, so nothing creates a replacement.",
        ),
        (
            Owner::Workload(web),
            "Deployment web creates a replacement.",
        ),
        (
            Owner::None,
            "The pod has no controller, so nothing creates a replacement.",
        ),
        (
            Owner::Unknown("no answer".to_owned()),
            "Who creates a replacement cannot be determined (no answer).",
        ),
    ] {
        assert_eq!(replacement(&owner), want);
    }
}

#[test]
fn what_ran_is_named_with_its_origin_and_place() {
    let first = |patch: Value, regarding| {
        let text = note(&incident_of(&patch), &evicted(), regarding)
            .unwrap()
            .text;
        text.split(" Bailiff ").next().unwrap().to_owned()
    };
    let origin = |origin: &str| json!({"spec": {"process": {"origin": origin}}});
    let violates = "violates policy no-shells.";
    for (patch, want) in [
        (
            origin("Exec"),
            "Process /bin/sh, started through exec in container app, ",
        ),
        (
            origin("Probe"),
            "Process /bin/sh, started by a probe in container app, ",
        ),
        (
            origin("Lifecycle"),
            "Process /bin/sh, started by a lifecycle hook in container app, ",
        ),
        (origin("Entrypoint"), "Process /bin/sh in container app "),
        (origin("Unknown"), "Process /bin/sh in container app "),
    ] {
        assert_eq!(first(patch, Regarding::Pod), format!("{want}{violates}"));
    }
    let unknown =
        || json!({"spec": {"container": {"name": null}, "process": {"origin": "Unknown"}}});
    assert_eq!(
        first(unknown(), Regarding::Pod),
        "Process /bin/sh in this pod violates policy no-shells."
    );
    assert_eq!(
        first(unknown(), Regarding::Workload("Deployment")),
        "Process /bin/sh in pod web-1 violates policy no-shells."
    );
    let left = json!({"spec": {"process": {"origin": "Unknown", "leftPodCgroup": true}}});
    assert_eq!(
        first(left, Regarding::Pod),
        "Process /bin/sh in container app violates policy no-shells. The process left the cgroups of its pod and can outlive the pod on node node-1."
    );
}

#[test]
fn an_evaluation_error_is_not_a_violation() {
    let incident = incident_of(&json!({"spec": {"type": "EvaluationFailed"}}));
    let note = note(
        &incident,
        &no_action(NoActionReason::EvaluationFailed),
        Regarding::Pod,
    );
    let note = note.unwrap();
    assert_eq!(note.reason, "PolicyEvaluationFailed");
    assert_eq!(
        note.text,
        "Policy no-shells could not be evaluated for process /bin/sh, started through exec in container app. Bailiff took no action. An expression of the policy could not be evaluated, which never causes an eviction. Fix the expression. Details: kubectl describe incident inc-1 -n shop"
    );
}

#[test]
fn a_process_that_was_found_running_is_told_from_one_that_was_seen_to_start() {
    let incident =
        incident_of(&json!({"spec": {"type": "FoundRunning", "process": {"origin": "Unknown"}}}));
    let outcome = no_action(NoActionReason::FoundRunning);
    let note = note(&incident, &outcome, Regarding::Pod).unwrap();
    assert_eq!(note.reason, "PolicyViolation");
    assert_eq!(
        note.text,
        "Process /bin/sh in container app was found running and violates policy no-shells. Bailiff took no action. The process already ran when the policy was evaluated, which never causes an eviction. If it should not run, evict the pod manually. Details: kubectl describe incident inc-1 -n shop"
    );
}
