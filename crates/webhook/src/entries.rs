//! The entries of the webhook configurations.
//!
//! Here: their paths, and what each must be able to do. Not here: HTTP (`server`), the decisions (the
//! modules below).
//! Invariant: each review has a response, whatever happens while it is evaluated: under the failure policy
//! Ignore, everything else would admit the pod.

pub(crate) mod pods;
pub(crate) mod policies;
pub(crate) mod workloads;

use crate::deadlines::Deadlines;
use crate::response::AdmissionResponse;
use crate::review::{Identity, Keep, Malformed, Review};
use futures::future::BoxFuture;

/// An entry of a webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    /// Pins the images of pods.
    MutatePods,
    /// Rejects pods.
    ValidatePods,
    /// Warns about pod templates.
    ValidateWorkloads,
    /// Rejects policies that do not compile.
    ValidatePolicies,
}

impl Entry {
    /// Every entry.
    pub(crate) const ALL: [Self; 4] = [
        Self::MutatePods,
        Self::ValidatePods,
        Self::ValidateWorkloads,
        Self::ValidatePolicies,
    ];

    /// The path of its URL.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::MutatePods => "/mutate/pods",
            Self::ValidatePods => "/validate/pods",
            Self::ValidateWorkloads => "/validate/workloads",
            Self::ValidatePolicies => "/validate/policies",
        }
    }

    /// The value of the label `entry` of metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::MutatePods => "mutate-pods",
            Self::ValidatePods => "validate-pods",
            Self::ValidateWorkloads => "validate-workloads",
            Self::ValidatePolicies => "validate-policies",
        }
    }
}

/// Why a review was not evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEvaluated {
    #[error("the review is larger than 8 MiB. Reduce the size of the object")]
    TooLarge,
    #[error("the pod has more than 1,024 new images. Reduce their number")]
    TooManyImages,
    #[error("the review has more than 100,000 values. Reduce the size of the object")]
    TooManyValues,
    #[error("the review is malformed: {0}. Report this as a bug")]
    Malformed(#[from] Malformed),
    #[error(
        "the webhook configuration of Bailiff sends {0} here. Run `helm upgrade` to restore it"
    )]
    UnexpectedResource(String),
    #[error("the review was cut off. Retry")]
    Cut,
    #[error("that took too long. Retry")]
    TimedOut,
    #[error("too many reviews are in progress. Retry")]
    Overloaded,
    #[error("of an internal error. Report this as a bug, with the log of the webhook")]
    Panicked,
    #[error("this replica of the webhook stops. Retry")]
    Stopping,
    #[error("namespace {0} cannot be read. Retry")]
    NamespaceUnknown(String),
    #[error("the policies changed meanwhile. Retry")]
    PoliciesChanged,
    #[error(
        "it has more or longer expressions than the schema of its kind allows. Report this as a bug"
    )]
    BeyondSchema,
}

impl NotEvaluated {
    /// The value of the label `result` of metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooManyImages => "too_many_images",
            Self::TooManyValues => "too_many_values",
            Self::Malformed(_) => "malformed",
            Self::UnexpectedResource(_) => "unexpected_resource",
            Self::Cut => "cut",
            Self::TimedOut => "timed_out",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panicked",
            Self::Stopping => "stopping",
            Self::NamespaceUnknown(_) => "namespace_unknown",
            Self::PoliciesChanged => "policies_changed",
            Self::BeyondSchema => "beyond_schema",
        }
    }
}

impl NotEvaluated {
    /// Whether a pod can be made so that this is the result. Such a pod is denied, whatever `onError` says.
    pub(crate) const fn is_of_pod(&self) -> bool {
        match self {
            Self::TooLarge
            | Self::TooManyImages
            | Self::TooManyValues
            | Self::Malformed(_)
            | Self::Cut
            | Self::TimedOut
            | Self::Panicked => true,
            Self::UnexpectedResource(_)
            | Self::Overloaded
            | Self::Stopping
            | Self::NamespaceUnknown(_)
            | Self::PoliciesChanged
            | Self::BeyondSchema => false,
        }
    }

    /// Whether the bytes that were sent are the cause.
    pub(crate) const fn is_of_caller(&self) -> bool {
        match self {
            Self::TooLarge
            | Self::TooManyValues
            | Self::Malformed(_)
            | Self::Cut
            | Self::BeyondSchema => true,
            Self::UnexpectedResource(_)
            | Self::TooManyImages
            | Self::TimedOut
            | Self::Overloaded
            | Self::Panicked
            | Self::Stopping
            | Self::NamespaceUnknown(_)
            | Self::PoliciesChanged => false,
        }
    }
}

/// Evaluates reviews.
pub(crate) trait Evaluate: Send + Sync + 'static {
    /// What the reviews of an entry need of an object now.
    fn keep(&self, entry: Entry) -> Keep;

    /// The response to a review.
    fn evaluate(
        &self,
        entry: Entry,
        review: Review,
        deadlines: Deadlines,
    ) -> BoxFuture<'_, Result<AdmissionResponse, NotEvaluated>>;

    /// The response to a review that was not evaluated.
    fn not_evaluated(
        &self,
        entry: Entry,
        identity: &Identity,
        cause: &NotEvaluated,
    ) -> AdmissionResponse;
}
