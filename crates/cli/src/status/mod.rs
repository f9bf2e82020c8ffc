//! `bailiff status`: checks the Bailiff installation and reports its responses.
//!
//! Here: flags, requests and output. Not here: what a result means (`checks`, `responses`, `report`).
//! Invariant: the command only reads; what cannot be read is never OK; an object that cannot be
//! decoded does not hide others.

mod admission_protections;
mod checks;
mod facts;
mod image_policies;
mod limits;
mod namespaces;
mod not_recorded;
mod report;
mod responses;
#[cfg(test)]
mod tests;
mod webhook;

use crate::objects::{self, Objects};
use crate::{ClusterArgs, Error, cause, table};
use admission_protections::Protection;
use bailiff_api::{Incident, RuntimePolicy, RuntimePolicyBinding, event, keys};
use bailiff_kube::client::from_kubeconfig;
use bailiff_oci::persisted::CONFIG_MAPS;
use checks::{ClusterState, NodeEvent};
use image_policies::ImagePolicies;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use not_recorded::NotRecorded;
use responses::{IncidentSummary, Incidents};
use std::collections::BTreeMap;
use std::io::Write;
use webhook::WebhookState;

/// Namespace of the Events about cluster-scoped objects.
const NODE_EVENTS_NAMESPACE: &str = "default";

const EXAMPLES: &str = "\
Examples:
  bailiff status                        Check the installation; one line per check
  bailiff status --since 12h            Also report the responses of the last 12 hours
  bailiff status -n security            Check an installation in another namespace
  helm test bailiff -n bailiff-system   Run the same checks in the cluster

A check is OK, Warning (a response waits or was not possible, by design), Failed, or Unknown
(the check cannot run).

Exit codes: 0 every check is OK or Warning, 1 a check is Failed or Unknown, 2 the command line
is invalid.";

/// Flags of `bailiff status`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Namespace of the installation
    #[arg(short, long, value_name = "NAME", default_value = "bailiff-system")]
    pub namespace: String,
    /// Report the responses of this period too, for example 30m, 12h or 7d
    #[arg(long, value_name = "DURATION", value_parser = period)]
    pub since: Option<SignedDuration>,
    /// Cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A positive duration, with days of 24 hours.
fn period(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    let parsed = match days {
        Some(days) => SignedDuration::try_from_hours(i64::saturating_mul(days, 24)),
        None => text.parse().ok(),
    };
    parsed
        .filter(SignedDuration::is_positive)
        .ok_or_else(|| "must be a duration such as 30m, 12h or 7d".to_owned())
}

/// Runs the command.
///
/// # Errors
/// If a check is Failed or Unknown, the client cannot be built or the output cannot be written.
pub async fn run(args: &StatusArgs, out: &mut impl Write) -> Result<(), Error> {
    let cluster = &args.cluster;
    let person = from_kubeconfig(cluster.kubeconfig.as_deref(), cluster.context.as_deref()).await?;
    is_available(&person.client).await?;
    // The future is large, so it gets an allocation of its own.
    let state = Box::pin(read(person.client, &args.namespace)).await;
    let now = Timestamp::now();
    let checks = checks::checks(&state, &args.namespace, now);
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            vec![
                check.name.clone(),
                check.status.as_str().to_owned(),
                check.message.clone(),
            ]
        })
        .collect();
    for line in table::lines(Some(&["CHECK", "STATUS", "MESSAGE"]), &rows) {
        writeln!(out, "{line}")?;
    }
    if let (Some(period), Ok(incidents)) = (args.since, &state.incidents) {
        writeln!(out)?;
        for line in report::lines(incidents, period, now) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    let failed = checks.iter().filter(|c| !c.status.passes()).count();
    if failed > 0 {
        return Err(Error::ChecksFailed {
            failed,
            all: checks.len(),
        });
    }
    Ok(())
}

/// Whether the API server responds to this user. Otherwise, no check can run.
async fn is_available(client: &Client) -> Result<(), Error> {
    match client.apiserver_version().await {
        Ok(_) => Ok(()),
        // Permissions can lack for the version alone.
        Err(kube::Error::Api(status)) if status.code != 401 => Ok(()),
        Err(error) => {
            let action = "check the installation".to_owned();
            Err(Error::from_request(action, "", &error))
        }
    }
}

