//! Each guardrail by itself. Each case starts from a violation that Bailiff responds to and changes
//! one thing.

mod actions;
mod changes;
mod limits;

use super::*;
use crate::facts::Switch;
use crate::incident_state::{Outcome, Verified, apply_outcome};
use crate::tests::{binding, evictable, minutes, now, paused, pod, policy, seconds};
use bailiff_api::WaitingStatus;
use bailiff_api::condition::responded;

fn reason(plan: &Plan) -> &'static str {
    match plan {
        Plan::Evict(_) => "Evict",
        Plan::Delete(_) => "Delete",
        Plan::Shorten(_) => "Shorten",
        Plan::Requeue { reason, .. } => reason.as_str(),
        Plan::NoAction { reason, .. } => reason.as_str(),
    }
}

fn with(change: impl Fn(&mut Facts)) -> Facts {
    let mut facts = evictable();
    change(&mut facts);
    facts
}

fn with_pod(change: impl Fn(&mut PodFacts)) -> Facts {
    let mut pod = pod();
    change(&mut pod);
    with(|f| f.pod = Lookup::Found(pod.clone()))
}

fn with_policy(change: impl Fn(&mut PolicyFacts)) -> Facts {
    let mut policy = policy();
    change(&mut policy);
    with(|f| f.policy = Lookup::Found(policy.clone()))
}

fn with_bindings(bindings: &[BindingFacts]) -> Facts {
    with(|f| f.bindings = Lookup::Found(bindings.to_vec()))
}

/// What the status records after waits for these reasons, one after the other.
fn waited(reasons: &[WaitReason]) -> Option<WaitingStatus> {
    let mut incident = crate::tests::incident();
    for reason in reasons {
        let outcome = Outcome::waiting(reason.clone());
        let status = apply_outcome(&incident, &Verified::default(), &outcome, now());
        incident.status = Some(status);
    }
    incident.status.and_then(|status| status.waiting)
}

fn failed() -> WaitReason {
    WaitReason::ApiRequestFailed("etcd is away".to_owned())
}

fn namespace(exempt: bool, critical: bool) -> Lookup<NamespaceFacts> {
    Lookup::Found(NamespaceFacts { exempt, critical })
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of one-line cases")]
fn each_guardrail_alone_stops_an_eviction() {
    assert_eq!(reason(&plan(&evictable(), now())), "Evict");
    let unknown = String::new;
    let mut unmatched = binding("a", ResponseAction::Evict);
    unmatched.matches = false;
    let full = |f: &mut Facts| f.history.in_namespace = vec![now() - seconds(59); 10];
    let cases = vec![
        (
            "recreated pod",
            with_pod(|p| p.uid = "other".to_owned()),
            responded::POD_NOT_FOUND,
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
            with(|f| f.pod = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "unmanaged",
            with(|f| f.owner = Owner::None),
            responded::UNMANAGED,
        ),
        (
            "owner unknown",
            with(|f| f.owner = Owner::Unknown(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy gone",
            with(|f| f.policy = Lookup::NotFound),
            responded::POLICY_CHANGED,
        ),
        (
            "policy unknown",
            with(|f| f.policy = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "policy recreated",
            with_policy(|p| p.uid = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "policy of other pods",
            with_policy(|p| p.matches = false),
            responded::POLICY_CHANGED,
        ),
        (
            "no binding left",
            with_bindings(&[]),
            responded::POLICY_CHANGED,
        ),
        (
            "bindings gone",
            with(|f| f.bindings = Lookup::NotFound),
            responded::POLICY_CHANGED,
        ),
        (
            "binding recreated",
            with(|f| f.violation.binding_uids.clear()),
            responded::POLICY_CHANGED,
        ),
        (
            "bindings unknown",
            with(|f| f.bindings = Lookup::Failed(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "binding of another policy",
            with(|f| f.violation.policy_name = "x".to_owned()),
            responded::POLICY_CHANGED,
        ),
        (
            "binding does not match",
            with_bindings(&[unmatched]),
            responded::POLICY_CHANGED,
        ),
        (
            "exempt namespace",
            with(|f| f.namespace = namespace(true, false)),
            responded::EXEMPT_NAMESPACE,
        ),
        (
            "namespace unknown",
            with(|f| f.namespace = Lookup::Failed(unknown())),
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
            with(|f| f.protection = Protection::Modified(unknown())),
            responded::INCIDENTS_NOT_PROTECTED,
        ),
        (
            "protection unknown",
            with(|f| f.protection = Protection::Unknown(unknown())),
            responded::API_REQUEST_FAILED,
        ),
        (
            "evaluation failed",
            with(|f| f.violation.type_ = IncidentType::EvaluationFailed),
            responded::EVALUATION_FAILED,
        ),
        (
            "found running",
            with(|f| f.violation.type_ = IncidentType::FoundRunning),
            responded::FOUND_RUNNING,
        ),
        (
            "audit only",
            with_bindings(&[binding("a", ResponseAction::Audit)]),
            responded::AUDIT_ONLY,
        ),
        (
            "switched to audit",
            with(|f| f.switch = Switch::Audit),
            responded::RESPONSES_SWITCHED_OFF,
        ),
        (
            "no switch",
            with(|f| f.switch = Switch::Unavailable(unknown())),
            responded::RESPONSES_SWITCHED_OFF,
        ),
        (
            "breaker open",
            with(|f| {
                f.breaker = Breaker::Open {
                    until: now() + seconds(1),
                }
            }),
            responded::CIRCUIT_BREAKER_OPEN,
        ),
        (
            "binding paused",
            with(|f| f.paused = vec![paused()]),
            responded::POLICY_PAUSED,
        ),
        (
            "in cooldown",
            with(|f| f.history.last_of_workload = Some(now() - seconds(59))),
            responded::COOLDOWN,
        ),
        (
            "limit of the binding",
            with(|f| f.history.by_binding = vec![("a".to_owned(), vec![now() - seconds(59); 10])]),
            responded::RATE_LIMITED,
        ),
        (
            "limit of the namespace",
            with(full),
            responded::RATE_LIMITED,
        ),
        (
            "limit of the cluster",
            with(|f| f.history.in_cluster = vec![now() - seconds(59); 60]),
            responded::RATE_LIMITED,
        ),
    ];
    for (name, facts, want) in cases {
        assert_eq!(reason(&plan(&facts, now())), want, "{name}");
    }
}

#[test]
fn missing_protection_is_waited_for_without_an_end() {
    for protection in [Protection::Missing, Protection::Modified("x".to_owned())] {
        let facts = with(|f| f.protection = protection.clone());
        let Plan::Requeue { until, claim, .. } = plan(&facts, now()) else {
            panic!("{protection:?}: it waits")
        };
        assert_eq!((until, claim), (now() + minutes(10), None));
    }
}

#[test]
fn critical_priority_classes_protect_pods_only_in_critical_namespaces() {
    for (critical, in_critical, want) in [
        (true, true, responded::CRITICAL_POD),
        (true, false, "Evict"),
        (false, true, "Evict"),
    ] {
        let mut facts = with_pod(|p| p.critical = critical);
        facts.namespace = namespace(false, in_critical);
        assert_eq!(
            reason(&plan(&facts, now())),
            want,
            "{critical} {in_critical}"
        );
    }
}
