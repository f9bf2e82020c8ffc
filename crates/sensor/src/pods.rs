//! The pods of this node and the namespaces, as the API server tells them.
//!
//! Here: what is kept of each, and for how long. Not here: watching (`run`).
//! Invariant: a pod that was deleted is remembered for a minute, for processes that end later
//! than it; nothing else of it stays.

use crate::process_tree::KubeletCommands;
use bailiff_api::ContainerType;
use bailiff_policy::Container;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerStatus, LifecycleHandler, Namespace, Pod,
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How long a deleted pod is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(1);

/// A pod, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct PodFacts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) service_account: Option<String>,
    pub(crate) commands: KubeletCommands,
    /// Containers by the ID that the runtime gave them.
    pub(crate) containers: HashMap<String, Container>,
    /// The whole object, for expressions.
    pub(crate) object: Value,
}

/// A namespace, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceFacts {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) object: Value,
}

/// Pods by UID.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    by_uid: HashMap<String, Arc<PodFacts>>,
    deleted: Vec<(Timestamp, String)>,
}

impl Pods {
    /// A pod is there or was changed; its UID.
    pub(crate) fn apply(&mut self, pod: &Pod) -> Option<String> {
        let facts = facts(pod)?;
        let uid = facts.uid.clone();
        self.by_uid.insert(uid.clone(), Arc::new(facts));
        Some(uid)
    }

    /// A pod was deleted.
    pub(crate) fn delete(&mut self, pod: &Pod, now: Timestamp) {
        if let Some(uid) = &pod.metadata.uid {
            self.deleted.push((now, uid.clone()));
        }
    }

    /// Forgets pods that were deleted long enough ago.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let by_uid = &mut self.by_uid;
        self.deleted.retain(|(since, uid)| {
            let keep = now.duration_since(*since) < REMEMBERED;
            if !keep {
                by_uid.remove(uid);
            }
            keep
        });
    }

    pub(crate) fn get(&self, uid: &str) -> Option<&Arc<PodFacts>> {
        self.by_uid.get(uid)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_uid.len()
    }

    /// Keeps those that a new listing names; the others were deleted meanwhile.
    pub(crate) fn keep(&mut self, listed: &std::collections::HashSet<String>, now: Timestamp) {
        let gone: Vec<_> = self
            .by_uid
            .keys()
            .filter(|uid| {
                !listed.contains(*uid) && !self.deleted.iter().any(|(_, known)| known == *uid)
            })
            .cloned()
            .collect();
        self.deleted.extend(gone.into_iter().map(|uid| (now, uid)));
    }
}

/// What is kept of a namespace.
pub(crate) fn namespace_facts(namespace: &Namespace) -> NamespaceFacts {
    NamespaceFacts {
        labels: namespace.metadata.labels.clone().unwrap_or_default(),
        object: serde_json::to_value(namespace).unwrap_or_default(),
    }
}

fn facts(pod: &Pod) -> Option<PodFacts> {
    let spec = pod.spec.as_ref()?;
    let mut object = pod.clone();
    // They are long, and nobody writes policies about them.
    object.metadata.managed_fields = None;
    let mut commands = KubeletCommands::default();
    let inits = spec.init_containers.iter().flatten();
    for container in spec.containers.iter().chain(inits.clone()) {
        collect_commands(container, &mut commands);
    }
    let sidecars: Vec<_> = inits
        .filter(|container| container.restart_policy.as_deref() == Some("Always"))
        .map(|c| c.name.as_str())
        .collect();
    let mut containers = HashMap::new();
    let status = pod.status.as_ref();
    let mut add = |statuses: Option<&Vec<ContainerStatus>>,
                   type_of: &dyn Fn(&str) -> ContainerType,
                   image_of: &dyn Fn(&str) -> Option<String>| {
        for status in statuses.into_iter().flatten() {
            let Some(id) = status
                .container_id
                .as_deref()
                .and_then(|id| id.split_once("://"))
                .map(|(_, id)| id)
            else {
                continue;
            };
            let container = Container {
                name: Some(status.name.clone()),
                image: image_of(&status.name).or_else(|| Some(status.image.clone())),
                image_id: Some(status.image_id.clone()).filter(|id| !id.is_empty()),
                type_: Some(type_of(&status.name)),
            };
            containers.insert(id.to_owned(), container);
        }
    };
    let image = |specs: &[Spec], name: &str| {
        specs
            .iter()
            .find(|spec| spec.name == name)
            .and_then(|spec| spec.image.clone())
    };
    add(
        status.and_then(|s| s.container_statuses.as_ref()),
        &|_| ContainerType::App,
        &|name| image(&spec.containers, name),
    );
    add(
        status.and_then(|s| s.init_container_statuses.as_ref()),
        &|name| {
            if sidecars.contains(&name) {
                ContainerType::Sidecar
            } else {
                ContainerType::Init
            }
        },
        &|name| image(spec.init_containers.as_deref().unwrap_or_default(), name),
    );
    add(
        status.and_then(|s| s.ephemeral_container_statuses.as_ref()),
        &|_| ContainerType::Ephemeral,
        &|_| None,
    );
    Some(PodFacts {
        name: pod.metadata.name.clone()?,
        namespace: pod.metadata.namespace.clone()?,
        uid: pod.metadata.uid.clone()?,
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        service_account: spec.service_account_name.clone(),
        commands,
        containers,
        object: serde_json::to_value(&object).ok()?,
    })
}

/// The commands of a container's exec probes and lifecycle hooks.
fn collect_commands(container: &Spec, commands: &mut KubeletCommands) {
    let probes = [
        &container.liveness_probe,
        &container.readiness_probe,
        &container.startup_probe,
    ];
    let probes = probes
        .into_iter()
        .flatten()
        .filter_map(|probe| probe.exec.as_ref()?.command.clone());
    commands.probes.extend(probes);
    let hooks = container
        .lifecycle
        .iter()
        .flat_map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop]);
    let command = |hook: &LifecycleHandler| hook.exec.as_ref()?.command.clone();
    commands
        .lifecycle
        .extend(hooks.flatten().filter_map(command));
}
