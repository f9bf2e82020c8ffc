//! Bailiff removed while its webhook is down.
//!
//! Here: `helm uninstall`, which nothing else precedes. Not here: a webhook that works (`super`), the deleted
//! namespace (`namespace`).
//! Invariant: nothing that stays asks a webhook that is gone, or denies a pod.

use super::namespace::{IMAGE_POLICY, rendered_bindings, webhook_configurations};
use super::uninstall;
use bailiff_e2e::workload::BUSYBOX;
use bailiff_e2e::{Story, upgrade};

#[test]
fn uninstalled_while_the_webhook_is_down_it_rejects_nothing_more() {
    let story = Story::begin_alone("outage");
    let _said = upgrade(&story.cluster, &["--set", "webhook.failurePolicy=Fail"]);
    story.apply(IMAGE_POLICY);
    let binding = format!("images-{}", story.namespace);
    let bound = format!("imageadmissionpolicybinding/{binding}");
    story.cluster.wait("condition=Ready", &[&bound]);
    let down = story.scale_webhook(0);
    let create = |image: &str| {
        let image = format!("--image={image}");
        let run = ["run", "probe", &image, "--dry-run=server", "-n"];
        let arguments = [&run[..], &[&story.namespace]].concat();
        story.cluster.try_kubectl(&arguments)
    };
    // The policy allows this image.
    let output = create("registry.example.com/web:1");
    let why = "failed calling webhook \"pods.bailiff.dev\"";
    assert!(!output.success && output.stderr.contains(why), "{output:?}");
    let output = create(BUSYBOX);
    let why = "which is not allowed. ImageAdmissionPolicy";
    assert!(!output.success && output.stderr.contains(why), "{output:?}");
    let _said = uninstall(&story);
    assert_eq!(webhook_configurations(&story), Vec::<String>::new());
    let rendered = format!("validatingadmissionpolicybinding/bailiff-image.{binding}");
    story.cluster.wait("delete", &[&rendered]);
    assert_eq!(rendered_bindings(&story), Vec::<String>::new());
    let output = create(BUSYBOX);
    assert!(output.success, "{output:?}");
    let said = upgrade(&story.cluster, &[]);
    assert!(said.contains("is installed"), "{said}");
    drop(down);
    story.end();
}
