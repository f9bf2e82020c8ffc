//! What the sensor knows, and what follows for a process that was started.
//!
//! Here: identity, waiting for what is not known yet, the order of evaluation. Not here: the loop
//! (`run`), the watched objects (`state/objects`), any verdict (`judge`).
//! Invariant: what waits is bounded in number, bytes and time, and each process that is given up is
//! counted. A policy is never evaluated on less of an object than it reads.

mod objects;

use crate::cluster::gaps::{Gap, Gaps};
use crate::cluster::namespaces::{NamespaceFacts, Namespaces};
use crate::cluster::needs::Needs;
use crate::cluster::pods::{PodFacts, Pods};
use crate::cluster::policy_index::{MatchedPolicy, PolicyIndex, needs_of};
use crate::evaluation_errors::EvaluationErrors;
use crate::judge::{Finding, StartedProcess, evaluate_policies, image_of, process_of, since_boot};
use crate::kernel::loader::Counters;
use crate::kernel::record::{Event, Exec, Root};
use crate::metrics::{Metrics, NotEvaluated, Skipped};
use crate::pending::PendingQueue;
use crate::process::identity::identity;
use crate::process::tree::ProcessTree;
use crate::run::Config;
use bailiff_policy::Process;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// From how many mount namespaces on those of pods that are gone are forgotten.
const MOUNT_NAMESPACES_LIMIT: usize = 8192;
/// How long it is reported that processes of a pod were not evaluated because too many waited.
const QUEUE_FULL_REPORTED: Duration = Duration::from_mins(10);

/// A process that waits for its pod, or for its container's status.
struct PendingExec {
    started: StartedProcess,
    process: Option<Arc<Process>>,
    /// UIDs of the policies that were evaluated.
    evaluated: Vec<String>,
    until: Timestamp,
}

impl PendingExec {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let exec = &self.started.exec;
        let args: usize = exec
            .args
            .iter()
            .map(|arg| arg.len().saturating_add(48))
            .sum();
        let texts = [
            &exec.cgroup,
            &exec.executable,
            &exec.filename,
            &exec.working_directory,
        ];
        let texts: usize = texts.into_iter().map(String::len).sum();
        let evaluated: usize = self.evaluated.iter().map(String::len).sum();
        // The process repeats what the exec says.
        let copies = if self.process.is_some() { 2 } else { 1 };
        args.saturating_add(texts)
            .saturating_mul(copies)
            .saturating_add(evaluated)
            .saturating_add(1024)
    }
}

/// Everything that the loop knows.
pub(crate) struct State {
    /// UID of the sensor's own pod.
    own_pod: String,
    /// Whose pods are meant; known once a program of the sensor's own pod was seen.
    pub(crate) kubelet: Option<String>,
    pub(crate) pods: Pods,
    namespaces: Namespaces,
    index: PolicyIndex,
    errors: EvaluationErrors,
    /// What is kept of pods and namespaces that are listed from now on.
    needs: Arc<Needs>,
    needs_known: bool,
    must_list: bool,
    gaps: Gaps,
    gaps_report: watch::Sender<Option<String>>,
    queue_full: Option<Instant>,
    tree: ProcessTree,
    /// The pod of each mount namespace, by the first process that had it.
    mounts: HashMap<u64, String>,
    pending: PendingQueue<PendingExec>,
    pod_lookup_timeout: Duration,
    pub(crate) metrics: Metrics,
    violations: mpsc::Sender<Finding>,
    counters: Counters,
    forgotten: u64,
    synced: [bool; 4],
    listing: [HashSet<String>; 4],
}

/// When the machine was started, by its clock.
fn booted() -> Timestamp {
    let now = Timestamp::now();
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .unwrap_or_default();
    now.checked_sub(up).unwrap_or(now)
}

impl State {
    pub(crate) fn new(
        config: &Config,
        metrics: Metrics,
        violations: mpsc::Sender<Finding>,
    ) -> Self {
        Self {
            own_pod: config.pod_uid.clone(),
            kubelet: None,
            pods: Pods::default(),
            namespaces: Namespaces::default(),
            index: PolicyIndex::default(),
            errors: EvaluationErrors::new(metrics.clone()),
            needs: Arc::default(),
            needs_known: false,
            must_list: false,
            gaps: Gaps::default(),
            gaps_report: watch::Sender::new(None),
            queue_full: None,
            tree: ProcessTree::default(),
            mounts: HashMap::new(),
            pending: PendingQueue::default(),
            pod_lookup_timeout: config.pod_lookup_timeout,
            metrics,
            violations,
            counters: Counters::default(),
            forgotten: 0,
            synced: [false; 4],
            listing: std::array::from_fn(|_| HashSet::new()),
        }
    }

    pub(crate) fn synced(&self) -> bool {
        self.kubelet.is_some() && self.synced.iter().all(|synced| *synced)
    }

