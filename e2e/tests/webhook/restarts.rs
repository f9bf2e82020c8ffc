//! Replicas of the webhook that go while pods are created.

use super::load::{Answers, CLIENTS, during};
use super::{REPLICAS, begin_alone};
use bailiff_e2e::images::{bind, until_pinned};
use bailiff_e2e::{NAMESPACE, Story};
use bailiff_testbed::Cluster;
use serde_json::Value;

/// Pods that are admitted after each change, at least.
const AFTER: usize = 100;

/// A story with a policy that pins, and an image. Without an answer of the registry in time, which a busy
/// machine can take, the pod is admitted: what is not, was not reviewed.
fn begin(name: &str) -> (Story, String) {
    let story = begin_alone(name);
    let registry = story.registry();
    let web = registry.repository("web");
    let digest = registry.push("web", "1", "first");
    bind(&story, "digest: {pin: true}, onPending: Allow", "Deny");
    let tag = format!("{web}:1");
    let _text = until_pinned(&story, &tag, &format!("{web}@{digest}"));
    (story, tag)
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

#[test]
fn a_rolling_restart_and_a_deleted_replica_lose_no_review() {
    let (story, tag) = begin("restarts");
    let Answers { admitted, failed } = during(&story, &tag, AFTER, || {
        let deployment = ["deployment/bailiff-webhook", "-n", NAMESPACE];
        for rollout in [&["restart"][..], &["status", "--timeout=300s"]] {
            let arguments = [&["rollout"], rollout, &deployment].concat();
            let _done = story.cluster.kubectl(&arguments);
        }
        // While the replicas of before are stopping, one of the new ones goes.
        let pods = story.webhook_pods();
        let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        let pod = pods.iter().find(stays).unwrap();
        let delete = ["delete", "pod", name(pod), "-n", NAMESPACE];
        let _deleted = story.cluster.kubectl(&delete);
        story.webhook_settles(REPLICAS);
    });
    assert_eq!(failed, Vec::<String>::new());
    assert!(admitted >= AFTER, "{admitted}");
    eprintln!("{admitted} pods were admitted meanwhile");
    story.end();
}

/// Why a pod failed while a replica was gone.
#[derive(Debug, Default)]
struct Lost {
    /// Its review was in flight.
    cut: usize,
    /// The API server went on calling the replica, until the kubelet had reported that it is gone.
    refused: usize,
    /// One of both happened to the entry that pins, which the entry that denies then notices.
    unpinned: usize,
    /// For another reason.
    others: Vec<String>,
}

impl Lost {
    fn of(failed: &[String]) -> Self {
        let mut lost = Self::default();
        for why in failed {
            let has = |part: &str| why.contains(part);
            let is_call = has("failed calling webhook \"pods.bailiff.dev\"");
            let is_cut = has("EOF") || has("connection reset by peer") || has("broken pipe");
            if is_call && is_cut {
                lost.cut += 1;
            } else if is_call && has("connection refused") {
                lost.refused += 1;
            } else if has("whose tag was not replaced by a digest") {
                lost.unpinned += 1;
            } else {
                lost.others.push(why.clone());
            }
        }
        lost
    }
}

#[test]
fn a_replica_that_is_killed_loses_only_what_it_was_asked() {
    let (story, tag) = begin("killed");
    let pod = story.webhook_pods().swap_remove(0);
    let status = &pod["status"]["containerStatuses"][0];
    let id = status["containerID"].as_str().unwrap();
    let id = id.strip_prefix("containerd://").unwrap();
    let node = pod["spec"]["nodeName"].as_str().unwrap();
    let restarts = status["restartCount"].as_u64().unwrap() + 1;
    let mut connections = 0;
    let Answers { admitted, failed } = during(&story, &tag, AFTER, || {
        connections = story.webhook_counts("bailiff_webhook_connections");
        let cluster = Cluster::running().unwrap();
        cluster.kill_container(node, id).unwrap();
        let pod = ["pod", name(&pod), "-n", NAMESPACE];
        let restarted =
            format!("jsonpath={{.status.containerStatuses[0].restartCount}}={restarts}");
        story.cluster.wait(&restarted, &pod);
        story.cluster.wait("condition=Ready", &pod);
        story.webhook_settles(REPLICAS);
    });
    let lost = Lost::of(&failed);
    eprintln!("{admitted} pods were admitted meanwhile; lost: {lost:?}");
    assert_eq!(lost.others, Vec::<String>::new());
    // A connection carries one review, and each client could have opened another one meanwhile.
    assert!(lost.cut <= usize::try_from(connections).unwrap() + CLIENTS);
    // Nothing of it stays.
    let after = during(&story, &tag, AFTER, || {});
    assert_eq!(after.failed, Vec::<String>::new());
    story.end();
}
