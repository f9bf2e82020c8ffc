//! Which policies apply to a pod, and with which actions.
//!
//! Here: bindings, their selectors, the mode of all bindings. Not here: what a policy says (`evaluate`,
//! `registry`).
//! Invariant: a policy applies to a pod once, with the strongest action of its bindings.

use super::compile::CompiledImagePolicy;
use crate::compile::FieldError;
use crate::selector::MatchResources;
use bailiff_api::{ImageAdmissionPolicyBinding, ValidationAction};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// Whether bindings have their own actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each binding has its actions.
    #[default]
    Enforce,
    /// The action of each binding is Audit.
    Audit,
}

/// What happens to a pod that violates a policy. All false is a policy that does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// The request is rejected.
    pub deny: bool,
    /// The response has a warning. False where `deny` is true: the rejection has the message.
    pub warn: bool,
    /// The request has an audit annotation.
    pub audit: bool,
}

impl Actions {
    /// The actions of a binding.
    #[must_use]
    pub fn of(actions: &[ValidationAction], mode: Mode) -> Self {
        let has = |action| actions.contains(&action);
        match mode {
            Mode::Enforce => Self {
                deny: has(ValidationAction::Deny),
                warn: has(ValidationAction::Warn) && !has(ValidationAction::Deny),
                audit: has(ValidationAction::Audit),
            },
            Mode::Audit => Self {
                audit: true,
                ..Self::default()
            },
        }
    }

    /// The actions of two bindings of a policy together.
    #[must_use]
    const fn and(self, other: Self) -> Self {
        let deny = self.deny || other.deny;
        Self {
            deny,
            warn: (self.warn || other.warn) && !deny,
            audit: self.audit || other.audit,
        }
    }
}

/// A binding that can be evaluated.
#[derive(Clone, Debug)]
pub struct CompiledImageBinding {
    /// Name of the binding.
    pub name: String,
    /// Name of the policy.
    pub policy_name: String,
    resources: MatchResources,
    actions: Vec<ValidationAction>,
}

/// Compiles a binding.
///
/// # Errors
/// A selector is not valid.
pub fn compile_binding(
    binding: &ImageAdmissionPolicyBinding,
) -> Result<CompiledImageBinding, FieldError> {
    let spec = &binding.spec;
    let resources = MatchResources::compile(&spec.match_resources).map_err(|fault| FieldError {
        field: "spec.matchResources".to_owned(),
        message: fault.to_string(),
    })?;
    Ok(CompiledImageBinding {
        name: binding.metadata.name.clone().unwrap_or_default(),
        policy_name: spec.policy_name.clone(),
        resources,
        actions: spec.validation_actions.clone(),
    })
}

/// A policy that applies to a pod.
#[derive(Clone, Copy, Debug)]
pub struct BoundPolicy<'a> {
    /// The policy.
    pub policy: &'a CompiledImagePolicy,
    /// What happens to the pod if it violates the policy.
    pub actions: Actions,
}

/// The labels by which a pod is selected.
#[derive(Clone, Copy, Debug)]
pub struct PodLabels<'a> {
    /// Labels of its namespace.
    pub namespace: &'a Labels,
    /// Labels of the pod.
    pub pod: &'a Labels,
    /// Labels of the pod before an update. As for admission policies of Kubernetes, a pod is selected
    /// if either version is, so that a change of labels is no way out.
    pub old: Option<&'a Labels>,
}

impl PodLabels<'_> {
    fn are_selected_by(&self, resources: &MatchResources) -> bool {
        resources.matches(self.namespace, self.pod)
            || self
                .old
                .is_some_and(|old| resources.matches(self.namespace, old))
    }
}

/// The policies that apply to a pod, in the order of their names. A binding without its policy has no
/// effect.
#[must_use]
pub fn bound<'a>(
    policies: &'a BTreeMap<String, Arc<CompiledImagePolicy>>,
    bindings: impl IntoIterator<Item = &'a CompiledImageBinding>,
    labels: &PodLabels<'_>,
    mode: Mode,
) -> Vec<BoundPolicy<'a>> {
    let mut actions: BTreeMap<&str, Actions> = BTreeMap::new();
    for binding in bindings {
        if labels.are_selected_by(&binding.resources) {
            let all = actions.entry(&binding.policy_name).or_default();
            *all = all.and(Actions::of(&binding.actions, mode));
        }
    }
    let bound = actions.into_iter().filter_map(|(name, actions)| {
        let policy = policies.get(name)?;
        let policy: &CompiledImagePolicy = policy;
        labels
            .are_selected_by(&policy.constraints)
            .then_some(BoundPolicy { policy, actions })
    });
    bound.collect()
}
