//! What has to be written so that the API server enforces the policies.
//!
//! Here: the comparison of what there should be with what there is. Not here: the requests (`apply`),
//! conditions (`status`).
//! Invariant: a policy or binding that this version cannot compile or decode changes nothing: what the
//! API server enforces of an earlier generation stays. An object with the prefix that belongs to no
//! policy is deleted. Without the owner of rendered bindings, nothing is written.

use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use bailiff_kube::decode::Undecodable;
use bailiff_policy::image::{
    self, Actions, CompiledImagePolicy, Exemptions, Mode, RENDERED_PREFIX, rendered_name,
};
use bailiff_policy::{FieldError, MatchResources};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};

/// The generation of the policy or binding that an object was rendered from.
pub(crate) const GENERATION: &str = "bailiff.dev/rendered-generation";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The name of the renderer: as a field manager, and in the label of what it writes.
pub(crate) const RENDERER: &str = "bailiff-renderer";

/// What there is in the cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The policies.
    pub(crate) policies: Vec<Result<ImageAdmissionPolicy, Undecodable>>,
    /// The bindings.
    pub(crate) bindings: Vec<Result<ImageAdmissionPolicyBinding, Undecodable>>,
    /// Rendered policies, by name.
    pub(crate) rendered_policies: BTreeMap<String, ValidatingAdmissionPolicy>,
    /// Rendered bindings, by name.
    pub(crate) rendered_bindings: BTreeMap<String, ValidatingAdmissionPolicyBinding>,
    /// The owner of rendered bindings; see [`owner`]. None: it does not exist, so nothing is written.
    pub(crate) owner: Option<OwnerReference>,
}

/// What the renderer is configured with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The namespace that Bailiff runs in.
    pub namespace: String,
    /// Namespaces that no rendered policy applies to.
    pub exempt: Exemptions,
    /// Whether the webhook runs. Then it applies the bindings without Deny, so that no warning comes twice.
    pub webhook: bool,
    /// Whether bindings have their own actions.
    pub mode: Mode,
}

/// A write. They are in an order in which no binding is without its policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// Create the policy, or restore it.
    Policy(Box<ValidatingAdmissionPolicy>),
    /// Create the binding, or restore it.
    Binding(Box<ValidatingAdmissionPolicyBinding>),
    /// Delete the binding of this name and UID.
    DeleteBinding(String, Option<String>),
    /// Delete the policy of this name and UID.
    DeletePolicy(String, Option<String>),
}

/// Whether a policy compiles.
#[derive(Debug)]
pub(crate) enum PolicyState {
    /// It is rendered.
    Compiled,
    /// It is rendered, except for the rules that only a webhook enforces, and there is none.
    WithoutWebhook,
    /// It has faults.
    Faulty(Vec<FieldError>),
    /// This version cannot decode it.
    Undecodable(Undecodable),
}

/// Whether a binding can be rendered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BindingState {
    /// It is rendered.
    Rendered,
    /// It is rendered, and its policy has rules that only a webhook enforces, and there is none.
    WithoutWebhook,
    /// It is not rendered, because the webhook applies it.
    Applied,
    /// No policy has the name.
    PolicyNotFound,
    /// The policy is faulty and was never rendered.
    PolicyNotReady,
    /// A selector is not valid.
    InvalidSelector(String),
    /// It is not rendered, because its owner does not exist.
    OwnerNotFound,
    /// This version cannot decode it.
    Undecodable(Undecodable),
}

/// What has to be written, and what follows for each policy and binding.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) writes: Vec<Write>,
    /// By name of the policy.
    pub(crate) policies: BTreeMap<String, PolicyState>,
    /// By name of the binding.
    pub(crate) bindings: BTreeMap<String, BindingState>,
}

/// The owner of rendered bindings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Owner {
    /// It exists.
    Found(OwnerReference),
    /// It is gone or going, and the namespace stays.
    NotFound,
    /// The namespace is gone or going: Bailiff is being uninstalled.
    Uninstalling,
}

