//! Image policies of a story, and what the API server answers about an image.
//!
//! Here: a policy for a story's namespace, and asking until an answer is there. Not here: pushing images
//! (`registry`), the stories (`e2e/tests`).
//! Invariant: an answer counts once it was given several times in a row, because each replica of the webhook
//! has watches of its own.

use crate::cluster::Output;
use crate::story::Story;
use std::time::{Duration, Instant};

/// A policy for the story's namespace with this spec, and its binding.
pub fn bind(story: &Story, spec: &str, action: &str) {
    story.apply(&format!(
        r"
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicy
metadata: {{name: images-NAMESPACE}}
spec: {{{spec}}}
---
apiVersion: bailiff.dev/v1alpha1
kind: ImageAdmissionPolicyBinding
metadata: {{name: images-NAMESPACE}}
spec:
  policyName: images-NAMESPACE
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: NAMESPACE}}}}}}
  validationActions: [{action}]
"
    ));
    let name = policy(story);
    for (kind, condition) in [("iap", "Rendered"), ("iapb", "Ready")] {
        story.cluster.wait(
            &format!("condition={condition}"),
            &[&format!("{kind}/{name}")],
        );
    }
}

/// The name of the story's policy.
#[must_use]
pub fn policy(story: &Story) -> String {
    format!("images-{}", story.namespace)
}

/// kubectl in the story's namespace, which can fail.
#[must_use]
pub fn try_kubectl(story: &Story, arguments: &[&str]) -> Output {
    let mut all = vec!["-n", story.namespace.as_str()];
    all.extend_from_slice(arguments);
    story.cluster.try_kubectl(&all)
}

/// Creates a pod with an image in a dry run: whether it was admitted, and the pod and what kubectl printed.
#[must_use]
pub fn probe(story: &Story, image: &str) -> (bool, String) {
    let run = ["run", "probe", "--image", image, "--dry-run=server"];
    let output = try_kubectl(story, &[&run[..], &["-o=json"]].concat());
    (
        output.success,
        format!("{}{}", output.stdout, output.stderr),
    )
}

/// How often in a row an answer must be so: the API server can have a connection to each replica of the
/// webhook, and each has a watch of its own.
const IN_A_ROW: usize = 3;

/// Creates a pod with an image in a dry run, until the answer is so: API server and webhook learn of a
/// policy from watches of their own.
#[must_use]
pub fn until(story: &Story, image: &str, is_so: impl Fn(bool, &str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_mins(5);
    let mut so = 0;
    loop {
        let (success, text) = probe(story, image);
        so = if is_so(success, &text) { so + 1 } else { 0 };
        if so == IN_A_ROW {
            return text;
        }
        assert!(Instant::now() < deadline, "{image}: {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until a pod with this image is denied with this text: before, the reason can be that the
/// registry has not answered yet.
#[must_use]
pub fn until_denied(story: &Story, image: &str, why: &str) -> String {
    until(story, image, |success, text| !success && text.contains(why))
}

/// Whether a pod was denied.
#[must_use]
pub fn denied(success: bool, _: &str) -> bool {
    !success
}

/// Whether a pod was admitted.
#[must_use]
pub fn admitted(success: bool, _: &str) -> bool {
    success
}

/// Waits until a pod with this image is admitted with the image `pinned`.
#[must_use]
pub fn until_pinned(story: &Story, image: &str, pinned: &str) -> String {
    let pinned = format!("\"image\": \"{pinned}\"");
    until(story, image, |success, text| {
        success && text.contains(&pinned)
    })
}
