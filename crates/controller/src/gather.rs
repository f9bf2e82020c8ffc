//! Finds out everything that a plan depends on.
//!
//! Here: live reads of the pod, its owners, the switch, and the versions of the rest. Not here:
//! comparing these with the cache (`facts`), facts of which some are remembered (`remembered`), what follows
//! from the facts.
//! Invariant: a failed read is `Failed`, and `NotFound` only what the API server returns 404 for, or
//! what cannot exist; no name out of an Incident leads to another place than its own.

mod facts;
mod remembered;

use crate::cache::Cache;
use crate::config::Config;
use crate::switch::{self, SwitchRead};
use bailiff_api::{Incident, RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::owner::{DirectOwner, Prefetch, Workload, is_name, workload_with_template};
use bailiff_response::{Facts, Lookup, Owner, is_mirror, last_verdict};
use facts::{Behind, facts};
pub(crate) use facts::{is_protected, settings};
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, Resource};
pub(crate) use remembered::gather_remembered;
use std::time::Duration;

/// An object's metadata, as the API server has it now.
type Live = Lookup<Box<ObjectMeta>>;

/// The pauses before everything is read again because the cache is behind.
const BEHIND: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// The facts of an Incident, and when the switch was read.
pub(crate) struct Gathered {
    pub(crate) facts: Facts,
    pub(crate) switch: SwitchRead,
    /// The controller directly above the pod, if the owner in the facts was verified with it.
    pub(crate) direct: Option<DirectOwner>,
}

/// The facts of an Incident, without what `Controls::decide` adds.
pub(crate) async fn gather(
    client: &Client,
    cache: &Cache,
    config: &Config,
    incident: &Incident,
) -> Gathered {
    let mut pauses = BEHIND.into_iter();
    loop {
        let read = Box::pin(read(client, config, incident)).await;
        match facts(cache, config, incident, read) {
            Ok(gathered) => return gathered,
            Err(Behind(gathered)) => {
                let Some(pause) = pauses.next() else {
                    return *gathered;
                };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The namespace of the pod of an Incident. None: the Incident claims a pod of another namespace than
/// its own, which only Bailiff's namespace can hold.
pub(crate) fn pod_namespace<'a>(config: &Config, incident: &'a Incident) -> Option<&'a str> {
    let own = incident.metadata.namespace.as_deref().unwrap_or_default();
    let claimed = incident.spec.pod.namespace.as_str();
    (claimed == own || own == config.namespace).then_some(claimed)
}

/// What was read at once.
struct Read {
    pod: Lookup<Pod>,
    owner: Owner,
    direct: Option<DirectOwner>,
    namespace: Live,
    policy: Live,
    bindings: Vec<(String, Live)>,
    protection: Live,
    protection_binding: Live,
    switch: SwitchRead,
}

async fn read(client: &Client, config: &Config, incident: &Incident) -> Read {
    let namespace = pod_namespace(config, incident).unwrap_or_default();
    let (_, references) = last_verdict(incident);
    let bindings = futures::future::join_all(references.iter().map(|reference| async {
        let live = metadata::<RuntimePolicyBinding>(client, &reference.name).await;
        (reference.name.clone(), live)
    }));
    let ((pod, owner, direct), namespace, policy, bindings, protection, protection_binding, switch) = futures::join!(
        pod_and_owner(client, namespace, incident),
        metadata::<Namespace>(client, namespace),
        metadata::<RuntimePolicy>(client, &incident.spec.policy_ref.name),
        bindings,
        metadata::<ValidatingAdmissionPolicy>(client, keys::INCIDENT_PROTECTION),
        metadata::<ValidatingAdmissionPolicyBinding>(client, keys::INCIDENT_PROTECTION),
        switch::read(client, &config.namespace),
    );
    Read {
        pod,
        owner,
        direct,
        namespace,
        policy,
        bindings,
        protection,
        protection_binding,
        switch,
    }
}

/// The metadata of an object without a namespace. No object has what is not a name.
async fn metadata<K>(client: &Client, name: &str) -> Live
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
{
    if !is_name(name) {
        return Lookup::NotFound;
    }
    let object = format!("{} {name}", K::kind(&()));
    match bailiff_kube::metadata::get::<K>(client, name).await {
        Ok(Some(decoded)) => match decoded.into_result() {
            Ok(found) => Lookup::Found(Box::new(found.metadata)),
            Err(undecodable) => Lookup::Failed(format!("cannot decode {object}: {undecodable}")),
        },
        Ok(None) => Lookup::NotFound,
        Err(error) => Lookup::Failed(why(&object, &error)),
    }
}

async fn pod_and_owner(
    client: &Client,
    namespace: &str,
    incident: &Incident,
) -> (Lookup<Pod>, Owner, Option<DirectOwner>) {
    let seen = &incident.spec.pod;
    if !is_name(&seen.name) || !is_name(namespace) {
        return (Lookup::NotFound, Owner::None, None);
    }
    let pods = Api::<Decoded<Pod>>::namespaced(client.clone(), namespace);
    let (pod, prefetch) = futures::join!(
        pods.get_opt(&seen.name),
        Prefetch::of(client, namespace, &seen.name, &seen.labels),
    );
    let failed = |why: String| (Lookup::Failed(why.clone()), Owner::Unknown(why), None);
    let pod = match pod.map(|pod| pod.map(Decoded::into_result)) {
        Ok(Some(Ok(pod))) => pod,
        Ok(None) => return (Lookup::NotFound, Owner::None, None),
        Ok(Some(Err(undecodable))) => {
            return failed(format!("cannot decode the pod: {undecodable}"));
        }
        Err(error) => return failed(why("the pod", &error)),
    };
    // A static pod's controller is its Node, which creates no pods through the API.
    let (owner, direct) = if is_mirror(&pod) {
        (Owner::None, None)
    } else {
        match workload_with_template(client, &pod, prefetch).await {
            Ok(Some(Workload {
                reference,
                template: _,
                direct,
            })) => (Owner::Workload(reference), direct),
            Ok(None) => (released(&pod, incident), None),
            Err(error) => (Owner::Unknown(error.to_string()), None),
        }
    };
    (Lookup::Found(pod), owner, direct)
}

/// The owner of a pod that belongs to none now. A user who may label a pod can release it from its workload at
/// any time: what the controller has verified and recorded stays, or that would cancel the response.
fn released(pod: &Pod, incident: &Incident) -> Owner {
    let recorded = incident
        .status
        .as_ref()
        .and_then(|s| s.workload_ref.as_ref());
    match recorded {
        Some(workload) if pod.metadata.uid.as_ref() == Some(&incident.spec.pod.uid) => {
            Owner::Released(workload.clone())
        }
        Some(_) | None => Owner::None,
    }
}

pub(crate) fn why(what: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("cannot read {what}: {}", status.message),
        kube::Error::SerdeError(error) => format!("cannot decode {what}: {error}"),
        _ => format!("cannot read {what}: the API server is unavailable"),
    }
}

#[cfg(test)]
mod tests;
