//! A preview comes to what enforcement comes to, and says why.

use super::*;
use crate::guard::Watch;
use crate::ledger::RateLimits;
use crate::queue::{QueueSettings, Summary};
use crate::rejection::Rejection;
use crate::tests::{binding, evictable, incident_of, minutes, now, pod, policy, seconds, workload};
use serde_json::{Value as Json, json};

fn input() -> PreviewInput {
    PreviewInput {
        pod_name: "web-1".to_owned(),
        namespace: "shop".to_owned(),
        pod: Lookup::Found(pod()),
        owner: Owner::Workload(workload("web-uid")),
        namespace_facts: evictable().namespace,
        protection: Protection::Unmodified,
        switch: Switch::Enforce,
        settings: Settings::default(),
        executable: "/bin/sh".to_owned(),
        origin: Origin::Exec,
    }
}

fn applied(action: ResponseAction) -> PreviewPolicy {
    PreviewPolicy {
        name: "no-shells".to_owned(),
        policy: policy(),
        bindings: vec![binding("a", action)],
        dry_run: None,
    }
}

fn run(input: &PreviewInput, policy: &PreviewPolicy, controls: &Controls) -> Preview {
    let queue = Queue::new(QueueSettings::default());
    preview(input, policy, controls, &queue, now())
}

#[test]
fn a_preview_of_an_eviction_is_complete() {
    let controls = Controls::new(RateLimits::default());
    let got = run(&input(), &applied(ResponseAction::Evict), &controls);
    let event = |what: &str| {
        let incident = incident_name("pod-uid", "policy-uid", "node-1");
        Some(format!(
            "{what} If you started this process, use another approach or ask the policy owner for an exemption. Details: kubectl describe incident {incident} -n shop"
        ))
    };
    let want = Preview {
        policy: "no-shells".to_owned(),
        bindings: vec!["a".to_owned()],
        action: PreviewAction::Evict,
        binding: Some("a".to_owned()),
        grace_period_seconds: Some(30),
        reason: "Evicted",
        message: "Bailiff evicted pod web-1, as RuntimePolicyBinding a requires.".to_owned(),
        until: None,
        deadline: None,
        eviction_grace_period_seconds: Some(30),
        ahead: Ahead::default(),
        guards: vec![Outlook {
            binding: "a".to_owned(),
            watch: Watch::Ended,
        }],
        uncounted: Vec::new(),
        dry_run_response: None,
        replacement: "Deployment web creates a replacement.".to_owned(),
        pod_event: event(
            "Process /bin/sh, started through exec in this pod, violates policy no-shells. Bailiff evicted this pod. If a controller owns it, the controller creates a replacement.",
        ),
        workload_event: event(
            "Process /bin/sh, started through exec in pod web-1, violates policy no-shells. Bailiff evicted the pod. This Deployment creates a replacement if it needs one.",
        ),
    };
    assert_eq!(got, want);
    assert!(!controls.ledger.contains("pod-uid"), "nothing was noted");
}

#[test]
fn what_would_delay_or_prevent_it_is_named() {
    let mut controls = Controls::new(RateLimits::default());
    let evict = applied(ResponseAction::Evict);
    let with = |change: fn(&mut PreviewInput)| {
        let mut input = input();
        change(&mut input);
        input
    };
    let got = |input: &PreviewInput, policy: &PreviewPolicy, controls: &Controls| {
        let preview = run(input, policy, controls);
        (
            preview.action,
            preview.reason,
            preview.until,
            preview.deadline,
        )
    };
    assert_eq!(
        got(&with(|i| i.owner = Owner::None), &evict, &controls),
        (PreviewAction::None, "Unmanaged", None, None)
    );
    assert_eq!(
        got(&with(|i| i.switch = Switch::Audit), &evict, &controls).1,
        "ResponsesSwitchedOff"
    );
    let budget = DryRun::Rejected(Rejection::DisruptionBudget(Some("web".to_owned())));
    for (dry_run, action, reason) in [
        (
            Some(DryRun::Accepted),
            Some(ResponseAction::Evict),
            "Evicted",
        ),
        (Some(budget.clone()), None, "WaitingForDisruptionBudget"),
        (None, None, "APIRequestFailed"),
    ] {
        let mut audits = applied(ResponseAction::Audit);
        audits.dry_run = dry_run;
        let audit = run(&input(), &audits, &controls);
        assert_eq!(
            (audit.action, audit.reason),
            (PreviewAction::None, "AuditOnly")
        );
        assert_eq!(audit.eviction_grace_period_seconds, Some(30));
        let dry_run = audit.dry_run_response.unwrap();
        assert_eq!((dry_run.action, dry_run.reason.as_str()), (action, reason));
    }
    let mut blocked = evict.clone();
    blocked.dry_run = Some(budget);
    assert_eq!(
        got(&input(), &blocked, &controls),
        (
            PreviewAction::Wait,
            "WaitingForDisruptionBudget",
            None,
            Some(now() + seconds(600))
        )
    );
    let Plan::Evict(removal) = crate::plan(&evictable(), now()) else {
        panic!("it evicts")
    };
    controls
        .ledger
        .reserve("other-pod", &removal.claim, now() - seconds(10));
    controls.ledger.confirm("other-pod", now() - seconds(10));
    assert_eq!(
        got(&input(), &evict, &controls),
        (
            PreviewAction::Wait,
            "Cooldown",
            Some(now() + seconds(50)),
            None
        )
    );
}

