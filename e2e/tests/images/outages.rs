//! A registry that is away, for images that were seen before and for new ones.

use super::{bind, policy, until, until_denied, until_pinned};
use bailiff_e2e::{Registry, Story};

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
    let why = format!(
        "Container probe: {unknown} could not be checked, because registry {0} cannot be reached. ImageAdmissionPolicy {1} requires images that were checked. Retry later; controllers retry automatically. If it continues, an administrator must check registry {0}.",
        registry.host(),
        policy(&story)
    );
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
