//! Reads a pod from its JSON.
//!
//! Here: which fields the sensor itself needs, and what is left out where they are too large. Not here:
//! what expressions read (`needs`).
//! Invariant: reading a pod takes a bounded number of bytes beside its JSON.

use super::PodFacts;
use super::containers::started;
use crate::cluster::needs::Needs;
use crate::incident::evidence::OWNER_LABELS;
use crate::incident::evidence::size::cut;
use crate::process::commands::KubeletCommands;
use bailiff_api::{ContainerType, WorkloadReference, keys};
use bailiff_kube::owner;
use bailiff_policy::{Container, ProjectionError, Reads, project};
use k8s_openapi::api::core::v1::{Container as Spec, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Most bytes of memory of what the sensor itself needs of a pod, and of what expressions read.
const CORE_LIMIT_BYTES: usize = 64 * 1024;
pub(super) const OBJECT_LIMIT_BYTES: usize = 64 * 1024;
/// The same of the containers of a pod that is fetched for one evaluation.
const FETCHED_LIMIT_BYTES: usize = 4 << 20;
/// Most bytes of what identifies a pod; its parts are as long as Kubernetes lets names be.
const IDENTITY_LIMIT_BYTES: usize = 256 * 1024;
/// Most bytes of the parts of a reference, as the schema of an Incident has it.
const API_VERSION_LIMIT_BYTES: usize = 317;
const KIND_LIMIT_BYTES: usize = 63;
const NAME_LIMIT_BYTES: usize = 253;
const UID_LIMIT_BYTES: usize = 64;
/// Most bytes of the variables of a pod's containers, which commands of probes may use.
const VARIABLES_LIMIT_BYTES: usize = 1 << 20;

const IDENTITY: &[&[&str]] = &[
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    &["spec", "serviceAccountName"],
    &["spec", "runtimeClassName"],
    &["status", "phase"],
];

/// What the kubelet writes to the API's copy of a static pod: two hashes.
const STATIC: [&str; 2] = [keys::ANNOTATION_MIRROR_POD, keys::ANNOTATION_STATIC_POD_UID];
/// Most bytes of memory of both. Tenants write annotations of up to 256 KiB, which are not the kubelet's.
const STATIC_LIMIT_BYTES: usize = 4 * 1024;

/// Fields of a pod's containers.
pub(super) const SPEC: &[&[&str]] = &[&["name"], &["image"], &["restartPolicy"]];
/// Those that hold a command of the kubelet.
const COMMANDS: &[&[&str]] = &[
    &["livenessProbe", "exec", "command"],
    &["readinessProbe", "exec", "command"],
    &["startupProbe", "exec", "command"],
    &["lifecycle", "postStart", "exec", "command"],
    &["lifecycle", "preStop", "exec", "command"],
];
const VARIABLES: &[&[&str]] = &[&["env", "*", "name"], &["env", "*", "value"]];
/// Fields of a pod's owners.
const OWNER: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["name"],
    &["uid"],
    &["controller"],
];
/// Fields of their statuses.
pub(super) const STATUS: &[&[&str]] = &[
    &["name"],
    &["image"],
    &["imageID"],
    &["containerID"],
    &["lastState", "terminated", "containerID"],
];

/// How much of a pod is kept: each is less than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    All,
    /// Without the labels that no selector names, and without owners.
    FewLabels,
    /// Without commands of the kubelet, too.
    NoCommands,
    /// Without containers, too: they are read one by one.
    Identity,
}

/// What is kept of a pod.
///
/// # Errors
/// When its JSON is not that of a Pod.
pub(super) fn facts(json: &[u8], needs: &Arc<Needs>) -> Result<PodFacts, ProjectionError> {
    let mut facts = without_object(json, needs, CORE_LIMIT_BYTES)?;
    if let Some(reads) = &needs.object
        && let Ok((object, bytes)) = project(json, reads, OBJECT_LIMIT_BYTES)
    {
        facts.object = Some(object);
        facts.object_bytes = bytes;
    }
    Ok(facts)
}

/// What a pod is that is fetched for one evaluation: with more containers, and without the object.
///
/// # Errors
/// When its JSON is not that of a Pod.
pub(super) fn fetched(json: &[u8], needs: &Arc<Needs>) -> Result<PodFacts, ProjectionError> {
    without_object(json, needs, FETCHED_LIMIT_BYTES)
}

