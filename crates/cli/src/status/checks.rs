//! The state of a cluster as checks.
//!
//! Here: the results of checks and their messages. Not here: requests (`super`), responses
//! (`responses`).
//! Invariant: a function of its arguments; what could not be read is `Unknown`.

use super::admission_protections::{Protection, event_protection};
use super::image_policies::{self, ImagePolicies};
use super::limits::incident_limits;
use super::namespaces;
use super::not_recorded::{NotRecorded, not_recorded};
use super::responses::{self, Incidents};
use super::webhook::{WebhookState, webhook};
use crate::objects::{Objects, Problem};
use bailiff_api::condition::types;
use bailiff_api::event::{EVIDENCE_LOST, EVIDENCE_LOST_INTERVAL, NODE_NOT_MONITORED_INTERVAL};
use bailiff_api::protection::{self, Difference};
use bailiff_api::{RuntimePolicy, RuntimePolicyBinding, keys};
use bailiff_response::messages::{self, escaped};
use bailiff_response::{Paused, Switch};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use std::collections::BTreeMap;
use std::time::Duration;

/// Characters of a message.
const MESSAGE_LIMIT: usize = 400;
/// Characters of the error in a message about an object that cannot be decoded.
const CAUSE_LIMIT: usize = 200;
/// Rows for undecodable objects of a kind, and for Nodes. The last row counts the rest.
const ROWS_LIMIT: usize = 10;
/// Slack of an Event about a Node, which Bailiff repeats while its cause lasts: a change of the leader, or an
/// API server that is unavailable.
const NODE_EVENT_SLACK: Duration = Duration::from_mins(5);
/// Age up to which an Event about a Node means that its cause lasts. It exceeds the interval at which
/// Bailiff repeats the Event, so that no such Node is missing.
const NODE_EVENT_PERIOD: Duration = NODE_NOT_MONITORED_INTERVAL.saturating_add(NODE_EVENT_SLACK);
/// The same of an Event about lost evidence: the longest interval between two of a sensor.
const EVIDENCE_LOST_PERIOD: Duration = EVIDENCE_LOST_INTERVAL.saturating_add(NODE_EVENT_SLACK);

/// An object, `None` if it does not exist, or why it could not be read.
pub(super) type Lookup<T> = Result<Option<T>, String>;

/// What was read.
pub(super) struct ClusterState {
    pub(super) controller: Lookup<Deployment>,
    pub(super) lease: Lookup<Lease>,
    pub(super) sensor: Lookup<DaemonSet>,
    pub(super) switch: Lookup<ConfigMap>,
    pub(super) limits: Lookup<ConfigMap>,
    pub(super) protection: Lookup<ValidatingAdmissionPolicy>,
    pub(super) protection_binding: Lookup<ValidatingAdmissionPolicyBinding>,
    pub(super) event_protection: Protection,
    pub(super) policies: Result<Objects<RuntimePolicy>, String>,
    pub(super) bindings: Result<Objects<RuntimePolicyBinding>, String>,
    pub(super) incidents: Result<Incidents, String>,
    pub(super) node_events: Result<Vec<NodeEvent>, String>,
    /// What sensors reported that they could not record.
    pub(super) not_recorded: Result<Vec<NotRecorded>, String>,
    pub(super) webhook: WebhookState,
    pub(super) images: ImagePolicies,
    /// Exempt namespaces that do not exist.
    pub(super) missing_namespaces: Result<Vec<String>, String>,
    /// Since when the sensor of a node is Ready, for each node with such a sensor.
    pub(super) ready_sensors: Result<BTreeMap<String, Timestamp>, String>,
}

/// The node of a sensor's pod that is Ready, and since when.
pub(super) fn ready_sensor(pod: &Pod) -> Option<(String, Timestamp)> {
    let node = pod.spec.as_ref()?.node_name.clone()?;
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let ready = conditions.find(|c| c.type_ == "Ready" && c.status == "True")?;
    let since = ready.last_transition_time.as_ref();
    Some((node, since.map_or(Timestamp::MIN, |time| time.0)))
}

