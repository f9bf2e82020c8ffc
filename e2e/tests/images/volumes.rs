//! Images that a pod mounts as volumes.

use super::{bind, policy, until_pinned};
use bailiff_e2e::Story;
use bailiff_e2e::workload::BUSYBOX;
use serde_json::{Value, json};

/// A pod that mounts an image at `/data`.
fn mounting(story: &Story, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": story.namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "app",
                "image": BUSYBOX,
                "imagePullPolicy": "Never",
                "command": ["sleep", "100000"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}],
        },
    })
}

#[test]
fn an_image_volume_is_judged_and_pinned_and_its_files_are_there() {
    let story = Story::begin("volumes");
    let registry = story.registry();
    let data = registry.repository("data");
    let digest = registry.push("data", "1", "first");
    let (tag, pinned) = (format!("{data}:1"), format!("{data}@{digest}"));
    let busybox = BUSYBOX.split(':').next().unwrap();
    let allowed = format!("{}/{}/*", registry.host(), story.namespace);
    bind(
        &story,
        &format!(
            "allowedRepositories: ['{allowed}', '{busybox}'], digest: {{pin: true, pinExclude: ['{busybox}']}}"
        ),
        "Deny",
    );
    let _text = until_pinned(&story, &tag, &pinned);

    for (image, why) in [
        (
            "ghcr.io/acme/data:1".to_owned(),
            "Image volume data uses repository ghcr.io/acme/data, which is not allowed.".to_owned(),
        ),
        (
            format!("{data}:none"),
            format!(
                "Image volume data uses {data}:none, which registry {} does not have.",
                registry.host()
            ),
        ),
    ] {
        let output = story
            .cluster
            .try_apply(&mounting(&story, "denied", &image).to_string());
        assert!(
            !output.success
                && output.stderr.contains(&why)
                && output.stderr.contains(&policy(&story)),
            "{}{}",
            output.stdout,
            output.stderr
        );
    }

    story.apply(&mounting(&story, "mounting", &tag).to_string());
    story.wait("condition=Ready", &["pod/mounting"]);
    let pod = story.get(&["pod/mounting"]);
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "data");
    assert_eq!(volume.unwrap()["image"]["reference"], pinned.as_str());
    assert_eq!(
        pod["metadata"]["annotations"]["image-volume.bailiff.dev/data"],
        tag.as_str()
    );
    assert_eq!(pod["spec"]["containers"][0]["image"], BUSYBOX);
    let read = story.exec(&pod, &["ls", "/data/bin/busybox"]);
    assert_eq!(read.stdout, "/data/bin/busybox\n", "{}", read.stderr);
    story.end();
}
