//! From a violation to an Incident in the API.
//!
//! Here: what it says, and when it is written. Not here: what a violation is (`judge`).
//! Invariant: an Incident is small, and writes are few, however many violations there are.

pub(crate) mod evidence;
pub(crate) mod processes;
pub(crate) mod unrecorded;
pub(crate) mod write;
