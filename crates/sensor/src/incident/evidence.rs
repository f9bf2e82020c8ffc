//! From facts and violations to an Incident.
//!
//! Here: what an Incident says, and that it stays small. Not here: writing it (`write`), which
//! text is how long (`evidence/size`).
//! Invariant: an Incident with its metadata and status stays under 16 KiB, however long the names of the
//! process are; what its answer depends on goes last.

pub(crate) mod size;

use crate::incident::processes::Room;
use crate::judge::Finding;
use crate::process::args::shortened;
use bailiff_api::{
    ANCESTOR_ARGS_LIMIT_BYTES, ARGS_LIMIT_BYTES, Ancestor, BindingReference, Incident,
    IncidentContainer, IncidentPod, IncidentProcess, IncidentSpec, IncidentType, LABELS_LIMIT,
    PolicyReference, evaluation_error_name, found_running_name, incident_name, keys,
};
use base64::Engine as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use size::{cut, managed_size, stored_size};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of an Incident's spec and series as the API server stores them, with what `managedFields`
/// repeats of them. What is left of 16 KiB is for metadata and the controller's status.
const LIMIT_BYTES: usize = 11 * 1024;
/// Most of it for the spec, but for labels that the response depends on; the rest is for further
/// processes.
const SPEC_LIMIT_BYTES: usize = 7 * 1024;
/// Most bytes of a path that is kept.
pub(crate) const PATH_LIMIT_BYTES: usize = 1024;
/// Most bytes of a name that is kept.
const NAME_LIMIT_BYTES: usize = 256;
/// Most bytes of the name of an object, and of a container's ID, as the schema has it.
const OBJECT_NAME_LIMIT_BYTES: usize = 253;
const CONTAINER_ID_LIMIT_BYTES: usize = 128;
/// Most bytes of a message; the schema has the same limit in characters.
const MESSAGE_LIMIT_BYTES: usize = 1024;
/// Most bytes of the bindings that are named; the first one is always.
const BINDINGS_LIMIT_BYTES: usize = 2048;
/// The same texts where there is no room.
const SHORT_BYTES: usize = 128;

/// Labels by which the controller finds what made a pod: the ReplicaSet and the Job.
pub(crate) const OWNER_LABELS: [&str; 2] = ["pod-template-hash", "batch.kubernetes.io/job-name"];

/// Arguments as text; bytes that are no UTF-8 as U+FFFD.
pub(crate) fn args_text(args: &[Vec<u8>]) -> Vec<String> {
    args.iter()
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect()
}

/// As many arguments as fit into so many bytes; the last one may be cut.
pub(crate) fn args_within(args: &[impl AsRef<str>], limit: usize) -> Vec<String> {
    let mut left = limit;
    let mut kept = Vec::new();
    for arg in args {
        let whole = arg.as_ref();
        let arg = cut(whole, left);
        left = left.saturating_sub(stored_size(arg).saturating_add(1));
        kept.push(arg.to_owned());
        if left == 0 || arg.len() < whole.len() {
            break;
        }
    }
    kept
}

/// The bindings that are named, as many as there is room for, and at least one.
pub(crate) fn named_bindings(bindings: &[BindingReference]) -> Vec<BindingReference> {
    let mut left = BINDINGS_LIMIT_BYTES;
    let fits = |(index, binding): &(usize, &BindingReference)| {
        let size = stored_size(binding);
        let fits = *index == 0 || size <= left;
        left = left.saturating_sub(size);
        fits
    };
    let named = bindings.iter().enumerate().take_while(fits);
    named.map(|(_, binding)| binding.clone()).collect()
}

/// The name of the Incident that a violation or an evaluation error belongs to.
pub(crate) fn name(finding: &Finding, node: &str) -> String {
    let policy = &finding.policy;
    match finding.type_ {
        IncidentType::Violation => incident_name(&finding.pod.uid, &policy.uid, node),
        IncidentType::FoundRunning => found_running_name(&finding.pod.uid, &policy.uid, node),
        IncidentType::EvaluationFailed => {
            let hour = finding.time.as_second().div_euclid(3600);
            evaluation_error_name(&policy.uid, policy.generation, hour, node)
        }
    }
}

