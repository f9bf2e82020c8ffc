//! A pass against a mock API server.
//!
//! Here: requests, their order and conditions, errors. Not here: what is planned (`plan`).
//! Invariant: each test names every request of the pass.

use super::*;
use bailiff_testing::{ApiServer, Call};
use serde_json::Value as Json;

const POLICIES: &str = "/apis/bailiff.dev/v1alpha1/imageadmissionpolicies";
const BINDINGS: &str = "/apis/bailiff.dev/v1alpha1/imageadmissionpolicybindings";
const RENDERED: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BOUND: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
const OWNER: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/bailiff-renderer";
const NAMESPACE: &str = "/api/v1/namespaces/bailiff-system";

fn settings() -> Settings {
    Settings {
        namespace: "bailiff-system".to_owned(),
        ..Settings::default()
    }
}

fn policy() -> Json {
    json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicy",
        "metadata": {"name": "ours", "uid": "p", "generation": 1},
        "spec": {"allowedRepositories": ["registry.example.com/**"]}})
}

fn binding() -> Json {
    json!({"apiVersion": "bailiff.dev/v1alpha1", "kind": "ImageAdmissionPolicyBinding",
        "metadata": {"name": "everywhere", "uid": "b", "generation": 1},
        "spec": {"policyName": "ours", "validationActions": ["Deny"]}})
}

/// A rendered object that belongs to nothing.
fn stale(kind: &str) -> Json {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "bailiff-image.gone", "uid": format!("{kind}-uid")}, "spec": {}})
}

fn list(path: &str, kind: &str, items: &[Json]) -> Vec<Call> {
    let list = json!({"apiVersion": "v1", "kind": format!("{kind}List"),
        "metadata": {"resourceVersion": "7"}, "items": items});
    vec![Call::get(path).gives(list)]
}

/// What a pass reads, one after the other.
fn reads(policies: &[Json], bindings: &[Json], stale: &[Json; 2]) -> Vec<Vec<Call>> {
    let [policy, binding] = stale;
    vec![
        vec![Call::get(OWNER).gives(json!({"metadata": {"name": RENDERER, "uid": "owner"}}))],
        vec![Call::get(NAMESPACE).gives(json!({"metadata": {"name": "bailiff-system"}}))],
        list(POLICIES, "ImageAdmissionPolicy", policies),
        list(BINDINGS, "ImageAdmissionPolicyBinding", bindings),
        list(RENDERED, POLICY, std::slice::from_ref(policy)),
        list(BOUND, BINDING, std::slice::from_ref(binding)),
    ]
}

fn stale_both() -> [Json; 2] {
    [stale(POLICY), stale(BINDING)]
}

async fn played(rounds: Vec<Vec<Call>>) -> Result<Pass, kube::Error> {
    played_with(rounds, &Metrics::default()).await
}

async fn played_with(rounds: Vec<Vec<Call>>, metrics: &Metrics) -> Result<Pass, kube::Error> {
    played_as(rounds, &settings(), &Reading::NotRead, metrics).await
}

async fn played_as(
    rounds: Vec<Vec<Call>>,
    settings: &Settings,
    platform: &Reading,
    metrics: &Metrics,
) -> Result<Pass, kube::Error> {
    let (server, client) = ApiServer::playing(rounds);
    let mut reported = Reported::default();
    let passed = pass(&client, settings, platform, metrics, &mut reported).await;
    server.finish();
    passed
}

fn status(path: &str, name: &str) -> Call {
    Call::patch(&format!("{path}/{name}/status"))
}

#[tokio::test]
async fn what_is_missing_is_written_policy_first_and_what_is_stale_is_deleted_by_its_uid() {
    let mut rounds = reads(&[policy()], &[binding()], &stale_both());
    let uid = |kind: &str| json!({"preconditions": {"uid": format!("{kind}-uid")}});
    let written = |kind: &str, name: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name}, "spec": {}})
    };
    let conditions = |uid: &str| json!({"metadata": {"uid": uid}});
    rounds.extend([
        vec![
            Call::post(RENDERED)
                .with(json!({"metadata": {"name": "bailiff-image.ours"}}))
                .gives(written(POLICY, "bailiff-image.ours")),
        ],
        vec![
            Call::post(BOUND)
                .with(json!({"metadata": {"name": "bailiff-image.everywhere"}}))
                .gives(written(BINDING, "bailiff-image.everywhere")),
        ],
        vec![Call::delete(&format!("{BOUND}/bailiff-image.gone")).with(uid(BINDING))],
        vec![Call::delete(&format!("{RENDERED}/bailiff-image.gone")).with(uid(POLICY))],
        vec![
            status(POLICIES, "ours")
                .with(conditions("p"))
                .gives(policy()),
        ],
        vec![
            status(BINDINGS, "everywhere")
                .with(conditions("b"))
                .gives(binding()),
        ],
    ]);
    assert_eq!(played(rounds).await.unwrap(), Pass::Wrote);
}

