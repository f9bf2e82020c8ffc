//! Pods that violate a policy which is younger than they are.

use super::{bind, denied, until};
use bailiff_e2e::workload::{BUSYBOX, daemon_set, deployment, pod};
use bailiff_e2e::{Story, helm, install_arguments, upgrade};
use bailiff_testbed::NODES;
use std::time::{Duration, Instant};

/// A bare pod and a Deployment whose images a policy denies that is bound after they run.
fn violating(name: &str) -> Story {
    let story = Story::begin_alone(name);
    story.apply(&pod("old", BUSYBOX, None));
    story.apply(&deployment("web", BUSYBOX));
    story.wait("condition=Ready", &["pod/old"]);
    story.wait("condition=Available", &["deployment/web"]);
    let spec = "allowedRepositories: ['ghcr.io/acme/**'], digest: {pin: true}";
    bind(&story, spec, "Deny");
    let _answer = until(&story, BUSYBOX, denied);
    story
}

/// What must be possible with a pod that violates a policy, whoever is down.
fn can_be_changed_and_removed(story: &Story) {
    let _labeled = story.kubectl(&["label", "pod/old", "a=b"]);
    let finalizer = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    let _held = story.kubectl(&["patch", "pod/old", "-p", finalizer]);
    let _deleted = story.kubectl(&["delete", "pod/old", "--wait=false"]);
    let released = r#"{"metadata":{"finalizers":null}}"#;
    let _released = story.kubectl(&["patch", "pod/old", "-p", released]);
    story.wait("delete", &["pod/old"]);
    let _scaled = story.kubectl(&["scale", "deployment/web", "--replicas=0"]);
    story.wait("delete", &["pod", "-l", "app=web"]);
}

/// The installation of other stories, when this is dropped, also in a story that fails.
struct AsInstalled<'a>(&'a Story);

impl Drop for AsInstalled<'_> {
    fn drop(&mut self) {
        // A panic while another one unwinds would end the test program without a report.
        if !std::thread::panicking() {
            let _said = upgrade(&self.0.cluster, &[]);
            return;
        }
        let arguments = install_arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let _output = helm(&self.0.cluster, &arguments);
    }
}

#[test]
fn what_runs_can_be_changed_and_removed_with_the_webhook_up() {
    let story = violating("old-up");
    can_be_changed_and_removed(&story);
    story.end();
}

#[test]
fn with_the_webhook_down_pods_are_admitted_and_rendered_rules_hold() {
    let story = violating("old-ignored");
    let registry = story.registry();
    let tag = format!("{}:1", registry.repository("web"));
    let _digest = registry.push("web", "1", "first");
    let down = story.scale_webhook(0);
    // The rule that the API server has.
    let why = until(&story, &tag, denied);
    assert!(why.contains("which is not allowed"), "{why}");
    // What only the webhook can do is left out.
    bind(&story, "digest: {pin: true}", "Deny");
    let unpinned = format!("\"image\": \"{tag}\"");
    let _text = until(&story, &tag, |success, text| {
        success && text.contains(&unpinned)
    });
    can_be_changed_and_removed(&story);
    drop(down);
    // It is back, and pins again.
    let _text = until(&story, &tag, |success, text| {
        success && !text.contains(&unpinned)
    });
    story.end();
}

#[test]
fn with_the_webhook_down_under_fail_only_new_images_are_rejected_and_the_cluster_recovers() {
    let story = violating("old-failed");
    let registry = story.registry();
    let web = registry.repository("web");
    let tag = format!("{web}:1");
    let digest = registry.push("web", "1", "first");
    bind(&story, "digest: {pin: true}", "Deny");
    let restored = AsInstalled(&story);
    let _said = upgrade(&story.cluster, &["--set", "webhook.failurePolicy=Fail"]);
    let down = story.scale_webhook(0);
    let why = until(&story, &tag, denied);
    assert!(
        why.contains("failed calling webhook \"pods.bailiff.dev\""),
        "{why}"
    );
    can_be_changed_and_removed(&story);
    what_the_cluster_runs_on_comes_back(&story);
    // Bailiff's pods need no webhook to come back.
    drop(down);
    let pinned = format!("{web}@{digest}");
    let _text = super::until_pinned(&story, &tag, &pinned);
    drop(restored);
    story.end();
}

/// A `DaemonSet` that the cluster runs on, as a network plugin's. It ends when this is dropped.
struct Plugin<'a>(&'a Story, String);

impl<'a> Plugin<'a> {
    fn start(story: &'a Story) -> Self {
        let name = story.namespace.clone();
        let manifest = daemon_set(&name, BUSYBOX).replace("NAMESPACE", "kube-system");
        story.cluster.apply(&manifest);
        Self(story, name)
    }

    /// Waits until it runs on every node.
    fn is_ready(&self) {
        let name = format!("daemonset/{}", self.1);
        for field in ["updatedNumberScheduled", "numberReady"] {
            let all = format!("jsonpath={{.status.{field}}}={}", NODES.len());
            self.0.cluster.wait(&all, &[&name, "-n", "kube-system"]);
        }
    }
}

impl Drop for Plugin<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "daemonset", &self.1, "-n", "kube-system"];
        let _output = self.0.cluster.try_kubectl(&delete);
    }
}

/// The pods of a network plugin are deleted. Their image violates a policy that selects their namespace too.
fn what_the_cluster_runs_on_comes_back(story: &Story) {
    let plugin = Plugin::start(story);
    plugin.is_ready();
    story.apply(
        "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: plugin-NAMESPACE}
spec:
  policyName: images-NAMESPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}
  validationActions: [Deny]
",
    );
    let binding = format!("iapb/plugin-{}", story.namespace);
    story.cluster.wait("condition=Ready", &[&binding]);
    let selector = format!("app={}", plugin.1);
    let pods = ["pods", "-n", "kube-system", "-l", &selector];
    // It deletes the pods that are there, and returns when they are gone.
    let _deleted = story.cluster.kubectl(&[&["delete"], &pods[..]].concat());
    let deadline = Instant::now() + Duration::from_mins(5);
    // The status of the DaemonSet counts the pods of before for a while.
    while story.cluster.get(&pods)["items"].as_array().unwrap().len() < NODES.len() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(200));
    }
    story.cluster.wait("condition=Ready", &pods);
}
