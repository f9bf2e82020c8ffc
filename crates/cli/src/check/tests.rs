//! The command with files and a mock API server, word for word.

mod registries;

use super::{CheckArgs, check, run};
use crate::admission::{Outcome, Policies, Registry, RegistrySource, Settings};
use crate::manifests::Manifests;
use bailiff_kube::client::KubeconfigClient;
use bailiff_oci::{Digest, Failure, ImageFacts, Lookup, ManifestKind, Reference, Source};
use bailiff_testing::{ApiServer, Call};
use clap::Parser as _;
use serde_json::{Value as Json, json};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    check: CheckArgs,
}

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

/// A registry with the repository `docker.io/library/nginx`. Others do not answer.
struct Known;

impl Registry for Known {
    async fn lookup(&self, reference: &Reference, is_named: bool) -> Option<Lookup> {
        Some(match (reference.repository(), is_named) {
            ("docker.io/library/nginx", true) => Lookup::Found {
                facts: ImageFacts {
                    digest: Digest::parse(DIGEST).unwrap(),
                    kind: ManifestKind::Index,
                },
                source: Source::Registry,
            },
            (_, true) => Lookup::Failed(Failure::Timeout),
            (_, false) => Lookup::Failed(Failure::RegistryNotAllowed),
        })
    }
}

