//! The rules of Incident protection, in CEL as Kubernetes 1.30 has it.
//!
//! Here: the variables and validations of the shipped policy. Not here: the object around them
//! (`super`).
//! Invariant: with a sensor's token, Incidents of the token's own node can be created and their series
//! continued; the controller writes the rest of the status and deletes; nobody else changes anything,
//! and nobody but the controller deletes an open Incident while its namespace lasts.

use crate::condition::types;
use crate::incident::NAME_SUFFIX_LIMIT_BYTES;
use crate::keys;

/// Fields of an Incident's status that only the controller writes: all but `series`.
pub const CONTROLLER_STATUS_FIELDS: &[&str] = &[
    "phase",
    "conditions",
    "response",
    "waiting",
    "dryRunResponse",
    "workloadRef",
    "replacement",
    "observedCount",
    "podStartTime",
];

/// Fields of an entry of `status.series.firstProcesses` that never change.
pub(super) const IMMUTABLE_PROCESS_FIELDS: &[&str] = &[
    "executable",
    "args",
    "argsTruncated",
    "origin",
    "firstObservedTime",
];

/// The key under which the API server names the node that a token is bound to.
const NODE_OF_TOKEN: &str = "authentication.kubernetes.io/node-name";

/// The variables of the policy. Each is evaluated when a validation first reads it, so those about
/// `object` may assume that there is one.
pub(super) fn variables(namespace: &str) -> Vec<(&'static str, String)> {
    let mut variables = requester(namespace);
    variables.extend(changes());
    variables.extend(first_processes());
    variables.extend(closing());
    variables
}

/// Whose request it is.
fn requester(namespace: &str) -> Vec<(&'static str, String)> {
    let is = |account: &str| {
        format!("request.userInfo.username == 'system:serviceaccount:{namespace}:{account}'")
    };
    let limit = NAME_SUFFIX_LIMIT_BYTES;
    vec![
        ("sensor", is(keys::SENSOR_SERVICE_ACCOUNT)),
        ("controller", is(keys::CONTROLLER_SERVICE_ACCOUNT)),
        (
            // A token that is bound to no node names none.
            "node",
            format!(
                "has(request.userInfo.extra) && '{NODE_OF_TOKEN}' in request.userInfo.extra ? request.userInfo.extra['{NODE_OF_TOKEN}'].join(' ') : ''"
            ),
        ),
        (
            "ownNode",
            "variables.node != '' && object.spec.nodeName == variables.node".to_owned(),
        ),
        (
            // As `name_suffix` makes it.
            "nameSuffix",
            format!(
                "size(variables.node) > {limit} ? '-x' + variables.node.substring(size(variables.node) - {limit}) : '-' + variables.node"
            ),
        ),
        (
            "status",
            "has(request.subResource) && request.subResource == 'status'".to_owned(),
        ),
    ]
}

/// What an update changes.
fn changes() -> Vec<(&'static str, String)> {
    let metadata = same(
        "newMetadata",
        "oldMetadata",
        &["labels", "annotations", "ownerReferences"],
    );
    vec![
        ("new", status_of("object")),
        ("old", status_of("oldObject")),
        ("seriesUnchanged", same("new", "old", &["series"])),
        (
            "controllerFieldsUnchanged",
            same("new", "old", CONTROLLER_STATUS_FIELDS),
        ),
        ("newMetadata", "dyn(object.metadata)".to_owned()),
        ("oldMetadata", "dyn(oldObject.metadata)".to_owned()),
        (
            // A storage migration writes the same again. Whoever deletes in the foreground, the
            // garbage collector has to remove its finalizer afterwards.
            "metadataUnchanged",
            format!(
                "object.metadata == oldObject.metadata || (has(oldObject.metadata.deletionTimestamp) && {metadata} && (!has(object.metadata.finalizers) || object.metadata.finalizers.all(f, has(oldObject.metadata.finalizers) && f in oldObject.metadata.finalizers)))"
            ),
        ),
        (
            "unchanged",
            "request.operation == 'UPDATE' && object.spec == oldObject.spec && variables.seriesUnchanged && variables.controllerFieldsUnchanged && variables.metadataUnchanged".to_owned(),
        ),
    ]
}

/// That the first processes of a series stay.
fn first_processes() -> Vec<(&'static str, String)> {
    let of = |status: &str| {
        format!(
            "'series' in {status} && 'firstProcesses' in {status}['series'] ? {status}['series']['firstProcesses'] : dyn([])"
        )
    };
    let kept = same(
        "newProcesses[i]",
        "oldProcesses[i]",
        IMMUTABLE_PROCESS_FIELDS,
    );
    vec![
        ("newProcesses", of("variables.new")),
        ("oldProcesses", of("variables.old")),
        (
            // The schema allows three.
            "firstProcessesKept",
            format!(
                "(!('series' in variables.old) || 'series' in variables.new) && size(variables.oldProcesses) <= size(variables.newProcesses) && [0, 1, 2].all(i, i >= size(variables.oldProcesses) || {kept})"
            ),
        ),
    ]
}

