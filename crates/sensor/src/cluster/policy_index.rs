//! The policies and bindings of now.
//!
//! Here: compiling what is watched, which policies apply to a pod, what all of them need. Not here:
//! verdicts.
//! Invariant: a policy that does not compile is never evaluated; it is compiled again only when its
//! generation changes.

use crate::cluster::matched::Matched;
use crate::cluster::needs::Needs;
use bailiff_api::{
    BindingReference, ResponseAction, RunningProcesses, RuntimePolicy, RuntimePolicyBinding,
};
use bailiff_policy::{CompiledPolicy, MatchResources, compile};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

type Labels = BTreeMap<String, String>;

#[derive(Debug)]
struct CompiledBinding {
    reference: BindingReference,
    generation: Option<i64>,
    policy: String,
    resources: MatchResources,
    /// It does more than audit.
    enforces: bool,
}

/// Policies and bindings by name.
#[derive(Debug, Default)]
pub(crate) struct PolicyIndex {
    policies: BTreeMap<String, Arc<CompiledPolicy>>,
    bindings: BTreeMap<String, CompiledBinding>,
    /// What applies to pods that were asked about since policies or bindings last changed.
    matched: Matched,
}

/// A policy that applies to a pod, with the bindings that make it so.
#[derive(Clone, Debug)]
pub(crate) struct MatchedPolicy {
    pub(crate) policy: Arc<CompiledPolicy>,
    pub(crate) bindings: Vec<BindingReference>,
    /// Whether any of them does more than audit.
    pub(crate) enforced: bool,
    /// Labels of pods that the selectors of any of them name.
    pub(crate) selected: Arc<BTreeSet<String>>,
}

impl PolicyIndex {
    /// A policy exists or was changed; its UID, if it is now to be evaluated for processes that run already.
    pub(crate) fn apply_policy(&mut self, policy: &RuntimePolicy) -> Option<String> {
        self.matched.forget();
        let name = policy.metadata.name.clone().unwrap_or_default();
        let same = self.policies.get(&name).is_some_and(|known| {
            Some(known.generation) == policy.metadata.generation
                && Some(&known.uid) == policy.metadata.uid.as_ref()
        });
        if same {
            return None;
        }
        match compile(policy) {
            Ok(compiled) => {
                tracing::info!(
                    policy = name,
                    generation = compiled.generation,
                    "Compiled the policy"
                );
                let asks = asks(&compiled);
                self.policies.insert(name, Arc::new(compiled));
                asks
            }
            Err(errors) => {
                tracing::warn!(
                    policy = name,
                    errors = errors.len(),
                    "Policy does not compile and is not evaluated; its status has the positions"
                );
                self.policies.remove(&name);
                None
            }
        }
    }

    /// A policy was deleted.
    pub(crate) fn delete_policy(&mut self, name: &str) {
        self.matched.forget();
        self.policies.remove(name);
    }

    /// Keeps those that a new listing names.
    pub(crate) fn keep_policies(&mut self, listed: &std::collections::HashSet<String>) {
        self.matched.forget();
        self.policies.retain(|name, _| listed.contains(name));
    }

    /// A binding exists or was changed; the UID of its policy, if that is now to be evaluated for processes that run
    /// already.
    pub(crate) fn apply_binding(&mut self, binding: &RuntimePolicyBinding) -> Option<String> {
        self.matched.forget();
        let name = binding.metadata.name.clone().unwrap_or_default();
        match MatchResources::compile(&binding.spec.match_resources) {
            Ok(resources) => {
                let reference = BindingReference {
                    name: name.clone(),
                    uid: binding.metadata.uid.clone().unwrap_or_default(),
                };
                let generation = binding.metadata.generation;
                // Its status changes with each response.
                let same = self.bindings.get(&name).is_some_and(|known| {
                    known.reference == reference && known.generation == generation
                });
                self.bindings.insert(
                    name,
                    CompiledBinding {
                        reference,
                        generation,
                        policy: binding.spec.policy_name.clone(),
                        resources,
                        enforces: binding
                            .spec
                            .response_actions
                            .iter()
                            .any(|action| enforces(*action)),
                    },
                );
                let policy = self.policies.get(&binding.spec.policy_name);
                policy.filter(|_| !same).and_then(|policy| asks(policy))
            }
            Err(error) => {
                tracing::warn!(binding = name, %error, "Binding has an invalid selector and matches nothing");
                self.bindings.remove(&name);
                None
            }
        }
    }

