//! The pods of a workload.
//!
//! Here: the argument KIND/NAME, and which pods belong to it. Not here: how owners are verified
//! (`bailiff_kube::owner`).
//! Invariant: a pod belongs to the workload that enforcement finds for it.

use crate::{Error, objects};
use bailiff_api::WorkloadReference;
use bailiff_kube::decode::Decoded;
use bailiff_kube::owner::{self, Prefetch};
use bailiff_response::{Owner, WorkloadKey, is_mirror};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

/// Pods whose owners are read at the same time.
const CONCURRENCY: usize = 8;

/// The remedy for missing permissions.
const FORBIDDEN: &str =
    "reading pods and their owners requires the ClusterRole view in the namespace";

/// Names of kinds on the command line, with their API version and kind.
const KINDS: &[(&[&str], &str, &str)] = &[
    (&["pod", "pods", "po"], "v1", "Pod"),
    (
        &["deployment", "deployments", "deploy"],
        "apps/v1",
        "Deployment",
    ),
    (
        &["replicaset", "replicasets", "rs"],
        "apps/v1",
        "ReplicaSet",
    ),
    (
        &["statefulset", "statefulsets", "sts"],
        "apps/v1",
        "StatefulSet",
    ),
    (&["daemonset", "daemonsets", "ds"], "apps/v1", "DaemonSet"),
    (&["job", "jobs"], "batch/v1", "Job"),
    (&["cronjob", "cronjobs", "cj"], "batch/v1", "CronJob"),
    (
        &["replicationcontroller", "replicationcontrollers", "rc"],
        "v1",
        "ReplicationController",
    ),
];

/// A workload or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    api_version: &'static str,
    kind: &'static str,
    name: String,
}

/// Parses KIND/NAME.
pub(super) fn parse(text: &str) -> Result<Target, String> {
    let (kind, name) = text
        .split_once('/')
        .ok_or("must have the form KIND/NAME, such as deployment/web")?;
    let lower = kind.to_ascii_lowercase();
    let (_, api_version, kind) = KINDS
        .iter()
        .find(|(names, _, _)| names.contains(&lower.as_str()))
        .ok_or_else(|| {
            let kinds: Vec<_> = KINDS
                .iter()
                .filter_map(|(names, _, _)| names.first().copied())
                .collect();
            format!(
                "KIND must be one of {}; for other kinds, use pod/NAME",
                kinds.join(", ")
            )
        })?;
    if !owner::is_name(name) {
        return Err("NAME must be the name of an object".to_owned());
    }
    Ok(Target {
        api_version,
        kind,
        name: name.to_owned(),
    })
}

/// The pods of the target, each with its owner.
///
/// # Errors
/// If the target does not exist or a request fails.
pub(super) async fn pods(
    client: &Client,
    namespace: &str,
    target: &Target,
) -> Result<Vec<(Pod, Owner)>, Error> {
    let Target { kind, name, .. } = target;
    let failed = |what: String| move |error| Error::from_request(what, FORBIDDEN, &error);
    let api = Api::<Decoded<Pod>>::namespaced(client.clone(), namespace);
    let Some(resource) = owner::known(target.api_version, kind) else {
        let read = api.get(name).await;
        let pod = read.map_err(failed(format!("read pod {name} in namespace {namespace}")))?;
        let pod = pod.into_result().map_err(|error| {
            Error::Input(format!(
                "cannot decode pod {name} in namespace {namespace}: {error}"
            ))
        })?;
        let owner = owner_of(client, namespace, &pod).await;
        return Ok(vec![(pod, owner)]);
    };
    let objects = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let read = objects.get(name).await;
    let object = read.map_err(failed(format!(
        "read {kind} {name} in namespace {namespace}"
    )))?;
    let mut params = ListParams::default();
    if let Some(selector) = owner::selector(kind, &object.data) {
        params = params.labels_from(&selector);
    }
    let mut candidates = Vec::new();
    objects::list(&api, params, |pod: Pod| candidates.push(pod))
        .await
        .map_err(failed(format!("list pods in namespace {namespace}")))?;
    let target = WorkloadKey::of(
        namespace,
        &WorkloadReference {
            api_version: target.api_version.to_owned(),
            kind: (*kind).to_owned(),
            name: name.clone(),
            uid: object.metadata.uid.unwrap_or_default(),
        },
    );
    let pods = futures::stream::iter(candidates)
        .map(|pod| async {
            let owner = owner_of(client, namespace, &pod).await;
            (pod, owner)
        })
        .buffered(CONCURRENCY)
        .filter(|(pod, owner)| std::future::ready(belongs(namespace, pod, owner, &target)))
        .collect()
        .await;
    Ok(pods)
}

