//! The rows of the webhook, word for word.

use super::{lines, working as working_cluster};
use crate::status::admission_protections::Protection;
use crate::status::webhook::WebhookState;
use bailiff_oci::persisted::CONFIG_MAPS;
use bailiff_policy::image::platform::Platform;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value as Json, from_value, json};

fn entry(name: &str, failure_policy: &str) -> Json {
    json!({
        "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": failure_policy,
        "clientConfig": {"service": {"name": "bailiff-webhook", "namespace": "bailiff-system"}, "caBundle": "YQ=="},
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn",
            "values": ["bailiff-system", "kube-system"]}]},
    })
}

/// A configuration, with the annotation of the controller.
fn configuration(entries: &[Json]) -> Json {
    json!({
        "metadata": {"name": "bailiff", "annotations": {"bailiff.dev/certificate-expires": "2026-01-31T00:00:00Z"}},
        "webhooks": entries,
    })
}

fn deployment(ready: u32) -> Json {
    json!({"metadata": {}, "status": {"readyReplicas": ready},
        "spec": {"replicas": 2, "selector": {}, "template": {}}})
}

/// A webhook whose check is OK.
pub(super) fn working() -> WebhookState {
    let ours = [entry("pods.bailiff.dev", "Ignore")];
    WebhookState {
        deployment: Ok(Some(from_value(deployment(2)).unwrap())),
        mutating: Ok(Some(from_value(configuration(&ours)).unwrap())),
        validating: Ok(Some(from_value(configuration(&ours)).unwrap())),
        registries: Ok(Some(registries("registries: {}"))),
        needed: Ok(Platform::default()),
        facts: CONFIG_MAPS.map(|_| Ok(Some(ConfigMap::default()))).into(),
        protections: vec![protection(), protection()],
    }
}

/// An admission policy that denies everywhere, and its binding.
pub(super) fn protection() -> Protection {
    let policy = json!({"metadata": {}, "spec": {"failurePolicy": "Fail"}});
    let binding = json!({"metadata": {}, "spec": {"validationActions": ["Deny"]}});
    let (policy, binding) = (from_value(policy).unwrap(), from_value(binding).unwrap());
    (Ok(Some(policy)), Ok(Some(binding)))
}

#[test]
fn a_protection_that_is_not_in_force_fails() {
    fn binding(state: &mut WebhookState, spec: &Json) {
        let binding = json!({"metadata": {}, "spec": spec});
        state.protections[1].1 = Ok(Some(from_value(binding).unwrap()));
    }
    let policy = "ValidatingAdmissionPolicy bailiff-webhook-protection";
    let bound = "ValidatingAdmissionPolicyBinding bailiff-webhook-protection";
    let cases: [(String, Change); 5] = [
        (format!("{policy} not found"), |s| {
            s.protections[1].0 = Ok(None);
        }),
        (format!("{bound} not found"), |s| {
            s.protections[1].1 = Ok(None);
        }),
        (format!("{policy} has failurePolicy Ignore"), |s| {
            let policy = json!({"metadata": {}, "spec": {"failurePolicy": "Ignore"}});
            s.protections[1].0 = Ok(Some(from_value(policy).unwrap()));
        }),
        (format!("{bound} does not deny"), |s| {
            binding(s, &json!({"validationActions": ["Audit"]}));
        }),
        (format!("{bound} is restricted by matchResources"), |s| {
            let nowhere = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
            binding(
                s,
                &json!({"validationActions": ["Deny"], "matchResources": nowhere}),
            );
        }),
    ];
    for (fault, change) in cases {
        let expected = format!(
            "webhook/protection | Failed | {fault}, so a stolen token of the webhook can write more than the webhook needs. Restore it with `helm upgrade`."
        );
        assert_eq!(rows(change)[1..], [expected]);
    }
    assert_eq!(
        rows(|s| s.protections[0].1 = Err("timeout".to_owned()))[1..],
        ["webhook/protection | Unknown | The check cannot run. timeout"]
    );
}

fn registries(text: &str) -> ConfigMap {
    from_value(json!({"metadata": {}, "data": {"registries.yaml": text}})).unwrap()
}

