//! Tables and laws of the plan and of the sentences. Each case starts from a violation that is
//! answered and changes one thing.

use super::*;
use crate::messages::{NOTE_LIMIT_BYTES, Regarding, note, printable};
use bailiff_api::condition::responded;
use bailiff_api::{Guardrails, Incident, IncidentType, Phase, ResponseAction, WorkloadReference};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

pub(crate) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn seconds(s: i64) -> SignedDuration {
    SignedDuration::from_secs(s)
}

fn workload(uid: &str) -> WorkloadReference {
    WorkloadReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: uid.to_owned(),
    }
}

fn binding(name: &str, action: ResponseAction) -> BindingFacts {
    BindingFacts {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        policy_name: "no-shells".to_owned(),
        matches: true,
        actions: vec![action],
        guardrails: Guardrails::default(),
        grace_period_seconds: None,
    }
}

fn evictable() -> Facts {
    Facts {
        violation: ViolationFacts {
            type_: IncidentType::Violation,
            pod_uid: "pod-uid".to_owned(),
            node_name: "node-1".to_owned(),
            container: Some("app".to_owned()),
            policy_name: "no-shells".to_owned(),
            policy_uid: "policy-uid".to_owned(),
            policy_generation: 1,
            binding_uids: vec!["a-uid".to_owned(), "b-uid".to_owned()],
        },
        pod: Lookup::Found(pod()),
        owner: Owner::Workload(workload("web-uid")),
        policy: Lookup::Found(PolicyFacts {
            uid: "policy-uid".to_owned(),
            generation: 1,
            matches: true,
        }),
        bindings: Lookup::Found(vec![binding("a", ResponseAction::Evict)]),
        namespace: Lookup::Found(NamespaceFacts { exempt: false }),
        protection: Protection::Unmodified,
        history: History::default(),
    }
}

fn pod() -> PodFacts {
    PodFacts {
        uid: "pod-uid".to_owned(),
        node_name: Some("node-1".to_owned()),
        containers: vec!["app".to_owned()],
        terminating: false,
        evicted: None,
        finished: false,
        mirror: false,
        own: false,
        grace_period_seconds: 30,
    }
}

fn outcome(plan: &Plan) -> &'static str {
    match plan {
        Plan::Evict(_) => "Evict",
        Plan::Delete(_) => "Delete",
        Plan::Requeue { reason, .. } => reason.as_str(),
        Plan::NoAction { reason, .. } => reason.as_str(),
    }
}

type Change = fn(&mut Facts);

