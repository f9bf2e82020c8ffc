//! Which objects cannot be decoded now.
//!
//! Here: them by kind and name, and the metric. Not here: decoding (`super`).
//! Invariant: it follows the watches; memory is bounded, however many there are.

use super::{Decoded, Undecodable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most objects of a kind that are remembered; of more the metric says only that there are so many.
const REMEMBERED_LIMIT: usize = 1_000;

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Name, namespace, UID, generation and resource version.
    pub metadata: ObjectMeta,
    /// The field and the cause. It can quote what the object says.
    pub error: String,
    /// The object is used without the part of its status that cannot be decoded.
    pub usable: bool,
}

/// Namespace and name of an object.
type Key = (String, String);

/// The objects that cannot be decoded now, by kind; shared by the watches of a component.
#[derive(Clone, Debug, Default)]
pub struct UndecodableObjects(Arc<Mutex<BTreeMap<String, BTreeMap<Key, Problem>>>>);

impl UndecodableObjects {
    /// The objects of a kind, by name.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Vec<Problem> {
        let all = self.lock();
        all.get(kind)
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// Notes an object that was read otherwise than by a watch; true: it cannot be decoded.
    pub fn observe<K: Resource>(&self, kind: &str, decoded: Decoded<K>) -> bool {
        let mut listing = self.follow(kind.to_owned());
        listing.sort(decoded, false).is_err()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<Key, Problem>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to follow a kind.
    pub(crate) fn follow(&self, kind: String) -> Listing {
        self.lock().entry(kind.clone()).or_default();
        Listing {
            objects: self.clone(),
            kind,
            bad: BTreeSet::new(),
        }
    }
}

/// What a watch brings of one kind.
#[derive(Debug)]
pub(crate) struct Listing {
    objects: UndecodableObjects,
    kind: String,
    /// Of the list that is coming, those that cannot be decoded.
    bad: BTreeSet<Key>,
}

impl Listing {
    /// A list begins.
    pub(crate) fn begin(&mut self) {
        self.bad.clear();
    }

    /// A list is complete: what it did not name as bad is not.
    pub(crate) fn end(&mut self) {
        let bad = std::mem::take(&mut self.bad);
        if let Some(known) = self.objects.lock().get_mut(&self.kind) {
            known.retain(|key, _| bad.contains(key));
        }
    }

    /// The object, if it can be decoded; what cannot be is remembered.
    pub(crate) fn sort<K: Resource>(
        &mut self,
        decoded: Decoded<K>,
        listing: bool,
    ) -> Result<K, Box<ObjectMeta>> {
        let problem = problem(&decoded);
        let key = key(decoded.meta());
        match problem {
            Some(problem) => {
                if listing && self.bad.len() < REMEMBERED_LIMIT {
                    self.bad.insert(key.clone());
                }
                self.remember(key, problem);
            }
            None => self.forget(&key),
        }
        decoded
            .into_result()
            .map_err(|Undecodable { metadata, .. }| metadata)
    }

    /// The object was deleted.
    pub(crate) fn deleted(&self, metadata: &ObjectMeta) {
        self.forget(&key(metadata));
    }

    fn remember(&self, key: Key, problem: Problem) {
        let mut all = self.objects.lock();
        let known = all.entry(self.kind.clone()).or_default();
        let old = known.get(&key);
        if old.is_none_or(|old| old.error != problem.error) {
            let (namespace, name) = &key;
            tracing::warn!(
                kind = self.kind,
                namespace,
                name,
                error = problem.error,
                usable = problem.usable,
                "Cannot decode an object",
            );
        }
        if old.is_some() || known.len() < REMEMBERED_LIMIT {
            known.insert(key, problem);
        }
    }

    fn forget(&self, key: &Key) {
        if let Some(known) = self.objects.lock().get_mut(&self.kind) {
            known.remove(key);
        }
    }
}

fn problem<K: Resource>(decoded: &Decoded<K>) -> Option<Problem> {
    let (error, usable) = match &decoded.0 {
        Ok(whole) => (whole.ignored.first()?.to_string(), true),
        Err(undecodable) => (undecodable.error.to_string(), false),
    };
    let metadata = decoded.meta();
    Some(Problem {
        metadata: ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            generation: metadata.generation,
            ..ObjectMeta::default()
        },
        error,
        usable,
    })
}

fn key(metadata: &ObjectMeta) -> Key {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    (namespace, metadata.name.clone().unwrap_or_default())
}

impl Collector for UndecodableObjects {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.lock();
        let help = "Objects that cannot be decoded now, at most 1000 of a kind";
        let mut metric =
            encoder.encode_descriptor("undecodable_objects", help, None, MetricType::Gauge)?;
        for (kind, objects) in all.iter() {
            let count = ConstGauge::new(i64::try_from(objects.len()).unwrap_or(i64::MAX));
            let labels = [("kind", kind.as_str())];
            count.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
