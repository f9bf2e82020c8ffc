//! The reason of a rejected pod, on the workload that owns it.

use super::{bind, denied, policy, try_kubectl, until};
use bailiff_e2e::Story;
use bailiff_e2e::workload::deployment;
use serde_json::{Value, json};

/// The Events about a rejected image of an object of this name.
fn image_events(story: &Story, name: &str) -> Vec<Value> {
    let fields = format!("reason=ImageDenied,regarding.name={name}");
    let events = story.get(&["events.events.k8s.io", "--field-selector", &fields]);
    events["items"].as_array().unwrap().clone()
}

#[test]
fn the_deployment_names_the_reason_and_heals_once_its_image_is_fixed() {
    let story = Story::begin("reasons");
    let registry = story.registry();
    let _digest = registry.push("web", "1", "first");
    let allowed = format!("{}/{}/*", registry.host(), story.namespace);
    bind(
        &story,
        &format!("allowedRepositories: ['{allowed}'], digest: {{pin: true}}"),
        "Deny",
    );
    let unlisted = "ghcr.io/acme/web:1.0";
    let _answer = until(&story, unlisted, denied);

    story.apply(&deployment("web", unlisted));
    story.event("ImageDenied", "web");
    let described = story.kubectl(&["describe", "deployment", "web"]);
    let reason = format!(
        "Container app uses repository ghcr.io/acme/web, which is not allowed. ImageAdmissionPolicy {} allows {allowed}. Use an image from an allowed repository.",
        policy(&story)
    );
    let line = described.lines().find(|line| line.contains("ImageDenied"));
    assert!(
        line.is_some_and(|line| line.contains("Warning") && line.contains(&reason)),
        "{reason} is missing in: {described}"
    );
    let event = &image_events(&story, "web")[0];
    assert_eq!(event["regarding"]["kind"], "Deployment");
    let uid = &story.get(&["deployment/web"])["metadata"]["uid"];
    assert_eq!(&event["regarding"]["uid"], uid);

    story.apply(&deployment(
        "web",
        &format!("{}:1", registry.repository("web")),
    ));
    story.wait("condition=Available", &["deployment/web"]);
    story.end();
}

/// A `ReplicaSet` of a Deployment that wants no pods.
fn replica_set(story: &Story, name: &str) -> Value {
    let deployment = deployment(name, "ghcr.io/acme/web:1.0");
    story.apply(&deployment.replace("replicas: 1", "replicas: 0"));
    let selector = format!("app={name}");
    story.wait("create", &["replicaset", "-l", &selector]);
    story.get(&["replicasets", "-l", &selector])["items"][0].clone()
}

#[test]
fn a_dry_run_writes_no_event() {
    let story = Story::begin("dry-runs");
    bind(&story, "allowedRepositories: ['quay.io/acme/**']", "Deny");
    let _answer = until(&story, "ghcr.io/acme/web:1.0", denied);
    // A pod as its ReplicaSet would create it; the same is created for both.
    for (name, dry_run) in [("dry", "--dry-run=server"), ("real", "--dry-run=none")] {
        let owner = replica_set(&story, name);
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": story.namespace,
                "labels": owner["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [{
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": true,
                }],
            },
            "spec": {"containers": [{"name": "app", "image": "ghcr.io/acme/web:1.0"}]},
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pod.to_string()).unwrap();
        let path = file.path().to_str().unwrap();
        let created = try_kubectl(&story, &["create", dry_run, "-f", path]);
        assert!(
            !created.success && created.stderr.contains("which is not allowed"),
            "{}",
            created.stderr
        );
    }
    // Events are written in order.
    story.event("ImageDenied", "real");
    assert_eq!(image_events(&story, "dry"), Vec::<Value>::new());
    story.end();
}
