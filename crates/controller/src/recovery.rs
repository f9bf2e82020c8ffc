//! Finds the replacement of a pod that was removed.
//!
//! Here: which pod of a workload is the replacement. Not here: watching the workload and its pods
//! (`follow`), what the Incident says about it (`bailiff_response`).
//! Invariant: a pod counts as the replacement only if verified owner references lead from it to the
//! workload, it was created after the removal was requested, and no other Incident counted it or
//! whose removal was earlier still waits for one.

mod claims;
pub(crate) mod follow;

use crate::ready::ready;
use bailiff_api::{Incident, Replacement, WorkloadReference};
use bailiff_kube::client::REQUEST_TIMEOUT;
use bailiff_kube::owner::{Prefetch, controller, is_name, known, selector, workload_of};
use bailiff_response::{Recovery, WorkloadKey};
pub(crate) use claims::{Claim, ClaimScope, ReplacementClaims};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;
use std::time::Duration;

/// Label of a Job's pods.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// How a workload creates pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PodSource {
    /// It makes pods that these labels select; so many of them at a time, where that is fixed.
    Pods(String, Option<usize>),
    /// It is of a kind that is not read; its pods name it as their controller.
    PodsThatNameIt,
    /// It makes no new pod.
    NoMore,
    /// It is not known how it makes pods.
    Unknown,
}

impl PodSource {
    /// Whether the same watch brings the pods.
    fn has_same_pods(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pods(a, _), Self::Pods(b, _)) => a == b,
            (one, other) => one == other,
        }
    }
}

/// What became of an Incident's workload, by what is known of its pods. `claim` is asked about pods that
/// can be counted, in the order in which they became Ready.
pub(crate) async fn find_replacement(
    client: &Client,
    incident: &Incident,
    (since, deadline): (Timestamp, Duration),
    source: &PodSource,
    pods: &[&Pod],
    mut claim: impl FnMut(&str) -> Claim,
) -> Recovery {
    let workload = incident
        .status
        .as_ref()
        .and_then(|s| s.workload_ref.as_ref());
    let Some(workload) = workload else {
        return Recovery::NoReplacementExpected(None);
    };
    let waiting = || {
        let waited = Timestamp::now().duration_since(since);
        if waited >= SignedDuration::try_from(deadline).unwrap_or(SignedDuration::MAX) {
            Recovery::TimedOut(deadline.as_secs())
        } else {
            Recovery::Waiting
        }
    };
    let (by_labels, wanted) = match source {
        PodSource::Pods(_, wanted) => (true, *wanted),
        PodSource::PodsThatNameIt => (false, None),
        PodSource::NoMore => return Recovery::NoReplacementExpected(Some(workload.kind.clone())),
        PodSource::Unknown => return waiting(),
    };
    let whole = wanted.is_some_and(|wanted| ready_pods(pods) >= wanted);
    let may_be_its = |pod: &&Pod| {
        let owner = || controller(pod.metadata.owner_references.as_deref());
        by_labels || owner().is_some_and(|owner| owner.uid == workload.uid)
    };
    let mut found: Vec<_> = pods
        .iter()
        .copied()
        .filter(may_be_its)
        .filter_map(|pod| Some((replacement(pod, incident, workload, since)?, pod)))
        .collect();
    found.sort_by_key(|(replacement, _)| replacement.ready_time.0);
    let mut counted_elsewhere = None;
    for (replacement, pod) in found {
        let its = workload_of(client, pod, Prefetch::default()).await;
        if matches!(its, Ok(Some(its)) if is_same(&its, workload)) {
            match claim(&replacement.uid) {
                Claim::Granted => return Recovery::Ready(replacement),
                Claim::Taken => counted_elsewhere = Some(replacement),
                Claim::Reserved => {}
            }
        }
    }
    // Ours was itself removed before it was Ready: no other pod is created for it, and what
    // replaced it counts for both Incidents.
    match counted_elsewhere {
        Some(replacement) if whole => Recovery::Ready(replacement),
        Some(_) | None => waiting(),
    }
}

/// Whether two references in one namespace are to one workload. A UID alone can be a tenant's claim.
fn is_same(one: &WorkloadReference, other: &WorkloadReference) -> bool {
    WorkloadKey::of("", one) == WorkloadKey::of("", other)
}

/// How many pods are Ready and not on their way out.
fn ready_pods(pods: &[&Pod]) -> usize {
    let stays = |pod: &&&Pod| pod.metadata.deletion_timestamp.is_none() && ready(pod).is_some();
    pods.iter().filter(stays).count()
}

/// The earliest that a replacement can have been made. The API server takes the pod away before
/// its answer is on its way, and the owner may be faster than that answer.
fn not_before(incident: &Incident, answered: Timestamp) -> Timestamp {
    let asked = answered
        .checked_sub(REQUEST_TIMEOUT)
        .unwrap_or(Timestamp::MIN);
    asked.max(incident.spec.exec_time.0).min(answered)
}

/// Which of a workload's places a pod has; none: its kind has none, and any pod replaces any.
fn stable_identity<'a>(kind: &str, name: &'a str, node_name: &'a str) -> Option<&'a str> {
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
    let same_place = stable_identity(kind, &name, &node_name)
        == stable_identity(kind, &spec.pod.name, &spec.node_name);
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

/// The object that creates the pods of a workload: its resource and name. None: it is of a kind that
/// is not read.
fn creator(workload: &WorkloadReference, incident: &Incident) -> Option<(ApiResource, String)> {
    let job = incident.spec.pod.labels.get(JOB_NAME);
    let (kind, name) = match (workload.kind.as_str(), job) {
        // A CronJob's pods are created by one of its Jobs.
        ("CronJob", Some(job)) if is_name(job) => ("Job", job),
        (kind, _) => (kind, &workload.name),
    };
    let resource = known(&workload.api_version, kind)?;
    Some((resource, name.clone()))
}

/// How the object creates pods; none: it is not there.
fn pod_source(
    workload: &WorkloadReference,
    kind: &str,
    object: Option<&DynamicObject>,
) -> PodSource {
    match object {
        None => PodSource::NoMore,
        Some(o) if kind == workload.kind && o.metadata.uid.as_ref() != Some(&workload.uid) => {
            PodSource::NoMore
        }
        Some(object) => from_workload(kind, &object.data),
    }
}

/// How a workload makes pods, by its spec and status.
fn from_workload(kind: &str, object: &Value) -> PodSource {
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
        return PodSource::NoMore;
    }
    selector(kind, object).map_or(PodSource::Unknown, |s| {
        PodSource::Pods(s.to_string(), wanted(kind, object))
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
