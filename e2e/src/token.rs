//! Tokens, as somebody would steal or be given them.
//!
//! Here: of the accounts of components, and of who administers a namespace. Not here: what is tried with
//! them (`e2e/tests`).
//! Invariant: each is issued by the API server, with what it binds a real one to.

use crate::{NAMESPACE, Story};
use serde_json::Value;

/// The sensor's pod on a node, or on any other than it.
#[must_use]
pub fn sensor_on(story: &Story, node: &Value, same: bool) -> Value {
    let selector = "app.kubernetes.io/component=sensor";
    let pods = story
        .cluster
        .get(&["pods", "-n", NAMESPACE, "-l", selector]);
    let items = pods["items"].as_array().unwrap();
    items
        .iter()
        .find(|p| (p["spec"]["nodeName"] == *node) == same)
        .unwrap()
        .clone()
}

/// A token of the sensor's account, bound to a pod or to nothing.
#[must_use]
pub fn sensor_token(story: &Story, pod: Option<&Value>) -> String {
    let mut arguments = vec!["create", "token", "bailiff-sensor", "-n", NAMESPACE];
    if let Some(pod) = pod {
        arguments.extend(["--bound-object-kind", "Pod", "--bound-object-name"]);
        arguments.push(pod["metadata"]["name"].as_str().unwrap());
        arguments.extend([
            "--bound-object-uid",
            pod["metadata"]["uid"].as_str().unwrap(),
        ]);
    }
    story.cluster.kubectl(&arguments).trim().to_owned()
}

/// A token of the controller's account.
#[must_use]
pub fn controller_token(story: &Story) -> String {
    let token = story
        .cluster
        .kubectl(&["create", "token", "bailiff-controller", "-n", NAMESPACE]);
    token.trim().to_owned()
}

/// A token of the webhook's account.
#[must_use]
pub fn webhook_token(story: &Story) -> String {
    let token = story
        .cluster
        .kubectl(&["create", "token", "bailiff-webhook", "-n", NAMESPACE]);
    token.trim().to_owned()
}

/// A token of an account that may do everything in the story's namespace.
#[must_use]
pub fn administrator(story: &Story) -> String {
    story.apply(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: all, namespace: NAMESPACE}, rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]}",
    );
    let _made = story.kubectl(&["create", "serviceaccount", "tenant"]);
    let _bound = story.kubectl(&[
        "create",
        "rolebinding",
        "all",
        "--role=all",
        &format!("--serviceaccount={}:tenant", story.namespace),
    ]);
    let token = story.kubectl(&["create", "token", "tenant"]);
    token.trim().to_owned()
}
