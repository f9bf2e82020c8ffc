//! Whether a pod is Ready, and since when.
//!
//! Here: its condition. Not here: what follows from it (`recovery`, `statuses`).
//! Invariant: what a pod's status does not report is false.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The condition of a pod that is Ready; none: it is not.
pub(crate) fn ready(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions
        .into_iter()
        .find(|c| c.type_ == "Ready" && c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_pod_is_ready_only_where_it_says_so() {
        let condition = |type_: &str, status: &str| json!({"type": type_, "status": status});
        for (status, want) in [
            (Value::Null, false),
            (json!({}), false),
            (json!({"conditions": [condition("Ready", "False")]}), false),
            (
                json!({"conditions": [condition("Ready", "Unknown")]}),
                false,
            ),
            (
                json!({"conditions": [condition("ContainersReady", "True")]}),
                false,
            ),
            (
                json!({"conditions": [condition("ContainersReady", "False"), condition("Ready", "True")]}),
                true,
            ),
        ] {
            let pod: Pod = serde_json::from_value(json!({"status": status})).unwrap();
            assert_eq!(ready(&pod).is_some(), want, "{status}");
        }
    }
}