/// The Incident of a violation.
pub(crate) fn incident(finding: &Finding, node: &str, now: Timestamp) -> Incident {
    let pod = &finding.pod;
    let spec = IncidentSpec {
        type_: finding.type_,
        severity: finding.severity,
        policy_ref: finding.policy.clone(),
        binding_refs: named_bindings(&finding.bindings),
        node_name: node.to_owned(),
        pod: IncidentPod {
            name: pod.name.clone(),
            namespace: pod.namespace.clone(),
            uid: pod.uid.clone(),
            labels: kept_labels(&pod.labels, &finding.selected),
            service_account_name: pod
                .service_account
                .as_deref()
                .map(|name| cut(name, OBJECT_NAME_LIMIT_BYTES).to_owned()),
            controller_ref: pod.controller.clone(),
        },
        container: container(finding),
        process: process(finding),
        violations: finding.violations.clone(),
        exec_time: MicroTime(now),
    };
    let mut incident = Incident::new(&name(finding, node), shrink(spec, finding));
    incident.metadata.namespace = Some(pod.namespace.clone());
    incident.metadata.labels = Some(labels(&finding.policy, node, &pod.uid));
    incident
}

fn container(finding: &Finding) -> IncidentContainer {
    let within = |text: &Option<String>, limit: usize| {
        let text = text.as_deref()?;
        Some(cut(text, limit).to_owned())
    };
    let container = &finding.container;
    IncidentContainer {
        id: within(&finding.container_id, CONTAINER_ID_LIMIT_BYTES),
        name: within(&container.name, OBJECT_NAME_LIMIT_BYTES),
        image: within(&container.image, PATH_LIMIT_BYTES),
        image_id: within(&container.image_id, PATH_LIMIT_BYTES),
        type_: container.type_,
    }
}

fn process(finding: &Finding) -> IncidentProcess {
    let process = &finding.process;
    let path = |path: &str| cut(path, PATH_LIMIT_BYTES).to_owned();
    let names = process.names.iter().take(8);
    let ancestors = process.ancestors.0.iter().map(|ancestor| Ancestor {
        executable: cut(&ancestor.executable, NAME_LIMIT_BYTES).to_owned(),
        args: args_within(&ancestor.args, ANCESTOR_ARGS_LIMIT_BYTES),
        pid: ancestor.pid,
        start_time: MicroTime(ancestor.start_time),
    });
    let mut found = IncidentProcess {
        executable: path(&process.executable),
        invoked_path: path(&process.invoked_path),
        names: names
            .map(|name| cut(name, NAME_LIMIT_BYTES).to_owned())
            .collect(),
        args: Vec::new(),
        args_base64: Vec::new(),
        args_truncated: finding.args_cut,
        working_directory: Some(path(&process.working_directory)),
        executable_source: process.executable_source,
        executable_deleted: process.executable_deleted,
        script_path: process.script.as_ref().map(|script| path(&script.path)),
        script_source: process.script.as_ref().map(|script| script.source),
        stdio: process.stdio.0.to_vec(),
        secure_exec: process.secure_exec,
        origin: process.origin,
        left_pod_cgroup: process.left_pod_cgroup,
        uid: process.uid,
        gid: process.gid,
        capabilities: process.capabilities.clone(),
        pid: i64::from(finding.pid),
        start_time: MicroTime(process.start_time),
        ancestors: ancestors.collect(),
    };
    set_args(&mut found, finding, ARGS_LIMIT_BYTES);
    found
}

/// Puts in as many bytes of arguments; the same ones as text and, where text can't show them, in
/// base64.
fn set_args(process: &mut IncidentProcess, finding: &Finding, limit: usize) {
    let short = shortened(&finding.args, limit);
    let kept = short.as_deref().unwrap_or(&finding.args);
    let encode = |arg: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(arg);
    let exact = kept.iter().all(|arg| std::str::from_utf8(arg).is_ok());
    process.args = args_text(kept);
    process.args_base64 = if exact {
        Vec::new()
    } else {
        kept.iter().map(encode).collect()
    };
    process.args_truncated = finding.args_cut || short.is_some();
}

