//! The webhook's replicas, as stories see and change them.
//!
//! Here: scaling its Deployment, and back, and restarting all of it; its pods and what they count. Not here: what is expected of them.
//! Invariant: the replicas are the installation's again when a story ends, also one that fails.

use crate::cluster::Cluster;
use crate::installation::NAMESPACE;
use crate::story::Story;
use serde_json::Value;
use std::time::{Duration, Instant};

const DEPLOYMENT: &str = "deployment/bailiff-webhook";
const SELECTOR: &str = "app.kubernetes.io/component=webhook";

/// How long scaling may take: a terminating replica goes on answering for a while.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(500);

impl Story {
    /// Runs the webhook with so many replicas until what is returned is dropped. Returns when exactly
    /// these run. Other stories of the same test program must not run meanwhile.
    pub fn scale_webhook(&self, replicas: usize) -> Scaled {
        let deployment = ["get", DEPLOYMENT, "-n", NAMESPACE];
        let before = "-o=jsonpath={.spec.replicas}";
        let before = self.cluster.kubectl(&[&deployment[..], &[before]].concat());
        let scaled = Scaled {
            cluster: self.cluster.clone(),
            before: before.parse().unwrap(),
        };
        let failed = scale(&self.cluster, replicas);
        assert_eq!(failed, None);
        scaled
    }

    /// Deletes all pods of the webhook at once, and returns when as many others are ready.
    pub fn restart_webhook(&self) {
        let deployment = ["get", DEPLOYMENT, "-n", NAMESPACE];
        let replicas = "-o=jsonpath={.spec.replicas}";
        let replicas = [&deployment[..], &[replicas]].concat();
        let replicas = self.cluster.kubectl(&replicas).parse().unwrap();
        let _deleted = self
            .cluster
            .kubectl(&["delete", "pods", "-n", NAMESPACE, "-l", SELECTOR]);
        self.webhook_settles(replicas);
    }

    /// Waits until so many replicas run, all of them ready, and no pod of the webhook is terminating.
    pub fn webhook_settles(&self, replicas: usize) {
        let failed = settles(&self.cluster, replicas);
        assert_eq!(failed, None);
    }

    /// The pods of the webhook.
    #[must_use]
    pub fn webhook_pods(&self) -> Vec<Value> {
        let pods = self.cluster.get(&["pods", "-n", NAMESPACE, "-l", SELECTOR]);
        pods["items"].as_array().unwrap().clone()
    }

    /// A counter of the webhook, summed over its pods; `metric` with its labels as the pods write them.
    #[must_use]
    pub fn webhook_counts(&self, metric: &str) -> u64 {
        let line = format!("{metric} ");
        let of_pod = |pod: &Value| {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics");
            let text = self.cluster.kubectl(&["get", "--raw", &path]);
            let count = text.lines().find_map(|found| found.strip_prefix(&line));
            // A label that was not counted yet has no line.
            count.map_or(0, |count| count.trim().parse::<u64>().unwrap())
        };
        self.webhook_pods().iter().map(of_pod).sum()
    }
}

/// Scales, and waits until it has happened; what failed.
fn scale(cluster: &Cluster, replicas: usize) -> Option<String> {
    let number = format!("--replicas={replicas}");
    let output = cluster.try_kubectl(&["scale", DEPLOYMENT, "-n", NAMESPACE, &number]);
    if !output.success {
        return Some(output.stderr);
    }
    settles(cluster, replicas)
}

/// Waits until exactly so many pods are there and ready; what failed.
fn settles(cluster: &Cluster, replicas: usize) -> Option<String> {
    let pods = ["get", "pods", "-n", NAMESPACE, "-l", SELECTOR, "-o=json"];
    let deadline = Instant::now() + PATIENCE;
    loop {
        // A pod that is terminating still answers, and no status of the Deployment counts it.
        let output = cluster.try_kubectl(&pods);
        if output.success && are_ready(&output.stdout, replicas) {
            return None;
        }
        if Instant::now() >= deadline {
            return Some(format!(
                "not {replicas} replicas in {} s: {}{}",
                PATIENCE.as_secs(),
                output.stdout,
                output.stderr
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a list of pods has so many, all of them ready.
fn are_ready(pods: &str, replicas: usize) -> bool {
    let pods: Value = serde_json::from_str(pods).unwrap_or_default();
    let Some(pods) = pods["items"].as_array() else {
        return false;
    };
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    pods.len() == replicas && pods.iter().all(is_ready)
}

/// A number of replicas that ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Scaled {
    cluster: Cluster,
    before: usize,
}

impl Drop for Scaled {
    fn drop(&mut self) {
        if let Some(error) = scale(&self.cluster, self.before) {
            eprintln!("cannot scale the webhook back: {error}");
        }
    }
}
