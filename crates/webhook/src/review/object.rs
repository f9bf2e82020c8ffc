//! The object of a review.
//!
//! Here: which parts of it are kept, and what these must be. Not here: decoding them (`document`), which parts
//! a review needs (`rules`), what they mean (`entries`).
//! Invariant: an object that is kept has a type at each place as Kubernetes gives it, as far as a decision
//! depends on it.

use super::Malformed;
use bailiff_policy::Reads;
use serde_json::Value as Json;
use std::sync::{Arc, LazyLock};

/// The parts of an object that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those that the decision about a pod or a pod template depends on.
    Parts(Arc<Reads>),
    /// Everything but managed fields.
    Everything,
}

impl Keep {
    /// Whether an object of which these parts are kept has the other ones, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Parts(_), Self::Everything) => false,
            // Nearly always it is the same.
            (Self::Parts(mine), Self::Parts(theirs)) => {
                Arc::ptr_eq(mine, theirs) || mine.covers(theirs)
            }
        }
    }

    pub(super) fn reads(&self) -> &Reads {
        static EVERYTHING: LazyLock<Reads> = LazyLock::new(Reads::everything);
        match self {
            Self::Parts(reads) => reads,
            Self::Everything => &EVERYTHING,
        }
    }
}

/// Where lists of containers and volumes are.
const LISTS: [&str; 4] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
];

/// Rejects what no API server sends: a list that is none would be a pod without images.
///
/// # Errors
/// If it is neither null nor an object, or a part of it has another type than Kubernetes gives it.
pub(super) fn check(object: &Json) -> Result<(), Malformed> {
    let is_object = |value: &Json| value.is_null() || value.is_object();
    let spec = &object["spec"];
    for (value, field) in [
        (object, "object"),
        (&object["metadata"], "metadata"),
        (spec, "spec"),
    ] {
        if !is_object(value) {
            return Err(Malformed::Type(field));
        }
    }
    for field in LISTS {
        let list = &spec[field];
        let entries = list.as_array();
        let is_list = list.is_null() || entries.is_some();
        if !is_list || !entries.into_iter().flatten().all(is_object) {
            return Err(Malformed::Type(field));
        }
    }
    let templates = ["template", "jobTemplate"].map(|field| &spec[field]);
    templates
        .into_iter()
        .filter(|template| !template.is_null())
        .try_for_each(check)
}
