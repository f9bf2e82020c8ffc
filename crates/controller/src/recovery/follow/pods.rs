//! The pods of a workload that recovers, one at a time.
//!
//! Here: what is kept of each. Not here: which of them is a replacement (`recovery`).
//! Invariant: tenants can make pods large and many, so no more than one is in memory as a whole; one of
//! which too much would have to be kept is no replacement and is not Ready.

use bailiff_kube::decode::Decoded;
use bailiff_kube::list_watch::{ListWatch, ListWatchError, ObjectEvent};
use bailiff_kube::watch::Event;
use bailiff_policy::{Reads, project};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;

/// Most bytes of memory that are read of a pod: its labels, owners and conditions.
const POD_LIMIT_BYTES: usize = 8 << 10;
/// What identifies a replacement.
const PARTS: &[&[&str]] = &[
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    // Owners select their pods by labels that are not known before.
    &["metadata", "labels"],
    &["metadata", "ownerReferences"],
    &["spec", "nodeName"],
    &["status", "phase"],
    &["status", "conditions"],
];

/// What happens to pods.
pub(super) type Pods = BoxStream<'static, Result<Event<Kept>, ListWatchError>>;

/// What is kept of a pod.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) pod: Pod,
    /// How much memory it takes.
    pub(super) bytes: usize,
}

/// Watches the pods of a namespace, or those that labels select.
pub(super) fn watch(client: Client, namespace: &str, labels: Option<String>) -> Pods {
    let all = ListWatch::new(&format!("/api/v1/namespaces/{namespace}/pods"), None);
    let some = match labels {
        Some(labels) => all.with_labels(labels),
        None => all,
    };
    let mut reads = Reads::path(&["metadata", "name"]);
    for part in PARTS {
        reads.merge(&Reads::path(part));
    }
    some.stream(client)
        .filter_map(move |event| {
            let event = event.map(|event| known(event, &reads)).transpose();
            std::future::ready(event)
        })
        .boxed()
}

/// The event with what is kept of the pod; none: nothing is.
fn known(event: ObjectEvent, reads: &Reads) -> Option<Event<Kept>> {
    match event {
        ObjectEvent::Listing => Some(Event::Init),
        ObjectEvent::Listed(json) => pod(&json, reads).map(Event::InitApply),
        ObjectEvent::Complete => Some(Event::InitDone),
        // What it was before is true no more.
        ObjectEvent::Applied(json) => match pod(&json, reads) {
            Some(kept) => Some(Event::Apply(kept)),
            None => deleted(&json),
        },
        ObjectEvent::Deleted(json) => deleted(&json),
        ObjectEvent::TooLarge => {
            tracing::warn!("A pod of a workload that recovers has more than 10 MiB");
            None
        }
    }
}

fn pod(json: &[u8], reads: &Reads) -> Option<Kept> {
    let read = project(json, reads, POD_LIMIT_BYTES)
        .map_err(|error| error.to_string())
        .and_then(|(value, bytes)| {
            let pod = Decoded::<Pod>::from_text(&value.to_string()).into_result();
            pod.map(|pod| (pod, bytes))
                .map_err(|error| error.to_string())
        });
    let (mut pod, bytes) = match read {
        Ok(pod) => pod,
        Err(error) => {
            tracing::warn!(%error, "Cannot read a pod of a workload that recovers");
            return None;
        }
    };
    let owners = pod.metadata.owner_references.as_mut();
    if let Some(owners) = owners {
        owners.retain(|owner| owner.controller == Some(true));
        owners.shrink_to_fit();
    }
    let conditions = pod.status.as_mut().and_then(|s| s.conditions.as_mut());
    if let Some(conditions) = conditions {
        conditions.retain(|c| c.type_ == "Ready");
        conditions.shrink_to_fit();
        for condition in conditions {
            condition.message = None;
        }
    }
    Some(Kept {
        pod,
        bytes: bytes + size_of::<Kept>(),
    })
}

fn deleted(json: &[u8]) -> Option<Event<Kept>> {
    let uid = Reads::path(&["metadata", "uid"]);
    let (value, _) = project(json, &uid, POD_LIMIT_BYTES).ok()?;
    let uid = value.pointer("/metadata/uid")?.as_str()?.to_owned();
    Some(Event::Delete(Box::new(ObjectMeta {
        uid: Some(uid),
        ..ObjectMeta::default()
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_is_kept_of_a_pod_is_bounded_and_one_that_is_too_large_is_not_ready() {
        let pod = |uid: &str, message: usize| {
            json!({
                "metadata": {"name": "web", "uid": uid, "labels": {"app": "web"},
                    "annotations": {"a": "x".repeat(100_000)},
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "a"},
                        {"apiVersion": "v1", "kind": "B", "name": "b", "uid": "b", "controller": true}]},
                "spec": {"nodeName": "node-1",
                    "containers": [{"name": "a", "env": vec![json!({"name": "A"}); 10_000]}]},
                "status": {"conditions": [{"type": "Other", "status": "True"},
                    {"type": "Ready", "status": "True", "message": "x".repeat(message)}]},
            })
        };
        let path = "/api/v1/namespaces/shop/pods";
        let list = json!({"metadata": {"resourceVersion": "5"},
            "items": [pod("a", 100), pod("b", 100_000)]});
        let grown = json!({"type": "MODIFIED", "object": pod("a", 100_000)});
        let selected = format!("{path}?&labelSelector=app%3Dweb&resourceVersion=0");
        let (server, client) = ApiServer::playing([
            vec![Call::get(&selected).gives(list)],
            vec![Call::get(path).gives(grown)],
        ]);
        let events: Vec<_> = watch(client, "shop", Some("app=web".to_owned()))
            .take(4)
            .map(Result::unwrap)
            .collect()
            .await;
        server.finish();
        let [
            Event::Init,
            Event::InitApply(kept),
            Event::InitDone,
            Event::Delete(gone),
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(gone.uid.as_deref(), Some("a"));
        assert!(kept.bytes > size_of::<Kept>() && kept.bytes < size_of::<Kept>() + POD_LIMIT_BYTES);
        let kept = serde_json::to_value(&kept.pod).unwrap();
        assert_eq!(kept["metadata"]["labels"]["app"], "web");
        assert_eq!(kept["metadata"]["annotations"], Value::Null);
        assert_eq!(kept["metadata"]["ownerReferences"][0]["uid"], "b");
        assert_eq!(
            kept["status"]["conditions"],
            json!([{"type": "Ready", "status": "True"}])
        );
    }
}
