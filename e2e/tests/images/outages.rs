//! A registry that is away, for images that were seen before and for new ones.

use super::{bind, policy, try_kubectl, until, until_denied, until_pinned};
use bailiff_e2e::{NAMESPACE, Registry, Story, upgrade};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A story with one replica of the webhook, whose memory is then the only one, and an image that it knows.
fn begin(name: &str) -> (Story, Registry, String, String) {
    let story = Story::begin_alone(name);
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "known");
    let _unknown = registry.push("web", "2", "unknown");
    bind(&story, "digest: {pin: true}", "Deny");
    (story, registry, web, digest)
}

#[test]
fn with_the_registry_down_known_images_are_admitted_and_others_denied_with_the_cause() {
    let (story, registry, web, digest) = begin("registry-down");
    let alone = story.scale_webhook(1);
    let (known, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    let _text = until_pinned(&story, &known, &pinned);
    let down = story.stop_registry();
    let _text = until_pinned(&story, &known, &pinned);
    let _text = until_pinned(&story, &pinned, &pinned);
    let unknown = format!("{web}:2");
    let why = unreachable(&story, &registry, &unknown);
    let _why = until_denied(&story, &unknown, &why);
    // Later the answer about the tag is old, and still the one that counts.
    let old = format!(
        "ago, because registry {} cannot be reached",
        registry.host()
    );
    let _text = until(&story, &known, |success, text| {
        success && text.contains(&pinned) && text.contains(&old)
    });
    drop(down);
    let _text = until(&story, &unknown, |success, text| {
        success && text.contains("@sha256:")
    });
    drop(alone);
    story.end();
}

/// Why a pod with an image is denied while the registry is down.
fn unreachable(story: &Story, registry: &Registry, image: &str) -> String {
    format!(
        "Container probe: {image} could not be checked, because registry {0} cannot be reached. ImageAdmissionPolicy {1} requires images that were checked. Retry later; controllers retry automatically. If it continues, an administrator must check registry {0}.",
        registry.host(),
        policy(story)
    )
}

/// Creates a pod with an image; the image that it then has.
fn created(story: &Story, name: &str, image: &str) -> String {
    let run = ["run", name, "--image", image, "--restart=Never", "-o=json"];
    let output = try_kubectl(story, &run);
    assert!(output.success, "{}", output.stderr);
    let pod: Value = serde_json::from_str(&output.stdout).unwrap();
    let image = &pod["spec"]["containers"][0]["image"];
    image.as_str().unwrap().to_owned()
}

/// The name of the `ConfigMap` that has an image; none: it was not written yet.
fn config_map_of(story: &Story, image: &str) -> Option<(String, Value)> {
    let maps = story.cluster.get(&["configmaps", "-n", NAMESPACE]);
    let maps = maps["items"].as_array().unwrap().iter();
    let of_image = format!("\"image\":\"{image}\"");
    let mut found = maps.filter(|map| {
        let facts = map["data"]["facts"].as_str();
        facts.is_some_and(|facts| facts.contains(&of_image))
    });
    let map = found.next()?;
    let name = map["metadata"]["name"].as_str().unwrap().to_owned();
    Some((name, map["data"].clone()))
}

/// Asks until something is so.
fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What `bailiff status` prints about the `ConfigMaps`.
fn status_of_facts(story: &Story) -> Vec<String> {
    let program = std::env::var_os("BAILIFF_E2E_PROGRAM")
        .unwrap_or_else(|| panic!("BAILIFF_E2E_PROGRAM is not set: run this with hack/e2e.sh"));
    let mut command = story.cluster.command(&program.to_string_lossy());
    let output = command.args(["status", "-n", NAMESPACE]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter(|row| row.starts_with("webhook/facts"));
    rows.map(str::to_owned).collect()
}

#[test]
fn after_a_restart_with_the_registry_down_admitted_images_are_admitted_by_tag_too() {
    let (story, registry, web, digest) = begin("registry-down-restart");
    let (known, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    let _text = until_pinned(&story, &known, &pinned);
    let down = story.stop_registry();
    // No pod was created with it yet, and a dry run is not remembered.
    story.restart_webhook();
    let why = unreachable(&story, &registry, &known);
    let _why = until_denied(&story, &known, &why);
    drop(down);
    let _text = until_pinned(&story, &known, &pinned);
    assert_eq!(created(&story, "before", &known), pinned);

    let down = story.stop_registry();
    story.restart_webhook();
    let admitted = |success: bool, text: &str| {
        success && text.contains(&pinned) && text.contains(" ago, last admitted on 20")
    };
    let _text = until(&story, &known, admitted);
    let _text = until_pinned(&story, &pinned, &pinned);
    assert_eq!(created(&story, "after", &known), pinned);
    let unknown = format!("{web}:2");
    let why = unreachable(&story, &registry, &unknown);
    let _why = until_denied(&story, &unknown, &why);

    corrupt(&story, &registry, &known);
    drop(down);
    // The webhook replaces the data with the next pod.
    let _text = until_pinned(&story, &known, &pinned);
    assert_eq!(created(&story, "again", &known), pinned);
    eventually("the ConfigMap is not written again", || {
        let written = config_map_of(&story, &known).is_some();
        (written && status_of_facts(&story).is_empty()).then_some(())
    });
    story.end();
}

/// Somebody who can remove the protection changes the digest of an image: it is reported and not used.
fn corrupt(story: &Story, registry: &Registry, known: &str) {
    // The last one wrote what it admitted again, so that no memory has it.
    story.restart_webhook();
    let (map, data) = config_map_of(story, known).unwrap();
    assert_eq!(status_of_facts(story), Vec::<String>::new());
    let other = format!("sha256:{}", "0".repeat(64));
    let facts = data["facts"].as_str().unwrap();
    let at = facts.find("\"digest\":\"").unwrap() + "\"digest\":\"".len();
    let before = &facts[at..at + other.len()];
    let forged = json!({"data": {"facts": facts.replace(before, &other)}}).to_string();
    let patch = [
        "patch",
        "configmap",
        &map,
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        &forged,
    ];
    let words = "only the webhook of Bailiff can write the data of this ConfigMap";
    let denied = story.cluster.try_kubectl(&patch);
    assert!(denied.stderr.contains(words), "{}", denied.stderr);
    let binding = [
        "validatingadmissionpolicybinding",
        "bailiff-facts-protection",
    ];
    let _deleted = story.cluster.kubectl(&[&["delete"][..], &binding].concat());
    eventually("the ConfigMap cannot be changed", || {
        story.cluster.try_kubectl(&patch).success.then_some(())
    });
    let _said = upgrade(&story.cluster, &[]);
    let why = unreachable(story, registry, known);
    let _why = until_denied(story, known, &why);
    let row =
        format!("ConfigMap {map} is corrupt: the hash of the facts is not that of the key sha256.");
    let rows = status_of_facts(story);
    assert!(rows.len() == 1 && rows[0].contains(&row), "{rows:?}");
}

#[test]
fn with_the_registry_frozen_the_webhook_answers_before_the_api_server_gives_up() {
    let (story, registry, web, digest) = begin("registry-frozen");
    let alone = story.scale_webhook(1);
    let (known, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    let _text = until_pinned(&story, &known, &pinned);
    let frozen = story.freeze_registry();
    // Once the API server gives up waiting, it admits the pod: the entry's failurePolicy is Ignore.
    let unknown = format!("{web}:2");
    let host = registry.host();
    let causes = [
        format!("because registry {host} has not answered yet"),
        format!("because registry {host} does not answer in time"),
    ];
    for _ in 0..10 {
        let (success, text) = super::probe(&story, &unknown);
        assert!(!success, "{text}");
        assert!(causes.iter().any(|cause| text.contains(cause)), "{text}");
    }
    // Who waits for a registry that does not answer is not in the way of others.
    let _text = until_pinned(&story, &pinned, &pinned);
    drop(frozen);
    let _text = until(&story, &unknown, |success, text| {
        success && text.contains("@sha256:")
    });
    drop(alone);
    story.end();
}
