//! The sensor's loop: records and watches in, violations out.
//!
//! Here: the order of events, and waiting for what is not known yet. Not here: any decision
//! (`judge`) or write (`write`).
//! Invariant: one task owns all state; what waits is bounded in number and time, and each event
//! that is given up is counted.

use crate::identity::identity;
use crate::judge::{Started, judge, process_of, since_boot};
use crate::loader::{Counters, LoadError, Records};
use crate::metrics::{Metrics, NotJudged};
use crate::pods::{NamespaceFacts, Pods, namespace_facts};
use crate::process_tree::ProcessTree;
use crate::record::{Event, Exec};
use crate::rules::Rules;
use crate::write::write;
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_kube::events::{Notice, Publisher};
use bailiff_kube::serve::{ServeError, serve};
use bailiff_policy::Process;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference, Pod};
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event as Watched, watcher};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Most programs that wait for their pod.
const WAITING_LIMIT: usize = 4096;
/// Most violations that wait to be written; behind it the loop waits, and the ring fills.
const VIOLATIONS_LIMIT: usize = 4096;
/// How long a program that the sensor starts itself may take to be seen.
const OWN_PROGRAM_DEADLINE: Duration = Duration::from_secs(10);
/// Most records that are read before watches get their turn.
const BATCH: usize = 256;

/// What a sensor has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node that it runs on.
    pub node_name: String,
    /// Bytes of the ring between kernel and user space; a power of two.
    pub ring_bytes: u32,
    /// How long a program waits for its pod, or a policy for the container's status.
    pub pod_timeout: Duration,
    /// Least time between two writes for the same pod and policy.
    pub series_interval: Duration,
    /// Address of metrics and health.
    pub address: SocketAddr,
    /// Name of this pod, which Events name.
    pub identity: String,
    /// UID of this pod, by which the sensor recognizes a program that it starts itself.
    pub pod_uid: String,
}

/// Why a sensor ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Processes can't be seen.
    #[error("cannot see the processes of this node")]
    Load(#[from] LoadError),
    /// A watch ended for good.
    #[error("the watch of {0} ended")]
    WatchEnded(&'static str),
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] ServeError),
    /// The program that proves that programs are seen can't be started.
    #[error("cannot start a program of its own to see whether it is seen")]
    OwnProgram(#[source] std::io::Error),
    /// It was started and not seen.
    #[error("a program that the sensor started itself was not seen within {} seconds", OWN_PROGRAM_DEADLINE.as_secs())]
    NotSeen,
}

type Watch<K> = Pin<Box<dyn Stream<Item = watcher::Result<Watched<K>>> + Send>>;

fn watch<K>(api: Api<K>, config: watcher::Config) -> Watch<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    watcher(api, config).default_backoff().boxed()
}

/// Runs until `shutdown`. It is ready while everything is watched and every program attached.
/// Where the programs can't be attached, an Event about the Node says so, and it stays unready.
///
/// # Errors
/// When metrics and health can't be served, the kernel's records can't be read any more, or a
/// watch ends for good.
pub async fn run(
    config: Config,
    client: kube::Client,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let metrics = Metrics::default();
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let ready = Arc::new(AtomicBool::new(false));
    let serving = serve(
        config.address,
        Arc::new(registry),
        Arc::clone(&ready),
        shutdown.clone(),
    );
    let watching = async {
        let watched = match Records::load(config.ring_bytes) {
            Ok(records) => {
                tracing::info!(node = config.node_name, "BPF programs attached");
                watch_all(&config, client.clone(), metrics, records, &ready, &shutdown).await
            }
            Err(error) => Err(Error::Load(error)),
        };
        match watched {
            Err(error @ (Error::Load(_) | Error::NotSeen | Error::OwnProgram(_))) => {
                ready.store(false, Ordering::Relaxed);
                not_seen(&config, client, &error).await;
                shutdown.cancelled().await;
                Ok(())
            }
            watched => watched,
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        watched = watching => watched,
    }
}

/// Says where people look that the processes of this node are not seen.
async fn not_seen(config: &Config, client: kube::Client, error: &Error) {
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    tracing::error!(
        node = config.node_name,
        error = cause,
        "processes of this node are not seen"
    );
    let notice = Notice {
        reason: bailiff_api::event::NOT_COVERED,
        action: "Watching",
        warning: true,
        note: format!(
            "Bailiff does not see the processes of this node, so no policy is checked on it: {cause}"
        ),
        regarding: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(config.node_name.clone()),
            // As the kubelet does: `kubectl describe node` looks for Events by the name as UID.
            uid: Some(config.node_name.clone()),
            ..ObjectReference::default()
        },
        related: None,
    };
    let publisher = Publisher::new(client, keys::REPORTING_SENSOR, config.identity.clone());
    if let Err(error) = publisher.publish(&notice, Timestamp::now()).await {
        tracing::warn!(%error, "cannot write an event");
    }
}

