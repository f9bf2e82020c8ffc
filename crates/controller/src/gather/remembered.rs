//! Facts of which only the pod and the switch are read.
//!
//! Here: such facts, from a remembered owner and what the watches brought last. Not here: which owners are
//! remembered (`crate::remembered_owners`), and that only a wait follows from these facts (`bailiff_response`).
//! Invariant: the pod and the switch are as they are now; where anything else is not known, there are no such facts.

use super::facts::facts;
use super::{Live, Read, pod_namespace};
use crate::cache::Cache;
use crate::config::Config;
use crate::switch::{self, SwitchRead};
use bailiff_api::{Incident, WorkloadReference, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::owner::is_name;
use bailiff_response::{Facts, Lookup, Owner, is_mirror, last_verdict};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client};

/// Facts of an Incident, without what `Controls::decide_wait` adds. `workload_of` gives the remembered workload of a
/// pod. None: the pod cannot be read, or no workload of it is remembered.
pub(crate) async fn gather_remembered(
    client: &Client,
    cache: &Cache,
    config: &Config,
    incident: &Incident,
    workload_of: impl FnOnce(&Pod) -> Option<WorkloadReference>,
) -> Option<Facts> {
    let namespace = pod_namespace(config, incident)?;
    let name = &incident.spec.pod.name;
    if !is_name(name) || !is_name(namespace) {
        return None;
    }
    let pods = Api::<Decoded<Pod>>::namespaced(client.clone(), namespace);
    let (pod, switch) =
        futures::join!(pods.get_opt(name), switch::read(client, &config.namespace),);
    let pod = pod.ok()??.into_result().ok()?;
    // A static pod's controller is its Node.
    if is_mirror(&pod) {
        return None;
    }
    let workload = workload_of(&pod)?;
    let read = known(cache, incident, namespace, (pod, workload), switch)?;
    let gathered = facts(cache, config, incident, read);
    gathered.ok().map(|gathered| gathered.facts)
}

/// What a read would give if no watch is behind. None: a watch has not brought an object that the Incident names.
fn known(
    cache: &Cache,
    incident: &Incident,
    namespace: &str,
    (pod, workload): (Pod, WorkloadReference),
    switch: SwitchRead,
) -> Option<Read> {
    let rules = cache.rules();
    let (_, references) = last_verdict(incident);
    let bindings = references.iter().map(|reference| {
        let binding = rules.bindings.get(&reference.name)?;
        Some((reference.name.clone(), version(&binding.metadata)))
    });
    let policy = rules.policies.get(&incident.spec.policy_ref.name)?;
    let protection = rules.protection.get(keys::INCIDENT_PROTECTION)?;
    let protection_binding = rules.protection_binding.get(keys::INCIDENT_PROTECTION)?;
    Some(Read {
        pod: Lookup::Found(pod),
        owner: Owner::Workload(workload),
        direct: None,
        namespace: version(&rules.namespaces.get(namespace)?.metadata),
        policy: version(&policy.metadata),
        bindings: bindings.collect::<Option<_>>()?,
        protection: version(&protection.metadata),
        protection_binding: version(&protection_binding.metadata),
        switch,
    })
}

/// What of an object's metadata tells its version.
fn version(known: &ObjectMeta) -> Live {
    Lookup::Found(Box::new(ObjectMeta {
        uid: known.uid.clone(),
        resource_version: known.resource_version.clone(),
        ..ObjectMeta::default()
    }))
}
