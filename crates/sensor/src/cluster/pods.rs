//! The pods of this node and the namespaces, as the API server tells them.
//!
//! Here: what is kept of each, and for how long. Not here: watching (`run`).
//! Invariant: a pod that was deleted and a container that was replaced are remembered for a
//! minute, for processes that are told of later; nothing else of them stays.

use crate::process::commands::KubeletCommands;
use bailiff_api::{ContainerType, keys};
use bailiff_policy::Container;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as Spec, ContainerStatus, Namespace, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How long a deleted pod is remembered, and a container that another took the place of.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(1);

/// A pod, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct PodFacts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    /// Of a static pod's copy in the API: the hash that the pod itself has for a UID.
    static_uid: Option<String>,
    created: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) service_account: Option<String>,
    pub(crate) commands: KubeletCommands,
    /// Containers by the ID that the runtime gave them.
    pub(crate) containers: BTreeMap<String, Container>,
    /// Those of them that the pod's status does not name any more, and since when.
    replaced: BTreeMap<String, Timestamp>,
    /// The whole object, for expressions.
    pub(crate) object: Value,
}

/// A namespace, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceFacts {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) object: Value,
}

/// Pods by UID.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_uid: HashMap<String, Arc<PodFacts>>,
    /// UIDs of the API's copies by those of the static pods themselves.
    copies: HashMap<String, String>,
    deleted: Vec<(Timestamp, String)>,
}

impl Pods {
    /// A pod is there or was changed; its UID.
    pub(crate) fn apply(&mut self, pod: &Pod, now: Timestamp) -> Option<String> {
        let mut facts = facts(pod)?;
        let uid = facts.uid.clone();
        if let Some(before) = self.by_uid.get(&uid) {
            facts.keep_replaced(before, now);
        }
        if let Some(static_uid) = &facts.static_uid
            && self.is_copy(static_uid, &facts)
        {
            self.copies.insert(static_uid.clone(), uid.clone());
        }
        self.by_uid.insert(uid.clone(), Arc::new(facts));
        Some(uid)
    }

    /// Whether a pod is the copy of this static pod. Tenants can write the same annotations to
    /// a pod of their own, so the oldest one counts; the kubelet made its copy when it started.
    fn is_copy(&self, static_uid: &str, facts: &PodFacts) -> bool {
        let known = self.copies.get(static_uid);
        known.filter(|uid| !self.is_deleted(uid)).is_none_or(|uid| {
            let created = self.by_uid.get(uid).and_then(|known| known.created);
            *uid == facts.uid || facts.created < created
        })
    }

    fn is_deleted(&self, uid: &str) -> bool {
        self.deleted.iter().any(|(_, known)| known == uid)
    }

    /// A pod was deleted.
    pub(crate) fn delete(&mut self, pod: &ObjectMeta, now: Timestamp) {
        if let Some(uid) = &pod.uid {
            self.deleted.push((now, uid.clone()));
        }
    }

    /// Forgets pods that were deleted long enough ago.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let (by_uid, copies) = (&mut self.by_uid, &mut self.copies);
        self.deleted.retain(|(since, uid)| {
            let keep = now.duration_since(*since) < REMEMBERED;
            if !keep {
                by_uid.remove(uid);
                copies.retain(|_, copy| copy != uid);
            }
            keep
        });
    }

    /// The pod with this UID, or the copy of the static pod with it.
    pub(crate) fn get(&self, uid: &str) -> Option<&Arc<PodFacts>> {
        let by_copy = || self.by_uid.get(self.copies.get(uid)?);
        self.by_uid.get(uid).or_else(by_copy)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Keeps those that a new listing names; the others were deleted meanwhile.
    pub(crate) fn keep(&mut self, listed: &HashSet<String>, now: Timestamp) {
        let gone: Vec<_> = self
            .by_uid
            .keys()
            .filter(|uid| !listed.contains(*uid) && !self.is_deleted(uid))
            .cloned()
            .collect();
        self.deleted.extend(gone.into_iter().map(|uid| (now, uid)));
    }
}

impl PodFacts {
    /// Takes over containers that were replaced a short time ago.
    fn keep_replaced(&mut self, before: &Self, now: Timestamp) {
        for (id, container) in &before.containers {
            let since = before.replaced.get(id).copied().unwrap_or(now);
            if self.containers.contains_key(id) || now.duration_since(since) >= REMEMBERED {
                continue;
            }
            self.containers.insert(id.clone(), container.clone());
            self.replaced.insert(id.clone(), since);
        }
    }
}

/// What is kept of a namespace.
pub(crate) fn namespace_facts(namespace: &Namespace) -> NamespaceFacts {
    NamespaceFacts {
        labels: namespace.metadata.labels.clone().unwrap_or_default(),
        object: serde_json::to_value(namespace).unwrap_or_default(),
    }
}

fn facts(pod: &Pod) -> Option<PodFacts> {
    let spec = pod.spec.as_ref()?;
    let mut object = pod.clone();
    // They are long, and nobody writes policies about them.
    object.metadata.managed_fields = None;
    let meta = &pod.metadata;
    let annotation = |key: &str| meta.annotations.as_ref()?.get(key).cloned();
    Some(PodFacts {
        name: meta.name.clone()?,
        namespace: meta.namespace.clone()?,
        uid: meta.uid.clone()?,
        static_uid: annotation(keys::ANNOTATION_MIRROR_POD)
            .and_then(|_| annotation(keys::ANNOTATION_STATIC_POD_UID)),
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
        labels: meta.labels.clone().unwrap_or_default(),
        service_account: spec.service_account_name.clone(),
        commands: KubeletCommands::of(spec),
        containers: containers(pod, spec),
        replaced: BTreeMap::new(),
        object: serde_json::to_value(&object).ok()?,
    })
}

/// The containers of a pod by their IDs, as far as its status has them: those that run, and those
/// that ran before a restart.
fn containers(pod: &Pod, spec: &PodSpec) -> BTreeMap<String, Container> {
    let mut containers = BTreeMap::new();
    let mut add = |statuses: &Option<Vec<ContainerStatus>>,
                   specs: &[Spec],
                   type_of: &dyn Fn(Option<&Spec>) -> ContainerType| {
        for status in statuses.iter().flatten() {
            let spec = specs.iter().find(|spec| spec.name == status.name);
            let image = spec.and_then(|spec| spec.image.clone());
            let container = Container {
                name: Some(status.name.clone()),
                image: image.or_else(|| Some(status.image.clone())),
                image_id: Some(status.image_id.clone()).filter(|id| !id.is_empty()),
                type_: Some(type_of(spec)),
            };
            let last = status.last_state.as_ref();
            let last = last.and_then(|state| state.terminated.as_ref()?.container_id.as_deref());
            for id in [last, status.container_id.as_deref()].into_iter().flatten() {
                if let Some((_, id)) = id.split_once("://") {
                    containers.insert(id.to_owned(), container.clone());
                }
            }
        }
    };
    let Some(status) = pod.status.as_ref() else {
        return containers;
    };
    add(&status.container_statuses, &spec.containers, &|_| {
        ContainerType::App
    });
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    add(&status.init_container_statuses, inits, &|spec| match spec
        .and_then(|spec| spec.restart_policy.as_deref())
    {
        Some("Always") => ContainerType::Sidecar,
        Some(_) | None => ContainerType::Init,
    });
    add(&status.ephemeral_container_statuses, &[], &|_| {
        ContainerType::Ephemeral
    });
    containers
}

#[cfg(test)]
mod tests;
