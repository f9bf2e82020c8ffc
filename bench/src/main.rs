//! Measures the way of an exec on a cluster where Bailiff is installed, and writes it down.
//!
//! Here: the watchers, the peer (creating an object), what Incidents and logs say of each answer.
//! Not here: the shells (`attack`), what the API server says of itself (`served`), the page
//! (`summary`), the cluster (`hack/bench-cluster.sh`).
//! Invariant: what is compared was measured in the same run; a bound that is missed is printed
//! as missed.

#![allow(
    clippy::print_stderr,
    reason = "a command that runs for minutes says how far it is"
)]

mod attack;
mod floor;
mod served;
mod summary;

use anyhow::{Context as _, Result, ensure};
use attack::Attacks;
use bailiff_api::Incident;
use clap::Parser;
use floor::Floor;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use served::Served;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use summary::{Measured, Summary, TimesFloor};

/// Pods that take turns.
const REPLICAS: usize = 20;
const NAMESPACE: &str = "bailiff-bench";

/// Measures exec to Eviction, and writes the page.
#[derive(Parser)]
struct Arguments {
    /// The cluster.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Number of pairs of an exec and of what a bare client does, over all runs.
    #[arg(long, default_value_t = 900)]
    execs: usize,
    /// Number of runs; of the ratios to the bare client the median counts.
    #[arg(long, default_value = "3")]
    runs: std::num::NonZeroUsize,
    /// Number of shells after them that the application itself starts: no kubectl, and nothing of a
    /// kubelet or a container runtime runs for these.
    #[arg(long, default_value_t = 2)]
    by_application: usize,
    /// Number of execs after them that each come when nothing was asked for 100 seconds, longer than
    /// the API server keeps a connection that rests.
    #[arg(long, default_value_t = 5)]
    rested: usize,
    /// The page to write.
    #[arg(long)]
    output: PathBuf,
}

impl Arguments {
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("kubectl")
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["-n", NAMESPACE])
            .args(arguments)
            .output()
            .context("cannot run kubectl; `make tools` builds it")?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn get(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat())?;
        let mut list: Value = serde_json::from_str(&text)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            other => anyhow::bail!("kubectl printed no list but {other}"),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let client = runtime.block_on(client(&arguments))?;
    let (seen, ready) = (Seen::default(), Seen::default());
    let watching = [
        runtime.spawn(watch(
            Api::<Incident>::namespaced(client.clone(), NAMESPACE),
            Arc::clone(&seen),
            |incident| incident.metadata.name.clone(),
        )),
        runtime.spawn(watch(
            Api::<Pod>::namespaced(client.clone(), NAMESPACE),
            Arc::clone(&ready),
            |pod| is_ready(pod).then(|| pod.metadata.uid.clone()).flatten(),
        )),
    ];
    let maps = Api::namespaced(client.clone(), NAMESPACE);
    let create = |index| runtime.block_on(create_object(&maps, index));
    let before = runtime.block_on(Served::read(&client))?;
    let bare = runtime.block_on(bare_client(&arguments))?;
    let mut bare = runtime.block_on(Floor::begin(&bare, NAMESPACE))?;
    let floor = |index: usize, pod: &attack::Pod| {
        runtime.block_on(bare.measure(index, &pod.name, &pod.uid))
    };
    let attacks = attack::run(&arguments, &ready, create, floor)?;
    let served = runtime.block_on(Served::read(&client))?.since(&before);
    for watch in watching {
        watch.abort();
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let ready = ready.lock().unwrap_or_else(PoisonError::into_inner);
    let measured = read(&arguments, attacks, &served, &seen, &ready)?;
    std::fs::write(&arguments.output, measured.page())
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    eprintln!("wrote {}", arguments.output.display());
    ensure!(
        measured.all_answered(),
        "{} of {} shells were responded to; see {}",
        measured.all(),
        measured.wanted,
        arguments.output.display()
    );
    Ok(())
}

