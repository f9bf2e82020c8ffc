//! Images of a registry that requires an account.

use super::{bind, policy, until_denied, until_pinned};
use bailiff_e2e::{SHARED, Story, pull_secret};
use serde_json::json;

#[test]
fn a_private_image_is_admitted_with_the_credential_of_its_repository() {
    let story = Story::begin("private");
    let registry = story.private_registry();
    let shared = registry.repository(SHARED);
    let digest = registry.push(SHARED, "1", "first");
    let _digest = registry.push("other", "1", "first");
    let (tag, pinned) = (format!("{shared}:1"), format!("{shared}@{digest}"));
    bind(&story, "digest: {pin: true}", "Deny");
    let _text = until_pinned(&story, &tag, &pinned);

    // Bailiff has the account, and not for this repository.
    let other = format!("{}:1", registry.repository("other"));
    let why = format!(
        "Container probe: {other} could not be checked, because registry {} requires other credentials (401). ImageAdmissionPolicy {} requires images that were checked. Check the reference. An administrator can add credentials for it to the value registries of Bailiff.",
        registry.host(),
        policy(&story)
    );
    let _why = until_denied(&story, &other, &why);

    // To pull it, the kubelet needs an account of its own.
    story.apply(&pull_secret("account", &story.namespace));
    story.apply(
        &json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web", "namespace": story.namespace},
            "spec": {
                "imagePullSecrets": [{"name": "account"}],
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "app", "image": tag, "command": ["sleep", "100000"]}],
            },
        })
        .to_string(),
    );
    story.wait("condition=Ready", &["pod/web"]);
    let image = &story.get(&["pod/web"])["spec"]["containers"][0]["image"];
    assert_eq!(*image, pinned.as_str());
    story.end();
}
