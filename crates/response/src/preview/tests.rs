//! A preview comes to what enforcement comes to, and says why.

use super::*;
use crate::ledger::RateLimits;
use crate::queue::QueueSettings;
use crate::tests::{binding, evictable, now, pod, policy, seconds, workload};

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
    let audit = run(&input(), &applied(ResponseAction::Audit), &controls);
    assert_eq!(
        (audit.action, audit.reason),
        (PreviewAction::None, "AuditOnly")
    );
    assert_eq!(
        audit.dry_run_response.unwrap().action,
        Some(ResponseAction::Evict)
    );
    let mut blocked = evict.clone();
    blocked.dry_run = Some(Rejection::DisruptionBudget(Some("web".to_owned())));
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
