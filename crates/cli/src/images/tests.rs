//! The command with a mock API server, word for word.

use super::rows::{ROWS_LIMIT, Rows, workload};
use super::{ImagesArgs, list};
use crate::admission::{ImageVerdict, Outcome, RegistrySource, Verdict};
use crate::manifests::Manifests;
use bailiff_policy::image::ImageUser;
use bailiff_testing::{ApiServer, Call};
use clap::Parser as _;
use serde_json::{Value as Json, from_value, json};
use std::path::PathBuf;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    images: ImagesArgs,
}

const PODS: &str =
    "/api/v1/pods?&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&limit=100";
const WEBHOOK: &str = "/apis/apps/v1/namespaces/bailiff-system/deployments/bailiff-webhook";
const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A pod of a Deployment.
fn pod(namespace: &str, name: &str, image: &str) -> Json {
    json!({
        "metadata": {"name": name, "namespace": namespace,
            "labels": {"pod-template-hash": "5d8f"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "uid": "u",
                "name": "web-5d8f", "controller": true}]},
        "spec": {"containers": [{"name": "web", "image": image}]},
    })
}

fn namespaces() -> Call {
    Call::get("/api/v1/namespaces?&limit=100").gives(json!({"metadata": {}, "items": [
        {"metadata": {"name": "shop"}}, {"metadata": {"name": "kube-system"}}]}))
}

fn pages() -> Vec<Vec<Call>> {
    let mut mirror = pod("shop", "static", "quay.io/static");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let bad = json!({"metadata": {"name": "bad", "namespace": "shop"}, "spec": {"containers": 7}});
    vec![
        vec![Call::get(PODS).gives(json!({"metadata": {"continue": "token"}, "items": [
            pod("shop", "web-1", "quay.io/a/web"), pod("kube-system", "dns", "quay.io/dns"), mirror]}))],
        vec![Call::get(&format!("{PODS}&continue=token")).gives(json!({"metadata": {}, "items": [
            pod("shop", "web-2", "quay.io/a/web"),
            pod("shop", "web-3", &format!("docker.io/library/nginx@{DIGEST}")),
            pod("shop", "web-4", "docker.io/library/redis"), bad]}))],
    ]
}