fn without_object(
    json: &[u8],
    needs: &Arc<Needs>,
    containers_limit: usize,
) -> Result<PodFacts, ProjectionError> {
    let mut read = None;
    for extent in [
        Extent::All,
        Extent::FewLabels,
        Extent::NoCommands,
        Extent::Identity,
    ] {
        let limit = match extent {
            Extent::Identity => IDENTITY_LIMIT_BYTES,
            Extent::All | Extent::FewLabels | Extent::NoCommands => CORE_LIMIT_BYTES,
        };
        match project(json, &reads(extent, needs), limit) {
            Ok((core, bytes)) => {
                read = Some((core, bytes, extent));
                break;
            }
            Err(ProjectionError::TooLarge { .. }) if extent < Extent::Identity => {}
            Err(error) => return Err(error),
        }
    }
    let Some((core, bytes, extent)) = read else {
        return Err(ProjectionError::TooLarge {
            limit: IDENTITY_LIMIT_BYTES,
        });
    };
    let mut extent = extent;
    let mut core = core;
    // The variables of containers are many, and hardly any probe uses them.
    if extent <= Extent::FewLabels && uses_variables(&core) {
        let mut with = reads(Extent::FewLabels, needs);
        with.merge(&containers(VARIABLES));
        match project(json, &with, VARIABLES_LIMIT_BYTES) {
            Ok((read, _)) => core["spec"] = read["spec"].clone(),
            Err(ProjectionError::TooLarge { .. }) => extent = Extent::NoCommands,
            Err(error) => return Err(error),
        }
    }
    let mut pod: Pod = serde_json::from_value(core).map_err(ProjectionError::Invalid)?;
    let mut bytes = bytes;
    let mut containers_left_out = false;
    if extent == Extent::Identity {
        let started = started(json, containers_limit).map_err(ProjectionError::Invalid)?;
        containers_left_out = started.left_out;
        bytes = bytes.saturating_add(started.bytes);
        let spec = pod.spec.get_or_insert_with(PodSpec::default);
        spec.containers = started.containers;
        spec.init_containers = Some(started.init_containers);
        let status = pod.status.get_or_insert_with(PodStatus::default);
        status.container_statuses = Some(started.container_statuses);
        status.init_container_statuses = Some(started.init_container_statuses);
        status.ephemeral_container_statuses = Some(started.ephemeral_container_statuses);
    }
    let mut facts = of_pod(&pod, needs).ok_or_else(|| {
        let lacking = serde::de::Error::custom("it has no name, namespace or UID");
        ProjectionError::Invalid(lacking)
    })?;
    facts.static_uid = static_uid(json)?;
    facts.containers_left_out = containers_left_out;
    if extent >= Extent::NoCommands {
        facts.commands = KubeletCommands::default();
        facts.commands_left_out = true;
    }
    // Variables make commands larger than what was read.
    facts.bytes = bytes.saturating_add(facts.commands.bytes());
    Ok(facts)
}

/// The UID that a static pod itself has, where this is the API's copy of one.
fn static_uid(json: &[u8]) -> Result<Option<String>, ProjectionError> {
    let mut reads = Reads::default();
    for key in STATIC {
        reads.merge(&Reads::path(&["metadata", "annotations", key]));
    }
    let found = match project(json, &reads, STATIC_LIMIT_BYTES) {
        Ok((found, _)) => found,
        Err(ProjectionError::TooLarge { .. }) => return Ok(None),
        Err(error @ ProjectionError::Invalid(_)) => return Err(error),
    };
    let [mirror, uid] = STATIC.map(|key| found["metadata"]["annotations"][key].as_str());
    Ok(mirror.and(uid).map(str::to_owned))
}

/// The UID of a pod, where its JSON has one.
pub(super) fn uid(json: &[u8]) -> Option<String> {
    let reads = Reads::path(&["metadata", "uid"]);
    let (found, _) = project(json, &reads, IDENTITY_LIMIT_BYTES).ok()?;
    Some(found["metadata"]["uid"].as_str()?.to_owned())
}

/// Namespace and name, for a pod that cannot be decoded.
pub(crate) fn name(json: &[u8]) -> Option<String> {
    let mut reads = Reads::path(&["metadata", "name"]);
    reads.merge(&Reads::path(&["metadata", "namespace"]));
    let (found, _) = project(json, &reads, IDENTITY_LIMIT_BYTES).ok()?;
    let text = |field: &str| found["metadata"][field].as_str();
    Some(format!("{}/{}", text("namespace")?, text("name")?))
}

