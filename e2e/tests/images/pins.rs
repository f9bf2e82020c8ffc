//! Tags become digests, and a digest must be of the named repository.

use super::{admitted, bind, policy, try_kubectl, until, until_denied, until_pinned};
use bailiff_e2e::Story;
use bailiff_e2e::workload::{deployment, pod};
use serde_json::{Value, json};

const PIN: &str = "digest: {pin: true}";

/// The image of a pod's container as it is stored, and as its node has it.
fn images(pod: &Value) -> (&str, &str) {
    let stored = pod["spec"]["containers"][0]["image"].as_str().unwrap();
    let runs = pod["status"]["containerStatuses"][0]["imageID"].as_str();
    (stored, runs.unwrap())
}

#[test]
fn a_tag_is_pinned_on_the_pod_which_runs_and_not_on_the_deployment() {
    let story = Story::begin("pins");
    let registry = story.registry();
    let web = registry.repository("web");
    // What the tag names is the index, not the manifest of a platform.
    let digest = registry.push_index("web", "1", "first");
    let (tag, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    bind(&story, PIN, "Deny");
    let _text = until_pinned(&story, &tag, &pinned);

    story.apply(&deployment("web", &tag));
    let pod = story.ready_pod("app=web");
    assert_eq!(images(&pod), (pinned.as_str(), pinned.as_str()));
    assert_eq!(
        pod["metadata"]["annotations"]["image.bailiff.dev/app"],
        tag.as_str()
    );
    let template = &story.get(&["deployment/web"])["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], tag.as_str());
    assert!(template["metadata"]["annotations"].is_null(), "{template}");
    story.end();
}

#[test]
fn each_pod_has_the_digest_of_its_time() {
    let story = Story::begin("moved-tags");
    let registry = story.registry();
    let web = registry.repository("web");
    let tag = format!("{web}:1");
    let first = registry.push("web", "1", "first");
    let second = registry.push("web", "2", "second");
    let pinned = |digest: &str| format!("{web}@{digest}");
    bind(&story, PIN, "Deny");
    let _text = until_pinned(&story, &tag, &pinned(&first));
    story.apply(&pod("early", &tag, None));
    // Admitted now, and scheduled after the tag has moved.
    story.apply(
        &json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "waiting", "namespace": "NAMESPACE"},
            "spec": {
                "schedulingGates": [{"name": "example.com/later"}],
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "app", "image": tag, "command": ["sleep", "100000"]}],
            },
        })
        .to_string(),
    );
    story.wait("condition=Ready", &["pod/early"]);

    registry.retag("web", "2", "1");
    // The answer about a tag is remembered for a while.
    let _text = until_pinned(&story, &tag, &pinned(&second));
    story.apply(&pod("late", &tag, None));
    let opened = r#"{"spec":{"schedulingGates":null}}"#;
    let _patched = story.kubectl(&["patch", "pod/waiting", "-p", opened]);
    for (name, digest) in [("early", &first), ("waiting", &first), ("late", &second)] {
        let name = format!("pod/{name}");
        story.wait("condition=Ready", &[&name]);
        let pinned = pinned(digest);
        let pod = story.get(&[&name]);
        assert_eq!(images(&pod), (pinned.as_str(), pinned.as_str()), "{name}");
    }

    // Who applies the same manifest again changes nothing: the pod keeps the digest that it runs.
    story.apply(&pod("early", &tag, None));
    let early = story.get(&["pod/early"]);
    assert_eq!(images(&early).0, pinned(&first));
    assert_eq!(early["status"]["containerStatuses"][0]["restartCount"], 0);
    story.end();
}

#[test]
fn a_digest_of_another_repository_is_denied() {
    let story = Story::begin("borrowed");
    let registry = story.registry();
    let (web, other) = (registry.repository("web"), registry.repository("other"));
    let own = registry.push("web", "1", "own");
    let borrowed = registry.push("other", "1", "borrowed");
    bind(
        &story,
        "digest: {required: true, verifyRepository: true}",
        "Deny",
    );
    // Both nodes could have the borrowed image already: that is no reason to admit it under another name.
    let want = format!(
        "Container probe uses {web}@{}, which registry {} does not have. ImageAdmissionPolicy {} requires images that exist in their repository. Check repository, tag and digest, or push the image.",
        &borrowed[.."sha256:".len() + 12],
        registry.host(),
        policy(&story)
    );
    let _why = until_denied(&story, &format!("{web}@{borrowed}"), &want);
    for image in [format!("{web}@{own}"), format!("{other}@{borrowed}")] {
        let _text = until(&story, &image, admitted);
    }
    story.end();
}

#[test]
fn a_tag_that_names_nothing_is_denied_until_it_is_pushed() {
    let story = Story::begin("unpushed");
    let registry = story.registry();
    let web = registry.repository("web");
    let _first = registry.push("web", "1", "first");
    bind(&story, PIN, "Deny");
    let tag = format!("{web}:2");
    let want = format!(
        "Container probe uses {tag}, which registry {} does not have.",
        registry.host()
    );
    let _why = until_denied(&story, &tag, &want);
    let digest = registry.push("web", "2", "second");
    let _text = until_pinned(&story, &tag, &format!("{web}@{digest}"));
    story.end();
}

#[test]
fn under_warn_a_tag_is_resolved_and_stays() {
    let story = Story::begin("warned-tags");
    let registry = story.registry();
    let tag = format!("{}:1", registry.repository("web"));
    let missing = format!("{}:2", registry.repository("web"));
    let _digest = registry.push("web", "1", "first");
    bind(&story, PIN, "Warn");
    let want = format!(
        "Container probe uses {missing}, which registry {} does not have.",
        registry.host()
    );
    let _warned = until(&story, &missing, |success, text| {
        success && text.contains("Warning:") && text.contains(&want)
    });
    let text = until_pinned(&story, &tag, &tag);
    assert!(!text.contains("Warning:"), "{text}");
    story.end();
}

#[test]
fn an_ephemeral_container_is_pinned_and_judged() {
    let story = Story::begin("debugged");
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    let pinned = format!("{web}@{digest}");
    story.apply(&pod("old", &format!("{web}:1"), None));
    story.wait("condition=Ready", &["pod/old"]);
    bind(&story, PIN, "Deny");
    let _text = until_pinned(&story, &format!("{web}:1"), &pinned);

    let debug = |image: &str| {
        let image = format!("--image={image}");
        let debug = ["debug", "pod/old", &image, "--container=tools", "--"];
        try_kubectl(&story, &[&debug[..], &["sleep", "100000"]].concat())
    };
    let missing = format!("{web}:none");
    let denied = debug(&missing);
    let want = format!("Ephemeral container tools uses {missing}, which registry");
    assert!(
        !denied.success && denied.stderr.contains(&want),
        "{}",
        denied.stderr
    );
    let debugged = debug(&format!("{web}:1"));
    assert!(debugged.success, "{}", debugged.stderr);
    let old = story.get(&["pod/old"]);
    let tools = &old["spec"]["ephemeralContainers"][0];
    assert_eq!(tools["image"], pinned.as_str());
    // The pod's own container is as it was admitted, before there was a policy.
    let own = old["spec"]["containers"][0]["image"].as_str().unwrap();
    assert_eq!(own, format!("{web}:1"));
    story.end();
}
