//! Reports on the Node what is not monitored and what is lost, and on the sensor's pod what is not recorded.
//!
//! Here: these Events, and when they are repeated. Not here: finding out that nothing is monitored (`kernel`, `run`),
//! what is not evaluated (`cluster/gaps`), what is not recorded (`incident/unrecorded`), how much is lost (`losses`).
//! Invariant: as long as something is not monitored, an Event that is not older than [`NODE_NOT_MONITORED_INTERVAL`] says
//! so, or the API server accepts none.

use crate::incident::unrecorded::Unrecorded;
use crate::losses::{LossReports, Losses};
use crate::metrics::Metrics;
use bailiff_api::event::{self, NODE_NOT_MONITORED_INTERVAL};
use bailiff_api::keys;
use bailiff_kube::events::{EventSpec, Recorder, node_reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Least time between two Events about gaps, or about what was not recorded: tenants can make both.
const GAPS_PAUSE: Duration = Duration::from_mins(1);
/// How often it is looked whether more was lost.
const LOSSES_PAUSE: Duration = Duration::from_secs(10);
/// When an Event is tried again that could not be written: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// Most characters of a note: the API server takes 1,024 bytes, and a kernel's rejection of a program
/// is long (k8s.io/kubernetes v1.37, `pkg/apis/core/validation/events.go`).
const NOTE_LIMIT: usize = 900;

/// An error with everything that led to it.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    cause
}

/// Events of this sensor about its Node and its pod.
pub(crate) struct NodeEvents {
    node: String,
    recorder: Recorder,
}

impl NodeEvents {
    pub(crate) fn new(node: &str, pod_name: &str, client: kube::Client) -> Self {
        Self {
            node: node.to_owned(),
            recorder: Recorder::new(client, keys::REPORTING_SENSOR, pod_name.to_owned()),
        }
    }

    /// Reports that nothing is monitored, in the log and in Events, for as long as this is awaited.
    pub(crate) async fn report_not_monitored(&self, cause: &str) {
        tracing::error!(
            node = self.node,
            error = cause,
            "Cannot monitor processes of this node"
        );
        let note = format!(
            "Bailiff cannot monitor processes on this node and evaluates no policies here: {cause}"
        );
        let event = not_monitored(&self.node, &note);
        let mut count = 1;
        loop {
            self.publish(&event, count).await;
            count = count.saturating_add(1);
            tokio::time::sleep(NODE_NOT_MONITORED_INTERVAL).await;
        }
    }

    /// Reports what is lost, with the numbers since the sensor started, which is `since`, for as long as this is
    /// awaited. The note of an Event cannot be changed, so each report is an Event of its own, at growing intervals.
    pub(crate) async fn report_losses(self, metrics: Metrics, since: Timestamp) {
        let mut reports = LossReports::new(since, Instant::now());
        loop {
            tokio::time::sleep(LOSSES_PAUSE).await;
            let losses = Losses::of(&metrics);
            let Some(note) = reports.due(&losses, Instant::now()) else {
                continue;
            };
            let event = lost(&self.node, &note);
            let written = self.recorder.publish_series(&event, 1, Timestamp::now());
            match written.await {
                Ok(()) => reports.written(losses, Instant::now()),
                Err(error) => {
                    tracing::warn!(%error, note, "Cannot write an Event about losses; retrying");
                    reports.failed(Instant::now());
                }
            }
        }
    }

    /// Reports what is not evaluated: when it changes, again as long as it stays, and when it is over.
    pub(crate) async fn report_gaps(self, mut reports: watch::Receiver<Option<String>>) {
        let mut reported = false;
        loop {
            let note = reports.borrow_and_update().clone();
            let event = match &note {
                Some(note) => Some(not_monitored(&self.node, note)),
                None => reported.then(|| monitored(&self.node)),
            };
            if let Some(event) = event {
                self.publish(&event, 1).await;
                reported = note.is_some();
                tokio::time::sleep(GAPS_PAUSE).await;
            }
            let repeated = if reported {
                NODE_NOT_MONITORED_INTERVAL.saturating_sub(GAPS_PAUSE)
            } else {
                Duration::MAX
            };
            tokio::select! {
                changed = reports.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(repeated) => {}
            }
        }
    }