const POLICIES: &str = "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: ours}
spec: {allowedRepositories: [docker.io/library/**], digest: {pin: true}}
";

const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {stage: production}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      initContainers: [{name: wait, image: quay.io/tools/wait}]
      containers: [{name: web, image: nginx}, {name: db, image: redis}]
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system}
spec: {containers: [{name: dns, image: quay.io/dns}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
";

struct Run {
    outcome: Result<Outcome, String>,
    out: String,
    err: String,
}

/// Runs the command. `policies`: those of --policy.
async fn run_with(
    manifests: &str,
    policies: Option<&str>,
    cluster: Option<kube::Client>,
    registry: &impl Registry,
    flags: &[&str],
) -> Run {
    let line = ["check", "-f", "-"].iter().chain(flags);
    let args = Line::parse_from(line).check;
    let read = |text: &str| Manifests::read(&args.filename, false, &mut text.as_bytes());
    let settings = Settings::default_of("bailiff-system");
    let policies = policies.map(|text| Policies::of_files(read(text), settings));
    let cluster = cluster.map(|client| KubeconfigClient {
        client,
        namespace: "team".to_owned(),
    });
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = Box::pin(check(
        &args,
        read(manifests),
        policies,
        cluster,
        registry,
        &mut out,
        &mut err,
    ))
    .await;
    Run {
        outcome: outcome.map_err(|error| error.to_string()),
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

#[tokio::test]
async fn each_image_has_a_row_with_its_verdict_and_the_reason() {
    let run = run_with(MANIFESTS, Some(POLICIES), None, &Known, &[]).await;
    assert_eq!(run.outcome, Ok(Outcome::Denied));
    assert_eq!(
        run.out.lines().collect::<Vec<_>>(),
        [
            "NAMESPACE     OBJECT           CONTAINER     IMAGE                PINNED TO              VERDICT      REASON",
            "shop          deployment/web   web           nginx                sha256:111111111111…   Allowed      As ours requires.",
            "shop          deployment/web   db            redis                -                      NotChecked   Container db: docker.io/library/redis:latest could not be checked, because registry docker.io does not answer in time. ImageAdmissionPolicy ours requires images that were checked. Retry later; controllers retry automatically. If it continues, an administrator must check registry docker.io.",
            "shop          deployment/web   wait (init)   quay.io/tools/wait   -                      Denied       Init container wait uses repository quay.io/tools/wait, which is not allowed. ImageAdmissionPolicy ours allows docker.io/library/**. Use an image from an allowed repository.",
            "kube-system   pod/dns          dns           quay.io/dns          -                      Exempt       Bailiff does not evaluate this pod.",
            "",
            "4 images: 1 Denied, 1 NotChecked, 1 Allowed, 1 Exempt.",
            "Namespace labels: of shop from the manifests; of kube-system unknown, except for the name.",
        ]
    );
    assert_eq!(
        run.err,
        "note: no file of --policy binds ours; evaluated as bound with Deny to all namespaces\nnote: not checked, because these kinds have no pods that Bailiff knows: Service (1)\n"
    );
}

#[tokio::test]
async fn offline_no_image_that_needs_its_registry_is_allowed() {
    let manifests = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: nginx}]}}";
    let run = run_with(
        manifests,
        Some(POLICIES),
        None,
        &RegistrySource::Offline,
        &["--offline"],
    )
    .await;
    assert_eq!(run.outcome, Ok(Outcome::NotChecked));
    assert_eq!(
        run.out.lines().collect::<Vec<_>>(),
        [
            "NAMESPACE   OBJECT   CONTAINER   IMAGE   PINNED TO   VERDICT      REASON",
            "default     pod/a    c           nginx   -           NotChecked   Its registry was not asked, as ours requires.",
            "",
            "1 image: 1 NotChecked.",
            "Namespace labels: of default unknown, except for the name.",
        ]
    );
}

#[tokio::test]
async fn json_has_each_rule_and_what_was_found() {
    let run = run_with(MANIFESTS, Some(POLICIES), None, &Known, &["-o", "json"]).await;
    let json: Json = serde_json::from_str(&run.out).unwrap();
    let web = &json["objects"][0];
    assert_eq!(
        web["images"][0],
        json!({"container": "web", "field": "containers", "image": "nginx",
            "pinnedTo": format!("docker.io/library/nginx@{DIGEST}"), "verdict": "Allowed",
            "policies": ["ours"], "findings": [], "notes": []})
    );
    assert_eq!(
        web["images"][2]["findings"][0],
        json!({"policyName": "ours", "rule": "AllowedRepositories", "action": "Deny",
            "message": "Init container wait uses repository quay.io/tools/wait, which is not allowed. ImageAdmissionPolicy ours allows docker.io/library/**. Use an image from an allowed repository."})
    );
    let mut rest = web.clone();
    rest["images"].take();
    assert_eq!(
        rest,
        json!({"file": "standard input", "document": 2, "item": null, "apiVersion": "apps/v1",
            "kind": "Deployment", "namespace": "shop", "name": "web",
            "namespaceLabels": "Manifests", "images": null})
    );
    assert_eq!(json["skippedKinds"], json!({"Service": 1}));
    assert_eq!(json["errors"], json!([]));
    assert_eq!(json["notes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_error_fails_the_command_and_hides_no_verdict() {
    let manifests = format!("kind: [\n---\n{MANIFESTS}---\napiVersion: batch/v1\nkind: Job\n");
    let run = run_with(&manifests, Some(POLICIES), None, &Known, &[]).await;
    assert_eq!(
        run.outcome,
        Err("the result is incomplete (errors: 2); fix the errors and retry".to_owned())
    );
    assert!(run.out.contains("4 images: 1 Denied"), "{}", run.out);
    let errors: Vec<_> = run
        .err
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    assert_eq!(
        errors,
        [
            "error: cannot read standard input, document 1 (line 1): did not find expected node content at line 2 column 1, while parsing a flow node; fix the document",
            "error: cannot check job/(no name) of standard input, document 6 (line 25): spec.template.spec must be an object; fix the manifest",
        ]
    );
}

#[tokio::test]
async fn a_rule_about_tags_has_its_verdict_beside_a_policy_that_pins() {
    let tags = "---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: tags}
spec: {validations: [{expression: \"!has(image.tag) || image.tag != 'latest'\", message: use a version}]}
";
    let manifests = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: nginx}, {name: d, image: 'nginx:1'}]}}";
    let message = "Container c violates ImageAdmissionPolicy tags: use a version. The image is docker.io/library/nginx:latest.";
    for (action, outcome, verdict, is_pinned) in [
        ("Deny", Outcome::Denied, "Denied", false),
        ("Warn", Outcome::Allowed, "Warned", true),
        ("Audit", Outcome::Allowed, "Audited", true),
    ] {
        let bindings = ["ours", "tags"].map(|name| {
            let action = if name == "ours" { "Deny" } else { action };
            format!("---\napiVersion: bailiff.dev/v1alpha1\nkind: ImageAdmissionPolicyBinding\nmetadata: {{name: {name}}}\nspec: {{policyName: {name}, validationActions: [{action}]}}\n")
        });
        let policies = format!("{POLICIES}{tags}{}", bindings.concat());
        let run = run_with(manifests, Some(&policies), None, &Known, &["-o", "json"]).await;
        assert_eq!(run.outcome, Ok(outcome), "{action}");
        let json: Json = serde_json::from_str(&run.out).unwrap();
        let images = &json["objects"][0]["images"];
        assert_eq!(images[0]["verdict"], verdict);
        assert_eq!(images[0]["pinnedTo"].is_string(), is_pinned);
        let found = json!([{"policyName": "tags", "rule": "Validation", "action": action, "message": message}]);
        assert_eq!(images[0]["findings"], found);
        assert_eq!(
            (
                images[1]["verdict"].as_str(),
                images[1]["pinnedTo"].is_string()
            ),
            (Some("Allowed"), true)
        );
    }
}

#[tokio::test]
async fn warnings_fail_the_command_only_if_asked() {
    let binding = "---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: ours}
spec: {policyName: ours, validationActions: [Warn]}
";
    let policies = format!("{POLICIES}{binding}");
    let manifests = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: quay.io/a/b}]}}";
    for (flags, want) in [
        (&[][..], Outcome::Allowed),
        (&["--fail-on", "warn"], Outcome::Denied),
    ] {
        let run = run_with(manifests, Some(&policies), None, &Known, flags).await;
        assert_eq!(run.outcome, Ok(want));
        assert!(run.out.contains(" Warned "), "{}", run.out);
        assert_eq!(run.err, "");
    }
}

/// The requests for the policies of the cluster, with a policy that selects namespaces by a label.
fn policies_of_cluster() -> Vec<Call> {
    let apis = "/apis/bailiff.dev/v1alpha1";
    let policy = json!({"metadata": {"name": "p"}, "spec": {"allowedRepositories": ["a.example/**"],
        "matchConstraints": {"namespaceSelector": {"matchLabels": {"stage": "production"}}}}});
    let faulty = json!({"metadata": {"name": "q"}, "spec": {"allowedRepositories": ["nginx"]}});
    let binding = json!({"metadata": {"name": "p"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}});
    let environment = json!([{"name": "BAILIFF_EXEMPT_NAMESPACES", "value": "calico-system"}]);
    vec![
        Call::get("/apis/apps/v1/namespaces/bailiff-system/deployments/bailiff-webhook").gives(
            json!({"metadata": {}, "spec": {"selector": {}, "template": {"spec": {
                "containers": [{"name": "webhook", "env": environment}]}}}}),
        ),
        Call::get(&format!("{apis}/imageadmissionpolicies"))
            .gives(json!({"metadata": {}, "items": [policy, faulty]})),
        Call::get(&format!("{apis}/imageadmissionpolicybindings"))
            .gives(json!({"metadata": {}, "items": [binding]})),
    ]
}

const PODS: &str = "
{apiVersion: v1, kind: List, items: [
  {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {stage: test}}},
  {apiVersion: v1, kind: Namespace, metadata: {name: new, labels: {stage: production}}},
  {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {containers: [{name: c, image: b}]}},
  {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: new}, spec: {containers: [{name: c, image: b}]}},
  {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: calico-system}, spec: {containers: [{name: c, image: b}]}},
  {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: b}]}},
]}";

#[tokio::test]
async fn the_cluster_has_the_policies_and_the_labels_of_namespaces() {
    let labels = json!({"stage": "production"});
    let (server, client) = ApiServer::playing([
        policies_of_cluster(),
        vec![
            Call::get("/api/v1/namespaces/shop")
                .gives(json!({"metadata": {"name": "shop", "labels": labels}})),
        ],
        vec![Call::get("/api/v1/namespaces/new").is_missing()],
        vec![Call::get("/api/v1/namespaces/calico-system").is_missing()],
        vec![Call::get("/api/v1/namespaces/team").gives(json!({"metadata": {"name": "team"}}))],
    ]);
    let run = run_with(
        PODS,
        None,
        Some(client),
        &RegistrySource::Offline,
        &["--offline"],
    )
    .await;
    server.finish();
    assert_eq!(run.outcome, Ok(Outcome::Denied));
    let rows: Vec<Vec<_>> = run
        .out
        .lines()
        .skip(1)
        .take(4)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let verdicts: Vec<_> = rows.iter().map(|row| (row[0], row[5])).collect();
    assert_eq!(
        verdicts,
        [
            ("shop", "Denied"),
            ("new", "Denied"),
            ("calico-system", "Exempt"),
            ("team", "Uncovered"),
        ]
    );
    assert_eq!(
        run.out.lines().last(),
        Some(
            "Namespace labels: of shop, team from the cluster; of new from the manifests; of calico-system unknown, except for the name."
        )
    );
    assert_eq!(
        run.err,
        "note: ImageAdmissionPolicy q has no effect until it is fixed: spec.allowedRepositories[0]: \"nginx\" is not a pattern: \"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0)\n"
    );
}

#[tokio::test]
async fn a_cluster_that_is_not_needed_does_not_fail_the_command() {
    let forbidden =
        || Call::get("/api/v1/namespaces/shop").fails(403, "Forbidden", "namespaces is forbidden");
    let (server, client) = ApiServer::playing([vec![forbidden()]]);
    let run = run_with(
        PODS,
        Some(POLICIES),
        Some(client),
        &RegistrySource::Offline,
        &[],
    )
    .await;
    server.finish();
    assert_eq!(run.outcome, Ok(Outcome::NotChecked));
    assert!(
        run.err.contains(
            "note: cannot read Namespace shop: namespaces is forbidden; labels of namespaces are from the manifests\n"
        ),
        "{}",
        run.err
    );
    let (server, client) = ApiServer::playing([policies_of_cluster(), vec![forbidden()]]);
    let run = run_with(PODS, None, Some(client), &RegistrySource::Offline, &[]).await;
    server.finish();
    assert_eq!(
        run.outcome,
        Err("cannot read Namespace shop: namespaces is forbidden; a check with the policies of the cluster requires permission to get the namespaces of the manifests".to_owned())
    );
}

#[tokio::test]
async fn a_namespace_has_the_label_with_its_name_whatever_the_manifests_say() {
    let policy = "{apiVersion: bailiff.dev/v1alpha1, kind: ImageAdmissionPolicy, metadata: {name: p}, spec: {allowedRepositories: [a.example/**], matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}}";
    let manifests = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {kubernetes.io/metadata.name: kube-system}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {containers: [{name: c, image: b}]}}
";
    let run = run_with(manifests, Some(policy), None, &RegistrySource::Offline, &[]).await;
    assert_eq!(run.outcome, Ok(Outcome::Denied), "{}", run.out);
    let run = run_with(
        "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: b}]}}",
        Some(policy),
        None,
        &RegistrySource::Offline,
        &["-n", "shop"],
    )
    .await;
    assert_eq!(run.outcome, Ok(Outcome::Denied), "{}", run.out);
}

#[tokio::test]
async fn policies_that_cannot_be_listed_end_the_command() {
    let mut calls = policies_of_cluster();
    calls[1] = Call::get("/apis/bailiff.dev/v1alpha1/imageadmissionpolicies").fails(
        403,
        "Forbidden",
        "forbidden",
    );
    let (server, client) = ApiServer::playing([calls]);
    let run = run_with(PODS, None, Some(client), &RegistrySource::Offline, &[]).await;
    server.finish();
    assert_eq!(
        run.outcome,
        Err("cannot list ImageAdmissionPolicies: forbidden; this requires permission to list imageadmissionpolicies and imageadmissionpolicybindings of the cluster, or policies in files: set --policy".to_owned())
    );
    assert_eq!(run.out, "");
}

#[tokio::test]
async fn a_kubeconfig_that_is_named_must_be_valid() {
    let cause = "cannot read kubeconfig /nonexistent: no such file; set --kubeconfig or KUBECONFIG";
    let or_policy = format!("{cause}, or set --policy to check with policies of files");
    for (flags, want) in [(&["--policy", "-"][..], cause), (&[], or_policy.as_str())] {
        let line = [
            "check",
            "-f",
            "-",
            "--offline",
            "--kubeconfig",
            "/nonexistent",
        ];
        let args = Line::parse_from(line.iter().chain(flags)).check;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let result = run(&args, &mut POLICIES.as_bytes(), &mut out, &mut err).await;
        assert_eq!(result.unwrap_err().to_string(), want);
    }
}

#[tokio::test]
async fn the_images_of_a_run_are_bounded() {
    let pod = |containers: usize| {
        let containers = vec![json!({"image": "a"}); containers];
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers}})
    };
    let run = run_with(
        &format!("{}{}{}", pod(1), pod(100_000), pod(1)),
        Some(POLICIES),
        None,
        &RegistrySource::Offline,
        &["-o", "json"],
    )
    .await;
    assert!(
        run.err.contains("error: cannot check pod/a of standard input, document 2 and what follows: there are more than 100000 images; check fewer files at once\n"),
        "{}",
        run.err
    );
    let json: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["objects"].as_array().unwrap().len(), 1);
}

#[test]
fn text_of_manifests_cannot_control_a_terminal() {
    let manifests = "{apiVersion: v1, kind: Pod, metadata: {name: \"a\\e[31m\", namespace: \"b\\n\"}, spec: {containers: [{name: \"c\\r\", image: \"d\\e\"}]}}";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let run = runtime.block_on(run_with(
        manifests,
        Some(POLICIES),
        None,
        &RegistrySource::Offline,
        &[],
    ));
    assert!(run.out.contains("pod/a\\u{1b}[31m"), "{}", run.out);
    let is_control = |c: char| c.is_control() && c != '\n';
    assert!(!run.out.contains(is_control), "{:?}", run.out);
    assert_eq!(run.out.lines().count(), 5, "{}", run.out);
}
