//! Reports nodes whose sensor is down.
//!
//! Here: the watches of Nodes and sensors, the Events on such Nodes, and their number. Not here: which
//! nodes are down and when they are reported (`nodes/sensors`), what a sensor reports itself.
//! Invariant: nothing delays the watches: neither a list of all pods, nor an Event that the API server does
//! not accept.

mod sensors;

use crate::config::Config;
use crate::metrics::Metrics;
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
use tokio::time::Instant;

/// Most Events that are written at the same time.
const REPORTS_LIMIT: usize = 16;
/// Nodes that the chart's DaemonSet matches.
const LINUX: &str = "kubernetes.io/os=linux";

/// Follows Nodes and sensors until it is dropped; `watching` is the client of the watches.
pub(crate) async fn follow(
    client: Client,
    watching: Client,
    config: Config,
    monitored: Monitored,
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
    let mut pods = ListWatch::new(&path, None)
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
            Some(event) = pods.next() => match event {
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
                let due = sensors.due(Instant::now(), free).into_iter();
                reports.extend(due.map(|due| report(recorder.clone(), due).boxed()));
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
        }
        metrics.nodes_not_monitored.set(sensors.down());
    }
}

/// The name of a node, and whether the Event about it was written.
type Written = (String, Result<(), kube::Error>);

/// Reports a node.
async fn report(recorder: Recorder, due: Due) -> Written {
    let event = event(&due.node, due.cause);
    let written = recorder.publish(&event, Timestamp::now()).await;
    (due.node, written)
}

fn event(node: &str, cause: Cause) -> EventSpec {
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
    EventSpec {
        reason: event::NODE_NOT_MONITORED,
        action: "Monitoring",
        warning: true,
        note: format!(
            "Bailiff does not monitor processes on this node and evaluates no policies here. {cause}"
        ),
        regarding: node_reference(node),
        related: None,
    }
}

#[cfg(test)]
mod tests;
