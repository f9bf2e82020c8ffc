//! The cluster of a measurement, through kubectl.
//!
//! Here: objects, tokens, memory. Not here: what is measured with them (`main`).
//! Invariant: every request goes to the cluster of the kubeconfig.

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use kube::Client;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The namespace that Bailiff runs in.
pub(crate) const BAILIFF: &str = "bailiff-system";
/// The port of the controller's metrics.
const PORT: u16 = 8080;
/// The metric of the Incidents that wait.
const WAITING: &str = "bailiff_controller_incidents_waiting{reason=\"";
/// How long a response can take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cluster.
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
}

impl Cluster {
    pub(crate) fn new(kubeconfig: &Path) -> Self {
        let kubeconfig = kubeconfig.to_owned();
        Self { kubeconfig }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments);
        command
    }

    /// Runs kubectl; what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output();
        let output = output.context("cannot run kubectl; `make tools` builds it")?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Applies a manifest.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        let mut kubectl = self
            .command(&["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut stdin = kubectl.stdin.take().context("kubectl takes no input")?;
        stdin.write_all(manifest.as_bytes())?;
        drop(stdin);
        ensure!(kubectl.wait()?.success(), "kubectl apply failed");
        Ok(())
    }

    /// One object.
    pub(crate) fn get(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The pods of a namespace with a label that are not terminating.
    pub(crate) fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Value>> {
        let mut list = self.get(&["pods", "-n", namespace, "-l", labels])?;
        let Value::Array(mut pods) = list["items"].take() else {
            bail!("kubectl printed no list")
        };
        pods.retain(|pod| {
            pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
        });
        Ok(pods)
    }

    /// The pod of the controller that leads.
    pub(crate) fn leader(&self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lease = self.get(&["lease", "-n", BAILIFF, "bailiff-controller"])?;
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            if !holder.is_empty() {
                return Ok(holder.to_owned());
            }
            ensure!(Instant::now() < deadline, "no controller leads");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// How many Incidents wait, by the reason of the condition Responded, as the controller that leads counts
    /// them: a list of thousands of Incidents would take the CPU that is measured.
    pub(crate) fn waiting(&self) -> Result<BTreeMap<String, usize>> {
        let leader = self.leader()?;
        let raw = format!("/api/v1/namespaces/{BAILIFF}/pods/{leader}:{PORT}/proxy/metrics");
        waiting(&self.kubectl(&["get", "--raw", &raw])?)
    }

    /// Memory of the controller that leads, in MiB. A pod that has just started has no statistics yet: they are
    /// waited for.
    pub(crate) fn controller_mib(&self) -> Result<f64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader()?;
            let pod = self.get(&["pod", "-n", BAILIFF, &leader])?;
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            let raw = format!("/api/v1/nodes/{node}/proxy/stats/summary");
            let summary: Value = serde_json::from_str(&self.kubectl(&["get", "--raw", &raw])?)?;
            let pods = summary["pods"]
                .as_array()
                .context("no statistics of pods")?;
            let found = pods.iter().find(|pod| pod["podRef"]["name"] == *leader);
            let bytes = found.and_then(|pod| pod["memory"]["workingSetBytes"].as_f64());
            if let Some(bytes) = bytes.filter(|bytes| *bytes > 0.0) {
                return Ok(bytes / f64::from(1 << 20));
            }
            ensure!(
                Instant::now() < deadline,
                "the kubelet of {node} has no statistics of the pod {leader}"
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// From the exec of a pod's violation to the accepted Eviction, in milliseconds.
    pub(crate) fn response_time(&self, namespace: &str, pod_uid: &str) -> Result<f64> {
        let deadline = Instant::now() + PATIENCE;
        let labels = format!("bailiff.dev/pod-uid={pod_uid}");
        loop {
            let list = self.get(&["incidents", "-n", namespace, "-l", &labels])?;
            let items = list["items"].as_array().into_iter().flatten();
            for incident in items {
                let status = &incident["status"];
                if status["response"]["action"] != "Evict" {
                    continue;
                }
                let time = |value: &Value| -> Result<Timestamp> {
                    Ok(value.as_str().context("a time is missing")?.parse()?)
                };
                let taken = time(&status["response"]["time"])?
                    .duration_since(time(&incident["spec"]["execTime"])?);
                return Ok(taken.as_secs_f64() * 1000.0);
            }
            ensure!(
                Instant::now() < deadline,
                "no pod was evicted within {} s",
                PATIENCE.as_secs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A token of the sensor of a node, bound to its pod.
    pub(crate) fn sensor_token(&self, node: &str) -> Result<String> {
        let pods = self.pods(BAILIFF, "app.kubernetes.io/component=sensor")?;
        let pod = pods.iter().find(|pod| pod["spec"]["nodeName"] == *node);
        let metadata = &pod.context("no sensor runs on a node")?["metadata"];
        let token = self.kubectl(&[
            "create",
            "token",
            "bailiff-sensor",
            "-n",
            BAILIFF,
            "--duration=2h",
            "--bound-object-kind=Pod",
            "--bound-object-name",
            metadata["name"].as_str().unwrap_or_default(),
            "--bound-object-uid",
            metadata["uid"].as_str().unwrap_or_default(),
        ])?;
        Ok(token.trim().to_owned())
    }

    /// A client with a token.
    pub(crate) async fn client_with(&self, token: &str) -> Result<Client> {
        let mut file = Kubeconfig::read_from(&self.kubeconfig)?;
        for user in &mut file.auth_infos {
            user.auth_info = Some(AuthInfo {
                token: Some(token.to_owned().into()),
                ..AuthInfo::default()
            });
        }
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
        Ok(Client::try_from(config)?)
    }
}

/// The Incidents that wait, by reason, of the controller's metrics.
fn waiting(metrics: &str) -> Result<BTreeMap<String, usize>> {
    let lines = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(WAITING));
    let waiting = lines.map(|line| {
        let (reason, count) = line.split_once("\"} ").context("a metric has no reason")?;
        let count = count.trim().parse().context("a metric is no number")?;
        Ok((reason.to_owned(), count))
    });
    waiting.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_that_wait_are_counted_by_reason() -> Result<()> {
        let metrics = "# HELP bailiff_controller_incidents_waiting Incidents.\n\
            bailiff_controller_incidents_waiting{reason=\"Cooldown\"} 9999\n\
            bailiff_controller_incidents_waiting{reason=\"RateLimited\"} 1\n\
            bailiff_controller_oldest_waiting_seconds{reason=\"Cooldown\"} 7\n";
        let found = waiting(metrics)?;
        let want = [("Cooldown", 9999), ("RateLimited", 1)];
        assert_eq!(found, want.map(|(reason, n)| (reason.to_owned(), n)).into());
        assert!(waiting("bailiff_controller_incidents_waiting{reason=\"Cooldown\"} many").is_err());
        Ok(())
    }
}
