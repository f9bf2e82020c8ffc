//! What the API server reports.
//!
//! Here: what is kept of pods and namespaces, of policies and bindings. Not here: the watches that
//! bring them (`run`, `state/objects`).
//! Invariant: a pod that was deleted is known for a minute more, for its last processes; nothing else
//! outlives its object. What tenants write takes a bounded number of bytes.

pub(crate) mod fetches;
pub(crate) mod gaps;
pub(crate) mod limits;
mod matched;
pub(crate) mod namespaces;
pub(crate) mod needs;
pub(crate) mod pods;
pub(crate) mod policy_index;
