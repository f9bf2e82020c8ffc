//! What the sensor knows, and what follows for a process that was started.
//!
//! Here: identity, waiting for what is not known yet, the order of evaluation. Not here: the loop
//! (`run`), the watched objects (`state/objects`), any verdict (`judge`).
//! Invariant: what waits is bounded in number, bytes and time, and each process that is given up is
//! counted. A policy is never evaluated on less of an object than it reads.

mod descent;
mod fetched;
mod losses;
mod objects;
mod verdicts;

use crate::cluster::fetches::Fetches;
use crate::cluster::gaps::{Gap, Gaps};
use crate::cluster::namespaces::{NamespaceFacts, Namespaces};
use crate::cluster::needs::Needs;
use crate::cluster::pods::{PodFacts, Pods};
use crate::cluster::policy_index::{MatchedPolicy, PolicyIndex, needs_of};
use crate::evaluation_errors::EvaluationErrors;
use crate::judge::{Finding, StartedProcess, process_of, since_boot, summary_of, summary_of_found};
use crate::kernel::loader::Counters;
use crate::kernel::record::{Event, Exec, Found};
use crate::metrics::{Kind, Metrics, NotEvaluated, Skipped};
use crate::observe::{NoVerdict, Observers};
use crate::pending::PendingQueue;
use crate::process::commands::KubeletCommands;
use crate::process::identity::{Identity, identity};
use crate::process::sandbox::Sandboxes;
use crate::process::tree::{Place, ProcessTree};
use crate::run::Config;
use bailiff_policy::{Process, ProcessParts};
use descent::{Whose, is_listed, line, whose};
use fetched::{Fetched, Ready, Sorted};
use jiff::Timestamp;
use losses::Losses;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// From how many namespaces on those of pods that are gone are forgotten.
const NAMESPACES_LIMIT: usize = 8192;
/// How long it is reported that processes of a pod were not evaluated because too many waited.
const QUEUE_FULL_REPORTED: Duration = Duration::from_mins(10);

/// What is reported while programs of the sensor's own are not seen.
const NOTHING_SEEN: &str = "Bailiff cannot monitor processes on this node and evaluates no policies here: programs that the sensor starts itself are not seen. The sensor keeps trying. If this persists, the container runtime may run pods outside of the node's kernel, or does not name their cgroups as a kubelet does.";

/// A process that waits for its pod, or for its container's status.
struct PendingExec {
    started: StartedProcess,
    /// The process with the parts that were read so far.
    process: Option<(ProcessParts, Arc<Process>)>,
    /// UIDs of the policies that were evaluated.
    evaluated: Vec<String>,
    until: Timestamp,
}