const SELECTED: &str = "
registries:
  docker.io: {credentials: [{secret: all}]}
  ghcr.io:
    credentials:
    - {secret: shop, namespaceSelector: {matchLabels: {team: shop}}}
    - {secret: bank, namespaceSelector: {matchLabels: {team: bank}}}
  quay.io: {credentials: [{secret: shop, namespaceSelector: {matchLabels: {team: shop}}}]}
";

#[test]
fn credentials_that_the_webhook_does_not_use_are_a_warning() {
    let unused: Change = |s| s.registries = Ok(Some(registries(SELECTED)));
    assert_eq!(
        rows(unused)[1..],
        [
            "webhook/callers | Warning | The webhook does not verify its callers, so it does not use the credentials with a namespaceSelector of ghcr.io, quay.io, and asks without them. Set the value webhook.clientCA or webhook.apiServerCIDRs."
        ]
    );
    let verified = |name: &str, value: &str| {
        let mut state = working_cluster();
        state.webhook.registries = Ok(Some(registries(SELECTED)));
        let mut with = deployment(2);
        let env = json!([{"name": name, "value": value}]);
        with["spec"]["template"] =
            json!({"spec": {"containers": [{"name": "webhook", "env": env}]}});
        state.webhook.deployment = Ok(Some(from_value(with).unwrap()));
        let lines = lines(&state);
        !lines.iter().any(|line| line.starts_with("webhook/callers"))
    };
    assert!(verified("BAILIFF_API_SERVER_CIDRS", "192.0.2.10/32"));
    assert!(verified("BAILIFF_CLIENT_CA", "/etc/bailiff/client-ca.crt"));
    assert!(!verified("BAILIFF_API_SERVER_CIDRS", ""));
    assert!(!verified(
        "BAILIFF_REGISTRIES",
        "/etc/bailiff/registries.yaml"
    ));
}

#[test]
fn registries_that_cannot_be_read_are_not_fine() {
    let cases: [(&str, Change); 4] = [
        ("Unknown | The check cannot run. forbidden", |s| {
            s.registries = Err("forbidden".to_owned());
        }),
        (
            "Failed | ConfigMap bailiff-registries not found in namespace bailiff-system, and the webhook requires it to start. Restore it with `helm upgrade`.",
            |s| s.registries = Ok(None),
        ),
        (
            "Unknown | The check cannot run. ConfigMap bailiff-registries: it has no key registries.yaml.",
            |s| s.registries = Ok(Some(from_value(json!({"metadata": {}})).unwrap())),
        ),
        (
            "Unknown | The check cannot run. ConfigMap bailiff-registries: denyCIDRs[0]: must be a range of addresses such as 10.96.0.0/12, not \"x\".",
            |s| s.registries = Ok(Some(registries("denyCIDRs: [x]"))),
        ),
    ];
    for (want, change) in cases {
        assert_eq!(rows(change)[1..], [format!("webhook/callers | {want}")]);
    }
}

type Change = fn(&mut WebhookState);

#[test]
fn facts_that_cannot_be_used_are_reported_with_the_webhook() {
    assert_eq!(
        rows(|s| s.facts[4] = Ok(None))[1..],
        [
            "webhook/facts | Failed | ConfigMap bailiff-facts-4 not found in namespace bailiff-system, so a restart of the webhook loses its answers of registries. Restore with `helm upgrade`."
        ]
    );
}

/// The rows of the webhook after a change.
fn rows(change: Change) -> Vec<String> {
    let mut state = working_cluster();
    change(&mut state.webhook);
    let lines = lines(&state).into_iter();
    lines.filter(|line| line.starts_with("webhook")).collect()
}

fn set_validating(state: &mut WebhookState, configuration: Json) {
    state.validating = Ok(Some(from_value(configuration).unwrap()));
}

/// Gives the validating entry of pods a failure policy.
pub(super) fn set_failure_policy(state: &mut WebhookState, failure_policy: &str) {
    set_validating(
        state,
        configuration(&[entry("pods.bailiff.dev", failure_policy)]),
    );
}

