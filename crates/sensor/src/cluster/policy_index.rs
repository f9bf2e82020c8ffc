//! The policies and bindings that hold now.
//!
//! Here: compiling what is watched, and which policies are about a pod. Not here: verdicts.
//! Invariant: a policy that does not compile is never run; it is compiled again only when its
//! generation changes.

use bailiff_api::{BindingReference, RuntimePolicy, RuntimePolicyBinding};
use bailiff_policy::{CompiledPolicy, MatchResources, compile};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

type Labels = BTreeMap<String, String>;

#[derive(Debug)]
struct Bound {
    reference: BindingReference,
    policy: String,
    resources: MatchResources,
}

/// Policies and bindings by name.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    policies: BTreeMap<String, Arc<CompiledPolicy>>,
    bindings: BTreeMap<String, Bound>,
}

/// A policy that is about a pod, with the bindings that make it so.
#[derive(Clone, Debug)]
pub(crate) struct Applying {
    pub(crate) policy: Arc<CompiledPolicy>,
    pub(crate) bindings: Vec<BindingReference>,
    /// Labels of pods that the selectors of any of them name.
    pub(crate) selected: Arc<BTreeSet<String>>,
}

impl Rules {
    /// A policy is there or was changed.
    pub(crate) fn apply_policy(&mut self, policy: &RuntimePolicy) {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let same = self.policies.get(&name).is_some_and(|known| {
            Some(known.generation) == policy.metadata.generation
                && Some(&known.uid) == policy.metadata.uid.as_ref()
        });
        if same {
            return;
        }
        match compile(policy) {
            Ok(compiled) => {
                tracing::info!(
                    policy = name,
                    generation = compiled.generation,
                    "policy compiled"
                );
                self.policies.insert(name, Arc::new(compiled));
            }
            Err(faults) => {
                tracing::warn!(
                    policy = name,
                    faults = faults.len(),
                    "policy does not compile and is not run; its status has the positions"
                );
                self.policies.remove(&name);
            }
        }
    }

    /// A policy was deleted.
    pub(crate) fn delete_policy(&mut self, name: &str) {
        self.policies.remove(name);
    }

    /// Keeps those that a new listing names.
    pub(crate) fn keep_policies(&mut self, listed: &std::collections::HashSet<String>) {
        self.policies.retain(|name, _| listed.contains(name));
    }

    /// A binding is there or was changed.
    pub(crate) fn apply_binding(&mut self, binding: &RuntimePolicyBinding) {
        let name = binding.metadata.name.clone().unwrap_or_default();
        match MatchResources::compile(&binding.spec.match_resources) {
            Ok(resources) => {
                let reference = BindingReference {
                    name: name.clone(),
                    uid: binding.metadata.uid.clone().unwrap_or_default(),
                };
                self.bindings.insert(
                    name,
                    Bound {
                        reference,
                        policy: binding.spec.policy_name.clone(),
                        resources,
                    },
                );
            }
            Err(error) => {
                tracing::warn!(binding = name, %error, "binding has a selector that is not valid and binds nothing");
                self.bindings.remove(&name);
            }
        }
    }

    /// A binding was deleted.
    pub(crate) fn delete_binding(&mut self, name: &str) {
        self.bindings.remove(name);
    }

    /// Keeps those that a new listing names.
    pub(crate) fn keep_bindings(&mut self, listed: &std::collections::HashSet<String>) {
        self.bindings.retain(|name, _| listed.contains(name));
    }

    /// The policies that are about a pod with these labels.
    pub(crate) fn applying(&self, namespace: &Labels, pod: &Labels) -> Vec<Applying> {
        let mut found: HashMap<&str, Vec<&Bound>> = HashMap::new();
        for bound in self
            .bindings
            .values()
            .filter(|bound| bound.resources.matches(namespace, pod))
        {
            found.entry(bound.policy.as_str()).or_default().push(bound);
        }
        let applying = |(name, policy): (&String, &Arc<CompiledPolicy>)| {
            let bound = found
                .get(name.as_str())
                .filter(|_| policy.constraints.matches(namespace, pod))?;
            let selectors = bound.iter().map(|bound| &bound.resources);
            Some(Applying {
                policy: Arc::clone(policy),
                bindings: bound.iter().map(|bound| bound.reference.clone()).collect(),
                selected: Arc::new(
                    selectors
                        .chain(std::iter::once(&policy.constraints))
                        .flat_map(MatchResources::object_labels)
                        .map(str::to_owned)
                        .collect(),
                ),
            })
        };
        self.policies.iter().filter_map(applying).collect()
    }
}

#[cfg(test)]
mod tests;
