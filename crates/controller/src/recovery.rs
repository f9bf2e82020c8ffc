//! Looks for the pod that took the place of one that was taken away.
//!
//! Here: reading the workload and its pods. Not here: what the Incident says about it
//! (`bailiff_response`).
//! Invariant: a pod counts as the replacement only when live owner references lead from it to
//! the workload, it was made after the answer was asked for, and no other Incident counted it or
//! was answered earlier and still waits for one.

mod counted;

use crate::ready::ready;
use bailiff_api::{Incident, Replacement, WorkloadReference};
use bailiff_kube::client::ANSWER_LIMIT;
use bailiff_kube::decode::Decoded;
use bailiff_kube::owner::{Prefetch, controller, is_name, known};
use bailiff_response::Recovery;
pub(crate) use counted::{Claim, Counted, Queue};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::api::ListParams;
use kube::core::{DynamicObject, Selector};
use kube::{Api, Client};
use serde_json::Value;
use std::time::Duration;

/// Label of a Job's pods.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What was found of the workload.
enum Makes {
    /// It makes pods that these labels select; so many of them at a time, where that is fixed.
    Pods(String, Option<usize>),
    /// It is of a kind that is not read; its pods name it as their controller.
    PodsThatNameIt,
    /// It makes no new pod.
    NoMore,
    /// It is not known how it makes pods.
    Unknown,
}

/// Looks once. `claim` is asked about pods that may be counted, in the order in which they became
/// Ready.
///
/// # Errors
/// When the API server can't be read.
pub(crate) async fn look(
    client: &Client,
    incident: &Incident,
    since: Timestamp,
    timeout: Duration,
    mut claim: impl FnMut(&str) -> Claim,
) -> Result<Recovery, kube::Error> {
    let workload = incident
        .status
        .as_ref()
        .and_then(|s| s.workload_ref.as_ref());
    let Some(workload) = workload else {
        return Ok(Recovery::NoReplacementExpected(None));
    };
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    let waiting = || {
        let waited = Timestamp::now().duration_since(since);
        if waited >= SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX) {
            Recovery::TimedOut(timeout.as_secs())
        } else {
            Recovery::Waiting
        }
    };
    let (labels, wanted) = match makes(client, namespace, workload, incident).await? {
        Makes::Pods(labels, wanted) => (Some(labels), wanted),
        Makes::PodsThatNameIt => (None, None),
        Makes::NoMore => return Ok(Recovery::NoReplacementExpected(Some(workload.kind.clone()))),
        Makes::Unknown => return Ok(waiting()),
    };
    let pods = Api::<Decoded<Pod>>::namespaced(client.clone(), namespace);
    let selected = labels
        .iter()
        .fold(ListParams::default(), |p, l| p.labels(l));
    let listed = pods.list(&selected).await?.items.into_iter();
    let listed: Vec<Pod> = listed.filter_map(|pod| pod.into_result().ok()).collect();
    let whole = wanted.is_some_and(|wanted| ready_pods(&listed) >= wanted);
    let may_be_its = |pod: &Pod| {
        let owner = || controller(pod.metadata.owner_references.as_deref());
        labels.is_some() || owner().is_some_and(|owner| owner.uid == workload.uid)
    };
    let mut found: Vec<_> = listed
        .into_iter()
        .filter(may_be_its)
        .filter_map(|pod| Some((replacement(&pod, incident, workload, since)?, pod)))
        .collect();
    found.sort_by_key(|(replacement, _)| replacement.ready_time.0);
    let mut counted_elsewhere = None;
    for (replacement, pod) in found {
        let top = bailiff_kube::owner::workload_of(client, &pod, Prefetch::default()).await;
        if matches!(top, Ok(Some(top)) if top.uid == workload.uid) {
            match claim(&replacement.uid) {
                Claim::Counted => return Ok(Recovery::Ready(replacement)),
                Claim::Elsewhere => counted_elsewhere = Some(replacement),
                Claim::Earlier => {}
            }
        }
    }
    // Ours was itself taken away before it was Ready: no other pod is on its way for it, and what
    // replaced it counts for both Incidents.
    match counted_elsewhere {
        Some(replacement) if whole => Ok(Recovery::Ready(replacement)),
        Some(_) | None => Ok(waiting()),
    }
}

/// How many pods are Ready and not on their way out.
fn ready_pods(pods: &[Pod]) -> usize {
    let stays = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none() && ready(pod).is_some();
    pods.iter().filter(stays).count()
}

