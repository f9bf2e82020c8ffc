//! The names of Incidents.
//!
//! Here: names as functions of what they are about. Not here: the rule that enforces their ends
//! (`protection`).
//! Invariant: the same violation has the same name; no name of one node can be a name of another.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Most bytes of a node's name at the end of an Incident's name. A longer name is cut at its
/// beginning; Kubernetes allows 253 bytes for both.
pub const NAME_SUFFIX_LIMIT_BYTES: usize = 200;

/// The end of the name of every Incident of a node: a hyphen and the node's name, so that a sensor
/// cannot take a name that belongs to another. The admission policy of `protection` enforces it.
#[must_use]
pub fn name_suffix(node_name: &str) -> String {
    let excess = node_name.len().saturating_sub(NAME_SUFFIX_LIMIT_BYTES);
    // Names of nodes are ASCII; of what is not, nothing is left to compare.
    match node_name.get(excess..) {
        // A label must not begin with the point or the hyphen that a cut may leave first.
        Some(end) if excess > 0 => format!("-x{end}"),
        Some(whole) => format!("-{whole}"),
        None => "-".to_owned(),
    }
}

/// The name of the Incident of a policy in a pod of a node: 64 bits of the SHA-256 over both UIDs,
/// and the node's name.
///
/// It depends on nothing else, so that a sensor that restarts writes nothing twice.
#[must_use]
pub fn incident_name(pod_uid: &str, policy_uid: &str, node_name: &str) -> String {
    let digest = digest(&[pod_uid, policy_uid]);
    format!("inc-{digest}{}", name_suffix(node_name))
}

/// The name of the Incident of a policy in a pod of a node for processes that were found running.
///
/// It differs from [`incident_name`]: otherwise, a process that is older than the sensor would have every
/// later violation counted with it, and those have a response.
#[must_use]
pub fn found_running_name(pod_uid: &str, policy_uid: &str, node_name: &str) -> String {
    let digest = digest(&[pod_uid, policy_uid]);
    format!("inc-found-running-{digest}{}", name_suffix(node_name))
}

/// The name of the Incident of the evaluation errors of a policy's generation on a node within one
/// hour, which is the number of hours since 1970.
///
/// It differs from [`incident_name`]: otherwise, a process that makes an expression fail first would
/// have every later violation counted as an evaluation error, which has no response. It differs before
/// the node's name, so that no two nodes share a name, whatever they are called.
#[must_use]
pub fn evaluation_error_name(
    policy_uid: &str,
    generation: i64,
    hour: i64,
    node_name: &str,
) -> String {
    let digest = digest(&[policy_uid, &generation.to_string(), &hour.to_string()]);
    let suffix = name_suffix(node_name);
    format!("inc-evaluation-failed-{digest}{suffix}")
}

/// 64 bits of the SHA-256 over parts, in hexadecimal.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(8) {
        // Writing to a String does not fail.
        if write!(text, "{byte:02x}").is_err() {
            break;
        }
    }
    text
}
