//! Manifests of the workloads that stories deploy.
//!
//! Here: a pod template of a small application, and each kind of controller around it. Not
//! here: policies.
//! Invariant: images are those that `testbed` makes from files. They are pulled only from the cluster's
//! registry.

use std::time::Duration;

/// An image with busybox and its applets.
pub const BUSYBOX: &str = "bailiff.dev/testbed/busybox:1";
/// An image with Debian's dash, bash and coreutils.
pub const DEBIAN: &str = "bailiff.dev/testbed/debian:1";

/// Images that are loaded into the nodes are in no registry.
fn pull_policy(image: &str) -> &'static str {
    if image.starts_with("bailiff.dev/") {
        "Never"
    } else {
        "IfNotPresent"
    }
}

/// The pod template that every kind uses: an application that waits until it is ended.
fn template(app: &str, image: &str) -> String {
    let pull = pull_policy(image);
    format!(
        "{{metadata: {{labels: {{app: {app}}}}}, spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: app, image: '{image}', imagePullPolicy: {pull}, command: [sleep, '100000']}}]}}}}"
    )
}

/// A Deployment of one replica.
#[must_use]
pub fn deployment(app: &str, image: &str) -> String {
    controller("apps/v1", "Deployment", app, "replicas: 1, ", image)
}

/// How long after it was told to the application of [`deployment_that_runs`] runs its command: long
/// enough for a test to break something before.
pub const RESTS: Duration = Duration::from_secs(30);

/// A file that tells the application of [`deployment_that_runs`] to run its command.
pub const GO: &str = "/go";

/// A Deployment of one replica on one node, whose application runs a command by itself [`RESTS`]
/// after [`GO`] is there.
#[must_use]
pub fn deployment_that_runs(app: &str, node: &str, command: &str) -> String {
    let rest = RESTS.as_secs();
    let run = format!("until [ -e {GO} ]; do sleep 1; done; sleep {rest}; {command}; sleep 100000");
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {app}, namespace: NAMESPACE}}, spec: {{replicas: 1, selector: {{matchLabels: {{app: {app}}}}}, template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{nodeSelector: {{kubernetes.io/hostname: {node}}}, terminationGracePeriodSeconds: 0, containers: [{{name: app, image: '{BUSYBOX}', imagePullPolicy: Never, command: [sh, -c, '{run}']}}]}}}}}}}}"
    )
}

/// A StatefulSet of one replica.
#[must_use]
pub fn stateful_set(app: &str, image: &str) -> String {
    controller(
        "apps/v1",
        "StatefulSet",
        app,
        &format!("replicas: 1, serviceName: {app}, "),
        image,
    )
}

/// A DaemonSet.
#[must_use]
pub fn daemon_set(app: &str, image: &str) -> String {
    controller("apps/v1", "DaemonSet", app, "", image)
}

fn controller(version: &str, kind: &str, app: &str, more: &str, image: &str) -> String {
    let template = template(app, image);
    format!(
        "{{apiVersion: {version}, kind: {kind}, metadata: {{name: {app}, namespace: NAMESPACE}}, spec: {{{more}selector: {{matchLabels: {{app: {app}}}}}, template: {template}}}}}"
    )
}

/// A Job whose pods are replaced when they fail, if `retried`.
#[must_use]
pub fn job(app: &str, image: &str, retried: bool) -> String {
    let pull = pull_policy(image);
    let backoff = if retried { 6 } else { 0 };
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {app}, namespace: NAMESPACE}}, spec: {{backoffLimit: {backoff}, template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{{name: app, image: '{image}', imagePullPolicy: {pull}, command: [sleep, '100000']}}]}}}}}}}}"
    )
}

/// A pod without a controller, on a node if one is named.
#[must_use]
pub fn pod(name: &str, image: &str, node: Option<&str>) -> String {
    let node = node
        .map(|node| format!("nodeName: {node}, "))
        .unwrap_or_default();
    let pull = pull_policy(image);
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: NAMESPACE, labels: {{app: {name}}}}}, spec: {{{node}terminationGracePeriodSeconds: 0, containers: [{{name: app, image: '{image}', imagePullPolicy: {pull}, command: [sleep, '100000']}}]}}}}"
    )
}

/// A `PodDisruptionBudget` that allows no disruption, or one.
#[must_use]
pub fn disruption_budget(app: &str, max_unavailable: u32) -> String {
    format!(
        "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: {app}, namespace: NAMESPACE}}, spec: {{maxUnavailable: {max_unavailable}, selector: {{matchLabels: {{app: {app}}}}}}}}}"
    )
}
