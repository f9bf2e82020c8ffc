//! Static pods, which a kubelet runs from a file: to deny what it reports of them stops nothing.

use super::{bind, denied, policy, until};
use bailiff_e2e::Story;
use bailiff_e2e::workload::BUSYBOX;
use bailiff_testbed::{Cluster, NODES};
use serde_json::{Value, json};

const SPEC: &str = "allowedRepositories: ['ghcr.io/acme/**'], digest: {pin: true}";

fn manifest(story: &Story, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fixed", "namespace": story.namespace, "annotations": annotations},
        "spec": {
            "nodeName": NODES[0],
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sleep", "100000"]}],
        },
    })
}

/// The file of a static pod, which goes when this is dropped, also in a story that fails.
struct File<'a>(Cluster, &'a str);

impl Drop for File<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove_static_pod(NODES[0], self.1) {
            eprintln!("cannot remove the static pod: {error:#}");
        }
    }
}

#[test]
fn a_static_pod_is_reported_as_it_runs_and_counts_as_not_evaluated() {
    let story = Story::begin("static-images");
    bind(&story, SPEC, "Deny");
    let _answer = until(&story, BUSYBOX, denied);
    let cluster = Cluster::running().unwrap();
    let text = manifest(&story, &Value::Null).to_string();
    cluster
        .write_static_pod(NODES[0], &story.namespace, &text)
        .unwrap();
    let file = File(cluster, &story.namespace);
    let mirror = format!("pod/fixed-{}", NODES[0]);
    story.wait("create", &[&mirror]);
    story.wait("condition=Ready", &[&mirror]);
    let pod = story.get(&[&mirror]);
    assert_eq!(pod["spec"]["containers"][0]["image"], BUSYBOX);
    let pins = pod["metadata"]["annotations"].as_object().unwrap();
    let is_pin = |key: &&String| key.starts_with("image.bailiff.dev/");
    assert_eq!(pins.keys().find(is_pin), None);

    // No policy denies it, as a person sees who asks what a policy would deny.
    let policies = tempfile::NamedTempFile::new().unwrap();
    let text = story
        .cluster
        .kubectl(&["get", "iap", &policy(&story), "-o=json"]);
    std::fs::write(policies.path(), text).unwrap();
    let path = policies.path().to_str().unwrap();
    let listed = |question: &[&str]| {
        let images = ["images", "-n", &story.namespace];
        let output = story.cluster.bailiff(&[&images[..], question].concat());
        assert!(output.success, "{}{}", output.stdout, output.stderr);
        output.stdout
    };
    let summary = "Running pods have 1 image: 1 Exempt.\n";
    assert_eq!(listed(&["--policy", path, "--offline"]), summary);
    assert_eq!(listed(&["--uncovered"]), summary);

    // The annotation of what a kubelet reports exempts nobody else.
    let claimed = manifest(
        &story,
        &json!({"kubernetes.io/config.mirror": "x", "kubernetes.io/config.hash": "x"}),
    );
    let output = story.cluster.try_apply(&claimed.to_string());
    let why = format!(
        "Container app uses repository bailiff.dev/testbed/busybox, which is not allowed. ImageAdmissionPolicy {} allows ghcr.io/acme/**.",
        policy(&story)
    );
    assert!(
        !output.success && output.stderr.contains(&why),
        "{}{}",
        output.stdout,
        output.stderr
    );
    drop(file);
    story.wait("delete", &[&mirror]);
    story.end();
}
