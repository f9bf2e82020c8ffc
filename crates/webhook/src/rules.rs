//! The policies and bindings in force.
//!
//! Here: which apply to a pod. Not here: keeping them current (`store`, `watches`), the verdict
//! (`bailiff_policy::image`).
//! Invariant: a review uses one snapshot from beginning to end.

mod namespaces;
mod store;

pub(crate) use namespaces::{Labels, Namespaces};
pub(crate) use store::Store;

use crate::entries::Entry;
use crate::metrics::Metrics;
use crate::review::Keep;
use bailiff_api::{ImageAdmissionPolicy, ImageAdmissionPolicyBinding};
use bailiff_kube::list_watch::ObjectEvent;
use bailiff_policy::Reads;
use bailiff_policy::image::{
    self, BoundPolicy, CompiledImageBinding, CompiledImagePolicy, Mode, PodLabels,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::Compile;

impl Compile for ImageAdmissionPolicy {
    type Compiled = CompiledImagePolicy;

    fn compile(&self) -> Result<CompiledImagePolicy, String> {
        image::compile(self).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            faults.join("; ")
        })
    }
}

impl Compile for ImageAdmissionPolicyBinding {
    type Compiled = CompiledImageBinding;

    fn compile(&self) -> Result<CompiledImageBinding, String> {
        image::compile_binding(self).map_err(|fault| fault.to_string())
    }
}

/// What is in force at a time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    mode: Mode,
    policies: BTreeMap<String, Arc<CompiledImagePolicy>>,
    bindings: Vec<Arc<CompiledImageBinding>>,
    pod_reads: Arc<Reads>,
    template_reads: Arc<Reads>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::new(Mode::default(), BTreeMap::new(), Vec::new())
    }
}

impl Snapshot {
    fn new(
        mode: Mode,
        policies: BTreeMap<String, Arc<CompiledImagePolicy>>,
        mut bindings: Vec<Arc<CompiledImageBinding>>,
    ) -> Self {
        // In this order the policies that apply to a pod are found fastest.
        bindings.sort_by(|one, other| one.policy_name.cmp(&other.policy_name));
        let pod_reads = image::pod_reads(policies.values().map(AsRef::as_ref));
        Self {
            mode,
            template_reads: Arc::new(image::template_reads(&pod_reads)),
            pod_reads: Arc::new(pod_reads),
            policies,
            bindings,
        }
    }

    /// Whether there is no binding, so that no policy applies to any pod.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The parts of the objects of an entry that decisions depend on.
    pub(crate) fn keep(&self, entry: Entry) -> Keep {
        match entry {
            Entry::MutatePods | Entry::ValidatePods => Keep::Parts(Arc::clone(&self.pod_reads)),
            Entry::ValidateWorkloads => Keep::Parts(Arc::clone(&self.template_reads)),
            Entry::ValidatePolicies => Keep::Everything,
        }
    }

    /// The policies that apply to a pod.
    pub(crate) fn bound(&self, labels: &PodLabels<'_>) -> Vec<BoundPolicy<'_>> {
        image::bound(&self.policies, self.bindings(), labels, self.mode)
    }

    /// The policies that can apply to a pod that cannot be read.
    pub(crate) fn possibly_bound(&self, namespace: Option<&Labels>) -> Vec<BoundPolicy<'_>> {
        image::possibly_bound(&self.policies, self.bindings(), namespace, self.mode)
    }

    fn bindings(&self) -> impl Iterator<Item = &CompiledImageBinding> {
        self.bindings.iter().map(AsRef::as_ref)
    }
}

/// The policies and bindings, as the watches bring them.
#[derive(Default)]
struct Known {
    policies: Store<ImageAdmissionPolicy>,
    bindings: Store<ImageAdmissionPolicyBinding>,
}

/// The policies and bindings in force.
///
/// A lock of the standard library around a pointer: to take a snapshot was measured as 0.1 microseconds, with
/// two threads that do nothing else. A review takes a thousand times as long, so that a library for it
/// (arc-swap) would gain nothing.
pub(crate) struct Rules {
    mode: Mode,
    metrics: Metrics,
    known: Mutex<Known>,
    snapshot: RwLock<Arc<Snapshot>>,
}

impl Rules {
    /// No rules yet.
    pub(crate) fn new(mode: Mode, metrics: Metrics) -> Self {
        Self {
            mode,
            metrics,
            known: Mutex::default(),
            snapshot: RwLock::default(),
        }
    }

    /// What is in force now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether policies and bindings were listed once.
    pub(crate) fn are_listed(&self) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.policies.is_listed() && known.bindings.is_listed()
    }

    /// A policy changed.
    pub(crate) fn policy(&self, event: &ObjectEvent) {
        self.change(|known| known.policies.apply(event));
    }

    /// A binding changed.
    pub(crate) fn binding(&self, event: &ObjectEvent) {
        self.change(|known| known.bindings.apply(event));
    }

    fn change(&self, apply: impl FnOnce(&mut Known) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !apply(&mut known) {
            return;
        }
        let faulty = known.policies.faulty() + known.bindings.faulty();
        self.metrics
            .faulty
            .set(i64::try_from(faulty).unwrap_or(i64::MAX));
        let new = Snapshot::new(
            self.mode,
            known.policies.in_force(),
            known.bindings.in_force().into_values().collect(),
        );
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }
}

#[cfg(test)]
mod tests;