/// Which component wrote an Event about a Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reporter {
    /// The sensor of the node: about what it cannot evaluate.
    Sensor,
    /// The controller: about a sensor that is not Ready.
    Controller,
}

/// An Event that Bailiff wrote about a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeEvent {
    /// Name of the Node.
    node: String,
    /// It reports a problem, else the end of one.
    is_warning: bool,
    reporter: Reporter,
    /// Reason of the Event.
    reason: String,
    /// Note of the Event.
    note: String,
    /// When it was last reported.
    last: Timestamp,
}

impl NodeEvent {
    /// Whether it reports what was lost, which nothing brings back.
    fn is_loss(&self) -> bool {
        self.reason == EVIDENCE_LOST
    }

    /// Extracts what is reported; `None` if the Event is not of Bailiff or not about a Node.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let regarding = event.regarding.as_ref()?;
        let reporter = match event.reporting_controller.as_deref()? {
            keys::REPORTING_SENSOR => Reporter::Sensor,
            keys::REPORTING_CONTROLLER => Reporter::Controller,
            _ => return None,
        };
        if regarding.kind.as_deref() != Some("Node") {
            return None;
        }
        let series = event.series.as_ref().map(|s| s.last_observed_time.0);
        let first = event.event_time.as_ref().map(|time| time.0);
        Some(Self {
            node: regarding.name.clone().unwrap_or_default(),
            is_warning: event.type_.as_deref() == Some("Warning"),
            reporter,
            reason: event.reason.clone().unwrap_or_default(),
            note: event.note.clone().unwrap_or_default(),
            last: series.max(first)?,
        })
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStatus {
    /// It works.
    Ok,
    /// It works as designed, and an administrator should know.
    Warning,
    /// It does not work.
    Failed,
    /// The check cannot run.
    Unknown,
}

impl CheckStatus {
    /// The word for people.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "Warning",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether the command succeeds with it.
    pub(super) const fn passes(self) -> bool {
        match self {
            Self::Ok | Self::Warning => true,
            Self::Failed | Self::Unknown => false,
        }
    }
}

/// A row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) status: CheckStatus,
    pub(super) message: String,
}

/// A row with escaped text.
pub(super) fn check(name: impl AsRef<str>, status: CheckStatus, message: &str) -> Check {
    Check {
        name: escaped(name.as_ref(), MESSAGE_LIMIT),
        status,
        message: escaped(message, MESSAGE_LIMIT),
    }
}

/// A row for what could not be read.
pub(super) fn unknown(name: &str, cause: &str) -> Check {
    check(
        name,
        CheckStatus::Unknown,
        &format!("The check cannot run. {cause}"),
    )
}

/// All checks, in the order in which an operator needs them.
pub(super) fn checks(state: &ClusterState, namespace: &str, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![
        controller(state, namespace),
        leader_election(state, namespace, now),
        sensor(state, namespace),
        incident_protection(state, namespace),
    ];
    checks.extend(event_protection(&state.event_protection));
    checks.push(response_switch(state, namespace));
    checks.extend(incident_limits(&state.limits, namespace));
    checks.extend(not_recorded(&state.not_recorded, now));
    checks.extend(nodes(state, now));
    checks.extend(ready("policies", "runtimepolicy", &state.policies));
    checks.extend(ready("bindings", "runtimepolicybinding", &state.bindings));
    checks.extend(evaluation_errors(state));
    checks.extend(paused(state));
    match &state.incidents {
        Ok(incidents) => {
            checks.extend(responses::checks(incidents, namespace, now));
            checks.extend(undecodable("incident", &incidents.problems));
        }
        Err(cause) => checks.push(unknown("incidents", cause)),
    }
    checks.extend(namespaces::not_existing(&state.missing_namespaces));
    checks.extend(webhook(&state.webhook, namespace, now));
    let has_webhook = !matches!(state.webhook.deployment, Ok(None));
    let images = image_policies::checks(&state.images, has_webhook, namespace);
    checks.extend(images);
    checks
}

