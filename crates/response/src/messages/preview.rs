//! The sentences that only a preview has.
//!
//! Here: what would go before a response, what the guard counts, and who creates a replacement. Not here:
//! the messages that a preview shares with enforcement (`messages`).
//! Invariant: that of `messages`.

use super::printable;
use crate::facts::Owner;
use crate::guard::{Outlook, Watch};
use crate::queue::Ahead;
use bailiff_api::keys;

/// Who creates a replacement of a pod.
#[must_use]
pub fn replacement(owner: &Owner) -> String {
    match owner {
        Owner::Workload(workload) => format!(
            "{} {} creates a replacement.",
            printable(&workload.kind),
            printable(&workload.name)
        ),
        Owner::Released(workload) => format!(
            "The pod was released from {} {}, so nothing creates a replacement.",
            printable(&workload.kind),
            printable(&workload.name)
        ),
        Owner::None => "The pod has no controller, so nothing creates a replacement.".to_owned(),
        Owner::Unknown(why) => format!(
            "Who creates a replacement cannot be determined ({}).",
            printable(why)
        ),
    }
}

/// Which responses would go before a new one in a namespace.
#[must_use]
pub fn ahead(ahead: Ahead, namespace: &str) -> String {
    let Ahead {
        of_workload,
        in_namespace,
        elsewhere,
    } = ahead;
    let waiting = |number: usize, what: &str| {
        (number > 0).then(|| match number {
            1 => format!("1 response waits for {what}."),
            _ => format!("{number} responses wait for {what}."),
        })
    };
    let limit = "a limit of removals a minute";
    let namespace = printable(namespace);
    let parts = [
        waiting(of_workload, "the cooldown period of this workload"),
        waiting(in_namespace, &format!("{limit} in namespace {namespace}")),
        waiting(elsewhere, &format!("{limit} in other namespaces")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "No response waits for a limit before this one.".to_owned();
    }
    format!(
        "{} Namespaces take turns, and within one the oldest Incident is first.",
        parts.join(" ")
    )
}

/// What the bad-policy guard comes to for a binding.
#[must_use]
pub fn outlook(outlook: &Outlook) -> String {
    let binding = printable(&outlook.binding);
    match &outlook.watch {
        Watch::Resumed => format!(
            "Annotation {} resumed RuntimePolicyBinding {binding}, so it is not paused.",
            keys::ANNOTATION_RESUME
        ),
        Watch::Paused(paused) => format!(
            "RuntimePolicyBinding {binding} is paused: it would remove pods of {} workloads instead of at most {} within 10 minutes.",
            paused.workloads, paused.max_workloads
        ),
        Watch::Watched {
            until,
            workloads,
            max_workloads,
        } => {
            let most = max_workloads.map_or_else(
                || "10 workloads and 10 % of the matched ones".to_owned(),
                |most| format!("{most} workloads"),
            );
            format!(
                "Until {until}, RuntimePolicyBinding {binding} is paused if it would remove pods of more than {most} within 10 minutes. So far, there are {workloads}."
            )
        }
        Watch::Ended => format!(
            "RuntimePolicyBinding {binding} and its policy are older than 24 hours, so the binding is not paused."
        ),
    }
}
