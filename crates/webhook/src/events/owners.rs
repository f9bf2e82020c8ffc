//! The workload of a denied pod.
//!
//! Here: reading it, and remembering it for a minute, because a ReplicaSet retries often. Not here: which
//! owner counts (`bailiff_kube::owner`).
//! Invariant: a workload that Bailiff reads is verified by its UID. One of a kind that it does not read is
//! taken as written if the API server serves that kind in namespaces; otherwise there is none. What is
//! remembered is bounded.

use super::WriteError;
use super::denied::Denied;
use bailiff_api::WorkloadReference;
use bailiff_kube::owner::{self, Prefetch};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResourceList, ObjectMeta};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a workload, or the scope of a kind, is remembered.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Most workloads, and most kinds, that are remembered, of at most 1.5 KiB each.
const REMEMBERED_LIMIT: usize = 1024;

/// Reads workloads.
pub(super) struct Owners {
    client: kube::Client,
    /// By namespace, and API version, kind, name and UID of the controller.
    workloads: Recent<[String; 5], Option<WorkloadReference>>,
    /// Whether objects are in namespaces, by API version and kind.
    namespaced: Recent<[String; 2], bool>,
}

impl Owners {
    pub(super) const fn new(client: kube::Client) -> Self {
        Self {
            client,
            workloads: Recent::new(),
            namespaced: Recent::new(),
        }
    }

    /// The workload; none: no object of the namespace counts as one.
    pub(super) async fn workload_of(
        &mut self,
        denied: &Denied,
    ) -> Result<Option<WorkloadReference>, WriteError> {
        let owner = &denied.owner;
        let key = [
            &denied.namespace,
            &owner.api_version,
            &owner.kind,
            &owner.name,
            &owner.uid,
        ]
        .map(Clone::clone);
        if let Some(workload) = self.workloads.get(&key, Instant::now()) {
            return Ok(workload.clone());
        }
        let pod = Pod {
            metadata: ObjectMeta {
                namespace: Some(denied.namespace.clone()),
                labels: Some(denied.labels.clone()),
                owner_references: Some(vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        };
        let mut workload = owner::workload_of(&self.client, &pod, Prefetch::default()).await?;
        if let Some(found) = &workload
            && owner::known(&found.api_version, &found.kind).is_none()
            && !self.is_namespaced(&found.api_version, &found.kind).await?
        {
            workload = None;
        }
        self.workloads.put(key, workload.clone(), Instant::now());
        Ok(workload)
    }

    /// Whether the API server serves a kind, in namespaces.
    async fn is_namespaced(&mut self, api_version: &str, kind: &str) -> Result<bool, WriteError> {
        let key = [api_version.to_owned(), kind.to_owned()];
        if let Some(is_namespaced) = self.namespaced.get(&key, Instant::now()) {
            return Ok(*is_namespaced);
        }
        // The parts of the version are names (`denied`), so they lead to no other path.
        let read = if api_version.contains('/') {
            self.client.list_api_group_resources(api_version).await
        } else {
            self.client.list_core_api_resources(api_version).await
        };
        let resources = match read {
            Ok(list) => list,
            Err(kube::Error::Api(status)) if status.code == 404 => APIResourceList::default(),
            Err(error) => return Err(error.into()),
        };
        let is_namespaced = resources
            .resources
            .iter()
            .any(|resource| resource.kind == kind && resource.namespaced);
        self.namespaced.put(key, is_namespaced, Instant::now());
        Ok(is_namespaced)
    }
}

/// Values that are remembered for a while.
#[derive(Debug)]
struct Recent<K, V> {
    values: BTreeMap<K, (V, Instant)>,
}

impl<K: Ord, V> Recent<K, V> {
    const fn new() -> Self {
        Self {
            values: BTreeMap::new(),
        }
    }

    fn get(&self, key: &K, now: Instant) -> Option<&V> {
        let (value, at) = self.values.get(key)?;
        (now - *at < REMEMBERED).then_some(value)
    }

    fn put(&mut self, key: K, value: V, now: Instant) {
        if self.values.len() >= REMEMBERED_LIMIT {
            self.values.retain(|_, (_, at)| now - *at < REMEMBERED);
        }
        // Full of what is still used: all of it is read again.
        if self.values.len() >= REMEMBERED_LIMIT {
            self.values.clear();
        }
        self.values.insert(key, (value, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_time_and_a_bound() {
        let (mut recent, start) = (Recent::new(), Instant::now());
        recent.put(0, "a", start);
        let last = start + REMEMBERED - Duration::from_nanos(1);
        assert_eq!(recent.get(&0, last), Some(&"a"));
        assert_eq!(recent.get(&0, start + REMEMBERED), None);
        for number in 1..10 * REMEMBERED_LIMIT {
            recent.put(number, "b", start);
            assert!(recent.values.len() <= REMEMBERED_LIMIT);
            assert_eq!(recent.get(&number, start), Some(&"b"));
        }
    }
}
