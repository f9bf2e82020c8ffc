//! Reasons of the Events that Bailiff writes.
//!
//! Here: the `reason` words, which people select on. Not here: the sentences, which live in the
//! `messages` module of the room that writes them.
//! Invariant: a reason is upper camel case and is documented in `docs/operating.md`.

/// On a pod and its workload: the pod was evicted because of a policy.
pub const EVICTED: &str = "EvictedByPolicy";
/// On a pod and its workload: the pod was deleted because of a policy.
pub const DELETED: &str = "DeletedByPolicy";
/// On a pod and its workload: a policy was violated and nothing was done; the message says why.
pub const VIOLATION: &str = "PolicyViolation";
/// On a pod and its workload: the answer is held back for now; the message says by what.
pub const RESPONSE_HELD: &str = "ResponseHeld";
/// On a workload: the replacement of an evicted pod is Ready.
pub const RECOVERED: &str = "RecoveredFromViolation";
/// On a Node: processes of this node, or of some of its pods, can't be seen.
pub const NOT_COVERED: &str = "ProcessesNotSeen";
