//! Bailiff removed by deleting its namespace, without helm.
//!
//! Here: what must not remain of it. Not here: `helm uninstall` (`super`).
//! Invariant: nothing that stays asks a webhook that is gone, or denies a pod.

use bailiff_e2e::workload::BUSYBOX;
use bailiff_e2e::{NAMESPACE, Story, create_namespace, upgrade};

/// The kinds of webhook configurations; the names of Bailiff's begin with its own.
const KINDS: [&str; 2] = [
    "mutatingwebhookconfiguration",
    "validatingwebhookconfiguration",
];

/// Bailiff's webhook configurations.
pub(super) fn webhook_configurations(story: &Story) -> Vec<String> {
    let kinds = KINDS.join(",");
    let names = story.cluster.kubectl(&["get", &kinds, "-o", "name"]);
    let ours = names.lines().filter(|name| name.contains("bailiff"));
    ours.map(str::to_owned).collect()
}

/// A policy that denies every pod of a namespace, in force through a rendered binding.
pub(super) const IMAGE_POLICY: &str = "
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {name: images-NAMESPACE}
spec: {allowedRepositories: [registry.example.com/**]}
---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {name: images-NAMESPACE}
spec:
  policyName: images-NAMESPACE
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
  validationActions: [Deny]
";

/// The rendered bindings.
pub(super) fn rendered_bindings(story: &Story) -> Vec<String> {
    let kind = "validatingadmissionpolicybinding";
    let names = story.cluster.kubectl(&["get", kind, "-o", "name"]);
    let rendered = names
        .lines()
        .filter(|name| name.contains("/bailiff-image."));
    rendered.map(str::to_owned).collect()
}

#[test]
fn deleting_the_namespace_leaves_no_webhook_configuration_and_no_rendered_binding() {
    let story = Story::begin_alone("namespace");
    // So that the API server would reject pods for as long as it asks a webhook that is gone.
    let _said = upgrade(&story.cluster, &["--set", "webhook.failurePolicy=Fail"]);
    let expected = [
        "mutatingwebhookconfiguration.admissionregistration.k8s.io/bailiff",
        "validatingwebhookconfiguration.admissionregistration.k8s.io/bailiff",
        "validatingwebhookconfiguration.admissionregistration.k8s.io/bailiff-renderer",
    ];
    assert_eq!(webhook_configurations(&story), expected);
    story.apply(IMAGE_POLICY);
    let binding = format!("images-{}", story.namespace);
    let bound = format!("imageadmissionpolicybinding/{binding}");
    story.cluster.wait("condition=Ready", &[&bound]);
    let rendered = format!("validatingadmissionpolicybinding/bailiff-image.{binding}");
    story.cluster.wait("create", &[&rendered]);
    // Without the renderer, the API server enforces nothing.
    let _said = upgrade(&story.cluster, &["--set", "renderer.enabled=false"]);
    story.cluster.wait("delete", &[&rendered]);
    let fails = ["--set", "webhook.failurePolicy=Fail"];
    let _said = upgrade(&story.cluster, &fails);
    story.cluster.wait("create", &[&rendered]);
    let delete = ["delete", "namespace", NAMESPACE, "--timeout=300s"];
    let _deleted = story.cluster.kubectl(&delete);
    assert_eq!(webhook_configurations(&story), Vec::<String>::new());
    // The garbage collector deletes it some seconds after its owner.
    story.cluster.wait("delete", &[&rendered]);
    assert_eq!(rendered_bindings(&story), Vec::<String>::new());
    let image = format!("--image={BUSYBOX}");
    let _created = story.kubectl(&["run", "after", &image, "--dry-run=server"]);
    create_namespace(&story.cluster);
    let said = upgrade(&story.cluster, &[]);
    assert!(said.contains("is installed"), "{said}");
    assert_eq!(webhook_configurations(&story), expected);
    story.end();
}