/// The labels that are kept: those first that the answer depends on.
fn kept_labels(
    labels: &BTreeMap<String, String>,
    selected: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let of = |rank: u8| {
        labels
            .iter()
            .filter(move |(key, _)| rank_of(key, selected) == rank)
    };
    let kept = (0..3).flat_map(of).take(LABELS_LIMIT);
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// 0: a selector names it; 1: it leads to the pod's owner; 2: any other.
fn rank_of(key: &str, selected: &BTreeSet<String>) -> u8 {
    match (selected.contains(key), OWNER_LABELS.contains(&key)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

/// Bytes of a spec as the API server stores it, with what the series and `managedFields` repeat of it.
fn size(spec: &IncidentSpec) -> usize {
    stored_size(spec)
        .saturating_add(BINDINGS_LIMIT_BYTES.min(stored_size(&spec.binding_refs)))
        .saturating_add(managed_size(&spec.pod.labels))
}

/// The room that an Incident with this spec has for further processes.
pub(crate) fn process_room(spec: &IncidentSpec) -> Room {
    Room::within(LIMIT_BYTES.saturating_sub(size(spec)))
}

/// Takes away what matters least until it fits.
fn shrink(mut spec: IncidentSpec, finding: &Finding) -> IncidentSpec {
    let fits = |spec: &IncidentSpec| size(spec) <= SPEC_LIMIT_BYTES;
    // The message may quote the process; the schema allows no longer one.
    for violation in &mut spec.violations {
        violation.message = cut(&violation.message, MESSAGE_LIMIT_BYTES).to_owned();
    }
    if fits(&spec) {
        return spec;
    }
    let keep_ranks = |spec: &mut IncidentSpec, below: u8| {
        let labels = &mut spec.pod.labels;
        labels.retain(|key, _| rank_of(key, &finding.selected) < below);
    };
    let args = |spec: &mut IncidentSpec, from: usize, least: usize| {
        let mut limit = from;
        while limit > least && !fits(spec) {
            limit = limit.saturating_sub(limit / 8).max(least);
            set_args(&mut spec.process, finding, limit);
        }
    };
    keep_ranks(&mut spec, 2);
    args(&mut spec, ARGS_LIMIT_BYTES, 1024);
    while !fits(&spec) && spec.process.ancestors.pop().is_some() {}
    args(&mut spec, 1024, 256);
    while !fits(&spec) && spec.violations.len() > 1 {
        spec.violations.pop();
    }
    if !fits(&spec) {
        shorten(&mut spec);
    }
    let fits = |spec: &IncidentSpec| size(spec) <= LIMIT_BYTES;
    if !fits(&spec) {
        spec.pod.controller_ref = None;
    }
    if !fits(&spec) {
        keep_ranks(&mut spec, 1);
    }
    if !fits(&spec) {
        set_args(&mut spec.process, finding, 32);
    }
    // So many labels that selectors name are no tenant's doing.
    while !fits(&spec) && spec.pod.labels.pop_last().is_some() {}
    spec
}

/// Cuts every text that the user of a process chooses.
fn shorten(spec: &mut IncidentSpec) {
    let process = &mut spec.process;
    let paths = [&mut process.executable, &mut process.invoked_path];
    let optional = [
        &mut process.working_directory,
        &mut process.script_path,
        &mut spec.container.image,
        &mut spec.container.image_id,
    ];
    let messages = spec.violations.iter_mut().map(|v| &mut v.message);
    let texts = paths
        .into_iter()
        .chain(optional.into_iter().flatten())
        .chain(&mut process.names)
        .chain(messages);
    for text in texts {
        *text = cut(text, SHORT_BYTES).to_owned();
    }
}

/// Labels by which Incidents are found. A label holds 63 characters; a longer name is left out.
fn labels(policy: &PolicyReference, node: &str, pod_uid: &str) -> BTreeMap<String, String> {
    [
        (keys::LABEL_POLICY, policy.name.as_str()),
        (keys::LABEL_NODE, node),
        (keys::LABEL_POD_UID, pod_uid),
    ]
    .into_iter()
    .filter(|(_, value)| value.len() <= 63)
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

#[cfg(test)]
pub(crate) mod tests;
