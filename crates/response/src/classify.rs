//! Classifies how the API server rejects an Eviction.
//!
//! Here: the cause, as far as the response tells it. Not here: what follows (`rejection`), and requests
//! that find out more.
//! Invariant: what cannot be classified is `Unknown`; only a response that says so is a rejection.

use crate::rejection::Rejection;

impl Rejection {
    /// Classifies a response of the API server to an Eviction, by its status code, its message and the
    /// reason and message of each of its causes. The client has the permission, so a 403 is not about
    /// permissions.
    #[must_use]
    pub fn of<'a>(
        code: u16,
        message: &str,
        causes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let budgets: Vec<_> = causes
            .into_iter()
            .filter(|(reason, _)| *reason == "DisruptionBudget")
            .collect();
        if !budgets.is_empty() {
            let name = budgets.iter().find_map(|(_, text)| budget_name(text));
            return Self::DisruptionBudget(name);
        }
        match code {
            404 | 410 => Self::PodNotFound,
            401 | 408 | 409 | 429 => Self::Retry(message.to_owned()),
            // The eviction handler has no reason or cause for this
            // (k8s.io/kubernetes v1.37, `pkg/registry/core/pod/storage/eviction.go`).
            500 if message.contains("more than one PodDisruptionBudget") => {
                Self::MultipleDisruptionBudgets
            }
            403 => Self::Webhook(message.to_owned()),
            400..=499 => Self::Invalid(message.to_owned()),
            _ => Self::Unknown(message.to_owned()),
        }
    }
}

/// The name in `The disruption budget NAME needs …`.
fn budget_name(text: &str) -> Option<String> {
    let rest = text.split_once("disruption budget ")?.1;
    rest.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rejection_has_its_cause() {
        let named = [(
            "DisruptionBudget",
            "The disruption budget web needs 2 healthy pods and has 2",
        )];
        let unnamed = [("DisruptionBudget", "in other words")];
        let several = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        let text = |text: &str| text.to_owned();
        for (code, message, causes, want) in [
            (
                429,
                "x",
                &named[..],
                Rejection::DisruptionBudget(Some(text("web"))),
            ),
            // A budget that allows a negative number of disruptions.
            (403, "x", &unnamed[..], Rejection::DisruptionBudget(None)),
            (429, "busy", &[][..], Rejection::Retry(text("busy"))),
            (409, "conflict", &[][..], Rejection::Retry(text("conflict"))),
            (404, "x", &[][..], Rejection::PodNotFound),
            (410, "x", &[][..], Rejection::PodNotFound),
            (500, several, &[][..], Rejection::MultipleDisruptionBudgets),
            (500, "etcd", &[][..], Rejection::Unknown(text("etcd"))),
            (504, "slow", &[][..], Rejection::Unknown(text("slow"))),
            (403, "denied", &[][..], Rejection::Webhook(text("denied"))),
            (422, "invalid", &[][..], Rejection::Invalid(text("invalid"))),
        ] {
            let of = Rejection::of(code, message, causes.iter().copied());
            assert_eq!(of, want, "{code} {message}");
        }
    }
}