#[test]
fn each_failure_of_the_webhook_has_its_remedy() {
    let cases: [(&str, Change); 9] = [
        ("Unknown | The check cannot run. forbidden", |s| {
            s.validating = Err("forbidden".to_owned());
        }),
        (
            "OK | Not installed (webhook.enabled=false). The API server enforces what is rendered of image policies.",
            |s| {
                s.deployment = Ok(None);
                s.mutating = Ok(None);
                s.validating = Ok(None);
            },
        ),
        (
            "Failed | Deployment bailiff-webhook not found in namespace bailiff-system, and the API server calls it. Restore it with `helm upgrade`, or delete its entries with `kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration bailiff`.",
            |s| s.deployment = Ok(None),
        ),
        (
            "Failed | MutatingWebhookConfiguration bailiff not found, so the API server does not call the webhook. Restore it with `helm upgrade`.",
            |s| s.mutating = Ok(None),
        ),
        (
            "Failed | ValidatingWebhookConfiguration bailiff not found, so the API server does not call the webhook. Restore it with `helm upgrade`.",
            |s| s.validating = Ok(None),
        ),
        (
            "Failed | 1 of 2 replicas are ready. Check the pods with `kubectl -n bailiff-system describe pods -l app.kubernetes.io/component=webhook`.",
            |s| s.deployment = Ok(Some(from_value(deployment(1)).unwrap())),
        ),
        (
            "Failed | Entry pods.bailiff.dev has no caBundle, so the API server cannot call the webhook. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            |s| {
                let mut entry = entry("pods.bailiff.dev", "Ignore");
                entry["clientConfig"]["caBundle"] = Json::Null;
                set_validating(s, configuration(&[entry]));
            },
        ),
        (
            "Failed | The controller has issued no certificate, so the API server cannot call the webhook. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            |s| {
                let mut none = configuration(&[entry("pods.bailiff.dev", "Ignore")]);
                none["metadata"]["annotations"] = json!({});
                set_validating(s, none);
            },
        ),
        (
            "Failed | The certificate expired at 2026-01-02T00:00:00Z, so the API server cannot call the webhook. Check the log of the controller: `kubectl -n bailiff-system logs deployment/bailiff-controller`.",
            |s| {
                let mut past = configuration(&[entry("pods.bailiff.dev", "Ignore")]);
                past["metadata"]["annotations"]["bailiff.dev/certificate-expires"] =
                    "2026-01-02T00:00:00Z".into();
                set_validating(s, past);
            },
        ),
    ];
    for (want, change) in cases {
        assert_eq!(rows(change), [format!("webhook | {want}")]);
    }
}

#[test]
fn what_an_outage_stops_is_said_beforehand() {
    let fails: Change = |s| {
        let entries = [
            entry("pods.bailiff.dev", "Fail"),
            entry("workloads.bailiff.dev", "Ignore"),
        ];
        set_validating(s, configuration(&entries));
    };
    assert_eq!(
        rows(fails)[1..],
        [
            "webhook/pods.bailiff.dev | Warning | failurePolicy is Fail: while the webhook is down, no pod starts, except in the namespaces bailiff-system, kube-system. Add those that the cluster needs to start to the value exemptNamespaces."
        ]
    );
    // The entry was changed.
    let locked: Change = |s| {
        let mut entry = entry("pods.bailiff.dev", "Fail");
        entry["namespaceSelector"]["matchExpressions"][0]["values"] = json!(["bailiff-system"]);
        set_validating(s, configuration(&[entry]));
    };
    assert_eq!(
        rows(locked)[1..],
        [
            "webhook/pods.bailiff.dev | Failed | failurePolicy is Fail, and namespace kube-system is not exempt: after an outage of the webhook, the cluster cannot recover by itself. Restore the entry with `helm upgrade`."
        ]
    );
    let many: Change = |s| {
        let mut entry = entry("pods.bailiff.dev", "Fail");
        let names: Vec<_> = (0..10)
            .map(|at| format!("n{at}"))
            .chain(["bailiff-system".to_owned(), "kube-system".to_owned()])
            .collect();
        entry["namespaceSelector"]["matchExpressions"][0]["values"] = json!(names);
        set_validating(s, configuration(&[entry]));
    };
    assert!(
        rows(many)[1].contains("n8, n9, 2 more. Add those"),
        "{:?}",
        rows(many)
    );
    // The entry of another product is none of ours.
    let foreign: Change = |s| {
        let mut entry = entry("pods.example.com", "Fail");
        entry["clientConfig"]["service"]["name"] = "other".into();
        set_validating(s, configuration(&[entry]));
    };
    assert_eq!(rows(foreign).len(), 1);
}
