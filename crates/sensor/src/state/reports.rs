//! What is counted at a tick, and what is reported on the Node.
//!
//! Here: what the kernel side counted, gaps, and whether programs of the sensor's own are seen. Not here: starting those
//! (`run/own_program`), the Events (`coverage`).
//! Invariant: a failure is reported until it is over, and says whether policies are evaluated meanwhile.

use super::{NAMESPACES_LIMIT, State};
use crate::cluster::gaps::Gap;
use crate::kernel::loader::Counters;
use crate::metrics::{Kind, NotEvaluated, Skipped};
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long it is reported that processes of a pod were not evaluated because too many waited.
const QUEUE_FULL_REPORTED: Duration = Duration::from_mins(10);

/// Why it is not certain that processes are seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelfCheckFailure {
    /// Programs that the sensor started itself were not seen.
    NotSeen,
    /// None can be started, for this reason.
    CannotStart(String),
}

impl SelfCheckFailure {
    /// For people. `evaluates`: whether one was seen before, without which no policy is evaluated.
    fn note(&self, evaluates: bool) -> String {
        match (self, evaluates) {
            (Self::NotSeen, false) => "Bailiff cannot monitor processes on this node and evaluates no policies here: programs that the sensor starts itself are not seen. The sensor keeps trying. If this persists, the container runtime may run pods outside of the node's kernel, or does not name their cgroups as a kubelet does.".to_owned(),
            (Self::CannotStart(cause), false) => format!(
                "Bailiff cannot monitor processes on this node and evaluates no policies here: the sensor cannot start a program of its own, which shows the cgroups of the node's pods ({cause}). The sensor keeps trying. If this persists, check the limits of memory and process IDs of the sensor's pod and of the node."
            ),
            (Self::NotSeen, true) => "Bailiff might miss processes on this node: programs that the sensor starts itself are no longer seen. Policies are evaluated for the processes that are seen. The sensor keeps trying. If this persists, check bailiff_sensor_execs_not_evaluated_total, and restart the sensor.".to_owned(),
            (Self::CannotStart(cause), true) => format!(
                "Bailiff cannot verify that processes on this node are seen: the sensor cannot start a program of its own ({cause}). Policies are still evaluated. The sensor keeps trying. If this persists, check the limits of memory and process IDs of the sensor's pod and of the node."
            ),
        }
    }
}

impl State {
    /// How many programs of the sensor's own pod were seen.
    pub(crate) const fn own_programs(&self) -> u64 {
        self.own_programs
    }

    /// What is not evaluated as a whole, for people; none where nothing is.
    pub(crate) fn gaps_report(&self) -> watch::Receiver<Option<String>> {
        self.gaps_report.subscribe()
    }

    /// The first argument that programs of the sensor's own must have.
    pub(crate) fn own_name(&self) -> &str {
        &self.own_name
    }

    /// Reports that it is not certain that processes are seen, until a program of the sensor's own is.
    pub(crate) fn report_self_check(&mut self, failure: &SelfCheckFailure) {
        self.self_check = Some(failure.note(self.kubelet_cgroup.is_some()));
    }

    pub(super) fn report_gaps(&mut self) {
        if self
            .queue_full
            .is_some_and(|since| since.elapsed() >= QUEUE_FULL_REPORTED)
        {
            self.queue_full = None;
            self.gaps.clear(Gap::QueueFull);
        }
        for gap in Gap::COUNTED {
            self.metrics.gap(gap, self.gaps.count(gap));
        }
        let sandboxed = self.gaps.count(Gap::Sandboxed);
        let sandboxed = i64::try_from(sandboxed).unwrap_or(i64::MAX);
        self.metrics.sandboxed_pods.set(sandboxed);
        for (kind, name) in [
            (Kind::Pod, "pod"),
            (Kind::Namespace, "namespace"),
            (Kind::RuntimePolicy, "RuntimePolicy"),
            (Kind::RuntimePolicyBinding, "RuntimePolicyBinding"),
        ] {
            let count = self.gaps.count_of(Gap::DecodeError, name);
            self.metrics.undecodable(kind, count);
        }
        let notes = [self.self_check.clone(), self.gaps.report()];
        let notes: Vec<_> = notes.into_iter().flatten().collect();
        let report = (!notes.is_empty()).then(|| notes.join(" "));
        self.gaps_report.send_if_modified(|reported| {
            let changed = *reported != report;
            *reported = report;
            changed
        });
    }

    /// Whether more execs were lost than at the last tick.
    pub(crate) fn is_more_lost(&self, counters: &Counters) -> bool {
        counters.execs_lost > self.counters.execs_lost
    }

    /// Logs which pods lost how many execs, by the shares of the ring.
    pub(crate) fn log_losses(&mut self, lost: Vec<(u64, u64)>) {
        for (uid, execs) in self.losses.since_last(lost) {
            let uid = uid.unwrap_or_default();
            let pod = self.pods.get(&uid);
            let pod = pod.map(|pod| format!("{}/{}", pod.namespace, pod.name));
            tracing::warn!(
                pod,
                uid,
                execs,
                "Execs of a pod were lost: the ring buffer was full"
            );
        }
    }

    pub(crate) async fn tick(&mut self, counters: Counters) {
        self.observers.refresh(&self.pods);
        let before = std::mem::replace(&mut self.counters, counters);
        let lost = counters.execs_lost.saturating_sub(before.execs_lost);
        let process_events_lost = counters
            .process_events_lost
            .saturating_sub(before.process_events_lost);
        if lost > 0 || process_events_lost > 0 {
            tracing::warn!(
                execs = lost,
                exits = process_events_lost,
                "Lost events of the kernel: the ring buffer was full"
            );
            self.search.request();
        }
        let metrics = &self.metrics;
        metrics.not_evaluated(NotEvaluated::RingBufferFull, lost);
        metrics.process_events_lost.inc_by(process_events_lost);
        let deep = counters.cgroup_too_deep;
        metrics.not_evaluated(
            NotEvaluated::CgroupTooDeep,
            deep.saturating_sub(before.cgroup_too_deep),
        );
        metrics
            .execs
            .inc_by(counters.execs.saturating_sub(before.execs));
        let others = counters.execs_of_others;
        metrics.skipped_by(
            Skipped::OtherNode,
            others.saturating_sub(before.execs_of_others),
        );
        metrics
            .untracked_processes
            .inc_by(counters.not_tracked.saturating_sub(before.not_tracked));
        let dropped = self.tree.dropped();
        metrics
            .dropped_processes
            .inc_by(dropped.saturating_sub(self.dropped));
        self.dropped = dropped;
        metrics
            .pods
            .set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
        for pod in self.pods.forget(Timestamp::now()) {
            // A new pod can have the name, and gaps of its own.
            if !self.pods.contains(&pod.namespace, &pod.name) {
                let name = format!("pod {}/{}", pod.namespace, pod.name);
                self.gaps.set(&name, &[]);
            }
        }
        self.report_gaps();
        let pods = &self.pods;
        if self.pod_by_mount_namespace.len() > NAMESPACES_LIMIT {
            self.pod_by_mount_namespace
                .retain(|_, uid| pods.get(uid).is_some());
        }
        if self.losses.len() > NAMESPACES_LIMIT {
            self.losses.retain(|uid| pods.get(uid).is_some());
        }
        if self.sandboxes.len() > NAMESPACES_LIMIT {
            self.sandboxes.retain(|uid| pods.get(uid).is_some());
        }
        if !self.pending.is_empty() {
            self.retry(None).await;
        }
        self.evaluate_asked(Instant::now()).await;
    }
}
