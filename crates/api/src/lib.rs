//! The kinds of `bailiff.dev`, their CRDs, and the words that several rooms must agree on.
//!
//! Here: the objects as Rust types with their OpenAPI schema, label and annotation keys, Event
//! reasons, condition types and reasons. Not here: what any of it leads to (`policy`,
//! `response`), and every request to a server (`kube`).
//! Invariant: the CRDs in `charts/bailiff` are generated from these types and from nothing else.
#![warn(clippy::disallowed_methods)]
#![allow(
    clippy::doc_markdown,
    reason = "docs of kinds become CRD descriptions, where `kubectl explain` shows back quotes as they are"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "printer columns repeat their keys, as kube's derive requires"
)]
#![allow(
    unreachable_pub,
    reason = "derive(KubeSchema) makes a private copy of each struct and keeps its `pub`"
)]

pub mod condition;
mod crd;
pub mod event;
mod exempt;
mod image_admission_policy;
mod image_admission_policy_binding;
mod incident;
mod incident_limits;
pub mod keys;
pub mod protection;
mod runtime_policy;
mod runtime_policy_binding;
mod shared;

pub use crd::{GROUP, VERSION, crds};
pub use exempt::exempt_namespaces;
pub use image_admission_policy::{
    DigestRule, ImageAdmissionPolicy, ImageAdmissionPolicySpec, ImageAdmissionPolicyStatus,
    ImageValidation, MatchImages, Unchecked,
};
pub use image_admission_policy_binding::{
    ImageAdmissionPolicyBinding, ImageAdmissionPolicyBindingSpec,
    ImageAdmissionPolicyBindingStatus, ValidationAction,
};
pub use incident::{
    ANCESTOR_ARGS_LIMIT_BYTES, ANCESTORS_LIMIT, ARGS_LIMIT_BYTES, Ancestor, BindingReference,
    DryRunResponse, FIRST_PROCESSES_LIMIT, Incident, IncidentContainer, IncidentPod,
    IncidentProcess, IncidentSpec, IncidentStatus, IncidentType, LABELS_LIMIT,
    LAST_PROCESSES_LIMIT, ObservedProcess, PauseReason, Phase, PolicyReference, Replacement,
    ResponseStatus, Series, Violation, WaitingStatus, WorkloadReference, evaluation_error_name,
    found_running_name, incident_name, name_suffix,
};
pub use incident_limits::{
    FullNamespace, IncidentLimits, LIMITED_NAMESPACES_LIMIT, LIMITED_NODES_LIMIT,
};
pub use runtime_policy::{
    ExpressionWarning, FailurePolicy, MatchCondition, RunningProcesses, RuntimePolicy,
    RuntimePolicySpec, RuntimePolicyStatus, TypeChecking, Validation, Variable,
};
pub use runtime_policy_binding::{
    Guardrails, PausedStatus, ResponseAction, RuntimePolicyBinding, RuntimePolicyBindingSpec,
    RuntimePolicyBindingStatus, UnmanagedPodPolicy,
};
pub use shared::{
    ContainerType, Coverage, DescriptorType, ExecutableSource, MatchResources, Origin, Severity,
};

#[cfg(test)]
mod tests;