#[tokio::test]
async fn a_rejected_write_and_a_status_that_was_not_written_leave_the_pass_incomplete() {
    let rejected = |of_policy: Call, of_status: Call| {
        let mut rounds = reads(&[policy()], &[], &stale_both());
        rounds.extend([
            vec![of_policy],
            vec![Call::delete(&format!("{BOUND}/bailiff-image.gone")).is_missing()],
            vec![Call::delete(&format!("{RENDERED}/bailiff-image.gone"))],
            vec![of_status],
        ]);
        rounds
    };
    let take = || Call::post(RENDERED).gives(json!({"metadata": {"name": "bailiff-image.ours"}}));
    let forbidden = |call: Call| call.fails(403, "Forbidden", "no");
    let rounds = rejected(take(), status(POLICIES, "ours").gives(policy()));
    assert_eq!(played(rounds).await.unwrap(), Pass::Wrote);
    let rounds = rejected(take(), forbidden(status(POLICIES, "ours")));
    assert_eq!(played(rounds).await.unwrap(), Pass::Incomplete);
    let of_policy = forbidden(Call::post(RENDERED));
    let rounds = rejected(of_policy, status(POLICIES, "ours").gives(policy()));
    assert_eq!(played(rounds).await.unwrap(), Pass::Incomplete);
}

#[tokio::test]
async fn without_the_owner_only_statuses_are_written_and_they_and_the_metric_say_so() {
    let missing = |of_binding: Call| {
        let mut rounds = reads(&[policy()], &[binding()], &stale_both());
        rounds[0] = vec![Call::get(OWNER).is_missing()];
        let said = |all: &[(&str, &str, &str)]| {
            let conditions = all.iter().map(|(type_, status, reason)| {
                json!({"type": type_, "status": status, "reason": reason})
            });
            json!({"status": {"conditions": conditions.collect::<Vec<_>>()}})
        };
        let of_policy = said(&[
            ("Ready", "True", "Compiled"),
            ("Rendered", "False", "OwnerNotFound"),
        ]);
        rounds.extend([
            vec![status(POLICIES, "ours").with(of_policy).gives(policy())],
            vec![of_binding.with(said(&[("Ready", "False", "OwnerNotFound")]))],
        ]);
        rounds
    };
    let of_binding = || status(BINDINGS, "everywhere");
    let metrics = Metrics::default();
    let passed = played_with(missing(of_binding().gives(binding())), &metrics).await;
    assert_eq!(passed.unwrap(), Pass::OwnerNotFound);
    assert_eq!(metrics.not_rendered.get(), 2);
    assert_eq!(metrics.policies_rendered.get(), 0);
    let rounds = missing(of_binding().fails(403, "Forbidden", "no"));
    assert_eq!(played(rounds).await.unwrap(), Pass::Incomplete);
}

/// One that only audits or warns does so if the cluster was read and locks something out; without the webhook, nothing
/// depends on it.
#[tokio::test]
async fn a_binding_with_deny_reports_what_an_outage_locks_out_and_counts_as_before() {
    let failed = Reading::Failed("no".to_owned());
    let unknown = json!({"type": "PlatformExempt", "status": "Unknown", "reason": "APIRequestFailed",
        "message": "Bailiff cannot determine which namespaces the cluster needs to start: no. Bailiff retries automatically."});
    for (actions, webhook, is_reported) in [
        (json!(["Deny"]), true, true),
        (json!(["Warn"]), true, false),
        (json!(["Deny"]), false, false),
    ] {
        let mut binding = binding();
        binding["spec"]["validationActions"] = actions;
        let settings = Settings {
            webhook,
            ..settings()
        };
        let metrics = Metrics::default();
        // Without the owner, only statuses are written.
        let mut rounds = reads(&[policy()], &[binding.clone()], &stale_both());
        rounds[0] = vec![Call::get(OWNER).is_missing()];
        let mut conditions = vec![json!({"type": "Ready"})];
        if is_reported {
            conditions.push(unknown.clone());
        }
        rounds.extend([
            vec![status(POLICIES, "ours").gives(policy())],
            vec![
                status(BINDINGS, "everywhere")
                    .with(json!({"status": {"conditions": conditions}}))
                    .gives(binding),
            ],
        ]);
        let passed = played_as(rounds, &settings, &failed, &metrics).await;
        assert_eq!(passed.unwrap(), Pass::OwnerNotFound);
        let is_bound = webhook && !is_reported;
        assert_eq!(metrics.not_rendered.get(), if is_bound { 1 } else { 2 });
    }
}

#[tokio::test]
async fn nothing_is_written_while_bailiff_is_being_uninstalled_or_something_cannot_be_read() {
    let going = json!({"metadata": {"name": "bailiff-system",
        "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let mut rounds = reads(&[], &[], &stale_both());
    rounds.truncate(2);
    rounds[1] = vec![Call::get(NAMESPACE).gives(going)];
    assert_eq!(played(rounds).await.unwrap(), Pass::Uninstalling);
    let mut rounds = reads(&[policy()], &[], &stale_both());
    rounds[5] = vec![Call::get(BOUND).fails(500, "InternalError", "etcd is slow")];
    assert!(played(rounds).await.is_err());
}
