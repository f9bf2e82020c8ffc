//! The sensor's loop: records and watches in, violations out.
//!
//! Here: the order of events, and readiness. Not here: what is known (`state`), any decision
//! (`judge`) or write (`incident`), what is reported where processes cannot be monitored (`coverage`).
//! Invariant: one task owns all state; a sensor is ready only after it has observed an exec of its own.

mod own_program;
mod waiting;

use crate::cluster::fetches::fetch;
use crate::cluster::limits;
use crate::coverage::{NodeEvents, with_sources};
use crate::incident::unrecorded::Unrecorded;
use crate::incident::write::{WRITER_LONGEST, WriterConfig, write};
use crate::kernel::loader::{Attached, LoadError, Records};
use crate::kernel::reader::{self, Batch};
use crate::metrics::{Metrics, NotEvaluated};
use crate::observe::{self, Observers};
use crate::state::State;
use bailiff_api::{GROUP, VERSION};
use bailiff_kube::events::pod_reference;
use bailiff_kube::list_watch::ListWatch;
use bailiff_kube::serve::{Health, Heartbeat, ServeError, serve};
use futures::StreamExt as _;
use futures::future::OptionFuture;
use jiff::Timestamp;
use own_program::OwnProgram;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waiting::Waiting;

/// Most violations that wait to be written; behind it the loop waits, and the ring fills.
const VIOLATIONS_LIMIT: usize = 64;
/// Longest time that the loop may take for a turn, or for one record. It turns at least with every
/// tick, and waits for the writer alone, which waits for nothing.
const LONGEST: Duration = Duration::from_mins(1);