    /// Reports what could not be recorded, at most once a minute. The Event is about the sensor's pod: so it is
    /// in Bailiff's namespace, where no tenant can write one.
    pub(crate) async fn report_unrecorded(
        self,
        own_pod: ObjectReference,
        mut reports: watch::Receiver<Unrecorded>,
    ) {
        while reports.changed().await.is_ok() {
            let note = reports.borrow_and_update().note(&self.node);
            if let Some(note) = note {
                self.publish(&not_recorded(&own_pod, &note), 1).await;
                tokio::time::sleep(GAPS_PAUSE).await;
            }
        }
    }

    /// Writes an Event, as often as it takes.
    async fn publish(&self, event: &EventSpec, count: i32) {
        let mut retry = FIRST_RETRY;
        loop {
            let written = self.recorder.publish_series(event, count, Timestamp::now());
            match written.await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "Cannot write an Event; retrying");
                    tokio::time::sleep(retry).await;
                    retry = retry.saturating_mul(2).min(LAST_RETRY);
                }
            }
        }
    }
}

fn lost(node: &str, text: &str) -> EventSpec {
    EventSpec {
        reason: event::EVIDENCE_LOST,
        ..not_monitored(node, text)
    }
}

fn not_monitored(node: &str, text: &str) -> EventSpec {
    EventSpec {
        reason: event::NODE_NOT_MONITORED,
        action: "Monitoring",
        warning: true,
        note: text.chars().take(NOTE_LIMIT).collect(),
        regarding: node_reference(node),
        related: None,
    }
}

fn not_recorded(own_pod: &ObjectReference, note: &str) -> EventSpec {
    EventSpec {
        reason: event::INCIDENTS_NOT_RECORDED,
        action: "Recording",
        warning: true,
        note: note.chars().take(NOTE_LIMIT).collect(),
        regarding: own_pod.clone(),
        related: None,
    }
}

