//! What the API server tells.
//!
//! Here: what is kept of pods and namespaces, of policies and bindings. Not here: the watches that
//! bring them (`run`, `state/objects`).
//! Invariant: a pod that was deleted is known for a minute more, for its last programs; nothing else
//! outlives its object.

pub(crate) mod pods;
pub(crate) mod rules;
