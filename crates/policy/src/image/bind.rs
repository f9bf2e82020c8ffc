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
/// effect. It takes the least time if the bindings come in the order of their policies.
#[must_use]
pub fn bound<'a>(
    policies: &'a BTreeMap<String, Arc<CompiledImagePolicy>>,
    bindings: impl IntoIterator<Item = &'a CompiledImageBinding>,
    labels: &PodLabels<'_>,
    mode: Mode,
) -> Vec<BoundPolicy<'a>> {
    let bindings = bindings.into_iter();
    let mut selecting: Vec<_> = bindings
        .filter(|binding| labels.are_selected_by(&binding.resources))
        .collect();
    selecting.sort_by(|one, other| one.policy_name.cmp(&other.policy_name));
    let of_policies = selecting.chunk_by(|one, other| one.policy_name == other.policy_name);
    let bound = of_policies.filter_map(|bindings| {
        let policy: &CompiledImagePolicy = policies.get(&bindings.first()?.policy_name)?;
        let actions = bindings.iter().fold(Actions::default(), |all, binding| {
            all.and(Actions::of(&binding.actions, mode))
        });
        labels
            .are_selected_by(&policy.constraints)
            .then_some(BoundPolicy { policy, actions })
    });
    bound.collect()
}

/// The policies that can apply to a pod that cannot be read, of a namespace with these labels; none: they
/// are not known either.
#[must_use]
pub fn possibly_bound<'a>(
    policies: &'a BTreeMap<String, Arc<CompiledImagePolicy>>,
    bindings: impl IntoIterator<Item = &'a CompiledImageBinding>,
    namespace: Option<&Labels>,
    mode: Mode,
) -> Vec<BoundPolicy<'a>> {
    let selects = |resources: &MatchResources| {
        namespace.is_none_or(|namespace| resources.matches_namespace(namespace))
    };
    let bound = bindings.into_iter().filter_map(|binding| {
        let policy: &CompiledImagePolicy = policies.get(&binding.policy_name)?;
        let applies = selects(&binding.resources) && selects(&policy.constraints);
        applies.then_some(BoundPolicy {
            policy,
            actions: Actions::of(&binding.actions, mode),
        })
    });
    bound.collect()
}
