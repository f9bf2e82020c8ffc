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
use std::collections::BTreeMap;

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
        let (a, b) = futures::join!(
            get(client, namespace, ("apps", "v1", "ReplicaSet"), set),
            get(client, namespace, ("apps", "v1", "Deployment"), deployment),
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
    (!deployment.is_empty()).then_some((set, deployment))
}

/// The top owner of a pod; none: it has no controller.
///
/// # Errors
/// When an owner is of an unknown kind, not there, or can't be read.
pub async fn top(
    client: &Client,
    pod: &Pod,
    mut ahead: ReadAhead,
) -> Result<Option<OwnerObject>, OwnerError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut next = controller(pod.metadata.owner_references.as_deref());
    let mut top = None;
    for _ in 0..HOPS_LIMIT {
        let Some(reference) = next else {
            return Ok(top);
        };
        let references = read(client, namespace, &reference, &mut ahead).await?;
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
    ahead: &mut ReadAhead,
) -> Result<Option<Vec<OwnerReference>>, OwnerError> {
    let (kind, name) = (reference.kind.clone(), reference.name.clone());
    let (group, version) = reference
        .api_version
        .split_once('/')
        .unwrap_or(("", &reference.api_version));
    if !KNOWN.contains(&(group, kind.as_str())) {
        return Err(OwnerError::Kind { kind, name });
    }
    if let Some(object) = ahead.take(group, reference) {
        return Ok(object.metadata.owner_references);
    }
    let found = get(client, namespace, (group, version, &kind), &name)
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

async fn get(
    client: &Client,
    namespace: &str,
    (group, version, kind): (&str, &str, &str),
    name: &str,
) -> Result<Option<Object>, kube::Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(client.clone(), namespace, &resource);
    api.get_metadata_opt(name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_a_deployment_names_its_owners() {
        let hash = |hash: &str| BTreeMap::from([("pod-template-hash".to_owned(), hash.to_owned())]);
        assert_eq!(
            names("web-app-5d8f-x7k2p", &hash("5d8f")),
            Some(("web-app-5d8f", "web-app"))
        );
        // Of a StatefulSet or a DaemonSet, of another's hash, cut, without a Deployment's name.
        assert_eq!(names("db-0", &BTreeMap::new()), None);
        assert_eq!(names("web-5d8f-x7k2p", &hash("77aa")), None);
        assert_eq!(names("web-5d8x7k2p", &hash("5d8f")), None);
        assert_eq!(names("-5d8f-x7k2p", &hash("5d8f")), None);
        assert_eq!(names("5d8f-x7k2p", &hash("5d8f")), None);
    }

    #[test]
    fn what_was_read_ahead_counts_only_with_the_uid_of_the_reference() {
        let ahead = || {
            let mut object: Object = serde_json::from_value(serde_json::json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": {"name": "web-5d8f", "uid": "1"},
            }))
            .unwrap();
            object.metadata.owner_references = None;
            ReadAhead {
                found: vec![("ReplicaSet", "web-5d8f".to_owned(), object)],
            }
        };
        let reference = |kind: &str, uid: &str| OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: kind.to_owned(),
            name: "web-5d8f".to_owned(),
            uid: uid.to_owned(),
            ..OwnerReference::default()
        };
        assert!(
            ahead()
                .take("apps", &reference("ReplicaSet", "1"))
                .is_some()
        );
        assert!(
            ahead()
                .take("apps", &reference("ReplicaSet", "2"))
                .is_none()
        );
        assert!(
            ahead()
                .take("apps", &reference("Deployment", "1"))
                .is_none()
        );
        assert!(
            ahead()
                .take("batch", &reference("ReplicaSet", "1"))
                .is_none()
        );
    }
}
