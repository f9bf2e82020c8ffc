//! Two tenants and one private image: who has no credential for it learns nothing of it.

use super::{ACCOUNT, begin_alone};
use bailiff_e2e::images::until_pinned;
use bailiff_e2e::{Registry, SHARED, Story};
use serde_json::json;
use std::time::{Duration, Instant};

/// Questions that the webhook's memory did not answer.
const MISSES: &str = "bailiff_webhook_lookup_misses_total";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// A policy for the namespaces of both tenants.
fn bind(story: &Story, other: &str) {
    bailiff_e2e::images::bind(story, "digest: {pin: true}", "Deny");
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": other}});
    story.apply(
        &json!({
            "apiVersion": "bailiff.dev/v1alpha1",
            "kind": "ImageAdmissionPolicyBinding",
            "metadata": {"name": "other-NAMESPACE"},
            "spec": {
                "policyName": "images-NAMESPACE",
                "matchResources": {"namespaceSelector": selector},
                "validationActions": ["Deny"],
            },
        })
        .to_string(),
    );
    let name = format!("iapb/other-{}", story.namespace);
    story.cluster.wait("condition=Ready", &[&name]);
}

/// What the tenant without the credential reads about a tag of the private image.
fn unauthorized(story: &Story, registry: &Registry, image: &str) -> String {
    let (name, digest) = image.split_once("@sha256:").unwrap_or((image, ""));
    let image = match digest.get(..12) {
        Some(digest) => format!("{name}@sha256:{digest}"),
        None => name.to_owned(),
    };
    format!(
        "Container probe: {image} could not be checked, because registry {} requires other credentials (401). ImageAdmissionPolicy images-{} requires images that were checked. Check the reference. An administrator can add credentials for it to the value registries of Bailiff.",
        registry.host(),
        story.namespace
    )
}

/// The other tenant's answer about an image.
fn probe(story: &Story, other: &str, image: &str) -> (bool, String) {
    let run = [
        "run",
        "probe",
        "--image",
        image,
        "--dry-run=server",
        "-n",
        other,
    ];
    let output = story.cluster.try_kubectl(&run);
    (output.success, output.stderr)
}

/// Waits until policies apply to the other tenant.
fn is_bound(story: &Story, other: &str) {
    let deadline = Instant::now() + PATIENCE;
    // No registry is asked about it.
    while probe(story, other, "registry.example.com/web:1").0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(PAUSE);
    }
}

/// Asks as the other tenant until the registry has answered.
fn is_unauthorized(story: &Story, registry: &Registry, other: &str, image: &str) {
    let why = unauthorized(story, registry, image);
    let pending = format!("registry {} has not answered yet", registry.host());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (success, text) = probe(story, other, image);
        assert!(!success, "{text}");
        if text.contains(&why) {
            return;
        }
        // Nothing else is said on the way.
        assert!(
            text.contains(&pending) && Instant::now() < deadline,
            "{why} is missing in: {text}"
        );
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn a_tenant_without_the_credential_learns_nothing_of_a_private_image() {
    let story = begin_alone("tenants");
    let cluster = &story.cluster;
    let (key, value) = ACCOUNT;
    let label = format!("{key}={value}");
    let _labeled = cluster.kubectl(&["label", "namespace", &story.namespace, &label]);
    let other = format!("{}-other", story.namespace);
    let _created = cluster.kubectl(&["create", "namespace", &other]);
    cluster.wait("create", &["serviceaccount/default", "-n", &other]);

    let registry = story.private_registry();
    let shared = registry.repository(SHARED);
    let (first, second) = (format!("{shared}:1"), format!("{shared}:2"));
    let pin = |digest: &str| format!("{shared}@{digest}");
    let of_first = registry.push(SHARED, "1", "first");
    let of_second = registry.push(SHARED, "2", "second");
    bind(&story, &other);
    // One memory: what one tenant's review brought would be there for the other's.
    let alone = story.scale_webhook(1);

    // The owner first.
    let _text = until_pinned(&story, &first, &pin(&of_first));
    is_bound(&story, &other);
    // The webhook knows the image now, and asks the registry again for the other tenant.
    let before = story.webhook_counts(MISSES);
    is_unauthorized(&story, &registry, &other, &pin(&of_first));
    assert!(story.webhook_counts(MISSES) > before);
    is_unauthorized(&story, &registry, &other, &first);

    // The other first.
    is_unauthorized(&story, &registry, &other, &second);
    let _text = until_pinned(&story, &second, &pin(&of_second));
    is_unauthorized(&story, &registry, &other, &second);

    // What does not exist has the same answer, word for word.
    is_unauthorized(&story, &registry, &other, &format!("{shared}:none"));
    let none = format!("{}:1", registry.repository("none"));
    is_unauthorized(&story, &registry, &other, &none);

    // The owner's pod is not affected.
    let _text = until_pinned(&story, &first, &pin(&of_first));
    drop(alone);
    let _deleted = cluster.kubectl(&["delete", "namespace", &other, "--wait=false"]);
    story.end();
}
