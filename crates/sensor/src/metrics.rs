//! What the sensor counts.
//!
//! Here: metrics and their names. Not here: serving them.
//! Invariant: every process that started in a pod of this node and was not evaluated is in
//! `execs_not_evaluated` with its reason, and what is none of that in `execs_skipped`; labels are
//! closed, but for names of policies, whose number is bounded (`evaluation_errors`).

use crate::cluster::gaps::Gap;
use bailiff_api::{IncidentType, Severity};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt::Write as _;

/// Why a process that started in a pod was not evaluated, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum NotEvaluated {
    /// The ring buffer was full.
    RingBufferFull,
    /// The bytes were no record.
    DecodeError,
    /// The pod, or what a policy reads of it, did not become known in time.
    PodUnknown,
    /// Too many processes waited, of all pods or of this one.
    QueueFull,
    /// Cgroup and namespaces name different pods, or cgroup and parent.
    AmbiguousPod,
    /// The cgroup is below that of all pods, and is none of a pod in any layout that is known.
    UnrecognizedCgroup,
    /// The cgroup is so deep that it cannot be determined whether it is that of a pod.
    CgroupTooDeep,
}

impl NotEvaluated {
    const ALL: [Self; 7] = [
        Self::RingBufferFull,
        Self::DecodeError,
        Self::PodUnknown,
        Self::QueueFull,
        Self::AmbiguousPod,
        Self::UnrecognizedCgroup,
        Self::CgroupTooDeep,
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct NotEvaluatedLabels {
    pub(crate) reason: NotEvaluated,
}

/// Why a process that started in a pod's cgroup is none that policies are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Skipped {
    /// The container runtime's, which sets a container up.
    ContainerRuntime,
    /// In a container that the pod's status did not name in time, and that no earlier container
    /// proves to be more than the pod's sandbox.
    Sandbox,
    /// Of a pod of another node on the same kernel; that node's sensor evaluates it.
    OtherNode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SkippedLabels {
    pub(crate) reason: Skipped,
}

/// How a write of an Incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriteResult {
    Created,
    Updated,
    Error,
}

impl EncodeLabelValue for WriteResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Error => "error",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct WriteLabels {
    pub(crate) result: WriteResult,
}

/// What a policy found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum FindingType {
    Violation,
    FoundRunning,
    EvaluationFailed,
}