async fn client(arguments: &Arguments) -> Result<Client> {
    let file = Kubeconfig::read_from(&arguments.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// A client that asks over one connection, as the controller does.
async fn bare_client(arguments: &Arguments) -> Result<Client> {
    let file = Kubeconfig::read_from(&arguments.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(bailiff_kube::client::with_one_connection(&config)?)
}

/// When something first reached a watcher, by its name or UID.
type Seen = Arc<Mutex<BTreeMap<String, Timestamp>>>;

/// Notes when objects first are what `name` has a name for.
async fn watch<K>(api: Api<K>, seen: Seen, name: fn(&K) -> Option<String>)
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object)) = event
            && let Some(name) = name(&object)
        {
            let now = Timestamp::now();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.entry(name).or_insert(now);
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// How long the creation of a small object takes, on a connection that stays open.
async fn create_object(maps: &Api<ConfigMap>, index: usize) -> Result<Duration> {
    let object = serde_json::from_value(json!({
        "metadata": {"name": format!("peer-{index}")},
        "data": {"text": "x".repeat(1024)},
    }))?;
    let started = Instant::now();
    maps.create(&PostParams::default(), &object).await?;
    Ok(started.elapsed())
}

fn read(
    arguments: &Arguments,
    attacks: Attacks,
    served: &Served,
    seen: &BTreeMap<String, Timestamp>,
    ready: &BTreeMap<String, Timestamp>,
) -> Result<Measured> {
    let incidents = arguments.get(&["incidents"])?;
    let time = |value: &Value| -> Result<Timestamp> {
        Ok(value.as_str().context("a time is missing")?.parse()?)
    };
    let (mut evicted, mut replaced) = (Vec::new(), Vec::new());
    let (mut arrived, mut answered) = (Vec::new(), Vec::new());
    let (mut by_application, mut rested) = (Vec::new(), Vec::new());
    let mut by_run = vec![Vec::new(); arguments.runs.get()];
    let mut names = BTreeSet::new();
    for incident in &incidents {
        let status = &incident["status"];
        if status["response"]["action"] != "Evict" {
            continue;
        }
        let detected = time(&incident["spec"]["execTime"])?;
        let since = |end: Timestamp| Duration::try_from(end.duration_since(detected));
        let accepted = time(&status["response"]["time"])?;
        let pod = incident["spec"]["pod"]["uid"].as_str().unwrap_or_default();
        if attacks.rested.contains(pod) {
            rested.push(since(accepted)?);
            continue;
        }
        if attacks.by_application.contains(pod) {
            by_application.push(since(accepted)?);
            continue;
        }
        let taken = since(accepted)?;
        evicted.push(taken);
        if let Some(run) = attacks.runs.get(pod).and_then(|run| by_run.get_mut(*run)) {
            run.push(taken);
        }
        let name = incident["metadata"]["name"].as_str();
        names.extend(name);
        if let Some(seen) = name.and_then(|name| seen.get(name)) {
            arrived.push(since(*seen)?);
            // The controller can be ahead of this watcher.
            let took = Duration::try_from(accepted.duration_since(*seen));
            answered.push(took.unwrap_or(Duration::ZERO));
        }
        let replacement = status["replacement"]["uid"].as_str();
        if let Some(ready) = replacement.and_then(|uid| ready.get(uid)) {
            replaced.push(since(*ready)?);
        }
    }
    let mut lines = log(arguments)?;
    lines.retain(|line| line["incident"].as_str().is_some_and(|i| names.contains(i)));
    Ok(Measured {
        execs: arguments.execs,
        wanted: arguments.execs + arguments.by_application + arguments.rested,
        pods: REPLICAS,
        incidents: incidents.len(),
        evicted: Summary::of(evicted)?,
        arrived: Summary::of(arrived)?,
        answered: Summary::of(answered)?,
        replaced: Summary::of(replaced)?,
        read: Summary::of(steps(&lines, "read_ms"))?,
        request: Summary::of(steps(&lines, "request_ms"))?,
        create: Summary::of(attacks.creates)?,
        times_floor: TimesFloor::of(by_run, &attacks.floors)?,
        floor: Summary::of(attacks.floors.concat())?,
        by_application: (arguments.by_application > 0)
            .then(|| Summary::of(by_application))
            .transpose()?,
        rested: (arguments.rested > 0)
            .then(|| Summary::of(rested))
            .transpose()?,
        served_within: served.within_ms(99),
        machine: summary::machine()?,
    })
}

/// What the controllers say of the answers that they gave.
fn log(arguments: &Arguments) -> Result<Vec<Value>> {
    let text = arguments.kubectl(&[
        "logs",
        "-n",
        "bailiff-system",
        "-l",
        "app.kubernetes.io/component=controller",
        "--tail=-1",
        "--prefix=false",
    ])?;
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let evicted = |line: &Value| line["outcome"] == "Evicted" && line["namespace"] == NAMESPACE;
    Ok(lines.filter(evicted).collect())
}

/// How long a step took, by what the log calls it.
fn steps(lines: &[Value], field: &str) -> Vec<Duration> {
    lines
        .iter()
        .filter_map(|line| line[field].as_f64())
        .map(|ms| Duration::from_secs_f64(ms / 1000.0))
        .collect()
}
