//! The sensor's loop: records and watches in, violations out.
//!
//! Here: the order of events, and readiness. Not here: what is known (`state`), any decision
//! (`judge`) or write (`incident`), what is reported where processes cannot be monitored (`coverage`).
//! Invariant: one thread owns the ring buffer and all state, and does nothing else: no other thread has to run between a
//! record and its verdict. A sensor is ready only after it has observed an exec of its own.

mod own_program;
mod waiting;
mod watches;

use crate::cluster::fetches::fetch;
use crate::cluster::limits;
use crate::coverage::{NodeEvents, with_sources};
use crate::incident::unrecorded::Unrecorded;
use crate::incident::write::{WRITER_LONGEST, WriterConfig, write};
use crate::kernel::loader::{Attached, LoadError, Records};
use crate::kernel::reader::{Batch, Reader};
use crate::metrics::{Metrics, NotEvaluated};
use crate::observe::{self, Observers};
use crate::state::State;
use bailiff_kube::events::pod_reference;
use bailiff_kube::serve::{Health, Heartbeat, ServeError, serve};
use futures::future::OptionFuture;
use jiff::Timestamp;
use own_program::OwnProgram;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waiting::Waiting;
use watches::{Change, Watches};

/// Most batches that are taken in before what the kernel counted is read: they hold what waits for longer than it takes
/// to read them.
const BATCHES_OF_TURN: usize = 4;
/// Time until programs that the kernel did not load are loaded again.
const LOAD_RETRY: Duration = Duration::from_mins(1);
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
    /// The thread that reads and evaluates the kernel's records can't be started.
    #[error("cannot start the thread that evaluates the records of the kernel")]
    Thread(#[source] std::io::Error),
    /// It ended, though there may be more to read.
    #[error("evaluating the records of the kernel ended by a defect")]
    ThreadEnded,
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
/// While the programs can't be attached, an Event about the Node says so, and it stays unready.
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
        let mut records = tokio::select! {
            records = load(&config, &client) => records,
            () = shutdown.cancelled() => return Ok(()),
        };
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
    };
    tokio::select! {
        served = serving => Ok(served?),
        watched = watching => watched,
    }
}

/// Loads the BPF programs. Where that fails, an Event about the Node says so, and they are loaded again later: memory can
/// be short for a while.
async fn load(config: &Config, client: &kube::Client) -> Records {
    let mut error = match Records::load(config.ring_buffer_bytes) {
        Ok(records) => return records,
        Err(error) => error,
    };
    loop {
        let cause = with_sources(&error);
        let events = NodeEvents::new(&config.node_name, &config.identity, client.clone());
        let mut reporting = pin!(events.report_not_monitored(&cause));
        error = loop {
            tokio::select! {
                () = &mut reporting => {}
                () = tokio::time::sleep(LOAD_RETRY) => {}
            }
            match Records::load(config.ring_buffer_bytes) {
                Ok(records) => return records,
                // An Event that is there already is repeated.
                Err(again) if with_sources(&again) == cause => {}
                Err(other) => break other,
            }
        };
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
    let (config, health) = (config.clone(), health.clone());
    let shutdown = shutdown.child_token();
    // The thread ends with this, too.
    let _end = shutdown.clone().drop_guard();
    let elsewhere = Elsewhere {
        runtime: Handle::current(),
        client,
        writer,
    };
    in_own_thread(async move || {
        follow(&config, elsewhere, records, state, &health, &shutdown).await
    })
    .await
}

/// Runs this in a thread and a runtime of its own.
async fn in_own_thread(
    run: impl AsyncFnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("records".to_owned())
        .spawn(move || {
            // Without a receiver nobody waits for it.
            drop(end.send(runtime.block_on(run())));
        })
        .map_err(Error::Thread)?;
    ended.await.unwrap_or(Err(Error::ThreadEnded))
}

/// What does not run in the thread of the loop.
struct Elsewhere {
    /// Where connections to the API server are served.
    runtime: Handle,
    client: kube::Client,
    /// Writes the Incidents.
    writer: JoinHandle<usize>,
}

/// Follows records and objects until `shutdown`.
async fn follow(
    config: &Config,
    elsewhere: Elsewhere,
    records: Records,
    mut state: State,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Elsewhere {
        runtime,
        client,
        mut writer,
    } = elsewhere;
    let pulse = health.register_loop("watching", LONGEST);
    let (ring, mut attached) = records.into_parts();
    let mut reader = Reader::new(ring)?;
    let mut watches = Watches::start(config, &client, &runtime);
    let mut waiting = Waiting::new(Instant::now());
    let mut fetching: Option<JoinHandle<_>> = None;
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let mut told = false;
    let mut own_program = OwnProgram::new(state.own_name());
    let mut stopped = pin!(shutdown.cancelled());
    loop {
        pulse.beat();
        tokio::select! {
            biased;
            () = &mut stopped => break,
            // What violates a policy would be lost from here on without a report.
            _ = &mut writer => return Err(Error::WriterEnded),
            failure = own_program.failed(state.own_programs()) => state.report_self_check(&failure),
            // Before the records, which may never end: what waits and what is counted has its turn.
            _ = tick.tick() => {
                // Counted is what was read before: else programs were missing that only wait here.
                // No more: what comes meanwhile has the next turn, and nothing else would have one.
                for _ in 0..BATCHES_OF_TURN {
                    let (batch, is_full) = reader.take();
                    take(batch, &mut state, &pulse).await;
                    if !is_full { break }
                }
                turn(&mut attached, &mut state).await?;
            }
            changed = watches.next() => change(changed?, &mut state).await,
            Some(fetched) = OptionFuture::from(fetching.as_mut()), if fetching.is_some() => {
                fetching = None;
                let (asked, json) = fetched.map_err(|_defect| Error::ThreadEnded)?;
                state.fetched(asked, json).await;
            }
            batch = reader.batch() => take(batch?, &mut state, &pulse).await,
        }
        for cgroup in state.take_cgroups_of_others() {
            attached.ignore(cgroup)?;
        }
        if !told && !state.synced() {
            waiting.report(|| state.missing(), Instant::now());
        }
        watches.list_if_due(state.take_must_list(), Instant::now());
        if fetching.is_none() {
            let next = state.next_fetch(Instant::now());
            fetching = next.map(|next| runtime.spawn(fetch(client.clone(), next)));
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

/// Takes in what a watch brought.
async fn change(change: Change, state: &mut State) {
    match change {
        Change::Policy(event) => state.policy(event),
        Change::Binding(event) => state.binding(event),
        Change::Namespace(event) => state.namespace(event),
        Change::Pod(event) => state.pod(event).await,
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
