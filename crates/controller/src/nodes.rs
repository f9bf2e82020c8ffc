//! Reports nodes whose sensor is down.
//!
//! Here: the Events on such Nodes, and their number. Not here: reading the pods (`statuses`), what a
//! sensor reports itself.
//! Invariant: a sensor is down if its DaemonSet wants a pod on the node and none has been Ready for
//! longer than [`DOWN`]; a node is reported once, and again as long as it lasts.

use crate::config::Config;
use crate::metrics::Metrics;
use bailiff_api::{event, keys};
use bailiff_kube::decode::Decoded;
use bailiff_kube::events::{EventSpec, Recorder};
use bailiff_kube::serve::Heartbeat;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::api::ListParams;
use kube::{Api, Client};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A sensor that restarts is Ready again sooner.
const DOWN: Duration = Duration::from_mins(1);
/// When it is reported again; the API server keeps an Event for an hour.
const REPEATED: Duration = Duration::from_mins(30);
/// Nodes of a list request.
const PAGE: u32 = 100;

/// What is known of one node.
#[derive(Debug)]
struct Down {
    since: Instant,
    reported: Option<Instant>,
}

/// The nodes without a Ready sensor.
pub(crate) struct Nodes {
    client: Client,
    recorder: Recorder,
    down: BTreeMap<String, Down>,
}

impl Nodes {
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        let recorder = Recorder::new(
            client.clone(),
            keys::REPORTING_CONTROLLER,
            config.identity.clone(),
        );
        Self {
            client,
            recorder,
            down: BTreeMap::new(),
        }
    }

    /// Compares the nodes with the sensors that there are, by node, and whether each is Ready.
    pub(crate) async fn check(
        &mut self,
        sensors: &BTreeMap<String, bool>,
        metrics: &Metrics,
        heartbeat: &Heartbeat,
    ) {
        let nodes = match self.linux_nodes(heartbeat).await {
            Ok(nodes) => nodes,
            Err(error) => {
                tracing::warn!(%error, "Cannot list the nodes to find those without a sensor");
                return;
            }
        };
        let now = Instant::now();
        let is_down = |node: &String| sensors.get(node) != Some(&true);
        let down: BTreeSet<_> = nodes.into_iter().filter(is_down).collect();
        let number = i64::try_from(down.len()).unwrap_or(i64::MAX);
        metrics.nodes_not_monitored.set(number);
        self.down.retain(|node, _| down.contains(node));
        for node in down {
            let known = self.down.entry(node.clone()).or_insert(Down {
                since: now,
                reported: None,
            });
            let again = known
                .reported
                .is_none_or(|at| now.duration_since(at) >= REPEATED);
            if now.duration_since(known.since) < DOWN || !again {
                continue;
            }
            heartbeat.beat();
            let notice = notice(&node, sensors.contains_key(&node));
            match self.recorder.publish(&notice, Timestamp::now()).await {
                Ok(()) => known.reported = Some(now),
                Err(error) => {
                    metrics.event_failures.inc();
                    tracing::warn!(%error, node, "Cannot write an Event");
                }
            }
        }
    }

    /// The names of the nodes that run Linux, which the sensor's DaemonSet matches.
    async fn linux_nodes(&self, heartbeat: &Heartbeat) -> Result<Vec<String>, kube::Error> {
        let api = Api::<Decoded<Node>>::all(self.client.clone());
        let mut page = ListParams::default()
            .limit(PAGE)
            .labels("kubernetes.io/os=linux");
        let mut names = Vec::new();
        loop {
            heartbeat.beat();
            let listed = api.list_metadata(&page).await?;
            names.extend(
                listed
                    .items
                    .into_iter()
                    .filter_map(|node| node.metadata.name),
            );
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(names),
            }
        }
    }
}

fn notice(node: &str, has_pod: bool) -> EventSpec {
    let cause = if has_pod {
        "Its sensor has not been Ready for more than a minute. See the sensor pod on this node."
    } else {
        "It has had no sensor pod for more than a minute. Check the tolerations and the node selector of DaemonSet bailiff-sensor."
    };
    EventSpec {
        reason: event::NODE_NOT_MONITORED,
        action: "Monitoring",
        warning: true,
        note: format!(
            "Bailiff does not monitor processes on this node and evaluates no policies here. {cause}"
        ),
        regarding: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            // As the kubelet does: `kubectl describe node` looks for Events by the name as UID.
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        },
        related: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiff_kube::serve::Health;
    use bailiff_testing::{ApiServer, Call};
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_sensor_that_is_down_for_a_minute_is_an_event_on_its_node() {
        let nodes = || {
            let node = |name: &str| json!({"metadata": {"name": name}});
            let items = json!([node("good"), node("not-ready"), node("without")]);
            let path = "/api/v1/nodes?&labelSelector=kubernetes.io%2Fos%3Dlinux&limit=100";
            vec![Call::get(path).gives(json!({"metadata": {}, "items": items}))]
        };
        let event = |node: &str, cause: &str| {
            let note = format!(
                "Bailiff does not monitor processes on this node and evaluates no policies here. {cause}"
            );
            let event = json!({"reason": "NodeNotMonitored", "action": "Monitoring", "type": "Warning",
                "note": note, "regarding": {"kind": "Node", "name": node, "uid": node}});
            vec![Call::post("/apis/events.k8s.io/v1/namespaces/default/events").with(event)]
        };
        let not_ready = "Its sensor has not been Ready for more than a minute. See the sensor pod on this node.";
        let none = "It has had no sensor pod for more than a minute. Check the tolerations and the node selector of DaemonSet bailiff-sensor.";
        let (server, client) = ApiServer::playing([
            nodes(),
            nodes(),
            event("not-ready", not_ready),
            event("without", none),
            nodes(),
            nodes(),
        ]);
        let metrics = Metrics::default();
        let heartbeat = Health::default().register_loop("statuses", Duration::from_mins(1));
        let mut checked = Nodes::new(client, &Config::default());
        let mut sensors =
            BTreeMap::from([("good".to_owned(), true), ("not-ready".to_owned(), false)]);
        checked.check(&sensors, &metrics, &heartbeat).await;
        assert_eq!(metrics.nodes_not_monitored.get(), 2);
        tokio::time::advance(DOWN).await;
        checked.check(&sensors, &metrics, &heartbeat).await;
        // It lasts, and was reported.
        checked.check(&sensors, &metrics, &heartbeat).await;
        sensors.extend([("not-ready".to_owned(), true), ("without".to_owned(), true)]);
        checked.check(&sensors, &metrics, &heartbeat).await;
        assert_eq!(metrics.nodes_not_monitored.get(), 0);
        server.finish();
    }
}