/// Whether the Incident is open, as `bailiff_response::is_open` has it.
fn closing() -> Vec<(&'static str, String)> {
    let is_final = |type_: &str| {
        format!("variables.oldConditions.exists(c, c.type == '{type_}' && c.status != 'Unknown')")
    };
    let (responded, recovered) = (is_final(types::RESPONDED), is_final(types::RECOVERED));
    vec![
        (
            "oldConditions",
            "'conditions' in variables.old ? variables.old['conditions'] : dyn([])".to_owned(),
        ),
        (
            "open",
            format!("!{responded} || ('response' in variables.old && !{recovered})"),
        ),
    ]
}

/// The validations of the policy, each with its message.
pub(super) fn validations(namespace: &str) -> Vec<(String, String)> {
    let labels = [
        (keys::LABEL_POLICY, "object.spec.policyRef.name"),
        (keys::LABEL_NODE, "object.spec.nodeName"),
        (keys::LABEL_POD_UID, "object.spec.pod.uid"),
    ]
    .map(|(key, value)| format!("(k == '{key}' && object.metadata.labels[k] == {value})"))
    .join(" || ");
    let rules: [(String, &str); 10] = [
        (
            "request.operation == 'DELETE' || variables.sensor || variables.controller || variables.unchanged".to_owned(),
            "Incidents are evidence: only Bailiff can create or update them",
        ),
        (
            on("CREATE", "variables.sensor && variables.ownNode"),
            "only the sensor of the node in spec.nodeName can create an Incident",
        ),
        (
            on(
                "CREATE",
                "object.metadata.name.endsWith(variables.nameSuffix) && object.metadata.name.substring(0, size(object.metadata.name) - size(variables.nameSuffix)).matches('^inc-(evaluation-failed-|found-running-)?[0-9a-f]{16}$')",
            ),
            "metadata.name must be inc-, 16 hexadecimal digits, a hyphen and the name of the sensor's node",
        ),
        (
            // Where a tenant's quota or webhook rejects Incidents, they go to Bailiff's namespace.
            on(
                "CREATE",
                &format!(
                    "object.metadata.namespace == object.spec.pod.namespace || object.metadata.namespace == '{namespace}'"
                ),
            ),
            "metadata.namespace must be spec.pod.namespace or the namespace that Bailiff runs in",
        ),
        (
            on(
                "CREATE",
                &format!(
                    "!has(object.metadata.finalizers) && !has(object.metadata.ownerReferences) && !has(object.metadata.annotations) && (!has(object.metadata.labels) || object.metadata.labels.all(k, {labels}))"
                ),
            ),
            "an Incident must not have finalizers, ownerReferences or annotations, and only the labels bailiff.dev/policy, bailiff.dev/node and bailiff.dev/pod-uid with the values of its spec",
        ),
        (
            // The API server sets creationTimestamp before it asks admission policies.
            on(
                "CREATE",
                "timestamp(object.spec.execTime) >= timestamp(object.metadata.creationTimestamp) - duration('24h') && timestamp(object.spec.execTime) <= timestamp(object.metadata.creationTimestamp) + duration('1m')",
            ),
            "spec.execTime must be at most 24 hours before and at most 1 minute after metadata.creationTimestamp; check the clock of the node",
        ),
        (
            // An update that changes nothing counts, too: its response is the whole object, and a
            // sensor must not read those of another node.
            "request.operation != 'UPDATE' || !variables.sensor || (variables.status && variables.ownNode && variables.controllerFieldsUnchanged)".to_owned(),
            "a sensor can change only status.series, and only of Incidents of its own node",
        ),
        (
            "request.operation != 'UPDATE' || !variables.sensor || variables.firstProcessesKept".to_owned(),
            "status.series.firstProcesses must keep its entries; only their count and lastObservedTime can change",
        ),
        (
            "request.operation != 'UPDATE' || !variables.controller || variables.unchanged || (variables.status && variables.seriesUnchanged)".to_owned(),
            "the controller can change only the status, except status.series",
        ),
        (
            // Once a namespace terminates, its pods do as well.
            on(
                "DELETE",
                "variables.controller || has(namespaceObject.metadata.deletionTimestamp) || !variables.open",
            ),
            "the Incident is open; it can be deleted when Bailiff has responded to it and the workload has recovered",
        ),
    ];
    rules
        .map(|(expression, message)| (expression, message.to_owned()))
        .into()
}

/// A rule for one operation alone.
fn on(operation: &str, rule: &str) -> String {
    format!("request.operation != '{operation}' || ({rule})")
}

/// The status of an object, which may have none, as a map.
fn status_of(object: &str) -> String {
    format!("has({object}.status) ? dyn({object}.status) : dyn({{}})")
}

/// That two maps among the variables have these fields with the same values, or lack them both.
fn same(new: &str, old: &str, fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("'{field}'")).collect();
    format!(
        "[{}].all(f, (f in variables.{new}) == (f in variables.{old}) && (!(f in variables.{new}) || variables.{new}[f] == variables.{old}[f]))",
        fields.join(", ")
    )
}
