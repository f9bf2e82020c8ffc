//! Measures what observing the processes of a node costs, and prints that part of the page.
//!
//! Here: the order of the measurements. Not here: the node and its loops (`node`), what the API server would say
//! (`api`), the kernel's counts (`programs`), what the page says (`page`).
//! Invariant: the sensor is the one that `bailiff sensor` runs, from its BPF programs to its evaluations; loops run
//! with it and without it in turns.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command that runs for minutes says how far it is, and prints a part of a page"
)]

mod api;
mod node;
mod page;
mod programs;

use anyhow::{Context as _, Result, ensure};
use api::PodId;
use bailiff_sensor::{Config, Records, run};
use clap::{Parser, Subcommand};
use node::{Node, Sensor};
use page::{Cost, Flood, Page};
use programs::{Programs, each};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// As the chart has it.
const RING_BUFFER_BYTES: u32 = 8 << 20;
/// Takes all records of a loop that nobody reads.
const UNREAD_BUFFER_BYTES: u32 = 64 << 20;

/// Measures what observing processes costs, and prints that part of the page. Needs root.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    side: Option<Side>,
    /// The folder of the library of policies.
    #[arg(long, default_value = "policies")]
    library: PathBuf,
    /// How often a loop starts its program.
    #[arg(long, default_value_t = 10_000)]
    starts: u32,
    /// How often the loop runs with the sensor, and how often without it.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Seconds of the loops at the highest rate.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// What runs in a container.
#[derive(Subcommand)]
enum Side {
    /// The sensor.
    Sensor {
        /// Where it serves metrics and health.
        #[arg(long)]
        address: SocketAddr,
        /// UID and container ID of each pod; the first is its own.
        #[arg(long)]
        pod: Vec<String>,
        /// The folder of the policies.
        #[arg(long)]
        policies: Option<PathBuf>,
    },
    /// Does nothing: what the sensor starts to see whether it sees it.
    Version,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.side {
        Some(Side::Version) => Ok(()),
        Some(Side::Sensor {
            address,
            pod,
            policies,
        }) => {
            let pods: Option<Vec<_>> = pod.iter().map(|pod| pod_of(pod)).collect();
            let pods = pods.context("a pod is UID/CONTAINER")?;
            let client = |pods: &[PodId]| api::client(pods, policies.as_deref());
            // As many threads as `bailiff sensor` has.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(async { observe(*address, &pods, client(&pods)?).await })
        }
        None => measure(&arguments),
    }
}

fn pod_of(text: &str) -> Option<PodId> {
    let (uid, container) = text.split_once('/')?;
    Some(PodId {
        uid: uid.to_owned(),
        container: container.to_owned(),
    })
}

/// The sensor, until SIGTERM.
async fn observe(address: SocketAddr, pods: &[PodId], client: kube::Client) -> Result<()> {
    let own = pods.first().context("no pod")?;
    let config = Config {
        namespace: "bench".to_owned(),
        node_name: "bench".to_owned(),
        ring_buffer_bytes: RING_BUFFER_BYTES,
        pod_lookup_timeout: Duration::from_secs(30),
        incident_update_interval: Duration::from_secs(1),
        sandbox_runtime_classes: std::collections::BTreeSet::new(),
        address,
        identity: "bench".to_owned(),
        pod_uid: own.uid.clone(),
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        terminate.recv().await;
        stop.cancel();
    });
    Ok(Box::pin(run(config, client, shutdown)).await?)
}

fn measure(arguments: &Arguments) -> Result<()> {
    let node = Node::new(3, &arguments.library)?;
    let unread = unread(&node, arguments.starts)?;
    eprintln!("programs that nobody reads: {unread:.2?} µs");
    let mut page = Page {
        starts: arguments.starts,
        turns: arguments.turns,
        seconds: arguments.seconds,
        unread,
        ..Page::default()
    };
    for with_policies in [false, true] {
        let cost = cost(&node, arguments, with_policies)?;
        eprintln!("policies {with_policies}: {cost:?}");
        page.costs.push(cost);
    }
    for with_policies in [false, true] {
        let flood = flood(&node, arguments.seconds, with_policies)?;
        eprintln!("policies {with_policies}: {flood:?}");
        page.floods.push(flood);
    }
    page.print();
    Ok(())
}

/// Microseconds of each program with nobody who reads.
fn unread(node: &Node, starts: u32) -> Result<Vec<f64>> {
    let programs = Programs::since_now()?;
    let records = Records::load(UNREAD_BUFFER_BYTES)?;
    let before = programs.runs()?;
    node.start(1, starts, 0)?.end()?;
    let after = programs.runs()?;
    let lost = records.counters()?.execs_lost;
    ensure!(
        lost == 0,
        "{lost} records found no room: start fewer programs"
    );
    each(&before, &after)
}

/// What the loop costs with the sensor, and without it.
fn cost(node: &Node, arguments: &Arguments, with_policies: bool) -> Result<Cost> {
    let mut cost = Cost::default();
    for _ in 0..arguments.turns {
        let (number, took) = node.start(1, arguments.starts, 0)?.end()?;
        cost.off.push(micros(took, number));
        let sensor = node.sensor(with_policies)?;
        sensor.settle()?;
        let cpu = sensor.cpu()?;
        let (number, took) = node.start(1, arguments.starts, 0)?.end()?;
        sensor.settle()?;
        cost.on.push(micros(took, number));
        cost.cpu
            .push(micros(sensor.cpu()?.saturating_sub(cpu), number));
        cost.lost = cost.lost.saturating_add(lost(&sensor)?);
        let counted = sensor.count("execs", "")?;
        let evaluated = counted.saturating_sub(sensor.count("execs_skipped", "")?);
        cost.evaluated_all &= evaluated >= u64::from(arguments.starts);
        sensor.stop()?;
    }
    // By itself: the kernel's counting takes time, too.
    let programs = Programs::since_now()?;
    let sensor = node.sensor(with_policies)?;
    let before = programs.runs()?;
    node.start(1, arguments.starts, 0)?.end()?;
    cost.programs = each(&before, &programs.runs()?)?;
    sensor.stop()?;
    Ok(cost)
}

fn micros(took: Duration, number: u64) -> f64 {
    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "far fewer than 2^52"
    )]
    let number = number as f64;
    took.as_secs_f64() * 1e6 / number
}

/// What was not evaluated, for whatever reason, and what the process tree missed.
fn lost(sensor: &Sensor) -> Result<u64> {
    let execs = sensor.count("execs_not_evaluated", "")?;
    Ok(execs.saturating_add(sensor.count("lost_process_events", "")?))
}

/// Two loops at a time, as fast as they go.
fn flood(node: &Node, seconds: u64, with_policies: bool) -> Result<Flood> {
    let sensor = node.sensor(with_policies)?;
    let loops = [node.start(1, 0, seconds)?, node.start(2, 0, seconds)?];
    let mut started = 0_u64;
    for running in loops {
        started = started.saturating_add(running.end()?.0);
    }
    sensor.settle()?;
    let flood = Flood {
        started,
        counted: sensor.count("execs", "")?,
        lost: lost(&sensor)?,
    };
    ensure!(
        flood.counted >= started,
        "the sensor missed programs without counting them: {flood:?}"
    );
    sensor.stop()?;
    Ok(flood)
}
