//! Finds the workload of a pod.
//!
//! Here: following controller references by live reads. Not here: what a workload means for a
//! response (`response`), and pods of an owner that was read before (`direct`).
//! Invariant: owner references are written by tenants, so each hop is verified: the owner has the
//! UID of the reference, is of a kind that controls such objects, and its selector matches their labels.
//! A reference that cannot be verified leads to no workload, and at most [`HOPS_LIMIT`] are followed; an
//! owner that cannot be read is an error and never "no owner".

mod direct;

use crate::decode::Decoded;
use bailiff_api::WorkloadReference;
use bailiff_api::keys::WORKLOAD_KINDS;
pub use direct::DirectOwner;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::Client;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, Selector, SelectorExt as _};
use serde_json::Value;
use std::collections::BTreeMap;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Most owners that are followed. Chains of Kubernetes have two; tenants can make longer ones.
const HOPS_LIMIT: usize = 8;

/// An owner could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read owner {kind} {name:?}")]
pub struct OwnerError {
    kind: String,
    name: String,
    source: Box<kube::Error>,
}

/// Most bytes of the parts of a reference to a workload, by the Incident's schema. What tenants write
/// can be longer, and would make the whole status invalid.
const API_VERSION_LIMIT: usize = 317;
const KIND_LIMIT: usize = 63;
const NAME_LIMIT: usize = 253;
const UID_LIMIT: usize = 64;

/// The resource of an object; none if it is not of a kind that Bailiff reads.
#[must_use]
pub fn known(api_version: &str, kind: &str) -> Option<ApiResource> {
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    let (group, version, kind) = WORKLOAD_KINDS
        .iter()
        .find(|(known_group, _, known)| *known_group == group && *known == kind)?;
    // Not the reference's version: a tenant can write any path there.
    let kind = GroupVersionKind::gvk(group, version, kind);
    Some(ApiResource::from_gvk(&kind))
}

/// What was read before the pod's owner references: the ReplicaSet and the Deployment that its name
/// and labels point to. It is used only if a reference has its UID.
#[derive(Debug, Default)]
pub struct Prefetch {
    found: Vec<(&'static str, String, DynamicObject)>,
}

impl Prefetch {
    /// Reads the owners that a pod of a Deployment has by its name, both at once and while the pod is
    /// read. A failed read is no error here: it is retried if a reference names the owner.
    pub async fn of(client: &Client, namespace: &str, pod: &str, labels: &Labels) -> Self {
        let Some((set, deployment)) = names(pod, labels) else {
            return Self::default();
        };
        let of = |kind| ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
        let (sets, deployments) = (of("ReplicaSet"), of("Deployment"));
        let (a, b) = futures::join!(
            get(client, namespace, &sets, set),
            get(client, namespace, &deployments, deployment),
        );
        let kept = [("ReplicaSet", set, a), ("Deployment", deployment, b)];
        let kept = kept
            .into_iter()
            .filter_map(|(kind, name, read)| match read {
                Ok(Some(object)) => Some((kind, name.to_owned(), object)),
                Ok(None) | Err(_) => None,
            });
        Self {
            found: kept.collect(),
        }
    }

    fn take(&mut self, group: &str, reference: &OwnerReference) -> Option<DynamicObject> {
        let at = self.found.iter().position(|(kind, name, object)| {
            group == "apps"
                && *kind == reference.kind
                && *name == reference.name
                && object.metadata.uid.as_ref() == Some(&reference.uid)
        })?;
        Some(self.found.swap_remove(at).2)
    }
}

/// ReplicaSet and Deployment of a pod, as the Deployment controller names them: the pod
/// `web-5d8f-x7k2p` with the label `pod-template-hash=5d8f` belongs to ReplicaSet `web-5d8f` and
/// Deployment `web`. None: it is no pod of a Deployment, or its name was truncated.
fn names<'a>(pod: &'a str, labels: &Labels) -> Option<(&'a str, &'a str)> {
    let hash = labels.get("pod-template-hash")?;
    let (set, _) = pod.rsplit_once('-')?;
    let deployment = set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    is_name(deployment)
        .then_some((set, deployment))
        .filter(|_| is_name(set))
}

