//! Reports nodes whose sensor is down.
//!
//! Here: the watches of Nodes and sensors, the Events on such Nodes, and their number. Not here: which
//! nodes are down and when they are reported (`nodes/sensors`), what a sensor reports itself.
//! Invariant: nothing delays the watches: neither a list of all pods, nor an Event that the API server does
//! not accept.

mod sensors;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pods::{Pods, RunningPods};
use crate::waits::{HEARTBEAT_INTERVAL, until};
use bailiff_api::{event, keys};
use bailiff_kube::events::{EventSpec, Recorder, node_reference};
use bailiff_kube::list_watch::ListWatch;
use bailiff_kube::serve::Heartbeat;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
pub(crate) use sensors::Monitored;
use sensors::{Cause, Due, Sensors};
use std::sync::Arc;
use tokio::time::Instant;

/// Most Events that are written at the same time.
const REPORTS_LIMIT: usize = 16;
/// Nodes that the chart's DaemonSet matches.
const LINUX: &str = "kubernetes.io/os=linux";

/// Follows Nodes and sensors until it is dropped; `watching` is the client of the watches, and `pods` are counted for
/// the Events.
pub(crate) async fn follow(
    client: Client,
    watching: Client,
    config: Config,
    monitored: Monitored,
    pods: Arc<Pods>,
    metrics: Metrics,
    heartbeat: Heartbeat,
) {
    let recorder = Recorder::new(client, keys::REPORTING_CONTROLLER, config.identity.clone());
    let mut nodes = ListWatch::new("/api/v1/nodes", None)
        .with_labels(LINUX.to_owned())
        .metadata_only()
        .stream(watching.clone());
    let path = format!("/api/v1/namespaces/{}/pods", config.namespace);
    let (name, component) = (keys::LABEL_APP_NAME, keys::LABEL_APP_COMPONENT);
    let (app, sensor) = (keys::APP_NAME, keys::COMPONENT_SENSOR);
    let mut sensor_pods = ListWatch::new(&path, None)
        .with_labels(format!("{name}={app},{component}={sensor}"))
        .stream(watching);
    let mut sensors = Sensors::new(monitored);
    let mut reports = FuturesUnordered::<BoxFuture<'static, Written>>::new();
    loop {
        heartbeat.beat();
        let next = sensors.next().filter(|_| reports.len() < REPORTS_LIMIT);
        tokio::select! {
            Some(event) = nodes.next() => match event {
                Ok(event) => sensors.node(event, Instant::now()),
                Err(error) => {
                    tracing::warn!(%error, "The watch of the Nodes failed and is retried; what was known stays");
                }
            },
            Some(event) = sensor_pods.next() => match event {
                Ok(event) => sensors.pod(event, Instant::now()),
                Err(error) => {
                    tracing::warn!(%error, "The watch of the sensors failed and is retried; what was known stays");
                }
            },
            Some((node, written)) = reports.next() => if let Err(error) = written {
                metrics.event_failures.inc();
                tracing::warn!(%error, node, "Cannot write an Event; it is retried");
                sensors.failed(&node, Instant::now());
            },
            () = until(next) => {
                let free = REPORTS_LIMIT.saturating_sub(reports.len());
                let due = sensors.due(Instant::now(), free);
                let names: Vec<_> = due.iter().map(|due| due.node.as_str()).collect();
                let counts = pods.on_nodes(&names);
                let due = due.into_iter().zip(counts);
                reports.extend(due.map(|(due, pods)| report(recorder.clone(), due, pods).boxed()));
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
        metrics.nodes_not_monitored.set(sensors.down());
    }
}

/// The name of a node, and whether the Event about it was written.
type Written = (String, Result<(), kube::Error>);

/// Reports a node.
async fn report(recorder: Recorder, due: Due, pods: RunningPods) -> Written {
    let event = event(&due.node, due.cause, pods);
    let written = recorder.publish(&event, Timestamp::now()).await;
    (due.node, written)
}

fn event(node: &str, cause: Cause, pods: RunningPods) -> EventSpec {
    let cause = match cause {
        Cause::NotReady => {
            "Its sensor has not been Ready for more than a minute. See the sensor pod on this node."
        }
        Cause::NoPod => {
            "It has had no sensor pod for more than a minute. Check the tolerations, the node selector and the affinity of DaemonSet bailiff-sensor."
        }
        Cause::Fargate => {
            "Fargate runs no DaemonSets, and so no sensor. Run the pods that policies must cover on other nodes."
        }
        Cause::VirtualKubelet => {
            "A virtual node (virtual-kubelet) runs no DaemonSets, and so no sensor. Run the pods that policies must cover on other nodes."
        }
    };
    let pods = match pods {
        RunningPods::Exactly(0) => "No pod runs on it.".to_owned(),
        RunningPods::Exactly(1) => "1 pod runs on it.".to_owned(),
        RunningPods::Exactly(count) => format!("{count} pods run on it."),
        RunningPods::AtLeast(count) => format!("At least {count} pods run on it."),
        RunningPods::Unknown => "Its pods were not counted yet.".to_owned(),
    };
    EventSpec {
        reason: event::NODE_NOT_MONITORED,
        action: "Monitoring",
        warning: true,
        note: format!(
            "Bailiff does not monitor processes on this node and evaluates no policies here. {cause} {pods}"
        ),
        regarding: node_reference(node),
        related: None,
    }
}

#[cfg(test)]
mod tests;