    pub(crate) async fn event(&mut self, event: Event) {
        match event {
            Event::Fork { parent, child } => self.tree.fork(parent, child),
            Event::Exit(process) => self.tree.exit(process),
            Event::Exec(exec) => self.exec(*exec).await,
        }
    }

    async fn exec(&mut self, exec: Exec) {
        let tracked = self.tree.pod_of(&exec);
        if is_runtime(&exec, tracked.is_some()) {
            return self.metrics.skipped(Skipped::ContainerRuntime);
        }
        let Some(identity) = identity(&exec.cgroup) else {
            return self
                .metrics
                .not_evaluated(NotEvaluated::UnrecognizedCgroup, 1);
        };
        if identity.pod_uid == self.own_pod && self.kubelet.is_none() {
            tracing::info!(cgroup = exec.cgroup, "a program of this pod was seen");
            let own = |w: &PendingExec| w.started.kubelet == identity.kubelet;
            for _ in 0..self.pending.retain(own) {
                self.metrics.skipped(Skipped::OtherNode);
            }
            self.kubelet = Some(identity.kubelet.clone());
        }
        // A pod of another kubelet on the same kernel: its own sensor looks after it.
        if self
            .kubelet
            .as_ref()
            .is_some_and(|own| *own != identity.kubelet)
        {
            return self.metrics.skipped(Skipped::OtherNode);
        }
        if !self.belongs(&exec, tracked.as_deref(), &identity.pod_uid) {
            return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1);
        }
        let time = since_boot(booted(), exec.time);
        let image = Arc::new(image_of(&exec));
        let exec = Arc::new(exec);
        // The tree learns of it now, also when the pod is not known yet: its children may come
        // first, and so may its end.
        let lineage = self.tree.exec(&identity.pod_uid, &exec, Arc::clone(&image));
        let waiting = PendingExec {
            started: StartedProcess {
                kubelet: identity.kubelet,
                pod_uid: identity.pod_uid,
                container_id: identity.container_id,
                exec,
                image,
                lineage,
                time,
            },
            process: None,
            evaluated: Vec::new(),
            until: Timestamp::now()
                .checked_add(self.pod_lookup_timeout)
                .unwrap_or(Timestamp::MAX),
        };
        self.try_evaluate(waiting, Timestamp::now()).await;
    }

    /// Whether a process is of the pod that its cgroup names: by the process of a pod that started
    /// it, else by its mount namespace, which is that of the first process that had it.
    fn belongs(&mut self, exec: &Exec, tracked: Option<&str>, pod_uid: &str) -> bool {
        if let Some(pod) = tracked {
            // Its mount namespace may be any that it went to, also the machine's.
            return pod == pod_uid;
        }
        let mounts = self.mounts.entry(exec.mount_namespace);
        let owner = mounts.or_insert_with(|| pod_uid.to_owned());
        exec.mount_namespace != 0 && *owner == pod_uid
    }

    /// Evaluates the policies for a process, or lets it wait on.
    async fn try_evaluate(&mut self, mut waiting: PendingExec, now: Timestamp) {
        let Some(pod) = self.pods.get(&waiting.started.pod_uid).cloned() else {
            return self.wait(waiting, now);
        };
        let Some(namespace) = self.namespaces.get(&pod.namespace) else {
            return self.wait(waiting, now);
        };
        if !self.synced() {
            return self.wait(waiting, now);
        }
        let started = &waiting.started;
        // Asked here also where no policy is about the pod, for what descends from the process.
        started.lineage.start.origin(&pod.commands);
        if !is_complete(&pod, namespace, &self.needs) {
            return self.wait(waiting, now);
        }
        let mut matching = self.index.matching(&namespace.labels, &pod.labels);
        matching.retain(|rule| !waiting.evaluated.contains(&rule.policy.uid));
        if matching.is_empty() {
            return;
        }
        let known = started
            .container_id
            .as_ref()
            .is_none_or(|id| pod.containers.contains_key(id));
        let (now_ones, later): (Vec<_>, Vec<_>) = matching.iter().partition(|rule| {
            is_complete_for(&pod, namespace, &self.needs, rule)
                && (known || now >= waiting.until || !rule.policy.needs_container())
        });
        let process = waiting
            .process
            .get_or_insert_with(|| Arc::new(process_of(started, &pod.commands, booted())));
        let errors = &mut self.errors;
        let found = evaluate_policies(
            &waiting.started,
            process,
            &pod,
            namespace,
            &now_ones,
            &mut |policy, of_policy| errors.add(policy, of_policy, Instant::now()),
        );
        for finding in found {
            self.metrics.found(finding.type_);
            if self.violations.send(finding).await.is_err() {
                return;
            }
        }
        if !later.is_empty() {
            let done = now_ones.iter().map(|rule| rule.policy.uid.clone());
            waiting.evaluated.extend(done);
            self.wait(waiting, now);
        }
    }

    fn wait(&mut self, waiting: PendingExec, now: Timestamp) {
        let uid = waiting.started.pod_uid.clone();
        if now >= waiting.until {
            self.metrics.not_evaluated(NotEvaluated::PodUnknown, 1);
            tracing::warn!(
                uid,
                "Process was not evaluated: its pod did not become known in time"
            );
        } else if !self.pending.push(&uid, waiting.bytes(), waiting) {
            self.metrics.not_evaluated(NotEvaluated::QueueFull, 1);
            let pod = self.pods.get(&uid);
            let name = pod.map(|pod| format!("pod {}/{}", pod.namespace, pod.name));
            let name = name.unwrap_or_else(|| format!("pod with UID {uid}"));
            self.gaps.add(Gap::QueueFull, &name);
            self.queue_full = Some(Instant::now());
        }
    }

    /// Tries again what waits for a pod, or what has waited long enough.
    async fn retry(&mut self, pod_uid: Option<&str>) {
        let now = Timestamp::now();
        let pods = &self.pods;
        let is_pod = |waits_for: &str, uid| pods.get(waits_for).is_some_and(|pod| pod.uid == uid);
        let tried = self
            .pending
            .take(|waits_for| pod_uid.is_none_or(|uid| is_pod(waits_for, uid)));
        for waiting in tried {
            self.try_evaluate(waiting, now).await;
        }
    }

    /// What is not evaluated as a whole, for people; none where nothing is.
    pub(crate) fn gaps_report(&self) -> watch::Receiver<Option<String>> {
        self.gaps_report.subscribe()
    }

    fn report_gaps(&mut self) {
        if self
            .queue_full
            .is_some_and(|since| since.elapsed() >= QUEUE_FULL_REPORTED)
        {
            self.queue_full = None;
            self.gaps.clear(Gap::QueueFull);
        }
        for gap in Gap::ALL {
            self.metrics.gap(gap, self.gaps.count(gap));
        }
        let report = self.gaps.report();
        self.gaps_report.send_if_modified(|reported| {
            let changed = *reported != report;
            *reported = report;
            changed
        });
    }

    pub(crate) async fn tick(&mut self, counters: Counters) {
        let before = std::mem::replace(&mut self.counters, counters);
        let lost = counters.execs_lost.saturating_sub(before.execs_lost);
        let process_events_lost = counters
            .process_events_lost
            .saturating_sub(before.process_events_lost);
        if lost > 0 || process_events_lost > 0 {
            tracing::warn!(
                execs = lost,
                forks_and_exits = process_events_lost,
                "events of the kernel were lost: the ring was full"
            );
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
        metrics
            .untracked_processes
            .inc_by(counters.not_tracked.saturating_sub(before.not_tracked));
        let forgotten = self.tree.forgotten();
        metrics
            .dropped_processes
            .inc_by(forgotten.saturating_sub(self.forgotten));
        self.forgotten = forgotten;
        metrics
            .pods
            .set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
        for pod in self.pods.forget(Timestamp::now()) {
            let name = format!("pod {}/{}", pod.namespace, pod.name);
            self.gaps.set(&name, &[]);
        }
        self.report_gaps();
        if self.mounts.len() > MOUNT_NAMESPACES_LIMIT {
            let pods = &self.pods;
            self.mounts.retain(|_, uid| pods.get(uid).is_some());
        }
        if !self.pending.is_empty() {
            self.retry(None).await;
        }
    }
}

