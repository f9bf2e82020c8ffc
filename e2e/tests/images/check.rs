//! `bailiff check` beside the webhook: the same verdict and the same reason about the same manifest.

use super::{bind, denied, until, until_pinned};
use bailiff_e2e::{Output, Story};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A pod with one container.
fn pod(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": image}]},
    })
}

/// A pod with one allowed container, and this list of its spec.
fn with(name: &str, image: &str, list: &str, value: Value) -> Value {
    let mut pod = pod(name, image);
    pod["spec"][list] = value;
    pod
}

/// The verdicts of `bailiff check` about each object of a file, by its name.
fn checked(story: &Story, file: &str) -> Vec<(String, Vec<Value>)> {
    let arguments = ["check", "-f", file, "-n", &story.namespace, "-o", "json"];
    let output = story.cluster.bailiff(&arguments);
    // An image is denied, which is the exit code 3.
    assert!(!output.success && output.stderr.is_empty(), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let objects = report["objects"].as_array().unwrap().iter();
    let named = objects.map(|object| {
        let name = object["name"].as_str().unwrap().to_owned();
        (name, object["images"].as_array().unwrap().clone())
    });
    named.collect()
}

/// The sentences of `bailiff check` about the images of an object, with one of these actions.
fn reasons<'a>(images: &'a [Value], actions: &[&str]) -> Vec<&'a str> {
    let findings = images
        .iter()
        .flat_map(|image| image["findings"].as_array().unwrap());
    findings
        .filter(|finding| actions.iter().any(|action| finding["action"] == *action))
        .map(|finding| finding["message"].as_str().unwrap())
        .collect()
}

/// What differs between the verdicts of `bailiff check` and the API server's answer; none: nothing.
fn difference(images: &[Value], answer: &Output) -> Option<String> {
    let has = |verdict: &str| images.iter().any(|image| image["verdict"] == verdict);
    let rejects = has("Denied") || has("NotChecked");
    // Who reads why a pod is rejected is not warned of it as well.
    let actions = if rejects { &["Deny"] } else { &["Warn"] };
    let reasons = reasons(images, actions);
    // Of several images that violate a rule, the answer is about the first one, and counts the others.
    let text = answer.stderr.replace(" (and 1 more)", "");
    let has_reason = |reason: &&str| text.contains(*reason);
    let said = if rejects && reasons.len() > 1 {
        reasons.iter().any(has_reason)
    } else {
        reasons.iter().all(has_reason)
    };
    let silent = !answer.stderr.contains("ImageAdmissionPolicy");
    if answer.success == rejects || !said || (reasons.is_empty() && !silent) {
        return Some("the verdict or its reason differs".to_owned());
    }
    if has("Warned") != answer.stderr.contains("Warning: ") {
        return Some("the warning differs".to_owned());
    }
    if rejects {
        return None;
    }
    // The images as they are stored, in the order of the pod.
    let stored: Value = serde_json::from_str(&answer.stdout).unwrap();
    let spec = &stored["spec"];
    let missing = images.iter().find(|image| {
        let name = &image["container"];
        let entries = spec[image["field"].as_str().unwrap()].as_array();
        let entry = entries.into_iter().flatten().find(|e| e["name"] == *name);
        let stored = entry.map(|entry| match &entry["image"] {
            Value::Object(volume) => &volume["reference"],
            image => image,
        });
        let wanted = match &image["pinnedTo"] {
            Value::Null => &image["image"],
            pinned => pinned,
        };
        stored != Some(wanted)
    });
    missing.map(|image| format!("the stored image differs from {image}"))
}

