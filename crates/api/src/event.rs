//! Reasons of the Events that Bailiff writes.
//!
//! Here: the reasons, which people select Events by, and how often one is repeated. Not here: the notes,
//! which are in the crate that writes the Event.
//! Invariant: a reason is upper camel case and is documented in `docs/operating.md`.

use std::time::Duration;

/// On a pod and its workload: the pod was evicted because of a policy.
pub const EVICTED: &str = "EvictedByPolicy";
/// On a pod and its workload: the pod was deleted because of a policy.
pub const DELETED: &str = "DeletedByPolicy";
/// On a pod and its workload: a process violated a policy and Bailiff took no action; the message
/// says why.
pub const VIOLATION: &str = "PolicyViolation";
/// On a pod and its workload: the response waits; the message says for what.
pub const RESPONSE_DELAYED: &str = "ResponseDelayed";
/// On a workload: the replacement of an evicted pod is Ready.
pub const REPLACEMENT_READY: &str = "ReplacementReady";
/// On a binding: its responses wait, because it would remove pods of too many workloads.
pub const BINDING_PAUSED: &str = "BindingPaused";
/// On a pod and its workload: an expression of a policy could not be evaluated.
pub const EVALUATION_FAILED: &str = "PolicyEvaluationFailed";
/// On the workload of a pod that an image policy denied, so that the pod does not exist.
pub const IMAGE_DENIED: &str = "ImageDenied";
/// On a Node: the sensor of this node lost execs or violations; the message has the numbers.
pub const EVIDENCE_LOST: &str = "EvidenceLost";
/// On a Node: processes of this node, or of some of its pods, are not monitored.
pub const NODE_NOT_MONITORED: &str = "NodeNotMonitored";
/// On a Node: what the sensor reported as not monitored is monitored again.
pub const NODE_MONITORED: &str = "NodeMonitored";
/// On a sensor's pod, in Bailiff's namespace: violations of its node are in no Incident.
pub const INCIDENTS_NOT_RECORDED: &str = "IncidentsNotRecorded";
/// The sensor and the controller repeat the Event about a Node after this time, as long as its cause lasts.
/// The API server keeps an Event for an hour.
pub const NODE_NOT_MONITORED_INTERVAL: Duration = Duration::from_mins(10);
/// Longest time from an Event about lost evidence to the next one, while more is lost.
pub const EVIDENCE_LOST_INTERVAL: Duration = Duration::from_hours(1);
