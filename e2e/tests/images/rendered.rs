//! What the API server enforces by itself once it is rendered, whatever the webhook does.

use super::{bind, denied, policy, try_kubectl, until};
use bailiff_e2e::workload::{BUSYBOX, deployment, pod};
use bailiff_e2e::{NAMESPACE, Story};
use serde_json::Value;
use std::time::{Duration, Instant};

fn repositories(pattern: &str) -> String {
    format!("allowedRepositories: ['{pattern}']")
}

#[test]
fn a_pod_from_another_registry_is_denied_with_the_reason_and_the_fixed_one_runs() {
    let story = Story::begin("images");
    let busybox = BUSYBOX.split(':').next().unwrap();
    bind(&story, &repositories(busybox), "Deny");
    let policy = policy(&story);
    let why = until(&story, "ghcr.io/acme/web:1.0", denied);
    let want = format!(
        "Container probe uses repository ghcr.io/acme/web, which is not allowed. ImageAdmissionPolicy {policy} allows {busybox}. Use an image from an allowed repository."
    );
    assert!(why.contains(&want), "{why}");
    let why = until(&story, "GHCR.io/acme/web:1.0", denied);
    assert!(
        why.contains("Container probe has an image reference that is not valid."),
        "{why}"
    );

    // A Deployment is created; its ReplicaSet says why it has no pods.
    story.apply(&deployment("web", "ghcr.io/acme/web:1.0"));
    story.wait(
        "create",
        &["events", "--field-selector", "reason=FailedCreate"],
    );
    let described = story.kubectl(&["describe", "replicaset", "-l", "app=web"]);
    assert!(
        described.contains("uses repository ghcr.io/acme/web, which is not allowed."),
        "{described}"
    );
    story.apply(&deployment("web", BUSYBOX));
    story.wait("condition=Available", &["deployment/web"]);
    story.end();
}

#[test]
fn what_runs_already_can_be_changed_but_not_with_another_image() {
    let story = Story::begin("old-images");
    story.apply(&pod("old", BUSYBOX, None));
    story.wait("condition=Ready", &["pod/old"]);
    bind(&story, &repositories("ghcr.io/acme/**"), "Deny");
    let _answer = until(&story, BUSYBOX, denied);
    let _labeled = story.kubectl(&["label", "pod/old", "a=b"]);
    let name = story.get(&["pod/old"])["spec"]["containers"][0]["name"].clone();
    let image =
        format!(r#"{{"spec":{{"containers":[{{"name":{name},"image":"ghcr.io/evil/web:1"}}]}}}}"#);
    let changed = try_kubectl(&story, &["patch", "pod/old", "-p", &image]);
    assert!(
        !changed.success && changed.stderr.contains("repository ghcr.io/evil/web"),
        "{}",
        changed.stderr
    );
    let debugged = try_kubectl(
        &story,
        &[
            "debug",
            "pod/old",
            "--image=quay.io/debug/tools",
            "--",
            "sh",
        ],
    );
    assert!(
        !debugged.success
            && debugged
                .stderr
                .contains("uses repository quay.io/debug/tools, which is not allowed"),
        "{}",
        debugged.stderr
    );
    let _deleted = story.kubectl(&["delete", "pod/old", "--wait=false"]);
    story.end();
}

#[test]
fn warn_warns_and_a_binding_that_goes_stops_the_rule() {
    let story = Story::begin("warned-images");
    bind(&story, &repositories("ghcr.io/acme/**"), "Warn");
    let warned = until(&story, BUSYBOX, |success, text| {
        success && text.contains("Warning:")
    });
    assert!(warned.contains("which is not allowed"), "{warned}");
    let name = policy(&story);
    let _gone = story.cluster.kubectl(&["delete", "iapb", &name]);
    let _answer = until(&story, BUSYBOX, |success, text| {
        success && !text.contains("Warning:")
    });
    story.end();
}

#[test]
fn what_somebody_changes_of_a_rendered_policy_is_restored_and_nothing_is_written_without_need() {
    let story = Story::begin("drift-images");
    bind(&story, &repositories("ghcr.io/acme/**"), "Deny");
    let name = format!("bailiff-image.images-{}", story.namespace);
    let live = |kind: &str| story.cluster.get(&[kind, &name]);
    let policy = "validatingadmissionpolicy";
    let binding = "validatingadmissionpolicybinding";
    let before = (live(policy), live(binding));
    let _changed = story.cluster.kubectl(&[
        "patch",
        binding,
        &name,
        "--type=merge",
        "-p",
        r#"{"spec":{"validationActions":["Audit"]}}"#,
    ]);
    let label = "app.kubernetes.io/managed-by=somebody";
    let _labeled = story
        .cluster
        .kubectl(&["label", "--overwrite", binding, &name, label]);
    let _gone = story.cluster.kubectl(&["delete", policy, &name]);
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        let policies = story.cluster.get(&[policy]);
        let items = policies["items"].as_array().unwrap().clone();
        let restored: Option<Value> = items.into_iter().find(|p| p["metadata"]["name"] == *name);
        if restored.is_some_and(|p| p["spec"] == before.0["spec"])
            && live(binding)["spec"] == before.1["spec"]
        {
            break;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(200));
    }
    // The API server writes the status of a new policy once.
    let checked = "jsonpath={.status.observedGeneration}=1";
    story.cluster.wait(checked, &[&format!("{policy}/{name}")]);
    // What the renderer wrote equals what it wants, so its next passes write nothing.
    let settled = live(policy)["metadata"]["resourceVersion"].clone();
    let _restarted = story.cluster.kubectl(&[
        "-n",
        NAMESPACE,
        "rollout",
        "restart",
        "deployment/bailiff-renderer",
    ]);
    let _done = story.cluster.kubectl(&[
        "-n",
        NAMESPACE,
        "rollout",
        "status",
        "deployment/bailiff-renderer",
        "--timeout=300s",
    ]);
    assert_eq!(live(policy)["spec"], before.0["spec"]);
    let now = live(policy)["metadata"]["resourceVersion"].clone();
    assert_eq!(now, settled);
    story.end();
}

#[test]
fn a_policy_with_a_fault_says_what_and_keeps_what_is_enforced() {
    let story = Story::begin_alone("faulty-images");
    bind(&story, &repositories("ghcr.io/acme/**"), "Deny");
    let _answer = until(&story, BUSYBOX, denied);
    let name = policy(&story);
    // The webhook rejects such a policy, if it is there.
    let down = story.scale_webhook(0);
    let patch = r#"{"spec":{"allowedRepositories":["nginx"]}}"#;
    let _changed = story
        .cluster
        .kubectl(&["patch", "iap", &name, "--type=merge", "-p", patch]);
    drop(down);
    story
        .cluster
        .wait("condition=Ready=false", &[&format!("iap/{name}")]);
    let conditions = story.cluster.get(&["iap", &name])["status"]["conditions"].clone();
    assert_eq!(
        conditions[0]["message"],
        "spec.allowedRepositories[0]: \"nginx\" is not a pattern: \"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx (byte 0)"
    );
    assert_eq!(
        conditions[1]["message"],
        "The API server still enforces generation 1 of the policy. Correct the policy."
    );
    let _answer = until(&story, BUSYBOX, denied);
    story.end();
}