#[test]
#[expect(clippy::too_many_lines, reason = "one table of one-line cases")]
fn each_guardrail_alone_stops_an_eviction() {
    assert_eq!(outcome(&plan(&evictable(), now())), "Evict");
    let with_pod = |change: fn(&mut PodFacts)| {
        let mut facts = evictable();
        let mut pod = pod();
        change(&mut pod);
        facts.pod = Lookup::Found(pod);
        facts
    };
    let with = |change: Change| {
        let mut facts = evictable();
        change(&mut facts);
        facts
    };
    let cases = vec![
        (
            "recreated pod",
            with_pod(|p| p.uid = "other".to_owned()),
            responded::POD_NOT_FOUND,
        ),
        (
            "terminating pod",
            with_pod(|p| p.terminating = true),
            responded::ALREADY_TERMINATING,
        ),
        (
            "finished pod",
            with_pod(|p| p.finished = true),
            responded::ALREADY_TERMINATING,
        ),
        (
            "mirror pod",
            with_pod(|p| p.mirror = true),
            responded::MIRROR_POD,
        ),
        (
            "own pod",
            with_pod(|p| p.own = true),
            responded::BAILIFF_POD,
        ),
        (
            "other node",
            with_pod(|p| p.node_name = Some("node-2".to_owned())),
            responded::POD_MISMATCH,
        ),
        (
            "no node",
            with_pod(|p| p.node_name = None),
            responded::POD_MISMATCH,
        ),
        (
            "no such container",
            with_pod(|p| p.containers.clear()),
            responded::POD_MISMATCH,
        ),
        (
            "pod gone",
            with(|f| f.pod = Lookup::NotFound),
            responded::POD_NOT_FOUND,
        ),
        (
            "pod unknown",
            with(|f| f.pod = Lookup::Failed(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "unmanaged",
            with(|f| f.owner = Owner::None),
            responded::UNMANAGED,
        ),
        (
            "owner unknown",
            with(|f| f.owner = Owner::Unknown(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy gone",
            with(|f| f.policy = Lookup::NotFound),
            responded::POLICY_CHANGED,
        ),
        (
            "policy unknown",
            with(|f| f.policy = Lookup::Failed(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy recreated",
            with(|f| f.violation.policy_uid = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "policy edited",
            with(|f| f.violation.policy_generation = 2),
            responded::POLICY_CHANGED,
        ),
        (
            "policy that is about other pods",
            with(|f| {
                f.policy = Lookup::Found(PolicyFacts {
                    uid: "policy-uid".to_owned(),
                    generation: 1,
                    matches: false,
                });
            }),
            responded::POLICY_CHANGED,
        ),
        (
            "no binding left",
            with(|f| f.bindings = Lookup::Found(vec![])),
            responded::POLICY_CHANGED,
        ),
        (
            "binding recreated",
            with(|f| f.violation.binding_uids.clear()),
            responded::POLICY_CHANGED,
        ),
        (
            "bindings unknown",
            with(|f| f.bindings = Lookup::Failed(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "binding of another policy",
            with(|f| f.violation.policy_name = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "binding does not match",
            with(|f| {
                let mut b = binding("a", ResponseAction::Evict);
                b.matches = false;
                f.bindings = Lookup::Found(vec![b]);
            }),
            responded::POLICY_CHANGED,
        ),
        (
            "exempt namespace",
            with(|f| f.namespace = Lookup::Found(NamespaceFacts { exempt: true })),
            responded::EXEMPT_NAMESPACE,
        ),
        (
            "namespace unknown",
            with(|f| f.namespace = Lookup::Failed(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "namespace gone",
            with(|f| f.namespace = Lookup::NotFound),
            responded::POD_NOT_FOUND,
        ),
        (
            "protection missing",
            with(|f| f.protection = Protection::Missing),
            responded::INCIDENTS_NOT_PROTECTED,
        ),
        (
            "protection changed",
            with(|f| f.protection = Protection::Modified(String::new())),
            responded::INCIDENTS_NOT_PROTECTED,
        ),
        (
            "protection unknown",
            with(|f| f.protection = Protection::Unknown(String::new())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "evaluation failed",
            with(|f| f.violation.type_ = IncidentType::EvaluationFailed),
            responded::EVALUATION_FAILED,
        ),
        (
            "audit only",
            with(|f| f.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)])),
            responded::AUDIT_ONLY,
        ),
        (
            "in cooldown",
            with(|f| f.history.last_of_workload = Some(now() - seconds(59))),
            responded::COOLDOWN,
        ),
        (
            "rate limit",
            with(|f| f.history.by_binding = vec![("a".to_owned(), vec![now() - seconds(59); 10])]),
            responded::RATE_LIMITED,
        ),
    ];
    for (name, facts, want) in cases {
        assert_eq!(outcome(&plan(&facts, now())), want, "{name}");
    }
}

#[test]
fn a_limit_is_over_when_its_time_is() {
    let mut facts = evictable();
    facts.history.last_of_workload = Some(now() - seconds(10));
    let Plan::Requeue { until, .. } = plan(&facts, now()) else {
        panic!("it waits")
    };
    assert_eq!(until, now() + seconds(50));
    assert_eq!(outcome(&plan(&facts, until)), "Evict");
    facts.history = History {
        last_of_workload: None,
        by_binding: vec![(
            "a".to_owned(),
            (0..12).map(|i| now() - seconds(30 - i)).collect(),
        )],
    };
    let Plan::Requeue { until, .. } = plan(&facts, now()) else {
        panic!("it waits")
    };
    // Twelve in the window, ten allowed: the third oldest must leave.
    assert_eq!(until, now() + seconds(32));
    assert_eq!(outcome(&plan(&facts, until)), "Evict");
}

#[test]
fn the_strongest_action_wins_and_the_smaller_grace_period() {
    let mut facts = evictable();
    let mut delete = binding("b", ResponseAction::Delete);
    delete.grace_period_seconds = Some(99);
    facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Evict), delete]);
    let Plan::Delete(answer) = plan(&facts, now()) else {
        panic!("it deletes")
    };
    assert_eq!(
        (answer.binding.as_str(), answer.grace_period_seconds),
        ("b", Some(30))
    );
}

#[test]
fn evict_unmanaged_is_read_from_the_binding_that_answers() {
    let mut facts = evictable();
    let mut brave = binding("b", ResponseAction::Evict);
    brave.guardrails.unmanaged_pod_policy = bailiff_api::UnmanagedPodPolicy::Respond;
    facts.owner = Owner::None;
    facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Evict), brave]);
    let Plan::Evict(answer) = plan(&facts, now()) else {
        panic!("it evicts")
    };
    assert_eq!(answer.binding, "b");
}

#[test]
fn audit_says_what_enforcement_would_have_done_or_what_would_have_held_it() {
    type Changes = Box<dyn Fn(&mut Facts)>;
    let with_pod = |change: fn(&mut PodFacts)| {
        move |facts: &mut Facts| {
            let mut pod = pod();
            change(&mut pod);
            facts.pod = Lookup::Found(pod);
        }
    };
    let cases: Vec<(&str, Changes)> = vec![
        (responded::EVICTED, Box::new(|_| {})),
        (responded::UNMANAGED, Box::new(|f| f.owner = Owner::None)),
        (
            responded::EXEMPT_NAMESPACE,
            Box::new(|f| f.namespace = Lookup::Found(NamespaceFacts { exempt: true })),
        ),
        (
            responded::MIRROR_POD,
            Box::new(with_pod(|p| p.mirror = true)),
        ),
        (responded::BAILIFF_POD, Box::new(with_pod(|p| p.own = true))),
        (
            responded::COOLDOWN,
            Box::new(|f| f.history.last_of_workload = Some(now())),
        ),
    ];
    for (want, change) in cases {
        let mut facts = evictable();
        facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]);
        change(&mut facts);
        let Plan::NoAction { reason, would } = plan(&facts, now()) else {
            panic!("{want}: it audits")
        };
        let status = apply_outcome(
            &incident(),
            None,
            &Outcome::NoAction { reason, would },
            now(),
        );
        assert_eq!(status.dry_run_response.unwrap().reason, want);
        assert_eq!(status.phase, Some(Phase::Audited), "{want}");
        assert_eq!(status.conditions[0].reason, responded::AUDIT_ONLY, "{want}");
    }
}

#[test]
fn an_audit_waits_for_what_could_not_be_checked() {
    let mut facts = evictable();
    facts.owner = Owner::Unknown("cannot read it".to_owned());
    facts.bindings = Lookup::Found(vec![binding("a", ResponseAction::Audit)]);
    assert_eq!(outcome(&plan(&facts, now())), responded::API_REQUEST_FAILED);
}

#[test]
fn the_last_verdict_of_a_series_counts() {
    let mut incident = incident();
    let of = |incident: &Incident| {
        let facts = ViolationFacts::of(incident);
        (facts.policy_generation, facts.binding_uids)
    };
    assert_eq!(of(&incident), (1, vec!["a-uid".to_owned()]));
    let series = serde_json::json!({"series": {
        "count": 2, "lastObservedTime": "2026-01-01T00:00:09.000000Z", "policyGeneration": 3,
        "bindingRefs": [{"name": "a", "uid": "new-uid"}, {"name": "b", "uid": "b-uid"}],
    }});
    incident.status = Some(serde_json::from_value(series).unwrap());
    let uids = vec!["new-uid".to_owned(), "b-uid".to_owned()];
    assert_eq!(of(&incident), (3, uids));
    let names: Vec<_> = last_verdict(&incident).1.iter().map(|b| &b.name).collect();
    assert_eq!(names, ["a", "b"], "they are read by these names");
}

pub(crate) fn incident() -> Incident {
    let at = "2026-01-01T00:00:00.000000Z";
    let json = format!(
        r#"{{"apiVersion":"bailiff.dev/v1alpha1","kind":"Incident",
        "metadata":{{"name":"inc-1","namespace":"shop","generation":1}},
        "spec":{{"type":"Violation","severity":"High",
          "policyRef":{{"name":"no-shells","uid":"policy-uid","generation":1}},
          "bindingRefs":[{{"name":"a","uid":"a-uid"}}],"nodeName":"node-1",
          "pod":{{"name":"web-1","namespace":"shop","uid":"pod-uid"}},"container":{{"name":"app"}},
          "process":{{"executable":"/bin/sh","invokedPath":"sh","names":["sh"],"args":["sh","-c","SECRET"],
            "executableSource":"Image","origin":"Exec","uid":0,"gid":0,"pid":7,"startTime":"{at}"}},
          "violations":[{{"expressionIndex":0,"message":"sh -c SECRET was started"}}],
          "execTime":"{at}"}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

#[test]
fn only_what_may_change_is_answered_anew_when_it_goes_on() {
    let with = |status: &str, reason: &str, last: &str| {
        let mut incident = incident();
        incident.status = serde_json::from_value(serde_json::json!({
            "conditions": [{"type": "Responded", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:10Z"}],
            "series": {"count": 2, "lastObservedTime": last, "policyGeneration": 1, "bindingRefs": []},
        }))
        .unwrap();
        needs_reevaluation(&incident)
    };
    let later = "2026-01-01T00:00:11.000000Z";
    for (status, reason, want) in [
        ("True", responded::AUDIT_ONLY, true),
        ("False", responded::UNMANAGED, true),
        ("False", responded::INCIDENTS_NOT_PROTECTED, true),
        ("Unknown", responded::INCIDENTS_NOT_PROTECTED, false),
        ("True", responded::EVICTED, false),
        ("True", responded::DELETED, false),
        ("True", responded::POD_NOT_FOUND, false),
        ("True", responded::ALREADY_TERMINATING, false),
        ("True", responded::EVALUATION_FAILED, false),
    ] {
        assert_eq!(with(status, reason, later), want, "{status} {reason}");
        let before = "2026-01-01T00:00:09.000000Z";
        assert!(!with(status, reason, before), "{status} {reason}");
    }
    assert!(!needs_reevaluation(&incident()), "nothing was answered yet");
}

pub(crate) fn evicted() -> Outcome {
    Outcome::Removed {
        action: ResponseAction::Evict,
        binding: "a".to_owned(),
        at: now(),
    }
}

#[test]
fn an_eviction_is_told_on_the_pod_and_on_its_workload() {
    let tail = "If this was you: do it without that program, or ask who looks after the policy for an exception. More: kubectl describe incident inc-1 -n shop";
    assert_eq!(
        note(&incident(), &evicted(), Regarding::Pod).unwrap().text,
        format!(
            "Program /bin/sh was started from outside, as kubectl exec does, in container app, which policy no-shells does not allow. This pod was evicted; if a controller owns it, it makes a new one. {tail}"
        )
    );
    assert_eq!(
        note(&incident(), &evicted(), Regarding::Workload("Deployment"))
            .unwrap()
            .text,
        format!(
            "Program /bin/sh was started from outside, as kubectl exec does, in container app of pod web-1, which policy no-shells does not allow. The pod was evicted; this Deployment makes a new one if it still needs it. {tail}"
        )
    );
}

#[test]
fn a_hostile_path_is_harmless_and_a_note_is_short() {
    assert_eq!(
        printable("/tmp/\u{1b}[31m\n\u{202e}x"),
        "/tmp/\\u{1b}[31m\\u{a}\\u{202e}x"
    );
    let mut incident = incident();
    incident.spec.process.executable = "\u{1b}é".repeat(4000);
    incident.spec.policy_ref.name = "p".repeat(253);
    incident.metadata.name = Some("é".repeat(400));
    let note = note(&incident, &evicted(), Regarding::Workload("Deployment")).unwrap();
    assert!(note.text.len() <= NOTE_LIMIT_BYTES && !note.text.contains('\u{1b}'));
}

#[test]
fn no_sentence_carries_arguments() {
    for outcome in [
        evicted(),
        Outcome::Waiting(WaitReason::Cooldown),
        Outcome::NoAction {
            reason: NoActionReason::Unmanaged,
            would: None,
        },
    ] {
        let note = note(&incident(), &outcome, Regarding::Pod).unwrap();
        assert!(
            !note.text.contains("SECRET")
                && !messages::responded(&incident(), &outcome).contains("SECRET")
        );
    }
}

#[test]
fn the_phase_follows_the_conditions_and_transitions_keep_their_time() {
    let mut incident = incident();
    let later = now() + seconds(5);
    incident.status = Some(apply_outcome(
        &incident,
        None,
        &Outcome::Waiting(WaitReason::Cooldown),
        now(),
    ));
    let status = apply_outcome(
        &incident,
        None,
        &Outcome::Waiting(WaitReason::RateLimited),
        later,
    );
    assert_eq!(status.conditions[0].last_transition_time.0, now());
    assert_eq!(status.phase, Some(Phase::Waiting));
    incident.status = Some(apply_outcome(
        &incident,
        Some(&workload("w")),
        &evicted(),
        later,
    ));
    let status = incident.status.clone().unwrap();
    assert_eq!(status.conditions[0].last_transition_time.0, later);
    assert_eq!(
        (status.phase, status.workload_ref.unwrap().uid.as_str()),
        (Some(Phase::Recovering), "w")
    );
    let status = recovered(&incident, &Recovery::TimedOut(300), later);
    assert_eq!(status.phase, Some(Phase::Unresolved));
}

proptest! {
    /// No sequence of violations makes the answers exceed the limits of the binding.
    #[test]
    fn no_sequence_of_events_exceeds_the_limits(
        steps in proptest::collection::vec((0i64..20, 0u8..4), 1..200),
        cooldown in 0i32..120, limit in 1i32..6,
    ) {
        let mut ledger = Ledger::default();
        let mut time = now();
        let mut given: Vec<(Timestamp, u8)> = Vec::new();
        for (pause, workload_number) in steps {
            time += seconds(pause);
            let uid = workload_number.to_string();
            let mut facts = evictable();
            facts.owner = Owner::Workload(workload(&uid));
            let mut b = binding("a", ResponseAction::Evict);
            b.guardrails.cooldown_period_seconds = cooldown;
            b.guardrails.max_evictions_per_minute = limit;
            facts.bindings = Lookup::Found(vec![b]);
            facts.history = ledger.history(Some(&uid), &["a"]);
            match plan(&facts, time) {
                Plan::Evict(answer) => {
                    ledger.reserve(Some(&uid), &answer.binding, time);
                    given.push((time, workload_number));
                }
                Plan::Requeue { until, .. } => prop_assert!(until > time),
                other @ (Plan::Delete(_) | Plan::NoAction { .. }) => prop_assert!(false, "{other:?}"),
            }
            ledger.prune(time);
        }
        for (at, workload_number) in &given {
            let minute = given.iter().filter(|(t, _)| t <= at && at.duration_since(*t) < seconds(60)).count();
            prop_assert!(i32::try_from(minute).unwrap() <= limit);
            let again = given.iter().any(|(t, w)| w == workload_number && t < at
                && at.duration_since(*t) < seconds(cooldown.into()));
            prop_assert!(!again);
        }
    }
}
