//! Measures the controller with many Incidents that wait, on a cluster where Bailiff is installed.
//!
//! Here: Incidents as stolen tokens of sensors would write them, memory as the kubelet counts it, and
//! responses elsewhere. Not here: the cluster (`hack/bench-cluster.sh`), the way of a single exec
//! (`bailiff-bench`).
//! Invariant: a bound and whether it was met stand on the same line.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command that runs for minutes says how far it is, and prints a part of a page"
)]

mod cluster;

use anyhow::{Context as _, Result, ensure};
use bailiff_api::incident_name;
use clap::Parser;
use cluster::Cluster;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where everything waits.
const HELD: &str = "bailiff-bench-held";
/// Where responses are measured.
const ELSEWHERE: &str = "bailiff-bench";
/// Requests at the same time.
const WRITERS: usize = 16;
/// How long the controller has to take in everything.
const PATIENCE: Duration = Duration::from_mins(20);
/// How long its memory is watched.
const WATCHED: Duration = Duration::from_mins(1);

/// Most memory of the controller.
const BOUND_MIB: f64 = 128.0;
/// Most time from exec to Eviction.
const BOUND_MS: f64 = 1000.0;

/// Measures the controller with many Incidents that wait, and prints that part of the page.
#[derive(Parser)]
struct Arguments {
    /// The cluster.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Number of Incidents that wait.
    #[arg(long, default_value_t = 10_000)]
    incidents: usize,
    /// Number of responses elsewhere.
    #[arg(long, default_value_t = 20)]
    execs: usize,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cluster = Cluster::new(&arguments.kubeconfig);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let alone = cluster.controller_mib()?;
    let policy = hold(&cluster)?;
    let began = Instant::now();
    runtime.block_on(create(&cluster, &arguments, &policy))?;
    wait_for_all(&cluster, arguments.incidents)?;
    eprintln!("all wait after {} s", began.elapsed().as_secs());
    let most = most_memory(&cluster)?;
    let taken = respond_elsewhere(&cluster, arguments.execs)?;

    let leader = cluster.leader()?;
    cluster.kubectl(&["-n", cluster::BAILIFF, "delete", "pod", &leader])?;
    let started = Instant::now();
    let after = respond_elsewhere(&cluster, 1)?;
    let handed_over = started.elapsed();
    let most_after = most_memory(&cluster)?;
    print!(
        "{}",
        page(
            &arguments,
            alone,
            most,
            &taken,
            handed_over,
            &after,
            most_after
        )
    );
    Ok(())
}

/// A Deployment whose workload has its cooldown; the policy that its pods violate.
fn hold(cluster: &Cluster) -> Result<Value> {
    cluster.apply(&format!(
        r"
apiVersion: v1
kind: Namespace
metadata: {{name: {HELD}}}
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicy
metadata: {{name: held}}
spec: {{validations: [{{expression: '!(''cat'' in process.names)'}}]}}
---
apiVersion: bailiff.dev/v1alpha1
kind: RuntimePolicyBinding
metadata: {{name: held}}
spec:
  policyName: held
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {HELD}}}}}}}
  responseActions: [Evict]
  guardrails: {{cooldownPeriodSeconds: 3600}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: held, namespace: {HELD}}}
spec:
  replicas: 20
  selector: {{matchLabels: {{app: held}}}}
  template:
    metadata: {{labels: {{app: held}}}}
    spec:
      containers:
      - name: web
        image: bailiff.dev/testbed/busybox:1
        command: [sh, -c, 'trap ''exit 0'' TERM; while :; do sleep 3600 & wait; done']
"
    ))?;
    cluster.kubectl(&[
        "wait",
        "--for=condition=Ready",
        "runtimepolicybinding/held",
        "--timeout=2m",
    ])?;
    let rollout = [
        "-n",
        HELD,
        "rollout",
        "status",
        "deployment/held",
        "--timeout=3m",
    ];
    cluster.kubectl(&rollout)?;
    let pods = cluster.pods(HELD, "app=held")?;
    let first = pods.first().context("no pod of the Deployment runs")?;
    let name = first["metadata"]["name"].as_str().unwrap_or_default();
    cluster.kubectl(&["-n", HELD, "exec", name, "--", "cat", "/etc/hostname"])?;
    let uid = first["metadata"]["uid"].as_str().unwrap_or_default();
    cluster.response_time(HELD, uid)?;
    cluster.kubectl(&rollout)?;
    cluster.get(&["runtimepolicy", "held"])
}

/// Creates the Incidents, each about a pod of the Deployment, with the token of its node's sensor.
async fn create(cluster: &Cluster, arguments: &Arguments, policy: &Value) -> Result<()> {
    let binding = cluster.get(&["runtimepolicybinding", "held"])?;
    let mut writers = Vec::new();
    for pod in cluster.pods(HELD, "app=held")? {
        let node = pod["spec"]["nodeName"]
            .as_str()
            .context("a pod has no node")?;
        let token = cluster.sensor_token(node)?;
        writers.push((pod.clone(), cluster.client_with(&token).await?));
    }
    ensure!(!writers.is_empty(), "no pod of the Deployment runs");
    let one = |index: usize| {
        let (pod, client) = &writers[index % writers.len()];
        create_one(client.clone(), incident(pod, policy, &binding, index))
    };
    let mut done = 0;
    let mut creating =
        futures::stream::iter((0..arguments.incidents).map(one)).buffer_unordered(WRITERS);
    while let Some(created) = creating.next().await {
        created?;
        done += 1;
        if done % 1000 == 0 {
            eprintln!("{done} of {} Incidents", arguments.incidents);
        }
    }
    Ok(())
}