/// The earliest that a replacement can have been made. The API server takes the pod away before
/// its answer is on its way, and the owner may be faster than that answer.
fn not_before(incident: &Incident, answered: Timestamp) -> Timestamp {
    let asked = answered.checked_sub(ANSWER_LIMIT).unwrap_or(Timestamp::MIN);
    asked.max(incident.spec.exec_time.0).min(answered)
}

/// Which of a workload's places a pod has; none: its kind has none, and any pod replaces any.
fn place<'a>(kind: &str, name: &'a str, node_name: &'a str) -> Option<&'a str> {
    match kind {
        "DaemonSet" => Some(node_name),
        "StatefulSet" => Some(name),
        _ => None,
    }
}

/// The pod as a replacement, if it is Ready (or ran to its end) and was made after the answer was
/// asked for.
fn replacement(
    pod: &Pod,
    incident: &Incident,
    workload: &WorkloadReference,
    since: Timestamp,
) -> Option<Replacement> {
    let uid = pod.metadata.uid.as_ref()?;
    // Creation times have whole seconds.
    let created = pod.metadata.creation_timestamp.as_ref()?.0;
    let node_name = pod.spec.as_ref()?.node_name.clone()?;
    let after = not_before(incident, since).as_second() <= created.as_second();
    let name = pod.metadata.name.clone()?;
    let (spec, kind) = (&incident.spec, &workload.kind);
    let same_place = place(kind, &name, &node_name) == place(kind, &spec.pod.name, &spec.node_name);
    if *uid == spec.pod.uid || !after || !same_place {
        return None;
    }
    let status = pod.status.as_ref()?;
    let ready = ready(pod).and_then(|c| Some(c.last_transition_time.as_ref()?.0));
    let ended = (status.phase.as_deref() == Some("Succeeded")).then_some(created);
    Some(Replacement {
        name,
        uid: uid.clone(),
        node_name,
        ready_time: Time(ready.or(ended)?),
    })
}

async fn makes(
    client: &Client,
    namespace: &str,
    workload: &WorkloadReference,
    incident: &Incident,
) -> Result<Makes, kube::Error> {
    let (version, kind, name) = match (
        workload.kind.as_str(),
        incident.spec.pod.labels.get(JOB_NAME),
    ) {
        // A CronJob's pods are made by one of its Jobs.
        ("CronJob", Some(job)) if is_name(job) => (&workload.api_version, "Job", job),
        (kind, _) => (&workload.api_version, kind, &workload.name),
    };
    let Some(resource) = known(version, kind) else {
        return Ok(Makes::PodsThatNameIt);
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let Some(object) = api.get_opt(name).await? else {
        return Ok(Makes::NoMore);
    };
    if kind == workload.kind && object.metadata.uid.as_ref() != Some(&workload.uid) {
        return Ok(Makes::NoMore);
    }
    Ok(from_workload(kind, &object.data))
}

/// How a workload makes pods, by its spec and status.
fn from_workload(kind: &str, object: &Value) -> Makes {
    let conditions = object.pointer("/status/conditions");
    let ended = conditions.and_then(Value::as_array).is_some_and(|c| {
        c.iter().any(|c| {
            matches!(
                c["type"].as_str(),
                Some("Complete" | "Failed" | "FailureTarget")
            ) && c["status"] == "True"
        })
    });
    let none_wanted = object
        .pointer("/spec/replicas")
        .is_some_and(|r| r.as_i64() == Some(0));
    if none_wanted || (kind == "Job" && ended) {
        return Makes::NoMore;
    }
    let Some(selector) = object.pointer("/spec/selector") else {
        return Makes::Unknown;
    };
    // A ReplicationController has plain labels.
    let selector = if kind == "ReplicationController" {
        serde_json::json!({ "matchLabels": selector })
    } else {
        selector.clone()
    };
    serde_json::from_value::<LabelSelector>(selector)
        .ok()
        .and_then(|s| Selector::try_from(s).ok())
        .map_or(Makes::Unknown, |s| {
            Makes::Pods(s.to_string(), wanted(kind, object))
        })
}

/// How many pods a workload keeps up; none where that is not a fixed number. A DaemonSet keeps
/// one on the node that is looked at.
fn wanted(kind: &str, object: &Value) -> Option<usize> {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => {
            // The API's default is one.
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64);
            usize::try_from(replicas.unwrap_or(1)).ok()
        }
        "DaemonSet" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
