//! From facts and violations to an Incident.
//!
//! Here: what an Incident says, and that it stays small. Not here: writing it (`write`).
//! Invariant: an Incident is at most [`LIMIT_BYTES`] of JSON, whatever the process was called.

use crate::judge::Judged;
use bailiff_api::{
    ANCESTOR_ARGS_LIMIT_BYTES, Ancestor, Incident, IncidentContainer, IncidentPod, IncidentProcess,
    IncidentSpec, LABELS_LIMIT, PolicyReference, incident_name, keys,
};
use base64::Engine as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeMap;

/// Most bytes of an Incident's spec as JSON. With metadata and status it stays under 16 KiB.
const LIMIT_BYTES: usize = 13 * 1024;
/// Most bytes of a path that is kept.
const PATH_LIMIT_BYTES: usize = 1024;

/// Arguments as text; bytes that are no UTF-8 as U+FFFD.
pub(crate) fn args_text(args: &[Vec<u8>]) -> Vec<String> {
    args.iter()
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect()
}

/// As many arguments as fit into so many bytes; the last one may be cut.
pub(crate) fn args_within(args: &[String], limit: usize) -> Vec<String> {
    let mut left = limit;
    let mut kept = Vec::new();
    for arg in args {
        let arg = cut(arg, left);
        left = left.saturating_sub(arg.len().saturating_add(1));
        kept.push(arg.to_owned());
        if left == 0 {
            break;
        }
    }
    kept
}

/// The beginning of a text, of at most so many bytes, cut between characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// The Incident of a violation.
#[expect(
    clippy::too_many_lines,
    reason = "the fields of one object, one after the other"
)]
pub(crate) fn incident(judged: &Judged, node: &str, now: Timestamp) -> Incident {
    let (pod, process) = (&judged.pod, &judged.process);
    let exact = judged
        .args
        .iter()
        .all(|arg| std::str::from_utf8(arg).is_ok());
    let encode = |arg: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(arg);
    let spec = IncidentSpec {
        type_: judged.type_,
        severity: judged.severity,
        policy: judged.policy.clone(),
        bindings: judged.bindings.clone(),
        node_name: node.to_owned(),
        pod: IncidentPod {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            labels: pod
                .labels
                .iter()
                .take(LABELS_LIMIT)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            service_account_name: pod.service_account.clone(),
        },
        container: IncidentContainer {
            id: judged.container_id.clone(),
            name: judged.container.name.clone(),
            image: judged
                .container
                .image
                .as_deref()
                .map(|image| cut(image, PATH_LIMIT_BYTES).to_owned()),
            image_id: judged
                .container
                .image_id
                .as_deref()
                .map(|image| cut(image, PATH_LIMIT_BYTES).to_owned()),
            type_: judged.container.type_,
        },
        process: IncidentProcess {
            executable: cut(&process.executable, PATH_LIMIT_BYTES).to_owned(),
            invoked_path: cut(&process.invoked_path, PATH_LIMIT_BYTES).to_owned(),
            names: process
                .names
                .iter()
                .take(8)
                .map(|name| cut(name, 256).to_owned())
                .collect(),
            args: process.args.clone(),
            args_base64: if exact {
                Vec::new()
            } else {
                judged.args.iter().map(encode).collect()
            },
            args_truncated: judged.args_cut,
            executable_source: process.executable_source,
            script_path: process
                .script
                .as_ref()
                .map(|script| cut(&script.path, PATH_LIMIT_BYTES).to_owned()),
            origin: process.origin,
            uid: process.uid,
            gid: process.gid,
            capabilities: process.capabilities.clone(),
            pid: i64::from(judged.pid),
            start_time: MicroTime(process.start_time),
            ancestors: process
                .ancestors
                .0
                .iter()
                .map(|ancestor| Ancestor {
                    executable: cut(&ancestor.executable, 256).to_owned(),
                    args: args_within(&ancestor.args, ANCESTOR_ARGS_LIMIT_BYTES),
                    pid: ancestor.pid,
                    start_time: MicroTime(ancestor.start_time),
                })
                .collect(),
        },
        violations: judged.violations.clone(),
        detected_time: MicroTime(now),
    };
    let mut incident = Incident::new(
        &incident_name(&pod.uid, &judged.policy.uid, judged.type_),
        shrink(spec),
    );
    incident.metadata.namespace = Some(pod.namespace.clone());
    incident.metadata.labels = Some(labels(&judged.policy, node, &pod.uid));
    incident
}

/// Takes away what matters least until it fits.
fn shrink(mut spec: IncidentSpec) -> IncidentSpec {
    let size = |spec: &IncidentSpec| serde_json::to_vec(spec).map_or(usize::MAX, |json| json.len());
    let mut limit = bailiff_api::ARGS_LIMIT_BYTES;
    while size(&spec) > LIMIT_BYTES {
        if !spec.process.args_base64.is_empty() {
            spec.process.args_base64.clear();
            spec.process.args_truncated = true;
        } else if limit > 256 {
            limit /= 2;
            spec.process.args = args_within(&spec.process.args, limit);
            spec.process.args_truncated = true;
        } else if spec.process.ancestors.pop().is_none() && spec.violations.len() > 1 {
            spec.violations.pop();
        } else if spec.process.ancestors.is_empty() && spec.violations.len() <= 1 {
            spec.pod.labels.clear();
            break;
        }
    }
    spec
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