/// The owner of rendered bindings: an object of the release, so that nothing is enforced after `helm uninstall` or
/// without the renderer. It is a `ValidatingWebhookConfiguration`, because helm deletes these first, and the controller
/// when the namespace is deleted without helm. The namespace must have been read after it: one that was deleted with
/// the namespace would count as there.
pub(crate) fn owner(configuration: Option<&ObjectMeta>, namespace: Option<&ObjectMeta>) -> Owner {
    let is_staying = |object: &&ObjectMeta| object.deletion_timestamp.is_none();
    match (
        namespace.filter(is_staying),
        configuration.filter(is_staying),
    ) {
        (None, _) => Owner::Uninstalling,
        (Some(_), None) => Owner::NotFound,
        (Some(_), Some(found)) => Owner::Found(reference::<ValidatingWebhookConfiguration>(found)),
    }
}

/// A reference to an owner.
fn reference<K: Resource<DynamicType = ()>>(owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// Compares what there should be with what there is.
pub(crate) fn plan(cluster: &Cluster, settings: &Settings) -> Plan {
    let mut writes = Vec::new();
    let mut policies = BTreeMap::new();
    for policy in &cluster.policies {
        let (name, state) = match policy {
            Ok(policy) => match image::compile(policy) {
                Ok(compiled) => {
                    let mut wanted = wanted_policy(policy, &compiled, &settings.exempt);
                    let live = cluster.rendered_policies.get(&wanted.name_any());
                    if live.is_none_or(|live| differs(live, &wanted) || live.spec != wanted.spec) {
                        replace(live, &mut wanted);
                        writes.push(Write::Policy(Box::new(wanted)));
                    }
                    let state = if compiled.needs_webhook() && !settings.webhook {
                        PolicyState::WithoutWebhook
                    } else {
                        PolicyState::Compiled
                    };
                    (policy.name_any(), state)
                }
                Err(faults) => (policy.name_any(), PolicyState::Faulty(faults)),
            },
            Err(undecodable) => (
                undecodable.metadata.name.clone().unwrap_or_default(),
                PolicyState::Undecodable(undecodable.clone()),
            ),
        };
        policies.insert(name, state);
    }
    let mut bindings = BTreeMap::new();
    for binding in &cluster.bindings {
        let (name, state) = match binding {
            Ok(binding) => (
                binding.name_any(),
                bind(binding, cluster, settings, &policies, &mut writes),
            ),
            Err(undecodable) => (
                undecodable.metadata.name.clone().unwrap_or_default(),
                BindingState::Undecodable(undecodable.clone()),
            ),
        };
        bindings.insert(name, state);
    }
    let names = |known: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
        known.map(|name| rendered_name(name)).collect()
    };
    let kept = bindings.iter().filter(|(_, state)| match state {
        BindingState::PolicyNotFound | BindingState::Applied => false,
        BindingState::Rendered
        | BindingState::WithoutWebhook
        | BindingState::PolicyNotReady
        | BindingState::InvalidSelector(_)
        | BindingState::OwnerNotFound
        | BindingState::Undecodable(_) => true,
    });
    let bound = names(&mut kept.map(|(name, _)| name));
    for (name, live) in &cluster.rendered_bindings {
        if !bound.contains(name) && name.starts_with(RENDERED_PREFIX) {
            writes.push(Write::DeleteBinding(name.clone(), live.uid()));
        }
    }
    let known = names(&mut policies.keys());
    for (name, live) in &cluster.rendered_policies {
        if !known.contains(name) && name.starts_with(RENDERED_PREFIX) {
            writes.push(Write::DeletePolicy(name.clone(), live.uid()));
        }
    }
    if cluster.owner.is_none() {
        // Also while helm uninstalls: it deletes the owner first.
        writes.clear();
    }
    Plan {
        writes,
        policies,
        bindings,
    }
}

