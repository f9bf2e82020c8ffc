//! Finds the object at the top of a pod's owners.
//!
//! Here: following controller references by live reads. Not here: what an owner means for an
//! answer (`response`).
//! Invariant: owner references are written by tenants, so each hop's UID is checked; what is
//! not known is an error and never "no owner".

use bailiff_api::OwnerObject;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};

/// Most owners that are followed.
const HOPS_LIMIT: usize = 8;

/// Kinds that are read, with their API group; others could need any permission.
const KNOWN: &[(&str, &str)] = &[
    ("apps", "ReplicaSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("", "ReplicationController"),
];

/// Why the owner is not known.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// It is of a kind that Bailiff can't read.
    #[error("cannot check owner {kind} {name:?}: its kind is not one that Bailiff reads")]
    Kind {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// It is not there, or another of its name is.
    #[error("owner {kind} {name:?} is not there with the UID that the reference names")]
    NotThere {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// It could not be read.
    #[error("cannot read owner {kind} {name:?}")]
    Read {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// There are too many.
    #[error(
        "cannot follow more than {HOPS_LIMIT} owners: look for a circle in the pod's owner references"
    )]
    TooMany,
}

/// The top owner of a pod; none: it has no controller.
///
/// # Errors
/// When an owner is of an unknown kind, not there, or can't be read.
pub async fn top(client: &Client, pod: &Pod) -> Result<Option<OwnerObject>, OwnerError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut next = controller(pod.metadata.owner_references.as_deref());
    let mut top = None;
    for _ in 0..HOPS_LIMIT {
        let Some(reference) = next else {
            return Ok(top);
        };
        let references = read(client, namespace, &reference).await?;
        next = controller(references.as_deref());
        top = Some(OwnerObject {
            api_version: reference.api_version,
            kind: reference.kind,
            name: reference.name,
            uid: reference.uid,
        });
    }
    if next.is_some() {
        return Err(OwnerError::TooMany);
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

async fn read(
    client: &Client,
    namespace: &str,
    reference: &OwnerReference,
) -> Result<Option<Vec<OwnerReference>>, OwnerError> {
    let (kind, name) = (reference.kind.clone(), reference.name.clone());
    let (group, version) = reference
        .api_version
        .split_once('/')
        .unwrap_or(("", &reference.api_version));
    if !KNOWN.contains(&(group, kind.as_str())) {
        return Err(OwnerError::Kind { kind, name });
    }
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(client.clone(), namespace, &resource);
    let found: Option<PartialObjectMeta<kube::core::DynamicObject>> = api
        .get_metadata_opt(&name)
        .await
        .map_err(|source| OwnerError::Read {
            kind: kind.clone(),
            name: name.clone(),
            source: Box::new(source),
        })?;
    match found {
        Some(object) if object.metadata.uid.as_ref() == Some(&reference.uid) => {
            Ok(object.metadata.owner_references)
        }
        Some(_) | None => Err(OwnerError::NotThere { kind, name }),
    }
}
