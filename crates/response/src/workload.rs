//! What identifies a workload in the limits.
//!
//! Here: the key, and whether Bailiff verifies workloads of its kind. Not here: finding the workload
//! of a pod (`bailiff_kube::owner`).
//! Invariant: tenants write owner references, and one of a kind that Bailiff does not read is not
//! verified; so a UID alone identifies nothing, and what is not verified is equal to nothing that is.

use bailiff_api::keys::WORKLOAD_KINDS;
use bailiff_api::{Incident, WorkloadReference};

/// A workload in the namespace of its pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkloadKey {
    /// Namespace of the pod.
    namespace: String,
    /// API group. Its versions are those of one object, and the author of a reference chooses one.
    group: String,
    /// Kind.
    kind: String,
    /// UID.
    pub(crate) uid: String,
}

impl WorkloadKey {
    /// The key of the workload of a pod in a namespace.
    #[must_use]
    pub fn of(namespace: &str, workload: &WorkloadReference) -> Self {
        let (group, _) = workload.api_version.split_once('/').unwrap_or_default();
        Self {
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            kind: workload.kind.clone(),
            uid: workload.uid.clone(),
        }
    }

    /// The key of the workload that an Incident's status records. None: it records none.
    #[must_use]
    pub fn of_incident(incident: &Incident) -> Option<Self> {
        let workload = incident.status.as_ref()?.workload_ref.as_ref()?;
        Some(Self::of(&incident.spec.pod.namespace, workload))
    }

    /// Whether it is of a kind that Bailiff reads, so that it exists and selects the pod.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let mut kinds = WORKLOAD_KINDS.iter();
        kinds.any(|(group, _, kind)| *group == self.group && *kind == self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::workload;

    #[test]
    fn a_uid_alone_is_no_workload() {
        let web = WorkloadKey::of("bank", &workload("web-uid"));
        let claimed = |change: fn(&mut WorkloadReference)| {
            let mut reference = workload("web-uid");
            change(&mut reference);
            WorkloadKey::of("bank", &reference)
        };
        let foreign = claimed(|w| "x.example/v1".clone_into(&mut w.api_version));
        let core = claimed(|w| "v1".clone_into(&mut w.api_version));
        let foo = claimed(|w| "Foo".clone_into(&mut w.kind));
        for other in [foreign, core, foo] {
            assert_ne!(other, web);
            assert!(!other.is_verified(), "{other:?}");
        }
        assert!(web.is_verified());
        assert_ne!(WorkloadKey::of("shop", &workload("web-uid")), web);
        // Another version or name of the same object.
        assert_eq!(claimed(|w| "apps/v9".clone_into(&mut w.api_version)), web);
        assert_eq!(claimed(|w| "api".clone_into(&mut w.name)), web);
    }
}
