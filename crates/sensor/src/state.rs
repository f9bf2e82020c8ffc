//! What the sensor knows, and what follows for a program that was started.
//!
//! Here: identity, waiting for what is not known yet, the order of judging. Not here: the loop
//! (`run`), the watched objects (`state/objects`), any verdict (`judge`).
//! Invariant: what waits is bounded in number and time, and each program that is given up is
//! counted.

mod objects;

use crate::cluster::pods::{NamespaceFacts, Pods};
use crate::cluster::rules::Rules;
use crate::ignored::Ignored;
use crate::judge::{Judged, Started, image_of, judge, process_of, since_boot};
use crate::kernel::loader::Counters;
use crate::kernel::record::{Event, Exec, Root};
use crate::metrics::{Metrics, NotJudged, SetAside};
use crate::process::identity::identity;
use crate::process::tree::ProcessTree;
use crate::run::Config;
use bailiff_policy::Process;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Most programs that wait for their pod.
const WAITING_LIMIT: usize = 4096;

/// A program that waits for its pod, or for its container's status.
struct Waiting {
    started: Started,
    process: Option<Arc<Process>>,
    /// UIDs of the policies that have judged it.
    judged: Vec<String>,
    until: Timestamp,
}

/// Everything that the loop knows.
pub(crate) struct State {
    /// UID of the sensor's own pod.
    own_pod: String,
    /// Whose pods are meant; known once a program of the sensor's own pod was seen.
    pub(crate) kubelet: Option<String>,
    pub(crate) pods: Pods,
    namespaces: HashMap<String, NamespaceFacts>,
    rules: Rules,
    ignored: Ignored,
    tree: ProcessTree,
    /// The pod of each mount namespace, by the first process that had it.
    mounts: HashMap<u64, String>,
    waiting: VecDeque<Waiting>,
    pod_lookup_timeout: Duration,
    pub(crate) metrics: Metrics,
    violations: mpsc::Sender<Judged>,
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
        violations: mpsc::Sender<Judged>,
        ignored: Ignored,
    ) -> Self {
        Self {
            own_pod: config.pod_uid.clone(),
            kubelet: None,
            pods: Pods::default(),
            namespaces: HashMap::new(),
            rules: Rules::default(),
            ignored,
            tree: ProcessTree::default(),
            mounts: HashMap::new(),
            waiting: VecDeque::new(),
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
            return self.metrics.set_aside(SetAside::Runtime);
        }
        let Some(identity) = identity(&exec.cgroup) else {
            return self.metrics.not_judged(NotJudged::CgroupUnclear, 1);
        };
        if identity.pod_uid == self.own_pod && self.kubelet.is_none() {
            tracing::info!(cgroup = exec.cgroup, "a program of this pod was seen");
            let others = |w: &Waiting| w.started.kubelet != identity.kubelet;
            let before = self.waiting.len();
            self.waiting.retain(|waiting| !others(waiting));
            for _ in self.waiting.len()..before {
                self.metrics.set_aside(SetAside::OtherNode);
            }
            self.kubelet = Some(identity.kubelet.clone());
        }
        // A pod of another kubelet on the same kernel: its own sensor looks after it.
        if self
            .kubelet
            .as_ref()
            .is_some_and(|own| *own != identity.kubelet)
        {
            return self.metrics.set_aside(SetAside::OtherNode);
        }
        if !self.belongs(&exec, tracked.as_deref(), &identity.pod_uid) {
            return self.metrics.not_judged(NotJudged::IdentityUnclear, 1);
        }
        let time = since_boot(booted(), exec.time);
        let image = Arc::new(image_of(&exec));
        let exec = Arc::new(exec);
        // The tree learns of it now, also when the pod is not known yet: its children may come
        // first, and so may its end.
        let lineage = self.tree.exec(&identity.pod_uid, &exec, Arc::clone(&image));
        let waiting = Waiting {
            started: Started {
                kubelet: identity.kubelet,
                pod_uid: identity.pod_uid,
                container_id: identity.container_id,
                exec,
                image,
                lineage,
                time,
            },
            process: None,
            judged: Vec::new(),
            until: Timestamp::now()
                .checked_add(self.pod_lookup_timeout)
                .unwrap_or(Timestamp::MAX),
        };
        self.try_judge(waiting, Timestamp::now()).await;
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

    /// Judges a program, or lets it wait on.
    async fn try_judge(&mut self, mut waiting: Waiting, now: Timestamp) {
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
        let mut applying = self.rules.applying(&namespace.labels, &pod.labels);
        applying.retain(|rule| !waiting.judged.contains(&rule.policy.uid));
        if applying.is_empty() {
            return;
        }
        let known = started
            .container_id
            .as_ref()
            .is_none_or(|id| pod.containers.contains_key(id));
        let (now_ones, later): (Vec<_>, Vec<_>) = applying
            .iter()
            .partition(|rule| known || now >= waiting.until || !rule.policy.needs_container());
        let process = waiting
            .process
            .get_or_insert_with(|| Arc::new(process_of(started, &pod.commands, booted())));
        let ignored = &mut self.ignored;
        let found = judge(
            &waiting.started,
            process,
            &pod,
            namespace,
            &now_ones,
            &mut |policy, failures| ignored.failed(policy, failures, Instant::now()),
        );
        for judged in found {
            self.metrics.violations.inc();
            if self.violations.send(judged).await.is_err() {
                return;
            }
        }
        if !later.is_empty() {
            let done = now_ones.iter().map(|rule| rule.policy.uid.clone());
            waiting.judged.extend(done);
            self.wait(waiting, now);
        }
    }

    fn wait(&mut self, waiting: Waiting, now: Timestamp) {
        if now >= waiting.until {
            self.metrics.not_judged(NotJudged::PodUnknown, 1);
            tracing::warn!(
                uid = waiting.started.pod_uid,
                "a program was not judged: its pod did not become known in time"
            );
        } else if self.waiting.len() >= WAITING_LIMIT {
            self.metrics.not_judged(NotJudged::QueueFull, 1);
        } else {
            self.waiting.push_back(waiting);
        }
    }

    /// Tries again what waits for a pod, or what has waited long enough.
    async fn retry(&mut self, pod_uid: Option<&str>) {
        let now = Timestamp::now();
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else {
                break;
            };
            let known = self.pods.get(&waiting.started.pod_uid);
            if pod_uid.is_none_or(|uid| known.is_some_and(|pod| pod.uid == uid)) {
                self.try_judge(waiting, now).await;
            } else {
                self.waiting.push_back(waiting);
            }
        }
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
        metrics.not_judged(NotJudged::RingFull, lost);
        metrics.process_events_lost.inc_by(process_events_lost);
        let deep = counters.cgroup_too_deep;
        metrics.not_judged(
            NotJudged::CgroupTooDeep,
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
        self.pods.forget(Timestamp::now());
        if self.mounts.len() > 2 * WAITING_LIMIT {
            let pods = &self.pods;
            self.mounts.retain(|_, uid| pods.get(uid).is_some());
        }
        if !self.waiting.is_empty() {
            self.retry(None).await;
        }
    }
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
mod tests;