impl From<IncidentType> for FindingType {
    fn from(type_: IncidentType) -> Self {
        match type_ {
            IncidentType::Violation => Self::Violation,
            IncidentType::FoundRunning => Self::FoundRunning,
            IncidentType::EvaluationFailed => Self::EvaluationFailed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FindingLabels {
    pub(crate) r#type: FindingType,
    pub(crate) severity: FindingSeverity,
}

/// The severity that the policy assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FindingSeverity(pub(crate) Severity);

impl EncodeLabelValue for FindingSeverity {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

/// Why a violation is in no Incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum NotRecorded {
    /// The API server rejected it in the pod's namespace and in Bailiff's.
    Rejected,
    /// Too many Incidents of the pod's namespace went to Bailiff's already.
    NamespaceLimit,
    /// Too many Incidents waited to be written.
    QueueFull,
    /// The sensor ended first.
    Shutdown,
}

impl NotRecorded {
    const ALL: [Self; 4] = [
        Self::Rejected,
        Self::NamespaceLimit,
        Self::QueueFull,
        Self::Shutdown,
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct NotRecordedLabels {
    pub(crate) reason: NotRecorded,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct GapLabels {
    pub(crate) reason: Gap,
}

impl EncodeLabelValue for Gap {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(match self {
            Self::ObjectTooLarge => "ObjectTooLarge",
            Self::ContainersTooLarge => "ContainersTooLarge",
            Self::DecodeError => "DecodeError",
            Self::QueueFull => "QueueFull",
            Self::Sandboxed => "Sandboxed",
            Self::RunningProcesses => "RunningProcesses",
        })
    }
}

/// A kind of objects that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    Pod,
    Namespace,
    RuntimePolicy,
    RuntimePolicyBinding,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabels {
    pub(crate) kind: Kind,
}

/// A policy whose expressions could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Policy {
    pub(crate) policy: String,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) execs: Counter,
    pub(crate) not_evaluated: Family<NotEvaluatedLabels, Counter>,
    pub(crate) skipped: Family<SkippedLabels, Counter>,
    pub(crate) violations: Family<FindingLabels, Counter>,
    pub(crate) evaluation_errors: Family<Policy, Counter>,
    pub(crate) writes: Family<WriteLabels, Counter>,
    pub(crate) not_recorded: Family<NotRecordedLabels, Counter>,
    pub(crate) fallbacks: Counter,
    pub(crate) incidents_logged: Counter,
    pub(crate) undecodable_objects: Family<KindLabels, Gauge>,
    pub(crate) objects_not_kept: Family<GapLabels, Gauge>,
    pub(crate) pods: Gauge,
    pub(crate) sandboxed_pods: Gauge,
    pub(crate) dropped_processes: Counter,
    pub(crate) untracked_processes: Counter,
    pub(crate) process_events_lost: Counter,
    pub(crate) running_processes: Counter,
    pub(crate) unknown_evaluations: Counter,
}

impl Metrics {
    /// Names them in a registry.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.start_at_zero();
        let registry = registry.sub_registry_with_prefix("bailiff_sensor");
        registry.register(
            "execs",
            "Processes that started in pods",
            self.execs.clone(),
        );
        registry.register(
            "execs_not_evaluated",
            "Processes that started in pods and were not evaluated, by reason",
            self.not_evaluated.clone(),
        );
        registry.register(
            "execs_skipped",
            "Processes that started in cgroups of pods and to which policies do not apply, by reason",
            self.skipped.clone(),
        );
        registry.register(
            "violations",
            "Processes that violated a policy (type Violation, or FoundRunning if they started before the sensor observed them), or for which a policy could not be evaluated (type EvaluationFailed), by type and severity",
            self.violations.clone(),
        );
        registry.register(
            "evaluation_errors",
            "Expressions that could not be evaluated, by policy",
            self.evaluation_errors.clone(),
        );
        registry.register(
            "incident_writes",
            "Requests that create or update an Incident, by result",
            self.writes.clone(),
        );
        registry.register(
            "incidents_not_recorded",
            "Violations without an Incident, by reason",
            self.not_recorded.clone(),
        );
        registry.register(
            "incident_fallbacks",
            "Incidents that were created in the namespace of Bailiff, because the API server rejected them in that of the pod",
            self.fallbacks.clone(),
        );
        registry.register(
            "incidents_logged",
            "Audited Incidents that became log entries, because their namespace has as many Incidents as are kept",
            self.incidents_logged.clone(),
        );
        registry.register(
            "undecodable_objects",
            "Objects that cannot be decoded, by kind",
            self.undecodable_objects.clone(),
        );
        registry.register(
            "objects_not_kept",
            "Objects that the sensor cannot keep as a whole, so that some policies cannot be evaluated, by reason",
            self.objects_not_kept.clone(),
        );
        self.register_pods_and_processes(registry);
    }

    fn register_pods_and_processes(&self, registry: &mut Registry) {
        registry.register(
            "pods",
            "Pods of this node that are known",
            self.pods.clone(),
        );
        self.register_processes(registry);
    }

    /// Those about what is remembered of processes.
    fn register_processes(&self, registry: &mut Registry) {
        registry.register(
            "sandboxed_pods",
            "Pods of this node whose processes run in a sandbox and are not monitored",
            self.sandboxed_pods.clone(),
        );
        registry.register(
            "dropped_processes",
            "Entries that were dropped because the process table was full; most of these processes have exited",
            self.dropped_processes.clone(),
        );
        registry.register(
            "untracked_processes",
            "Processes that the BPF programs could not track, so that their children are not known as theirs",
            self.untracked_processes.clone(),
        );
        registry.register(
            "lost_process_events",
            "Exits of pods' processes, and processes that were found running, that were lost because the ring buffer was full",
            self.process_events_lost.clone(),
        );
        registry.register(
            "running_processes",
            "Processes of pods that were found running, because the sensor did not observe their exec",
            self.running_processes.clone(),
        );
        registry.register(
            "unknown_evaluations",
            "Evaluations of policies for processes that were found running which read a value that is known only at the exec",
            self.unknown_evaluations.clone(),
        );
    }

    /// Exports what alerts count before anything is counted: Prometheus sees no increase from an absent
    /// counter, so an alert would miss the first one.
    fn start_at_zero(&self) {
        for reason in NotEvaluated::ALL {
            self.not_evaluated(reason, 0);
        }
        for reason in NotRecorded::ALL {
            let labels = NotRecordedLabels { reason };
            drop(self.not_recorded.get_or_create(&labels));
        }
    }

    pub(crate) fn not_evaluated(&self, reason: NotEvaluated, count: u64) {
        self.not_evaluated
            .get_or_create(&NotEvaluatedLabels { reason })
            .inc_by(count);
    }

    pub(crate) fn count_of(&self, reason: NotEvaluated) -> u64 {
        let labels = NotEvaluatedLabels { reason };
        self.not_evaluated.get_or_create(&labels).get()
    }

    pub(crate) fn skipped(&self, reason: Skipped) {
        self.skipped_by(reason, 1);
    }

    pub(crate) fn skipped_by(&self, reason: Skipped, count: u64) {
        let family = &self.skipped;
        family
            .get_or_create(&SkippedLabels { reason })
            .inc_by(count);
    }

    pub(crate) fn found(&self, type_: IncidentType, severity: Severity) {
        let labels = FindingLabels {
            r#type: type_.into(),
            severity: FindingSeverity(severity),
        };
        self.violations.get_or_create(&labels).inc();
    }

    pub(crate) fn evaluation_failed(&self, policy: &str, count: u64) {
        let policy = policy.to_owned();
        let family = &self.evaluation_errors;
        family.get_or_create(&Policy { policy }).inc_by(count);
    }

    /// A policy was deleted, and its number with it.
    pub(crate) fn forget_policy(&self, policy: &str) {
        let policy = policy.to_owned();
        self.evaluation_errors.remove(&Policy { policy });
    }

    pub(crate) fn written(&self, result: WriteResult) {
        self.writes.get_or_create(&WriteLabels { result }).inc();
    }

    pub(crate) fn not_recorded(&self, reason: NotRecorded, count: u64) {
        let family = &self.not_recorded;
        family
            .get_or_create(&NotRecordedLabels { reason })
            .inc_by(count);
    }

    pub(crate) fn undecodable(&self, kind: Kind, objects: usize) {
        let gauge = self.undecodable_objects.get_or_create(&KindLabels { kind });
        gauge.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// How many violations are in no Incident for this reason.
    pub(crate) fn count_not_recorded(&self, reason: NotRecorded) -> u64 {
        let family = &self.not_recorded;
        family.get_or_create(&NotRecordedLabels { reason }).get()
    }

    pub(crate) fn gap(&self, reason: Gap, objects: usize) {
        let gauge = self.objects_not_kept.get_or_create(&GapLabels { reason });
        gauge.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_alerts_count_starts_at_zero() {
        let text = text(&Metrics::default());
        for (metric, reasons) in [("execs_not_evaluated", 7), ("incidents_not_recorded", 4)] {
            let name = format!("bailiff_sensor_{metric}_total{{reason=");
            let zeros = text
                .lines()
                .filter(|l| l.starts_with(&name) && l.ends_with(" 0"));
            assert_eq!(zeros.count(), reasons, "{text}");
        }
    }

    #[test]
    fn violations_are_counted_by_type_and_severity() {
        let metrics = Metrics::default();
        metrics.found(IncidentType::Violation, Severity::Critical);
        metrics.found(IncidentType::Violation, Severity::Critical);
        metrics.found(IncidentType::EvaluationFailed, Severity::Low);
        let text = text(&metrics);
        for line in [
            r#"bailiff_sensor_violations_total{type="Violation",severity="Critical"} 2"#,
            r#"bailiff_sensor_violations_total{type="EvaluationFailed",severity="Low"} 1"#,
        ] {
            assert!(text.lines().any(|have| have == line), "{text}");
        }
    }
}
