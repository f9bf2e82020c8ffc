//! Processes that wait for their pod, or for their container's status.
//!
//! Here: what is kept of one, giving it up, trying it again. Not here: the queue and its bounds (`pending`), evaluating
//! (`state/evaluation`).
//! Invariant: each process that is given up is counted, and the pod of one that had no room is reported.

use super::State;
use crate::cluster::gaps::Gap;
use crate::judge::StartedProcess;
use crate::metrics::NotEvaluated;
use jiff::Timestamp;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// A process that waits.
pub(super) struct PendingExec {
    pub(super) started: StartedProcess,
    /// UIDs of the policies that were evaluated.
    pub(super) evaluated: Vec<String>,
    /// UIDs of the policies that are evaluated; absent: all that match.
    pub(super) only: Option<BTreeSet<String>>,
    pub(super) until: Timestamp,
}

impl PendingExec {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> usize {
        let exec = &self.started.exec;
        let texts = [
            &exec.cgroup,
            &exec.executable,
            &exec.filename,
            &exec.working_directory,
        ];
        let script = exec.script.iter().map(|script| &script.path);
        let texts = texts.into_iter().chain(script).chain(&exec.interpreter);
        let texts = texts
            .chain(&self.evaluated)
            .chain(self.only.iter().flatten())
            .chain(&self.started.summary.names);
        let args = [&exec.args, &exec.args_tail].map(|args| args.joined().len());
        texts
            .map(String::len)
            .chain(args)
            .fold(2048, usize::saturating_add)
    }
}

impl State {
    /// Until when a process waits that is first looked at now.
    pub(super) fn until(&self, now: Timestamp) -> Timestamp {
        let until = now.checked_add(self.pod_lookup_timeout);
        until.unwrap_or(Timestamp::MAX)
    }

    pub(super) fn wait(&mut self, waiting: PendingExec, now: Timestamp) {
        let uid = waiting.started.pod_uid.clone();
        if now >= waiting.until {
            self.metrics.not_evaluated(NotEvaluated::PodUnknown, 1);
            tracing::warn!(
                uid,
                "Process was not evaluated: its pod did not become known in time"
            );
            return;
        }
        let pod = self.pods.get(&uid);
        let namespace = pod.map(|pod| pod.namespace.as_str());
        let dropped = self.pending.push(&uid, namespace, waiting.bytes(), waiting);
        for uid in dropped {
            self.metrics.not_evaluated(NotEvaluated::QueueFull, 1);
            let pod = self.pods.get(&uid);
            let name = pod.map(|pod| format!("pod {}/{}", pod.namespace, pod.name));
            let name = name.unwrap_or_else(|| format!("pod with UID {uid}"));
            self.gaps.add(Gap::QueueFull, &name);
            self.queue_full = Some(Instant::now());
        }
    }

    /// Tries again what waits for a pod; of all pods: for those that are known, and where the oldest has waited long
    /// enough.
    pub(super) async fn retry(&mut self, pod_uid: Option<&str>) {
        let now = Timestamp::now();
        let pods = &self.pods;
        let tried = self.pending.take(|waits_for, oldest| {
            let pod = pods.get(waits_for);
            match pod_uid {
                Some(uid) => pod.is_some_and(|pod| pod.uid == uid),
                None => pod.is_some() || now >= oldest.until,
            }
        });
        for waiting in tried {
            self.try_evaluate(waiting, now, None).await;
        }
    }
}
