//! Processes that run already when the sensor first learns of them.
//!
//! Here: whose they are, evaluating policies for them, and the search for them. Not here: what is unknown of them
//! (`bailiff_policy`), when the search is due (`search`).
//! Invariant: policies are evaluated once for a process that the process table does not know to run the same; it is
//! reported with a type of its own, which has no response.

use super::asked::uptime;
use super::search::Progress;
use super::waiting::PendingExec;
use super::{Claim, State, booted};
use crate::cluster::gaps::Gap;
use crate::judge::{StartedProcess, exec_of_found, exec_of_running, since_boot, summary_of_found};
use crate::kernel::record::Found;
use crate::kernel::running::{Search, SearchError};
use crate::metrics::{NotEvaluated, Skipped};
use crate::process::identity::identity;
use crate::process::tree::Place;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

impl State {
    /// A process runs that was not seen to start.
    pub(super) async fn found(&mut self, found: Found) {
        let Some(identity) = identity(&found.cgroup) else {
            let reason = NotEvaluated::UnrecognizedCgroup;
            return self.metrics.not_evaluated(reason, 1);
        };
        let own = self.kubelet_cgroup.as_ref();
        if own.is_some_and(|own| *own != identity.kubelet) {
            return self.metrics.skipped(Skipped::OtherNode);
        }
        let claim = Claim {
            process: found.process,
            membership: found.membership,
            mount_namespace: found.mount_namespace,
        };
        let place = match self.tree.place_of(found.process, found.parent) {
            // Also where the cgroup names another pod: what it executes is ambiguous then.
            Some(place) => Some(place),
            None if self.pod_matches(claim, None, &identity.pod_uid) => Some(Arc::new(Place {
                identity: identity.clone(),
                application: false,
            })),
            None => None,
        };
        let Some(place) = place else {
            return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1);
        };
        let summary = Arc::new(summary_of_found(&found));
        let learned = self
            .tree
            .found(Arc::clone(&place), &found, Arc::clone(&summary));
        let Some(lineage) = learned else {
            return;
        };
        if place.identity.pod_uid != identity.pod_uid {
            return self.metrics.not_evaluated(NotEvaluated::AmbiguousPod, 1);
        }
        self.metrics.running_processes.inc();
        let (booted, now) = (booted(), Timestamp::now());
        let waiting = PendingExec {
            started: StartedProcess {
                kubelet: identity.kubelet,
                pod_uid: identity.pod_uid,
                container_id: identity.container_id,
                place,
                time: since_boot(booted, found.time),
                exec: Arc::new(exec_of_found(found)),
                found_running: true,
                summary,
                lineage,
                booted,
            },
            evaluated: Vec::new(),
            only: None,
            until: self.until(now),
        };
        self.try_evaluate(waiting, now, None).await;
    }

    /// A policy is to be evaluated for the processes that run. At the start, each of them is evaluated when it is found.
    pub(super) fn ask(&mut self, policy_uid: Option<String>) {
        if let Some(uid) = policy_uid.filter(|_| self.synced()) {
            self.asked.ask(uid, uptime(), Instant::now());
        }
    }

    /// Evaluates the policies that ask for it, for some of the processes that run.
    pub(super) async fn evaluate_asked(&mut self, now: Instant) {
        let tree = &self.tree;
        for process in self.asked.take(now, || tree.processes()) {
            let Some(running) = self.tree.running(process) else {
                continue;
            };
            let only = self.asked.for_program_since(running.since);
            if only.is_empty() {
                continue;
            }
            let identity = running.place.identity.clone();
            let (booted, now) = (booted(), Timestamp::now());
            let waiting = PendingExec {
                started: StartedProcess {
                    kubelet: identity.kubelet,
                    pod_uid: identity.pod_uid,
                    container_id: identity.container_id,
                    time: now,
                    exec: Arc::new(exec_of_running(process, &running)),
                    place: running.place,
                    found_running: true,
                    summary: running.summary,
                    lineage: running.lineage,
                    booted,
                },
                evaluated: Vec::new(),
                only: Some(only),
                until: self.until(now),
            };
            self.try_evaluate(waiting, now, None).await;
        }
    }

    /// Searches for processes that run already, if a search is due. One run finds a bounded number of them.
    pub(crate) fn search_running(
        &mut self,
        now: Instant,
        run: impl FnOnce() -> Result<Search, SearchError>,
    ) {
        // Before, what is found would wait for its pod, and much of it for nothing.
        if !self.synced() || !self.search.is_due(now) {
            return;
        }
        match self.search.ran(run(), now) {
            Progress::Continues => {}
            Progress::Complete { told } => {
                self.gaps.clear(Gap::RunningProcesses);
                if told > 0 {
                    tracing::info!(processes = told, "Found processes that already ran");
                }
            }
            Progress::Incomplete { cause } => {
                self.gaps.clear(Gap::RunningProcesses);
                self.gaps.add(Gap::RunningProcesses, &cause);
            }
        }
    }
}