/// Pods, and the worst verdict about an image of each.
fn table(story: &Story, digest: &str, borrowed: &str) -> [(Value, &'static str); 16] {
    let registry = story.registry();
    let (web, other) = (registry.repository("web"), registry.repository("other"));
    let (tag, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    // Nobody has the account of the private registry for it.
    let account = format!("{}:1", story.private_registry().repository("unlisted"));
    let unlisted = "ghcr.io/acme/tools:1";
    let container = json!([{"name": "wait", "image": unlisted}]);
    let volume = |image: &str| json!([{"name": "data", "image": {"reference": image}}]);
    let mut two = with(
        "two-denied",
        "quay.io/acme/web:1",
        "initContainers",
        container.clone(),
    );
    two["spec"]["volumes"] = volume(&format!("{web}:none"));
    [
        (pod("tag", &tag), "Allowed"),
        (pod("digest", &pinned), "Allowed"),
        (
            pod("tag-and-digest", &format!("{web}:9@{digest}")),
            "Allowed",
        ),
        (pod("deprecated", &format!("{other}:1")), "Warned"),
        (with("volume", &tag, "volumes", volume(&tag)), "Allowed"),
        (pod("unlisted", unlisted), "Denied"),
        (pod("short", "nginx"), "Denied"),
        (pod("invalid", "GHCR.io/acme/web:1"), "Denied"),
        (pod("image-id", digest), "Denied"),
        (pod("missing", &format!("{web}:none")), "Denied"),
        (
            pod(
                "no-repository",
                &format!("{}:1", registry.repository("none")),
            ),
            "Denied",
        ),
        (pod("borrowed", &format!("{web}@{borrowed}")), "Denied"),
        (pod("other-account", &account), "NotChecked"),
        (with("init", &tag, "initContainers", container), "Denied"),
        (
            with("unlisted-volume", &tag, "volumes", volume(unlisted)),
            "Denied",
        ),
        (two, "Denied"),
    ]
}

#[test]
fn check_has_the_verdict_and_the_reason_of_the_webhook() {
    let story = Story::begin("checked");
    let (registry, private) = (story.registry(), story.private_registry());
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    let borrowed = registry.push("other", "1", "other");
    let (tag, pinned) = (format!("{web}:1"), format!("{web}@{digest}"));
    bind(
        &story,
        &format!(
            "allowedRepositories: ['{0}/{2}/*', '{1}/{2}/*'], digest: {{pin: true}}",
            registry.host(),
            private.host(),
            story.namespace
        ),
        "Deny",
    );
    let warning = "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: warned-NAMESPACE}
spec:
  validations:
  - expression: \"!image.repository.endsWith('/other')\"
    message: other images are deprecated
---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: warned-NAMESPACE}
spec:
  policyName: warned-NAMESPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
  validationActions: [Warn]
";
    story.apply(warning);
    let _text = until_pinned(&story, &tag, &pinned);

    let table = table(&story, &digest, &borrowed);
    let list =
        json!({"apiVersion": "v1", "kind": "List", "items": table.each_ref().map(|(pod, _)| pod)});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), list.to_string()).unwrap();
    let found = checked(&story, file.path().to_str().unwrap());
    assert_eq!(found.len(), table.len());
    for ((pod, expected), (name, images)) in table.iter().zip(&found) {
        assert_eq!(pod["metadata"]["name"], name.as_str());
        let worst = |verdict: &str| images.iter().any(|image| image["verdict"] == verdict);
        assert!(worst(expected), "{name}: {images:#?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pod.to_string()).unwrap();
        let path = file.path().to_str().unwrap();
        let deadline = Instant::now() + Duration::from_mins(2);
        // The webhook says first that the registry has not answered yet, and learns of policies by a watch.
        loop {
            let create = ["create", "--dry-run=server", "-o=json", "-f", path];
            let answer = super::try_kubectl(&story, &create);
            let Some(difference) = difference(images, &answer) else {
                break;
            };
            assert!(
                Instant::now() < deadline,
                "{name}: {difference}\n{images:#?}\n{answer:?}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    story.end();
}

#[test]
fn check_and_webhook_leave_exempt_namespaces_alone() {
    let story = Story::begin("checked-exempt");
    bind(&story, "allowedRepositories: ['ghcr.io/acme/**']", "Deny");
    story.apply(
        "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: exempt-NAMESPACE}
spec:
  policyName: images-NAMESPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}
  validationActions: [Deny]
",
    );
    let binding = format!("iapb/exempt-{}", story.namespace);
    story.cluster.wait("condition=Ready", &[&binding]);
    let _answer = until(&story, "nginx", denied);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pod("probe", "nginx").to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    for (namespace, exit, verdict) in [
        (story.namespace.as_str(), false, "Denied"),
        ("kube-system", true, "Exempt"),
    ] {
        let arguments = ["check", "-f", path, "-n", namespace, "-o", "json"];
        let output = story.cluster.bailiff(&arguments);
        assert_eq!(output.success, exit, "{output:?}");
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(report["objects"][0]["images"][0]["verdict"], verdict);
        let create = ["create", "--dry-run=server", "-n", namespace, "-f", path];
        let answer = story.cluster.try_kubectl(&create);
        assert_eq!(answer.success, exit, "{answer:?}");
    }
    story.end();
}
