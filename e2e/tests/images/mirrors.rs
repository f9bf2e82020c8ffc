//! A node whose mirror serves other images than the registry.

use super::{bind, until_pinned};
use bailiff_e2e::Story;
use bailiff_testbed::{Cluster, NODES, busybox};
use serde_json::Value;

/// A pod on the node whose mirror lies.
fn on_node(name: &str, image: &str) -> String {
    bailiff_e2e::workload::pod(name, image, Some(NODES[1]))
}

/// The image that runs in a pod.
fn runs(pod: &Value) -> &str {
    let status = &pod["status"]["containerStatuses"][0];
    status["imageID"].as_str().unwrap()
}

#[test]
fn a_pinned_pod_runs_what_was_admitted_or_not_at_all_whatever_a_mirror_serves() {
    let story = Story::begin("mirrors");
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    let (tag, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    let mut other = busybox().unwrap();
    other.label("version", &format!("{}-lie", story.namespace));
    let cluster = Cluster::running().unwrap();
    let repository = format!("{}/web", story.namespace);
    let mirror = cluster.lying_mirror(NODES[1], &repository, &other).unwrap();

    // Without a policy, the pod keeps its tag, and the node takes what the mirror serves for it.
    story.apply(&on_node("tagged", &tag));
    story.wait("condition=Ready", &["pod/tagged"]);
    let tagged = story.get(&["pod/tagged"]);
    let lie = runs(&tagged);
    assert!(lie.starts_with(&format!("{web}@sha256:")), "{lie}");
    assert_ne!(lie, pinned);

    bind(&story, "digest: {pin: true}", "Deny");
    let _text = until_pinned(&story, &tag, &pinned);
    story.apply(&on_node("pinned", &tag));
    let failed = "reason=Failed,regarding.name=pinned";
    story.wait(
        "create",
        &["events.events.k8s.io", "--field-selector", failed],
    );
    let pod = story.get(&["pod/pinned"]);
    assert_eq!(pod["spec"]["containers"][0]["image"], pinned.as_str());
    assert_eq!(pod["status"]["containerStatuses"][0]["started"], false);
    let events = story.get(&["events.events.k8s.io", "--field-selector", failed]);
    let (_, other) = lie.split_once('@').unwrap();
    let why = format!("unexpected commit digest {other}, expected {digest}");
    let notes: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["note"].as_str().unwrap())
        .collect();
    assert!(notes.iter().any(|note| note.contains(&why)), "{notes:?}");
    let asked = format!("GET /v2/{repository}/manifests/{digest}");
    assert!(mirror.asked().contains(&asked), "{:?}", mirror.asked());

    // Once the mirror is gone, the kubelet's next attempt starts what was admitted.
    drop(mirror);
    story.wait("condition=Ready", &["pod/pinned"]);
    assert_eq!(runs(&story.get(&["pod/pinned"])), pinned);
    story.end();
}
