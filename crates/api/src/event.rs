//! Reasons of the Events that Bailiff writes.
//!
//! Here: the `reason` words, which people select on. Not here: the sentences, which live in the
//! `messages` module of the room that writes them.
//! Invariant: a reason is upper camel case and is documented in `docs/operating.md`.

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
/// On a Node: processes of this node, or of some of its pods, are not monitored.
pub const NODE_NOT_MONITORED: &str = "NodeNotMonitored";
