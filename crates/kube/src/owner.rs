//! Finds the object at the top of a pod's owners.
//!
//! Here: following controller references by live reads. Not here: what an owner means for an
//! answer (`response`).
//! Invariant: owner references are written by tenants, so each hop's UID is checked, and no
//! reference can make a pod one without owner, or one that is asked about for ever; what could
//! not be read is an error and never "no owner".

use bailiff_api::WorkloadReference;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use std::collections::BTreeMap;

/// Most owners that are followed. Kubernetes' own chains have two; a longer one is a tenant's.
const HOPS_LIMIT: usize = 8;

/// Kinds that are read, with their API group and the version that every supported release
/// serves; others could need any permission.
const KNOWN: &[(&str, &str, &str)] = &[
    ("apps", "v1", "ReplicaSet"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("", "v1", "ReplicationController"),
];

/// An owner could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read owner {kind} {name:?}")]
pub struct OwnerError {
    kind: String,
    name: String,
    source: Box<kube::Error>,
}

/// The resource of an object, where it is of a kind that Bailiff reads.
#[must_use]
pub fn known(api_version: &str, kind: &str) -> Option<ApiResource> {
    let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
    let (group, version, kind) = KNOWN
        .iter()
        .find(|(known_group, _, known)| *known_group == group && *known == kind)?;
    // Not the reference's version: whoever wrote it could put any path there.
    let kind = GroupVersionKind::gvk(group, version, kind);
    Some(ApiResource::from_gvk(&kind))
}

/// What was read before the pod's owner references were: the ReplicaSet and the Deployment that
/// its name and labels point to. Nothing is believed of it but what a reference confirms.
#[derive(Debug, Default)]
pub struct ReadAhead {
    found: Vec<(&'static str, String, Object)>,
}

type Object = PartialObjectMeta<kube::core::DynamicObject>;

impl ReadAhead {
    /// Reads the owners that a pod of a Deployment has by its name, both at once, so that three
    /// reads wait for one answer each and not for each other. A read that fails is no error here:
    /// it is done again when a reference asks for it.
    pub async fn of(
        client: &Client,
        namespace: &str,
        pod: &str,
        labels: &BTreeMap<String, String>,
    ) -> Self {
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

    fn take(&mut self, group: &str, reference: &OwnerReference) -> Option<Object> {
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
/// `web-5d8f-x7k2p` with the label `pod-template-hash=5d8f` is of ReplicaSet `web-5d8f` and
/// Deployment `web`. None: it is no pod of a Deployment, or its name was cut.
fn names<'a>(pod: &'a str, labels: &BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
    let hash = labels.get("pod-template-hash")?;
    let (set, _) = pod.rsplit_once('-')?;
    let deployment = set.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    is_name(deployment)
        .then_some((set, deployment))
        .filter(|_| is_name(set))
}

/// The top owner of a pod, as far as it can be followed; none: it has no controller.
///
/// A controller of a kind that Bailiff does not read (an operator's own) is not read: directly
/// above the pod it is taken from the reference, further up the last one that was read is the
/// top. So is a reference to an object that is not there with that UID: the garbage collector
/// takes such a pod away, so there is nothing that its eviction could harm.
///
/// # Errors
/// When an owner can't be read.
pub async fn top(
    client: &Client,
    pod: &Pod,
    mut ahead: ReadAhead,
) -> Result<Option<WorkloadReference>, OwnerError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut next = controller(pod.metadata.owner_references.as_deref());
    let mut top = None;
    for _ in 0..HOPS_LIMIT {
        let Some(reference) = next else {
            break;
        };
        let references = read(client, namespace, &reference, &mut ahead).await?;
        if references.is_none() && top.is_some() {
            break;
        }
        next = references.and_then(|references| controller(Some(&references)));
        top = Some(WorkloadReference {
            api_version: reference.api_version,
            kind: reference.kind,
            name: reference.name,
            uid: reference.uid,
        });
    }
    Ok(top)
}

/// The reference to the controller among owner references.
#[must_use]
pub fn controller(references: Option<&[OwnerReference]>) -> Option<OwnerReference> {
    references?
        .iter()
        .find(|r| r.controller == Some(true))
        .cloned()
}

/// The owner references of an owner; none: it is of a kind that is not read, or not there.
async fn read(
    client: &Client,
    namespace: &str,
    reference: &OwnerReference,
    ahead: &mut ReadAhead,
) -> Result<Option<Vec<OwnerReference>>, OwnerError> {
    let Some(resource) = known(&reference.api_version, &reference.kind) else {
        return Ok(None);
    };
    if !is_name(&reference.name) {
        return Ok(None);
    }
    if let Some(object) = ahead.take(&resource.group, reference) {
        return Ok(Some(object.metadata.owner_references.unwrap_or_default()));
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
        .map(|object| object.metadata.owner_references.unwrap_or_default()))
}

/// Whether a text can be the name of an object, and so a part of a path: anything else could lead
/// to another object. What somebody wrote down as a name the API server has not checked.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    name.chars().all(allowed) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

async fn get(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> Result<Option<Object>, kube::Error> {
    let api: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(client.clone(), namespace, resource);
    api.get_metadata_opt(name).await
}

#[cfg(test)]
mod tests;