    /// A binding was deleted.
    pub(crate) fn delete_binding(&mut self, name: &str) {
        self.matched.forget();
        self.bindings.remove(name);
    }

    /// Keeps those that a new listing names.
    pub(crate) fn keep_bindings(&mut self, listed: &std::collections::HashSet<String>) {
        self.matched.forget();
        self.bindings.retain(|name, _| listed.contains(name));
    }

    /// What all policies that have a binding need of pods and namespaces.
    pub(crate) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for (name, policy) in &self.policies {
            let bindings = self.bindings.values().filter(|b| b.policy == *name);
            let resources: Vec<_> = bindings.map(|binding| &binding.resources).collect();
            if resources.is_empty() {
                continue;
            }
            needs.merge(&needs_of(policy));
            for resources in resources {
                add_labels(&mut needs, resources);
            }
        }
        needs
    }

    /// The policies that apply to a pod with these labels. The answer is remembered, because a pod executes the same
    /// things over and over.
    pub(crate) fn matching(&mut self, namespace: &Labels, pod: &Labels) -> Arc<[MatchedPolicy]> {
        if let Some(known) = self.matched.get(namespace, pod) {
            return known;
        }
        let found: Arc<[_]> = self.find_matching(namespace, pod).into();
        self.matched.keep(namespace, pod, &found);
        found
    }

    fn find_matching(&self, namespace: &Labels, pod: &Labels) -> Vec<MatchedPolicy> {
        let mut found: HashMap<&str, Vec<&CompiledBinding>> = HashMap::new();
        for bound in self
            .bindings
            .values()
            .filter(|bound| bound.resources.matches(namespace, pod))
        {
            found.entry(bound.policy.as_str()).or_default().push(bound);
        }
        let matched = |(name, policy): (&String, &Arc<CompiledPolicy>)| {
            let bound = found
                .get(name.as_str())
                .filter(|_| policy.constraints.matches(namespace, pod))?;
            let selectors = bound.iter().map(|bound| &bound.resources);
            Some(MatchedPolicy {
                policy: Arc::clone(policy),
                bindings: bound.iter().map(|bound| bound.reference.clone()).collect(),
                enforced: bound.iter().any(|bound| bound.enforces),
                selected: Arc::new(
                    selectors
                        .chain(std::iter::once(&policy.constraints))
                        .flat_map(MatchResources::object_labels)
                        .map(str::to_owned)
                        .collect(),
                ),
            })
        };
        self.policies.iter().filter_map(matched).collect()
    }
}

/// The UID of a policy that is to be evaluated for processes that run already.
fn asks(policy: &CompiledPolicy) -> Option<String> {
    match policy.running_processes {
        RunningProcesses::Ignore => None,
        RunningProcesses::Evaluate => Some(policy.uid.clone()),
    }
}

/// Whether an action does more than create an Incident.
const fn enforces(action: ResponseAction) -> bool {
    match action {
        ResponseAction::Audit => false,
        ResponseAction::Evict | ResponseAction::Delete => true,
    }
}

/// What a policy needs of pods and namespaces, without its bindings.
pub(crate) fn needs_of(policy: &CompiledPolicy) -> Needs {
    let mut needs = Needs {
        object: policy.needs_object().then(|| policy.object_reads().clone()),
        namespace_object: policy.needs_namespace_object(),
        ..Needs::default()
    };
    add_labels(&mut needs, &policy.constraints);
    needs
}

fn add_labels(needs: &mut Needs, resources: &MatchResources) {
    let owned = str::to_owned;
    needs
        .pod_labels
        .extend(resources.object_labels().map(owned));
    let namespaces = resources.namespace_labels().map(owned);
    needs.namespace_labels.extend(namespaces);
}

#[cfg(test)]
mod tests;
