//! The floor of a response: what a bare client needs for the same three steps.
//!
//! Here: one warm connection; an object of an Incident's size is created, seen by a watch of the
//! same client, and a pod is evicted. Not here: the pods (`attack`), ratios (`summary`).
//! Invariant: nothing is decided and nothing is read in between, so no response that goes through
//! the API server can be faster.

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, PostParams};
use kube::core::Status;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes of the object: about those of an Incident as the API server stores it.
const OBJECT_BYTES: usize = 4096;
/// Label of the objects, which the watch selects.
const LABEL: &str = "bailiff.dev/bench";
/// How long the object may take to reach the watch.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bare client with its watch.
pub(crate) struct Floor {
    maps: Api<ConfigMap>,
    pods: Api<Pod>,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Floor {
    /// Begins the watch, and returns once it lists.
    pub(crate) async fn begin(client: &Client, namespace: &str) -> Result<Self> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let (found, mut seen) = mpsc::unbounded_channel();
        let watched = maps.clone();
        tokio::spawn(async move {
            let config = watcher::Config::default().labels(LABEL);
            let mut events = watcher(watched, config).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let name = match event {
                    Ok(Event::InitDone) => String::new(),
                    Ok(Event::Apply(map)) => map.name_any(),
                    Ok(Event::Init | Event::InitApply(_) | Event::Delete(_)) | Err(_) => continue,
                };
                if found.send(name).is_err() {
                    return;
                }
            }
        });
        tokio::time::timeout(PATIENCE, seen.recv())
            .await
            .context("the watch of the floor does not begin")?;
        Ok(Self {
            maps,
            pods: Api::namespaced(client.clone(), namespace),
            seen,
        })
    }

    /// Creates an object, sees it, evicts the pod; how long that takes.
    pub(crate) async fn measure(&mut self, index: usize, pod: &str, uid: &str) -> Result<Duration> {
        let name = format!("floor-{index}");
        let object = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {LABEL: "floor"}},
            "data": {"text": "x".repeat(OBJECT_BYTES)},
        }))?;
        let eviction = Eviction {
            metadata: ObjectMeta {
                name: Some(pod.to_owned()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                preconditions: Some(Preconditions {
                    uid: Some(uid.to_owned()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let started = Instant::now();
        self.maps.create(&PostParams::default(), &object).await?;
        let seeing = async {
            while let Some(seen) = self.seen.recv().await {
                if seen == name {
                    return true;
                }
            }
            false
        };
        let seen = tokio::time::timeout(PATIENCE, seeing).await;
        ensure!(seen == Ok(true), "object {name} did not reach the watch");
        let _accepted: Status = self
            .pods
            .create_subresource("eviction", pod, &PostParams::default(), &eviction)
            .await
            .with_context(|| format!("cannot evict pod {pod}"))?;
        Ok(started.elapsed())
    }
}