/// A workload, and what the pod's own controller creates pods from.
#[derive(Debug, PartialEq)]
pub struct Workload {
    /// The topmost controller.
    pub reference: WorkloadReference,
    /// The pod template of the controller directly above the pod, as it is now; none: Bailiff does not read
    /// controllers of its kind, or it has none.
    pub template: Option<Value>,
    /// The controller directly above the pod; none: Bailiff does not read controllers of its kind.
    pub direct: Option<DirectOwner>,
}

/// The workload of a pod, as [`workload_with_template`] finds it.
///
/// # Errors
/// If an owner cannot be read.
pub async fn workload_of(
    client: &Client,
    pod: &Pod,
    prefetch: Prefetch,
) -> Result<Option<WorkloadReference>, OwnerError> {
    let workload = workload_with_template(client, pod, prefetch).await?;
    Ok(workload.map(|workload| workload.reference))
}

/// The workload of a pod: its topmost controller, as far as references can be verified; none: it has no
/// controller, or names one that it does not belong to, so no workload creates a replacement.
///
/// A controller of a kind that Bailiff does not read (an operator's own) cannot be verified: directly
/// above the pod it is taken from the reference, further up the last one that was verified is the
/// workload.
///
/// # Errors
/// If an owner cannot be read.
pub async fn workload_with_template(
    client: &Client,
    pod: &Pod,
    mut prefetch: Prefetch,
) -> Result<Option<Workload>, OwnerError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut next = controller(pod.metadata.owner_references.as_deref());
    let mut child = Child {
        kind: "Pod".to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
    };
    let mut workload = None;
    let mut template = None;
    let mut direct = None;
    for _ in 0..HOPS_LIMIT {
        let Some(reference) = next else {
            break;
        };
        let mut owner = match read(client, namespace, &reference, &mut prefetch).await? {
            Read::Found(owner) if child.is_controlled_by(&reference.kind, &owner) => owner,
            Read::KindUnknown if workload.is_none() => {
                workload = bounded(reference);
                break;
            }
            Read::Found(_) | Read::NotFound | Read::KindUnknown => break,
        };
        if workload.is_none() {
            direct = DirectOwner::of(&reference, &owner.data);
            template = owner.data.pointer_mut("/spec/template").map(Value::take);
        }
        next = controller(owner.metadata.owner_references.as_deref());
        child = Child {
            kind: reference.kind.clone(),
            uid: reference.uid.clone(),
            labels: owner.metadata.labels.unwrap_or_default(),
        };
        workload = bounded(reference);
    }
    Ok(workload.map(|reference| Workload {
        reference,
        template,
        direct,
    }))
}

/// A reference as the Incident's schema allows it; none: it is no reference, as it has no UID that an
/// object can have.
fn bounded(reference: OwnerReference) -> Option<WorkloadReference> {
    (reference.uid.len() <= UID_LIMIT).then(|| WorkloadReference {
        api_version: cut(reference.api_version, API_VERSION_LIMIT),
        kind: cut(reference.kind, KIND_LIMIT),
        name: cut(reference.name, NAME_LIMIT),
        uid: reference.uid,
    })
}