impl PendingExec {
    /// The process with these parts at least. What was built before is used again.
    fn process_with(&mut self, parts: ProcessParts, commands: &KubeletCommands) -> Arc<Process> {
        match &self.process {
            Some((built, process)) if built.covers(parts) => Arc::clone(process),
            Some(_) | None => {
                let process = Arc::new(process_of(&self.started, commands, parts));
                self.process = Some((parts, Arc::clone(&process)));
                process
            }
        }
    }

    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let exec = &self.started.exec;
        let args = exec.args.iter().chain(&exec.args_tail);
        let args: usize = args.map(|arg| arg.len().saturating_add(48)).sum();
        let texts = [
            &exec.cgroup,
            &exec.executable,
            &exec.filename,
            &exec.working_directory,
        ];
        let script = exec.script.iter().map(|script| &script.path);
        let texts: usize = texts.into_iter().chain(script).map(String::len).sum();
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
    pub(crate) kubelet_cgroup: Option<String>,
    pub(crate) pods: Pods,
    namespaces: Namespaces,
    index: PolicyIndex,
    errors: EvaluationErrors,
    /// What is kept of pods and namespaces that are listed from now on.
    needs: Arc<Needs>,
    needs_known: bool,
    must_list: bool,
    fetches: Fetches,
    gaps: Gaps,
    gaps_report: watch::Sender<Option<String>>,
    /// Programs of the sensor's own were not seen, until one is.
    nothing_seen: bool,
    queue_full: Option<Instant>,
    tree: ProcessTree,
    /// The pod of each mount namespace, by the first process that had it.
    pod_by_mount_namespace: HashMap<u64, String>,
    /// Cgroups of other kubelets' pods, of which the kernel side has to tell nothing more.
    cgroups_of_others: BTreeSet<u64>,
    sandboxes: Sandboxes,
    /// Since when no event was missed, in ns since boot.
    attached: u64,
    pending: PendingQueue<PendingExec>,
    pod_lookup_timeout: Duration,
    pub(crate) metrics: Metrics,
    violations: mpsc::Sender<Finding>,
    observers: Observers,
    counters: Counters,
    losses: Losses,
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
        violations: mpsc::Sender<Finding>,
        attached: u64,
    ) -> Self {
        Self {
            own_pod: config.pod_uid.clone(),
            kubelet_cgroup: None,
            pods: Pods::default(),
            namespaces: Namespaces::default(),
            index: PolicyIndex::default(),
            errors: EvaluationErrors::new(metrics.clone()),
            needs: Arc::default(),
            needs_known: false,
            must_list: false,
            fetches: Fetches::default(),
            gaps: Gaps::default(),
            gaps_report: watch::Sender::new(None),
            nothing_seen: false,
            queue_full: None,
            tree: ProcessTree::default(),
            pod_by_mount_namespace: HashMap::new(),
            cgroups_of_others: BTreeSet::new(),
            sandboxes: Sandboxes::default(),
            attached,
            pending: PendingQueue::default(),
            pod_lookup_timeout: config.pod_lookup_timeout,
            metrics,
            violations,
            observers: Observers::default(),
            counters: Counters::default(),
            losses: Losses::default(),
            dropped: 0,
            synced: [false; 4],
            listing: std::array::from_fn(|_| HashSet::new()),
        }
    }

    /// Takes in those who observe.
    pub(crate) fn observed_by(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    pub(crate) fn synced(&self) -> bool {
        self.kubelet_cgroup.is_some() && self.synced.iter().all(|synced| *synced)
    }

    pub(crate) async fn event(&mut self, event: Event) {
        match event {
            Event::Exit(process) => self.tree.exit(process),
            Event::Found(found) => self.found(&found),
            Event::Exec(exec) => self.exec(*exec).await,
        }
    }

    async fn exec(&mut self, exec: Exec) {
        let known = self.tree.place_of(exec.process, exec.parent);
        match whose(&exec, known.is_some()) {
            Whose::Pod => {}
            Whose::Runtime => return self.metrics.skipped(Skipped::ContainerRuntime),
            Whose::Unknown => return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1),
        }
        let line = match line(known.as_deref(), &exec) {
            Ok(line) => line,
            Err(reason) => return self.metrics.not_evaluated(reason, 1),
        };
        let identity = match (&line, exec.left_pod_cgroup) {
            // A cgroup that names a pod decides; descent counts only where none is named.
            (_, false) => identity(&exec.cgroup).ok_or(NotEvaluated::UnrecognizedCgroup),
            (Some(line), true) => Ok(line.clone().into_owned()),
            (None, true) => Err(NotEvaluated::AmbiguousPod),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => return self.metrics.not_evaluated(reason, 1),
        };
        if identity.pod_uid == self.own_pod && self.kubelet_cgroup.is_none() {
            tracing::info!(cgroup = exec.cgroup, "a program of this pod was seen");
            let own = |w: &PendingExec| w.started.kubelet == identity.kubelet;
            for _ in 0..self.pending.retain(own) {
                self.metrics.skipped(Skipped::OtherNode);
            }
            self.kubelet_cgroup = Some(identity.kubelet.clone());
            self.nothing_seen = false;
        }
        // A pod of another kubelet on the same kernel: its own sensor looks after it. What comes there from a pod of
        // this one is that pod's.
        if let Some(own) = &self.kubelet_cgroup
            && *own != identity.kubelet
            && line.as_ref().is_none_or(|line| line.kubelet != *own)
        {
            if !exec.left_pod_cgroup {
                self.cgroups_of_others.insert(exec.cgroup_number);
            }
            return self.metrics.skipped(Skipped::OtherNode);
        }
        // What the kernel side remembers was not compared with namespaces, as what the table has was.
        let is_of_line = line
            .as_ref()
            .is_none_or(|line| line.pod_uid == identity.pod_uid);
        let known_pod = known.as_ref().map(|place| place.identity.pod_uid.as_str());
        if !is_of_line || !self.pod_matches(exec.mount_namespace, known_pod, &identity.pod_uid) {
            return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1);
        }
        self.losses.learn(exec.share, &identity.pod_uid);
        let booted = booted();
        let time = since_boot(booted, exec.time);
        let summary = Arc::new(summary_of(&exec));
        let began = line.as_deref().unwrap_or(&identity);
        let place = self.place(known.clone(), began, &identity, exec.pod_namespaces);
        let older = exec.process.start < self.attached;
        let exec = Arc::new(exec);
        // The tree learns of it now, also when the pod is not known yet: its children may come
        // first, and so may its end.
        let lineage = self
            .tree
            .exec(Arc::clone(&place), &exec, Arc::clone(&summary), older);
        let waiting = PendingExec {
            started: StartedProcess {
                kubelet: identity.kubelet,
                pod_uid: identity.pod_uid,
                container_id: identity.container_id,
                place,
                exec,
                summary,
                lineage,
                time,
                booted,
            },
            process: None,
            evaluated: Vec::new(),
            until: Timestamp::now()
                .checked_add(self.pod_lookup_timeout)
                .unwrap_or(Timestamp::MAX),
        };
        self.try_evaluate(waiting, Timestamp::now(), None).await;
    }

    /// Cgroups of which the kernel side has to tell nothing more.
    pub(crate) fn take_cgroups_of_others(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.cgroups_of_others)
    }

    /// Where the line of a process began that is executed, as the process table has it, else as it `began`.
    fn place(
        &mut self,
        known: Option<Arc<Place>>,
        began: &Identity,
        identity: &Identity,
        pod_namespaces: [u64; 3],
    ) -> Arc<Place> {
        let container = identity.container_id.as_deref();
        let shares =
            self.sandboxes
                .shares_with_earlier(&identity.pod_uid, container, pod_namespaces);
        match known {
            Some(place) if place.application || !shares => place,
            // Of a runtime's process that was seen before it entered the pod's namespaces.
            Some(_) => Arc::new(Place {
                identity: identity.clone(),
                application: shares,
            }),
            None => Arc::new(Place {
                identity: began.clone(),
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

    /// Evaluates the policies for a process, or lets it wait on; with the pod as it was fetched for that,
    /// where it was.
    async fn try_evaluate(
        &mut self,
        mut waiting: PendingExec,
        now: Timestamp,
        fetched: Option<&mut Fetched>,
    ) {
        let Some(kept) = self.pods.get(&waiting.started.pod_uid).cloned() else {
            return self.wait(waiting, now);
        };
        let pod = Fetched::pod_or(fetched.as_deref(), &kept);
        let Some(namespace) = self.namespaces.get(&pod.namespace) else {
            return self.wait(waiting, now);
        };
        if !self.synced() {
            return self.wait(waiting, now);
        }
        let known = is_listed(&mut waiting.started, &pod);
        if !known && !waiting.started.place.application {
            // It may be the pod's sandbox, which no status names.
            if now < waiting.until {
                if pod.containers_left_out() {
                    self.ask_for(&waiting, &kept);
                }
                return self.wait(waiting, now);
            }
            // Where no container is known, nothing tells it from the application: a pod that is made
            // so large is not left alone for it.
            if !pod.containers_left_out() {
                self.observe_without_verdict(&waiting.started, &pod, NoVerdict::Sandbox);
                return self.metrics.skipped(Skipped::Sandbox);
            }
        }
        if !is_complete(&pod, namespace, &self.needs) {
            return self.wait(waiting, now);
        }
        let started = &waiting.started;
        // Asked here also where no policy is about the pod, for what descends from the process.
        started.lineage.start.origin(&pod.commands);
        let matching = self.index.matching(&namespace.labels, &pod.labels);
        let is_due = |rule: &&MatchedPolicy| !waiting.evaluated.contains(&rule.policy.uid);
        let due: Vec<_> = matching.iter().filter(is_due).collect();
        if due.is_empty() {
            if waiting.evaluated.is_empty() {
                self.observe_without_verdict(&waiting.started, &pod, NoVerdict::NoPolicy);
            }
            return;
        }
        let ready = Ready::of(&kept, known, now < waiting.until);
        let sorted = ready.sort(&due, fetched, |rule| {
            is_complete_for(&pod, namespace, &self.needs, rule)
        });
        let process = waiting.process_with(sorted.parts(), &pod.commands);
        let known = verdicts::Known {
            started: &waiting.started,
            process: &process,
            kept: &kept,
            pod: &pod,
            namespace,
        };
        let found = verdicts::found(&known, &sorted, &mut self.errors, &mut self.observers);
        let Sorted {
            mut now_ones,
            on_fetched,
            later,
        } = sorted;
        let lacking = later.iter().any(|rule| ready.is_lacking(rule));
        now_ones.extend(on_fetched.iter().map(|(rule, _)| *rule));
        for mut finding in found {
            // Nothing stays of what was fetched.
            finding.pod = Arc::clone(&kept);
            self.metrics.found(finding.type_, finding.severity);
            if self.violations.send(finding).await.is_err() {
                return;
            }
        }
        if !later.is_empty() {
            let done = now_ones.iter().map(|rule| rule.policy.uid.clone());
            waiting.evaluated.extend(done);
            if lacking {
                self.ask_for(&waiting, &kept);
            }
            self.wait(waiting, now);
        }
    }

    /// Tells who observes the pod of a process that no policy was evaluated for.
    fn observe_without_verdict(
        &mut self,
        started: &StartedProcess,
        pod: &PodFacts,
        reason: NoVerdict,
    ) {
        if self.observers.observe(pod) {
            let process = process_of(started, &pod.commands, ProcessParts::ALL);
            self.observers
                .without_verdict(started, &process, pod, reason);
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
            return;
        }
        let pod = self.pods.get(&uid);
        let namespace = pod.map(|pod| pod.namespace.as_str());
        let dropped = self.pending.push(&uid, namespace, waiting.bytes(), waiting);
        for uid in dropped {
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
            self.try_evaluate(waiting, now, None).await;
        }
    }

    /// What is not evaluated as a whole, for people; none where nothing is.
    pub(crate) fn gaps_report(&self) -> watch::Receiver<Option<String>> {
        self.gaps_report.subscribe()
    }

    /// Reports that no process is seen, until a program of the sensor's own is.
    pub(crate) fn report_nothing_seen(&mut self) {
        self.nothing_seen = true;
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
        for (kind, name) in [
            (Kind::Pod, "pod"),
            (Kind::Namespace, "namespace"),
            (Kind::RuntimePolicy, "RuntimePolicy"),
            (Kind::RuntimePolicyBinding, "RuntimePolicyBinding"),
        ] {
            let count = self.gaps.count_of(Gap::DecodeError, name);
            self.metrics.undecodable(kind, count);
        }
        let report = if self.nothing_seen {
            Some(NOTHING_SEEN.to_owned())
        } else {
            self.gaps.report()
        };
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
            let name = format!("pod {}/{}", pod.namespace, pod.name);
            self.gaps.set(&name, &[]);
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

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
