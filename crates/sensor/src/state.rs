//! What the sensor knows, and what follows for a process that was started.
//!
//! Here: what is known, and who a process is. Not here: the loop (`run`), the watched objects (`state/objects`),
//! evaluating (`state/evaluation`) and waiting for what is not known yet (`state/waiting`), reports (`state/reports`).
//! Invariant: a process of a pod is evaluated, waits, or is counted with the reason why it is not.

mod asked;
mod descent;
mod evaluation;
mod fetched;
mod losses;
mod objects;
mod reports;
mod running;
mod search;
mod verdicts;
mod waiting;
mod watches;

use crate::cluster::fetches::Fetches;
use crate::cluster::gaps::Gaps;
use crate::cluster::namespaces::Namespaces;
use crate::cluster::needs::Needs;
use crate::cluster::pods::Pods;
use crate::cluster::policy_index::PolicyIndex;
use crate::evaluation_errors::EvaluationErrors;
use crate::judge::{Finding, StartedProcess, since_boot, summary_of};
use crate::kernel::loader::Counters;
use crate::kernel::record::{Event, Exec, Membership, ProcessKey};
use crate::metrics::{Metrics, NotEvaluated, Skipped};
use crate::observe::Observers;
use crate::pending::PendingQueue;
use crate::process::identity::{Identity, identity};
use crate::process::sandbox::Sandboxes;
use crate::process::tree::{Place, ProcessTree};
use crate::run::Config;
use asked::Asked;
use descent::{Whose, line, whose};
use jiff::Timestamp;
use losses::Losses;
pub(crate) use reports::SelfCheckFailure;
use search::RunningSearch;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use waiting::PendingExec;
use watches::Watches;

/// From how many namespaces on those of pods that are gone are forgotten.
const NAMESPACES_LIMIT: usize = 8192;

/// What tells whether a process of which nothing is known is of the pod that its cgroup names.
#[derive(Clone, Copy)]
struct Claim {
    process: ProcessKey,
    membership: Membership,
    mount_namespace: u64,
}

/// Everything that the loop knows.
pub(crate) struct State {
    /// UID of the sensor's own pod.
    own_pod: String,
    /// First argument of the programs that the sensor starts itself.
    own_name: String,
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
    /// How many programs of the sensor's own pod were seen.
    own_programs: u64,
    /// Why it is not certain that processes are seen, for people, until one of those is.
    self_check: Option<String>,
    queue_full: Option<Instant>,
    tree: ProcessTree,
    search: RunningSearch,
    asked: Asked,
    /// The pod of each mount namespace, by the first process that had it.
    pod_by_mount_namespace: HashMap<u64, String>,
    /// Cgroups of other kubelets' pods, of which the kernel side has to tell nothing more.
    cgroups_of_others: BTreeSet<u64>,
    sandboxes: Sandboxes,
    /// `RuntimeClasses` whose processes run in a sandbox with a kernel of its own.
    sandbox_runtime_classes: BTreeSet<String>,
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
    watches: Watches,
    listing: [HashSet<String>; 4],
}

