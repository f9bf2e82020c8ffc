//! Decides at admission which images can run.
//!
//! Here: the answers of registries that reviews use (`facts`), and Events on the workloads of denied pods
//! (`events`). Not here: what an answer means
//! (`policy`) and how a registry is asked (`oci`).
//! Invariant: what could not be checked is never taken for allowed.

pub mod events;
pub mod facts;