async fn read(client: Client, namespace: &str) -> ClusterState {
    let (deployments, daemon_sets, leases, config_maps) = (
        Api::<Deployment>::namespaced(client.clone(), namespace),
        Api::<DaemonSet>::namespaced(client.clone(), namespace),
        Api::<Lease>::namespaced(client.clone(), namespace),
        Api::<ConfigMap>::namespaced(client.clone(), namespace),
    );
    let (
        controller,
        lease,
        sensor,
        switch,
        limits,
        (protection, protection_binding),
        event_protection,
        policies,
        bindings,
        incidents,
        node_events,
        not_recorded,
        webhook,
        images,
        ready_sensors,
    ) = futures::join!(
        deployments.get_opt("bailiff-controller"),
        leases.get_opt(keys::CONTROLLER_LEASE),
        daemon_sets.get_opt("bailiff-sensor"),
        config_maps.get_opt(keys::RESPONSE_SWITCH),
        config_maps.get_opt(keys::INCIDENT_LIMITS),
        protection(&client, keys::INCIDENT_PROTECTION),
        protection(&client, keys::EVENT_PROTECTION),
        objects::list_all::<RuntimePolicy>(&client),
        objects::list_all::<RuntimePolicyBinding>(&client),
        incidents(&client),
        node_events(&client),
        not_recorded(&client, namespace),
        webhook(&client, namespace),
        ImagePolicies::read(&client, namespace),
        ready_sensors(&client, namespace),
    );
    let controller = controller.map_err(|error| cause(&error));
    let missing_namespaces = namespaces::missing(&client, &controller).await;
    ClusterState {
        controller,
        missing_namespaces,
        lease: lease.map_err(|error| cause(&error)),
        sensor: sensor.map_err(|error| cause(&error)),
        switch: switch.map_err(|error| cause(&error)),
        limits: limits.map_err(|error| cause(&error)),
        protection,
        protection_binding,
        event_protection,
        policies: policies.map_err(|error| cause(&error)),
        bindings: bindings.map_err(|error| cause(&error)),
        incidents: incidents.map_err(|error| cause(&error)),
        node_events: node_events.map_err(|error| cause(&error)),
        not_recorded: not_recorded.map_err(|error| cause(&error)),
        webhook,
        images,
        ready_sensors: ready_sensors.map_err(|error| cause(&error)),
    }
}

/// The webhook, what it is configured with, and what it keeps.
async fn webhook(client: &Client, namespace: &str) -> WebhookState {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let config_maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let protections = keys::WEBHOOK_PROTECTIONS.map(|name| protection(client, name));
    let (deployment, mutating, validating, registries, facts, needed, protections) = futures::join!(
        deployments.get_opt("bailiff-webhook"),
        mutating.get_opt(keys::WEBHOOK_CONFIGURATION),
        validating.get_opt(keys::WEBHOOK_CONFIGURATION),
        config_maps.get_opt(crate::admission::REGISTRIES),
        futures::future::join_all(CONFIG_MAPS.map(|name| config_maps.get_opt(name))),
        namespaces::needed(client),
        futures::future::join_all(protections),
    );
    WebhookState {
        deployment: deployment.map_err(|error| cause(&error)),
        mutating: mutating.map_err(|error| cause(&error)),
        validating: validating.map_err(|error| cause(&error)),
        registries: registries.map_err(|error| cause(&error)),
        needed,
        facts: facts
            .into_iter()
            .map(|map| map.map_err(|error| cause(&error)))
            .collect(),
        protections,
    }
}

/// An admission policy and the binding of the same name.
async fn protection(client: &Client, name: &str) -> Protection {
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    let (policy, binding) = futures::join!(policies.get_opt(name), bindings.get_opt(name));
    let policy = policy.map_err(|error| cause(&error));
    (policy, binding.map_err(|error| cause(&error)))
}

/// All Incidents, without their evidence, which can have 16 KiB each.
async fn incidents(client: &Client) -> Result<Incidents, kube::Error> {
    let mut items = Vec::new();
    let api = Api::all(client.clone());
    let problems = objects::list(&api, ListParams::default(), |incident: Incident| {
        items.push(IncidentSummary::of(&incident));
    })
    .await?;
    Ok(Objects { items, problems })
}

/// Bailiff's Events about Nodes.
async fn node_events(client: &Client) -> Result<Vec<NodeEvent>, kube::Error> {
    let mut events = Vec::new();
    let params = ListParams::default().fields("regarding.kind=Node");
    let api = Api::namespaced(client.clone(), NODE_EVENTS_NAMESPACE);
    // An Event that cannot be decoded is not one that Bailiff wrote.
    objects::list(&api, params, |event: Event| {
        events.extend(NodeEvent::of(&event));
    })
    .await?;
    Ok(events)
}

/// What sensors report in Bailiff's namespace that they could not record.
async fn not_recorded(client: &Client, namespace: &str) -> Result<Vec<NotRecorded>, kube::Error> {
    let mut events = Vec::new();
    let params = ListParams::default().fields(&format!("reason={}", event::INCIDENTS_NOT_RECORDED));
    let api = Api::namespaced(client.clone(), namespace);
    // An Event that cannot be decoded is not one that Bailiff wrote.
    objects::list(&api, params, |event: Event| {
        events.extend(NotRecorded::of(&event));
    })
    .await?;
    Ok(events)
}

/// Since when the sensor of a node is Ready, for each node with such a sensor.
async fn ready_sensors(
    client: &Client,
    namespace: &str,
) -> Result<BTreeMap<String, Timestamp>, kube::Error> {
    let mut sensors = BTreeMap::new();
    let (name, component) = (keys::LABEL_APP_NAME, keys::LABEL_APP_COMPONENT);
    let (app, sensor) = (keys::APP_NAME, keys::COMPONENT_SENSOR);
    let params = ListParams::default().labels(&format!("{name}={app},{component}={sensor}"));
    let api = Api::namespaced(client.clone(), namespace);
    // A pod that cannot be decoded ends nothing.
    objects::list(&api, params, |pod: Pod| {
        sensors.extend(checks::ready_sensor(&pod));
    })
    .await?;
    Ok(sensors)
}