/// Runs the command; its outcome, output and messages.
async fn run(
    flags: &[&str],
    policies: &str,
    calls: Vec<Vec<Call>>,
) -> (Result<Outcome, String>, String, String) {
    let line = ["images"].iter().chain(flags);
    let args = Line::parse_from(line).images;
    let files = Manifests::read(&args.policy, false, &mut policies.as_bytes());
    let (server, client) = ApiServer::playing(calls);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = Box::pin(list(
        &args,
        files,
        &client,
        &RegistrySource::Offline,
        &mut out,
        &mut err,
    ))
    .await;
    server.finish();
    (
        outcome.map_err(|error| error.to_string()),
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

const POLICY: &str = "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: ours}
spec: {allowedRepositories: [docker.io/library/**], digest: {pin: true}}
";

#[tokio::test]
async fn what_a_policy_would_reject_is_listed_by_workload() {
    let mut calls = vec![vec![Call::get(WEBHOOK).is_missing()], vec![namespaces()]];
    calls.extend(pages());
    let (outcome, out, err) = run(&["--policy", "-", "--offline"], POLICY, calls).await;
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "NAMESPACE   WORKLOAD         PODS   CONTAINER   IMAGE                                                                                             PINNED TO   VERDICT      REASON",
            &format!(
                "shop        deployment/web   1      web         docker.io/library/nginx@{DIGEST}   -           NotChecked   Its registry was not asked, as ours requires."
            ),
            "shop        deployment/web   1      web         docker.io/library/redis                                                                           -           NotChecked   Its registry was not asked, as ours requires.",
            "shop        deployment/web   2      web         quay.io/a/web                                                                                     -           Denied       Container web uses repository quay.io/a/web, which is not allowed. ImageAdmissionPolicy ours allows docker.io/library/**. Use an image from an allowed repository.",
            "",
            "Running pods have 6 images: 2 Denied, 2 NotChecked, 2 Exempt.",
        ]
    );
    assert_eq!(
        err,
        "note: no file of --policy binds ours; evaluated as bound with Deny to all namespaces\nnote: Deployment bailiff-webhook not found in namespace bailiff-system; the defaults are used: mode Enforce, and exempt namespaces kube-system and bailiff-system. If Bailiff is installed in another namespace, set --bailiff-namespace\nerror: cannot decode Pod shop/bad: spec.containers: invalid type: integer `7`, expected a sequence; use the version of bailiff that runs in the cluster\n"
    );
    assert_eq!(
        outcome,
        Err("the result is incomplete (errors: 1); fix the errors and retry".to_owned())
    );
}

#[tokio::test]
async fn a_policy_of_a_file_is_evaluated_as_enforced_whatever_the_mode_of_the_cluster() {
    let environment = json!([{"name": "BAILIFF_IMAGE_POLICIES_MODE", "value": "Audit"},
        {"name": "BAILIFF_EXEMPT_NAMESPACES", "value": "shop"}]);
    let webhook = json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": {
        "containers": [{"name": "webhook", "env": environment}]}}}});
    let namespaces = json!({"metadata": {}, "items": [{"metadata": {"name": "shop"}}, {"metadata": {"name": "team"}}]});
    let pods = json!({"metadata": {}, "items": [
        pod("shop", "web-1", "quay.io/a/web"), pod("team", "web-1", "quay.io/a/web")]});
    let calls = vec![
        vec![Call::get(WEBHOOK).gives(webhook)],
        vec![Call::get("/api/v1/namespaces?&limit=100").gives(namespaces)],
        vec![Call::get(PODS).gives(pods)],
    ];
    let (outcome, out, _) = run(&["--policy", "-", "--offline"], POLICY, calls).await;
    assert_eq!(outcome, Ok(Outcome::Denied));
    assert_eq!(
        out.lines().last(),
        Some("Running pods have 2 images: 1 Denied, 1 Exempt.")
    );
}

#[tokio::test]
async fn images_that_no_policy_of_the_cluster_selects_are_listed() {
    let apis = "/apis/bailiff.dev/v1alpha1";
    let policy = json!({"metadata": {"name": "p"}, "spec": {"allowedRepositories": ["docker.io/library/redis"],
        "matchImages": {"include": ["docker.io/**"]}}});
    let binding = json!({"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Audit"]}});
    let mut calls = vec![
        vec![
            Call::get(WEBHOOK).gives(
                json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": {"containers": []}}}}),
            ),
            Call::get(&format!("{apis}/imageadmissionpolicies"))
                .gives(json!({"metadata": {}, "items": [policy]})),
            Call::get(&format!("{apis}/imageadmissionpolicybindings"))
                .gives(json!({"metadata": {}, "items": [binding]})),
        ],
        vec![namespaces()],
        vec![Call::get(PODS).gives(json!({"metadata": {}, "items": [
            pod("shop", "web-1", "quay.io/a/web"),
            pod("shop", "web-2", "redis"),
            pod("shop", "web-3", "nginx"),
        ]}))],
    ];
    let (outcome, out, err) = run(&["--uncovered", "-o", "json"], "", calls.clone()).await;
    assert_eq!((outcome, err.as_str()), (Ok(Outcome::Allowed), ""));
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(
        json,
        json!({"images": [{"namespace": "shop", "workload": "deployment/web", "pods": 1,
                "container": "web", "field": "containers", "image": "quay.io/a/web",
                "pinnedTo": null, "verdict": "Uncovered", "policies": [], "findings": [], "notes": []}],
            "verdicts": {"Allowed": 1, "Audited": 1, "Uncovered": 1},
            "leftOut": 0, "notes": [], "errors": []})
    );
    // A namespace that was created after the others were read; and one that is gone with its pod.
    calls[2] = vec![Call::get(PODS).gives(json!({"metadata": {}, "items": [
        pod("new", "web-1", "quay.io/a/web"), pod("gone", "web-1", "quay.io/a/web")]}))];
    calls.push(vec![
        Call::get("/api/v1/namespaces/new").gives(json!({"metadata": {"name": "new"}})),
    ]);
    calls.push(vec![Call::get("/api/v1/namespaces/gone").is_missing()]);
    let (outcome, out, _) = run(&["--uncovered"], "", calls).await;
    assert_eq!(outcome, Ok(Outcome::Allowed));
    assert_eq!(
        out.lines().last(),
        Some("Running pods have 1 image: 1 Uncovered.")
    );
}

#[tokio::test]
async fn a_namespace_and_labels_limit_the_pods() {
    let calls = vec![
        vec![Call::get(WEBHOOK).is_missing()],
        vec![Call::get("/api/v1/namespaces/shop").gives(json!({"metadata": {"name": "shop"}}))],
        vec![
            Call::get("/api/v1/namespaces/shop/pods?&fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&labelSelector=app%3Dweb&limit=100")
                .fails(403, "Forbidden", "pods is forbidden"),
        ],
    ];
    let flags = ["--policy", "-", "--offline", "-n", "shop", "-l", "app=web"];
    let (outcome, out, _) = run(&flags, POLICY, calls).await;
    assert_eq!(out, "");
    assert_eq!(
        outcome,
        Err("cannot list pods: pods is forbidden; this requires permission to list pods and namespaces of the cluster; set --namespace to read one namespace".to_owned())
    );
}

#[test]
fn a_question_is_required() {
    let error = Line::try_parse_from(["images"]).err().unwrap();
    assert!(
        error.to_string().contains("--uncovered|--policy <FILE>"),
        "{error}"
    );
    let args = Line::parse_from(["images", "--uncovered", "--policy", "a.yaml"]).images;
    assert_eq!(args.policy, [PathBuf::from("a.yaml")]);
}

#[test]
fn the_workload_is_what_the_owner_reference_names() {
    let of = |kind: &str, name: &str, hash: &str| {
        workload(
            &from_value(
                json!({"metadata": {"name": "p", "labels": {"pod-template-hash": hash},
            "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u",
                "controller": true}]}}),
            )
            .unwrap(),
        )
    };
    for (kind, name, hash, want) in [
        ("ReplicaSet", "web-5d8f", "5d8f", "deployment/web"),
        ("ReplicaSet", "web-5d8f", "other", "replicaset/web-5d8f"),
        ("ReplicaSet", "web", "", "replicaset/web"),
        ("Job", "web-5d8f", "5d8f", "job/web-5d8f"),
    ] {
        assert_eq!(of(kind, name, hash), want);
    }
    let bare = from_value(json!({"metadata": {"name": "p"}})).unwrap();
    assert_eq!(workload(&bare), "pod/p");
}

#[test]
fn rows_are_bounded_whatever_tenants_run() {
    let image = |image: String| ImageVerdict {
        user: ImageUser::Container,
        container: "c".to_owned(),
        image,
        pinned: None,
        verdict: Verdict::Uncovered,
        policies: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
    };
    let mut rows = Rows::new(true, false);
    for number in 0..ROWS_LIMIT + 3 {
        rows.add("shop", "pod/p", image(format!("image-{number}")));
    }
    assert_eq!(rows.left_out, 3);
    // A row that is there counts on.
    rows.add("shop", "pod/p", image("image-0".to_owned()));
    assert_eq!(rows.left_out, 3);
    let json = rows.json(&[], &[]);
    assert_eq!(json["images"].as_array().unwrap().len(), ROWS_LIMIT);
    assert_eq!(json["images"][0]["pods"], 2);
    assert_eq!(json["verdicts"]["Uncovered"], ROWS_LIMIT + 4);
    let mut rows = Rows::new(true, false);
    rows.add("shop", "pod/p", image("x".repeat(1 << 20)));
    let json = rows.json(&[], &[]);
    let kept = json["images"][0]["image"].as_str().unwrap();
    assert_eq!(kept, format!("{}…", "x".repeat(512)));
}