fn monitored(node: &str) -> EventSpec {
    EventSpec {
        reason: event::NODE_MONITORED,
        warning: false,
        ..not_monitored(
            node,
            "Bailiff evaluates the policies on this node without gaps again.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::NotRecorded;
    use bailiff_kube::events::pod_reference;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[test]
    fn a_long_cause_makes_no_note_that_is_rejected() {
        assert!(not_monitored("node-1", &"x".repeat(5000)).note.len() <= 1024);
    }

    fn event(note: &str) -> Call {
        let event = json!({
            "reason": "NodeNotMonitored", "action": "Monitoring",
            "regarding": {"uid": "node-1"}, "note": note,
        });
        Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(event)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_reported_until_it_is_accepted_and_reported_again() {
        let reported = || {
            event(
                "Bailiff cannot monitor processes on this node and evaluates no policies here: no BTF",
            )
        };
        let rejected = || reported().fails(503, "ServiceUnavailable", "not now");
        let again = |count: i32| reported().with(json!({"series": {"count": count}}));
        let rounds = [rejected(), rejected(), reported(), again(2), again(3)];
        let (server, client) = ApiServer::playing(rounds.map(|call| vec![call]));
        // A request that is too early is one too many, and one that is too late does not come.
        let events = NodeEvents::new("node-1", "sensor-x", client);
        let told = events.report_not_monitored("no BTF");
        let time = NODE_NOT_MONITORED_INTERVAL * 2 + Duration::from_secs(4);
        tokio::time::timeout(time, told).await.unwrap_err();
        server.finish();
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_reported_with_their_numbers_until_the_event_is_accepted() {
        use crate::metrics::NotEvaluated;
        let reported = |note: &str| {
            let event = json!({
                "reason": "EvidenceLost", "action": "Monitoring", "type": "Warning",
                "regarding": {"kind": "Node", "name": "node-1", "uid": "node-1"}, "note": note,
            });
            Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(event)
        };
        let note = |number: u64| {
            format!(
                "Bailiff lost {number} execs on this node since 2026-01-01T00:00:00Z. Execs: {number} because the ring buffer was full. For what to do, see the section BailiffExecsNotEvaluated of the runbook."
            )
        };
        let metrics = Metrics::default();
        let rounds = [
            reported(&note(3)).fails(503, "ServiceUnavailable", "not now"),
            reported(&note(3)),
            reported(&note(7)),
        ];
        let (server, client) = ApiServer::playing(rounds.map(|call| vec![call]));
        let events = NodeEvents::new("node-1", "sensor-x", client);
        let since = "2026-01-01T00:00:00Z".parse().unwrap();
        let reporting = tokio::spawn(events.report_losses(metrics.clone(), since));
        tokio::time::sleep(10 * LOSSES_PAUSE).await;
        metrics.not_evaluated(NotEvaluated::RingBufferFull, 3);
        tokio::time::sleep(2 * LOSSES_PAUSE).await;
        metrics.not_evaluated(NotEvaluated::RingBufferFull, 4);
        tokio::time::sleep(10 * LOSSES_PAUSE).await;
        reporting.abort();
        server.finish();
    }

    #[tokio::test(start_paused = true)]
    async fn gaps_are_reported_when_they_change_and_as_long_as_they_stay() {
        let again = Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(json!({
            "reason": "NodeMonitored", "type": "Normal", "regarding": {"uid": "node-1"},
            "note": "Bailiff evaluates the policies on this node without gaps again.",
        }));
        let told = |notes: &[&str]| notes.iter().map(|note| event(note)).collect::<Vec<_>>();
        let rounds = [told(&["a", "a", "c", "c"]), vec![again], told(&["d"])].concat();
        let rounds = rounds.into_iter().map(|call| vec![call]);
        let (server, client) = ApiServer::playing(rounds);
        let (report, reports) = watch::channel(None);
        let events = NodeEvents::new("node-1", "sensor-x", client);
        let reporting = tokio::spawn(events.report_gaps(reports));
        tokio::time::sleep(NODE_NOT_MONITORED_INTERVAL).await;
        report.send_replace(Some("a".to_owned()));
        tokio::time::sleep(NODE_NOT_MONITORED_INTERVAL + GAPS_PAUSE / 2).await;
        // What changes within a minute is one Event.
        report.send_replace(Some("b".to_owned()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        report.send_replace(Some("c".to_owned()));
        tokio::time::sleep(GAPS_PAUSE + NODE_NOT_MONITORED_INTERVAL).await;
        report.send_replace(None);
        tokio::time::sleep(GAPS_PAUSE / 2).await;
        // What comes and goes is one Event a minute.
        report.send_replace(Some("d".to_owned()));
        tokio::time::sleep(GAPS_PAUSE).await;
        server.finish();
        drop(report);
        reporting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_recorded_is_reported_on_the_pod_once_a_minute_and_with_its_number() {
        let path = "/apis/events.k8s.io/v1/namespaces/bailiff-system/events";
        let says = |number: &str| {
            let note = format!(
                "Bailiff could not record {number} of node node-1, and does not respond to what is not recorded. Find the quota or webhook that rejects Incidents; see the log of the sensor. Most recently, the API server rejected an Incident in the pod's namespace and in Bailiff's: pod shop/web-1, policy p."
            );
            let event = json!({
                "reason": "IncidentsNotRecorded", "action": "Recording", "type": "Warning",
                "reportingController": "bailiff.dev/sensor", "note": note,
                "regarding": {"kind": "Pod", "namespace": "bailiff-system", "name": "sensor-x", "uid": "u"},
            });
            Call::post(path).with(event)
        };
        let rejected = says("1 Incident").fails(503, "ServiceUnavailable", "not now");
        let rounds = [rejected, says("1 Incident"), says("8 Incidents")];
        let (server, client) = ApiServer::playing(rounds.map(|call| vec![call]));
        let (report, reports) = watch::channel(Unrecorded::default());
        let events = NodeEvents::new("node-1", "sensor-x", client);
        let own_pod = pod_reference("bailiff-system", "sensor-x", "u");
        let reporting = tokio::spawn(events.report_unrecorded(own_pod, reports));
        let add = || report.send_modify(|r| r.add(NotRecorded::Rejected, "shop", "web-1", "p"));
        tokio::time::sleep(GAPS_PAUSE).await;
        add();
        tokio::time::sleep(GAPS_PAUSE / 2).await;
        for _ in 0..7 {
            add();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(GAPS_PAUSE / 2).await;
        server.finish();
        drop(report);
        reporting.await.unwrap();
    }
}