/// Watches records and objects until `shutdown`.
async fn watch_all(
    config: &Config,
    client: kube::Client,
    metrics: Metrics,
    mut records: Records,
    ready: &AtomicBool,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let (violations, incoming) = mpsc::channel(VIOLATIONS_LIMIT);
    let writer = write(
        client.clone(),
        config.node_name.clone(),
        config.series_interval,
        metrics.clone(),
        incoming,
    );
    let writer = tokio::spawn(writer);
    let mine = watcher::Config::default().fields(&format!("spec.nodeName={}", config.node_name));
    let mut pods = watch::<Pod>(Api::all(client.clone()), mine);
    let mut namespaces = watch::<Namespace>(Api::all(client.clone()), watcher::Config::default());
    let mut policies = watch::<RuntimePolicy>(Api::all(client.clone()), watcher::Config::default());
    let mut bindings = watch::<RuntimePolicyBinding>(Api::all(client), watcher::Config::default());
    let mut state = State::new(config, metrics, violations);
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let mut told = false;
    // Proves that programs are seen on this kernel, and shows which kubelet's pods are meant.
    let mut own_program = start_own_program()?;
    let own_deadline = tokio::time::sleep(OWN_PROGRAM_DEADLINE);
    tokio::pin!(own_deadline);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            ended = own_program.wait(), if own_program.id().is_some() => {
                ended.map_err(Error::OwnProgram)?;
            }
            () = &mut own_deadline, if state.kubelet.is_none() => return Err(Error::NotSeen),
            event = policies.next() => state.policy(event.ok_or(Error::WatchEnded("policies"))?),
            event = bindings.next() => state.binding(event.ok_or(Error::WatchEnded("bindings"))?),
            event = namespaces.next() => state.namespace(event.ok_or(Error::WatchEnded("namespaces"))?),
            event = pods.next() => state.pod(event.ok_or(Error::WatchEnded("pods"))?).await,
            outcome = records.ready() => {
                outcome?;
                drain(&mut records, &mut state).await;
            }
            _ = tick.tick() => {
                drain(&mut records, &mut state).await;
                state.tick(records.counters()?).await;
            }
        }
        if !told && state.synced() {
            told = true;
            tracing::info!(node = config.node_name, pods = state.pods.len(), "watching");
            ready.store(true, Ordering::Relaxed);
        }
    }
    ready.store(false, Ordering::Relaxed);
    drop(state);
    // Everything that was seen is written before the end, as far as the API server takes it.
    if tokio::time::timeout(Duration::from_secs(5), writer)
        .await
        .is_err()
    {
        tracing::warn!("some incidents could not be written before the end");
    }
    Ok(())
}

/// Starts this program once more, to print its version to nobody.
fn start_own_program() -> Result<tokio::process::Child, Error> {
    tokio::process::Command::new("/proc/self/exe")
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::OwnProgram)
}

/// Reads what is in the ring, as far as one turn goes.
async fn drain(records: &mut Records, state: &mut State) {
    for _ in 0..BATCH {
        match records.try_next() {
            None => return,
            Some(Ok(event)) => state.event(event).await,
            Some(Err(error)) => {
                tracing::warn!(%error, "a record is not understood");
                state.metrics.not_judged(NotJudged::Undecodable, 1);
            }
        }
    }
    // More may be there, and the descriptor tells only of what comes later: the tick reads on.
    tokio::task::yield_now().await;
}

/// A program that waits for its pod, or for its container's status.
struct Waiting {
    started: Started,
    process: Option<Arc<Process>>,
    until: Timestamp,
}

/// Everything that the loop knows.
struct State {
    /// UID of the sensor's own pod.
    own_pod: String,
    /// Whose pods are meant; known once a program of the sensor's own pod was seen.
    kubelet: Option<String>,
    pods: Pods,
    namespaces: HashMap<String, NamespaceFacts>,
    rules: Rules,
    tree: ProcessTree,
    /// The pod of each mount namespace, by the first process that had it.
    mounts: HashMap<u64, String>,
    waiting: VecDeque<Waiting>,
    pod_timeout: Duration,
    metrics: Metrics,
    violations: mpsc::Sender<crate::judge::Judged>,
    lost: u64,
    execs: u64,
    synced: [bool; 4],
    listing: [HashSet<String>; 4],
}

