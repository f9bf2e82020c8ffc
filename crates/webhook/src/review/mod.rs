//! Reads an `AdmissionReview`.
//!
//! Here: the request of a review, and who asks if the request cannot be decoded. Not here: the response
//! (`response`), what follows from a request (`entries`).
//! Invariant: an object that a tenant wrote makes no review undecodable: only managed fields can be nested to
//! any depth, and they are skipped. Of a pod only what its verdict depends on is in memory.

mod document;
mod identity;
mod object;

pub use identity::{Identity, identity};

pub use object::Keep;

use document::Objects;
use serde_json::Value as Json;
use std::fmt;

/// Number of bytes at the start of a review in which the API server writes the UID.
pub const START_BYTES: usize = 4096;

/// What the API server asks about.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// UID of the request, which the response repeats, and namespace.
    pub identity: Identity,
    /// API group of the resource; empty for the core group.
    pub group: String,
    /// Resource in the plural, as `pods`.
    pub resource: String,
    /// Subresource, as `ephemeralcontainers`; empty for the object itself.
    pub subresource: String,
    /// The operation.
    pub operation: Operation,
    /// Groups of the user who sent the request.
    pub groups: Vec<String>,
    /// True if nothing is persisted.
    pub dry_run: bool,
    /// The parts of the objects that are kept.
    pub kept: Keep,
    /// Bytes of memory that these take.
    pub kept_bytes: usize,
    /// The parts of the object that are kept, as it will be; null for a deletion.
    pub object: Json,
    /// The same of the object as it is; null for a creation.
    pub old_object: Json,
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The object is new.
    Create,
    /// The object exists.
    Update,
    /// The object is deleted.
    Delete,
    /// Another operation, as `CONNECT`.
    Other,
}

/// Why a body is not an `AdmissionReview` that Bailiff can read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON, or a field has an unexpected type.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
    /// A field of its objects has a type that it does not have in Kubernetes.
    #[error("the field {0} has an unexpected type")]
    Type(&'static str),
    /// What is kept of its objects takes too much memory.
    #[error("what is kept of it takes more than {KEPT_LIMIT} bytes")]
    TooLarge,
    /// It is another object.
    #[error("it is not an AdmissionReview of admission.k8s.io/v1 with a request")]
    OtherKind,
}

/// Most values of a review. Decoded, an object takes up to fifty times its bytes: without a limit, one
/// review of empty objects would take half a gigabyte.
const VALUES_LIMIT: usize = 100_000;

/// Most memory that the kept parts of an object take. No review with few enough values reaches it.
const KEPT_LIMIT: usize = 64 << 20;

/// Whether a body has more values than a review can have: each follows a comma, a colon or a bracket.
#[must_use]
pub fn has_too_many_values(body: &[u8]) -> bool {
    if body.len() <= VALUES_LIMIT {
        return false;
    }
    let (mut values, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'{' | b'[' if !in_text => values += 1,
            _ => {}
        }
    }
    values > VALUES_LIMIT
}

/// Decodes a review, and of its objects the parts that are kept.
///
/// # Errors
/// If it is no `AdmissionReview` of `admission.k8s.io/v1` with a request.
pub fn decode(body: &[u8], keep: Keep) -> Result<Review, Malformed> {
    decode_within(body, keep, KEPT_LIMIT)
}

fn decode_within(body: &[u8], keep: Keep, limit: usize) -> Result<Review, Malformed> {
    let objects = Objects::new(&keep, limit);
    let document = objects.decode(body)?;
    let (kind, version) = (document.kind.as_str(), document.api_version.as_str());
    let ("AdmissionReview", "admission.k8s.io/v1", Some(request)) =
        (kind, version, document.request)
    else {
        return Err(Malformed::OtherKind);
    };
    object::check(&request.object)?;
    object::check(&request.old_object)?;
    let kept_bytes = objects.kept_bytes(&request);
    Ok(Review {
        identity: Identity {
            uid: request.uid,
            namespace: request.namespace,
        },
        group: request.resource.group,
        resource: request.resource.resource,
        subresource: request.subresource,
        operation: match request.operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            _ => Operation::Other,
        },
        groups: request.user_info.groups,
        dry_run: request.dry_run,
        kept: keep,
        kept_bytes,
        object: request.object,
        old_object: request.old_object,
    })
}

impl Review {
    /// The object before an update; none for another operation.
    #[must_use]
    pub fn previous(&self) -> Option<&Json> {
        (self.operation == Operation::Update).then_some(&self.old_object)
    }
}

/// The resource as in a rule: `pods/ephemeralcontainers`, `apps/deployments`.
impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (text, before, after) in [
            (&self.group, "", "/"),
            (&self.resource, "", ""),
            (&self.subresource, "/", ""),
        ] {
            if !text.is_empty() {
                write!(f, "{before}{text}{after}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
