//! Owners of pods that wait for a limit, as they were read a moment ago.
//!
//! Here: which owners are remembered, and for how long. Not here: reading them (`gather`), and what follows from
//! them (`reconcile`, `bailiff_response`).
//! Invariant: an owner is remembered for [`KEPT_FOR`] after it was read, however often it is used; their number is
//! bounded, in each namespace too, and so are the bytes of each. What is not remembered is read.

use bailiff_api::WorkloadReference;
use bailiff_kube::owner::DirectOwner;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;

/// How long an owner is remembered. Thousands of Incidents of a workload are reconciled in minutes, so that one of
/// them in this time reads the owners.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_secs(5);
/// Most owners.
const LIMIT: usize = 512;
/// Most owners of a namespace. A tenant can create any number.
const NAMESPACE_LIMIT: usize = 32;
/// Most bytes of an owner. That of a Deployment takes about 700.
const OWNER_BYTES: usize = 4096;

/// An owner that was read.
#[derive(Clone, Debug)]
struct Remembered {
    owner: DirectOwner,
    /// The workload that its owners lead to.
    workload: WorkloadReference,
    at: Timestamp,
}

impl Remembered {
    /// A clock that was set back ends it.
    fn is_current(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        !age.is_negative() && age < KEPT_FOR
    }
}

/// Owners of pods whose Incidents wait for a limit.
#[derive(Debug, Default)]
pub(crate) struct RememberedOwners {
    /// By namespace and UID.
    owners: BTreeMap<String, BTreeMap<String, Remembered>>,
}

impl RememberedOwners {
    /// Remembers an owner in a namespace that was just read, and the workload that it leads to: an Incident of a pod of
    /// it waits for a limit.
    pub(crate) fn remember(
        &mut self,
        namespace: &str,
        owner: DirectOwner,
        workload: WorkloadReference,
        now: Timestamp,
    ) {
        if owner.bytes() > OWNER_BYTES {
            return;
        }
        self.prune(now);
        let of_namespace = self.owners.get(namespace);
        let is_known = of_namespace.is_some_and(|owners| owners.contains_key(owner.uid()));
        let is_full = of_namespace.is_some_and(|owners| owners.len() >= NAMESPACE_LIMIT)
            || self.owners.values().map(BTreeMap::len).sum::<usize>() >= LIMIT;
        if is_full && !is_known {
            return;
        }
        let uid = owner.uid().to_owned();
        let remembered = Remembered {
            owner,
            workload,
            at: now,
        };
        let of_namespace = self.owners.entry(namespace.to_owned()).or_default();
        of_namespace.insert(uid, remembered);
    }

    /// Whether an Incident of a pod with these labels is expected to wait. A guess, which decides only what is read
    /// first.
    pub(crate) fn expects_wait(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> bool {
        let mut current = self.current(namespace, now);
        current.any(|remembered| remembered.owner.selects(labels))
    }

    /// The workload of a live pod. None: its owner is not remembered.
    pub(crate) fn workload(
        &self,
        namespace: &str,
        pod: &Pod,
        now: Timestamp,
    ) -> Option<WorkloadReference> {
        let mut current = self.current(namespace, now);
        let found = current.find(|remembered| remembered.owner.controls(pod));
        found.map(|remembered| remembered.workload.clone())
    }

    /// Forgets the owners of a workload, by UID: a pod of it did not wait for a limit.
    pub(crate) fn forget(&mut self, namespace: &str, workload_uid: &str) {
        if let Some(owners) = self.owners.get_mut(namespace) {
            owners.retain(|_, remembered| remembered.workload.uid != workload_uid);
        }
    }

    fn current(&self, namespace: &str, now: Timestamp) -> impl Iterator<Item = &Remembered> {
        let of_namespace = self.owners.get(namespace).into_iter().flatten();
        let all = of_namespace.map(|(_, remembered)| remembered);
        all.filter(move |remembered| remembered.is_current(now))
    }

    fn prune(&mut self, now: Timestamp) {
        self.owners.retain(|_, owners| {
            owners.retain(|_, remembered| remembered.is_current(now));
            !owners.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