/// Whether selectors can be matched: what is kept of pod and namespace has all labels that they name.
fn is_complete(pod: &PodFacts, namespace: &NamespaceFacts, needs: &Arc<Needs>) -> bool {
    let has = |complete_for: &Arc<Needs>| {
        Arc::ptr_eq(complete_for, needs)
            || complete_for.pod_labels.is_superset(&needs.pod_labels)
                && complete_for
                    .namespace_labels
                    .is_superset(&needs.namespace_labels)
    };
    has(&pod.complete_for) && has(&namespace.complete_for)
}

/// Whether what is kept of pod and namespace has all that a policy reads.
fn is_complete_for(
    pod: &PodFacts,
    namespace: &NamespaceFacts,
    needs: &Arc<Needs>,
    rule: &MatchedPolicy,
) -> bool {
    let has = |complete_for: &Arc<Needs>| {
        Arc::ptr_eq(complete_for, needs) || complete_for.covers(&needs_of(&rule.policy))
    };
    has(&pod.complete_for) && has(&namespace.complete_for)
}

/// Whether a program is the container runtime's, which sets a container up in its cgroup before
/// it gives it a root directory. A process that a pod's own process started is never the
/// runtime, wherever it went. In a pod, nothing can lie so deep that its root is not known but
/// what descends from the pod's processes.
fn is_runtime(exec: &Exec, tracked: bool) -> bool {
    match exec.root {
        Root::Container => false,
        Root::Machine => !tracked,
        Root::Unknown => !tracked && exec.joined,
    }
}

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