/// What a sensor has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The namespace that Bailiff runs in: Incidents that the API server rejects in a pod's namespace
    /// are recorded there.
    pub namespace: String,
    /// The node that it runs on.
    pub node_name: String,
    /// Bytes of the ring between kernel and user space; a power of two.
    pub ring_buffer_bytes: u32,
    /// How long a program waits for its pod, or a policy for the container's status.
    pub pod_lookup_timeout: Duration,
    /// Least time between the first two updates of an Incident. It doubles with each one, up to 300 s.
    pub incident_update_interval: Duration,
    /// Names of `RuntimeClasses` whose processes run in a sandbox with a kernel of its own, such as gVisor and Kata
    /// Containers. Pods with one of them are reported as not monitored. Empty: none is reported.
    pub sandbox_runtime_classes: BTreeSet<String>,
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
    /// The thread that reads the kernel's records can't be started.
    #[error("cannot start the thread that reads the records of the kernel")]
    Reader(#[source] std::io::Error),
    /// It ended, though there may be more to read.
    #[error("reading the records of the kernel ended by a defect")]
    ReaderEnded,
    /// A watch ended for good.
    #[error("the watch of {0} ended")]
    WatchEnded(&'static str),
    /// The task that writes Incidents ended, though there may be more to write.
    #[error("writing Incidents ended by a defect")]
    WriterEnded,
    /// Metrics and health.
    #[error("cannot serve metrics and health")]
    Serve(#[from] ServeError),
}

/// Runs until `shutdown`. It is ready while everything is watched and every program attached.
/// Where the programs can't be attached, an Event about the Node says so, and it stays unready.
///
/// # Errors
/// When metrics and health can't be served, the kernel's records can't be read any more, or a
/// watch or the writer ends for good.
pub async fn run(
    config: Config,
    client: kube::Client,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let metrics = Metrics::default();
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let health = Health::default();
    let serving = serve(
        config.address,
        Arc::new(registry),
        health.clone(),
        shutdown.clone(),
    );
    let watching = async {
        let watched = match Records::load(config.ring_buffer_bytes) {
            Ok(mut records) => {
                records.prepare_search();
                tracing::info!(node = config.node_name, "BPF programs attached");
                watch_all(
                    &config,
                    client.clone(),
                    metrics,
                    records,
                    &health,
                    &shutdown,
                )
                .await
            }
            Err(error) => Err(Error::Load(error)),
        };
        match watched {
            Err(error @ Error::Load(_)) => {
                health.set_ready(false);
                let cause = with_sources(&error);
                let events = NodeEvents::new(&config.node_name, &config.identity, client);
                tokio::select! {
                    () = events.report_not_monitored(&cause) => {}
                    () = shutdown.cancelled() => {}
                }
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

/// Watches records and objects until `shutdown`.
async fn watch_all(
    config: &Config,
    client: kube::Client,
    metrics: Metrics,
    records: Records,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let (violations, incoming) = mpsc::channel(VIOLATIONS_LIMIT);
    let (published, limits) = limits::limits();
    let (unrecorded, not_recorded) = watch::channel(Unrecorded::default());
    let (namespace, watching) = (config.namespace.clone(), client.clone());
    // It ends with the writer.
    tokio::spawn(async move { limits::follow(watching, &namespace, published).await });
    let writer = write(
        client.clone(),
        WriterConfig {
            node: config.node_name.clone(),
            fallback_namespace: config.namespace.clone(),
            interval: config.incident_update_interval,
        },
        metrics.clone(),
        limits,
        unrecorded,
        health.register_loop("writing", WRITER_LONGEST),
        incoming,
    );
    let writer = tokio::spawn(writer);
    let events = NodeEvents::new(&config.node_name, &config.identity, client.clone());
    let own_pod = pod_reference(&config.namespace, &config.identity, &config.pod_uid);
    // It ends with the writer.
    tokio::spawn(events.report_unrecorded(own_pod, not_recorded));
    let (joining, joined) = mpsc::channel(1);
    // It ends with the sensor.
    tokio::spawn(observe::socket::serve(joining));
    let events = NodeEvents::new(&config.node_name, &config.identity, client.clone());
    // It ends with this.
    let mut reporting = JoinSet::new();
    reporting.spawn(events.report_losses(metrics.clone(), Timestamp::now()));
    let state = State::new(config, metrics, violations, records.attached_since())
        .observed_by(Observers::new(&config.node_name, joined));
    let events = NodeEvents::new(&config.node_name, &config.identity, client.clone());
    // It ends with the state.
    tokio::spawn(events.report_gaps(state.gaps_report()));
    let following = follow(config, client, records, state, writer, health, shutdown);
    // A large future, which need not lie in this one.
    Box::pin(following).await
}

/// Follows records and objects until `shutdown`.
async fn follow(
    config: &Config,
    client: kube::Client,
    records: Records,
    mut state: State,
    mut writer: JoinHandle<usize>,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let pulse = health.register_loop("watching", LONGEST);
    let (ring, mut attached) = records.into_parts();
    let mut batches = reader::read(ring).map_err(Error::Reader)?;
    let mine = Some(format!("spec.nodeName={}", config.node_name));
    let pods_of_node = ListWatch::new("/api/v1/pods", mine);
    let all_namespaces = ListWatch::new("/api/v1/namespaces", None);
    // They are listed once it is known what policies need of them, and again where that grows.
    let mut pods = futures::stream::pending().boxed();
    let mut namespaces = futures::stream::pending().boxed();
    let of_bailiff = |resource: &str| {
        let path = format!("/apis/{GROUP}/{VERSION}/{resource}");
        ListWatch::new(&path, None).stream(client.clone())
    };
    let mut policies = of_bailiff("runtimepolicies");
    let mut bindings = of_bailiff("runtimepolicybindings");
    let mut lists = Lists::new(&config.node_name, config.pod_lookup_timeout);
    let mut waiting = Waiting::new(Instant::now());
    let mut fetching = None;
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let mut told = false;
    let mut own_program = OwnProgram::new();
    loop {
        pulse.beat();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            // What violates a policy would be lost from here on without a report.
            _ = &mut writer => return Err(Error::WriterEnded),
            failure = own_program.failed(state.own_programs()) => state.report_self_check(&failure),
            // Before the records, which may never end: what waits and what is counted has its turn.
            _ = tick.tick() => {
                // Counted is what was read before: else programs were missing that only wait here.
                // No more: what comes meanwhile has the next turn, and nothing else would have one.
                for _ in 0..batches.len() {
                    let Ok(batch) = batches.try_recv() else { break };
                    take(batch?, &mut state, &pulse).await;
                }
                turn(&mut attached, &mut state).await?;
            }
            event = policies.next() => state.policy(event.ok_or(Error::WatchEnded("policies"))?),
            event = bindings.next() => state.binding(event.ok_or(Error::WatchEnded("bindings"))?),
            event = namespaces.next() => state.namespace(event.ok_or(Error::WatchEnded("namespaces"))?),
            event = pods.next() => state.pod(event.ok_or(Error::WatchEnded("pods"))?).await,
            Some((asked, json)) = OptionFuture::from(fetching.as_mut()), if fetching.is_some() => {
                fetching = None;
                state.fetched(asked, json).await;
            }
            batch = batches.recv() => {
                take(batch.ok_or(Error::ReaderEnded)??, &mut state, &pulse).await;
            }
        }
        for cgroup in state.take_cgroups_of_others() {
            attached.ignore(cgroup)?;
        }
        if !told && !state.synced() {
            waiting.report(|| state.missing(), Instant::now());
        }
        if lists.are_due(state.take_must_list(), Instant::now()) {
            namespaces = all_namespaces.stream(client.clone());
            pods = pods_of_node.stream(client.clone());
        }
        if fetching.is_none() {
            let next = state.next_fetch(Instant::now());
            fetching = next.map(|next| Box::pin(fetch(client.clone(), next)));
        }
        if !told && state.synced() {
            told = true;
            tracing::info!(
                node = config.node_name,
                pods = state.pods.len(),
                "Started to monitor the node"
            );
            health.set_ready(true);
        }
    }
    health.set_ready(false);
    drop(state);
    // Everything that was seen is written before the end, as far as the API server takes it.
    match writer.await {
        Ok(0) => {}
        Ok(left) => tracing::warn!(left, "Could not write some Incidents before the end"),
        Err(error) => tracing::error!(%error, "Writing Incidents ended"),
    }
    Ok(())
}

/// When pods and namespaces are listed. All sensors learn of a new policy in the same moment; each lists
/// after a delay of its own, but for the first time.
struct Lists {
    delay: Duration,
    listed: bool,
    at: Option<Instant>,
}

/// Longest delay.
const LISTS_DELAY: Duration = Duration::from_secs(5);

impl Lists {
    /// Of a node, which has the same delay always: of what waits for the lists, it takes at most a quarter
    /// of the time.
    fn new(node_name: &str, pod_lookup_timeout: Duration) -> Self {
        let mut hash = DefaultHasher::new();
        node_name.hash(&mut hash);
        let longest = LISTS_DELAY.min(pod_lookup_timeout / 4);
        let share = f64::from(u16::try_from(hash.finish() % 1000).unwrap_or_default()) / 1000.0;
        Self {
            delay: longest.mul_f64(share),
            listed: false,
            at: None,
        }
    }

    /// Whether they are listed now; `must`: they have to be, from now on.
    fn are_due(&mut self, must: bool, now: Instant) -> bool {
        if must && self.at.is_none() {
            let delay = if self.listed {
                self.delay
            } else {
                Duration::ZERO
            };
            self.at = Some(now + delay);
        }
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.at = None;
            self.listed = true;
        }
        due
    }
}

/// Takes in what the kernel told.
async fn take(batch: Batch, state: &mut State, pulse: &Heartbeat) {
    for event in batch {
        pulse.beat();
        match event {
            Ok(event) => state.event(event).await,
            Err(error) => {
                tracing::warn!(%error, "Could not decode a record of the kernel");
                state.metrics.not_evaluated(NotEvaluated::DecodeError, 1);
            }
        }
    }
}

/// What has its turn at each tick: what the kernel counted, and the search for what runs already.
async fn turn(attached: &mut Attached, state: &mut State) -> Result<(), Error> {
    let counters = attached.counters()?;
    if state.is_more_lost(&counters) {
        state.log_losses(attached.lost()?);
    }
    state.tick(counters).await;
    state.search_running(Instant::now(), || attached.find_running());
    Ok(())
}

#[cfg(test)]
mod tests;