fn cut(mut text: String, limit: usize) -> String {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// An object whose owner is verified.
struct Child {
    kind: String,
    uid: String,
    labels: Labels,
}

impl Child {
    /// Whether an owner's controller counts this object as its own.
    fn is_controlled_by(&self, kind: &str, owner: &DynamicObject) -> bool {
        let selector = || selector(kind, &owner.data).is_some_and(|s| s.matches(&self.labels));
        match (self.kind.as_str(), kind) {
            (
                "Pod",
                "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController",
            )
            | ("ReplicaSet", "Deployment") => selector(),
            // A CronJob has no selector; it lists the Jobs that it started and that still run.
            ("Job", "CronJob") => {
                let active = owner
                    .data
                    .pointer("/status/active")
                    .and_then(Value::as_array);
                let mut uids = active.into_iter().flatten().map(|job| &job["uid"]);
                uids.any(|uid| uid.as_str() == Some(&self.uid))
            }
            _ => false,
        }
    }
}

/// The selector of a workload of a kind that is read; none: it has none, or one that selects everything or
/// is not valid.
#[must_use]
pub fn selector(kind: &str, object: &Value) -> Option<Selector> {
    let selector = object.pointer("/spec/selector")?;
    let selector = if kind == "ReplicationController" {
        // Its selector is a map of labels.
        let labels = serde_json::from_value(selector.clone()).ok()?;
        LabelSelector {
            match_labels: Some(labels),
            match_expressions: None,
        }
    } else {
        serde_json::from_value(selector.clone()).ok()?
    };
    let empty = selector
        .match_labels
        .as_ref()
        .is_none_or(BTreeMap::is_empty)
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty);
    if empty {
        return None;
    }
    Selector::try_from(selector).ok()
}

/// The reference to the controller among owner references.
#[must_use]
pub fn controller(references: Option<&[OwnerReference]>) -> Option<OwnerReference> {
    references?
        .iter()
        .find(|r| r.controller == Some(true))
        .cloned()
}

/// The controller of a pod whose workload the guard of bad policies counts. None: the pod is not scheduled,
/// so it runs nothing and costs its creator nothing, or its controller is not of a kind that Bailiff
/// verifies.
#[must_use]
pub fn counted(
    node_name: Option<&str>,
    references: Option<&[OwnerReference]>,
) -> Option<OwnerReference> {
    node_name.filter(|node| !node.is_empty())?;
    let owner = controller(references)?;
    known(&owner.api_version, &owner.kind)?;
    (owner.uid.len() <= UID_LIMIT).then_some(owner)
}

/// What was found of an owner.
enum Read {
    /// The object with the UID of the reference.
    Found(Box<DynamicObject>),
    /// No object has that name and UID.
    NotFound,
    /// It is of a kind that is not read.
    KindUnknown,
}

async fn read(
    client: &Client,
    namespace: &str,
    reference: &OwnerReference,
    prefetch: &mut Prefetch,
) -> Result<Read, OwnerError> {
    let Some(resource) = known(&reference.api_version, &reference.kind) else {
        return Ok(Read::KindUnknown);
    };
    if !is_name(&reference.name) {
        return Ok(Read::NotFound);
    }
    if let Some(object) = prefetch.take(&resource.group, reference) {
        return Ok(Read::Found(Box::new(object)));
    }
    let found = get(client, namespace, &resource, &reference.name)
        .await
        .map_err(|source| OwnerError {
            kind: reference.kind.clone(),
            name: reference.name.clone(),
            source: Box::new(source),
        })?;
    Ok(found
        .filter(|object| object.metadata.uid.as_ref() == Some(&reference.uid))
        .map_or(Read::NotFound, |object| Read::Found(Box::new(object))))
}

/// Whether a text can be the name of an object, and so a part of a path: anything else could lead
/// to another object. The API server has not validated a name that a tenant wrote in a reference.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    name.chars().all(allowed) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The object of a name; none: it does not exist, or cannot be decoded.
async fn get(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<DynamicObject>, kube::Error> {
    let api: kube::Api<Decoded<DynamicObject>> =
        kube::Api::namespaced_with(client.clone(), namespace, resource);
    let found = api.get_opt(name).await?;
    Ok(found.and_then(|decoded| decoded.into_result().ok()))
}

#[cfg(test)]
mod tests;
