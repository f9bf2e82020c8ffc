//! What could not be recorded, for people.
//!
//! Here: counting it, and the note of the Event. Not here: the Event (`coverage`), why something is not recorded
//! (`write`).
//! Invariant: a note has names of objects alone. It has no error of the API server, which a tenant's webhook can
//! word, and no argument of a process.

use crate::metrics::NotRecorded;

/// What could not be recorded since the sensor started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unrecorded {
    incidents: u64,
    latest: Option<Latest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Latest {
    reason: NotRecorded,
    namespace: String,
    pod: String,
    policy: String,
}

impl Unrecorded {
    /// An Incident of a pod and a policy could not be recorded.
    pub(crate) fn add(&mut self, reason: NotRecorded, namespace: &str, pod: &str, policy: &str) {
        self.incidents = self.incidents.saturating_add(1);
        self.latest = Some(Latest {
            reason,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            policy: policy.to_owned(),
        });
    }

    /// All of it for people. None: everything was recorded.
    pub(crate) fn note(&self, node: &str) -> Option<String> {
        let latest = self.latest.as_ref()?;
        let (cause, remedy) = words(latest.reason);
        let incidents = match self.incidents {
            1 => "1 Incident".to_owned(),
            count => format!("{count} Incidents"),
        };
        let (namespace, pod, policy) = (&latest.namespace, &latest.pod, &latest.policy);
        Some(format!(
            "Bailiff could not record {incidents} of node {node}, and does not respond to what is not recorded. {remedy}; see the log of the sensor. Most recently, {cause}: pod {namespace}/{pod}, policy {policy}."
        ))
    }
}

/// Why, and what to do.
const fn words(reason: NotRecorded) -> (&'static str, &'static str) {
    let rejects = "Find the quota or webhook that rejects Incidents";
    match reason {
        NotRecorded::Rejected => (
            "the API server rejected an Incident in the pod's namespace and in Bailiff's",
            rejects,
        ),
        NotRecorded::NamespaceLimit => (
            "too many Incidents of the pod's namespace were recorded in Bailiff's",
            rejects,
        ),
        NotRecorded::QueueFull => (
            "too many Incidents waited to be written",
            "Check whether the API server accepts Incidents",
        ),
        NotRecorded::Shutdown => (
            "the sensor ended before the API server accepted an Incident",
            "Check whether the API server accepts Incidents",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_counts_all_and_names_the_latest_with_its_cause() {
        let mut unrecorded = Unrecorded::default();
        assert_eq!(unrecorded.note("node-1"), None);
        let mut says = |reason| {
            unrecorded.add(reason, "shop", "web-1", "no-shells");
            unrecorded.note("node-1").unwrap()
        };
        assert_eq!(
            says(NotRecorded::Rejected),
            "Bailiff could not record 1 Incident of node node-1, and does not respond to what is not recorded. Find the quota or webhook that rejects Incidents; see the log of the sensor. Most recently, the API server rejected an Incident in the pod's namespace and in Bailiff's: pod shop/web-1, policy no-shells."
        );
        assert_eq!(
            says(NotRecorded::NamespaceLimit),
            "Bailiff could not record 2 Incidents of node node-1, and does not respond to what is not recorded. Find the quota or webhook that rejects Incidents; see the log of the sensor. Most recently, too many Incidents of the pod's namespace were recorded in Bailiff's: pod shop/web-1, policy no-shells."
        );
        assert_eq!(
            says(NotRecorded::QueueFull),
            "Bailiff could not record 3 Incidents of node node-1, and does not respond to what is not recorded. Check whether the API server accepts Incidents; see the log of the sensor. Most recently, too many Incidents waited to be written: pod shop/web-1, policy no-shells."
        );
        assert_eq!(
            says(NotRecorded::Shutdown),
            "Bailiff could not record 4 Incidents of node node-1, and does not respond to what is not recorded. Check whether the API server accepts Incidents; see the log of the sensor. Most recently, the sensor ended before the API server accepted an Incident: pod shop/web-1, policy no-shells."
        );
    }
}