/// A name that nobody knows before the first process has it.
fn own_name() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("bailiff-{:016x}{:016x}", number(), number())
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
            own_name: own_name(),
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
            own_programs: 0,
            self_check: None,
            queue_full: None,
            tree: ProcessTree::default(),
            search: RunningSearch::at_start(),
            asked: Asked::default(),
            pod_by_mount_namespace: HashMap::new(),
            cgroups_of_others: BTreeSet::new(),
            sandboxes: Sandboxes::default(),
            sandbox_runtime_classes: config.sandbox_runtime_classes.clone(),
            attached,
            pending: PendingQueue::default(),
            pod_lookup_timeout: config.pod_lookup_timeout,
            metrics,
            violations,
            observers: Observers::default(),
            counters: Counters::default(),
            losses: Losses::default(),
            dropped: 0,
            watches: Watches::default(),
            listing: std::array::from_fn(|_| HashSet::new()),
        }
    }

    /// Takes in those who observe.
    pub(crate) fn observed_by(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    pub(crate) fn synced(&self) -> bool {
        self.kubelet_cgroup.is_some() && self.watches.are_all_complete()
    }

    /// What is missing before processes can be evaluated, each with its cause where it is known.
    pub(crate) fn missing(&self) -> Vec<String> {
        let own = "a process of its own that the kernel reports".to_owned();
        let own = self.kubelet_cgroup.is_none().then_some(own);
        own.into_iter().chain(self.watches.missing()).collect()
    }

    pub(crate) async fn event(&mut self, event: Event) {
        match event {
            Event::Exit(process) => self.tree.exit(process),
            Event::Found(found) => self.found(*found).await,
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
            // A cgroup that names a pod decides; descent counts only where none is named, be it beside the pods' own.
            (line, false) => {
                let of_line = || line.as_deref().cloned();
                let named = identity(&exec.cgroup).or_else(of_line);
                named.ok_or(NotEvaluated::UnrecognizedCgroup)
            }
            (Some(line), true) => Ok(line.clone().into_owned()),
            (None, true) => Err(NotEvaluated::AmbiguousPod),
        };
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => return self.metrics.not_evaluated(reason, 1),
        };
        // Who can make cgroups of the node can make one that is called like the sensor's pod, of another kubelet.
        let is_own = |name: &[u8]| name == self.own_name.as_bytes();
        if identity.pod_uid == self.own_pod && exec.args.iter().next().is_some_and(is_own) {
            self.own_program(&exec, &identity);
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
        let claim = Claim {
            process: exec.process,
            membership: exec.membership,
            mount_namespace: exec.mount_namespace,
        };
        if !is_of_line || !self.pod_matches(claim, known_pod, &identity.pod_uid) {
            return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1);
        }
        self.losses.learn(exec.share, &identity.pod_uid);
        let (booted, now) = (booted(), Timestamp::now());
        let time = since_boot(booted, exec.time);
        let summary = Arc::new(summary_of(&exec));
        let began = line.as_deref().unwrap_or(&identity);
        let place = self.place(known.clone(), began, &identity, &exec);
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
                found_running: false,
                summary,
                lineage,
                time,
                booted,
            },
            evaluated: Vec::new(),
            only: None,
            until: self.until(now),
        };
        self.try_evaluate(waiting, now, None).await;
    }

    /// A program of the sensor's own pod was seen. The first one shows whose pods are meant.
    fn own_program(&mut self, exec: &Exec, identity: &Identity) {
        if self.kubelet_cgroup.is_none() {
            tracing::info!(cgroup = exec.cgroup, "Observed a process of this pod");
            let own = |w: &PendingExec| w.started.kubelet == identity.kubelet;
            for _ in 0..self.pending.retain(own) {
                self.metrics.skipped(Skipped::OtherNode);
            }
            self.kubelet_cgroup = Some(identity.kubelet.clone());
        }
        if self.kubelet_cgroup.as_ref() == Some(&identity.kubelet) {
            self.own_programs = self.own_programs.saturating_add(1);
            self.self_check = None;
        }
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
        exec: &Exec,
    ) -> Arc<Place> {
        let container = identity.container_id.as_deref();
        let shares =
            self.sandboxes
                .shares_with_earlier(&identity.pod_uid, container, exec.pod_namespaces);
        let place = match known {
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
        };
        let of_line = &place.identity;
        let is_later = |container: &String| {
            self.sandboxes
                .is_not_the_first(&of_line.pod_uid, container, exec.process)
        };
        if place.application || !of_line.container_id.as_ref().is_some_and(is_later) {
            return place;
        }
        Arc::new(Place {
            identity: of_line.clone(),
            application: true,
        })
    }

    /// Whether a process is of the pod that its cgroup names: by the process of a pod that started
    /// it, else by what the kernel side saw of its container, else by its mount namespace, which is that of
    /// the first process that had it.
    fn pod_matches(&mut self, claim: Claim, known: Option<&str>, pod_uid: &str) -> bool {
        if let Some(pod) = known {
            // Its mount namespace may be any that it went to, also the machine's.
            return pod == pod_uid;
        }
        match claim.membership {
            // Whoever had the namespace first.
            Membership::Proven => return true,
            Membership::Unproven => return false,
            // The container is younger.
            Membership::NotStarted if claim.process.start < self.attached => return false,
            Membership::NotStarted | Membership::Unknown => {}
        }
        let mount_namespace = claim.mount_namespace;
        let pods = self.pod_by_mount_namespace.entry(mount_namespace);
        let owner = pods.or_insert_with(|| pod_uid.to_owned());
        mount_namespace != 0 && *owner == pod_uid
    }
}

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
