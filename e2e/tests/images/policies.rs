//! What people read when they write a policy, or a workload that a policy will not let run.

use super::{bind, denied, policy, until};
use bailiff_e2e::workload::BUSYBOX;
use bailiff_e2e::{Output, Story};

/// A policy of the story's, which is not applied.
fn rejected(story: &Story, kind: &str, spec: &str) -> String {
    let Output {
        success,
        stdout,
        stderr,
    } = story.cluster.try_apply(&format!(
        "{{apiVersion: bailiff.dev/v1alpha1, kind: {kind}, metadata: {{name: {}}}, spec: {spec}}}",
        policy(story)
    ));
    assert!(!success, "{stdout}");
    stderr
}

#[test]
fn a_policy_that_does_not_compile_is_rejected_with_field_and_remedy() {
    let story = Story::begin("rejected-policies");
    let said = rejected(
        &story,
        "ImageAdmissionPolicy",
        "{allowedRepositories: [ghcr.io/acme/**, nginx]}",
    );
    for part in [
        "policies.bailiff.dev",
        "spec.allowedRepositories[1]: \"nginx\" is not a pattern: \"nginx\" is not a registry host; start with the host, such as docker.io/library/nginx",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = rejected(
        &story,
        "RuntimePolicy",
        "{severity: High, validations: [{expression: \"process.naems.size() == 0\", message: never}]}",
    );
    for part in [
        "policies.bailiff.dev",
        "spec.validations[0].expression",
        "naems",
    ] {
        assert!(said.contains(part), "{said}");
    }
    story.end();
}

#[test]
fn a_policy_that_compiles_no_more_can_be_labeled_and_deleted() {
    let story = Story::begin_alone("old-policies");
    let name = policy(&story);
    let down = story.scale_webhook(0);
    story.apply(&format!(
        "{{apiVersion: bailiff.dev/v1alpha1, kind: ImageAdmissionPolicy, metadata: {{name: {name}}}, spec: {{allowedRepositories: [nginx]}}}}"
    ));
    drop(down);
    let _labeled = story.cluster.kubectl(&["label", "iap", &name, "a=b"]);
    let _deleted = story.cluster.kubectl(&["delete", "iap", &name]);
    story.end();
}

#[test]
fn a_workload_that_will_have_no_pods_is_created_with_a_warning() {
    let story = Story::begin("warned-workloads");
    bind(&story, "allowedRepositories: ['ghcr.io/acme/**']", "Deny");
    let _answer = until(&story, BUSYBOX, denied);
    let image = format!("--image={BUSYBOX}");
    let create = ["create", "deployment", "web", &image, "-n"];
    let created = story
        .cluster
        .try_kubectl(&[&create[..], &[&story.namespace]].concat());
    assert!(created.success, "{}", created.stderr);
    let want = format!(
        "Container busybox uses repository bailiff.dev/testbed/busybox, which is not allowed. ImageAdmissionPolicy {} allows ghcr.io/acme/**.",
        policy(&story)
    );
    let warning = created.stderr.lines().find(|l| l.starts_with("Warning:"));
    assert!(
        warning.is_some_and(|line| line.contains(&want)),
        "{want} is missing in: {}",
        created.stderr
    );
    story.end();
}
