//! What the sensor counts.
//!
//! Here: metrics and their names. Not here: serving them.
//! Invariant: every program that started in a pod of this node and was not judged is in
//! `execs_not_evaluated` with its reason, and what is none of that in `execs_skipped`; labels are
//! closed, but for names of policies, of which there is a most (`ignored`).

use bailiff_kube::decode::UndecodableObjects;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a program that started in a pod was not judged, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum NotJudged {
    /// The ring was full.
    RingFull,
    /// The bytes were no record.
    Undecodable,
    /// The pod did not become known in time.
    PodUnknown,
    /// Too many were waiting.
    QueueFull,
    /// Cgroup and namespaces name different pods, or cgroup and parent.
    IdentityUnclear,
    /// The cgroup lies below that of all pods, and is none of a pod in any layout that is known.
    CgroupUnclear,
    /// The cgroup lies so deep that it can't be told whether it is of a pod.
    CgroupTooDeep,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: NotJudged,
}

/// Why a program that started in a pod's cgroup is none that policies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum SetAside {
    /// The container runtime's, which sets a container up.
    Runtime,
    /// In a container that the pod's status did not name in time, and that no earlier container
    /// proves to be more than the pod's sandbox.
    Sandbox,
    /// Of a pod of another node on the same kernel; that node's sensor judges it.
    OtherNode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Aside {
    pub(crate) reason: SetAside,
}

/// How a write of an Incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Written {
    Created,
    Series,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: Written,
}

/// A policy whose expressions fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Policy {
    pub(crate) policy: String,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) execs: Counter,
    pub(crate) not_judged: Family<Reason, Counter>,
    pub(crate) set_aside: Family<Aside, Counter>,
    pub(crate) violations: Counter,
    pub(crate) evaluation_failures: Family<Policy, Counter>,
    pub(crate) writes: Family<Outcome, Counter>,
    pub(crate) pods: Gauge,
    pub(crate) dropped_processes: Counter,
    pub(crate) untracked_processes: Counter,
    pub(crate) process_events_lost: Counter,
    /// Objects that cannot be decoded, by the watches.
    pub(crate) undecodable: UndecodableObjects,
}

impl Metrics {
    /// Names them in a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("bailiff_sensor");
        registry.register("execs", "Programs that started in pods", self.execs.clone());
        registry.register(
            "execs_not_evaluated",
            "Programs that started in pods and were not judged, by reason",
            self.not_judged.clone(),
        );
        registry.register(
            "execs_skipped",
            "Programs that started in pods' cgroups and are none that policies are about, by reason",
            self.set_aside.clone(),
        );
        registry.register(
            "violations",
            "Violations of policies",
            self.violations.clone(),
        );
        registry.register(
            "evaluation_failures",
            "Expressions that failed at run time, of policies that ignore it, by policy",
            self.evaluation_failures.clone(),
        );
        registry.register(
            "incident_writes",
            "Writes of Incidents, by outcome",
            self.writes.clone(),
        );
        registry.register(
            "pods",
            "Pods of this node that are known",
            self.pods.clone(),
        );
        registry.register(
            "dropped_processes",
            "Processes that were forgotten for lack of room, most of them ended",
            self.dropped_processes.clone(),
        );
        registry.register(
            "untracked_processes",
            "Processes that the kernel side could not remember, so that their forks are not seen",
            self.untracked_processes.clone(),
        );
        registry.register(
            "process_events_lost",
            "Forks and exits of pods' processes that were not seen: the ring was full",
            self.process_events_lost.clone(),
        );
        registry.register_collector(Box::new(self.undecodable.clone()));
    }

    pub(crate) fn not_judged(&self, reason: NotJudged, count: u64) {
        self.not_judged
            .get_or_create(&Reason { reason })
            .inc_by(count);
    }

    pub(crate) fn set_aside(&self, reason: SetAside) {
        self.set_aside.get_or_create(&Aside { reason }).inc();
    }

    pub(crate) fn evaluation_failed(&self, policy: &str, count: u64) {
        let policy = policy.to_owned();
        let family = &self.evaluation_failures;
        family.get_or_create(&Policy { policy }).inc_by(count);
    }

    /// A policy is gone, and its number with it.
    pub(crate) fn forget_policy(&self, policy: &str) {
        let policy = policy.to_owned();
        self.evaluation_failures.remove(&Policy { policy });
    }

    pub(crate) fn written(&self, outcome: Written) {
        self.writes.get_or_create(&Outcome { outcome }).inc();
    }
}
