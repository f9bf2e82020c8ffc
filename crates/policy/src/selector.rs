//! Label selectors, compiled once.
//!
//! Here: Kubernetes' rules for `matchLabels` and `matchExpressions`
//! (k8s.io/apimachinery v0.37, pkg/apis/meta/v1/helpers.go, `LabelSelectorAsSelector`). Not
//! here: which labels they are asked about.
//! Invariant: a selector that is not valid is an error, never one that matches all or nothing.

use crate::messages;
use bailiff_api::MatchResources as Spec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// Labels of an object.
type Labels = BTreeMap<String, String>;

/// A label selector that was found valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Requirement {
    fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key) => key,
        }
    }
}

/// Why a selector is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl Selector {
    /// Compiles a selector; one that is absent or empty matches everything.
    ///
    /// # Errors
    /// When an operator is not known, or values are missing or too many for it.
    pub fn compile(spec: Option<&LabelSelector>) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        let Some(spec) = spec else {
            return Ok(Self::default());
        };
        for (key, value) in spec.match_labels.iter().flatten() {
            requirements.push(Requirement::In(key.clone(), vec![value.clone()]));
        }
        for expression in spec.match_expressions.iter().flatten() {
            let key = expression.key.clone();
            let values = expression.values.clone().unwrap_or_default();
            let error = |message| Err(SelectorError(message));
            requirements.push(match (expression.operator.as_str(), values.is_empty()) {
                ("In", false) => Requirement::In(key, values),
                ("NotIn", false) => Requirement::NotIn(key, values),
                ("Exists", true) => Requirement::Exists(key),
                ("DoesNotExist", true) => Requirement::DoesNotExist(key),
                ("In" | "NotIn", true) => {
                    return error(messages::selector_needs_values(&key, &expression.operator));
                }
                ("Exists" | "DoesNotExist", false) => {
                    return error(messages::selector_takes_no_values(
                        &key,
                        &expression.operator,
                    ));
                }
                (other, _) => return error(messages::selector_operator(&key, other)),
            });
        }
        Ok(Self { requirements })
    }

    /// Whether these labels match.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| match requirement {
                Requirement::In(key, values) => {
                    labels.get(key).is_some_and(|value| values.contains(value))
                }
                // As in Kubernetes: a label that is absent is not in the list.
                Requirement::NotIn(key, values) => {
                    labels.get(key).is_none_or(|value| !values.contains(value))
                }
                Requirement::Exists(key) => labels.contains_key(key),
                Requirement::DoesNotExist(key) => !labels.contains_key(key),
            })
    }
}

/// Both selectors of a policy or a binding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchResources {
    namespace: Selector,
    object: Selector,
}

impl MatchResources {
    /// Compiles both.
    ///
    /// # Errors
    /// When one of them is not valid; the message names the field.
    pub fn compile(spec: &Spec) -> Result<Self, SelectorError> {
        let named = |field: &str, selector: Option<&LabelSelector>| {
            Selector::compile(selector)
                .map_err(|SelectorError(message)| SelectorError(format!("{field}: {message}")))
        };
        Ok(Self {
            namespace: named("namespaceSelector", spec.namespace_selector.as_ref())?,
            object: named("objectSelector", spec.object_selector.as_ref())?,
        })
    }

    /// The labels of a pod that are looked at; one may come several times.
    pub fn object_labels(&self) -> impl Iterator<Item = &str> {
        self.object.requirements.iter().map(Requirement::key)
    }

    /// The labels of a namespace that are looked at; one may come several times.
    pub fn namespace_labels(&self) -> impl Iterator<Item = &str> {
        self.namespace.requirements.iter().map(Requirement::key)
    }

    /// Whether a pod with these labels in a namespace with these labels is meant.
    #[must_use]
    pub fn matches(&self, namespace: &Labels, pod: &Labels) -> bool {
        self.namespace.matches(namespace) && self.object.matches(pod)
    }

    /// Whether pods in a namespace with these labels can be meant.
    #[must_use]
    pub fn matches_namespace(&self, namespace: &Labels) -> bool {
        self.namespace.matches(namespace)
    }
}
