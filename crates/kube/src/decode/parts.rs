//! An object as the texts of its parts.
//!
//! Here: taking parts out of an object that cannot be decoded as a whole. Not here: which ones
//! (`super`).
//! Invariant: what is not taken out stays as it was written; no nesting is too deep for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Error, Value};
use serde_path_to_error::{Path, Segment};
use std::collections::BTreeMap;

/// The top level of an object.
pub(super) struct Parts(BTreeMap<String, Box<RawValue>>);

impl Parts {
    pub(super) fn of(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map(Self)
    }

    pub(super) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(&self.0)
    }

    /// Removes the part that a path leads to: the managed fields, or a condition or field of the
    /// status. Not `finely`: the whole status. False: it leads elsewhere, or nothing is left to remove.
    pub(super) fn remove(&mut self, path: &Path, finely: bool) -> bool {
        let mut path = path.iter();
        let top = match path.next() {
            Some(Segment::Map { key }) => key.as_str(),
            _ => return false,
        };
        if top == "metadata" {
            let managed =
                matches!(path.next(), Some(Segment::Map { key }) if key == "managedFields");
            let rest = self.0.get("metadata").filter(|_| managed);
            let rest = rest.and_then(|metadata| without(metadata, "managedFields", None));
            let found = rest.is_some();
            self.0.extend(rest.map(|rest| (top.to_owned(), rest)));
            return found;
        }
        let in_status = top == "status";
        let Some(status) = self.0.get("status").filter(|_| in_status) else {
            return false;
        };
        let field = match path.next() {
            Some(Segment::Map { key }) if finely => Some(key.as_str()),
            _ => None,
        };
        let index = match path.next() {
            Some(Segment::Seq { index }) if field == Some("conditions") => Some(*index),
            _ => None,
        };
        let rest = field.and_then(|field| without(status, field, index));
        match rest {
            Some(rest) => {
                self.0.insert("status".to_owned(), rest);
            }
            None => {
                self.0.remove("status");
            }
        }
        true
    }
}

/// A status without a field of it, or without one item of that; none: it is no object with such a
/// field.
fn without(status: &RawValue, field: &str, index: Option<usize>) -> Option<Box<RawValue>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(status.get()).ok()?;
    let removed = fields.remove(field)?;
    if let Some(index) = index
        && let Ok(mut items) = serde_json::from_str::<Vec<Box<RawValue>>>(removed.get())
        && index < items.len()
    {
        items.remove(index);
        let items = serde_json::value::to_raw_value(&items).ok()?;
        fields.insert(field.to_owned(), items);
    }
    serde_json::value::to_raw_value(&fields).ok()
}

#[derive(Default, Deserialize)]
struct Identity {
    #[serde(default)]
    metadata: Metadata,
}

/// Values as they come: a wrong type of one leaves the others.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Value,
    namespace: Value,
    uid: Value,
    resource_version: Value,
    generation: Value,
}

/// What identifies an object, without the rest of it.
pub(super) fn identity(text: &str) -> ObjectMeta {
    let Identity { metadata } = serde_json::from_str(text).unwrap_or_default();
    let word = |value: Value| value.as_str().map(str::to_owned);
    ObjectMeta {
        name: word(metadata.name),
        namespace: word(metadata.namespace),
        uid: word(metadata.uid),
        resource_version: word(metadata.resource_version),
        generation: metadata.generation.as_i64(),
        ..ObjectMeta::default()
    }
}