async fn create_one(client: Client, incident: Value) -> Result<()> {
    let api: Api<bailiff_api::Incident> = Api::namespaced(client, HELD);
    api.create(&PostParams::default(), &serde_json::from_value(incident)?)
        .await
        .context("cannot create an Incident with the token of a sensor")?;
    Ok(())
}

/// An Incident as a sensor writes it; each has a name of its own.
fn incident(pod: &Value, policy: &Value, binding: &Value, index: usize) -> Value {
    let metadata = &pod["metadata"];
    let (uid, node) = (
        metadata["uid"].as_str().unwrap_or_default(),
        pod["spec"]["nodeName"].as_str().unwrap_or_default(),
    );
    let now = Timestamp::now().to_string();
    let container = &pod["status"]["containerStatuses"][0];
    json!({
        "apiVersion": "bailiff.dev/v1alpha1",
        "kind": "Incident",
        "metadata": {
            "name": incident_name(uid, &format!("held-{index}"), node),
            "labels": {"bailiff.dev/policy": "held", "bailiff.dev/node": node, "bailiff.dev/pod-uid": uid},
        },
        "spec": {
            "type": "Violation",
            "severity": "Medium",
            "policyRef": {
                "name": "held", "uid": policy["metadata"]["uid"], "generation": policy["metadata"]["generation"],
            },
            "bindingRefs": [{"name": "held", "uid": binding["metadata"]["uid"]}],
            "nodeName": node,
            "pod": {"name": metadata["name"], "namespace": HELD, "uid": uid},
            "container": {"name": "web", "image": container["image"], "imageID": container["imageID"], "id": container["containerID"]},
            "process": {
                "executable": "/bin/busybox", "invokedPath": "/bin/cat", "names": ["busybox", "cat"],
                "args": ["cat", "x".repeat(512)],
                "executableSource": "Image", "origin": "Exec", "uid": 0, "gid": 0, "pid": 1, "startTime": now,
            },
            "violations": [{"expressionIndex": 0, "message": "held"}],
            "execTime": now,
        },
    })
}

/// Waits until the controller has reported of each that it waits for the cooldown.
fn wait_for_all(cluster: &Cluster, incidents: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = cluster.waiting()?;
        let in_cooldown = waiting.get("Cooldown").copied().unwrap_or_default();
        eprintln!("{in_cooldown} wait");
        if in_cooldown >= incidents {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{in_cooldown} of {incidents} Incidents wait for the cooldown; all that wait: {waiting:?}"
        );
        std::thread::sleep(Duration::from_secs(5));
    }
}

/// The most memory of the leader within a minute, in MiB.
fn most_memory(cluster: &Cluster) -> Result<f64> {
    let until = Instant::now() + WATCHED;
    let mut most = 0.0_f64;
    while Instant::now() < until {
        most = most.max(cluster.controller_mib()?);
        std::thread::sleep(Duration::from_secs(5));
    }
    Ok(most)
}

/// Shells in pods of another namespace, one after the other; from exec to Eviction, in milliseconds.
fn respond_elsewhere(cluster: &Cluster, execs: usize) -> Result<Vec<f64>> {
    let mut taken = Vec::new();
    for _ in 0..execs {
        let rollout = [
            "-n",
            ELSEWHERE,
            "rollout",
            "status",
            "deployment/web",
            "--timeout=3m",
        ];
        cluster.kubectl(&rollout)?;
        let pods = cluster.pods(ELSEWHERE, "app=web")?;
        let pod = pods.first().context("no pod of deployment web runs")?;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        // The shell ends with its pod, or at once.
        drop(cluster.kubectl(&["-n", ELSEWHERE, "exec", name, "--", "sh", "-c", "exit 0"]));
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        taken.push(cluster.response_time(ELSEWHERE, uid)?);
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken)
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn page(
    arguments: &Arguments,
    alone: f64,
    most: f64,
    taken: &[f64],
    handed_over: Duration,
    after: &[f64],
    most_after: f64,
) -> String {
    let median = taken.get(taken.len() / 2).copied().unwrap_or(f64::NAN);
    let slowest = taken.last().copied().unwrap_or(f64::NAN);
    let after = after.last().copied().unwrap_or(f64::NAN);
    let memory = most.max(most_after);
    format!(
        "## Waiting Incidents\n\n\
         {} Incidents of a Deployment in its cooldown wait; then {} shells by exec in another namespace, and one after the leader was deleted. Memory is the working set of the leader as its kubelet counts it.\n\n\
         | | |\n| --- | --- |\n\
         | memory before | {alone:.0} MiB |\n\
         | most memory within a minute, while all wait | {most:.0} MiB |\n\
         | most memory of the next leader | {most_after:.0} MiB |\n\
         | exec to Eviction accepted elsewhere, p50 | {median:.0} ms |\n\
         | the slowest | {slowest:.0} ms |\n\
         | exec to Eviction accepted after the leader was deleted, which includes the new leader's start | {after:.0} ms |\n\
         | from the deletion to that response | {:.1} s |\n\n\
         - controller under {BOUND_MIB:.0} MiB: {memory:.0} MiB, {}\n\
         - a violation elsewhere has its response within {BOUND_MS:.0} ms: {slowest:.0} ms, {}\n",
        arguments.incidents,
        arguments.execs,
        handed_over.as_secs_f64(),
        verdict(memory < BOUND_MIB),
        verdict(slowest <= BOUND_MS),
    )
}