const PODS: usize = 0;
const NAMESPACES: usize = 1;
const POLICIES: usize = 2;
const BINDINGS: usize = 3;

/// When the machine was started, by its clock.
fn booted() -> Timestamp {
    let now = Timestamp::now();
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(Duration::from)
        .unwrap_or_default();
    now.checked_sub(up).unwrap_or(now)
}

impl State {
    fn new(
        config: &Config,
        metrics: Metrics,
        violations: mpsc::Sender<crate::judge::Judged>,
    ) -> Self {
        Self {
            own_pod: config.pod_uid.clone(),
            kubelet: None,
            pods: Pods::default(),
            namespaces: HashMap::new(),
            rules: Rules::default(),
            tree: ProcessTree::default(),
            mounts: HashMap::new(),
            waiting: VecDeque::new(),
            pod_timeout: config.pod_timeout,
            metrics,
            violations,
            lost: 0,
            execs: 0,
            synced: [false; 4],
            listing: std::array::from_fn(|_| HashSet::new()),
        }
    }

    fn synced(&self) -> bool {
        self.kubelet.is_some() && self.synced.iter().all(|synced| *synced)
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Fork { parent, child } => self.tree.fork(parent, child),
            Event::Exit(process) => self.tree.exit(process),
            Event::Exec(exec) => self.exec(*exec).await,
        }
    }

    async fn exec(&mut self, exec: Exec) {
        // Still the runtime, which sets the container up.
        if !exec.own_root {
            return;
        }
        let Some(identity) = identity(&exec.cgroup) else {
            return;
        };
        if identity.pod_uid == self.own_pod && self.kubelet.is_none() {
            tracing::info!(cgroup = exec.cgroup, "a program of this pod was seen");
            self.waiting
                .retain(|w| w.started.kubelet == identity.kubelet);
            self.kubelet = Some(identity.kubelet.clone());
        }
        // A pod of another kubelet on the same kernel: its own sensor looks after it.
        if self
            .kubelet
            .as_ref()
            .is_some_and(|own| *own != identity.kubelet)
        {
            return;
        }
        let owner = self
            .mounts
            .entry(exec.mount_namespace)
            .or_insert_with(|| identity.pod_uid.clone());
        if exec.mount_namespace == 0 || *owner != identity.pod_uid {
            self.metrics.not_judged(NotJudged::IdentityUnclear, 1);
            return;
        }
        let time = since_boot(booted(), exec.time);
        let started = Started {
            kubelet: identity.kubelet,
            pod_uid: identity.pod_uid,
            container_id: identity.container_id,
            exec: Arc::new(exec),
            time,
        };
        let until = Timestamp::now()
            .checked_add(self.pod_timeout)
            .unwrap_or(Timestamp::MAX);
        // The tree learns of it now, also when the pod is not known yet: its children may come first.
        let process = self
            .pods
            .get(&started.pod_uid)
            .cloned()
            .map(|pod| Arc::new(process_of(&started, Some(&pod), &mut self.tree, booted())));
        let waiting = Waiting {
            started,
            process,
            until,
        };
        self.try_judge(waiting, Timestamp::now()).await;
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
        let process = waiting.process.get_or_insert_with(|| {
            Arc::new(process_of(
                &waiting.started,
                Some(&pod),
                &mut self.tree,
                booted(),
            ))
        });
        let applying = self.rules.applying(&namespace.labels, &pod.labels);
        if applying.is_empty() {
            return;
        }
        let known = waiting
            .started
            .container_id
            .as_ref()
            .is_none_or(|id| pod.containers.contains_key(id));
        let (now_ones, later): (Vec<_>, Vec<_>) = applying
            .into_iter()
            .partition(|(policy, _)| known || now >= waiting.until || !policy.needs_container());
        let metrics = &self.metrics;
        let found = judge(
            &waiting.started,
            process,
            &pod,
            namespace,
            &now_ones,
            &mut |policy, failures| {
                metrics
                    .evaluation_failures
                    .inc_by(u64::try_from(failures.len()).unwrap_or(u64::MAX));
                tracing::warn!(
                    policy,
                    error = failures.first().map(|failure| failure.message.as_str()),
                    "an expression failed; the policy ignores it"
                );
            },
        );
        for judged in found {
            self.metrics.violations.inc();
            if self.violations.send(judged).await.is_err() {
                return;
            }
        }
        if !later.is_empty() {
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
            if pod_uid.is_none_or(|uid| uid == waiting.started.pod_uid) {
                self.try_judge(waiting, now).await;
            } else {
                self.waiting.push_back(waiting);
            }
        }
    }

    async fn tick(&mut self, counters: Counters) {
        let lost = counters.lost.saturating_sub(self.lost);
        if lost > 0 {
            tracing::warn!(lost, "events of the kernel were lost: the ring was full");
            self.metrics.not_judged(NotJudged::RingFull, lost);
        }
        self.metrics
            .execs
            .inc_by(counters.execs.saturating_sub(self.execs));
        (self.lost, self.execs) = (counters.lost, counters.execs);
        self.metrics
            .pods
            .set(i64::try_from(self.pods.len()).unwrap_or(i64::MAX));
        self.metrics
            .forgotten_processes
            .set(i64::try_from(self.tree.forgotten()).unwrap_or(i64::MAX));
        self.pods.forget(Timestamp::now());
        if self.mounts.len() > 2 * WAITING_LIMIT {
            let pods = &self.pods;
            self.mounts.retain(|_, uid| pods.get(uid).is_some());
        }
        if !self.waiting.is_empty() {
            self.retry(None).await;
        }
    }

    async fn pod(&mut self, event: watcher::Result<Watched<Pod>>) {
        match event {
            Ok(Watched::Init) => self.listing[PODS].clear(),
            Ok(Watched::InitApply(pod) | Watched::Apply(pod)) => {
                if let Some(uid) = self.pods.apply(&pod) {
                    self.listing[PODS].insert(uid.clone());
                    self.retry(Some(&uid)).await;
                }
            }
            Ok(Watched::InitDone) => {
                self.pods.keep(&self.listing[PODS], Timestamp::now());
                self.done(PODS);
                self.retry(None).await;
            }
            Ok(Watched::Delete(pod)) => self.pods.delete(&pod, Timestamp::now()),
            Err(error) => watch_failed("pods", &error),
        }
    }

    fn namespace(&mut self, event: watcher::Result<Watched<Namespace>>) {
        match event {
            Ok(Watched::Init) => self.listing[NAMESPACES].clear(),
            Ok(Watched::InitApply(namespace) | Watched::Apply(namespace)) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                self.listing[NAMESPACES].insert(name.clone());
                self.namespaces.insert(name, namespace_facts(&namespace));
            }
            Ok(Watched::InitDone) => {
                let listed = &self.listing[NAMESPACES];
                self.namespaces.retain(|name, _| listed.contains(name));
                self.done(NAMESPACES);
            }
            Ok(Watched::Delete(namespace)) => {
                self.namespaces
                    .remove(namespace.metadata.name.as_deref().unwrap_or_default());
            }
            Err(error) => watch_failed("namespaces", &error),
        }
    }

    fn policy(&mut self, event: watcher::Result<Watched<RuntimePolicy>>) {
        match event {
            Ok(Watched::Init) => self.listing[POLICIES].clear(),
            Ok(Watched::InitApply(policy) | Watched::Apply(policy)) => {
                self.listing[POLICIES].insert(policy.metadata.name.clone().unwrap_or_default());
                self.rules.apply_policy(&policy);
            }
            Ok(Watched::InitDone) => {
                self.rules.keep_policies(&self.listing[POLICIES]);
                self.done(POLICIES);
            }
            Ok(Watched::Delete(policy)) => self
                .rules
                .delete_policy(policy.metadata.name.as_deref().unwrap_or_default()),
            Err(error) => watch_failed("policies", &error),
        }
    }

    fn binding(&mut self, event: watcher::Result<Watched<RuntimePolicyBinding>>) {
        match event {
            Ok(Watched::Init) => self.listing[BINDINGS].clear(),
            Ok(Watched::InitApply(binding) | Watched::Apply(binding)) => {
                self.listing[BINDINGS].insert(binding.metadata.name.clone().unwrap_or_default());
                self.rules.apply_binding(&binding);
            }
            Ok(Watched::InitDone) => {
                self.rules.keep_bindings(&self.listing[BINDINGS]);
                self.done(BINDINGS);
            }
            Ok(Watched::Delete(binding)) => self
                .rules
                .delete_binding(binding.metadata.name.as_deref().unwrap_or_default()),
            Err(error) => watch_failed("bindings", &error),
        }
    }

    fn done(&mut self, what: usize) {
        self.synced[what] = true;
        self.listing[what] = HashSet::new();
    }
}

fn watch_failed(what: &str, error: &watcher::Error) {
    tracing::warn!(what, %error, "a watch failed and is tried again; what was known stays");
}
