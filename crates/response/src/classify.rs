//! Classifies how the API server rejects the removal of a pod.
//!
//! Here: the cause, as far as the response of the API server tells it, for enforcement and preview
//! alike. Not here: what follows (`rejection`), and requests that find out more (`controller`, `cli`).
//! Invariant: a webhook chooses code, reason and details of its response, so its name is looked for
//! first and it cannot pose as another cause; a cause comes from the structure of the response, and
//! only where it has none from its text; what cannot be classified is `Unknown`.

use crate::rejection::Rejection;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause};

/// Reason of the causes that name a `PodDisruptionBudget`.
const BUDGET_CAUSE: &str = "DisruptionBudget";
/// Reason of the cause that the namespace is terminating.
const NAMESPACE_CAUSE: &str = "NamespaceTerminating";

/// A 403 that is either of a missing permission or of an admission plugin: the response does not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    message: String,
}

impl Forbidden {
    /// The cause, if the client has the permission.
    #[must_use]
    pub fn by_admission(self) -> Rejection {
        Rejection::Webhook(self.message)
    }
}

impl Rejection {
    /// Classifies a response of the API server to a removal of a pod. Of a pod in an exempt namespace no
    /// removal is requested, so a text that says it is exempts nothing.
    ///
    /// # Errors
    /// When the cause depends on whether the client has the permission.
    pub fn of(status: &Status) -> Result<Self, Forbidden> {
        let message = status.message.clone().unwrap_or_default();
        if is_of_admission(status) {
            return Ok(Self::Webhook(message));
        }
        let details = status.details.as_ref();
        let is_budget = |kind: &String| kind.eq_ignore_ascii_case("poddisruptionbudget");
        let budget = details.filter(|d| d.kind.as_ref().is_some_and(is_budget));
        Ok(match status.code.unwrap_or_default() {
            404 | 410 => Self::PodNotFound,
            // Another UID, but also a live pod that was changed too often meanwhile
            // (k8s.io/kubernetes v1.37, pkg/registry/core/pod/storage/eviction.go): reading it again
            // tells which.
            409 => Self::Retry("the pod was changed by another client".to_owned()),
            401 | 408 => Self::Retry(format!("the API server rejected the request: {message}")),
            429 => {
                let causes = details.and_then(|d| d.causes.as_ref());
                let causes = causes.into_iter().flatten();
                let mut budgets = causes.filter(|c| is_budget_cause(c)).peekable();
                if budgets.peek().is_none() {
                    let limited = "the API server limits the requests of the controller";
                    Self::Retry(limited.to_owned())
                } else {
                    Self::DisruptionBudget(budgets.find_map(budget_name))
                }
            }
            // A budget whose status allows nothing, as it is negative or has too many evictions that are
            // not confirmed.
            403 if budget.is_some() => {
                let name = budget.and_then(|d| d.name.clone());
                Self::DisruptionBudget(name.filter(|name| !name.is_empty()))
            }
            403 => return Err(Forbidden { message }),
            // The API server has no reason or detail for this.
            500 if message.contains("more than one PodDisruptionBudget") => {
                Self::MultipleDisruptionBudgets
            }
            400..=499 => Self::Invalid(message),
            _ => Self::Unknown(format!("the API server failed: {message}")),
        })
    }
}

/// Whether an admission webhook or policy rejected a request, by its name in the response, or a webhook
/// that could not be called.
#[must_use]
pub fn is_of_admission(status: &Status) -> bool {
    let message = status.message.as_deref().unwrap_or_default();
    is_of_webhook(message) || message.contains("ValidatingAdmissionPolicy '")
}

/// Whether the API server creates nothing in the namespace of the request, an Eviction neither, because the namespace is
/// terminating. It deletes there (k8s.io/apiserver v0.37, pkg/admission/plugin/namespace/lifecycle/admission.go).
#[must_use]
pub fn is_of_terminating_namespace(status: &Status) -> bool {
    let causes = status.details.as_ref().and_then(|d| d.causes.as_ref());
    let mut causes = causes.into_iter().flatten();
    status.code == Some(403)
        && !is_of_admission(status)
        && causes.any(|cause| cause.reason.as_deref() == Some(NAMESPACE_CAUSE))
}

/// Whether an admission webhook gave or caused the response
/// (k8s.io/apiserver v0.37, pkg/admission/plugin/webhook/errors/statuserror.go).
fn is_of_webhook(message: &str) -> bool {
    message.starts_with("admission webhook \"") || message.contains("failed calling webhook \"")
}

fn is_budget_cause(cause: &StatusCause) -> bool {
    cause.reason.as_deref() == Some(BUDGET_CAUSE)
}

/// The name in `The disruption budget NAME needs …`.
fn budget_name(cause: &StatusCause) -> Option<String> {
    let (_, rest) = cause.message.as_ref()?.split_once("disruption budget ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests;
