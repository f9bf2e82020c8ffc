//! Measures the way of an exec on a cluster where Bailiff is installed, and writes it down.
//!
//! Here: the execs, the peer (creating an object), the page of results. Not here: the cluster
//! (`hack/bench.sh`).
//! Invariant: what is compared was measured in the same run; a bound that is missed is printed
//! as missed.

#![allow(
    clippy::print_stderr,
    reason = "a command that runs for minutes says how far it is"
)]

mod summary;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use summary::{Measured, Summary};

/// Least time between two execs: a sensor writes at most five times a second, and what is
/// measured is the way of one, not the queue before it.
const PACE: Duration = Duration::from_millis(300);
/// Pods that take turns.
const REPLICAS: usize = 20;
const NAMESPACE: &str = "bailiff-bench";

/// Measures exec to Eviction, and writes the page.
#[derive(Parser)]
struct Arguments {
    /// The cluster.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Number of execs.
    #[arg(long, default_value_t = 500)]
    execs: usize,
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let half = arguments.execs / 2;
    // Before and after, so that a machine that becomes slower meanwhile is noticed on both sides.
    let mut creates = runtime.block_on(create_objects(&arguments, "before", half))?;
    attack(&arguments)?;
    creates.extend(runtime.block_on(create_objects(&arguments, "after", half))?);
    let measured = read(&arguments, creates)?;
    std::fs::write(&arguments.output, measured.page())
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    eprintln!("wrote {}", arguments.output.display());
    Ok(())
}

/// How long each creation of a small object takes, on a connection that stays open.
async fn create_objects(
    arguments: &Arguments,
    prefix: &str,
    count: usize,
) -> Result<Vec<Duration>> {
    let file = Kubeconfig::read_from(&arguments.kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let api: Api<ConfigMap> = Api::namespaced(kube::Client::try_from(config)?, NAMESPACE);
    let mut taken = Vec::with_capacity(count);
    for index in 0..count {
        let object = serde_json::from_value(json!({
            "metadata": {"name": format!("{prefix}-{index}")},
            "data": {"text": "x".repeat(1024)},
        }))?;
        let started = Instant::now();
        api.create(&PostParams::default(), &object).await?;
        taken.push(started.elapsed());
    }
    Ok(taken)
}

/// Runs a shell in one pod after the other, each pod once.
fn attack(arguments: &Arguments) -> Result<()> {
    let mut hit = BTreeSet::new();
    let mut next = Instant::now();
    while hit.len() < arguments.execs {
        arguments.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
        for pod in arguments.get(&["pods", "-l", "app=web"])? {
            let (Some(name), Some(uid)) = (
                pod["metadata"]["name"].as_str(),
                pod["metadata"]["uid"].as_str(),
            ) else {
                continue;
            };
            if hit.len() == arguments.execs
                || !pod["metadata"]["deletionTimestamp"].is_null()
                || hit.contains(uid)
            {
                continue;
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next = Instant::now() + PACE;
            arguments.kubectl(&["exec", name, "--", "sh", "-c", "true"])?;
            hit.insert(uid.to_owned());
            if hit.len() % 50 == 0 {
                eprintln!("{} of {} execs", hit.len(), arguments.execs);
            }
        }
    }
    all_answered(arguments)
}

/// Waits until every Incident has its answer. A replacement is not waited for: it may have been
/// a target itself before it was Ready.
fn all_answered(arguments: &Arguments) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        let incidents = arguments.get(&["incidents"])?;
        let answered = |incident: &&Value| incident["status"]["response"].is_object();
        if incidents.iter().filter(answered).count() >= arguments.execs {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    eprintln!("not every exec was answered within a minute; the page says how many were");
    Ok(())
}

fn read(arguments: &Arguments, creates: Vec<Duration>) -> Result<Measured> {
    let incidents = arguments.get(&["incidents"])?;
    let time = |value: &Value| -> Result<Timestamp> {
        Ok(value.as_str().context("a time is missing")?.parse()?)
    };
    let (mut evicted, mut replaced) = (Vec::new(), Vec::new());
    for incident in &incidents {
        let status = &incident["status"];
        if status["response"]["action"] != "Evict" {
            continue;
        }
        let detected = time(&incident["spec"]["detectedTime"])?;
        let since = |end: Timestamp| Duration::try_from(end.duration_since(detected));
        evicted.push(since(time(&status["response"]["time"])?)?);
        // Kubernetes tells of readiness to the second.
        if let Ok(ready) = time(&status["replacement"]["readyTime"]) {
            replaced.push(since(ready).unwrap_or(Duration::ZERO));
        }
    }
    Ok(Measured {
        execs: arguments.execs,
        pods: REPLICAS,
        incidents: incidents.len(),
        evicted: Summary::of(evicted)?,
        replaced: Summary::of(replaced)?,
        create: Summary::of(creates)?,
        machine: summary::machine()?,
    })
}