/// Whether a pod belongs to an object: it is the pod's workload, or its controller below that. A pod whose
/// owners could not be read might belong to it, so it is included, and its preview reports the error.
fn belongs(namespace: &str, pod: &Pod, owner: &Owner, target: &WorkloadKey) -> bool {
    let direct = owner::controller(pod.metadata.owner_references.as_deref());
    let direct = direct.map(|reference| WorkloadReference {
        api_version: reference.api_version,
        kind: reference.kind,
        name: reference.name,
        uid: reference.uid,
    });
    // Tenants write references, so a UID alone identifies no object.
    let is_target = |workload: &WorkloadReference| WorkloadKey::of(namespace, workload) == *target;
    match owner {
        Owner::Workload(workload) | Owner::Released(workload) => {
            is_target(workload) || direct.as_ref().is_some_and(is_target)
        }
        Owner::Unknown(_) => true,
        Owner::None => false,
    }
}

async fn owner_of(client: &Client, namespace: &str, pod: &Pod) -> Owner {
    // A static pod's controller is its Node, which creates no pods through the API.
    if is_mirror(pod) {
        return Owner::None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let prefetch = Prefetch::of(client, namespace, name, &labels).await;
    match owner::workload_of(client, pod, prefetch).await {
        Ok(Some(workload)) => Owner::Workload(workload),
        Ok(None) => Owner::None,
        Err(error) => Owner::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_belongs_to_the_workload_of_enforcement_and_to_no_other_with_its_uid() {
        let reference = |api_version: &str, kind: &str, uid: &str| WorkloadReference {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: "web".to_owned(),
            uid: uid.to_owned(),
        };
        let web = reference("apps/v1", "Deployment", "web-uid");
        let set = reference("apps/v1", "ReplicaSet", "set-uid");
        let foreign = reference("x.example/v1", "Deployment", "web-uid");
        let other = reference("apps/v1", "StatefulSet", "web-uid");
        let unknown = Owner::Unknown("the API server is unavailable".to_owned());
        let workload = |w: &WorkloadReference| Owner::Workload(w.clone());
        for (direct, owner, target, want) in [
            (&set, workload(&web), &web, true),
            // What a tenant claims.
            (&foreign, workload(&foreign), &web, false),
            (&other, workload(&other), &web, false),
            (&set, workload(&web), &set, true),
            (&foreign, workload(&set), &web, false),
            (&set, unknown, &web, true),
            (&web, Owner::None, &web, false),
        ] {
            let controller = json!({"apiVersion": direct.api_version, "kind": direct.kind,
                "name": direct.name, "uid": direct.uid, "controller": true});
            let pod = json!({"metadata": {"ownerReferences": [controller]}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let key = WorkloadKey::of("shop", target);
            assert_eq!(
                belongs("shop", &pod, &owner, &key),
                want,
                "{direct:?} {owner:?}"
            );
        }
        let elsewhere = WorkloadKey::of("bank", &web);
        let pod = Pod::default();
        assert!(!belongs("shop", &pod, &workload(&web), &elsewhere));
    }

    #[test]
    fn a_target_is_a_kind_and_a_name() {
        let target = |api_version, kind, name: &str| {
            Ok(Target {
                api_version,
                kind,
                name: name.to_owned(),
            })
        };
        assert_eq!(parse("deploy/web"), target("apps/v1", "Deployment", "web"));
        assert_eq!(parse("Pod/web-0"), target("v1", "Pod", "web-0"));
        for (text, want) in [
            (
                "web",
                "must have the form KIND/NAME, such as deployment/web",
            ),
            (
                "service/web",
                "KIND must be one of pod, deployment, replicaset, statefulset, daemonset, job, cronjob, replicationcontroller; for other kinds, use pod/NAME",
            ),
            ("pod/../secrets/x", "NAME must be the name of an object"),
            ("pod/", "NAME must be the name of an object"),
        ] {
            assert_eq!(parse(text), Err(want.to_owned()), "{text}");
        }
    }
}