/// An Incident of another workload or pod, with this status.
fn other(number: usize, workload: &str, origin: &str, mut status: Json) -> Incident {
    status["workloadRef"] =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": workload});
    incident_of(&json!({
        "metadata": {"name": format!("inc-{number}"), "uid": format!("inc-{number}")},
        "spec": {"process": {"origin": origin}, "pod": {"uid": format!("pod-{number}")}},
        "status": status,
    }))
}

fn waits(reason: &str) -> Json {
    json!({
        "conditions": [{"type": "Responded", "status": "Unknown", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-02T00:00:00Z"}],
        "waiting": {"reason": reason, "startTime": "2026-01-02T00:00:00.000000Z", "enforced": true},
    })
}

#[test]
fn a_young_binding_that_reaches_the_limit_of_the_guard_is_paused_as_in_enforcement() {
    let queue = Queue::new(QueueSettings::default());
    let mut entrypoint = input();
    entrypoint.origin = Origin::Entrypoint;
    for (others, matched, paused, uncounted) in [
        (9, None, false, false),
        (10, Some(100), true, false),
        (10, Some(110), false, false),
        // The number of matched workloads decides.
        (10, None, false, true),
    ] {
        let mut controls = Controls::new(RateLimits::default());
        for number in 0..others {
            let workload = format!("w{number}");
            controls.observe(&other(number, &workload, "Entrypoint", waits("Cooldown")));
        }
        let mut applied = applied(ResponseAction::Evict);
        applied.policy.changed = now() - minutes(60);
        applied.bindings[0].matched_workloads = matched;
        let preview = preview(&entrypoint, &applied, &controls, &queue, now());
        // What enforcement plans for the Incident that the violation leads to.
        let incident = incident(&entrypoint, &applied, now());
        let mut facts = facts(&entrypoint, &applied, &incident);
        let enforced = controls.decide(&queue, &incident, &mut facts, now());
        let case = format!("{others} of {matched:?}");
        let reason = match Step::from(enforced) {
            Step::Report(outcome, _) => outcome.reason(),
            Step::Remove(..) => "Evicted",
            other @ (Step::Shorten(_) | Step::DryRun(_)) => panic!("{other:?}"),
        };
        assert_eq!(preview.reason, reason, "{case}");
        assert_eq!(preview.reason == "PolicyPaused", paused, "{case}");
        assert_eq!(!preview.uncounted.is_empty(), uncounted, "{case}");
        let watch = preview.guards.into_iter().next().unwrap().watch;
        let workloads = others + 1;
        match watch {
            Watch::Paused(paused) => assert_eq!(paused.workloads, workloads, "{case}"),
            Watch::Watched {
                until,
                workloads: counted,
                max_workloads,
            } => {
                assert!(!paused, "{case}");
                assert_eq!(until, now() + minutes(23 * 60), "{case}");
                assert_eq!(counted, workloads, "{case}");
                assert_eq!(max_workloads.is_some(), matched.is_some(), "{case}");
            }
            Watch::Resumed | Watch::Ended => panic!("{case}"),
        }
    }
}

#[test]
fn what_waits_goes_first_as_in_enforcement() {
    let controls = Controls::new(RateLimits::default());
    let evict = applied(ResponseAction::Evict);
    let mut queue = Queue::new(QueueSettings::default());
    let mut learn = |number, workload, namespace: &str, reason| {
        let mut waiting = other(number, workload, "Exec", waits(reason));
        waiting.spec.pod.namespace = namespace.to_owned();
        queue.observe(Summary::of(&waiting).unwrap(), now());
    };
    learn(1, "db-uid", "shop", "Cooldown");
    learn(2, "db-uid", "shop", "RateLimited");
    learn(3, "db-uid", "bank", "RateLimited");
    learn(4, "db-uid", "bank", "RateLimited");
    learn(5, "web-uid", "shop", "WaitingForDisruptionBudget");
    let free = preview(&input(), &evict, &controls, &queue, now());
    assert_eq!(free.action, PreviewAction::Evict);
    let ahead = |of_workload| Ahead {
        of_workload,
        in_namespace: 1,
        elsewhere: 2,
    };
    assert_eq!(free.ahead, ahead(0));
    // A pod of the same workload waits for its cooldown period.
    let mut learn = |number, workload, reason| {
        let waiting = other(number, workload, "Exec", waits(reason));
        queue.observe(Summary::of(&waiting).unwrap(), now() - seconds(1));
    };
    learn(0, "web-uid", "Cooldown");
    let behind = preview(&input(), &evict, &controls, &queue, now());
    assert_eq!(behind.ahead, ahead(1));
    assert_eq!(
        (behind.action, behind.reason),
        (PreviewAction::Wait, "Cooldown")
    );
}