/// A row for each policy with evaluation errors of its current generation.
fn evaluation_errors(state: &ClusterState) -> Vec<Check> {
    let policies = state.policies.iter().flat_map(|policies| &policies.items);
    let failed = policies.filter_map(|policy| {
        let condition = policy.conditions().iter().find(|c| {
            c.type_ == types::EVALUATION_FAILED
                && c.observed_generation == policy.metadata.generation
        })?;
        Some(check(
            format!("runtimepolicy/{}", name_of(&policy.metadata)),
            CheckStatus::Failed,
            &condition.message,
        ))
    });
    failed.collect()
}

/// A row for each paused binding.
fn paused(state: &ClusterState) -> Vec<Check> {
    let bindings = state.bindings.iter().flat_map(|bindings| &bindings.items);
    let paused = bindings.filter_map(|binding| {
        let recorded = binding.status.as_ref()?.paused.as_ref()?;
        let name = name_of(&binding.metadata);
        let message = messages::paused(&Paused::recorded(name, recorded));
        let row = format!("runtimepolicybinding/{name}");
        Some(check(row, CheckStatus::Warning, &message))
    });
    paused.collect()
}

fn controller(state: &ClusterState, namespace: &str) -> Check {
    let name = "controller";
    let deployment = match &state.controller {
        Ok(Some(deployment)) => deployment,
        Ok(None) => return not_installed(name, "Deployment bailiff-controller", namespace),
        Err(cause) => return unknown(name, cause),
    };
    let desired = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|s| s.ready_replicas).unwrap_or(0);
    let counted = format!("{ready} of {desired} replicas are ready.");
    if ready >= desired && desired > 0 {
        check(name, CheckStatus::Ok, &counted)
    } else {
        let command = format!(
            "kubectl -n {namespace} describe pods -l app.kubernetes.io/component=controller"
        );
        let message = format!("{counted} Check the pods with `{command}`.");
        check(name, CheckStatus::Failed, &message)
    }
}

fn leader_election(state: &ClusterState, namespace: &str, now: Timestamp) -> Check {
    let name = "leader-election";
    let failed = |message: &str| {
        let message = format!(
            "{message}, so Bailiff does not respond to Incidents. Check the log of the controller: `kubectl -n {namespace} logs deployment/bailiff-controller`."
        );
        check(name, CheckStatus::Failed, &message)
    };
    let spec = match &state.lease {
        Ok(Some(lease)) => lease.spec.clone().unwrap_or_default(),
        Ok(None) => return failed("Lease bailiff-controller not found"),
        Err(cause) => return unknown(name, cause),
    };
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let duration = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into());
    let (Some(holder), Some(renewed)) = (holder, spec.renew_time) else {
        return failed("No replica holds the Lease");
    };
    if now.duration_since(renewed.0) > duration {
        return failed(&format!(
            "Replica {holder} last renewed the Lease at {}",
            renewed.0
        ));
    }
    let message = format!("Replica {holder} holds the Lease.");
    check(name, CheckStatus::Ok, &message)
}

fn sensor(state: &ClusterState, namespace: &str) -> Check {
    let name = "sensor";
    let set = match &state.sensor {
        Ok(Some(set)) => set,
        Ok(None) => return not_installed(name, "DaemonSet bailiff-sensor", namespace),
        Err(cause) => return unknown(name, cause),
    };
    let status = set.status.clone().unwrap_or_default();
    let (ready, desired) = (status.number_ready, status.desired_number_scheduled);
    let counted = format!("The sensor is ready on {ready} of {desired} nodes.");
    if ready >= desired && desired > 0 {
        check(name, CheckStatus::Ok, &counted)
    } else {
        let command =
            format!("kubectl -n {namespace} describe pods -l app.kubernetes.io/component=sensor");
        let message =
            format!("{counted} The others are not monitored. Check the pods with `{command}`.");
        check(name, CheckStatus::Failed, &message)
    }
}

