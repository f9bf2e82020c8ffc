//! Facts and Incidents that tests start from: a violation that Bailiff responds to.

use super::*;
use bailiff_api::{Guardrails, Incident, IncidentType, ResponseAction, WorkloadReference};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub(crate) fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

pub(crate) fn seconds(s: i64) -> SignedDuration {
    SignedDuration::from_secs(s)
}

pub(crate) fn minutes(m: i64) -> SignedDuration {
    SignedDuration::from_mins(m)
}

pub(crate) fn workload(uid: &str) -> WorkloadReference {
    WorkloadReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
        uid: uid.to_owned(),
    }
}

pub(crate) fn key(uid: &str) -> WorkloadKey {
    WorkloadKey::of("shop", &workload(uid))
}

pub(crate) fn policy() -> PolicyFacts {
    PolicyFacts {
        uid: "policy-uid".to_owned(),
        generation: 1,
        changed: now() - SignedDuration::from_hours(48),
        matches: true,
        reevaluation: None,
    }
}

pub(crate) fn binding(name: &str, action: ResponseAction) -> BindingFacts {
    BindingFacts {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        policy_name: "no-shells".to_owned(),
        matches: true,
        actions: vec![action],
        guardrails: Guardrails::default(),
        grace_period_seconds: None,
        generation: 1,
        changed: now() - SignedDuration::from_hours(48),
        matched_workloads: Some(5),
        resume: None,
        paused: None,
    }
}

pub(crate) fn pod() -> PodFacts {
    PodFacts {
        uid: "pod-uid".to_owned(),
        node_name: Some("node-1".to_owned()),
        containers: vec!["app".to_owned()],
        terminating: None,
        evicted: None,
        finished: false,
        mirror: false,
        own: false,
        critical: false,
        grace_period_seconds: 30,
        started: None,
        shortened: false,
    }
}

pub(crate) fn evictable() -> Facts {
    Facts {
        violation: ViolationFacts {
            type_: IncidentType::Violation,
            namespace: "shop".to_owned(),
            pod_uid: "pod-uid".to_owned(),
            node_name: "node-1".to_owned(),
            container: Some("app".to_owned()),
            policy_name: "no-shells".to_owned(),
            policy_uid: "policy-uid".to_owned(),
            policy_generation: 1,
            binding_uids: vec!["a-uid".to_owned(), "b-uid".to_owned()],
            hooks_only: false,
            last_recorded: now(),
        },
        waiting: None,
        pod: Lookup::Found(pod()),
        owner: Owner::Workload(workload("web-uid")),
        policy: Lookup::Found(policy()),
        bindings: Lookup::Found(vec![binding("a", ResponseAction::Evict)]),
        namespace: Lookup::Found(NamespaceFacts {
            exempt: false,
            critical: false,
        }),
        protection: Protection::Unmodified,
        switch: Switch::Enforce,
        breaker: Breaker::Closed,
        paused: vec![],
        undecided: vec![],
        history: History::default(),
        settings: Settings::default(),
    }
}

/// An Incident in which the arguments of the process are a secret.
pub(crate) fn incident() -> Incident {
    incident_of(&json!({}))
}

/// The Incident with parts replaced, as a merge patch.
pub(crate) fn incident_of(patch: &Value) -> Incident {
    let at = "2026-01-02T00:00:00.000000Z";
    let mut incident = json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": "inc-1", "namespace": "shop", "uid": "inc-uid", "generation": 1,
            "creationTimestamp": "2026-01-02T00:00:00Z"},
        "spec": {"type": "Violation", "severity": "High",
            "policyRef": {"name": "no-shells", "uid": "policy-uid", "generation": 1},
            "bindingRefs": [{"name": "a", "uid": "a-uid"}], "nodeName": "node-1",
            "pod": {"name": "web-1", "namespace": "shop", "uid": "pod-uid"},
            "container": {"name": "app"},
            "process": {"executable": "/bin/sh", "invokedPath": "sh", "names": ["sh"],
                "args": ["sh", "-c", "SECRET"], "executableSource": "Image", "origin": "Exec",
                "uid": 0, "gid": 0, "pid": 7, "startTime": at},
            "violations": [{"expressionIndex": 0, "message": "sh -c SECRET was started"}],
            "execTime": at},
    });
    merge(&mut incident, patch);
    serde_json::from_value(incident).unwrap()
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

pub(crate) fn evicted() -> Outcome {
    Outcome::Removed {
        action: ResponseAction::Evict,
        binding: "a".to_owned(),
        at: now(),
        grace_period_seconds: 30,
        released: false,
    }
}

pub(crate) const fn no_action(reason: NoActionReason) -> Outcome {
    Outcome::NoAction {
        reason,
        would: None,
    }
}

pub(crate) fn paused() -> Paused {
    Paused {
        binding: "a".to_owned(),
        workloads: 12,
        max_workloads: 10,
        policy_generation: 3,
        binding_generation: 1,
    }
}
