//! What the sensor asks of the API server, answered in the sensor's own process.
//!
//! Here: lists of one namespace, its pods, the library's policies and their bindings. Not here: a cluster.
//! Invariant: it answers once at the beginning and then costs nothing: a watch never brings anything.

use anyhow::{Context as _, Result};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// The namespace of the pods.
const NAMESPACE: &str = "bench";

/// A pod with one container that runs.
#[derive(Clone, Debug)]
pub(crate) struct PodId {
    pub(crate) uid: String,
    pub(crate) container: String,
}

/// The lists, by the last part of their path.
struct Lists(Vec<(&'static str, Vec<Json>)>);

/// A client of an API server that has these pods, and the policies of a folder, each bound to all pods; without a
/// folder, none.
pub(crate) fn client(pods: &[PodId], policies: Option<&Path>) -> Result<kube::Client> {
    let policies = policies.map_or(Ok(Vec::new()), library)?;
    let bindings = policies.iter().map(binding).collect();
    let lists = Arc::new(Lists(vec![
        (
            "namespaces",
            vec![json!({"metadata": {"name": NAMESPACE, "uid": NAMESPACE}})],
        ),
        ("pods", pods.iter().map(pod).collect()),
        ("runtimepolicies", policies),
        ("runtimepolicybindings", bindings),
        ("configmaps", Vec::new()),
    ]));
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = lists.answer(&request);
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    });
    Ok(kube::Client::new(service, NAMESPACE))
}

impl Lists {
    /// None: a watch, which waits.
    fn answer(&self, request: &Request<Body>) -> Option<Result<Response<Body>, http::Error>> {
        let uri = request.uri();
        if uri
            .query()
            .is_some_and(|query| query.contains("watch=true"))
        {
            return None;
        }
        let resource = uri.path().rsplit('/').next().unwrap_or_default();
        let found = self.0.iter().find(|(name, _)| *name == resource);
        let (code, body) = if let Some((_, items)) = found {
            let body = json!({"kind": "List", "apiVersion": "v1",
                "metadata": {"resourceVersion": "1"}, "items": items});
            (200, body)
        } else {
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "this API server has lists alone", "reason": "NotFound", "code": 404});
            (404, body)
        };
        let body = Body::from(body.to_string().into_bytes());
        Some(Response::builder().status(code).body(body))
    }
}

fn pod(id: &PodId) -> Json {
    json!({
        "metadata": {"name": id.uid, "namespace": NAMESPACE, "uid": id.uid, "labels": {"app": "bench"}},
        "spec": {"containers": [{"name": "app", "image": "registry.example/app:1"}]},
        "status": {"containerStatuses": [{
            "name": "app", "image": "registry.example/app:1", "imageID": "registry.example/app@sha256:1",
            "ready": true, "restartCount": 0, "containerID": format!("containerd://{}", id.container),
        }]},
    })
}

/// The policies of a folder that are about processes.
fn library(folder: &Path) -> Result<Vec<Json>> {
    let mut policies = Vec::new();
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
        let file = entry?.path().join("policy.yaml");
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let mut policy: Json =
            serde_yaml_ng::from_str(&text).with_context(|| file.display().to_string())?;
        if policy["kind"] == "RuntimePolicy" {
            policy["metadata"]["uid"] = policy["metadata"]["name"].clone();
            policy["metadata"]["generation"] = json!(1);
            policies.push(policy);
        }
    }
    anyhow::ensure!(
        !policies.is_empty(),
        "{} has no RuntimePolicy",
        folder.display()
    );
    Ok(policies)
}

fn binding(policy: &Json) -> Json {
    let name = &policy["metadata"]["name"];
    json!({
        "apiVersion": "bailiff.dev/v1alpha1", "kind": "RuntimePolicyBinding",
        "metadata": {"name": name, "uid": name},
        "spec": {"policyName": name, "responseActions": ["Audit"]},
    })
}