fn incident_protection(state: &ClusterState, namespace: &str) -> Check {
    let name = "incident-protection";
    let (policy, binding) = match (&state.protection, &state.protection_binding) {
        (Ok(policy), Ok(binding)) => (policy, binding),
        (Err(cause), _) | (_, Err(cause)) => return unknown(name, cause),
    };
    let consequence = "so Bailiff does not respond to Incidents. Restore it with `helm upgrade`.";
    match protection::compare(namespace, policy.as_ref(), binding.as_ref()) {
        Ok(()) => check(
            name,
            CheckStatus::Ok,
            "Only sensors and the controller can write Incidents.",
        ),
        Err(Difference::Missing) => {
            let object = if policy.is_none() {
                "ValidatingAdmissionPolicy"
            } else {
                "ValidatingAdmissionPolicyBinding"
            };
            let message = format!(
                "{object} {} not found, {consequence}",
                keys::INCIDENT_PROTECTION
            );
            check(name, CheckStatus::Failed, &message)
        }
        Err(Difference::Changed(what)) => {
            let message = format!("{what}, {consequence}");
            check(name, CheckStatus::Failed, &message)
        }
    }
}

fn response_switch(state: &ClusterState, namespace: &str) -> Check {
    let name = "response-switch";
    let config_map = match &state.switch {
        Ok(config_map) => config_map.as_ref(),
        Err(cause) => return unknown(name, cause),
    };
    let remedy = format!(
        "`kubectl -n {namespace} patch configmap {} --type merge -p '{{\"data\":{{\"{}\":\"Enforce\"}}}}'`",
        keys::RESPONSE_SWITCH,
        keys::RESPONSE_SWITCH_MODE,
    );
    match Switch::of(namespace, config_map) {
        Switch::Enforce => check(
            name,
            CheckStatus::Ok,
            "Mode Enforce: Bailiff responds as the bindings specify.",
        ),
        Switch::Audit => {
            let message = format!("Mode Audit: Bailiff removes no pods. Resume with {remedy}.");
            check(name, CheckStatus::Warning, &message)
        }
        Switch::Unavailable(why) => {
            let remedy = if config_map.is_none() {
                "Restore it with `helm upgrade`".to_owned()
            } else {
                format!("Fix it with {remedy}")
            };
            let message = format!("{why}, so Bailiff removes no pods. {remedy}.");
            check(name, CheckStatus::Failed, &message)
        }
    }
}

/// Whether what an Event reports has ended: the sensor of the node is Ready. What a sensor reports of
/// itself has ended with its restart. What was lost stays lost.
fn is_over(event: &NodeEvent, ready_since: Option<&Timestamp>) -> bool {
    match (event.reporter, ready_since) {
        _ if !event.is_warning => true,
        _ if event.is_loss() => false,
        (_, None) => false,
        (Reporter::Controller, Some(_)) => true,
        (Reporter::Sensor, Some(since)) => *since > event.last,
    }
}

/// A row for each Node with a recent warning of Bailiff that still applies.
fn nodes(state: &ClusterState, now: Timestamp) -> Vec<Check> {
    let events = match &state.node_events {
        Ok(events) => events,
        Err(cause) => return vec![unknown("nodes", cause)],
    };
    // One row for a Node and a reporter: the last Event. What was lost has another row.
    let mut last: BTreeMap<(&str, Reporter, bool), &NodeEvent> = BTreeMap::new();
    for event in events {
        let age = now.duration_since(event.last);
        // An Event from the future has no age: the clocks differ.
        let age = Duration::try_from(age).unwrap_or_default();
        let period = if event.is_loss() {
            EVIDENCE_LOST_PERIOD
        } else {
            NODE_EVENT_PERIOD
        };
        if age < period {
            let key = (event.node.as_str(), event.reporter, event.is_loss());
            let entry = last.entry(key).or_insert(event);
            if event.last > entry.last {
                *entry = event;
            }
        }
    }
    // Sensors that could not be read end nothing.
    let ready_since = |node: &str| state.ready_sensors.as_ref().ok()?.get(node);
    let last = last.values();
    let rows = last.filter(|event| !is_over(event, ready_since(&event.node)));
    let rows = rows.map(|event| {
        check(
            format!("node/{}", event.node),
            CheckStatus::Failed,
            &format!("{}: {}", event.reason, event.note),
        )
    });
    limited("nodes", "Nodes", rows.collect())
}