fn reads(extent: Extent, needs: &Needs) -> Reads {
    static PARTS: OnceLock<[Reads; 4]> = OnceLock::new();
    let [identity, specs, commands, statuses] = PARTS.get_or_init(|| {
        let identity = IDENTITY.iter().fold(Reads::default(), |mut all, path| {
            all.merge(&Reads::path(path));
            all
        });
        let mut statuses = Reads::default();
        for list in [
            "containerStatuses",
            "initContainerStatuses",
            "ephemeralContainerStatuses",
        ] {
            statuses.merge(&each(&["status", list], STATUS));
        }
        [identity, containers(SPEC), containers(COMMANDS), statuses]
    });
    let mut reads = identity.clone();
    if extent <= Extent::NoCommands {
        reads.merge(specs);
        reads.merge(statuses);
    }
    if extent <= Extent::FewLabels {
        reads.merge(commands);
    }
    if extent == Extent::All {
        reads.merge(&Reads::path(&["metadata", "labels"]));
        reads.merge(&each(&["metadata", "ownerReferences"], OWNER));
    } else {
        let labels = needs.pod_labels.iter().map(String::as_str);
        for label in labels.chain(OWNER_LABELS) {
            reads.merge(&Reads::path(&["metadata", "labels", label]));
        }
    }
    reads
}

/// These fields of all containers that may be entered.
fn containers(fields: &[&[&str]]) -> Reads {
    let mut reads = each(&["spec", "containers"], fields);
    reads.merge(&each(&["spec", "initContainers"], fields));
    reads
}

/// These fields of each element of a list.
fn each(list: &[&str], fields: &[&[&str]]) -> Reads {
    let mut reads = Reads::default();
    for field in fields {
        reads.merge(&Reads::path(&[list, &["*"], field].concat()));
    }
    reads
}

/// Whether a command of the kubelet may name a variable.
fn uses_variables(core: &Value) -> bool {
    fn has_dollar(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("$("),
            Value::Array(list) => list.iter().any(has_dollar),
            Value::Object(map) => map.values().any(has_dollar),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    has_dollar(&core["spec"])
}

fn of_pod(pod: &Pod, needs: &Arc<Needs>) -> Option<PodFacts> {
    let meta = &pod.metadata;
    let nothing = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&nothing);
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    let commands = KubeletCommands::of(spec);
    Some(PodFacts {
        name: meta.name.clone()?,
        namespace: meta.namespace.clone()?,
        uid: meta.uid.clone()?,
        static_uid: None,
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
        labels: meta.labels.clone().unwrap_or_default(),
        service_account: spec.service_account_name.clone(),
        runtime_class: spec.runtime_class_name.clone(),
        controller: controller(meta.owner_references.as_deref()),
        commands_left_out: commands.is_none(),
        commands: commands.unwrap_or_default(),
        containers: by_id(pod, spec),
        replaced: BTreeMap::new(),
        object: None,
        complete_for: Arc::clone(needs),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
        containers_left_out: false,
        object_bytes: 0,
        bytes: 0,
    })
}

/// What a tenant wrote as the controller of a pod, as the schema allows it; none: no object has such a UID.
fn controller(owners: Option<&[OwnerReference]>) -> Option<WorkloadReference> {
    let found = owner::controller(owners)?;
    let within = |text: &str, limit: usize| cut(text, limit).to_owned();
    (found.uid.len() <= UID_LIMIT_BYTES).then(|| WorkloadReference {
        api_version: within(&found.api_version, API_VERSION_LIMIT_BYTES),
        kind: within(&found.kind, KIND_LIMIT_BYTES),
        name: within(&found.name, NAME_LIMIT_BYTES),
        uid: within(&found.uid, UID_LIMIT_BYTES),
    })
}

/// The containers of a pod by their IDs, as far as its status has them: those that run, and those
/// that ran before a restart.
fn by_id(pod: &Pod, spec: &PodSpec) -> BTreeMap<String, Container> {
    let mut containers = BTreeMap::new();
    let mut add = |statuses: &Option<Vec<ContainerStatus>>,
                   specs: &[Spec],
                   type_of: &dyn Fn(Option<&Spec>) -> ContainerType| {
        for status in statuses.iter().flatten() {
            let spec = specs.iter().find(|spec| spec.name == status.name);
            let image = spec.and_then(|spec| spec.image.clone());
            let container = Container {
                name: Some(status.name.clone()),
                image: image
                    .or_else(|| Some(status.image.clone()).filter(|image| !image.is_empty())),
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