/// What follows for a binding.
fn bind(
    binding: &ImageAdmissionPolicyBinding,
    cluster: &Cluster,
    settings: &Settings,
    policies: &BTreeMap<String, PolicyState>,
    writes: &mut Vec<Write>,
) -> BindingState {
    if let Err(fault) = MatchResources::compile(&binding.spec.match_resources) {
        return BindingState::InvalidSelector(fault.to_string());
    }
    let policy = &binding.spec.policy_name;
    match policies.get(policy) {
        None => return BindingState::PolicyNotFound,
        // An earlier generation of it can be in force; a new binding is one of that.
        Some(PolicyState::Faulty(_) | PolicyState::Undecodable(_))
            if !cluster
                .rendered_policies
                .contains_key(&rendered_name(policy)) =>
        {
            return BindingState::PolicyNotReady;
        }
        Some(
            PolicyState::Compiled
            | PolicyState::WithoutWebhook
            | PolicyState::Faulty(_)
            | PolicyState::Undecodable(_),
        ) => {}
    }
    if settings.webhook && !Actions::of(&binding.spec.validation_actions, settings.mode).deny {
        return BindingState::Applied;
    }
    let Some(owner) = &cluster.owner else {
        return BindingState::OwnerNotFound;
    };
    let mut wanted = image::binding(binding, settings.mode);
    mark(&mut wanted, binding.metadata.generation);
    wanted.metadata.owner_references = Some(vec![owner.clone()]);
    let live = cluster.rendered_bindings.get(&wanted.name_any());
    if live.is_none_or(|live| differs(live, &wanted) || live.spec != wanted.spec) {
        replace(live, &mut wanted);
        writes.push(Write::Binding(Box::new(wanted)));
    }
    match policies.get(policy) {
        Some(PolicyState::WithoutWebhook) => BindingState::WithoutWebhook,
        Some(PolicyState::Compiled | PolicyState::Faulty(_) | PolicyState::Undecodable(_))
        | None => BindingState::Rendered,
    }
}

fn wanted_policy(
    policy: &ImageAdmissionPolicy,
    compiled: &CompiledImagePolicy,
    exempt: &Exemptions,
) -> ValidatingAdmissionPolicy {
    let mut wanted = image::policy(compiled, exempt);
    mark(&mut wanted, policy.metadata.generation);
    // Deleted with its policy, also while no renderer runs.
    let owner = reference::<ImageAdmissionPolicy>(&policy.metadata);
    wanted.metadata.owner_references = Some(vec![owner]);
    wanted
}

/// The label and the annotation of a rendered object.
fn mark<K: Resource>(object: &mut K, generation: Option<i64>) {
    let metadata = object.meta_mut();
    let label = (MANAGED_BY.to_owned(), RENDERER.to_owned());
    metadata.labels = Some([label].into());
    let annotation = (
        GENERATION.to_owned(),
        generation.unwrap_or_default().to_string(),
    );
    metadata.annotations = Some([annotation].into());
}

/// Makes `wanted` the successor of a live object, whose other labels and annotations stay.
fn replace<K: Resource>(live: Option<&K>, wanted: &mut K) {
    let Some(live) = live.map(Resource::meta) else {
        return;
    };
    let keep = |live: &Option<BTreeMap<String, String>>,
                wanted: &mut Option<BTreeMap<String, String>>| {
        let mut all = live.clone().unwrap_or_default();
        all.append(wanted.get_or_insert_default());
        *wanted = Some(all);
    };
    let metadata = wanted.meta_mut();
    keep(&live.labels, &mut metadata.labels);
    keep(&live.annotations, &mut metadata.annotations);
    metadata.resource_version.clone_from(&live.resource_version);
}

/// Whether the metadata of a live object differ in what the renderer writes; other labels and
/// annotations belong to others.
fn differs<K: Resource>(live: &K, wanted: &K) -> bool {
    let (live, wanted) = (live.meta(), wanted.meta());
    let has = |live: &Option<BTreeMap<String, String>>,
               wanted: &Option<BTreeMap<String, String>>| {
        wanted
            .iter()
            .flatten()
            .all(|(key, value)| live.as_ref().and_then(|map| map.get(key)) == Some(value))
    };
    let owners = |of: &Option<Vec<OwnerReference>>| -> Vec<(String, String)> {
        of.iter()
            .flatten()
            .map(|owner| (owner.kind.clone(), owner.uid.clone()))
            .collect()
    };
    !has(&live.labels, &wanted.labels)
        || !has(&live.annotations, &wanted.annotations)
        || owners(&live.owner_references) != owners(&wanted.owner_references)
}

#[cfg(test)]
mod tests;