fn not_installed(name: &str, object: &str, namespace: &str) -> Check {
    let message = format!(
        "{object} not found in namespace {namespace}. If Bailiff is installed in another namespace, set --namespace."
    );
    check(name, CheckStatus::Failed, &message)
}

/// The first rows, and one that counts the rest.
pub(super) fn limited(name: &str, things: &str, mut rows: Vec<Check>) -> Vec<Check> {
    let more = rows.len().saturating_sub(ROWS_LIMIT);
    if more > 0 {
        rows.truncate(ROWS_LIMIT);
        let message = format!("{more} more {things} have the same status.");
        rows.push(check(name, CheckStatus::Failed, &message));
    }
    rows
}

/// A row for each object that cannot be decoded, or only in part.
fn undecodable(resource: &str, problems: &[Problem]) -> Vec<Check> {
    let rows = problems.iter().map(|error| {
        let namespace = if error.namespace.is_empty() {
            String::new()
        } else {
            format!(" in namespace {}", error.namespace)
        };
        let object = if error.is_partial {
            "A part of the status of the object"
        } else {
            "The object"
        };
        // The remedy is never cut off.
        let message = format!(
            "{object}{namespace} cannot be decoded, so Bailiff ignores it. {}. Fix or delete the object.",
            escaped(&error.cause, CAUSE_LIMIT)
        );
        check(
            format!("{resource}/{}", error.name),
            CheckStatus::Failed,
            &message,
        )
    });
    limited(resource, "objects", rows.collect())
}

/// A kind with a condition `Ready`.
pub(super) trait HasConditions {
    /// Component that writes the condition.
    const WRITER: &str = "controller";
    fn metadata(&self) -> &ObjectMeta;
    fn conditions(&self) -> &[Condition];
}

impl HasConditions for RuntimePolicy {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

impl HasConditions for RuntimePolicyBinding {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

pub(super) fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// One row if all objects are Ready, else one for each that is not.
pub(super) fn ready<K: HasConditions>(
    kind: &str,
    resource: &str,
    objects: &Result<Objects<K>, String>,
) -> Vec<Check> {
    let objects = match objects {
        Ok(objects) => objects,
        Err(cause) => return vec![unknown(kind, cause)],
    };
    let not_ready = objects.items.iter().filter_map(|object| {
        let name = format!("{resource}/{}", name_of(object.metadata()));
        match object.conditions().iter().find(|c| c.type_ == types::READY) {
            Some(condition) if condition.status == "True" => None,
            Some(condition) if condition.status == "False" => {
                Some(check(name, CheckStatus::Failed, &condition.message))
            }
            Some(condition) => Some(check(name, CheckStatus::Unknown, &condition.message)),
            None => Some(check(
                name,
                CheckStatus::Unknown,
                &format!("The {} has not processed it yet.", K::WRITER),
            )),
        }
    });
    let mut rows: Vec<_> = not_ready.collect();
    rows.extend(undecodable(resource, &objects.problems));
    if rows.is_empty() {
        let message = match objects.items.len() {
            0 => "None exist.".to_owned(),
            1 => "1 exists and is Ready.".to_owned(),
            count => format!("{count} exist, all Ready."),
        };
        return vec![check(kind, CheckStatus::Ok, &message)];
    }
    rows
}
