//! The object of a review.
//!
//! Here: decoding the parts of it that a review needs. Not here: which parts these are (`rules`), what they
//! mean (`entries`).
//! Invariant: what is not needed is skipped without recursion and without memory. A tenant can send managed
//! fields with any nesting, which the API server takes and the decoder of JSON rejects; a list of a million
//! empty objects would take fifty times its bytes.

use super::{KEPT_LIMIT, Malformed};
use bailiff_policy::{ProjectionError, Reads, project};
use serde_json::Value as Json;
use serde_json::value::RawValue;
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

    fn reads(&self) -> &Reads {
        static EVERYTHING: LazyLock<Reads> = LazyLock::new(Reads::everything);
        match self {
            Self::Parts(reads) => reads,
            Self::Everything => &EVERYTHING,
        }
    }
}

/// The kept parts of an object, and how many bytes of memory they take. No object is null.
///
/// # Errors
/// If it is null or an object of which a part has another type than Kubernetes gives it, or if it takes too
/// much memory.
pub(super) fn keep(object: Option<&RawValue>, keep: &Keep) -> Result<(Json, usize), Malformed> {
    let Some(object) = object else {
        return Ok((Json::Null, 0));
    };
    let kept = project(object.get().as_bytes(), keep.reads(), KEPT_LIMIT);
    let (kept, bytes) = kept.map_err(|error| match error {
        ProjectionError::Invalid(error) => Malformed::Json(error),
        ProjectionError::TooLarge { .. } => Malformed::TooLarge,
    })?;
    check(&kept)?;
    Ok((kept, bytes))
}

/// Where lists of containers and volumes are.
const LISTS: [&str; 4] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
];

/// Rejects what no API server sends: a list that is none would be a pod without images.
fn check(object: &Json) -> Result<(), Malformed> {
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
