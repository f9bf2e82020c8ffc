//! What the sensor knows, and what follows for a program that was started.
//!
//! Here: identity, waiting for what is not known yet, the order of judging. Not here: the loop
//! (`run`), the watched objects (`state/objects`), any verdict (`judge`).
//! Invariant: what waits is bounded in number and time, and each program that is given up is
//! counted.

mod objects;

use crate::cluster::pods::{NamespaceFacts, PodFacts, Pods};
use crate::cluster::rules::Rules;
use crate::ignored::Ignored;
use crate::judge::{Judged, Started, judge, process_of, since_boot, summary_of, summary_of_found};
use crate::kernel::loader::Counters;
use crate::kernel::record::{Event, Exec, Found, Root};
use crate::metrics::{Metrics, NotJudged, SetAside};
use crate::process::identity::{Identity, identity};
use crate::process::sandbox::Sandboxes;
use crate::process::tree::{Place, ProcessTree};
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
struct PendingExec {
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
    pub(crate) kubelet_cgroup: Option<String>,
    pub(crate) pods: Pods,
    namespaces: HashMap<String, NamespaceFacts>,
    rules: Rules,
    ignored: Ignored,
    tree: ProcessTree,
    /// The pod of each mount namespace, by the first process that had it.
    pod_by_mount_namespace: HashMap<u64, String>,
    sandboxes: Sandboxes,
    /// When everything was seen that happens, in ns since boot.
    attached: u64,
    waiting: VecDeque<PendingExec>,
    pod_lookup_timeout: Duration,
    pub(crate) metrics: Metrics,
    violations: mpsc::Sender<Judged>,
    counters: Counters,
    dropped: u64,
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
        attached: u64,
    ) -> Self {
        Self {
            own_pod: config.pod_uid.clone(),
            kubelet_cgroup: None,
            pods: Pods::default(),
            namespaces: HashMap::new(),
            rules: Rules::default(),
            ignored,
            tree: ProcessTree::default(),
            pod_by_mount_namespace: HashMap::new(),
            sandboxes: Sandboxes::default(),
            attached,
            waiting: VecDeque::new(),
            pod_lookup_timeout: config.pod_lookup_timeout,
            metrics,
            violations,
            counters: Counters::default(),
            dropped: 0,
            synced: [false; 4],
            listing: std::array::from_fn(|_| HashSet::new()),
        }
    }

    pub(crate) fn synced(&self) -> bool {
        self.kubelet_cgroup.is_some() && self.synced.iter().all(|synced| *synced)
    }

    pub(crate) async fn event(&mut self, event: Event) {
        match event {
            Event::Fork { parent, child } => self.tree.fork(parent, child),
            Event::Exit(process) => self.tree.exit(process),
            Event::Found(found) => self.found(&found),
            Event::Exec(exec) => self.exec(*exec).await,
        }
    }

    async fn exec(&mut self, exec: Exec) {
        let known = self.tree.place_of(exec.process, exec.parent);
        if is_runtime(&exec, known.is_some()) {
            return self.metrics.set_aside(SetAside::Runtime);
        }
        let identity = match (&known, exec.left_pod_cgroup) {
            // A cgroup that names a pod decides; descent counts only where none is named.
            (_, false) => identity(&exec.cgroup).ok_or(NotJudged::CgroupUnclear),
            (Some(place), true) => Ok(place.identity.clone()),
            (None, true) => Err(NotJudged::IdentityUnclear),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => return self.metrics.not_judged(reason, 1),
        };
        if identity.pod_uid == self.own_pod && self.kubelet_cgroup.is_none() {
            tracing::info!(cgroup = exec.cgroup, "a program of this pod was seen");
            let others = |w: &PendingExec| w.started.kubelet != identity.kubelet;
            let before = self.waiting.len();
            self.waiting.retain(|waiting| !others(waiting));
            for _ in self.waiting.len()..before {
                self.metrics.set_aside(SetAside::OtherNode);
            }
            self.kubelet_cgroup = Some(identity.kubelet.clone());
        }
        // A pod of another kubelet on the same kernel: its own sensor looks after it.
        if self
            .kubelet_cgroup
            .as_ref()
            .is_some_and(|own| *own != identity.kubelet)
        {
            return self.metrics.set_aside(SetAside::OtherNode);
        }
        let known_pod = known.as_ref().map(|place| place.identity.pod_uid.as_str());
        if !self.pod_matches(exec.mount_namespace, known_pod, &identity.pod_uid) {
            return self.metrics.not_judged(NotJudged::IdentityUnclear, 1);
        }
        let time = since_boot(booted(), exec.time);
        let summary = Arc::new(summary_of(&exec));
        let place = self.place(known, &identity, exec.pod_namespaces);
        let older = exec.process.start < self.attached;
        let exec = Arc::new(exec);
        // The tree learns of it now, also when the pod is not known yet: its children may come
        // first, and so may its end.
        let lineage = self
            .tree
            .exec(Arc::clone(&place), &exec, Arc::clone(&summary), older);
        let waiting = PendingExec {
            started: Started {
                kubelet: identity.kubelet,
                pod_uid: identity.pod_uid,
                container_id: identity.container_id,
                place,
                exec,
                summary,
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

    /// Where the line of a process began that is executed.
    fn place(
        &mut self,
        known: Option<Arc<Place>>,
        identity: &Identity,
        pod_namespaces: [u64; 3],
    ) -> Arc<Place> {
        let container = identity.container_id.as_deref();
        let shares =
            self.sandboxes
                .shares_with_earlier(&identity.pod_uid, container, pod_namespaces);
        match known {
            Some(place) if place.application || !shares => place,
            // Of a runtime's process that was seen before it entered the pod's namespaces, too.
            Some(_) | None => Arc::new(Place {
                identity: identity.clone(),
                application: shares,
            }),
        }
    }

    /// A process was there before it was seen.
    fn found(&mut self, found: &Found) {
        let Some(identity) = identity(&found.cgroup) else {
            return;
        };
        let own = self.kubelet_cgroup.as_ref();
        if own.is_some_and(|own| *own != identity.kubelet) {
            return;
        }
        let place = match self.tree.place_of(found.process, found.parent) {
            // Also where the cgroup names another pod: what it executes is ambiguous then.
            Some(place) => place,
            None if self.pod_matches(found.mount_namespace, None, &identity.pod_uid) => {
                Arc::new(Place {
                    identity,
                    application: false,
                })
            }
            None => return,
        };
        let summary = Arc::new(summary_of_found(found));
        self.tree.found(place, found, summary);
    }

    /// Whether a process is of the pod that its cgroup names: by the process of a pod that started
    /// it, else by its mount namespace, which is that of the first process that had it.
    fn pod_matches(&mut self, mount_namespace: u64, known: Option<&str>, pod_uid: &str) -> bool {
        if let Some(pod) = known {
            // Its mount namespace may be any that it went to, also the machine's.
            return pod == pod_uid;
        }
        let pods = self.pod_by_mount_namespace.entry(mount_namespace);
        let owner = pods.or_insert_with(|| pod_uid.to_owned());
        mount_namespace != 0 && *owner == pod_uid
    }

    /// Judges a program, or lets it wait on.
    async fn try_judge(&mut self, mut waiting: PendingExec, now: Timestamp) {
        let Some(pod) = self.pods.get(&waiting.started.pod_uid).cloned() else {
            return self.wait(waiting, now);
        };
        let Some(namespace) = self.namespaces.get(&pod.namespace) else {
            return self.wait(waiting, now);
        };
        if !self.synced() {
            return self.wait(waiting, now);
        }
        let known = is_listed(&mut waiting.started, &pod);
        if !known && !waiting.started.place.application {
            // It may be the pod's sandbox, which no status names.
            if now >= waiting.until {
                return self.metrics.set_aside(SetAside::Sandbox);
            }
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

    fn wait(&mut self, waiting: PendingExec, now: Timestamp) {
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
        let dropped = self.tree.dropped();
        metrics
            .dropped_processes
            .inc_by(dropped.saturating_sub(self.dropped));
        self.dropped = dropped;
        metrics
            .pods
            .set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
        self.pods.forget(Timestamp::now());
        let pods = &self.pods;
        if self.pod_by_mount_namespace.len() > 2 * WAITING_LIMIT {
            self.pod_by_mount_namespace
                .retain(|_, uid| pods.get(uid).is_some());
        }
        if self.sandboxes.len() > WAITING_LIMIT {
            self.sandboxes.retain(|uid| pods.get(uid).is_some());
        }
        if !self.waiting.is_empty() {
            self.retry(None).await;
        }
    }
}

/// Whether the pod's status names the container of a program. One that moved itself to a cgroup that
/// is none of a container is of the container that its line began in.
fn is_listed(started: &mut Started, pod: &PodFacts) -> bool {
    let listed = |id: &Option<String>| {
        id.as_ref()
            .is_some_and(|id| pod.containers.contains_key(id))
    };
    if listed(&started.container_id) {
        return true;
    }
    let began = &started.place.identity.container_id;
    let moved = listed(began);
    if moved {
        started.container_id.clone_from(began);
    }
    moved
}

/// Whether a program is the container runtime's, which sets a container up in its cgroup before
/// it gives it a root directory. A process that a pod's own process started is never the
/// runtime, wherever it went. In a pod, nothing can lie so deep that its root is not known but
/// what descends from the pod's processes.
fn is_runtime(exec: &Exec, tracked: bool) -> bool {
    // The kernel side tells no other process outside of the pods' cgroups than a pod's.
    if exec.left_pod_cgroup {
        return false;
    }
    match exec.root {
        Root::Container => false,
        Root::Machine => !tracked,
        Root::Unknown => !tracked && exec.parent_outside_cgroup,
    }
}

#[cfg(test)]
mod tests;
